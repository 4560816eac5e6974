//! Operators of values: arithmetic, comparison, reduction, shape and slices, as Keras writes them among the layers.

use crate::config::{Config, Reader, shorten};
use crate::layer::{Call, Common, Form, Layer, Masked, WeightSpec, several_inputs};
use crate::layers::attending::{causal, truth};
use crate::{Activation, Error, ErrorKind, suggest};
use footlight_graph::ops::{Binary, Unary};
use footlight_graph::{Builder, Type, Value};
use footlight_tensor::display_shape;
use serde_json::{Value as Json, json};

/// An operator of values. It has no weights and no place in files of weights.
///
/// # Shapes
/// As NumPy defines each; axis 0, that of the batch, stays.
#[derive(Clone, Debug, PartialEq)]
pub struct Operator {
    common: Common,
    class: &'static str,
    /// What it is given, in order: `None` for a value of the model.
    arguments: Vec<Option<Json>>,
    settings: Config,
}

/// The classes, each with Keras' module and the keys of its settings.
const CLASSES: &[(&str, &str, &[&str])] = &[
    ("Add", NUMPY, &[]),
    ("Subtract", NUMPY, &[]),
    ("Multiply", NUMPY, &[]),
    ("Divide", NUMPY, &[]),
    ("TrueDivide", NUMPY, &[]),
    ("Power", NUMPY, &[]),
    ("Maximum", NUMPY, &[]),
    ("Minimum", NUMPY, &[]),
    ("Equal", NUMPY, &[]),
    ("NotEqual", NUMPY, &[]),
    ("Greater", NUMPY, &[]),
    ("GreaterEqual", NUMPY, &[]),
    ("Less", NUMPY, &[]),
    ("LessEqual", NUMPY, &[]),
    ("LogicalAnd", NUMPY, &[]),
    ("LogicalOr", NUMPY, &[]),
    ("LogicalNot", NUMPY, &[]),
    ("Negative", NUMPY, &[]),
    ("Absolute", NUMPY, &[]),
    ("Square", NUMPY, &[]),
    ("Sqrt", NUMPY, &[]),
    ("Exp", NUMPY, &[]),
    ("Log", NUMPY, &[]),
    ("Tanh", NUMPY, &[]),
    ("Matmul", NUMPY, &[]),
    ("GetItem", NUMPY, &[]),
    ("Relu", "keras.src.ops.nn", &[]),
    ("Sigmoid", "keras.src.ops.nn", &[]),
    ("Softmax", "keras.src.ops.nn", &["axis"]),
    ("Sum", NUMPY, &["axis", "keepdims"]),
    ("Mean", NUMPY, &["axis", "keepdims"]),
    ("Max", NUMPY, &["axis", "keepdims", "initial"]),
    ("Min", NUMPY, &["axis", "keepdims", "initial"]),
    ("Any", NUMPY, &["axis", "keepdims"]),
    ("All", NUMPY, &["axis", "keepdims"]),
    ("Concatenate", NUMPY, &["axis"]),
    ("Stack", NUMPY, &["axis"]),
    ("OnesLike", NUMPY, &["dtype"]),
    ("ZerosLike", NUMPY, &["dtype"]),
    ("Cumsum", NUMPY, &["axis", "dtype"]),
    ("ExpandDims", NUMPY, &["axis"]),
    ("Squeeze", NUMPY, &["axis"]),
    ("Reshape", NUMPY, &["newshape"]),
    ("Transpose", NUMPY, &["axes"]),
    ("Cast", "keras.src.ops.core", &["dtype"]),
];

const NUMPY: &str = "keras.src.ops.numpy";

impl Operator {
    fn new(class: &'static str, arguments: Vec<Option<Json>>, settings: Config) -> Operator {
        Operator { common: Common::default(), class, arguments, settings }
    }

    /// The operator of this class on so many values.
    pub(crate) fn of_tensors(class: &'static str, count: usize) -> Operator {
        Operator::new(class, vec![None; count], Config::new())
    }

    /// The operator of this class on a value and a number.
    pub(crate) fn with_number(class: &'static str, number: f32) -> Operator {
        Operator::new(class, vec![None, Some(json!(number))], Config::new())
    }

    /// Ones in the shape of a value.
    pub fn ones_like() -> Operator {
        Operator::new("OnesLike", vec![None], Config::new())
    }

