//! A layer that is part of another.

use crate::Error;
use crate::layer::{Call, Layer, Masked, WeightSpec};
use footlight_graph::Value;

/// A layer within a layer.
pub(super) struct Part<'a> {
    pub layer: &'a dyn Layer,
    /// What the names of its weights begin with, such as `forward_lstm`.
    pub name: String,
    /// Its place in files, such as `forward_layer`.
    pub place: &'static str,
}

impl Part<'_> {
    /// Its weights for the shapes of all inputs, as weights of the layer around it.
    pub fn weights(&self, inputs: &[Vec<usize>]) -> Result<Vec<WeightSpec>, Error> {
        let outer = |mut spec: WeightSpec| {
            spec.trainable &= self.layer.common().trainable;
            let below = if spec.part.is_empty() { String::new() } else { format!("/{}", spec.part) };
            WeightSpec { name: format!("{}/{}", self.name, spec.name).into(), ..spec }
                .within(format!("{}{below}", self.place))
        };
        Ok(self.layer.weights_for(inputs)?.into_iter().map(outer).collect())
    }

    /// Records its ops, with its share of the weights and what the call was given by name.
    pub fn record(&self, cx: &mut Call<'_>, weights: &[Value], inputs: &[Masked]) -> Vec<Masked> {
        let outputs = self.record_ops(cx, weights, inputs);
        let own = self.layer.common().activity_regularizer;
        cx.penalties.extend(own.into_iter().flat_map(|p| outputs.iter().map(move |output| (p, output.value))));
        outputs
    }

    /// As [`Part::record`], without a penalty on what the layer itself puts out: Keras' `call` beneath `__call__`.
    pub fn record_ops(&self, cx: &mut Call<'_>, weights: &[Value], inputs: &[Masked]) -> Vec<Masked> {
        cx.graph.enter(&self.name);
        let key = cx.key.child(&self.name);
        let mut own = Call { named: cx.named, ..Call::new(&mut *cx.graph, weights, cx.step, key) };
        let outputs = self.layer.call_all(&mut own, inputs);
        let penalties = own.penalties;
        cx.graph.leave();
        cx.penalties.extend(penalties);
        outputs
    }
}
