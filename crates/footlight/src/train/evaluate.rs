//! What an evaluation is asked for.

use crate::data::Samples;
use crate::{Error, ErrorKind, Result};

/// How a model is evaluated; defaults as in Keras.
///
/// # Examples
/// ```
/// use footlight::prelude::*;
/// let x = Samples::from(Tensor::new([2, 1], vec![1.0f32, 2.0])?);
/// let y = Samples::from(Tensor::new([2, 1], vec![0.0f32, 0.0])?);
/// let mut model = Sequential::new(layers![Dense::new(1).kernel_initializer("ones")])?;
/// model.compile("sgd", "mse", [])?;
/// let weights = Samples::from(Tensor::new([2], vec![3.0f32, 0.0])?);
/// // (3 * 1^2 + 0 * 2^2) / 2: the divisor is the number of samples.
/// assert_eq!(model.evaluate_with(&x, &y, Evaluate::new().sample_weight(&weights))?.loss(), 1.5);
/// # Ok::<(), footlight::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Evaluate {
    pub(crate) batch_size: usize,
    pub(crate) sample_weight: Option<Samples>,
}

impl Default for Evaluate {
    fn default() -> Self {
        Evaluate { batch_size: 32, sample_weight: None }
    }
}

impl Evaluate {
    /// In batches of 32, samples without weights.
    pub fn new() -> Evaluate {
        Evaluate::default()
    }

    /// Samples per step; default 32. It changes no number but by rounding.
    pub fn batch_size(mut self, batch_size: usize) -> Evaluate {
        self.batch_size = batch_size;
        self
    }

    /// How much each sample counts, in the loss and in weighted metrics; default equally.
    pub fn sample_weight(mut self, weight: &Samples) -> Evaluate {
        self.sample_weight = Some(weight.clone());
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.batch_size > 0 {
            return Ok(());
        }
        let message = "batch_size = 0, a step needs at least one sample";
        Err(Error::new(ErrorKind::Config, message).help("32 is the default"))
    }
}
