//! Comparing errors with the prose they are meant to be.

use footlight::Error;

/// What the command line prints of an error.
pub fn told(error: &Error) -> String {
    format!("error[{}]: {error}", error.kind().name())
}

/// Holds each case against its paragraph of `expected`, where the case's name stands above the error, and reports all
/// that differ.
pub fn check(cases: &[(&str, String)], expected: &str) {
    let expected: Vec<&str> = expected.trim_matches('\n').split("\n\n").collect();
    let actual: Vec<String> = cases.iter().map(|(name, told)| format!("{name}\n{told}")).collect();
    let differing: Vec<&String> = actual
        .iter()
        .enumerate()
        .filter(|(i, told)| expected.get(*i) != Some(&told.as_str()))
        .map(|(_, t)| t)
        .collect();
    assert!(
        differing.is_empty() && actual.len() == expected.len(),
        "{} of {} cases differ from the {} expected; they are now:\n\n{}\n",
        differing.len(),
        actual.len(),
        expected.len(),
        differing.iter().map(|told| told.as_str()).collect::<Vec<_>>().join("\n\n")
    );
}
