//! Watching one metric: what counts as better.

use footlight_nn::config::Reader;
use footlight_nn::suggest;
use serde_json::{Value as Json, json};

use crate::model::Model;
use crate::{Error, ErrorKind, Result};

pub use footlight_nn::metrics::Direction;

/// A watched metric and the best it has been.
#[derive(Clone, Debug)]
pub(super) struct Monitor {
    pub name: String,
    pub direction: Option<Direction>,
    /// What the model's metric of this name says.
    told: Option<Direction>,
    pub min_delta: f64,
    pub best: Option<f64>,
}

impl Monitor {
    pub fn new(name: &str, min_delta: f64) -> Monitor {
        Monitor { name: name.into(), direction: None, told: None, min_delta, best: None }
    }

    /// Takes over Keras' arguments `monitor` and `mode`.
    pub fn read(mut self, read: &mut Reader<'_>) -> Result<Monitor, footlight_nn::Error> {
        self.name = read.string_or("monitor", &self.name)?;
        self.direction = match read.string_or("mode", "auto")?.as_str() {
            "auto" => None,
            "min" => Some(Direction::Min),
            "max" => Some(Direction::Max),
            other => return Err(suggest::unknown("mode", other, &["auto", "min", "max"]).in_key("mode")),
        };
        Ok(self)
    }

    /// As [`Monitor::read`], with `min_delta`.
    pub fn read_with_delta(mut self, read: &mut Reader<'_>) -> Result<Monitor, footlight_nn::Error> {
        self.min_delta = read.f64("min_delta", self.min_delta)?;
        self.read(read)
    }

    /// Asks the model's metric which way it gets better, and forgets an earlier training.
    ///
    /// # Errors
    /// As [`Monitor::direction`].
    pub fn start(&mut self, model: &Model) -> Result<()> {
        let name = self.name.strip_prefix("val_").unwrap_or(&self.name);
        self.told = model.compiled().ok().and_then(|compile| compile.direction(name));
        self.best = None;
        self.direction().map(drop)
    }

    /// The direction given, or that of the model's metric, or the one the name tells.
    ///
    /// # Errors
    /// `ErrorKind::Config` for a name that tells none.
    pub fn direction(&self) -> Result<Direction> {
        if let Some(direction) = self.direction.or(self.told) {
            return Ok(direction);
        }
        let name = self.name.strip_prefix("val_").unwrap_or(&self.name);
        let contains = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
        if contains(&["acc", "auc", "precision", "recall", "f1", "fbeta", "r2", "iou", "top_k", "cosine_similarity"]) {
            return Ok(Direction::Max);
        }
        let falls = ["loss", "error", "mse", "mae", "entropy", "rmse", "hinge", "divergence", "poisson", "log_cosh"];
        if contains(&falls) {
            return Ok(Direction::Min);
        }
        let message =
            format!("monitor = `{}`: whether lower or higher is better cannot be told from the name", self.name);
        Err(Error::new(ErrorKind::Config, message).help("say so with .direction(Direction::Max) or Direction::Min"))
    }

    /// Whether `value` beats `than` by more than the least difference; a NaN beats nothing.
    pub fn beats(&self, value: f64, than: f64) -> Result<bool> {
        Ok(match self.direction()? {
            Direction::Min => value < than - self.min_delta.abs(),
            Direction::Max => value > than + self.min_delta.abs(),
        })
    }

    /// Keeps `value` if it is the first or beats the best so far, and says whether it did.
    pub fn improves(&mut self, value: f64) -> Result<bool> {
        let is_better = match self.best {
            None => !value.is_nan(),
            Some(best) => self.beats(value, best)?,
        };
        if is_better {
            self.best = Some(value);
        }
        Ok(is_better)
    }

    /// The best so far, for a checkpoint: as bits, because JSON has no infinities.
    pub fn state(&self) -> Json {
        json!(self.best.map(f64::to_bits))
    }

    pub fn restore(&mut self, state: &Json) {
        self.best = state.as_u64().map(f64::from_bits);
    }
}

/// The error for a metric that is not told.
pub(super) fn missing(callback: &str, name: &str, logs: &[(String, f64)]) -> Error {
    let known: Vec<&str> = logs.iter().map(|(name, _)| name.as_str()).collect();
    let what = format!("metric for {callback}");
    let error = Error::from(footlight_nn::suggest::unknown(&what, name, &known));
    if name.starts_with("val_") && !known.iter().any(|known| known.starts_with("val_")) {
        return error.help("validate with validation_split or validation_data to have it");
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_direction() {
        for (name, direction) in [
            ("val_loss", Direction::Min),
            ("accuracy", Direction::Max),
            ("val_sparse_categorical_accuracy", Direction::Max),
            ("mae", Direction::Min),
            ("auc", Direction::Max),
        ] {
            assert_eq!(Monitor::new(name, 0.0).direction().unwrap(), direction, "{name}");
        }
        assert!(Monitor::new("beauty", 0.0).direction().is_err());
    }

    #[test]
    fn only_more_than_the_least_difference_is_better() {
        let mut monitor = Monitor::new("loss", 0.5);
        assert!(!monitor.improves(f64::NAN).unwrap());
        assert!(monitor.improves(2.0).unwrap());
        assert!(!monitor.improves(1.5).unwrap());
        assert!(monitor.improves(1.25).unwrap());
        assert!(!monitor.improves(f64::NAN).unwrap());
    }
}
