//! A model as it is described: layers with names, how they are called on each other, and the weights they ask for.

mod build;
mod config;
mod lower;
mod order;
mod settings;

pub(crate) use lower::Lowered;
pub use lower::Recorded;

use crate::layer::{Form, Layer, WeightSpec};
use crate::{Error, ErrorKind, Extents, Regularizer, naming, suggest};
use footlight_graph::Role;
use footlight_tensor::{Philox, RandomKey, Tensor};

/// A weight of a model.
#[derive(Clone, Debug)]
pub struct Weight {
    /// Layer and weight, such as `dense/kernel`.
    pub path: String,
    /// The position of its layer.
    pub layer: usize,
    /// What the layer asked for; `trainable` also says whether its layer is.
    pub spec: WeightSpec,
}

impl Weight {
    /// The penalty on it, if gradients change it.
    pub fn penalty(&self) -> Option<Regularizer> {
        self.spec.regularizer.filter(|_| self.spec.trainable)
    }

    /// Whether gradients change it or it is carried along.
    pub fn role(&self) -> Role {
        if self.spec.trainable { Role::Parameter } else { Role::Statistic }
    }
}

/// Whether layers follow one another or are called on each other as one likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A list of layers.
    Sequential,
    /// A graph of calls, with its inputs and outputs.
    Functional,
}

/// A value within a model: an input of it, or an output of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Port {
    /// An input, by its position.
    Input(usize),
    /// An output of a call, by their positions.
    Output(usize, usize),
}

impl Port {
    /// What stands in a model at fault for a value that is never made.
    const NOWHERE: Port = Port::Output(usize::MAX, 0);
}

/// One call of a layer.
#[derive(Clone, Debug)]
pub struct LayerCall {
    /// The position of the layer.
    pub layer: usize,
    /// What it is called on.
    pub inputs: Vec<Port>,
    /// Further values given by name, such as `mask`.
    pub named: Vec<(String, Vec<Port>)>,
    /// Whether the layer answers there even while the model trains.
    pub infers: bool,
    /// The shapes of its outputs without the batch, once those of the samples are known.
    pub shapes: Vec<Vec<usize>>,
    /// The same as far as they are known for all samples, once built.
    pub extents: Vec<Extents>,
}

impl LayerCall {
    /// A call whose shapes are yet to be known.
    pub(crate) fn new(layer: usize, inputs: Vec<Port>, named: Vec<(String, Vec<Port>)>, infers: bool) -> LayerCall {
        LayerCall { layer, inputs, named, infers, shapes: vec![], extents: vec![] }
    }
}

/// An input of a model.
#[derive(Clone, Debug)]
pub struct ModelInput {
    /// Its name: that of its layer if it has one.
    pub name: String,
    /// The shape of one sample, once known.
    pub shape: Option<Vec<usize>>,
    /// What all samples have in common; those of the first samples where nothing was said.
    pub extents: Option<Extents>,
}

impl ModelInput {
    /// An input that takes samples of these extents.
    pub(crate) fn new(name: String, extents: Option<Extents>) -> ModelInput {
        ModelInput { name, shape: None, extents }
    }
}

/// A described model: layers with unique names and the calls of them; once built, with shapes and weights.
#[derive(Clone, Debug)]
pub struct Architecture {
    name: String,
    kind: Kind,
    layers: Vec<Box<dyn Layer>>,
    names: Vec<String>,
    /// What is wrong with the settings of each layer.
    settings: Vec<Option<settings::Fault>>,
    calls: Vec<LayerCall>,
    inputs: Vec<ModelInput>,
    outputs: Vec<Port>,
    weights: Vec<Weight>,
    is_built: bool,
    /// What stands for extents that are not known, where weights are found.
    stand_in: usize,
}

impl Architecture {
    /// Layers one after another; built at once if the first says which shape it is given.
    ///
    /// # Errors
    /// All faults together, each with its layer.
    pub fn sequential(layers: Vec<Box<dyn Layer>>) -> Result<Architecture, Error> {
        Architecture::named("sequential", layers)
    }

    /// As [`Architecture::sequential`], with a name.
    ///
    /// # Errors
    /// All faults together, each with its layer.
    pub fn named(name: &str, layers: Vec<Box<dyn Layer>>) -> Result<Architecture, Error> {
        if !layers.iter().any(|l| l.class_name() != "InputLayer") {
            return Err(Error::config("a model needs at least one layer").help("add one, such as Dense::new(10)"));
        }
        let names = naming::names(&layers);
        let extents = layers.first().and_then(|layer| layer.common().input_shape.clone());
        let is_input = layers.first().is_some_and(|layer| layer.class_name() == "InputLayer");
        let input = if is_input { names[0].clone() } else { "input_layer".into() };
        let call = |layer: usize| {
            let inputs = vec![layer.checked_sub(1).map_or(Port::Input(0), |before| Port::Output(before, 0))];
            LayerCall::new(layer, inputs, vec![], false)
        };
        let faults = naming::faults(&layers);
        let architecture = Architecture {
            name: name.into(),
            kind: Kind::Sequential,
            settings: settings::Fault::of_all(&layers, &names),
            calls: (0..layers.len()).map(call).collect(),
            outputs: vec![Port::Output(layers.len() - 1, 0)],
            inputs: vec![ModelInput::new(input, extents)],
            layers,
            names,
            weights: vec![],
            is_built: false,
            stand_in: 1,
        };
        architecture.finished(faults)
    }

