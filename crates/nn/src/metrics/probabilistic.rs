//! How unlikely the targets are under the predictions.

use super::regression::means;
use super::{Direction, Observed, PerSample, constructors};
use crate::config::{Config, Reader};
use crate::losses::FUZZ;
use crate::{Error, Loss};
use footlight_graph::ops::Unary;
use footlight_graph::{Builder, Type, Value};

means! {
    /// The mean divergence of predicted distributions from the targets, `sum y ln(y / p)` over the last axis.
    ///
    /// # Shapes
    /// Targets `y` and predictions `p` `[N, ..., C]`.
    ///
    /// # Numerics
    /// Both are clipped to `[1e-7, 1]`.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Metric, metrics::KLDivergence};
    /// assert_eq!(Metric::from(KLDivergence::new()).name(), "kl_divergence");
    /// ```
    KLDivergence Min |g, batch| {
        let [y, p] = [batch.y, batch.p.value].map(|x| {
            let x = g.maximum_scalar(x, FUZZ);
            g.minimum_scalar(x, 1.0)
        });
        let ratio = g.div(y, p);
        let log = g.unary(Unary::Log, ratio);
        let product = g.mul(y, log);
        let last = g.shape(product).len() - 1;
        g.reduce_sum(product, &[last], false)
    };

    /// The mean loss of predicted rates of counts, `mean (p - y ln(p + 1e-7))`.
    ///
    /// # Shapes
    /// Targets `y` (counts) and predictions `p` (rates) `[N, ..., F]`.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Metric, metrics::Poisson};
    /// assert_eq!(Metric::from(Poisson::new()).name(), "poisson");
    /// ```
    Poisson Min |g, batch| {
        let rate = g.add_scalar(batch.p.value, FUZZ);
        let log = g.unary(Unary::Log, rate);
        let product = g.mul(batch.y, log);
        g.sub(batch.p.value, product)
    };
}

/// Cross-entropies, which are the losses of the same name with the same settings.
macro_rules! crossentropies {
    ($($(#[$doc:meta])* $class:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $class(Loss);

        constructors!($class);

        impl Default for $class {
            fn default() -> Self {
                $class(crate::$class::new())
            }
        }

        impl $class {
            /// The metric of predictions that are logits.
            pub fn from_logits() -> Self {
                $class(crate::$class::from_logits())
            }

            pub(super) fn from_settings(read: &mut Reader<'_>) -> Result<Self, Error> {
                Loss::from_settings(stringify!($class), read).map($class)
            }
        }

        impl PerSample for $class {
            fn class_name(&self) -> &'static str {
                stringify!($class)
            }
            fn direction(&self) -> Option<Direction> {
                Some(Direction::Min)
            }
            fn target_type(&self, shape: &[usize]) -> Type {
                self.0.target_type(shape)
            }
            fn each(&self, g: &mut Builder, batch: &Observed<'_>) -> Value {
                self.0.lower(g, batch.y, batch.p)
            }
            fn settings(&self) -> Config {
                self.0.settings()
            }
        }
    )*};
}

crossentropies! {
    /// The mean of [`struct@crate::BinaryCrossentropy`] over an epoch.
    ///
    /// # Shapes
    /// Targets (from 0 to 1) and predictions `[N, ..., F]`.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Metric, metrics::BinaryCrossentropy};
    /// assert_eq!(Metric::from(BinaryCrossentropy::new()), Metric::from("binary_crossentropy"));
    /// ```
    BinaryCrossentropy;

    /// The mean of [`struct@crate::CategoricalCrossentropy`] over an epoch.
    ///
    /// # Shapes
    /// Targets (one-hot or a distribution) and predictions `[N, ..., C]`.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Metric, metrics::CategoricalCrossentropy};
    /// assert_ne!(Metric::from(CategoricalCrossentropy::from_logits()), Metric::from("categorical_crossentropy"));
    /// ```
    CategoricalCrossentropy;

    /// The mean of [`struct@crate::SparseCategoricalCrossentropy`] over an epoch.
    ///
    /// # Shapes
    /// Targets (classes) `[N, ...]`, predictions `[N, ..., C]`.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Metric, metrics::SparseCategoricalCrossentropy};
    /// assert_eq!(Metric::from(SparseCategoricalCrossentropy::new()).name(), "sparse_categorical_crossentropy");
    /// ```
    SparseCategoricalCrossentropy;
}
