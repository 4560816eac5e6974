//! What a recurrent layer is told of sequences and states, and how it goes through its cells.

use super::cell::{Loop, Pass, Rule};
use crate::config::{Config, Reader, config};
use crate::layer::{Call, Masked, WeightSpec};
use crate::layers::masks::fitting;
use crate::{Error, ErrorKind};
use footlight_graph::{Builder, ErrorKind as Fault, Role, Type, Value};
use footlight_tensor::display_shape;
use serde_json::Value as Json;

/// The key of a call that gives the first states.
pub(super) const INITIAL_STATE: &str = "initial_state";

#[derive(Clone, Debug, PartialEq, Default)]
pub(crate) struct Sequence {
    pub return_sequences: bool,
    pub return_state: bool,
    pub go_backwards: bool,
    pub stateful: bool,
    pub zero_output_for_mask: bool,
}

impl Sequence {
    pub(super) fn from_config(read: &mut Reader<'_>) -> Result<Sequence, Error> {
        read.ignore(&["unroll", "use_cudnn"]);
        Ok(Sequence {
            return_sequences: read.bool("return_sequences", false)?,
            return_state: read.bool("return_state", false)?,
            go_backwards: read.bool("go_backwards", false)?,
            stateful: read.bool("stateful", false)?,
            zero_output_for_mask: read.bool("zero_output_for_mask", false)?,
        })
    }

    pub(super) fn config(&self) -> Config {
        config! {
            "return_sequences": self.return_sequences,
            "return_state": self.return_state,
            "go_backwards": self.go_backwards,
            "stateful": self.stateful,
            "unroll": false,
            "zero_output_for_mask": self.zero_output_for_mask,
        }
    }
}

/// A cell and where its weights are.
pub(crate) struct Placed<'a> {
    pub rule: &'a dyn Rule,
    /// What the names of its weights begin with, such as `lstm_cell`.
    pub scope: String,
    /// The part of the layer in files, such as `cell`.
    pub part: String,
}

/// A layer that goes through the steps of a sequence.
pub(crate) trait Recurrent {
    fn sequence(&self) -> &Sequence;

    fn sequence_mut(&mut self) -> &mut Sequence;

    /// The cells, each on the outputs of the one before.
    fn cells(&self) -> Vec<Placed<'_>>;

    /// The number of numbers of each state, cell by cell.
    fn state_sizes(&self) -> Vec<usize> {
        let of_cell = |cell: &Placed<'_>| vec![cell.rule.settings().units; cell.rule.gates().states];
        self.cells().iter().flat_map(of_cell).collect()
    }

    fn num_weights(&self) -> usize {
        self.cells().iter().map(|cell| cell.rule.num_weights()).sum()
    }

    /// The shapes of the output and, if asked for, of the last states, for those of the input and of first states.
    fn shapes(&self, inputs: &[Vec<usize>]) -> Result<Vec<Vec<usize>>, Error> {
        let [steps, _] = steps_and_features(inputs)?;
        let sizes = self.state_sizes();
        if inputs.len() > 1 {
            check_states(&inputs[1..], &sizes).map_err(|message| Error::new(ErrorKind::Shape, message))?;
        }
        let units = self.cells().last().map_or(0, |cell| cell.rule.settings().units);
        let output = if self.sequence().return_sequences { vec![steps, units] } else { vec![units] };
        let states = sizes.into_iter().filter(|_| self.sequence().return_state).map(|size| vec![size]);
        Ok([output].into_iter().chain(states).collect())
    }

    /// The weights of all cells for the shapes of the input and of first states.
    fn cell_weights(&self, inputs: &[Vec<usize>]) -> Result<Vec<WeightSpec>, Error> {
        let [_, mut features] = steps_and_features(inputs)?;
        let mut weights = Vec::new();
        for Placed { rule, scope, part } in self.cells() {
            let named = |spec: WeightSpec| WeightSpec { name: format!("{scope}/{}", spec.name).into(), ..spec };
            weights.extend(rule.weights(features).into_iter().map(|spec| named(spec).within(part.clone())));
            features = rule.settings().units;
        }
        Ok(weights)
    }

