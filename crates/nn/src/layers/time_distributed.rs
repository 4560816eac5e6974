//! A layer on every step of a sequence.

use super::part::Part;
use crate::config::{self, Config, Reader, config};
use crate::layer::{Call, Common, Layer, Masked, Mode, WeightSpec, common_methods, layer_basics};
use crate::{Error, ErrorKind, naming};
use footlight_graph::{Builder, Value};
use footlight_tensor::display_shape;

/// A layer on every step of a sequence, with the same weights.
///
/// # Shapes
/// Input `[N, T, ...]`, output `[N, T, ...]` with what the layer makes of `[N, ...]`.
///
/// # Train and infer
/// A layer that keeps statistics, such as [`BatchNormalization`](super::BatchNormalization), moves them once for each step
/// while it trains, as in Keras; others see all steps at once. An `activity_regularizer` of the layer within counts nothing,
/// as in Keras 3.15.1; one of this layer does.
///
/// # Masks
/// A mask `[N, T, ...]` goes on with the output; the layer is given that of its step, `[N, ...]`, as in Keras.
///
/// # Errors
/// A layer of several outputs.
///
/// # Examples
/// ```
/// use footlight_nn::{Dense, Layer, TimeDistributed};
/// let layer = TimeDistributed::new(Dense::new(5));
/// assert_eq!(layer.output_shape(&[80, 3]).unwrap(), [80, 5]);
/// ```
#[derive(Clone, Debug)]
pub struct TimeDistributed {
    common: Common,
    layer: Box<dyn Layer>,
}

common_methods!(TimeDistributed);

impl TimeDistributed {
    /// The layer on every step.
    pub fn new(layer: impl Layer + 'static) -> TimeDistributed {
        TimeDistributed { common: Common::default(), layer: Box::new(layer) }
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<TimeDistributed, Error> {
        let layer = read.layer("layer")?.ok_or_else(|| config::missing("layer"))?;
        Ok(TimeDistributed { common: Common::default(), layer })
    }

    fn part(&self) -> Part<'_> {
        let class = || naming::to_snake_case(self.layer.class_name());
        let name = self.layer.common().name.clone().unwrap_or_else(class);
        Part { layer: self.layer.as_ref(), name, place: "layer" }
    }
}

/// The shape of one step of a sample.
fn step_of(input: &[usize]) -> Result<&[usize], Error> {
    match input {
        [steps, step @ ..] if *steps > 0 && !step.is_empty() => Ok(step),
        _ => {
            let message = format!("needs samples of steps, [T, ...], got {}", display_shape(input));
            Err(Error::new(ErrorKind::Shape, message).help("give each sample a time axis, such as shape [80, 1]"))
        }
    }
}

impl Layer for TimeDistributed {
    layer_basics!("TimeDistributed");

    fn config(&self) -> Config {
        config! { "layer": super::to_config(self.layer.as_ref(), &self.part().name, None) }
    }

    fn check(&self) -> Result<(), Error> {
        self.layer.check()
    }

    fn num_indices(&self) -> Option<usize> {
        self.layer.num_indices()
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        let step = step_of(input)?;
        match self.layer.output_shapes(&[step.to_vec()])?.as_slice() {
            [one] => Ok([&input[..1], one].concat()),
            many => Err(Error::config(format!("the layer has {} outputs, one can be put together", many.len()))),
        }
    }

    fn weights(&self, input: &[usize]) -> Result<Vec<WeightSpec>, Error> {
        self.part().weights(&[step_of(input)?.to_vec()])
    }

    fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
        let shape = cx.graph.shape(input.value);
        let &[samples, steps, ref step @ ..] = &shape[..] else { return input };
        let input = Masked { mask: input.mask.map(|mask| of_steps(cx.graph, mask, [samples, steps])), ..input };
        // What is given by name, such as a mask, is of the whole sequence.
        cx.named = &[];
        if cx.mode == Mode::Train && self.moves_statistics(step) {
            return input.with(self.step_by_step(cx, input, [samples, steps]));
        }
        let rows = input.map(|x| joined(cx.graph, x, samples * steps));
        let y = self.part().record_ops(cx, cx.weights, &[rows])[0].value;
        let output = cx.graph.shape(y).get(1..).unwrap_or_default().to_vec();
        input.with(cx.graph.reshape(y, [&[samples, steps], output.as_slice()].concat()))
    }
}

/// The mask of samples and steps, `[N, T, ...]`, else a fault that tells its shape.
fn of_steps(g: &mut Builder, mask: Value, wanted: [usize; 2]) -> Value {
    if g.is_poison(mask) || g.shape(mask).starts_with(&wanted) {
        return mask;
    }
    let (got, [samples, steps]) = (display_shape(&g.shape(mask)), wanted);
    let message = format!("a mask has shape {got}, expected [{samples}, {steps}, ...]");
    g.fault(footlight_graph::ErrorKind::Shape, message, Some("give it an element for each step of each sample"))
}

/// A value or mask `[N, T, ...]` as rows, `[N T, ...]`.
fn joined(g: &mut Builder, x: Value, rows: usize) -> Value {
    let rest = g.shape(x).get(2..).unwrap_or_default().to_vec();
    g.reshape(x, [&[rows], rest.as_slice()].concat())
}

impl TimeDistributed {
    /// Whether the layer keeps statistics that training moves; one that is frozen has none.
    fn moves_statistics(&self, step: &[usize]) -> bool {
        let weights = self.layer.weights_for(&[step.to_vec()]);
        self.layer.common().trainable && weights.is_ok_and(|weights| weights.iter().any(|weight| !weight.trainable))
    }

    /// One call for each step, each of which goes on from the statistics that the one before leaves.
    fn step_by_step(&self, cx: &mut Call<'_>, input: Masked, [samples, steps]: [usize; 2]) -> Value {
        let mut weights = cx.weights.to_vec();
        let mut outputs = Vec::new();
        for index in 0..steps {
            let part = input.map(|x| {
                let part = cx.graph.slice_axis(x, 1, index..index + 1);
                joined(cx.graph, part, samples)
            });
            let mut own = Call::new(&mut *cx.graph, &weights, cx.step, cx.key.at(index as u64));
            let y = self.part().record_ops(&mut own, &weights, &[part])[0].value;
            cx.penalties.extend(own.penalties);
            if cx.graph.is_poison(y) {
                return y;
            }
            let shape = cx.graph.shape(y);
            outputs.push(cx.graph.reshape(y, [&[samples, 1], shape.get(1..).unwrap_or_default()].concat()));
            weights.iter_mut().for_each(|weight| *weight = cx.graph.next_of(*weight));
        }
        cx.graph.concat(&outputs, 1)
    }
}
