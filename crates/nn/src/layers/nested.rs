//! A model within a model.

use crate::layer::{Call, Common, Form, Layer, Masked, WeightSpec, several_inputs};
use crate::{Architecture, Error};
use footlight_tensor::Tensor;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// A model as a layer of another, with its own weights.
///
/// # Shapes
/// Those of the model's inputs and outputs.
#[derive(Clone, Debug)]
pub struct Nested {
    common: Common,
    model: Architecture,
    values: HashMap<String, Arc<Tensor>>,
}

impl Nested {
    /// The model as a layer.
    pub fn new(model: Architecture) -> Nested {
        let input_shape = match model.inputs() {
            [input] => input.extents.clone(),
            _ => None,
        };
        Nested {
            common: Common { name: Some(model.name().into()), input_shape, ..Common::default() },
            model,
            values: HashMap::new(),
        }
    }

    /// Begins with these values of weights, by their paths in the model.
    pub fn values(mut self, values: impl IntoIterator<Item = (String, Tensor)>) -> Nested {
        self.values = values.into_iter().map(|(path, value)| (path, Arc::new(value))).collect();
        self
    }

    /// Whether gradients change its weights; default true.
    pub fn trainable(mut self, trainable: bool) -> Nested {
        self.common.trainable = trainable;
        self
    }

    /// Names the layer.
    pub fn name(mut self, name: &str) -> Nested {
        self.common.name = Some(name.into());
        self
    }

    fn built(&self, inputs: &[Vec<usize>]) -> Result<Architecture, Error> {
        let mut model = self.model.clone();
        if !self.common.trainable {
            model.freeze();
        }
        model.build_all(&inputs.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
        Ok(model)
    }
}

impl Layer for Nested {
    fn class_name(&self) -> &'static str {
        match self.model.kind() {
            crate::Kind::Sequential => "Sequential",
            crate::Kind::Functional => "Functional",
        }
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn common_mut(&mut self) -> &mut Common {
        &mut self.common
    }

    several_inputs!();

    fn output_shapes(&self, inputs: &[Vec<usize>]) -> Result<Vec<Vec<usize>>, Error> {
        let model = self.built(inputs)?;
        let shape = |port: &crate::Port| model.shape_of(*port).unwrap_or_default().to_vec();
        Ok(model.outputs().iter().map(shape).collect())
    }

    fn weights_for(&self, inputs: &[Vec<usize>]) -> Result<Vec<WeightSpec>, Error> {
        let model = self.built(inputs)?;
        let keys = model.layer_keys();
        let spec = |weight: &crate::Weight| {
            let key = keys[weight.layer].as_deref().unwrap_or_default();
            let below = if weight.spec.part.is_empty() { String::new() } else { format!("/{}", weight.spec.part) };
            let value = self.values.get(&weight.path).cloned().or_else(|| weight.spec.value.clone());
            WeightSpec { name: weight.path.clone().into(), value, ..weight.spec.clone() }
                .within(format!("layers/{key}{below}"))
        };
        Ok(model.weights().iter().map(spec).collect())
    }

    fn call_all(&self, cx: &mut Call<'_>, inputs: &[Masked]) -> Vec<Masked> {
        let shapes: Vec<Vec<usize>> = inputs.iter().map(|input| cx.graph.shape(input.value)).collect();
        let samples: Vec<Vec<usize>> = shapes.iter().map(|shape| shape.get(1..).unwrap_or_default().to_vec()).collect();
        // The layers were checked when the model around was built.
        let Ok(model) = self.built(&samples) else { return inputs.to_vec() };
        let recorded = model.record(cx.graph, inputs, cx.weights, cx.step, cx.key);
        cx.penalties.extend(recorded.activities);
        recorded.outputs
    }

    fn num_indices(&self) -> Option<usize> {
        self.model.num_indices_of(0).map(|(_, count)| count)
    }

    fn model(&self) -> Option<&Architecture> {
        Some(&self.model)
    }

    fn form(&self) -> Form {
        Form::Model
    }

    fn entry(&self, name: &str) -> Option<Value> {
        let mut value = self.model.to_config();
        value["config"]["name"] = name.into();
        value["config"]["trainable"] = self.common.trainable.into();
        Some(value)
    }
}
