//! How a model learns the shapes of its values and the weights of its layers.

use super::{Architecture, Port, Weight};
use crate::layer::{Layer, WeightSpec};
use crate::{Error, ErrorKind, Extents, Regularizer};
use footlight_graph::Type;
use footlight_tensor::display_shape;
use std::collections::HashSet;

/// What stands for extents that are not known, the first of so many from here on that fits, and how much further what does
/// not depend on them is still the same: many, so that windows fit into them, and multiples of 16 first, which halve and
/// double well. Where values of so many would be beyond all measure, there are fewer.
const STAND_INS: [(usize, usize); 3] = [(1024, 960), (128, 120), (16, 60)];
const TRIES: usize = 16;

impl Architecture {
    /// Fixes all shapes for samples of `shape` (without the batch) of the one input.
    ///
    /// # Errors
    /// As [`Architecture::build_all`].
    pub fn build(&mut self, shape: &[usize]) -> Result<(), Error> {
        self.build_all(&[shape])
    }

    /// As [`Architecture::build`], with one shape for each input. Where extents of the inputs are not known for all samples,
    /// the shapes may be fixed anew; the weights stay.
    ///
    /// # Errors
    /// All faults together, each with its layer and both shapes.
    pub fn build_all(&mut self, shapes: &[&[usize]]) -> Result<(), Error> {
        if shapes.len() != self.inputs.len() {
            let message = format!("model `{}` has {} inputs, got {}", self.name, self.inputs.len(), shapes.len());
            return Err(Error::new(ErrorKind::Shape, message));
        }
        for (input, shape) in self.inputs.iter().zip(shapes) {
            let Some(extents) = input.extents.as_ref().filter(|extents| self.is_built && !extents.fit(shape)) else {
                continue;
            };
            let which = if shapes.len() == 1 { String::new() } else { format!(" of input `{}`", input.name) };
            let (name, shape) = (&self.name, display_shape(shape));
            let message =
                format!("model `{name}`: samples{which} have shape {shape}, the model was built for {extents}");
            return Err(Error::new(ErrorKind::Shape, message).help("reshape the data, or describe a new model"));
        }
        if self.has_shapes(shapes.iter().copied()) {
            return Ok(());
        }
        for shape in shapes {
            if let Some(axis) = shape.iter().position(|d| *d == 0) {
                return Err(Error::new(ErrorKind::Shape, format!("axis {axis} of the samples is empty: {shape:?}")));
            }
        }
        let built = self.built(shapes).checked()?;
        if self.is_built {
            self.check_weights(&built.weights)?;
        } else {
            for (input, shape) in self.inputs.iter_mut().zip(shapes) {
                input.extents.get_or_insert_with(|| Extents::from(*shape));
            }
            let extents = |shapes: &Vec<Vec<usize>>| shapes.iter().map(|shape| shape.as_slice().into()).collect();
            self.calls.iter_mut().zip(&built.shapes).for_each(|(call, shapes)| call.extents = extents(shapes));
            (self.weights, self.is_built) = (built.weights, true);
        }
        self.calls.iter_mut().zip(built.shapes).for_each(|(call, shapes)| call.shapes = shapes);
        self.inputs.iter_mut().zip(shapes).for_each(|(input, shape)| input.shape = Some(shape.to_vec()));
        Ok(())
    }

