//! Rows of a table by index.

use crate::config::{Config, NULL, Reader, config};
use crate::layer::{Call, Common, Layer, Masked, WeightSpec, common_methods, layer_basics};
use crate::{Constraint, Error, Initializer, Regularizer};
use footlight_graph::ops::Binary;
use footlight_tensor::DType;

/// A learned vector for each of `input_dim` indices, such as words or films.
///
/// # Shapes
/// Input `[N, ...]` of whole numbers in `0..input_dim`, embeddings `[input_dim, output_dim]`, output
/// `[N, ..., output_dim]`.
///
/// # Arguments
/// `input_dim` and `output_dim`: at least 1. Defaults as in Keras: embeddings begin uniformly in `±0.05`, no regularizer, no
/// constraint, `mask_zero` false. With `mask_zero` index 0 is padding: a mask of the other steps goes along.
///
/// # Numerics
/// Indices arrive as floats and are exact below 2^24. An index outside gives a vector of NaN, as on JAX.
///
/// # Examples
/// ```
/// use footlight_nn::{Embedding, Layer};
/// assert_eq!(Embedding::new(1000, 64).output_shape(&[20]).unwrap(), [20, 64]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding {
    common: Common,
    input_dim: usize,
    output_dim: usize,
    embeddings_initializer: Initializer,
    embeddings_regularizer: Option<Regularizer>,
    embeddings_constraint: Option<Constraint>,
    mask_zero: bool,
}

common_methods!(Embedding);

/// The first whole number that a float cannot tell from the next.
const EXACT: usize = 1 << 24;

impl Embedding {
    /// A layer of `input_dim` vectors of `output_dim` numbers, uniform in `±0.05`, as in Keras.
    pub fn new(input_dim: usize, output_dim: usize) -> Embedding {
        Embedding {
            common: Common::default(),
            input_dim,
            output_dim,
            embeddings_initializer: Initializer::random_uniform(),
            embeddings_regularizer: None,
            embeddings_constraint: None,
            mask_zero: false,
        }
    }

    /// How the vectors begin; default uniform in `±0.05`.
    pub fn embeddings_initializer(mut self, initializer: impl Into<Initializer>) -> Embedding {
        self.embeddings_initializer = initializer.into();
        self
    }

    /// A penalty on the vectors; default none.
    pub fn embeddings_regularizer(mut self, regularizer: Regularizer) -> Embedding {
        self.embeddings_regularizer = Some(regularizer);
        self
    }

    /// What the vectors are kept to after each update; default nothing.
    pub fn embeddings_constraint(mut self, constraint: Constraint) -> Embedding {
        self.embeddings_constraint = Some(constraint);
        self
    }

    /// Whether index 0 is padding, which the mask leaves out; default false.
    pub fn mask_zero(mut self, mask_zero: bool) -> Embedding {
        self.mask_zero = mask_zero;
        self
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<Embedding, Error> {
        let mut layer = Embedding::new(read.required_usize("input_dim")?, read.required_usize("output_dim")?);
        if let Some(initializer) = read.object("embeddings_initializer", Initializer::from_config)? {
            layer.embeddings_initializer = initializer;
        }
        layer.embeddings_regularizer = read.object("embeddings_regularizer", Regularizer::from_config)?;
        layer.embeddings_constraint = read.object("embeddings_constraint", Constraint::from_config)?;
        layer.mask_zero = read.bool("mask_zero", false)?;
        read.refuse(&["lora_rank", "quantization_config"])?;
        read.ignore(&["input_length", "lora_alpha"]);
        Ok(layer)
    }
}

impl Layer for Embedding {
    layer_basics!("Embedding");

    fn config(&self) -> Config {
        config! {
            "input_dim": self.input_dim,
            "output_dim": self.output_dim,
            "embeddings_initializer": self.embeddings_initializer.to_config(),
            "embeddings_regularizer": self.embeddings_regularizer.map(|r| r.to_config()),
            "embeddings_constraint": self.embeddings_constraint.as_ref().map(Constraint::to_config),
            "mask_zero": self.mask_zero,
            "quantization_config": NULL,
        }
    }

    fn num_indices(&self) -> Option<usize> {
        Some(self.input_dim)
    }

    fn check(&self) -> Result<(), Error> {
        for (key, value) in [("input_dim", self.input_dim), ("output_dim", self.output_dim)] {
            if value == 0 {
                return Err(Error::config(format!("{key} = 0: there must be at least one")).in_key(key));
            }
        }
        if self.input_dim > EXACT {
            let message = format!("input_dim = {}: indices are exact up to {EXACT}", self.input_dim);
            return Err(Error::config(message).in_key("input_dim").help("hash the indices into a smaller table"));
        }
        self.embeddings_initializer.check().map_err(|e| e.in_key("embeddings_initializer"))
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        Ok([input, &[self.output_dim]].concat())
    }

    fn weights(&self, _: &[usize]) -> Result<Vec<WeightSpec>, Error> {
        let shape = [self.input_dim, self.output_dim];
        let embeddings = WeightSpec::new("embeddings", shape, self.embeddings_initializer.clone());
        Ok(vec![embeddings.regularizer(self.embeddings_regularizer).constraint(&self.embeddings_constraint)])
    }

    fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
        let g = &mut *cx.graph;
        let indices = g.cast(input.value, DType::I32);
        let value = g.gather(cx.weights[0], indices);
        let mask = self.mask_zero.then(|| {
            let zero = g.constant(0.0);
            let is_padding = g.binary(Binary::Equal, input.value, zero);
            g.scalar_sub(1.0, is_padding)
        });
        Masked { value, mask }
    }
}
