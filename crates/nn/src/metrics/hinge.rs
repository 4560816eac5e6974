//! By how much predictions miss a margin.

use super::regression::means;
use footlight_graph::ops::Binary;
use footlight_graph::{Builder, Value};

means! {
    /// The mean of what predictions lack to the margin 1, `mean max(1 - y p, 0)`.
    ///
    /// # Shapes
    /// Targets `y` (-1 and 1, or 0 and 1) and predictions `p` `[N, ..., F]`.
    ///
    /// # Differences
    /// A target of 0 counts as -1 wherever it stands; in Keras only in batches that hold nothing but 0 and 1.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Metric, metrics::Hinge};
    /// assert_eq!(Metric::from(Hinge::new()).name(), "hinge");
    /// ```
    Hinge Min |g, batch| missing(g, batch.y, batch.p.value);

    /// The mean of the squares of [`Hinge`], `mean max(1 - y p, 0)^2`.
    ///
    /// # Shapes
    /// Targets `y` (-1 and 1, or 0 and 1) and predictions `p` `[N, ..., F]`.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Metric, metrics::SquaredHinge};
    /// assert_eq!(Metric::from(SquaredHinge::new()).name(), "squared_hinge");
    /// ```
    SquaredHinge Min |g, batch| {
        let missing = missing(g, batch.y, batch.p.value);
        g.mul(missing, missing)
    };

    /// The mean of what the right class lacks to stand 1 above all others,
    /// `max(max((1 - y) p) - sum y p + 1, 0)` over the last axis.
    ///
    /// # Shapes
    /// Targets `y` (one-hot) and predictions `p` `[N, ..., C]`.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Metric, metrics::CategoricalHinge};
    /// assert_eq!(Metric::from(CategoricalHinge::new()).name(), "categorical_hinge");
    /// ```
    CategoricalHinge Min |g, batch| {
        let (y, p) = (batch.y, batch.p.value);
        let last = [g.shape(p).len() - 1];
        let right = g.mul(y, p);
        let right = g.reduce_sum(right, &last, false);
        let others = g.scalar_sub(1.0, y);
        let others = g.mul(others, p);
        let others = g.reduce_max(others, &last, false);
        let lead = g.sub(others, right);
        let lack = g.add_scalar(lead, 1.0);
        g.maximum_scalar(lack, 0.0)
    };
}

/// `max(1 - y p, 0)`, where a `y` of 0 counts as -1.
fn missing(g: &mut Builder, y: Value, p: Value) -> Value {
    let zero = g.constant(0.0);
    let is_zero = g.binary(Binary::Equal, y, zero);
    let sign = g.sub(y, is_zero);
    let product = g.mul(sign, p);
    let lack = g.scalar_sub(1.0, product);
    g.maximum_scalar(lack, 0.0)
}
