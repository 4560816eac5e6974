//! Models as graphs of calls: layers called on symbols, which stand for values to come.

use crate::architecture::{Architecture, LayerCall, ModelInput, Port};
use crate::layers::{Input, Operator};
use crate::{Error, Layer};
use std::collections::HashMap;
use std::fmt;
use std::ops::{Add, Div, Mul, Neg, Sub};
use std::sync::Arc;

/// A value to come: an input of a model, or what a layer makes of others.
///
/// # Examples
/// ```
/// use footlight_nn::{Architecture, Dense, Input, On};
/// let x = Input::new([8]).symbol();
/// let hidden = Dense::new(8).activation("relu").on(&x);
/// let y = Dense::new(1).on(&(&hidden + &x));
/// let model = Architecture::of_symbols("residual", [&x], [&y])?;
/// assert_eq!(model.layer_names(), ["input_layer", "dense", "add", "dense_1"]);
/// assert_eq!(model.output_shape(), Some(&[1][..]));
/// # Ok::<(), footlight_nn::Error>(())
/// ```
#[derive(Clone)]
pub struct Symbol {
    call: Arc<Recorded>,
    output: usize,
}

/// A call of a layer as it was written.
struct Recorded {
    layer: Shared,
    inputs: Vec<Symbol>,
    named: Vec<(String, Vec<Symbol>)>,
    infers: bool,
}

impl fmt::Debug for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "output {} of a {}", self.output, self.call.layer.0.class_name())
    }
}

impl Symbol {
    /// Another output of the layer that this is an output of, such as a state of an LSTM.
    pub fn output(&self, output: usize) -> Symbol {
        Symbol { output, ..self.clone() }
    }
}

/// A layer that is called several times with the same weights.
///
/// # Examples
/// ```
/// use footlight_nn::{Architecture, Dense, Input, Shared};
/// let (left, right) = (Input::new([8]).symbol(), Input::new([8]).symbol());
/// let tower = Shared::new(Dense::new(4));
/// let y = &tower.on(&left) - &tower.on(&right);
/// let model = Architecture::of_symbols("twins", [&left, &right], [&y])?;
/// assert_eq!(model.weights().len(), 2);
/// # Ok::<(), footlight_nn::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Shared(Arc<dyn Layer>);

impl Shared {
    /// A layer to be called several times.
    pub fn new(layer: impl Layer + 'static) -> Shared {
        Shared(Arc::new(layer))
    }

    /// What the layer makes of symbols: its first output.
    pub fn on(&self, inputs: impl Into<Symbols>) -> Symbol {
        self.call(inputs.into(), vec![], false)
    }

    /// As [`Shared::on`], with further symbols by name, such as `("mask", &mask)`; a name that comes again gives the next
    /// of several values.
    pub fn on_with(&self, inputs: impl Into<Symbols>, named: &[(&str, &Symbol)]) -> Symbol {
        let mut all: Vec<(String, Vec<Symbol>)> = Vec::new();
        for (name, symbol) in named {
            match all.iter_mut().find(|(known, _)| known == name) {
                Some((_, symbols)) => symbols.push((*symbol).clone()),
                None => all.push((name.to_string(), vec![(*symbol).clone()])),
            }
        }
        self.call(inputs.into(), all, false)
    }

    /// As [`Shared::on`], but the layer answers there even while the model trains: no dropout, and normalisation by moving
    /// statistics, which stay as they are. Keras' `training=False`.
    pub fn infer_on(&self, inputs: impl Into<Symbols>) -> Symbol {
        self.call(inputs.into(), vec![], true)
    }

    fn call(&self, inputs: Symbols, named: Vec<(String, Vec<Symbol>)>, infers: bool) -> Symbol {
        Symbol { call: Arc::new(Recorded { layer: self.clone(), inputs: inputs.0, named, infers }), output: 0 }
    }
}

/// Calls layers on symbols.
pub trait On: Layer + Sized + 'static {
    /// What the layer makes of symbols: its first output.
    fn on(self, inputs: impl Into<Symbols>) -> Symbol {
        Shared::new(self).on(inputs)
    }

    /// As [`On::on`], with further symbols by name, such as `("mask", &mask)`.
    fn on_with(self, inputs: impl Into<Symbols>, named: &[(&str, &Symbol)]) -> Symbol {
        Shared::new(self).on_with(inputs, named)
    }
}

impl<L: Layer + 'static> On for L {}

impl Input {
    /// The input as a value to come.
    pub fn symbol(self) -> Symbol {
        self.on(Symbols(vec![]))
    }
}

/// One symbol or several.
#[derive(Clone, Debug)]
pub struct Symbols(pub Vec<Symbol>);

impl From<&Symbol> for Symbols {
    fn from(symbol: &Symbol) -> Symbols {
        Symbols(vec![symbol.clone()])
    }
}

impl<const N: usize> From<[&Symbol; N]> for Symbols {
    fn from(symbols: [&Symbol; N]) -> Symbols {
        Symbols(symbols.into_iter().cloned().collect())
    }
}

impl From<&[Symbol]> for Symbols {
    fn from(symbols: &[Symbol]) -> Symbols {
        Symbols(symbols.to_vec())
    }
}

