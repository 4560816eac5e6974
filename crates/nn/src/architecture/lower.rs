//! How a model becomes ops.

use super::{Architecture, Port};
use crate::layer::{Call, Layer, Masked, Mode};
use crate::{Error, Regularizer, optimizers};
use footlight_graph::{Builder, Graph, Type, Value};
use footlight_tensor::RandomKey;
use std::ops::Range;

/// What recording the layers on samples gives.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The outputs.
    pub outputs: Vec<Masked>,
    /// Outputs of layers with the penalty on each.
    pub activities: Vec<(Regularizer, Value)>,
}

/// What lowering the layers gives.
pub(crate) struct Lowered {
    pub outputs: Vec<Masked>,
    pub weights: Vec<Value>,
    pub step: Option<Value>,
    /// Outputs of layers with the penalty on each.
    pub activities: Vec<(Regularizer, Value)>,
}

impl Architecture {
    /// Declares all weights as states of a graph, called `prefix` and the weight's path.
    pub fn declare_weights(&self, g: &mut Builder, prefix: &str) -> Vec<Value> {
        let weights = self.weights.iter();
        weights.map(|w| g.state(&format!("{prefix}{}", w.path), Type::f32(w.spec.shape.clone()), w.role())).collect()
    }

    /// Records all calls on `inputs`, with weights from [`Architecture::declare_weights`]; `step` counts the updates so far
    /// and is there when training; `key` is the stream of this call's random numbers.
    pub fn record(
        &self,
        g: &mut Builder,
        inputs: &[Masked],
        weights: &[Value],
        step: Option<Value>,
        key: RandomKey,
    ) -> Recorded {
        let mut weights = weights.to_vec();
        let mut times = vec![0; self.layers.len()];
        let (mut values, mut activities): (Vec<Vec<Masked>>, Vec<(Regularizer, Value)>) = Default::default();
        for call in &self.calls {
            let (layer, name): (&dyn Layer, _) = (self.layers[call.layer].as_ref(), &self.names[call.layer]);
            let value = |port: &Port| match *port {
                Port::Input(input) => inputs[input],
                Port::Output(call, output) => values[call][output],
            };
            let mut read: Vec<Masked> = call.inputs.iter().map(value).collect();
            let mut named: Vec<(String, Vec<Masked>)> = Vec::new();
            for (key, ports) in &call.named {
                let given: Vec<Masked> = ports.iter().map(value).collect();
                // A mask that is given replaces the one that came with the value.
                if let ("mask", [mask], Some(first)) = (key.as_str(), given.as_slice(), read.first_mut()) {
                    first.mask = Some(mask.value);
                }
                named.push((key.clone(), given));
            }
            let own = self.range_of(call.layer);
            g.enter(name);
            let stream = key.child(name).at(times[call.layer]);
            let step = step.filter(|_| !call.infers);
            let mut cx = Call { named: &named, ..Call::new(g, &weights[own.clone()], step, stream) };
            let outputs = layer.call_all(&mut cx, &read);
            activities.extend(cx.penalties);
            g.leave();
            times[call.layer] += 1;
            // A further call in the same step goes on from the statistics that this one leaves.
            for weight in &mut weights[own] {
                *weight = g.next_of(*weight);
            }
            let penalty = layer.common().activity_regularizer;
            activities.extend(penalty.into_iter().flat_map(|p| outputs.iter().map(move |output| (p, output.value))));
            if layer.takes_masks() {
                let is_read = |known: &Masked| read.iter().any(|input| input.value == known.value);
                values.iter_mut().flatten().filter(|known| is_read(known)).for_each(|known| known.mask = None);
            }
            values.push(outputs);
        }
        let output = |port: &Port| match *port {
            Port::Input(input) => inputs[input],
            Port::Output(call, output) => values[call][output],
        };
        Recorded { outputs: self.outputs.iter().map(output).collect(), activities }
    }

    /// Where the weights of a layer lie among all.
    pub(super) fn range_of(&self, layer: usize) -> Range<usize> {
        let begin = self.weights.partition_point(|weight| weight.layer < layer);
        let end = self.weights.partition_point(|weight| weight.layer <= layer);
        begin..end
    }

    /// The names that the inputs have in a graph: `x`, or `x/<name>` where there are several.
    pub(crate) fn input_names(&self) -> Vec<String> {
        match self.inputs.as_slice() {
            [_] => vec!["x".into()],
            many => many.iter().map(|input| format!("x/{}", input.name)).collect(),
        }
    }

    /// Records all calls on inputs of `batch` samples.
    pub(crate) fn lower(&self, g: &mut Builder, batch: usize, mode: Mode, seed: u64) -> Result<Lowered, Error> {
        self.require_shapes()?;
        let shapes = self.inputs.iter().map(|input| input.shape.as_deref().unwrap_or_default());
        let named = self.input_names().into_iter().zip(shapes);
        let inputs: Vec<Masked> =
            named.map(|(name, shape)| Masked::new(g.input(&name, Type::f32([&[batch], shape].concat())))).collect();
        let weights = self.declare_weights(g, "");
        let step = (mode == Mode::Train).then(|| optimizers::iteration(g, optimizers::SCOPE));
        let key = RandomKey::new(seed).child("layers");
        let Recorded { outputs, activities } = self.record(g, &inputs, &weights, step, key);
        Ok(Lowered { outputs, weights, step, activities })
    }

    /// The graph that answers for `batch` samples: inputs `x` (or `x/<name>` where there are several), outputs `output_0`,
    /// `output_1` and so on.
    ///
    /// # Errors
    /// A model that is not built, or faults of its ops.
    pub fn lower_infer(&self, batch: usize) -> Result<Graph, Error> {
        let mut g = Builder::new();
        let lowered = self.lower(&mut g, batch, Mode::Infer, 0)?;
        for (index, output) in lowered.outputs.iter().enumerate() {
            g.output(&format!("output_{index}"), output.value);
        }
        Ok(g.finish()?)
    }
}
