//! Settings of models: numbers by name, each with its default and range.

use footlight::nn::suggest;
use footlight::{Error, ErrorKind, Result};
use serde_json::Value as Json;

use super::Kind;

/// A setting of a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setting {
    /// The name.
    pub name: &'static str,
    /// The default.
    pub default: f32,
    /// The least and the largest that is allowed.
    pub range: [f32; 2],
    /// What is tried where the settings are chosen on validation.
    pub candidates: &'static [f32],
}

impl Setting {
    pub(super) const fn new(name: &'static str, default: f32, range: [f32; 2], candidates: &'static [f32]) -> Setting {
        Setting { name, default, range, candidates }
    }
}

/// The settings of a model that differ from their defaults.
///
/// # Examples
/// ```
/// use footlight_apps::recommend::{Kind, Settings};
/// let settings = Settings::default().with("regularization", 300.0);
/// assert_eq!(settings.get(Kind::Ease, "regularization"), Some(300.0));
/// assert!(Settings::default().with("regularisation", 1.0).check(Kind::Ease).is_err());
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings(Vec<(String, f32)>);

impl Settings {
    /// The same with another value for a setting.
    pub fn with(mut self, name: &str, value: f32) -> Settings {
        self.0.retain(|(known, _)| known != name);
        self.0.push((name.into(), value));
        self
    }

    /// The value for a model, which is its default where nothing else is set; none for a name that the model does not have.
    pub fn get(&self, kind: Kind, name: &str) -> Option<f32> {
        let setting = kind.settings().iter().find(|setting| setting.name == name)?;
        let given = self.0.iter().find(|(known, _)| known == name).map(|(_, value)| *value);
        Some(given.unwrap_or(setting.default))
    }

    /// The value of a setting that the model has.
    pub(crate) fn value(&self, kind: Kind, name: &str) -> f32 {
        self.get(kind, name).unwrap_or_else(|| unreachable!("{} has no setting `{name}`", kind.name()))
    }

    /// As [`Settings::value`], of a whole number.
    pub(super) fn count(&self, kind: Kind, name: &str) -> usize {
        self.value(kind, name).round().max(0.0) as usize
    }

    /// Those of a model that has not all of them.
    pub(crate) fn of(&self, kind: Kind) -> Settings {
        let has = |name: &str| kind.settings().iter().any(|setting| setting.name == name);
        Settings(self.0.iter().filter(|(name, _)| has(name)).cloned().collect())
    }

    /// What is set, by name.
    pub fn entries(&self) -> &[(String, f32)] {
        &self.0
    }

    /// Complains of names that the model does not have, and of values out of range.
    ///
    /// # Errors
    /// `ErrorKind::Config` with the name, the value and what is allowed.
    pub fn check(&self, kind: Kind) -> Result<()> {
        for (name, value) in &self.0 {
            let Some(setting) = kind.settings().iter().find(|setting| setting.name == name) else {
                let names: Vec<&str> = kind.settings().iter().map(|setting| setting.name).collect();
                return Err(suggest::unknown(&format!("setting of {}", kind.name()), name, &names).into());
            };
            let [least, largest] = setting.range;
            if !(least..=largest).contains(value) {
                let message = format!("{name} = {value} of {} must be in [{least}, {largest}]", kind.name());
                return Err(Error::new(ErrorKind::Config, message).help(format!("{} is the default", setting.default)));
            }
        }
        Ok(())
    }

    pub(crate) fn to_json(&self) -> Json {
        self.0.iter().map(|(name, value)| (name.clone(), Json::from(*value))).collect::<serde_json::Map<_, _>>().into()
    }

    pub(crate) fn from_json(json: &Json) -> Option<Settings> {
        let entries = json.as_object()?.iter().map(|(name, value)| Some((name.clone(), value.as_f64()? as f32)));
        entries.collect::<Option<_>>().map(Settings)
    }
}