    /// A graph of calls between inputs and outputs; the layers may stand in any order, the calls in one in which each
    /// reads what is there already. Layers and calls are put in Keras' order.
    ///
    /// # Errors
    /// All faults together, each with its layer.
    pub fn functional(
        name: &str,
        layers: Vec<Box<dyn Layer>>,
        calls: Vec<LayerCall>,
        inputs: Vec<ModelInput>,
        outputs: Vec<Port>,
    ) -> Result<Architecture, Error> {
        Architecture::functional_with(name, layers, calls, inputs, outputs, vec![])
    }

    /// As [`Architecture::functional`], where some faults are known already.
    fn functional_with(
        name: &str,
        layers: Vec<Box<dyn Layer>>,
        mut calls: Vec<LayerCall>,
        inputs: Vec<ModelInput>,
        outputs: Vec<Port>,
        mut faults: Vec<Error>,
    ) -> Result<Architecture, Error> {
        if outputs.is_empty() || inputs.is_empty() {
            let none = || Error::config(format!("model `{name}` needs at least one input and one output"));
            return Err(if faults.is_empty() { none() } else { Error::together(faults) });
        }
        let names = naming::names(&layers);
        faults.extend(naming::faults(&layers));
        for call in &mut calls {
            let (layer, name) = (&layers[call.layer], &names[call.layer]);
            let fault = by_position(layer.input_names(), call).err();
            faults.extend(fault.map(|error| error.at_layer(name, layer.class_name())));
        }
        let mut architecture = Architecture {
            name: name.into(),
            kind: Kind::Functional,
            settings: settings::Fault::of_all(&layers, &names),
            layers,
            names,
            calls,
            inputs,
            outputs,
            weights: vec![],
            is_built: false,
            stand_in: 1,
        };
        faults.extend(order::cycles(&architecture));
        if faults.is_empty() {
            order::arrange(&mut architecture);
        }
        architecture.finished(faults)
    }

    /// The model, built as far as its inputs tell the shapes.
    ///
    /// # Errors
    /// `faults` and all that building finds.
    fn finished(mut self, mut faults: Vec<Error>) -> Result<Architecture, Error> {
        match self.build_early() {
            Ok(()) if faults.is_empty() => return Ok(self),
            Ok(()) => faults.extend(self.settings.into_iter().flatten().map(|fault| fault.error)),
            Err(error) => faults.extend_from_slice(error.parts()),
        }
        Err(Error::together(faults))
    }

    /// Lets gradients change the weights of a layer, or not any more.
    ///
    /// # Errors
    /// A name that is not known.
    pub fn set_trainable(&mut self, layer: &str, trainable: bool) -> Result<(), Error> {
        let Some(index) = self.names.iter().position(|name| name == layer) else {
            let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
            return Err(suggest::unknown("layer", layer, &names));
        };
        self.layers[index].common_mut().trainable = trainable;
        if self.is_built { self.renew_weights() } else { Ok(()) }
    }

    /// Lets gradients change no weight, and normalization use its moving statistics even while training.
    pub(crate) fn freeze(&mut self) {
        self.layers.iter_mut().for_each(|layer| layer.common_mut().trainable = false);
        self.weights.iter_mut().for_each(|weight| weight.spec.trainable = false);
    }

    /// The model's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is a list of layers or a graph of calls.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The layers, input layers included if they were listed.
    pub fn layers(&self) -> &[Box<dyn Layer>] {
        &self.layers
    }

    /// The unique name of each layer.
    pub fn layer_names(&self) -> &[String] {
        &self.names
    }

    /// The calls of layers, each after those whose outputs it reads.
    pub fn calls(&self) -> &[LayerCall] {
        &self.calls
    }

    /// The inputs.
    pub fn inputs(&self) -> &[ModelInput] {
        &self.inputs
    }

    /// What the model puts out.
    pub fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    /// The name of each output: that of the layer it comes from.
    pub fn output_names(&self) -> Vec<String> {
        let name = |port: &Port| match port {
            Port::Input(input) => self.inputs[*input].name.clone(),
            Port::Output(call, _) => self.names[self.calls[*call].layer].clone(),
        };
        self.outputs.iter().map(name).collect()
    }

    /// Whether the weights are known, and all shapes as far as they are those of all samples.
    pub fn is_built(&self) -> bool {
        self.is_built
    }

    /// The shape of one sample of the first input, once known.
    pub fn input_shape(&self) -> Option<&[usize]> {
        self.inputs[0].shape.as_deref().filter(|_| self.is_built)
    }

    /// The first output's extents of the first call of a layer, without the batch, once built.
    pub fn layer_extents(&self, layer: usize) -> Option<&Extents> {
        self.calls.iter().find(|call| call.layer == layer)?.extents.first()
    }

