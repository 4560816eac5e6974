//! Arrays in an `npz` file, under the names people give them.

use std::path::Path;

use footlight_tensor::{Tensor, npz};

use super::Samples;
use crate::{Error, ErrorKind, Result};

/// Inputs and targets, and those to test with if the file has them.
pub(super) struct Arrays {
    pub x: Samples,
    pub y: Samples,
    pub test: Option<(Samples, Samples)>,
}

/// Reads `x` and `y` (or `x_train` and `y_train`, as Keras calls them), `x_test` and `y_test`.
///
/// # Errors
/// A file that is no `npz` or lacks an array, and arrays of different lengths.
pub(super) fn read(path: &Path) -> Result<Arrays> {
    let place = |error: Error| error.at(format!("`{}`", path.display()));
    let unreadable = |e: std::io::Error| place(Error::new(ErrorKind::File, format!("cannot read it: {e}")));
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let arrays = npz::read_stream(std::io::BufReader::new(file)).map_err(|e| place(e.into()))?;
    choose(arrays).map_err(place)
}

fn choose(mut arrays: Vec<(String, Tensor)>) -> Result<Arrays> {
    let names: Vec<String> = arrays.iter().map(|(name, _)| format!("`{name}`")).collect();
    let mut take = |name: &str| {
        let index = arrays.iter().position(|(known, _)| known == name)?;
        Some(Samples::from(arrays.swap_remove(index).1))
    };
    let mut pair = |x: &str, y: &str| Some((take(x)?, take(y)?));
    let Some((x, y)) = pair("x", "y").or_else(|| pair("x_train", "y_train")) else {
        let message = format!("it holds {}, expected are `x` and `y`, or `x_train` and `y_train`", names.join(", "));
        return Err(Error::new(ErrorKind::Data, message)
            .help("save it with numpy.savez(path, x=x, y=y), and x_test, y_test if you have them"));
    };
    let test = pair("x_test", "y_test");
    for (x, y, part) in [Some((&x, &y, "")), test.as_ref().map(|(x, y)| (x, y, "_test"))].into_iter().flatten() {
        if x.len() != y.len() {
            let message = format!("x{part} has {} samples, y{part} has {}", x.len(), y.len());
            return Err(Error::new(ErrorKind::Data, message).help("every sample needs one target"));
        }
    }
    Ok(Arrays { x, y, test })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str], count: usize) -> Vec<(String, Tensor)> {
        names.iter().map(|name| (name.to_string(), Tensor::new([count], vec![0.0f32; count]).unwrap())).collect()
    }

    #[test]
    fn arrays_are_known_by_short_names_and_by_those_of_keras() {
        assert!(choose(of(&["y", "x"], 3)).unwrap().test.is_none());
        let keras = choose(of(&["x_train", "y_train", "x_test", "y_test"], 3)).unwrap();
        assert!(keras.test.is_some_and(|(x, y)| x.len() == 3 && y.len() == 3));
        let error = choose(of(&["x", "labels"], 3)).err().unwrap();
        assert!(error.message().starts_with("it holds `x`, `labels`, expected are"), "{error}");
    }

    #[test]
    fn lengths_have_to_agree() {
        let arrays = [of(&["x"], 3), of(&["y"], 2)].concat();
        assert_eq!(choose(arrays).err().unwrap().message(), "x has 3 samples, y has 2");
    }
}