    /// The sums of the first 1, 2, ... elements along `axis`, counted with that of the batch.
    ///
    /// # Examples
    /// A vector for each token and one for its place, from 1:
    /// ```
    /// use footlight_nn::{Embedding, Input, On, Operator};
    /// let tokens = Input::new([None]).symbol();
    /// let places = Operator::cumsum(1).on(&Operator::ones_like().on(&tokens));
    /// let x = &Embedding::new(1000, 64).on(&tokens) + &Embedding::new(129, 64).on(&places);
    /// ```
    pub fn cumsum(axis: i64) -> Operator {
        Operator::new("Cumsum", vec![None], crate::config::config! { "axis": axis })
    }

    /// The names of all operators as functions of `keras.ops`, such as `ones_like`.
    pub fn names() -> Vec<String> {
        CLASSES.iter().map(|(class, ..)| crate::to_snake_case(class)).collect()
    }

    /// Class, module and the keys of the settings of the operator of this name.
    pub fn by_name(name: &str) -> Option<(&'static str, &'static str, &'static [&'static str])> {
        CLASSES.iter().copied().find(|(class, ..)| crate::to_snake_case(class) == name)
    }

    /// Whether Keras' `module` is one of operators.
    pub(crate) fn is_module(module: &str) -> bool {
        module.starts_with("keras.src.ops.") || module == "keras.ops"
    }

    pub(crate) fn from_config(class: &str, read: &mut Reader<'_>) -> Result<Operator, Error> {
        let known = CLASSES.iter().find(|(known, ..)| *known == class);
        let Some((class, _, keys)) = known else {
            let names: Vec<&str> = CLASSES.iter().map(|(name, ..)| *name).collect();
            return Err(suggest::unknown("operator", class, &names));
        };
        let mut settings = Config::new();
        for key in *keys {
            let value = read.get(key).cloned().unwrap_or_default();
            settings.insert((*key).into(), value);
        }
        Ok(Operator::new(class, vec![], settings))
    }

    fn integers(&self, key: &str) -> Result<Option<Vec<i64>>, Error> {
        let value = self.settings.get(key).filter(|value| !value.is_null());
        let fault = |value: &Json| Error::config(format!("`{key}` = {}: expected whole numbers", shorten(value)));
        value.map(|value| integers(value).ok_or_else(|| fault(value))).transpose()
    }

    /// The axes of `axis`, which may be one or several, all but that of the batch if there is none.
    fn axes(&self, rank: usize) -> Result<Vec<usize>, Error> {
        let Some(given) = self.integers("axis")? else {
            return Err(Error::config("`axis` is missing: samples stay apart").help("name the axes, without 0"));
        };
        let mut axes: Vec<usize> = given.iter().map(|axis| axis_of(*axis, rank)).collect::<Result<_, _>>()?;
        axes.sort_unstable();
        axes.dedup();
        Ok(axes)
    }

    fn record(&self, g: &mut Builder, values: &[Value]) -> Result<Value, Error> {
        let first = *values.first().ok_or_else(|| Error::config("is given no value"))?;
        if let Some(kind) = self.elementwise() {
            let operands = self.operands(g, values)?;
            return match (kind, operands.as_slice()) {
                (Elementwise::Unary(kind), [x]) => Ok(g.unary(kind, *x)),
                (Elementwise::Binary(kind), [a, b]) => Ok(g.binary(kind, *a, *b)),
                (Elementwise::Composed(compose), operands) if !operands.is_empty() => Ok(compose(g, operands)),
                _ => Err(Error::config(format!("is given {} values", operands.len()))),
            };
        }
        let shape = g.shape(first);
        match self.class {
            "Sum" | "Mean" | "Max" | "Min" | "Any" | "All" => self.reduce(g, first),
            "Softmax" => {
                let axis = self.axes(shape.len())?;
                match axis[..] {
                    [axis] if axis + 1 == shape.len() => Ok(g.softmax(first)),
                    _ => Err(Error::config("a softmax operator goes along the last axis")),
                }
            }
            "Concatenate" => {
                let axis = self.axes(shape.len())?;
                Ok(g.concat(values, axis[0]))
            }
            "Stack" => {
                let axis = self.axes(shape.len() + 1)?[0];
                let wide = [&shape[..axis], &[1], &shape[axis..]].concat();
                let columns: Vec<Value> = values.iter().map(|value| g.reshape(*value, wide.clone())).collect();
                Ok(g.concat(&columns, axis))
            }
            "ExpandDims" => {
                let axis = self.axes(shape.len() + 1)?[0];
                Ok(g.reshape(first, [&shape[..axis], &[1], &shape[axis..]].concat()))
            }
            "Squeeze" => {
                let axes = self.axes(shape.len())?;
                if axes.iter().any(|axis| shape[*axis] != 1) {
                    let message = format!("axes {axes:?} of {} are not all of extent 1", display_shape(&shape));
                    return Err(Error::new(ErrorKind::Shape, message));
                }
                let kept = shape.iter().enumerate().filter(|(axis, _)| !axes.contains(axis)).map(|(_, d)| *d);
                Ok(g.reshape(first, kept.collect::<Vec<_>>()))
            }
            "Reshape" => self.reshape(g, first),
            "Transpose" => {
                let axes = self.integers("axes")?.unwrap_or_default();
                let order: Vec<usize> = axes.iter().filter_map(|axis| usize::try_from(*axis).ok()).collect();
                let mut sorted = order.clone();
                sorted.sort_unstable();
                if sorted != (0..shape.len()).collect::<Vec<_>>() || order.first() != Some(&0) {
                    return Err(Error::config(format!(
                        "axes = {axes:?} must order all axes and keep that of the batch"
                    )));
                }
                Ok(g.transpose(first, order))
            }
            "GetItem" => self.item(g, first),
            "Cast" => Ok(first),
            "OnesLike" | "ZerosLike" => {
                let number = g.constant(f32::from(u8::from(self.class == "OnesLike")));
                Ok(g.broadcast(number, shape))
            }
            "Cumsum" => match self.axes(shape.len())?[..] {
                [axis] => Ok(running_sum(g, first, axis)),
                _ => Err(Error::config("a running sum goes along one axis")),
            },
            "Matmul" => match values {
                [a, b] => Ok(g.matmul(*a, *b)),
                _ => Err(Error::config("multiplies two values of the model")),
            },
            other => Err(Error::config(format!("operator `{other}` is not supported"))),
        }
    }

    /// All operands of an elementwise operator, numbers too.
    fn operands(&self, g: &mut Builder, values: &[Value]) -> Result<Vec<Value>, Error> {
        if self.arguments.is_empty() {
            return Ok(values.to_vec());
        }
        let mut values = values.iter();
        let mut operands = Vec::new();
        for argument in &self.arguments {
            operands.push(match argument {
                None => *values.next().ok_or_else(|| Error::config("is given too few values"))?,
                Some(Json::Bool(truth)) => g.constant(f32::from(u8::from(*truth))),
                Some(number) => match number.as_f64() {
                    Some(number) => g.constant(number as f32),
                    None => return Err(Error::config(format!("is given {}, which is no number", shorten(number)))),
                },
            });
        }
        operands.extend(values);
        Ok(operands)
    }

    fn elementwise(&self) -> Option<Elementwise> {
        use Elementwise::{Binary as B, Composed, Unary as U};
        Some(match self.class {
            "Add" => B(Binary::Add),
            "Subtract" => B(Binary::Sub),
            "Multiply" => B(Binary::Mul),
            "Divide" | "TrueDivide" => B(Binary::Div),
            "Power" => B(Binary::Pow),
            "Maximum" => B(Binary::Maximum),
            "Minimum" => B(Binary::Minimum),
            "Equal" => B(Binary::Equal),
            "Greater" => B(Binary::Greater),
            "GreaterEqual" => B(Binary::GreaterEqual),
            "Less" => Composed(|g, x| g.binary(Binary::Greater, x[1], x[0])),
            "LessEqual" => Composed(|g, x| g.binary(Binary::GreaterEqual, x[1], x[0])),
            "NotEqual" => Composed(|g, x| {
                let equal = g.binary(Binary::Equal, x[0], x[1]);
                g.scalar_sub(1.0, equal)
            }),
            "LogicalAnd" => Composed(|g, x| {
                let (a, b) = (truth(g, x[0]), truth(g, x[1]));
                g.mul(a, b)
            }),
            "LogicalOr" => Composed(|g, x| {
                let (a, b) = (truth(g, x[0]), truth(g, x[1]));
                g.binary(Binary::Maximum, a, b)
            }),
            "LogicalNot" => Composed(|g, x| {
                let zero = g.constant(0.0);
                g.binary(Binary::Equal, x[0], zero)
            }),
            "Square" => Composed(|g, x| g.mul(x[0], x[0])),
            "Negative" => U(Unary::Neg),
            "Absolute" => U(Unary::Abs),
            "Sqrt" => U(Unary::Sqrt),
            "Exp" => U(Unary::Exp),
            "Log" => U(Unary::Log),
            "Tanh" => U(Unary::Tanh),
            "Sigmoid" => U(Unary::Sigmoid),
            "Relu" => Composed(|g, x| Activation::Relu.lower(g, x[0])),
            _ => return None,
        })
    }

    fn reduce(&self, g: &mut Builder, x: Value) -> Result<Value, Error> {
        let axes = self.axes(g.shape(x).len())?;
        let keepdims = self.settings.get("keepdims").and_then(Json::as_bool).unwrap_or(false);
        if self.settings.get("initial").is_some_and(|initial| !initial.is_null()) {
            return Err(Error::config("`initial` is not supported").in_key("initial"));
        }
        Ok(match self.class {
            "Sum" => g.reduce_sum(x, &axes, keepdims),
            "Mean" => g.reduce_mean(x, &axes, keepdims),
            "Max" => g.reduce_max(x, &axes, keepdims),
            "Any" => {
                let is_true = truth(g, x);
                g.reduce_max(is_true, &axes, keepdims)
            }
            class => {
                let is_all = class == "All";
                let x = if is_all { truth(g, x) } else { x };
                let negative = g.neg(x);
                let most = g.reduce_max(negative, &axes, keepdims);
                g.neg(most)
            }
        })
    }

    fn reshape(&self, g: &mut Builder, x: Value) -> Result<Value, Error> {
        let shape = g.shape(x);
        let asked = self.integers("newshape")?.unwrap_or_default();
        let mut extents = asked.clone();
        // The batch is written as -1, or as what it was when the model was made.
        if let Some(first) = extents.first_mut() {
            *first = shape[0] as i64;
        }
        let known: i64 = extents.iter().filter(|d| **d >= 0).product();
        let count: usize = shape.iter().product();
        if let Some(free) = extents.iter_mut().find(|d| **d < 0) {
            *free = (count as i64).checked_div(known).unwrap_or(0);
        }
        let shape: Option<Vec<usize>> = extents.iter().map(|d| usize::try_from(*d).ok()).collect();
        match shape.filter(|shape| shape.iter().product::<usize>() == count) {
            Some(shape) => Ok(g.reshape(x, shape)),
            None => Err(Error::new(ErrorKind::Shape, format!("cannot take shape {asked:?}"))),
        }
    }

    /// `x[...]` by numbers and ranges of step 1.
    fn item(&self, g: &mut Builder, mut x: Value) -> Result<Value, Error> {
        let key = self.arguments.iter().flatten().next().cloned().unwrap_or_default();
        let keys = if let Json::Array(list) = key { list } else { vec![key] };
        let unsupported = |key: &Json| Error::config(format!("an index of {} is not supported", shorten(key)));
        let class = |key: &Json| key.get("class_name").and_then(Json::as_str).map(str::to_string);
        let (rank, mut axis, mut dropped) = (g.shape(x).len(), 0, Vec::new());
        let given = keys.iter().filter(|key| class(key).as_deref() != Some("__ellipsis__")).count();
        for key in &keys {
            if class(key).as_deref() == Some("__ellipsis__") {
                axis += rank.saturating_sub(given);
                continue;
            }
            let Some(extent) = g.shape(x).get(axis).copied() else { return Err(unsupported(key)) };
            let resolve = |at: i64| if at < 0 { at + extent as i64 } else { at }.clamp(0, extent as i64) as usize;
            let range = if let Some(at) = key.as_i64() {
                let at = resolve(at);
                dropped.push(axis);
                at..at + 1
            } else if class(key).as_deref() == Some("__slice__") {
                let bound = |name: &str| key.pointer(&format!("/config/{name}")).filter(|value| !value.is_null());
                if bound("step").is_some_and(|step| step.as_i64() != Some(1)) {
                    return Err(unsupported(key));
                }
                let end = |name: &str, default: usize| match bound(name) {
                    None => Ok(default),
                    Some(value) => value.as_i64().map(resolve).ok_or_else(|| unsupported(key)),
                };
                end("start", 0)?..end("stop", extent)?
            } else {
                return Err(unsupported(key));
            };
            let is_whole = range == (0..extent);
            if (axis == 0 && (!is_whole || dropped.contains(&0))) || range.is_empty() || range.end > extent {
                let shape = display_shape(&g.shape(x));
                return Err(Error::config(format!("axis {axis} of {shape} has no part {range:?} that can be taken")));
            }
            x = g.slice_axis(x, axis, range);
            axis += 1;
        }
        let shape = g.shape(x);
        let kept = shape.iter().enumerate().filter(|(axis, _)| !dropped.contains(axis)).map(|(_, d)| *d);
        Ok(g.reshape(x, kept.collect::<Vec<_>>()))
    }
}

