//! The densely connected layer.

use crate::config::{self, Config, NULL, Reader, config};
use crate::layer::{Call, Common, Layer, Masked, WeightSpec, common_methods, layer_basics};
use crate::layers::features;
use crate::{Activation, Constraint, Error, Initializer, Regularizer};

/// The densely connected layer, `y = activation(x kernel + bias)` over the last axis.
///
/// # Shapes
/// Input `[N, ..., F]`, kernel `[F, units]`, bias `[units]`, output `[N, ..., units]`.
///
/// # Arguments
/// `units`: at least 1. Defaults as in Keras: `activation` linear, `use_bias` true, `kernel_initializer` Glorot uniform,
/// `bias_initializer` zeros, no regularizer and no constraint. PyTorch begins kernel and bias uniformly in `±1 / sqrt(F)`.
///
/// # Differences
/// The kernel is `[F, units]` as in Keras; PyTorch's weight is its transpose.
///
/// # Examples
/// ```
/// use footlight_nn::{Activation, Dense, Layer};
/// let layer = Dense::new(128).activation(Activation::Relu);
/// assert_eq!(layer.output_shape(&[784]).unwrap(), [128]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    common: Common,
    units: usize,
    activation: Activation,
    use_bias: bool,
    kernel_initializer: Initializer,
    bias_initializer: Initializer,
    kernel_regularizer: Option<Regularizer>,
    bias_regularizer: Option<Regularizer>,
    kernel_constraint: Option<Constraint>,
    bias_constraint: Option<Constraint>,
}

common_methods!(Dense);

impl Dense {
    /// A layer of `units` outputs; linear, with a bias of zeros and a Glorot uniform kernel, as in Keras.
    pub fn new(units: usize) -> Dense {
        Dense {
            common: Common::default(),
            units,
            activation: Activation::Linear,
            use_bias: true,
            kernel_initializer: Initializer::glorot_uniform(),
            bias_initializer: Initializer::Zeros,
            kernel_regularizer: None,
            bias_regularizer: None,
            kernel_constraint: None,
            bias_constraint: None,
        }
    }

    /// The function applied to the output, by value or by name; default linear.
    pub fn activation(mut self, activation: impl Into<Activation>) -> Dense {
        self.activation = activation.into();
        self
    }

    /// Whether a bias is added; default true.
    pub fn use_bias(mut self, use_bias: bool) -> Dense {
        self.use_bias = use_bias;
        self
    }

    /// How the kernel begins; default Glorot uniform.
    pub fn kernel_initializer(mut self, initializer: impl Into<Initializer>) -> Dense {
        self.kernel_initializer = initializer.into();
        self
    }

    /// How the bias begins; default zeros.
    pub fn bias_initializer(mut self, initializer: impl Into<Initializer>) -> Dense {
        self.bias_initializer = initializer.into();
        self
    }

    /// A penalty on the kernel; default none.
    pub fn kernel_regularizer(mut self, regularizer: Regularizer) -> Dense {
        self.kernel_regularizer = Some(regularizer);
        self
    }

    /// A penalty on the bias; default none.
    pub fn bias_regularizer(mut self, regularizer: Regularizer) -> Dense {
        self.bias_regularizer = Some(regularizer);
        self
    }

    /// What the kernel is kept to after each update; default nothing.
    pub fn kernel_constraint(mut self, constraint: Constraint) -> Dense {
        self.kernel_constraint = Some(constraint);
        self
    }

    /// What the bias is kept to after each update; default nothing.
    pub fn bias_constraint(mut self, constraint: Constraint) -> Dense {
        self.bias_constraint = Some(constraint);
        self
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<Dense, Error> {
        let Some(units) = read.usize("units")? else { return Err(config::missing("units")) };
        let mut layer = Dense::new(units);
        if let Some(activation) = read.object("activation", Activation::from_config)? {
            layer.activation = activation;
        }
        layer.use_bias = read.bool("use_bias", true)?;
        if let Some(initializer) = read.object("kernel_initializer", Initializer::from_config)? {
            layer.kernel_initializer = initializer;
        }
        if let Some(initializer) = read.object("bias_initializer", Initializer::from_config)? {
            layer.bias_initializer = initializer;
        }
        layer.kernel_regularizer = read.object("kernel_regularizer", Regularizer::from_config)?;
        layer.bias_regularizer = read.object("bias_regularizer", Regularizer::from_config)?;
        layer.kernel_constraint = read.object("kernel_constraint", Constraint::from_config)?;
        layer.bias_constraint = read.object("bias_constraint", Constraint::from_config)?;
        read.refuse(&["lora_rank", "quantization_config"])?;
        read.ignore(&["lora_alpha"]);
        Ok(layer)
    }
}

impl Layer for Dense {
    layer_basics!("Dense");

    fn config(&self) -> Config {
        config! {
            "units": self.units,
            "activation": self.activation.to_config(),
            "use_bias": self.use_bias,
            "kernel_initializer": self.kernel_initializer.to_config(),
            "bias_initializer": self.bias_initializer.to_config(),
            "kernel_regularizer": self.kernel_regularizer.map(|r| r.to_config()),
            "bias_regularizer": self.bias_regularizer.map(|r| r.to_config()),
            "kernel_constraint": self.kernel_constraint.as_ref().map(Constraint::to_config),
            "bias_constraint": self.bias_constraint.as_ref().map(Constraint::to_config),
            "quantization_config": NULL,
        }
    }

    fn check(&self) -> Result<(), Error> {
        if self.units == 0 {
            return Err(Error::config("units = 0: a layer needs at least one unit").in_key("units"));
        }
        self.activation.check().map_err(|e| e.in_key("activation"))?;
        self.kernel_initializer.check().map_err(|e| e.in_key("kernel_initializer"))?;
        self.bias_initializer.check().map_err(|e| e.in_key("bias_initializer"))
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        features(input)?;
        let mut shape = input.to_vec();
        *shape.last_mut().expect("features has checked this") = self.units;
        self.activation.output_shape(&shape)
    }

    fn weights(&self, input: &[usize]) -> Result<Vec<WeightSpec>, Error> {
        let kernel = WeightSpec::new("kernel", [features(input)?, self.units], self.kernel_initializer.clone());
        let mut weights = vec![kernel.regularizer(self.kernel_regularizer).constraint(&self.kernel_constraint)];
        if self.use_bias {
            let bias = WeightSpec::new("bias", [self.units], self.bias_initializer.clone());
            weights.push(bias.regularizer(self.bias_regularizer).constraint(&self.bias_constraint));
        }
        Ok(weights)
    }

    fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
        let g = &mut *cx.graph;
        let mut shape = g.shape(input.value);
        let rows = shape.iter().rev().skip(1).product::<usize>();
        let features = shape.last().copied().unwrap_or(1);
        let x = g.reshape(input.value, [rows, features]);
        let mut y = g.matmul(x, cx.weights[0]);
        if self.use_bias {
            y = g.add(y, cx.weights[1]);
        }
        if let Some(last) = shape.last_mut() {
            *last = self.units;
        }
        let y = g.reshape(y, shape);
        input.with(self.activation.lower(g, y))
    }
}
