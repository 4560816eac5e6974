//! Help for names that are not known.

use crate::Error;

/// The number of letters to insert, delete or replace to make `a` of `b`.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let next = (diagonal + usize::from(x != *y)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], next);
        }
    }
    row[b.len()]
}

/// The name of `legal` that is meant by `name`, if one is near.
pub fn nearest<'a>(name: &str, legal: &[&'a str]) -> Option<&'a str> {
    let lower = name.to_lowercase();
    let best = legal.iter().map(|l| (distance(&lower, &l.to_lowercase()), *l)).min()?;
    (best.0 <= 1 + name.len() / 4).then_some(best.1)
}

/// The error for a `what` called `name` that does not exist.
pub fn unknown(what: &str, name: &str, legal: &[&str]) -> Error {
    let known = if legal.is_empty() { "  there is none here".into() } else { format!("  known: {}", legal.join(", ")) };
    let error = Error::config(format!("unknown {what} `{name}`\n{known}"));
    match nearest(name, legal) {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_suggested_and_far_ones_are_not() {
        assert_eq!(nearest("adm", &["sgd", "adam", "adamw"]), Some("adam"));
        assert_eq!(nearest("Sigmiod", &["sigmoid", "softmax"]), Some("sigmoid"));
        assert_eq!(nearest("transformer", &["sgd", "adam"]), None);
    }
}
