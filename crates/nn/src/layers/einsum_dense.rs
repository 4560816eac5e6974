//! The densely connected layer over any axes.

use crate::config::{self, Config, KeyKind, NULL, Reader, config};
use crate::layer::{Call, Common, Layer, Masked, WeightSpec, common_methods, layer_basics};
use crate::layers::einsum::{Equation, Sized};
use crate::{Activation, Constraint, Error, Initializer, Regularizer};
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
    kernel_initializer: Initializer,
    bias_initializer: Initializer,
    kernel_regularizer: Option<Regularizer>,
    bias_regularizer: Option<Regularizer>,
    kernel_constraint: Option<Constraint>,
    bias_constraint: Option<Constraint>,
}

common_methods!(EinsumDense);

impl EinsumDense {
    /// A linear layer without bias, with a Glorot uniform kernel, as in Keras.
    pub fn new(equation: &str, output_shape: impl Into<Vec<i64>>) -> EinsumDense {
        EinsumDense {
            common: Common::default(),
            equation: equation.into(),
            output_shape: output_shape.into(),
            activation: Activation::Linear,
            bias_axes: None,
            kernel_initializer: Initializer::glorot_uniform(),
            bias_initializer: Initializer::Zeros,
            kernel_regularizer: None,
            bias_regularizer: None,
            kernel_constraint: None,
            bias_constraint: None,
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

    /// How the kernel begins; default Glorot uniform.
    pub fn kernel_initializer(mut self, initializer: impl Into<Initializer>) -> EinsumDense {
        self.kernel_initializer = initializer.into();
        self
    }

    /// How the bias begins; default zeros.
    pub fn bias_initializer(mut self, initializer: impl Into<Initializer>) -> EinsumDense {
        self.bias_initializer = initializer.into();
        self
    }

    /// A penalty on the kernel; default none.
    pub fn kernel_regularizer(mut self, regularizer: Regularizer) -> EinsumDense {
        self.kernel_regularizer = Some(regularizer);
        self
    }

    /// A penalty on the bias; default none.
    pub fn bias_regularizer(mut self, regularizer: Regularizer) -> EinsumDense {
        self.bias_regularizer = Some(regularizer);
        self
    }

    /// What the kernel is kept to after each update; default nothing.
    pub fn kernel_constraint(mut self, constraint: Constraint) -> EinsumDense {
        self.kernel_constraint = Some(constraint);
        self
    }

    /// What the bias is kept to after each update; default nothing.
    pub fn bias_constraint(mut self, constraint: Constraint) -> EinsumDense {
        self.bias_constraint = Some(constraint);
        self
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
        config! {
            "output_shape": output_shape,
            "equation": self.equation,
            "activation": self.activation.to_config(),
            "bias_axes": self.bias_axes,
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
        self.activation.check().map_err(|e| e.in_key("activation"))?;
        self.kernel_initializer.check().map_err(|e| e.in_key("kernel_initializer"))?;
        self.bias_initializer.check().map_err(|e| e.in_key("bias_initializer"))
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        self.activation.output_shape(&self.sized(input)?.output_shape())
    }

    fn weights(&self, input: &[usize]) -> Result<Vec<WeightSpec>, Error> {
        let sized = self.sized(input)?;
        let shape = sized.kernel_shape();
        let initializer = self.kernel_initializer.clone().for_fans(&shape, sized.fans());
        let kernel = WeightSpec::new("kernel", shape, initializer);
        let mut weights = vec![kernel.regularizer(self.kernel_regularizer).constraint(&self.kernel_constraint)];
        if let Some(axes) = &self.bias_axes {
            let bias = WeightSpec::new("bias", sized.bias_shape(axes)?, self.bias_initializer.clone());
            weights.push(bias.regularizer(self.bias_regularizer).constraint(&self.bias_constraint));
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