    /// Records the loops; answers the output and, if asked for, the last states.
    fn record(&self, cx: &mut Call<'_>, inputs: &[Masked]) -> Vec<Masked> {
        let (sequence, sizes, input) = (self.sequence(), self.state_sizes(), inputs[0]);
        let count = if sequence.return_state { 1 + sizes.len() } else { 1 };
        let &[samples, steps, _] = &cx.graph.shape(input.value)[..] else { return vec![input; count] };
        let kept = if sequence.stateful { kept_states(cx.graph, samples, &sizes) } else { Vec::new() };
        let given = if inputs.len() > 1 { &inputs[1..] } else { cx.all(INITIAL_STATE) };
        let mut first: &[Value] = &first_states(cx.graph, samples, &sizes, given, &kept);
        // As in Keras, a layer that is given first states looks only at a mask that is given by name.
        let mask = input.mask.filter(|_| given.is_empty() || cx.get("mask").is_some()).map(|mask| {
            let mask = fitting(cx.graph, mask, &[samples, steps]);
            let turned = cx.graph.transpose(mask, [1, 0]);
            cx.graph.reshape(turned, [steps, samples, 1])
        });
        let (cells, mut weights) = (self.cells(), cx.weights);
        let (mut x, mut last, mut states) = (cx.graph.transpose(input.value, [1, 0, 2]), input.value, Vec::new());
        let mut pass =
            Pass { mask, is_reversed: sequence.go_backwards, zeros_masked: false, stacks_outputs: true, key: cx.key };
        for (index, Placed { rule, scope, .. }) in cells.iter().enumerate() {
            if index + 1 == cells.len() {
                (pass.zeros_masked, pass.stacks_outputs) = (sequence.zero_output_for_mask, sequence.return_sequences);
            }
            pass.key = cx.key.child(scope);
            let (own, others) = weights.split_at(rule.num_weights());
            let (before, rest) = first.split_at(rule.gates().states);
            let (after, outputs) = Loop { rule: *rule, weights: own }.run(cx, x, before, &pass);
            (weights, first, last) = (others, rest, after[0]);
            states.extend(after);
            x = outputs.unwrap_or(x);
        }
        let g = &mut *cx.graph;
        for (state, next) in kept.iter().zip(&states) {
            g.set_next(*state, *next);
        }
        let output = if sequence.return_sequences {
            let all = if sequence.go_backwards { g.reverse(x, &[0]) } else { x };
            input.with(g.transpose(all, [1, 0, 2]))
        } else {
            let step = if sequence.go_backwards { 0 } else { steps - 1 };
            let mask = mask.map(|mask| {
                let mask = g.slice_axis(mask, 0, step..step + 1);
                g.reshape(mask, [samples, 1])
            });
            Masked::new(pass.zero_masked(g, last, mask))
        };
        let states = states.into_iter().filter(|_| sequence.return_state).map(Masked::new);
        [output].into_iter().chain(states).collect()
    }

    /// States as Keras writes them: cell by cell where there are several.
    fn write_states(&self, values: Vec<Json>) -> Vec<Json> {
        let cells = self.cells();
        if cells.len() == 1 {
            return values;
        }
        let mut values = values.into_iter();
        cells.iter().map(|cell| Json::from_iter(values.by_ref().take(cell.rule.gates().states))).collect()
    }
}

/// Steps and features of a sample.
pub(super) fn steps_and_features(inputs: &[Vec<usize>]) -> Result<[usize; 2], Error> {
    match inputs.first().map(Vec::as_slice) {
        Some(&[steps, features]) if steps > 0 => Ok([steps, features]),
        input => {
            let shape = display_shape(input.unwrap_or_default());
            let message = format!("needs samples of steps and features, [T, F], got {shape}");
            Err(Error::new(ErrorKind::Shape, message).help("give each sample a time axis, such as shape [80, 1]"))
        }
    }
}

/// Complains of first states that are not those of the cells.
pub(super) fn check_states(given: &[Vec<usize>], sizes: &[usize]) -> Result<(), String> {
    if given.iter().map(Vec::as_slice).eq(sizes.iter().map(std::slice::from_ref)) {
        return Ok(());
    }
    let told = |shapes: Vec<String>| shapes.join(", ");
    let expected = told(sizes.iter().map(|size| display_shape(&[*size])).collect());
    let got = told(given.iter().map(|shape| display_shape(shape)).collect());
    Err(format!("{INITIAL_STATE} must be {} of {expected}, got {got}", if sizes.len() == 1 { "one" } else { "some" }))
}

/// What the loop begins with: what is given, what is kept from the batch before, or zeros.
fn first_states(g: &mut Builder, samples: usize, sizes: &[usize], given: &[Masked], kept: &[Value]) -> Vec<Value> {
    if given.is_empty() {
        let zero = g.constant(0.0);
        let zeros = |g: &mut Builder| sizes.iter().map(|size| g.broadcast(zero, [samples, *size])).collect();
        return if kept.is_empty() { zeros(g) } else { kept.to_vec() };
    }
    let shapes: Vec<Vec<usize>> =
        given.iter().map(|state| g.shape(state.value).get(1..).unwrap_or_default().to_vec()).collect();
    match check_states(&shapes, sizes) {
        Ok(()) => given.iter().map(|state| state.value).collect(),
        Err(message) => vec![g.fault(Fault::Shape, message, None); sizes.len()],
    }
}