enum Elementwise {
    Unary(Unary),
    Binary(Binary),
    Composed(fn(&mut Builder, &[Value]) -> Value),
}

/// The sums of the first 1, 2, ... elements along `axis`: a product with a triangle of ones.
fn running_sum(g: &mut Builder, x: Value, axis: usize) -> Value {
    let shape = g.shape(x);
    let mut order: Vec<usize> = (0..shape.len()).collect();
    order.swap(axis, shape.len() - 1);
    let rows = g.transpose(x, order.clone());
    let is_past = causal(g, shape[axis], shape[axis]);
    let sums = g.matmul_broadcast(rows, is_past, false, true);
    g.transpose(sums, order)
}

fn integers(value: &Json) -> Option<Vec<i64>> {
    match value {
        Json::Array(list) => list.iter().map(Json::as_i64).collect(),
        one => one.as_i64().map(|one| vec![one]),
    }
}

/// An axis counted from the batch, which it must not be.
fn axis_of(axis: i64, rank: usize) -> Result<usize, Error> {
    let from_first = if axis < 0 { axis + rank as i64 } else { axis };
    let found = usize::try_from(from_first).ok().filter(|axis| (1..rank).contains(axis));
    found.ok_or_else(|| Error::config(format!("axis {axis} is that of the batch, or does not exist with {rank} axes")))
}

