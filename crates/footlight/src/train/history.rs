//! What each epoch came to.

use std::fmt::Write;

use serde_json::{Value as Json, json};

/// A list per metric with one number per epoch, as Keras' `History.history`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    columns: Vec<(String, Vec<f64>)>,
}

impl History {
    /// Adds the numbers of one epoch.
    pub fn push(&mut self, logs: &[(String, f64)]) {
        for (name, value) in logs {
            match self.columns.iter_mut().find(|(known, _)| known == name) {
                Some((_, values)) => values.push(*value),
                None => self.columns.push((name.clone(), vec![*value])),
            }
        }
    }

    /// The numbers of a metric, one per epoch.
    pub fn get(&self, name: &str) -> Option<&[f64]> {
        self.columns.iter().find(|(known, _)| known == name).map(|(_, values)| values.as_slice())
    }

    /// The number of epochs.
    pub fn epochs(&self) -> usize {
        self.columns.iter().map(|(_, values)| values.len()).max().unwrap_or(0)
    }

    /// The numbers as bits, which JSON carries exactly.
    pub(super) fn to_state(&self) -> Json {
        let bits = |values: &[f64]| -> Vec<u64> { values.iter().map(|value| value.to_bits()).collect() };
        self.columns.iter().map(|(name, values)| json!([name, bits(values)])).collect()
    }

    pub(super) fn from_state(state: &Json) -> Option<History> {
        let column = |column: &Json| {
            let values = column[1].as_array()?.iter().map(|bits| bits.as_u64().map(f64::from_bits));
            Some((column[0].as_str()?.to_string(), values.collect::<Option<Vec<f64>>>()?))
        };
        Some(History { columns: state.as_array()?.iter().map(column).collect::<Option<_>>()? })
    }

    /// Names and numbers.
    pub fn columns(&self) -> &[(String, Vec<f64>)] {
        &self.columns
    }

    /// As JSON: `{"accuracy": [..], "loss": [..]}`; a number that is not finite is `null`.
    pub fn to_json(&self) -> String {
        let number = |x: &f64| if x.is_finite() { format!("{x:?}") } else { "null".into() };
        let mut text = String::from("{");
        for (i, (name, values)) in self.columns.iter().enumerate() {
            let list: Vec<String> = values.iter().map(number).collect();
            let comma = if i == 0 { "" } else { ", " };
            let _ = write!(text, "{comma}{:?}: [{}]", name, list.join(", "));
        }
        text.push('}');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_is_a_list_per_metric() {
        let mut history = History::default();
        history.push(&[("accuracy".into(), 0.5), ("loss".into(), 2.0)]);
        history.push(&[("accuracy".into(), 0.75), ("loss".into(), f64::NAN)]);
        assert_eq!(history.get("accuracy"), Some(&[0.5, 0.75][..]));
        let again = History::from_state(&history.to_state()).unwrap();
        assert_eq!((again.get("accuracy"), again.epochs()), (history.get("accuracy"), 2));
        assert!(again.get("loss").unwrap()[1].is_nan());
        assert_eq!(history.to_json(), r#"{"accuracy": [0.5, 0.75], "loss": [2.0, null]}"#);
    }
}
