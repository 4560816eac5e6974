//! A model as it is described: layers with names and shapes, and the weights they ask for.

use crate::config::{Reader, config};
use crate::layer::{Call, Layer, Masked, Mode, WeightSpec};
use crate::{Custom, Error, ErrorKind, Regularizer, layers, naming, optimizers};
use footlight_graph::{Builder, Graph, Role, Type, Value};
use footlight_tensor::{Philox, RandomKey, Tensor, display_shape};
use serde_json::{Value as Json, json};

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

/// A described model: layers one after another, with unique names; once built, with shapes and weights.
#[derive(Clone, Debug)]
pub struct Architecture {
    name: String,
    layers: Vec<Box<dyn Layer>>,
    names: Vec<String>,
    input_shape: Option<Vec<usize>>,
    output_shapes: Vec<Vec<usize>>,
    weights: Vec<Weight>,
}

/// The deepest networks that were ever described have some thousand layers.
const LAYER_LIMIT: usize = 10_000;

/// Of more faults than these only the number is told.
const FAULTS_SHOWN: usize = 10;

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
        let input_shape = layers.first().and_then(|l| l.common().input_shape.clone());
        let mut architecture = Architecture {
            name: name.into(),
            layers,
            names,
            input_shape: None,
            output_shapes: vec![],
            weights: vec![],
        };
        if let Some(shape) = input_shape {
            architecture.build(&shape)?;
        }
        Ok(architecture)
    }

    /// Fixes all shapes for samples of `shape` (without the batch).
    ///
    /// # Errors
    /// All faults together, each with its layer and both shapes.
    pub fn build(&mut self, shape: &[usize]) -> Result<(), Error> {
        if self.input_shape.as_deref() == Some(shape) {
            return Ok(());
        }
        if let Some(built) = &self.input_shape {
            let message = format!(
                "model `{}`: samples have shape {}, the model was built for {}",
                self.name,
                display_shape(shape),
                display_shape(built)
            );
            return Err(Error::new(ErrorKind::Shape, message).help("reshape the data, or describe a new model"));
        }
        if let Some(axis) = shape.iter().position(|d| *d == 0) {
            return Err(Error::new(ErrorKind::Shape, format!("axis {axis} of the samples is empty: {shape:?}")));
        }
        check_size("the samples", shape)?;
        let (mut current, mut faults) = (shape.to_vec(), Vec::new());
        let (mut output_shapes, mut weights) = (Vec::new(), Vec::new());
        for (index, (layer, name)) in self.layers.iter().zip(&self.names).enumerate() {
            let place = |e: Error| e.at(format!("layer `{name}` ({})", layer.class_name()));
            let checked = layer.check().and_then(|()| layer.weights(&current));
            let specs = checked.and_then(|specs| check(layer.as_ref(), specs)).and_then(|specs| {
                specs.iter().try_for_each(|spec| check_size(spec.name, &spec.shape))?;
                Ok(specs)
            });
            match specs {
                Err(error) => faults.push(place(error)),
                Ok(specs) => weights.extend(specs.into_iter().map(|mut spec| {
                    spec.trainable &= layer.common().trainable;
                    Weight { path: format!("{name}/{}", spec.name), layer: index, spec }
                })),
            }
            match layer.output_shape(&current).and_then(|shape| check_size("its output", &shape).map(|()| shape)) {
                Ok(shape) => current = shape,
                // What follows would be told about a shape that is not there.
                Err(error) => {
                    faults.push(place(error));
                    break;
                }
            }
            output_shapes.push(current.clone());
        }
        faults.dedup();
        if let Some(first) = faults.first() {
            let mut told: Vec<String> = faults.iter().take(FAULTS_SHOWN).map(|fault| fault.message().into()).collect();
            if let Some(more) = faults.len().checked_sub(FAULTS_SHOWN).filter(|more| *more > 0) {
                told.push(format!("and {more} more"));
            }
            let mut all = Error::new(first.kind(), told.join("\n"));
            if let Some(help) = faults.iter().find_map(Error::help_text) {
                all = all.help(help);
            }
            return Err(all);
        }
        self.input_shape = Some(shape.to_vec());
        self.output_shapes = output_shapes;
        self.weights = weights;
        Ok(())
    }

    /// The model's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The layers, an input layer included if one was listed.
    pub fn layers(&self) -> &[Box<dyn Layer>] {
        &self.layers
    }

    /// The unique name of each layer.
    pub fn layer_names(&self) -> &[String] {
        &self.names
    }

    /// The shape of one sample, once known.
    pub fn input_shape(&self) -> Option<&[usize]> {
        self.input_shape.as_deref()
    }

    /// The output's shape of each layer, without the batch; empty before the model is built.
    pub fn output_shapes(&self) -> &[Vec<usize>] {
        &self.output_shapes
    }

    /// The model's output shape without the batch, once known.
    pub fn output_shape(&self) -> Option<&[usize]> {
        self.output_shapes.last().map(Vec::as_slice)
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

    fn require_built(&self) -> Result<&[usize], Error> {
        self.input_shape.as_deref().ok_or_else(|| {
            Error::new(ErrorKind::Shape, format!("model `{}` does not know the shape of its samples yet", self.name))
                .help("give the first layer one, such as .input_shape([28, 28]), or train it on data")
        })
    }

    /// The first values of all weights.
    pub fn initial_values(&self, seed: u64) -> Vec<(String, Role, Tensor)> {
        let key = RandomKey::new(seed).child("initializer");
        let value = |weight: &Weight| {
            let mut rng = Philox::new(key.child(&weight.path));
            let data = weight.spec.initializer.sample(&weight.spec.shape, &mut rng);
            Tensor::new(weight.spec.shape.clone(), data).expect("an initializer fills the shape")
        };
        self.weights.iter().map(|w| (w.path.clone(), w.role(), value(w))).collect()
    }

    /// Declares all weights as states of a graph, called `prefix` and the weight's path.
    pub fn declare_weights(&self, g: &mut Builder, prefix: &str) -> Vec<Value> {
        let declare = |w: &Weight| g.state(&format!("{prefix}{}", w.path), Type::f32(w.spec.shape.clone()), w.role());
        self.weights.iter().map(declare).collect()
    }

    /// Records all layers on samples `x`, with weights from [`Architecture::declare_weights`]; `step` counts the updates so
    /// far and is there when training; `key` is the stream of this call's random numbers.
    pub fn record(
        &self,
        g: &mut Builder,
        x: Value,
        weights: &[Value],
        step: Option<Value>,
        key: RandomKey,
    ) -> Recorded {
        let mode = if step.is_some() { Mode::Train } else { Mode::Infer };
        let (mut current, mut activities) = (Masked::new(x), Vec::new());
        for (index, (layer, name)) in self.layers.iter().zip(&self.names).enumerate() {
            let own: Vec<Value> =
                self.weights.iter().zip(weights).filter(|(w, _)| w.layer == index).map(|(_, v)| *v).collect();
            g.enter(name);
            let mut call = Call { graph: g, mode, weights: &own, step, key: key.child(name).at(0) };
            current = layer.call(&mut call, current);
            g.leave();
            activities.extend(layer.common().activity_regularizer.map(|penalty| (penalty, current.value)));
        }
        Recorded { output: current.value, activities }
    }

    /// Records all layers on an input of `batch` samples called `x`.
    pub(crate) fn lower(&self, g: &mut Builder, batch: usize, mode: Mode, seed: u64) -> Result<Lowered, Error> {
        let sample = self.require_built()?;
        let x = g.input("x", Type::f32([&[batch], sample].concat()));
        let weights = self.declare_weights(g, "");
        let step = (mode == Mode::Train).then(|| optimizers::iteration(g, optimizers::SCOPE));
        let Recorded { output, activities } = self.record(g, x, &weights, step, RandomKey::new(seed).child("layers"));
        Ok(Lowered { output, weights, step, activities })
    }

    /// The graph that answers for `batch` samples: input `x`, output `output_0`.
    ///
    /// # Errors
    /// A model that is not built, or faults of its ops.
    pub fn lower_infer(&self, batch: usize) -> Result<Graph, Error> {
        let mut g = Builder::new();
        let lowered = self.lower(&mut g, batch, Mode::Infer, 0)?;
        g.output("output_0", lowered.output);
        Ok(g.finish()?)
    }

    /// The configuration as Keras writes it.
    pub fn to_config(&self) -> Json {
        let batched = |shape: &[usize]| -> Vec<Option<usize>> {
            [None].into_iter().chain(shape.iter().map(|d| Some(*d))).collect()
        };
        let mut list = Vec::new();
        let has_input = self.layers.first().is_some_and(|l| l.class_name() == "InputLayer");
        if let Some(shape) = self.input_shape.as_ref().filter(|_| !has_input) {
            list.push(layers::to_config(&crate::Input::new(shape.clone()), "input_layer", None));
        }
        let mut before = self.input_shape.clone();
        for (index, (layer, name)) in self.layers.iter().zip(&self.names).enumerate() {
            let is_input = layer.class_name() == "InputLayer";
            let shape = before.as_deref().filter(|_| !is_input).map(batched);
            list.push(layers::to_config(layer.as_ref(), name, shape));
            before = self.output_shapes.get(index).cloned();
        }
        let policy = crate::config::object("keras", "DTypePolicy", config! { "name": "float32" });
        let mut value = crate::config::object(
            "keras",
            "Sequential",
            config! { "name": self.name, "trainable": true, "dtype": policy, "layers": list },
        );
        if let Some(shape) = &self.input_shape {
            value["config"]["build_input_shape"] = json!(batched(shape));
            value["build_config"] = json!({ "input_shape": batched(shape) });
        }
        value
    }

    /// A model from what Keras writes.
    ///
    /// # Errors
    /// Another kind of model, a layer that is not known or no built-in, a setting out of range; named by layer.
    pub fn from_config(value: &Json) -> Result<Architecture, Error> {
        Architecture::from_config_with(value, &Custom::new())
    }

    /// As [`Architecture::from_config`], with layers of one's own.
    ///
    /// # Errors
    /// As [`Architecture::from_config`].
    pub fn from_config_with(value: &Json, custom: &Custom) -> Result<Architecture, Error> {
        let (class, config) = crate::config::open(value)?;
        if class != "Sequential" {
            return Err(Error::config(format!("a model of class `{class}` cannot be read yet"))
                .help("models made by keras.Sequential can"));
        }
        let mut read = Reader::new(&config);
        read.ignore(&["trainable"]);
        read.dtype()?;
        let name = read.string("name")?.unwrap_or_else(|| "sequential".into());
        let list = read.get("layers").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
        if list.len() > LAYER_LIMIT {
            let message = format!("the model has {} layers, at most {LAYER_LIMIT} are read", list.len());
            return Err(Error::config(message).help("the file is damaged, or made to keep its reader busy"));
        }
        let shape: Option<Vec<usize>> = read
            .get("build_input_shape")
            .and_then(Json::as_array)
            .and_then(|shape| shape.iter().skip(1).map(|d| d.as_u64().and_then(|d| usize::try_from(d).ok())).collect());
        read.finish()?;
        let list: Vec<Box<dyn Layer>> =
            list.iter().map(|layer| layers::from_config_with(layer, custom)).collect::<Result<_, _>>()?;
        let mut architecture = Architecture::named(&name, list)?;
        if let (None, Some(shape)) = (&architecture.input_shape, shape) {
            architecture.build(&shape)?;
        }
        Ok(architecture)
    }
}

