//! A recurrent layer in both directions of time.

use super::sequence::{INITIAL_STATE, Recurrent, check_states};
use super::{GRU, LSTM, RNN, SimpleRNN};
use crate::config::{self, Config, KeyKind, Reader, config};
use crate::layer::{Call, Common, Layer, Masked, WeightSpec, common_methods, layer_basics, one_or_all};
use crate::layers::{self, part::Part};
use crate::{Error, ErrorKind, naming, suggest};
use footlight_graph::ErrorKind as Fault;
use serde_json::Value as Json;

macro_rules! directions {
    ($($class:literal => $layer:ident),* $(,)?) => {
        /// A recurrent layer of any class.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Direction {
            $(#[doc = concat!("A `", $class, "`.")] $layer($layer)),*
        }

        impl Direction {
            fn layer(&self) -> &dyn Layer {
                match self {
                    $(Direction::$layer(layer) => layer),*
                }
            }

            fn layer_mut(&mut self) -> &mut dyn Layer {
                match self {
                    $(Direction::$layer(layer) => layer),*
                }
            }

            fn recurrent(&self) -> &dyn Recurrent {
                match self {
                    $(Direction::$layer(layer) => layer),*
                }
            }

            fn recurrent_mut(&mut self) -> &mut dyn Recurrent {
                match self {
                    $(Direction::$layer(layer) => layer),*
                }
            }

            fn of_class(class: &str, read: &mut Reader<'_>) -> Result<Direction, Error> {
                match class {
                    $($class => $layer::from_config(read).map(Direction::$layer),)*
                    other => Err(suggest::unknown("recurrent layer", other, &[$($class),*])),
                }
            }
        }

        $(
            impl From<$layer> for Direction {
                fn from(layer: $layer) -> Direction {
                    Direction::$layer(layer)
                }
            }
        )*
    };
}

directions! {
    "SimpleRNN" => SimpleRNN,
    "LSTM" => LSTM,
    "GRU" => GRU,
    "RNN" => RNN,
}

impl Direction {
    fn from_config(value: &Json) -> Result<Direction, Error> {
        let (class, config) = config::open(value)?;
        let mut read = Reader::new(&config);
        let mut direction = Direction::of_class(&class, &mut read)?;
        layers::read_common(direction.layer_mut(), &mut read)?;
        read.finish()?;
        Ok(direction)
    }

    fn name(&self) -> String {
        let class = || naming::to_snake_case(self.layer().class_name());
        self.layer().common().name.clone().unwrap_or_else(class)
    }

    /// The same, called what Keras calls a direction of it.
    fn named(mut self, prefix: &str) -> Direction {
        let name = self.name();
        let name = format!("{prefix}{}", name.strip_prefix(prefix).unwrap_or(&name));
        self.layer_mut().common_mut().name = Some(name);
        self
    }

    /// The same with zeros in the place of masked outputs of sequences, as merging needs.
    fn merging(mut self) -> Direction {
        let sequence = self.recurrent_mut().sequence_mut();
        sequence.zero_output_for_mask = sequence.return_sequences;
        self
    }
}

/// What is made of the outputs of both directions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum MergeMode {
    /// One after the other along the last axis.
    #[default]
    Concat,
    /// Their sum.
    Sum,
    /// Their product, element by element.
    Mul,
    /// Their mean.
    Ave,
    /// Nothing: two outputs.
    None,
    /// A name that was given as text and is not known; reported when the model is built.
    Unknown(String),
}

/// The names of all ways to merge.
const MODES: [(&str, MergeMode); 5] = [
    ("concat", MergeMode::Concat),
    ("sum", MergeMode::Sum),
    ("mul", MergeMode::Mul),
    ("ave", MergeMode::Ave),
    ("none", MergeMode::None),
];

impl From<&str> for MergeMode {
    fn from(name: &str) -> MergeMode {
        let known = MODES.into_iter().find(|(known, _)| *known == name);
        known.map_or_else(|| MergeMode::Unknown(name.into()), |(_, mode)| mode)
    }
}

