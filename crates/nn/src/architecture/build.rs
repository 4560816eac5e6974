//! How a model learns the shapes of its values and the weights of its layers.

use super::{Architecture, Port, Weight, numbers};
use crate::layer::{Layer, WeightSpec};
use crate::{Error, ErrorKind, Extents, Regularizer};
use footlight_graph::Type;
use footlight_tensor::display_shape;

/// What stands for extents that are not known, the first that fits: many, so that windows fit into them, and multiples of
/// 16 first, which halve and double well.
const STAND_INS: std::ops::Range<usize> = 1024..1040;

/// To this is what does not depend on them equal: further by a multiple of small numbers.
const FURTHER: usize = 960;

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
            check_size("the samples", shape)?;
        }
        let built = self.built(shapes)?;
        if !self.is_built {
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

    /// Finds weights and shapes for inputs of which some extents are not known: those that are the same whatever these are.
    fn build_open(&mut self, extents: &[Extents]) -> Result<(), Error> {
        let built = |extent: usize| {
            let shapes: Vec<Vec<usize>> = extents.iter().map(|extents| extents.with(extent)).collect();
            self.built(&shapes.iter().map(Vec::as_slice).collect::<Vec<_>>())
        };
        let with =
            |extent: usize| built(extent).map_err(|e| e.at(format!("with {extent} for each extent that is not known")));
        let first = with(STAND_INS.start);
        let fits = match first {
            Ok(first) => Ok((STAND_INS.start, first)),
            Err(fault) => STAND_INS.skip(1).find_map(|extent| Some((extent, built(extent).ok()?))).ok_or(fault),
        };
        let (extent, one) = fits?;
        let other = with(extent + FURTHER)?;
        let mut weights = one.weights.iter().zip(&other.weights);
        if let Some((a, b)) = weights.find(|(a, b)| a.spec.shape != b.spec.shape) {
            let (layer, name) = (self.layers[a.layer].as_ref(), &self.names[a.layer]);
            let shape = Extents::common_to(&a.spec.shape, &b.spec.shape);
            let message = format!("{} would have shape {shape}, which the inputs leave open", a.spec.name);
            let help = "give the inputs fixed shapes, or pool over what is open, such as by GlobalAveragePooling1D";
            let fault = Error::new(ErrorKind::Shape, message).help(help);
            return Err(fault.at_layer(name, layer.class_name()));
        }
        for (call, (one, other)) in self.calls.iter_mut().zip(one.shapes.iter().zip(&other.shapes)) {
            call.extents = one.iter().zip(other).map(|(a, b)| Extents::common_to(a, b)).collect();
        }
        (self.stand_in, self.weights, self.is_built) = (extent, one.weights, true);
        Ok(())
    }

    /// Finds the weights anew, after a setting of a layer was changed.
    pub(super) fn renew_weights(&mut self) -> Result<(), Error> {
        let shape = |input: &super::ModelInput| {
            input.shape.clone().or_else(|| Some(input.extents.as_ref()?.with(self.stand_in))).unwrap_or_default()
        };
        let shapes: Vec<Vec<usize>> = self.inputs.iter().map(shape).collect();
        self.weights = self.built(&shapes.iter().map(Vec::as_slice).collect::<Vec<_>>())?.weights;
        Ok(())
    }

    /// The shapes of all calls and the weights of all layers, or all faults.
    fn built(&self, shapes: &[&[usize]]) -> Result<Built, Error> {
        let mut built = Built { shapes: Vec::new(), weights: Vec::new() };
        let mut of_layer: Vec<Option<Vec<Weight>>> = vec![None; self.layers.len()];
        let mut faults = Vec::new();
        for call in &self.calls {
            let (layer, name) = (self.layers[call.layer].as_ref(), &self.names[call.layer]);
            let place = |e: Error| e.at_layer(name, layer.class_name());
            let given = |port: &Port| match port {
                Port::Input(input) => Some(shapes[*input].to_vec()),
                Port::Output(call, output) => built.shapes.get(*call).and_then(|shapes| shapes.get(*output)).cloned(),
            };
            let read: Option<Vec<Vec<usize>>> = call.inputs.iter().map(given).collect();
            let numbers = numbers::check(layer);
            // What follows a fault would be told about a shape that is not there.
            let (Some(read), Ok(())) = (read, &numbers) else {
                faults.extend(numbers.and_then(|()| layer.check()).map_err(place).err());
                built.shapes.push(vec![]);
                continue;
            };
            match self.weights_of_call(call.layer, &read) {
                Err(error) => faults.push(place(error)),
                Ok(weights) => match &of_layer[call.layer] {
                    None => of_layer[call.layer] = Some(weights),
                    Some(first) if shapes_of(first) != shapes_of(&weights) => {
                        let message =
                            "is called on samples of another shape than the first time, which its weights fit";
                        faults.push(place(Error::new(ErrorKind::Shape, message).help("use a layer for each")));
                    }
                    Some(_) => {}
                },
            }
            let outputs = layer.output_shapes(&read).and_then(|outputs| {
                outputs.iter().try_for_each(|shape| check_size("its output", shape)).map(|()| outputs)
            });
            built.shapes.push(outputs.unwrap_or_else(|error| {
                faults.push(place(error));
                vec![]
            }));
        }
        for port in &self.outputs {
            if let Port::Output(call, output) = port
                && faults.is_empty()
                && built.shapes[*call].len() <= *output
            {
                let name = &self.names[self.calls[*call].layer];
                faults.push(Error::config(format!("layer `{name}` has no output {output}, which the model puts out")));
            }
        }
        faults.dedup();
        built.weights = of_layer.into_iter().flatten().flatten().collect();
        if faults.is_empty() { Ok(built) } else { Err(Error::together(faults)) }
    }

    fn weights_of_call(&self, index: usize, shapes: &[Vec<usize>]) -> Result<Vec<Weight>, Error> {
        let (layer, name) = (self.layers[index].as_ref(), &self.names[index]);
        let specs = layer.check().and_then(|()| layer.weights_for(shapes)).and_then(|specs| check(layer, specs))?;
        specs.iter().try_for_each(|spec| check_size(&spec.name, &spec.shape))?;
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
}

fn shapes_of(weights: &[Weight]) -> Vec<&[usize]> {
    weights.iter().map(|weight| weight.spec.shape.as_slice()).collect()
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