    /// Whether all shapes are fixed for samples of these.
    pub fn has_shapes<'a>(&self, shapes: impl IntoIterator<Item = &'a [usize]>) -> bool {
        let mut inputs = self.inputs.iter();
        let is_next = |shape| inputs.next().is_some_and(|input| input.shape.as_deref() == Some(shape));
        self.is_built && shapes.into_iter().all(is_next)
    }

    /// Finds weights and shapes as far as the inputs tell them; nothing if one tells nothing.
    ///
    /// # Errors
    /// As [`Architecture::build_all`], and weights that depend on an extent that is not known.
    pub(super) fn build_early(&mut self) -> Result<(), Error> {
        let extents: Option<Vec<Extents>> = self.inputs.iter().map(|input| input.extents.clone()).collect();
        let Some(extents) = extents else { return Ok(()) };
        match extents.iter().map(Extents::known).collect::<Option<Vec<_>>>() {
            Some(shapes) => self.build_all(&shapes.iter().map(Vec::as_slice).collect::<Vec<_>>()),
            None => self.build_open(&extents),
        }
    }

    /// Refuses weights that samples ask for and that are not those of the model.
    fn check_weights(&self, asked: &[Weight]) -> Result<(), Error> {
        let fault = |(known, asked): (&Weight, &Weight)| {
            let (name, known_shape, asked) = (&known.spec.name, &known.spec.shape, &asked.spec.shape);
            let [of_samples, of_model] = [asked, known_shape].map(|shape| display_shape(shape));
            let fault =
                Error::new(ErrorKind::Shape, format!("{name} would have shape {of_samples}, it has {of_model}"));
            (known_shape != asked).then(|| self.in_layer(known.layer, fault.help("give the inputs fixed shapes")))
        };
        Error::none_of(self.weights.iter().zip(asked).filter_map(fault).collect())
    }

    /// Finds weights and shapes for inputs of which some extents are not known: those that are the same whatever these are.
    fn build_open(&mut self, extents: &[Extents]) -> Result<(), Error> {
        let [one, other] = self.stood_in(extents);
        let mut faults = faults_of(&one, &other);
        let weights = one.built.weights.iter().zip(&other.built.weights).filter(|_| faults.is_empty());
        let open: Vec<Error> = weights.filter_map(|(a, b)| self.open_weight(a, b)).collect();
        faults.extend(open);
        Error::none_of(faults)?;
        for (call, (one, other)) in self.calls.iter_mut().zip(one.built.shapes.iter().zip(&other.built.shapes)) {
            call.extents = one.iter().zip(other).map(|(a, b)| Extents::common_to(a, b)).collect();
        }
        (self.stand_in, self.weights, self.is_built) = (one.extent, one.built.weights, true);
        Ok(())
    }

    /// The fault of a weight whose shape depends on extents that are not known.
    fn open_weight(&self, a: &Weight, b: &Weight) -> Option<Error> {
        let shape = Extents::common_to(&a.spec.shape, &b.spec.shape);
        let message = format!("{} would have shape {shape}, which the inputs leave open", a.spec.name);
        let help = "give the inputs fixed shapes, or pool over what is open, such as by GlobalAveragePooling1D";
        let fault = Error::new(ErrorKind::Shape, message).help(help);
        (a.spec.shape != b.spec.shape).then(|| self.in_layer(a.layer, fault))
    }

    /// What building finds where two numbers stand for extents that are not known.
    fn stood_in(&self, extents: &[Extents]) -> [StoodIn; 2] {
        let built = |extent: usize| {
            let shapes: Vec<Vec<usize>> = extents.iter().map(|extents| extents.with(extent)).collect();
            StoodIn { extent, built: self.built(&shapes.iter().map(Vec::as_slice).collect::<Vec<_>>()) }
        };
        let both = |(first, further): (usize, usize)| {
            let mut one = built(first);
            for extent in first + 1..first + TRIES {
                if one.built.faults.is_empty() {
                    break;
                }
                let next = built(extent);
                if next.built.faults.len() < one.built.faults.len() {
                    one = next;
                }
            }
            let other = built(one.extent + further);
            [one, other]
        };
        let is_measured = |both: &[StoodIn; 2]| !both.iter().any(|one| one.built.is_too_large);
        let [many, fewer @ ..] = STAND_INS;
        let first = both(many);
        match is_measured(&first) {
            true => first,
            false => fewer.into_iter().map(both).find(is_measured).unwrap_or(first),
        }
    }

    /// Finds the weights anew, after a setting of a layer was changed.
    pub(super) fn renew_weights(&mut self) -> Result<(), Error> {
        let shape = |input: &super::ModelInput| {
            input.shape.clone().or_else(|| Some(input.extents.as_ref()?.with(self.stand_in))).unwrap_or_default()
        };
        let shapes: Vec<Vec<usize>> = self.inputs.iter().map(shape).collect();
        self.weights = self.built(&shapes.iter().map(Vec::as_slice).collect::<Vec<_>>()).checked()?.weights;
        Ok(())
    }

    /// The shapes of all calls and the weights of all layers, as far as there are no faults.
    fn built(&self, shapes: &[&[usize]]) -> Built {
        let mut built = Built { shapes: vec![], weights: vec![], faults: vec![], is_too_large: false };
        built.faults.extend(shapes.iter().find_map(|shape| too_large("the samples", shape)));
        if !built.faults.is_empty() {
            return Built { is_too_large: true, ..built };
        }
        let mut of_layer: Vec<Option<Vec<Weight>>> = vec![None; self.layers.len()];
        let mut is_told = vec![false; self.layers.len()];
        for call in &self.calls {
            let layer = self.layers[call.layer].as_ref();
            let place = |error: Error| self.in_layer(call.layer, error);
            let given = |port: &Port| match port {
                Port::Input(input) => Some(shapes[*input].to_vec()),
                Port::Output(call, output) => built.shapes.get(*call).and_then(|shapes| shapes.get(*output)).cloned(),
            };
            let read: Option<Vec<Vec<usize>>> = call.inputs.iter().map(given).collect();
            let settings = self.settings[call.layer].as_ref();
            if !std::mem::replace(&mut is_told[call.layer], true) {
                built.faults.extend(settings.map(|fault| fault.error.clone()));
            }
            let ports = call.inputs.iter().chain(call.named.iter().flat_map(|(_, ports)| ports));
            let beyond: Vec<Error> = ports.filter_map(|port| self.beyond(&built.shapes, *port)).map(place).collect();
            let read = read.filter(|_| beyond.is_empty());
            built.faults.extend(beyond);
            // What follows a fault would be told about a shape that is not there.
            let Some(read) = read.filter(|_| !settings.is_some_and(|fault| fault.hides_shapes)) else {
                built.shapes.push(vec![]);
                continue;
            };
            let weights = if settings.is_none() { self.weights_of_call(call.layer, &read) } else { Ok(vec![]) };
            let large = |weight: &Weight| too_large(&weight.spec.name, &weight.spec.shape);
            match weights.map(|weights| (weights.iter().find_map(large), weights)) {
                Err(error) => built.fault(place(error)),
                Ok((Some(error), _)) => built.fault_of_size(place(error)),
                Ok((None, weights)) => match &of_layer[call.layer] {
                    None => of_layer[call.layer] = Some(weights),
                    Some(first) if shapes_of(first) != shapes_of(&weights) => {
                        let message =
                            "is called on samples of another shape than the first time, which its weights fit";
                        built.fault(place(Error::new(ErrorKind::Shape, message).help("use a layer for each")));
                    }
                    Some(_) => {}
                },
            }
            let large = |shape: &Vec<usize>| too_large("its output", shape);
            let mut shapes = Vec::new();
            match layer.output_shapes(&read).map(|outputs| (outputs.iter().find_map(large), outputs)) {
                Err(error) => built.fault(place(error)),
                Ok((Some(error), _)) => built.fault_of_size(place(error)),
                Ok((None, outputs)) => shapes = outputs,
            }
            built.shapes.push(shapes);
        }
        let beyond = self.outputs.iter().filter_map(|port| self.beyond(&built.shapes, *port));
        let beyond: Vec<Error> = beyond.map(|fault| fault.at("the model")).collect();
        built.faults.extend(beyond);
        built.weights = of_layer.into_iter().flatten().flatten().collect();
        built
    }

    /// The fault of reading an output that a call does not have; a call that makes nothing is at fault itself.
    fn beyond(&self, made: &[Vec<Vec<usize>>], port: Port) -> Option<Error> {
        let Port::Output(call, output) = port else { return None };
        let count = made.get(call).map(Vec::len).filter(|count| (1..=output).contains(count))?;
        let (name, outputs) = (&self.names[self.calls[call].layer], if count == 1 { "output" } else { "outputs" });
        Some(Error::config(format!("reads output {output} of layer `{name}`, which has {count} {outputs}")))
    }

    fn weights_of_call(&self, index: usize, shapes: &[Vec<usize>]) -> Result<Vec<Weight>, Error> {
        let (layer, name) = (self.layers[index].as_ref(), &self.names[index]);
        let specs = layer.weights_for(shapes).and_then(|specs| check(layer, specs))?;
        let weight = |mut spec: WeightSpec| {
            spec.trainable &= layer.common().trainable;
            Weight { path: format!("{name}/{}", spec.name), layer: index, spec }
        };
        Ok(specs.into_iter().map(weight).collect())
    }
}

