//! The densely connected layer over any axes.

use crate::config::{self, Config, KeyKind, NULL, Reader, config};
use crate::layer::{Call, Common, Layer, Masked, WeightSpec, common_methods, layer_basics};
use crate::layers::einsum::{Equation, Sized};
use crate::layers::weight::{Weight, keys, weight_methods};
use crate::{Activation, Error, Initializer};
use serde_json::Value as Json;

/// The densely connected layer over any axes, `y = activation(einsum(equation, x, kernel) + bias)`.
///
/// # Shapes
/// As the equation says: its first letter (or what dots at the left stand for first) is the batch. With `abc,cde->abde` the
/// input is `[N, B, C]`, the kernel `[C, D, E]` and the output `[N, B, D, E]`.
///
/// # Arguments
/// `output_shape`: the extents of the output's letters but the batch's; -1 (in Keras None) where the input has it.
/// `bias_axes`: the letters of the output along which a bias is added; default none. The other defaults are those of
/// [`crate::Dense`]; the fans of a kernel are the product of its axes that are summed over, and of those that stay.
///
/// # Differences
/// A mask ends here, as in Keras.
///
/// # Examples
/// ```
/// use footlight_nn::{EinsumDense, Layer};
/// let heads = EinsumDense::new("abc,cde->abde", [-1, 4, 16]).bias_axes("de");
/// assert_eq!(heads.output_shape(&[20, 64]).unwrap(), [20, 4, 16]);
/// assert_eq!(heads.weights(&[20, 64]).unwrap()[1].shape, [4, 16]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct EinsumDense {
    common: Common,
    equation: String,
    output_shape: Vec<i64>,
    activation: Activation,
    bias_axes: Option<String>,
    kernel: Weight,
    bias: Weight,
}

common_methods!(EinsumDense);
weight_methods!([] EinsumDense, "kernel", "Glorot uniform": kernel => kernel_initializer, kernel_regularizer, kernel_constraint);
weight_methods!([] EinsumDense, "bias", "zeros": bias => bias_initializer, bias_regularizer, bias_constraint);

impl EinsumDense {
    /// A linear layer without bias, with a Glorot uniform kernel, as in Keras.
    pub fn new(equation: &str, output_shape: impl Into<Vec<i64>>) -> EinsumDense {
        EinsumDense {
            common: Common::default(),
            equation: equation.into(),
            output_shape: output_shape.into(),
            activation: Activation::Linear,
            bias_axes: None,
            kernel: Weight::new(keys!("kernel"), Initializer::glorot_uniform()),
            bias: Weight::new(keys!("bias"), Initializer::Zeros),
        }
    }

    /// The function applied to the output, by value or by name; default linear.
    pub fn activation(mut self, activation: impl Into<Activation>) -> EinsumDense {
        self.activation = activation.into();
        self
    }

    /// The letters of the output along which a bias is added; default none.
    pub fn bias_axes(mut self, axes: &str) -> EinsumDense {
        self.bias_axes = Some(axes.into());
        self
    }

    /// With these settings of its weights.
    pub(crate) fn weighted(self, kernel: Weight, bias: Weight) -> EinsumDense {
        EinsumDense { kernel, bias, ..self }
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<EinsumDense, Error> {
        let equation = read.string("equation")?.ok_or_else(|| config::missing("equation"))?;
        let extent = |value: &Json| if value.is_null() { Some(-1) } else { value.as_i64() };
        let output_shape = read.parse("output_shape", KeyKind::Integers, |value| match value {
            Json::Array(list) => list.iter().map(extent).collect::<Option<Vec<i64>>>(),
            one => extent(one).map(|extent| vec![extent]),
        })?;
        let mut layer = EinsumDense::new(&equation, output_shape.ok_or_else(|| config::missing("output_shape"))?);
        if let Some(activation) = read.object("activation", Activation::from_config)? {
            layer.activation = activation;
        }
        layer.bias_axes = read.string("bias_axes")?;
        Weight::read_all(read, [&mut layer.kernel, &mut layer.bias])?;
        read.refuse(&["lora_rank", "quantization_config", "gptq_unpacked_column_size"])?;
        read.ignore(&["lora_alpha"]);
        Ok(layer)
    }

    fn sized(&self, input: &[usize]) -> Result<Sized, Error> {
        Equation::parse(&self.equation, input.len())?.sized(input, &self.output_shape)
    }
}

impl Layer for EinsumDense {
    layer_basics!("EinsumDense");

    fn config(&self) -> Config {
        let output_shape: Vec<Option<i64>> = self.output_shape.iter().map(|d| Some(*d).filter(|d| *d != -1)).collect();
        let mut config = config! {
            "output_shape": output_shape,
            "equation": self.equation,
            "activation": self.activation.to_config(),
            "bias_axes": self.bias_axes,
        };
        Weight::write_all(&mut config, &[&self.kernel, &self.bias]);
        config.insert("quantization_config".into(), NULL.into());
        config
    }

    fn check(&self) -> Result<(), Error> {
        self.activation.check().map_err(|e| e.in_key("activation"))?;
        self.kernel.check()?;
        self.bias.check()
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        self.activation.output_shape(&self.sized(input)?.output_shape())
    }

    fn weights(&self, input: &[usize]) -> Result<Vec<WeightSpec>, Error> {
        let sized = self.sized(input)?;
        let shape = sized.kernel_shape();
        let initializer = self.kernel.initializer.clone().for_fans(&shape, sized.fans());
        let mut weights = vec![WeightSpec { initializer, ..self.kernel.spec("kernel", shape) }];
        if let Some(axes) = &self.bias_axes {
            weights.push(self.bias.spec("bias", sized.bias_shape(axes)?));
        }
        Ok(weights)
    }

    fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
        let g = &mut *cx.graph;
        let shape = g.shape(input.value);
        let Ok(sized) = self.sized(shape.get(1..).unwrap_or_default()) else { return input };
        let mut y = sized.lower(g, input.value, cx.weights[0]);
        if self.bias_axes.is_some() {
            y = g.add(y, cx.weights[1]);
        }
        Masked::new(self.activation.lower(g, y))
    }
}