/// The states that go from batch to batch; a further call in the same step goes on from those that the one before leaves.
fn kept_states(g: &mut Builder, samples: usize, sizes: &[usize]) -> Vec<Value> {
    let path = g.path();
    let mut state = |(index, size): (usize, &usize)| {
        let name = format!("{path}/rnn_state_{index}");
        match g.graph().states().iter().find(|state| state.name == name).map(|state| state.value) {
            Some(before) => g.next_of(before),
            None => g.state(&name, Type::f32([samples, *size]), Role::Statistic),
        }
    };
    sizes.iter().enumerate().map(&mut state).collect()
}

/// The builder methods of a layer with a field `sequence`.
macro_rules! sequence_methods {
    ($layer:ident) => {
        impl $layer {
            /// Whether the outputs of all steps are the layer's output, not that of the last alone; default false.
            pub fn return_sequences(mut self, return_sequences: bool) -> $layer {
                self.sequence.return_sequences = return_sequences;
                self
            }

            /// Whether the last states are further outputs; default false.
            pub fn return_state(mut self, return_state: bool) -> $layer {
                self.sequence.return_state = return_state;
                self
            }

            /// Whether the last step comes first; the outputs of all steps then begin with its; default false.
            pub fn go_backwards(mut self, go_backwards: bool) -> $layer {
                self.sequence.go_backwards = go_backwards;
                self
            }

            /// Whether a batch begins with the states that the one before ended with, sample by sample, so that all
            /// batches must be of one size; default false.
            pub fn stateful(mut self, stateful: bool) -> $layer {
                self.sequence.stateful = stateful;
                self
            }

            /// Whether the output of a masked step is zeros, not the output before; default false.
            pub fn zero_output_for_mask(mut self, zero_output_for_mask: bool) -> $layer {
                self.sequence.zero_output_for_mask = zero_output_for_mask;
                self
            }
        }
    };
}
pub(super) use sequence_methods;

/// The methods of [`Layer`](crate::Layer) that all recurrent layers have in common.
macro_rules! recurrent_basics {
    () => {
        fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
            Ok(self.shapes(&[input.to_vec()])?.swap_remove(0))
        }

        fn weights(&self, input: &[usize]) -> Result<Vec<WeightSpec>, Error> {
            self.cell_weights(&[input.to_vec()])
        }

        fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
            self.record(cx, &[input])[0]
        }

        fn output_shapes(&self, inputs: &[Vec<usize>]) -> Result<Vec<Vec<usize>>, Error> {
            self.shapes(inputs)
        }

        fn weights_for(&self, inputs: &[Vec<usize>]) -> Result<Vec<WeightSpec>, Error> {
            self.cell_weights(inputs)
        }

        fn call_all(&self, cx: &mut Call<'_>, inputs: &[Masked]) -> Vec<Masked> {
            self.record(cx, inputs)
        }

        fn write_arguments(&self, mut values: Vec<serde_json::Value>) -> Vec<serde_json::Value> {
            let states = values.split_off(1);
            values.extend((!states.is_empty()).then(|| self.write_states(states).into()));
            values
        }

        fn write_named(&self, key: &str, values: Vec<serde_json::Value>) -> serde_json::Value {
            if key == INITIAL_STATE { self.write_states(values).into() } else { one_or_all(values) }
        }
    };
}
pub(super) use recurrent_basics;

/// A layer of one cell, which has the layer's settings: with the fields `common`, `cell` and `sequence`.
macro_rules! layer_of_cell {
    ($layer:ident, $cell:ident, $class:literal, $scope:literal) => {
        common_methods!($layer);
        sequence_methods!($layer);

        impl $layer {
            /// A layer of `units` numbers of state.
            pub fn new(units: usize) -> $layer {
                $layer { common: Common::default(), cell: $cell::new(units), sequence: Sequence::default() }
            }

            pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<$layer, Error> {
                let (cell, sequence) = ($cell::from_config(read)?, Sequence::from_config(read)?);
                Ok($layer { common: Common::default(), cell, sequence })
            }
        }

        impl Recurrent for $layer {
            fn sequence(&self) -> &Sequence {
                &self.sequence
            }

            fn sequence_mut(&mut self) -> &mut Sequence {
                &mut self.sequence
            }

            fn cells(&self) -> Vec<Placed<'_>> {
                vec![Placed { rule: &self.cell, scope: $scope.into(), part: "cell".into() }]
            }
        }

        impl Layer for $layer {
            layer_basics!($class);
            recurrent_basics!();

            fn config(&self) -> Config {
                let mut config = self.sequence.config();
                config.extend(self.cell.config());
                config
            }

            fn check(&self) -> Result<(), Error> {
                self.cell.check()
            }
        }
    };
}
pub(super) use layer_of_cell;