/// What building finds.
struct Built {
    shapes: Vec<Vec<Vec<usize>>>,
    weights: Vec<Weight>,
    faults: Vec<Error>,
    /// Whether a value is beyond all measure.
    is_too_large: bool,
}

impl Built {
    /// Adds a fault that was not told just now.
    fn fault(&mut self, fault: Error) {
        if self.faults.last() != Some(&fault) {
            self.faults.push(fault);
        }
    }

    /// Adds the fault of a value beyond all measure.
    fn fault_of_size(&mut self, fault: Error) {
        self.is_too_large = true;
        self.fault(fault);
    }

    /// The same without faults, or all of them.
    fn checked(self) -> Result<Built, Error> {
        Error::none_of(self.faults.clone()).map(|()| self)
    }
}

/// What building finds where `extent` stands for extents that are not known.
struct StoodIn {
    extent: usize,
    built: Built,
}

/// The faults of two such: those of both as they are, others with what stood for the extents.
fn faults_of(one: &StoodIn, other: &StoodIn) -> Vec<Error> {
    let (more, less) = if one.built.faults.is_empty() { (other, one) } else { (one, other) };
    let known: HashSet<&str> = less.built.faults.iter().map(Error::message).collect();
    let place = format!("with {} for each extent that is not known", more.extent);
    let told = |fault: &Error| match known.contains(fault.message()) {
        true => fault.clone(),
        false => fault.clone().at(&place),
    };
    more.built.faults.iter().map(told).collect()
}

fn shapes_of(weights: &[Weight]) -> Vec<&[usize]> {
    weights.iter().map(|weight| weight.spec.shape.as_slice()).collect()
}

/// The fault of what no machine holds, so that nobody has to think of the product of extents as larger than a number.
fn too_large(what: &str, shape: &[usize]) -> Option<Error> {
    let count = shape.iter().try_fold(1usize, |count, extent| count.checked_mul(*extent));
    if count.is_some_and(|count| count <= Type::LARGEST) {
        return None;
    }
    let (shape, largest) = (display_shape(shape), Type::LARGEST);
    let message = format!("{what} of shape {shape} would be more than {largest} numbers");
    Some(Error::new(ErrorKind::Shape, message).help("make the model smaller"))
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
