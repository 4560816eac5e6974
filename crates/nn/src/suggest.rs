//! Help for names that are not known.

use crate::Error;

/// Longer names than this are cut short where they are told.
const SHOWN: usize = 60;

/// The name of `legal` that is meant by `name`, if one is near: few letters inserted, left out, replaced or swapped.
pub fn nearest<'a>(name: &str, legal: &[&'a str]) -> Option<&'a str> {
    let lower = name.to_lowercase();
    let slips = |known: &str| strsim::osa_distance(&lower, &known.to_lowercase());
    let best = legal.iter().map(|known| (slips(known), *known)).min()?;
    (best.0 <= 1 + name.len() / 4).then_some(best.1)
}

/// The error for a `what` called `name` that does not exist.
pub fn unknown(what: &str, name: &str, legal: &[&str]) -> Error {
    // Names come from files too, of any length and with any characters.
    let name = &name.chars().take(SHOWN).collect::<String>();
    let known = if legal.is_empty() { "  there is none here".into() } else { format!("  known: {}", legal.join(", ")) };
    let error = Error::config(format!("unknown {what} `{}`\n{known}", name.escape_debug()));
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
        assert_eq!(nearest("rleu", &["elu", "relu"]), Some("relu"));
        assert_eq!(nearest("adam".repeat(1000).as_str(), &["adam"]), None);
        assert_eq!(nearest("transformer", &["sgd", "adam"]), None);
    }
}
