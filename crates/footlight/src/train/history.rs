//! What each epoch came to.

use std::fmt::Write;

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
        assert_eq!(history.to_json(), r#"{"accuracy": [0.5, 0.75], "loss": [2.0, null]}"#);
    }
}