impl Layer for Operator {
    fn class_name(&self) -> &'static str {
        self.class
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn common_mut(&mut self) -> &mut Common {
        &mut self.common
    }

    several_inputs!();

    /// By recording the operator on values of these shapes.
    fn output_shapes(&self, inputs: &[Vec<usize>]) -> Result<Vec<Vec<usize>>, Error> {
        let mut g = Builder::new();
        let input = |shape: &Vec<usize>| g.input("x", Type::f32([&[1], shape.as_slice()].concat()));
        let values: Vec<Value> = inputs.iter().map(input).collect();
        let value = self.record(&mut g, &values)?;
        if let Some(fault) = g.faults().first() {
            return Err(Error::new(ErrorKind::Shape, fault.message.clone()));
        }
        Ok(vec![g.shape(value).get(1..).unwrap_or_default().to_vec()])
    }

    fn weights_for(&self, _: &[Vec<usize>]) -> Result<Vec<WeightSpec>, Error> {
        Ok(Vec::new())
    }

    fn call_all(&self, cx: &mut Call<'_>, inputs: &[Masked]) -> Vec<Masked> {
        let values: Vec<Value> = inputs.iter().map(|input| input.value).collect();
        match self.record(cx.graph, &values) {
            Ok(value) => vec![Masked::new(value)],
            Err(error) => {
                vec![Masked::new(cx.graph.fault(footlight_graph::ErrorKind::Shape, error.message(), error.help_text()))]
            }
        }
    }

    fn form(&self) -> Form {
        Form::Operator
    }

    fn write_arguments(&self, values: Vec<Json>) -> Vec<Json> {
        if matches!(self.class, "Concatenate" | "Stack") {
            return vec![values.into()];
        }
        let mut values = values.into_iter();
        let mut all: Vec<Json> =
            self.arguments.iter().map(|kept| kept.clone().or_else(|| values.next()).unwrap_or_default()).collect();
        all.extend(values);
        all
    }

    fn read_arguments(&mut self, arguments: Vec<Json>) -> Result<(), Error> {
        self.arguments = arguments.into_iter().map(|value| Some(value).filter(|value| !value.is_null())).collect();
        Ok(())
    }

    fn entry(&self, name: &str) -> Option<Json> {
        let module = CLASSES.iter().find(|(class, ..)| *class == self.class).map_or(NUMPY, |(_, module, _)| module);
        let mut config = crate::config::config! { "name": name };
        config.extend(self.settings.clone());
        Some(json!({ "module": module, "class_name": self.class, "config": config, "registered_name": self.class }))
    }
}
