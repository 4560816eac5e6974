//! A model as it is described: layers with names, how they are called on each other, and the weights they ask for.

mod build;
mod config;
mod lower;
mod numbers;
mod order;

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
        let names = naming::unique(&layers)?;
        let extents = layers.first().and_then(|layer| layer.common().input_shape.clone());
        let is_input = layers.first().is_some_and(|layer| layer.class_name() == "InputLayer");
        let input = if is_input { names[0].clone() } else { "input_layer".into() };
        let call = |layer: usize| {
            let inputs = vec![layer.checked_sub(1).map_or(Port::Input(0), |before| Port::Output(before, 0))];
            LayerCall::new(layer, inputs, vec![], false)
        };
        let mut architecture = Architecture {
            name: name.into(),
            kind: Kind::Sequential,
            calls: (0..layers.len()).map(call).collect(),
            outputs: vec![Port::Output(layers.len() - 1, 0)],
            inputs: vec![ModelInput::new(input, extents)],
            layers,
            names,
            weights: vec![],
            is_built: false,
            stand_in: 1,
        };
        architecture.build_early()?;
        Ok(architecture)
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
        if outputs.is_empty() || inputs.is_empty() {
            return Err(Error::config(format!("model `{name}` needs at least one input and one output")));
        }
        let names = naming::unique(&layers)?;
        let positional = |call: LayerCall| {
            let layer = &layers[call.layer];
            let place = format!("layer `{}` ({})", names[call.layer], layer.class_name());
            by_position(layer.input_names(), call).map_err(|e| e.at(place))
        };
        let calls = calls.into_iter().map(positional).collect::<Result<_, _>>()?;
        let mut architecture = Architecture {
            name: name.into(),
            kind: Kind::Functional,
            layers,
            names,
            calls,
            inputs,
            outputs,
            weights: vec![],
            is_built: false,
            stand_in: 1,
        };
        order::arrange(&mut architecture)?;
        architecture.build_early()?;
        Ok(architecture)
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
        self.weights.iter().filter(move |weight| weight.layer == index)
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

/// A call whose inputs that were given by name stand in their places.
fn by_position(names: &[&str], mut call: LayerCall) -> Result<LayerCall, Error> {
    let (inputs, named) = call.named.into_iter().partition(|(name, _)| names.contains(&name.as_str()));
    let mut inputs: Vec<(String, Vec<Port>)> = inputs;
    call.named = named;
    inputs.sort_by_key(|(name, _)| names.iter().position(|known| known == name));
    for (name, ports) in inputs {
        if names.get(call.inputs.len()) != Some(&name.as_str()) {
            let message = format!("is given `{name}` in another place, or without what comes before it");
            return Err(Error::config(message).help(format!("its inputs are {}", names.join(", "))));
        }
        call.inputs.extend(ports);
    }
    Ok(call)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Activation, Dense, Dropout, Flatten};
    use config::LAYER_LIMIT;
    use serde_json::json;

    fn article() -> Architecture {
        Architecture::sequential(crate::layers![
            Flatten::new().input_shape([28, 28]),
            Dense::new(128).activation(Activation::Relu),
            Dropout::new(0.2),
            Dense::new(10).activation("softmax"),
        ])
        .unwrap()
    }

    #[test]
    fn names_shapes_and_weights_are_those_of_keras() {
        let model = article();
        assert_eq!(model.layer_names(), ["flatten", "dense", "dropout", "dense_1"]);
        let weights: Vec<(String, Vec<usize>)> =
            model.weights().iter().map(|w| (w.path.clone(), w.spec.shape.clone())).collect();
        assert_eq!(weights[0], ("dense/kernel".into(), vec![784, 128]));
        assert_eq!(weights[3], ("dense_1/bias".into(), vec![10]));
        assert_eq!(model.output_shape(), Some(&[10][..]));
    }

    #[test]
    fn the_answering_graph_has_no_dropout() {
        let text = article().lower_infer(4).unwrap().to_string();
        assert!(!text.contains("random_uniform"), "{text}");
    }

    #[test]
    fn all_faults_are_reported_together() {
        let error = Architecture::sequential(crate::layers![
            Dense::new(4).activation("rleu").input_shape([3]),
            Dropout::new(1.5),
        ])
        .unwrap_err()
        .to_string();
        assert!(error.contains("layer `dense` (Dense): unknown activation `rleu`"), "{error}");
        assert!(error.contains("layer `dropout` (Dropout): rate = 1.5"), "{error}");
    }

    #[test]
    fn shapes_beyond_all_measure_are_refused_and_never_overflow() {
        let huge = usize::MAX / 2;
        let error = |layers| Architecture::sequential(layers).unwrap_err().to_string();
        let message = error(crate::layers![Flatten::new().input_shape([huge, huge])]);
        assert!(message.starts_with("the samples of shape [9223372036854775807, 922"), "{message}");
        let message = error(crate::layers![Dense::new(huge).input_shape([4]), Dropout::new(2.0)]);
        assert!(message.contains("layer `dense` (Dense): units = 9223372036854775807 must be in"), "{message}");
        assert!(message.contains("layer `dropout` (Dropout): rate = 2"), "{message}");
        let largest = i32::MAX as usize;
        let message = error(crate::layers![Dense::new(largest).input_shape([4096])]);
        assert!(message.contains("layer `dense` (Dense): kernel of shape [4096, 2147483647] would be"), "{message}");
        let target = [largest as i64, largest as i64, 4];
        let message = error(crate::layers![crate::Reshape::new(target).input_shape([4])]);
        assert!(message.contains("cannot take shape"), "{message}");
    }

    #[test]
    fn of_many_faults_ten_are_told() {
        let layers: Vec<Box<dyn Layer>> = (0..1000).map(|_| Box::new(Dense::new(0)) as Box<dyn Layer>).collect();
        let mut model = Architecture::sequential(layers).unwrap();
        let error = model.build(&[3]).unwrap_err();
        assert_eq!(error.message().lines().count(), 11, "{error}");
        assert!(error.message().ends_with("and 990 more"), "{error}");
    }

    #[test]
    fn a_description_of_endless_layers_is_refused() {
        let layer = json!({ "class_name": "Flatten" });
        let value = json!({ "class_name": "Sequential", "config": { "layers": vec![layer; LAYER_LIMIT + 1] } });
        let error = Architecture::from_config(&value).unwrap_err();
        assert!(error.message().contains("has 10001 layers, at most 10000 are read"), "{error}");
    }

    #[test]
    fn configurations_round_trip() {
        let model = article();
        let again = Architecture::from_config(&model.to_config()).unwrap();
        assert_eq!(again.to_config()["config"]["layers"][1], model.to_config()["config"]["layers"][1]);
        assert_eq!(again.weights().len(), model.weights().len());
        assert_eq!(again.input_shape(), model.input_shape());
    }
}
