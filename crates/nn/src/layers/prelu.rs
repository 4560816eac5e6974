//! The rectified linear unit that learns its slope.

use crate::activations::relu;
use crate::config::{Config, Reader, config};
use crate::layer::{Call, Common, Layer, Masked, WeightSpec, common_methods, layer_basics};
use crate::{Constraint, Error, Initializer, Regularizer};

/// The rectified linear unit that learns its slope: `x` above 0, else `alpha x`.
///
/// # Shapes
/// Input and output `[N, ...]`; alpha is as a sample, with extent 1 on the shared axes.
///
/// # Arguments
/// Defaults as in Keras: alpha begins as zeros, no axis is shared, no regularizer and no constraint. PyTorch shares one
/// alpha of 0.25.
///
/// # References
/// He, Zhang, Ren, Sun (2015), "Delving deep into rectifiers", section 2.1.
///
/// # Examples
/// ```
/// use footlight_nn::{Layer, PReLU};
/// assert_eq!(PReLU::new().shared_axes([1, 2]).weights(&[28, 28, 16]).unwrap()[0].shape, [1, 1, 16]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct PReLU {
    common: Common,
    alpha_initializer: Initializer,
    alpha_regularizer: Option<Regularizer>,
    alpha_constraint: Option<Constraint>,
    shared_axes: Option<Vec<i64>>,
}

common_methods!(PReLU);

impl Default for PReLU {
    fn default() -> PReLU {
        PReLU {
            common: Common::default(),
            alpha_initializer: Initializer::Zeros,
            alpha_regularizer: None,
            alpha_constraint: None,
            shared_axes: None,
        }
    }
}

impl PReLU {
    /// A layer with Keras' defaults.
    pub fn new() -> PReLU {
        PReLU::default()
    }

    /// How alpha begins; default zeros.
    pub fn alpha_initializer(mut self, initializer: impl Into<Initializer>) -> PReLU {
        self.alpha_initializer = initializer.into();
        self
    }

    /// A penalty on alpha; default none.
    pub fn alpha_regularizer(mut self, regularizer: Regularizer) -> PReLU {
        self.alpha_regularizer = Some(regularizer);
        self
    }

    /// What alpha is kept to after each update; default nothing.
    pub fn alpha_constraint(mut self, constraint: Constraint) -> PReLU {
        self.alpha_constraint = Some(constraint);
        self
    }

    /// Axes along which one alpha serves all, counted with that of the batch, so from 1; default none.
    pub fn shared_axes(mut self, axes: impl Into<Vec<i64>>) -> PReLU {
        self.shared_axes = Some(axes.into());
        self
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<PReLU, Error> {
        let mut layer = PReLU::new();
        if let Some(initializer) = read.object("alpha_initializer", Initializer::from_config)? {
            layer.alpha_initializer = initializer;
        }
        layer.alpha_regularizer = read.object("alpha_regularizer", Regularizer::from_config)?;
        layer.alpha_constraint = read.object("alpha_constraint", Constraint::from_config)?;
        layer.shared_axes = read.i64s("shared_axes")?;
        Ok(layer)
    }

    fn alpha_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        let mut shape = input.to_vec();
        for axis in self.shared_axes.iter().flatten() {
            let extent =
                usize::try_from(*axis).ok().and_then(|axis| axis.checked_sub(1)).and_then(|i| shape.get_mut(i));
            let Some(extent) = extent else {
                let message = format!("shared_axes: {axis} is no axis from 1 to {}", input.len());
                return Err(Error::config(message).help("axes are counted with that of the batch, which is 0"));
            };
            *extent = 1;
        }
        Ok(shape)
    }
}

impl Layer for PReLU {
    layer_basics!("PReLU");

    fn config(&self) -> Config {
        config! {
            "alpha_initializer": self.alpha_initializer.to_config(),
            "alpha_regularizer": self.alpha_regularizer.map(|r| r.to_config()),
            "alpha_constraint": self.alpha_constraint.as_ref().map(Constraint::to_config),
            "shared_axes": self.shared_axes,
        }
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        Ok(input.to_vec())
    }

    fn weights(&self, input: &[usize]) -> Result<Vec<WeightSpec>, Error> {
        let alpha = WeightSpec::new("alpha", self.alpha_shape(input)?, self.alpha_initializer.clone());
        Ok(vec![alpha.regularizer(self.alpha_regularizer).constraint(&self.alpha_constraint)])
    }

    fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
        let g = &mut *cx.graph;
        let upper = relu(g, input.value);
        let opposite = g.neg(input.value);
        let lower = relu(g, opposite);
        let scaled = g.mul(lower, cx.weights[0]);
        input.with(g.sub(upper, scaled))
    }
}
