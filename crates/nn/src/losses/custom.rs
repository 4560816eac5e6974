//! Losses of one's own.

use super::Loss;
use crate::config::Config;
use footlight_graph::{Builder, Type, Value};
use std::fmt;
use std::sync::Arc;

/// What a loss of one's own defines; it is given where a loss is asked for.
///
/// # Examples
/// ```
/// use footlight_graph::{Builder, Value, ops::Unary};
/// use footlight_nn::{Loss, losses};
/// /// The mean of `sqrt(|p - y|)`.
/// #[derive(Debug)]
/// struct Root;
/// impl losses::Rule for Root {
///     fn lower(&self, g: &mut Builder, y: Value, p: Value) -> Value {
///         let difference = g.sub(p, y);
///         let size = g.unary(Unary::Abs, difference);
///         g.unary(Unary::Sqrt, size)
///     }
/// }
/// assert_eq!(Loss::from(Root).name(), "Root");
/// ```
pub trait Rule: fmt::Debug + Send + Sync + 'static {
    /// The class name in files; that of the type unless written.
    fn class_name(&self) -> &'static str {
        crate::naming::of_type::<Self>()
    }

    /// The type of the targets for predictions of `shape` (with the batch); those of the predictions unless written.
    fn target_type(&self, shape: &[usize]) -> Type {
        Type::f32(shape)
    }

    /// The loss of each sample, of each position or of each number, from targets and predictions; its mean is made small.
    fn lower(&self, g: &mut Builder, y: Value, p: Value) -> Value;

    /// The keys of its configuration in files; none unless written.
    fn settings(&self) -> Config {
        Config::new()
    }
}

/// A loss of one's own, shared by all who hold it.
#[derive(Clone)]
pub struct CustomLoss(Arc<dyn Rule>);

impl std::ops::Deref for CustomLoss {
    type Target = dyn Rule;

    fn deref(&self) -> &(dyn Rule + 'static) {
        self.0.as_ref()
    }
}

impl fmt::Debug for CustomLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Two losses are equal if their classes and settings are.
impl PartialEq for CustomLoss {
    fn eq(&self, other: &CustomLoss) -> bool {
        self.class_name() == other.class_name() && self.settings() == other.settings()
    }
}

impl<R: Rule> From<R> for Loss {
    fn from(rule: R) -> Loss {
        Loss::Custom(CustomLoss(Arc::new(rule)))
    }
}