/// A recurrent layer on the steps of a sequence forwards, and one backwards.
///
/// # Shapes
/// Input `[N, T, F]`; output `[N, 2 U]` or, with `return_sequences` of the layer, `[N, T, 2 U]`, where step `t` of both
/// directions stands together; `U` for `2 U` where outputs are not concatenated, two outputs where they are not merged. With
/// `return_state` the last states forwards and those backwards follow. First states, zeros unless given, are further inputs
/// or given as `initial_state`: those forwards, then those backwards.
///
/// # Arguments
/// The layer forwards. `merge_mode`: default concat; `backward_layer`: default the same layer with `go_backwards`, with
/// weights of its own.
///
/// # Numerics
/// In sequences the output of a masked step is zeros.
///
/// # References
/// Schuster and Paliwal (1997), "Bidirectional recurrent neural networks", IEEE Transactions on Signal Processing 45(11).
///
/// # Examples
/// ```
/// use footlight_nn::{Bidirectional, LSTM, Layer};
/// let layer = Bidirectional::new(LSTM::new(16).return_sequences(true));
/// assert_eq!(layer.output_shape(&[80, 8]).unwrap(), [80, 32]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Bidirectional {
    common: Common,
    forward: Direction,
    backward: Direction,
    merge_mode: MergeMode,
}

common_methods!(Bidirectional);

impl Bidirectional {
    /// A layer forwards, and the same with weights of its own backwards.
    pub fn new(layer: impl Into<Direction>) -> Bidirectional {
        let layer: Direction = layer.into();
        let mut backward = layer.clone().named("backward_");
        backward.recurrent_mut().sequence_mut().go_backwards = true;
        Bidirectional {
            common: Common::default(),
            forward: layer.named("forward_").merging(),
            backward: backward.merging(),
            merge_mode: MergeMode::Concat,
        }
    }

    /// What is made of both outputs, by value or by name; default concat.
    pub fn merge_mode(mut self, merge_mode: impl Into<MergeMode>) -> Bidirectional {
        self.merge_mode = merge_mode.into();
        self
    }

    /// The layer backwards; default the one forwards with `go_backwards`.
    pub fn backward_layer(mut self, layer: impl Into<Direction>) -> Bidirectional {
        self.backward = layer.into().merging();
        self
    }

    pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<Bidirectional, Error> {
        let forward = read.object_of("layer", KeyKind::Layer, Direction::from_config)?;
        let mut layer = Bidirectional::new(forward.ok_or_else(|| config::missing("layer"))?);
        // Null stands for no merging.
        layer.merge_mode = match read.string("merge_mode")? {
            Some(name) => name.as_str().into(),
            None if read.has("merge_mode") => MergeMode::None,
            None => MergeMode::Concat,
        };
        match read.object("backward_layer", Direction::from_config)? {
            Some(backward) => Ok(layer.backward_layer(backward)),
            None => Ok(layer),
        }
    }

    fn parts(&self) -> [Part<'_>; 2] {
        [(&self.forward, "forward_layer"), (&self.backward, "backward_layer")].map(|(direction, place)| Part {
            layer: direction.layer(),
            name: direction.name(),
            place,
        })
    }

    /// The number of numbers of each first state, those forwards and those backwards.
    fn state_sizes(&self) -> Vec<usize> {
        [&self.forward, &self.backward].map(|direction| direction.recurrent().state_sizes()).concat()
    }

    /// The inputs of each direction: the sequence, and its half of the first states.
    fn shares<T: Clone>(&self, sequence: &T, states: &[T]) -> [Vec<T>; 2] {
        let forward = self.forward.recurrent().state_sizes().len().min(states.len());
        let (forward, backward) = states.split_at(forward);
        [forward, backward].map(|states| [std::slice::from_ref(sequence), states].concat())
    }

    /// States as Keras writes them: those of both directions in one list.
    fn write_states(&self, mut values: Vec<Json>) -> Json {
        let forward = self.forward.recurrent();
        let backward = values.split_off(forward.state_sizes().len().min(values.len()));
        [forward.write_states(values), self.backward.recurrent().write_states(backward)].concat().into()
    }
}

impl Layer for Bidirectional {
    layer_basics!("Bidirectional");

    fn config(&self) -> Config {
        let written = |direction: &Direction| layers::to_config(direction.layer(), &direction.name(), None);
        let mode = MODES.iter().find(|(_, mode)| *mode == self.merge_mode && *mode != MergeMode::None);
        config! {
            "merge_mode": mode.map(|(name, _)| *name),
            "layer": written(&self.forward),
            "backward_layer": written(&self.backward),
        }
    }