impl From<Vec<Symbol>> for Symbols {
    fn from(symbols: Vec<Symbol>) -> Symbols {
        Symbols(symbols)
    }
}

macro_rules! arithmetic {
    ($($trait:ident $method:ident $class:literal),*) => {$(
        impl $trait<&Symbol> for &Symbol {
            type Output = Symbol;
            fn $method(self, other: &Symbol) -> Symbol {
                Operator::of_tensors($class, 2).on([self, other])
            }
        }

        impl $trait<f32> for &Symbol {
            type Output = Symbol;
            fn $method(self, other: f32) -> Symbol {
                Operator::with_number($class, other).on(self)
            }
        }
    )*};
}
arithmetic!(Add add "Add", Sub sub "Subtract", Mul mul "Multiply", Div div "TrueDivide");

impl Neg for &Symbol {
    type Output = Symbol;
    fn neg(self) -> Symbol {
        Operator::of_tensors("Negative", 1).on(self)
    }
}

impl Architecture {
    /// The graph of calls between symbols.
    ///
    /// # Errors
    /// An output that depends on an input which is not listed; all faults of layers together.
    pub fn of_symbols(
        name: &str,
        inputs: impl Into<Symbols>,
        outputs: impl Into<Symbols>,
    ) -> Result<Architecture, Error> {
        let (inputs, outputs) = (inputs.into().0, outputs.into().0);
        let mut graph = Graph::default();
        for input in &inputs {
            graph.add_input(input)?;
        }
        outputs.iter().for_each(|output| graph.visit(output));
        if let Some(name) = graph.missing {
            let message = format!("the outputs depend on {name}, which is not among the inputs");
            return Err(Error::config(message).help("list every Input that an output depends on"));
        }
        let port = |symbol: &Symbol| Port::Output(graph.calls_of[&key(symbol)], symbol.output);
        let outputs = outputs.iter().map(port).collect();
        let mut inputs = graph.inputs;
        let names = crate::naming::names(&graph.layers);
        inputs.iter_mut().zip(names).for_each(|(input, name)| input.name = name);
        Architecture::functional(name, graph.layers, graph.calls, inputs, outputs)
    }
}

fn key(symbol: &Symbol) -> *const Recorded {
    Arc::as_ptr(&symbol.call)
}

/// Calls in the order of a walk from the outputs.
#[derive(Default)]
struct Graph {
    layers: Vec<Box<dyn Layer>>,
    layers_of: HashMap<*const (), usize>,
    calls: Vec<LayerCall>,
    calls_of: HashMap<*const Recorded, usize>,
    inputs: Vec<ModelInput>,
    missing: Option<String>,
}

impl Graph {
    fn add_input(&mut self, symbol: &Symbol) -> Result<(), Error> {
        let layer = &symbol.call.layer.0;
        if layer.class_name() != "InputLayer" {
            let message = format!("a model's inputs are made by Input, got the {symbol:?}");
            return Err(Error::config(message));
        }
        if self.calls_of.contains_key(&key(symbol)) {
            return Err(Error::config("an input is listed twice"));
        }
        let input = Port::Input(self.inputs.len());
        self.inputs.push(ModelInput::new(String::new(), layer.common().input_shape.clone()));
        self.push(symbol, vec![input], vec![]);
        Ok(())
    }

    fn push(&mut self, symbol: &Symbol, inputs: Vec<Port>, named: Vec<(String, Vec<Port>)>) {
        let Recorded { layer, infers, .. } = symbol.call.as_ref();
        let count = self.layers.len();
        let layer_index = *self.layers_of.entry(Arc::as_ptr(&layer.0).cast()).or_insert(count);
        if layer_index == count {
            self.layers.push(layer.0.clone_box());
        }
        self.calls_of.insert(key(symbol), self.calls.len());
        self.calls.push(LayerCall::new(layer_index, inputs, named, *infers));
    }

    /// Adds the call behind `symbol` after all that it reads.
    fn visit(&mut self, symbol: &Symbol) {
        let mut open = vec![(symbol.clone(), 0)];
        while let Some((symbol, next)) = open.pop() {
            if self.calls_of.contains_key(&key(&symbol)) {
                continue;
            }
            let call = &symbol.call;
            let arguments = || call.inputs.iter().chain(call.named.iter().flat_map(|(_, symbols)| symbols));
            if let Some(argument) = arguments().nth(next).cloned() {
                open.push((symbol, next + 1));
                open.push((argument, 0));
                continue;
            }
            if call.layer.0.class_name() == "InputLayer" {
                let name = call.layer.0.common().name.as_ref();
                let told = name.map_or("an input without a name".into(), |name| format!("input `{name}`"));
                self.missing.get_or_insert(told);
            }
            let port = |symbol: &Symbol| Port::Output(self.calls_of[&key(symbol)], symbol.output);
            let inputs = call.inputs.iter().map(port).collect();
            let named = call.named.iter().map(|(name, symbols)| (name.clone(), symbols.iter().map(port).collect()));
            let named = named.collect();
            self.push(&symbol, inputs, named);
        }
    }
}
