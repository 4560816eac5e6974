//! How much of a model's file is read.

use serde_json::Value;

use super::legacy;

/// How much of a model's file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All there is.
    Whole,
    /// The model as if it had never been compiled: what it is trained by and the optimizer's states, which can be twice as
    /// much as the weights, are passed over unread.
    Uncompiled,
}

/// What only training needs, at the top of a file's tree or description.
const OF_TRAINING: [&str; 4] = ["compile_config", "optimizer", legacy::TRAINING, legacy::OPTIMIZER];

impl Scope {
    /// Whether what lies under this key at the top of a file is read.
    pub(super) fn has(self, key: &str) -> bool {
        self == Scope::Whole || !OF_TRAINING.contains(&key)
    }

    /// Takes out of a description what is not read.
    pub(super) fn cut(self, config: &mut Value) {
        if let Value::Object(config) = config {
            config.retain(|key, _| self.has(key));
        }
    }
}
