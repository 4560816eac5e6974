//! Help for names that are not known.

use crate::Error;

/// Longer names than this are cut short where they are told.
const SHOWN: usize = 60;
/// Of more names than this the others are counted.
const LISTED: usize = 100;
/// Names near to one that is not known, of a catalogue too long to be told.
const NEAR: usize = 5;

/// The name of `legal` that is meant by `name`, if one is near: few letters inserted, left out, replaced or swapped.
pub fn nearest<'a>(name: &str, legal: &[&'a str]) -> Option<&'a str> {
    let (lower, most) = (name.to_lowercase(), 1 + name.len() / 4);
    let slips = |known: &str| strsim::osa_distance(&lower, &known.to_lowercase());
    // Longer names take more slips, and long ones more time than there is.
    let near = legal.iter().filter(|known| known.chars().count() <= lower.chars().count() + most);
    let best = near.map(|known| (slips(known), *known)).min()?;
    (best.0 <= most).then_some(best.1)
}

/// The beginning of a text that comes from a file, as it is told: it may be of any length and hold any characters.
pub fn shown(text: &str) -> String {
    let begin: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() { begin + "…" } else { begin }
}

/// Names in a row, of very many the first.
pub fn list(names: &[&str]) -> String {
    let first = names.iter().take(LISTED).map(|name| shown(name));
    let more = (names.len() > LISTED).then(|| format!("and {} more", names.len() - LISTED));
    first.chain(more).collect::<Vec<_>>().join(", ")
}

/// The error for a `what` called `name` that is in no long catalogue: the nearest of `legal`, and where all are found.
pub(crate) fn unknown_class(what: &str, name: &str, legal: &[&str], place: &str) -> Error {
    let begin: String = name.chars().take(SHOWN).collect();
    let slips = |known: &str| strsim::osa_distance(&begin.to_lowercase(), &known.to_lowercase());
    let mut near: Vec<(usize, &str)> = legal.iter().map(|known| (slips(known), *known)).collect();
    near.retain(|(slips, _)| *slips <= 1 + begin.chars().count() / 3);
    near.sort_unstable();
    let near: Vec<&str> = near.into_iter().take(NEAR).map(|(_, known)| known).collect();
    let first = if near.is_empty() { String::new() } else { format!("  near: {}\n", list(&near)) };
    let all = format!("  all {}: `footlight schema`, or the documentation of `{place}`", legal.len());
    let error = Error::config(format!("unknown {what} `{}`\n{first}{all}", shown(name)));
    match nearest(&begin, legal) {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None => error,
    }
}

/// The error for a `what` called `name` that does not exist.
pub fn unknown(what: &str, name: &str, legal: &[&str]) -> Error {
    let known = if legal.is_empty() { "  there is none here".into() } else { format!("  known: {}", list(legal)) };
    let error = Error::config(format!("unknown {what} `{}`\n{known}", shown(name)));
    match nearest(&name.chars().take(SHOWN).collect::<String>(), legal) {
        Some(near) => error.help(format!("did you mean `{}`?", shown(near))),
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

    #[test]
    fn names_of_files_are_told_in_few_letters_that_steer_nothing() {
        let long = "\u{1b}[2J".repeat(100_000);
        assert_eq!(shown("kernel_2"), "kernel_2");
        assert_eq!(shown(&long), r"\u{1b}[2J".repeat(15) + "…");
        let error = unknown("column", &long, &vec![long.as_str(); 1000]).to_string();
        assert!(error.len() < 20_000, "{}", error.len());
        assert!(error.contains("…, and 900 more"), "{error}");
    }
}
