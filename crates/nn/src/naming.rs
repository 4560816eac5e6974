//! Names of layers, as Keras makes them.

use crate::{Error, Layer};
use std::collections::HashMap;

/// Keras' snake case of a class name: `BatchNormalization` becomes `batch_normalization`, `ReLU` `re_lu`.
///
/// An underscore goes before an upper-case letter that is followed by a lower-case one, and between a lower-case letter
/// and an upper-case one; then all is lower case.
pub fn to_snake_case(class_name: &str) -> String {
    let letters: Vec<char> = class_name.chars().filter(|c| c.is_alphanumeric() || *c == '_').collect();
    let mut name = String::new();
    for (i, c) in letters.iter().enumerate() {
        let before = i.checked_sub(1).map(|j| letters[j]);
        let after = letters.get(i + 1);
        let begins_word = c.is_uppercase() && after.is_some_and(|a| a.is_lowercase());
        let follows_lower = c.is_uppercase() && before.is_some_and(char::is_lowercase);
        if before.is_some_and(|b| b != '_') && (begins_word || follows_lower) {
            name.push('_');
        }
        name.extend(c.to_lowercase());
    }
    name
}

/// A unique name for each layer: its own, or its class in snake case with `_1`, `_2` where that is taken.
pub(crate) fn unique(layers: &[Box<dyn Layer>]) -> Result<Vec<String>, Error> {
    let mut taken: Vec<String> = layers.iter().filter_map(|l| l.common().name.clone()).collect();
    taken.sort_unstable();
    if let Some(pair) = taken.windows(2).find(|w| w[0] == w[1]) {
        return Err(Error::config(format!("two layers are called `{}`", pair[0])).help("give each layer its own name"));
    }
    if let Some(name) = taken.iter().find(|n| n.is_empty() || n.contains('/')) {
        return Err(Error::config(format!("layer name `{name}` must not be empty or contain `/`")));
    }
    let mut counts: HashMap<String, usize> = HashMap::new();
    let mut name = |layer: &dyn Layer| {
        if let Some(name) = &layer.common().name {
            return name.clone();
        }
        let base = match layer.class_name() {
            "InputLayer" => "input_layer".to_string(),
            class => to_snake_case(class),
        };
        loop {
            let count = counts.entry(base.clone()).or_default();
            let name = if *count == 0 { base.clone() } else { format!("{base}_{count}") };
            *count += 1;
            if !taken.contains(&name) {
                return name;
            }
        }
    };
    Ok(layers.iter().map(|l| name(l.as_ref())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_names_become_the_names_keras_gives() {
        for (class, name) in [
            ("Dense", "dense"),
            ("BatchNormalization", "batch_normalization"),
            ("Conv2D", "conv2d"),
            ("Conv2DTranspose", "conv2d_transpose"),
            ("MaxPooling2D", "max_pooling2d"),
            ("ReLU", "re_lu"),
            ("PReLU", "p_re_lu"),
            ("LSTM", "lstm"),
            ("SimpleRNN", "simple_rnn"),
            ("RMSNormalization", "rms_normalization"),
            ("STFTSpectrogram", "stft_spectrogram"),
            ("ConvLSTM2D", "conv_lstm2d"),
        ] {
            assert_eq!(to_snake_case(class), name);
        }
    }
}
