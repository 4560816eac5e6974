//! A small training that leaves checkpoints.

use std::path::Path;
use std::time::Duration;

use footlight::prelude::*;
use footlight::train::{EarlyStopping, ReduceLROnPlateau};

/// Trains until `epochs` are done, from the checkpoint at `path` on if there is one, and writes one `every` so often.
///
/// # Errors
/// Those of [`Model::fit`].
pub fn train(path: &Path, epochs: usize, every: Duration) -> Result<History> {
    let x = Samples::from(Tensor::new([4, 2], vec![0.0f32, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0])?);
    let y = Samples::from(Tensor::new([4, 1], vec![0.0f32, 1.0, 1.0, 0.0])?);
    let layers = layers![Dense::new(2).activation("tanh"), BatchNormalization::new(), Dense::new(1)];
    let mut model = Sequential::new(layers)?.threads(1);
    model.compile(Adam::new(), "mean_squared_error", ["mean_absolute_error"])?;
    let mut stopping = EarlyStopping::new().monitor("loss").patience(1).restore_best_weights(true);
    let mut reducing = ReduceLROnPlateau::new().monitor("loss").patience(1).cooldown(1);
    let fit = Fit::new().epochs(epochs).batch_size(2).progress(Progress::None).resume(true);
    let fit = fit.checkpoint(path, every).callback(&mut stopping).callback(&mut reducing);
    model.fit(&x, &y, fit)
}
