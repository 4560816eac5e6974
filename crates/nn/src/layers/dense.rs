//! The densely connected layer.

use crate::config::{self, Config, NULL, Reader, config};
use crate::layer::{Call, Common, Layer, Masked, WeightSpec, common_methods, layer_basics};
use crate::layers::features;
use crate::layers::weight::{Weight, keys, weight_methods};
use crate::{Activation, Error, Initializer};

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
    kernel: Weight,
    bias: Weight,
}

common_methods!(Dense);
weight_methods!([] Dense, "kernel", "Glorot uniform": kernel => kernel_initializer, kernel_regularizer, kernel_constraint);
weight_methods!([] Dense, "bias", "zeros": bias => bias_initializer, bias_regularizer, bias_constraint);

impl Dense {
    /// A layer of `units` outputs; linear, with a bias of zeros and a Glorot uniform kernel, as in Keras.
    pub fn new(units: usize) -> Dense {
        Dense {
            common: Common::default(),
            units,
            activation: Activation::Linear,
            use_bias: true,
            kernel: Weight::new(keys!("kernel"), Initializer::glorot_uniform()),
            bias: Weight::new(keys!("bias"), Initializer::Zeros),
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

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<Dense, Error> {
        let Some(units) = read.usize("units")? else { return Err(config::missing("units")) };
        let mut layer = Dense::new(units);
        if let Some(activation) = read.object("activation", Activation::from_config)? {
            layer.activation = activation;
        }
        layer.use_bias = read.bool("use_bias", true)?;
        Weight::read_all(read, [&mut layer.kernel, &mut layer.bias])?;
        read.refuse(&["lora_rank", "quantization_config"])?;
        read.ignore(&["lora_alpha"]);
        Ok(layer)
    }
}

impl Layer for Dense {
    layer_basics!("Dense");

    fn config(&self) -> Config {
        let mut config = config! {
            "units": self.units,
            "activation": self.activation.to_config(),
            "use_bias": self.use_bias,
        };
        Weight::write_all(&mut config, &[&self.kernel, &self.bias]);
        config.insert("quantization_config".into(), NULL.into());
        config
    }

    fn check(&self) -> Result<(), Error> {
        if self.units == 0 {
            return Err(Error::config("units = 0: a layer needs at least one unit").in_key("units"));
        }
        self.activation.check().map_err(|e| e.in_key("activation"))?;
        self.kernel.check()?;
        self.bias.check()
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        features(input)?;
        let mut shape = input.to_vec();
        *shape.last_mut().expect("features has checked this") = self.units;
        self.activation.output_shape(&shape)
    }

    fn weights(&self, input: &[usize]) -> Result<Vec<WeightSpec>, Error> {
        let mut weights = vec![self.kernel.spec("kernel", [features(input)?, self.units])];
        weights.extend(self.use_bias.then(|| self.bias.spec("bias", [self.units])));
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