/// Refuses what no machine holds, so that nobody has to think of the product of extents as larger than a number.
fn check_size(what: &str, shape: &[usize]) -> Result<(), Error> {
    let count = shape.iter().try_fold(1usize, |count, extent| count.checked_mul(*extent));
    if count.is_some_and(|count| count <= Type::LARGEST) {
        return Ok(());
    }
    let (shape, largest) = (display_shape(shape), Type::LARGEST);
    let message = format!("{what} of shape {shape} would be more than {largest} numbers");
    Err(Error::new(ErrorKind::Shape, message).help("make the model smaller"))
}

/// Complains of what does not suit the layer's weights, and of a penalty that does not suit its output.
fn check(layer: &dyn Layer, specs: Vec<WeightSpec>) -> Result<Vec<WeightSpec>, Error> {
    specs.iter().try_for_each(WeightSpec::check)?;
    match layer.common().activity_regularizer {
        Some(Regularizer::Orthogonal { .. }) => {
            Err(Error::config("an activity has no orthogonal regularizer here").help("use L1, L2 or both"))
        }
        Some(penalty) => penalty.check(&[]).map_err(|e| e.at("activity_regularizer")).map(|()| specs),
        None => Ok(specs),
    }
}

/// What recording the layers on samples gives.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The last layer's output.
    pub output: Value,
    /// Outputs of layers with the penalty on each.
    pub activities: Vec<(Regularizer, Value)>,
}

/// What lowering the layers gives.
pub(crate) struct Lowered {
    pub output: Value,
    pub weights: Vec<Value>,
    pub step: Option<Value>,
    /// Outputs of layers with the penalty on each.
    pub activities: Vec<(Regularizer, Value)>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Activation, Dense, Dropout, Flatten};

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
        let message = error(crate::layers![Dense::new(huge).input_shape([4])]);
        assert!(
            message.contains("layer `dense` (Dense): kernel of shape [4, 9223372036854775807] would be"),
            "{message}"
        );
        let target = [i64::MAX, i64::MAX, 4];
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
