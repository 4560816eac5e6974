//! Names of layers and their keys in files, as Keras makes them.

use crate::{Error, Layer};
use std::collections::{HashMap, HashSet};

/// Keras' snake case of a class name: `BatchNormalization` becomes `batch_normalization`, `ReLU` becomes `re_lu`.
///
/// All that is not a letter, digit or underscore is dropped. Then an underscore goes before each run of one capital and
/// small letters that anything precedes, and between a small letter and a capital; then all becomes small. Only ASCII
/// letters count as capital or small.
///
/// # References
/// Keras 3.15.1, `keras/src/utils/naming.py`, `to_snake_case`.
///
/// # Examples
/// ```
/// assert_eq!(footlight_nn::to_snake_case("MaxPooling2D"), "max_pooling2d");
/// ```
pub fn to_snake_case(class_name: &str) -> String {
    let letters: Vec<char> = class_name.chars().filter(|c| c.is_alphanumeric() || *c == '_').collect();
    let is_small = |index: usize| letters.get(index).is_some_and(char::is_ascii_lowercase);
    let mut key = String::new();
    for (index, letter) in letters.iter().enumerate() {
        if index > 0 && letter.is_ascii_uppercase() && (is_small(index + 1) || is_small(index - 1)) {
            key.push('_');
        }
        key.push(*letter);
    }
    key.to_lowercase()
}

/// What names and keys of a class in the catalogue are made of: the name it has in Keras' own code.
fn inner_class(class_name: &str) -> &str {
    if class_name == "GroupQueryAttention" { "GroupedQueryAttention" } else { class_name }
}

/// The class name of a type that has no other: the last part of its path.
pub(crate) fn of_type<T: ?Sized>() -> &'static str {
    let path = std::any::type_name::<T>();
    path.rsplit("::").next().unwrap_or(path)
}

/// A name for each layer: its own, or its class in snake case with `_1`, `_2` where that is taken.
pub(crate) fn names(layers: &[Box<dyn Layer>]) -> Vec<String> {
    layer_names(layers.iter().map(|layer| (layer.class_name(), layer.common().name.as_deref())))
}

/// What is wrong with the names that layers have of their own.
pub(crate) fn faults(layers: &[Box<dyn Layer>]) -> Vec<Error> {
    let mut taken: Vec<String> = layers.iter().filter_map(|l| l.common().name.clone()).collect();
    taken.sort_unstable();
    let mut faults = Vec::new();
    for same in taken.chunk_by(|a, b| a == b) {
        let name = same[0].escape_debug();
        if same.len() > 1 {
            let message = format!("{} layers are called `{name}`", same.len());
            faults.push(Error::config(message).help("give each layer its own name"));
        }
        if same[0].is_empty() || same[0].contains('/') {
            faults.push(Error::config(format!("layer name `{name}` must not be empty or contain `/`")));
        }
        if same[0].contains(char::is_control) {
            faults.push(Error::config(format!("layer name `{name}` must not contain control characters")));
        }
    }
    faults
}

/// The name of each layer, of which its class and maybe a name of its own are given: that, or else the class in snake case,
/// with `_1`, `_2` where that is taken.
///
/// # Examples
/// ```
/// use footlight_nn::layer_names;
/// assert_eq!(layer_names([("Dense", None), ("ReLU", Some("last")), ("Dense", None)]), ["dense", "last", "dense_1"]);
/// ```
pub fn layer_names<'a>(layers: impl IntoIterator<Item = (&'a str, Option<&'a str>)>) -> Vec<String> {
    let layers: Vec<(&str, Option<&str>)> = layers.into_iter().collect();
    let taken: HashSet<&str> = layers.iter().filter_map(|(_, own)| *own).collect();
    let mut counts: HashMap<String, usize> = HashMap::new();
    let name = |(class, own): (&str, Option<&str>)| {
        if let Some(own) = own {
            return own.to_string();
        }
        let base = to_snake_case(inner_class(class));
        loop {
            let count = counts.entry(base.clone()).or_default();
            let name = if *count == 0 { base.clone() } else { format!("{base}_{count}") };
            *count += 1;
            if !taken.contains(name.as_str()) {
                return name;
            }
        }
    };
    layers.into_iter().map(name).collect()
}

/// The keys of the members of one container in a model file, in order. They come from classes, never from names: `dense`,
/// `dense_1`, and so on for each class.
///
/// # Examples
/// ```
/// use footlight_nn::container_keys;
/// assert_eq!(container_keys(["Dense", "ReLU", "Dense"]), ["dense", "re_lu", "dense_1"]);
/// assert_eq!(container_keys(["GroupQueryAttention"]), ["grouped_query_attention"]);
/// ```
pub fn container_keys<'a>(class_names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    let key = |class_name| {
        let key = to_snake_case(inner_class(class_name));
        let count = counts.entry(key.clone()).or_default();
        *count += 1;
        if *count == 1 { key } else { format!("{key}_{}", *count - 1) }
    };
    class_names.into_iter().map(key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_names_become_the_keys_of_keras() {
        for (class_name, key) in [
            ("Dense", "dense"),
            ("InputLayer", "input_layer"),
            ("Conv2D", "conv2d"),
            ("Conv2DTranspose", "conv2d_transpose"),
            ("MaxPooling2D", "max_pooling2d"),
            ("UpSampling2D", "up_sampling2d"),
            ("ReLU", "re_lu"),
            ("LeakyReLU", "leaky_re_lu"),
            ("PReLU", "p_re_lu"),
            ("ELU", "elu"),
            ("LSTM", "lstm"),
            ("GRU", "gru"),
            ("SimpleRNN", "simple_rnn"),
            ("RMSNormalization", "rms_normalization"),
            ("STFTSpectrogram", "stft_spectrogram"),
            ("ConvLSTM2D", "conv_lstm2d"),
            ("GroupedQueryAttention", "grouped_query_attention"),
            ("Functional", "functional"),
            ("Sequential", "sequential"),
            // Printed by Keras 3.15.1 itself.
            ("my_Dense", "my__dense"),
            ("_Dense", "__dense"),
            ("aB_Cd", "a_b__cd"),
            ("ABc", "a_bc"),
            ("Dense-2", "dense2"),
            ("HTTPServer2Go", "http_server2_go"),
            ("naïveÉcole", "naïveécole"),
        ] {
            assert_eq!(to_snake_case(class_name), key, "{class_name}");
        }
    }

    #[test]
    fn the_second_of_a_class_gets_one() {
        let keys = container_keys(["Dense", "Flatten", "Dense", "Dense", "Flatten"]);
        assert_eq!(keys, ["dense", "flatten", "dense_1", "dense_2", "flatten_1"]);
    }

    #[test]
    fn names_that_steer_a_terminal_are_refused() {
        let layers: [Box<dyn Layer>; 1] = [Box::new(crate::Dense::new(1).name("a\u{1b}[2J"))];
        let faults = faults(&layers);
        assert!(faults[0].message().contains("layer name `a\\u{1b}[2J` must not contain"), "{faults:?}");
    }
}
