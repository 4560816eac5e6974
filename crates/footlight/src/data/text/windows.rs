//! One running text, cut into windows.

use std::path::Path;

use footlight_nn::grouped;
use footlight_tensor::Tensor;

use super::read;
use crate::data::{Dataset, LoadOptions, Origin, Samples, dataset::stem};
use crate::{Error, ErrorKind, Result};

/// The fraction of a text that is held out for the test.
const TEST_SPLIT: f64 = 0.1;

/// The text at `path` as windows of `T` tokens, whose targets are the tokens that come next: `x` and `y` are `[N, T]`, and
/// `y[n, t] = x[n, t + 1]`. Windows follow one another without a gap; what is left at the end is left out.
///
/// The last part of the characters is held out, see [`LoadOptions::test_split`]; a vocabulary is learned from the other.
///
/// # Errors
/// A file that cannot be read, is no UTF-8 or has too few tokens for a window in both parts; `ErrorKind::Config` where no
/// length of windows is set.
pub(in crate::data) fn running(path: &Path, options: &LoadOptions) -> Result<Dataset> {
    let place = |error: Error| error.at(format!("`{}`", path.display()));
    let mut vectorization = options.text.clone().unwrap_or_default();
    let Some(length) = vectorization.sequence_length() else {
        let message = "how many tokens has a window of the text?";
        return Err(place(Error::new(ErrorKind::Config, message))
            .help("say it in a run description: [data.text] split = \"character\", output_sequence_length = 128"));
    };
    let text = read(path)?;
    let test_split = options.test_split.unwrap_or(TEST_SPLIT);
    let (train, test) = split(&text, test_split);
    if !vectorization.is_adapted() {
        vectorization.adapt([train]).map_err(place)?;
    }
    let of_part = |part: &str, what: &str| {
        let tokens = vectorization.encode(part)?;
        windows(&tokens, length).ok_or_else(|| {
            let (count, unit) = (tokens.len(), vectorization.unit(tokens.len()));
            let message = format!(
                "{what} has {} {unit}, a window takes {} ({length} and the one that comes next)",
                grouped(count),
                grouped(length + 1)
            );
            place(Error::new(ErrorKind::Data, message)).help("give a longer text, or a shorter output_sequence_length")
        })
    };
    let (x_train, y_train) = of_part(train, "what is trained on")?;
    let (x_test, y_test) = of_part(test, &format!("what is held out for the test ({test_split} of the text)"))?;
    let held_out = Some((x_test.len(), x_train.len() + x_test.len()));
    let origin = Origin::File { path: path.to_owned(), held_out };
    let (name, classes) = (stem(path), Vec::new());
    Ok(Dataset { name, x_train, y_train, x_test, y_test, classes, text: Some(vectorization), origin })
}

/// The text before the last part of its characters, and that part.
fn split(text: &str, fraction: f64) -> (&str, &str) {
    let count = text.chars().count();
    let at = (count as f64 * (1.0 - fraction)).floor() as usize;
    let at = text.char_indices().nth(at).map_or(text.len(), |(at, _)| at);
    text.split_at(at)
}

/// Windows and their targets, if there are tokens for one.
fn windows(tokens: &[i32], length: usize) -> Option<(Samples, Samples)> {
    let count = tokens.len().saturating_sub(1) / length;
    let of = |first: usize| {
        let numbers = tokens.get(first..first + count * length)?.to_vec();
        Some(Samples::from(Tensor::new([count, length], numbers).ok()?))
    };
    if count == 0 { None } else { Some((of(0)?, of(1)?)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_the_tokens_that_come_next() {
        let (x, y) = windows(&[2, 3, 4, 5, 6, 7, 8, 9], 3).unwrap();
        assert_eq!(x.to_tensor(), Tensor::new([2, 3], vec![2, 3, 4, 5, 6, 7]).unwrap());
        assert_eq!(y.to_tensor(), Tensor::new([2, 3], vec![3, 4, 5, 6, 7, 8]).unwrap());
        assert!(windows(&[2, 3, 4], 3).is_none() && windows(&[2, 3, 4, 5], 3).is_some() && windows(&[], 1).is_none());
    }

    #[test]
    fn texts_are_split_between_characters() {
        assert_eq!(split("ab日本éfghij", 0.1), ("ab日本éfghi", "j"));
        assert_eq!(split("ab日本éfghij", 0.7), ("ab日", "本éfghij"));
        assert_eq!(split("", 0.1), ("", ""));
    }
}
