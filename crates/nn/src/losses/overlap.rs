//! Losses of regions: how much two masks have in common.

use super::{FUZZ, losses};
use crate::config::Axes;
use footlight_graph::{Builder, ErrorKind, Value};

losses! {
    /// One minus the overlap of two masks, `1 - 2 sum y p / (sum y + sum p + 1e-7)` over `axis`.
    ///
    /// # Shapes
    /// Targets `y` and predictions `p` (both from 0 to 1) of one shape; the loss has the axes that are not summed over.
    ///
    /// # Arguments
    /// `axis`: counted with that of the batch, so that 1, 2, 3 give one loss for each picture; none, Keras' default, is
    /// one loss for the whole batch.
    ///
    /// # References
    /// Milletari, Navab, Ahmadi (2016), "V-Net: fully convolutional neural networks for volumetric medical image
    /// segmentation".
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Axes, Loss};
    /// assert_eq!(Loss::Dice { axis: Some(Axes::from([1, 2, 3])) }.class_name(), "Dice");
    /// ```
    Dice;

    /// [`struct@Dice`] with a weight for each kind of error: `1 - s / (s + alpha sum y (1 - p) + beta sum (1 - y) p + 1e-7)`
    /// with `s = sum y p`, over `axis`.
    ///
    /// # Shapes
    /// Targets `y` and predictions `p` (both from 0 to 1) of one shape; the loss has the axes that are not summed over.
    ///
    /// # Arguments
    /// `alpha` weighs what is missed and `beta` what is wrongly found, both 0.5 by default, which is Dice; `axis` as there.
    ///
    /// # References
    /// Salehi, Erdogmus, Gholipour (2017), "Tversky loss function for image segmentation using 3D fully convolutional deep
    /// networks", equation 2.
    Tversky;
}

/// The sum over the axes, all of them if none are given.
fn total(g: &mut Builder, x: Value, axes: Option<&Axes>) -> Value {
    let rank = g.shape(x).len();
    match axes.map_or_else(|| Ok((0..rank).collect()), |axes| axes.of(rank)) {
        Ok(axes) => g.reduce_sum(x, &axes, false),
        Err(error) => g.fault(ErrorKind::Shape, error.message(), None),
    }
}

pub(super) fn dice(g: &mut Builder, y: Value, p: Value, axes: Option<&Axes>) -> Value {
    let product = g.mul(y, p);
    let [common, y, p] = [product, y, p].map(|x| total(g, x, axes));
    let both = g.add(y, p);
    let size = g.add_scalar(both, FUZZ);
    let twice = g.mul_scalar(common, 2.0);
    let share = g.div(twice, size);
    g.scalar_sub(1.0, share)
}

pub(super) fn tversky(g: &mut Builder, y: Value, p: Value, [alpha, beta]: [f32; 2], axes: Option<&Axes>) -> Value {
    let (product, not_y, not_p) = (g.mul(y, p), g.scalar_sub(1.0, y), g.scalar_sub(1.0, p));
    let (missed, wrong) = (g.mul(y, not_p), g.mul(not_y, p));
    let [common, missed, wrong] = [product, missed, wrong].map(|x| total(g, x, axes));
    let (missed, wrong) = (g.mul_scalar(missed, alpha), g.mul_scalar(wrong, beta));
    let errors = g.add(missed, wrong);
    let all = g.add(common, errors);
    let size = g.add_scalar(all, FUZZ);
    let share = g.div(common, size);
    g.scalar_sub(1.0, share)
}