    fn check(&self) -> Result<(), Error> {
        if let MergeMode::Unknown(name) = &self.merge_mode {
            return Err(suggest::unknown("merge_mode", name, &MODES.map(|(name, _)| name)).in_key("merge_mode"));
        }
        let fault = |message: String| Err(Error::config(message).in_key("backward_layer"));
        let [forward, backward] = [&self.forward, &self.backward].map(|layer| layer.recurrent().sequence());
        if forward.go_backwards == backward.go_backwards {
            return fault(format!("both directions have go_backwards = {}, one must not", forward.go_backwards));
        }
        for (key, a, b) in [
            ("return_sequences", forward.return_sequences, backward.return_sequences),
            ("return_state", forward.return_state, backward.return_state),
            ("stateful", forward.stateful, backward.stateful),
        ] {
            if a != b {
                return fault(format!("{key} = {a} forwards and {b} backwards, they must be equal"));
            }
        }
        if self.forward.name() == self.backward.name() {
            return fault(format!("both directions are called `{}`", self.forward.name()));
        }
        [&self.forward, &self.backward].into_iter().try_for_each(|direction| direction.layer().check())
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
        Ok(self.output_shapes(&[input.to_vec()])?.swap_remove(0))
    }

    fn weights(&self, input: &[usize]) -> Result<Vec<WeightSpec>, Error> {
        self.weights_for(&[input.to_vec()])
    }

    fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
        self.call_all(cx, &[input])[0]
    }

    fn output_shapes(&self, inputs: &[Vec<usize>]) -> Result<Vec<Vec<usize>>, Error> {
        let Some((sequence, states)) = inputs.split_first() else {
            return Err(Error::config("takes one input, got 0"));
        };
        if !states.is_empty() {
            let checked = check_states(states, &self.state_sizes());
            checked.map_err(|message| Error::new(ErrorKind::Shape, message))?;
        }
        let [forward, backward] = self.shares(sequence, states);
        let mut forward = self.forward.layer().output_shapes(&forward)?;
        let mut backward = self.backward.layer().output_shapes(&backward)?;
        let (mut y, reversed) = (forward.remove(0), backward.remove(0));
        let outputs = match self.merge_mode {
            MergeMode::None => vec![y, reversed],
            MergeMode::Concat => {
                let axis = y.len() - 1;
                y[axis] += reversed[axis];
                vec![y]
            }
            _ if y == reversed => vec![y],
            _ => return Err(Error::config("both directions need as many units, to be merged").in_key("merge_mode")),
        };
        Ok([outputs, forward, backward].concat())
    }

    fn weights_for(&self, inputs: &[Vec<usize>]) -> Result<Vec<WeightSpec>, Error> {
        self.output_shapes(inputs)?;
        let [forward, backward] = self.parts().map(|part| part.weights(&inputs[..1]));
        Ok([forward?, backward?].concat())
    }

    fn call_all(&self, cx: &mut Call<'_>, inputs: &[Masked]) -> Vec<Masked> {
        let states = if inputs.len() > 1 { &inputs[1..] } else { cx.all(INITIAL_STATE) };
        let sizes = self.state_sizes();
        let of_sample = |state: &Masked| cx.graph.shape(state.value).get(1..).unwrap_or_default().to_vec();
        let shapes: Vec<Vec<usize>> = states.iter().map(of_sample).collect();
        let fault = check_states(&shapes, &sizes).err().filter(|_| !states.is_empty());
        let refused = fault.map(|message| vec![Masked::new(cx.graph.fault(Fault::Shape, message, None)); sizes.len()]);
        let [of_forward, of_backward] = self.shares(&inputs[0], refused.as_deref().unwrap_or(states));
        let (own, others) = cx.weights.split_at(self.forward.recurrent().num_weights());
        let [forward, backward] = self.parts();
        let mut forward = forward.record(cx, own, &of_forward);
        let mut backward = backward.record(cx, others, &of_backward);
        let (y, mut reversed) = (forward.remove(0), backward.remove(0));
        let g = &mut *cx.graph;
        if self.forward.recurrent().sequence().return_sequences {
            reversed.value = g.reverse(reversed.value, &[1]);
        }
        let (a, b) = (y.value, reversed.value);
        let outputs = match self.merge_mode {
            MergeMode::None => vec![y, reversed],
            MergeMode::Sum => vec![y.with(g.add(a, b))],
            MergeMode::Mul => vec![y.with(g.mul(a, b))],
            MergeMode::Ave => {
                let sum = g.add(a, b);
                vec![y.with(g.mul_scalar(sum, 0.5))]
            }
            MergeMode::Concat | MergeMode::Unknown(_) => {
                let axis = g.shape(a).len().saturating_sub(1);
                vec![y.with(g.concat(&[a, b], axis))]
            }
        };
        [outputs, forward, backward].concat()
    }

    fn write_arguments(&self, mut values: Vec<Json>) -> Vec<Json> {
        let states = values.split_off(1);
        values.extend((!states.is_empty()).then(|| self.write_states(states)));
        values
    }

    fn write_named(&self, key: &str, values: Vec<Json>) -> Json {
        if key == INITIAL_STATE { self.write_states(values) } else { one_or_all(values) }
    }
}