    /// The extents of a value without the batch, as far as they are those of all samples.
    pub fn extents_of(&self, port: Port) -> Option<&Extents> {
        match port {
            Port::Input(input) => self.inputs[input].extents.as_ref(),
            Port::Output(call, output) => self.calls[call].extents.get(output),
        }
    }

    /// The shape of a value without the batch, once that of the samples is known.
    pub fn shape_of(&self, port: Port) -> Option<&[usize]> {
        match port {
            Port::Input(input) => self.inputs[input].shape.as_deref(),
            Port::Output(call, output) => self.calls[call].shapes.get(output).map(Vec::as_slice),
        }
    }

    /// The shape of the first output without the batch, once known.
    pub fn output_shape(&self) -> Option<&[usize]> {
        self.shape_of(self.outputs[0]).filter(|_| self.is_built)
    }

    /// All weights, in the order of layers.
    pub fn weights(&self) -> &[Weight] {
        &self.weights
    }

    /// The weights that gradients change.
    pub fn trainable_weights(&self) -> impl Iterator<Item = &Weight> {
        self.weights.iter().filter(|w| w.spec.trainable)
    }

    /// The weights of the layer at `index`.
    pub fn weights_of(&self, index: usize) -> impl Iterator<Item = &Weight> {
        self.weights[self.range_of(index)].iter()
    }

    /// The key of each layer in a file of weights; `None` where it has no place there.
    pub(crate) fn layer_keys(&self) -> Vec<Option<String>> {
        let is_kept = |layer: &dyn Layer| match self.kind {
            Kind::Sequential => layer.class_name() != "InputLayer",
            Kind::Functional => layer.form() != Form::Operator,
        };
        let kept: Vec<bool> = self.layers.iter().map(|layer| is_kept(layer.as_ref())).collect();
        let classes = self.layers.iter().zip(&kept).filter(|(_, kept)| **kept).map(|(layer, _)| layer.class_name());
        let mut keys = naming::container_keys(classes).into_iter();
        kept.iter().map(|kept| if *kept { keys.next() } else { None }).collect()
    }

    /// How many indices samples of an input may name, and the name of the layer that says so; `None` for any numbers.
    pub fn num_indices_of(&self, input: usize) -> Option<(&str, usize)> {
        let mut same = vec![Port::Input(input)];
        for (index, call) in self.calls.iter().enumerate() {
            let layer = self.layers[call.layer].as_ref();
            if !call.inputs.first().is_some_and(|port| same.contains(port)) {
                continue;
            }
            if let Some(count) = layer.num_indices() {
                return Some((&self.names[call.layer], count));
            }
            if layer.class_name() == "InputLayer" {
                same.push(Port::Output(index, 0));
            }
        }
        None
    }

    /// The fault of a layer.
    fn in_layer(&self, layer: usize, error: Error) -> Error {
        error.at_layer(&self.names[layer], self.layers[layer].class_name())
    }

    /// Refuses a model that was given no samples yet and does not know their shape.
    fn require_shapes(&self) -> Result<(), Error> {
        let Some(input) = self.inputs.iter().find(|input| input.shape.is_none()) else { return Ok(()) };
        let place = format!("model `{}`", self.name);
        Err(match &input.extents {
            Some(extents) => {
                let message = format!("{place} takes samples of shape {extents}, and was given none yet");
                Error::new(ErrorKind::Shape, message).help("say what None is, by samples or by a shape")
            }
            None => Error::new(ErrorKind::Shape, format!("{place} does not know the shape of its samples yet"))
                .help("give the first layer one, such as .input_shape([28, 28]), or train it on data"),
        })
    }

    /// The first values of all weights.
    pub fn initial_values(&self, seed: u64) -> impl Iterator<Item = (String, Role, Tensor)> {
        let key = RandomKey::new(seed).child("initializer");
        let value = move |weight: &Weight| {
            if let Some(value) = &weight.spec.value {
                return value.as_ref().clone();
            }
            let mut rng = Philox::new(key.child(&weight.path));
            let data = weight.spec.initializer.sample(&weight.spec.shape, &mut rng);
            Tensor::new(weight.spec.shape.clone(), data).expect("an initializer fills the shape")
        };
        self.weights.iter().map(move |w| (w.path.clone(), w.role(), value(w)))
    }
}

/// Puts the inputs that a call was given by name in their places; one that has none there is never made.
fn by_position(names: &[&str], call: &mut LayerCall) -> Result<(), Error> {
    let (mut inputs, named): (Vec<_>, Vec<_>) =
        std::mem::take(&mut call.named).into_iter().partition(|(name, _)| names.contains(&name.as_str()));
    call.named = named;
    inputs.sort_by_key(|(name, _)| names.iter().position(|known| known == name));
    for (name, ports) in inputs {
        if names.get(call.inputs.len()) != Some(&name.as_str()) {
            call.inputs = vec![Port::NOWHERE];
            let message = format!("is given `{name}` in another place, or without what comes before it");
            return Err(Error::config(message).help(format!("its inputs are {}", names.join(", "))));
        }
        call.inputs.extend(ports);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
