//! Keeping the model of each epoch, or the best one.

use std::path::{Path, PathBuf};

use footlight_nn::config::{self, Reader};
use serde_json::json;

use super::Direction;
use super::monitor::{Monitor, missing};
use crate::train::callback::{Callback, CallbackState, Logs, Training, value_of};
use crate::{Error, ErrorKind, Result};

/// Saves the model after each epoch, or after every so many steps.
///
/// The path may hold `{epoch}` (counted from 1), `{batch}` and names of metrics, each with a format such as
/// `{epoch:02}` or `{val_loss:.3f}`.
///
/// # Arguments
/// Defaults as in Keras: `monitor` `val_loss`, `save_best_only` false, saving every epoch.
///
/// # Differences
/// A metric that is needed and not told is an error; Keras warns.
#[derive(Debug)]
pub struct ModelCheckpoint {
    path: String,
    monitor: Monitor,
    save_best_only: bool,
    every_steps: Option<usize>,
    steps: usize,
}

impl ModelCheckpoint {
    /// Saves to `path`, which ends in `.keras`.
    pub fn new(path: &str) -> ModelCheckpoint {
        let monitor = Monitor::new("val_loss", 0.0);
        ModelCheckpoint { path: path.into(), monitor, save_best_only: false, every_steps: None, steps: 0 }
    }

    pub(super) fn from_config(read: &mut Reader<'_>) -> Result<ModelCheckpoint, footlight_nn::Error> {
        let path = read.string("filepath")?.ok_or_else(|| config::missing("filepath"))?;
        let made = ModelCheckpoint::new(&path);
        read.ignore(&["verbose"]);
        read.only("save_weights_only", false)?;
        let monitor = made.monitor.read(read)?;
        let save_best_only = read.bool("save_best_only", false)?;
        let every_steps = read.object("save_freq", save_freq)?.flatten();
        check_path(&path)?;
        Ok(ModelCheckpoint { path, monitor, save_best_only, every_steps, steps: 0 })
    }

    /// The metric to watch; default `val_loss`.
    pub fn monitor(mut self, name: &str) -> ModelCheckpoint {
        self.monitor.name = name.into();
        self
    }

    /// Which way the metric gets better; by default its name tells.
    pub fn direction(mut self, direction: Direction) -> ModelCheckpoint {
        self.monitor.direction = Some(direction);
        self
    }

    /// Whether only a model that is better than all before is saved; default false.
    pub fn save_best_only(mut self, best_only: bool) -> ModelCheckpoint {
        self.save_best_only = best_only;
        self
    }

    /// Saves after every so many steps instead of every epoch.
    pub fn save_every_steps(mut self, steps: usize) -> ModelCheckpoint {
        self.every_steps = Some(steps.max(1));
        self
    }

    fn save(&mut self, training: &Training<'_>, logs: &[(String, f64)]) -> Result<()> {
        if self.save_best_only {
            let name = &self.monitor.name;
            let value = value_of(logs, name).ok_or_else(|| missing("ModelCheckpoint", name, logs))?;
            if !self.monitor.improves(value)? {
                return Ok(());
            }
        }
        training.model.save(PathBuf::from(fill(&self.path, training.epoch + 1, training.step, logs)?))
    }
}

impl Callback for ModelCheckpoint {
    fn on_train_begin(&mut self, training: &mut Training<'_>) -> Result<()> {
        check_path(&self.path).map_err(|error| error.at("ModelCheckpoint"))?;
        if self.save_best_only {
            self.monitor.start(training.model)?;
        }
        self.steps = 0;
        Ok(())
    }

    fn on_batch_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        let Some(every) = self.every_steps else { return Ok(()) };
        self.steps = self.steps.wrapping_add(1);
        if self.steps.is_multiple_of(every) { self.save(training, &training.logs()) } else { Ok(()) }
    }

    fn on_epoch_end(&mut self, training: &mut Training<'_>, logs: &mut Logs) -> Result<()> {
        if self.every_steps.is_some() { Ok(()) } else { self.save(training, logs) }
    }

    fn state(&self) -> CallbackState {
        json!({ "best": self.monitor.state(), "steps": self.steps }).into()
    }

    fn restore(&mut self, state: &CallbackState) -> Result<()> {
        self.monitor.restore(&state.values["best"]);
        self.steps = state.values["steps"].as_u64().unwrap_or(0) as usize;
        Ok(())
    }
}

fn check_path(path: &str) -> Result<(), footlight_nn::Error> {
    if Path::new(path).extension().is_some_and(|extension| extension == "keras") {
        return Ok(());
    }
    let error = footlight_nn::Error::config(format!("filepath = `{path}` has to end in `.keras`")).in_key("filepath");
    Err(error.help("such as `best.keras` or `model-{epoch:02}.keras`"))
}

/// `epoch`, or every how many steps.
fn save_freq(value: &serde_json::Value) -> Result<Option<usize>, footlight_nn::Error> {
    match (value.as_str(), value.as_u64()) {
        (Some("epoch"), _) => Ok(None),
        (_, Some(steps @ 1..)) => Ok(Some(steps as usize)),
        _ => Err(footlight_nn::Error::config(format!("save_freq = {value} must be \"epoch\" or a number of steps"))),
    }
}

/// `path` with `{name}` and `{name:format}` filled in; formats are `02`, `02d`, `.3f` and the like.
fn fill(path: &str, epoch: usize, batch: usize, logs: &[(String, f64)]) -> Result<String> {
    let fault = |what: String| {
        let error = Error::new(ErrorKind::Config, format!("ModelCheckpoint: path = `{path}`: {what}"));
        error.help("write such as `model-{epoch:02}-{val_loss:.3f}.keras`")
    };
    let (mut filled, mut rest) = (String::new(), path);
    while let Some((before, after)) = rest.split_once('{') {
        let (field, after) = after.split_once('}').ok_or_else(|| fault("a brace is not closed".into()))?;
        let (name, format) = field.split_once(':').unwrap_or((field, ""));
        let format = format.trim_end_matches(['d', 'f']);
        let whole =
            |value: usize| format.parse().map(|width: usize| format!("{value:0width$}")).unwrap_or(value.to_string());
        let value = match name {
            "epoch" => whole(epoch),
            "batch" => whole(batch),
            _ => {
                let value = value_of(logs, name).ok_or_else(|| fault(format!("no metric is called `{name}`")))?;
                let digits = format.rsplit('.').next().and_then(|digits| digits.parse::<usize>().ok());
                digits.map_or_else(|| value.to_string(), |digits| format!("{value:.digits$}"))
            }
        };
        filled += before;
        filled += &value;
        rest = after;
    }
    Ok(filled + rest)
}

#[cfg(test)]
mod tests {
    use super::fill;

    #[test]
    fn paths_are_filled_as_in_keras() {
        let logs = vec![("loss".to_string(), 0.25), ("val_loss".to_string(), 1.0 / 3.0)];
        let filled = fill("m-{epoch:02d}-{batch}-{val_loss:.3f}-{loss}.keras", 7, 40, &logs).unwrap();
        assert_eq!(filled, "m-07-40-0.333-0.25.keras");
        assert_eq!(fill("plain.keras", 1, 1, &logs).unwrap(), "plain.keras");
        assert!(fill("{accuracy}.keras", 1, 1, &logs).unwrap_err().message().contains("`accuracy`"));
        assert!(fill("{epoch.keras", 1, 1, &logs).is_err());
    }
}
