//! What the suites share: samples filled with numbers, graphs made of them, runners and comparison.

use footlight_cpu::naive::{self, NaiveData, NaiveValue, Scalar};
use footlight_cpu::{Engine, Feed, Isa};
use footlight_graph::ops::{Sample, SampleInput};
use footlight_graph::{Builder, Graph, Role, Value};
use footlight_tensor::{Data, Philox, RandomKey, Tensor};
use std::collections::HashMap;

pub type Values<S> = HashMap<String, NaiveValue<S>>;

/// A sample as a graph: float inputs are states `x0`, `x1`... so that gradients by them can be taken; integers are inputs.
pub struct Case {
    pub graph: Graph,
    pub floats: Vec<Value>,
    pub feeds: Values<f64>,
    pub states: Values<f64>,
}

/// Numbers that single precision holds, so that what differs between precisions is the arithmetic alone.
pub fn singles(shape: impl Into<Vec<usize>>, mut number: impl FnMut() -> f64) -> NaiveValue<f64> {
    let shape = shape.into();
    let count = shape.iter().product();
    NaiveValue::float(shape, (0..count).map(|_| f64::from(number() as f32)).collect())
}

fn fill(input: &SampleInput, rng: &mut Philox) -> NaiveValue<f64> {
    match input {
        SampleInput::Uniform(shape, low, high) => singles(shape.as_slice(), || low + (high - low) * rng.uniform_f64()),
        SampleInput::Apart(shape) => {
            let count: usize = shape.iter().product();
            // Magnitudes on a grid that keeps clear of 0, of whole numbers and of each other.
            let mut data: Vec<f64> = (0..count)
                .map(|i| (0.13 + 0.11 * i as f64) * if rng.below(2) == 0 { 1.0 } else { -1.0 })
                .map(|x: f64| if (x - x.round()).abs() < 0.02 { x + 0.03 } else { x })
                .collect();
            rng.shuffle(&mut data);
            let mut data = data.into_iter();
            singles(shape.as_slice(), || data.next().expect("one for each element"))
        }
        SampleInput::Index(shape, bound) => {
            let count = shape.iter().product();
            NaiveValue::int(shape.clone(), (0..count).map(|_| rng.below(*bound as u32) as i32).collect())
        }
    }
}

/// The graph of one sample; outputs are `y0`, `y1`... and the caller may go on building.
pub fn build(sample: &Sample, seed: u64) -> (Builder, Vec<Value>, Vec<Value>, Case) {
    let mut rng = Philox::new(RandomKey::new(seed));
    let mut builder = Builder::new();
    let (mut inputs, mut floats) = (Vec::new(), Vec::new());
    let (mut feeds, mut states) = (HashMap::new(), HashMap::new());
    for (i, input) in sample.inputs.iter().enumerate() {
        let (name, value) = (format!("x{i}"), fill(input, &mut rng));
        match input {
            SampleInput::Index(..) => {
                inputs.push(builder.input(&name, input.type_()));
                feeds.insert(name, value);
            }
            _ => {
                let state = builder.state(&name, input.type_(), Role::Parameter);
                inputs.push(state);
                floats.push(state);
                states.insert(name, value);
            }
        }
    }
    let outputs = builder.push(sample.op.clone(), &inputs);
    for (i, output) in outputs.iter().enumerate() {
        builder.output(&format!("y{i}"), *output);
    }
    let case = Case { graph: Graph::default(), floats, feeds, states };
    (builder, inputs, outputs, case)
}

/// The same values in another float type.
pub fn convert<S: Scalar>(values: &Values<f64>) -> Values<S> {
    let value = |v: &NaiveValue<f64>| match &v.data {
        NaiveData::Float(x) => NaiveValue::float(v.shape.clone(), x.iter().map(|x| S::from_f64(*x)).collect()),
        NaiveData::Int(x) => NaiveValue::int(v.shape.clone(), x.clone()),
    };
    values.iter().map(|(name, v)| (name.clone(), value(v))).collect()
}

/// Something that runs a graph: answers its outputs, and the states after the run.
pub trait Runner {
    fn name(&self) -> String;
    fn run(&self, graph: &Graph, feeds: &Values<f32>, states: &Values<f32>) -> (Values<f32>, Values<f32>);
}

pub struct Naive;

impl Runner for Naive {
    fn name(&self) -> String {
        "naive".into()
    }
    fn run(&self, graph: &Graph, feeds: &Values<f32>, states: &Values<f32>) -> (Values<f32>, Values<f32>) {
        let mut states = states.clone();
        (naive::run(graph, feeds, &mut states).unwrap(), states)
    }
}

/// A planned session; every freed range of its memory is filled with NaN.
pub struct Planned {
    pub threads: usize,
    pub simplified: bool,
    pub isa: Isa,
    /// Whether the plan is cut into the smallest blocks, so that every thread gets some.
    pub finest: bool,
    pub poison: bool,
}

impl Planned {
    pub fn new(threads: usize, isa: Isa) -> Planned {
        Planned { threads, simplified: true, isa, finest: false, poison: true }
    }
}

impl Runner for Planned {
    fn name(&self) -> String {
        let stage = if self.simplified { "simplified" } else { "raw" };
        let blocks = if self.finest { "smallest blocks, " } else { "" };
        format!("{stage} plan, {blocks}{} threads, {}", self.threads, self.isa.name())
    }
    fn run(&self, graph: &Graph, feeds: &Values<f32>, states: &Values<f32>) -> (Values<f32>, Values<f32>) {
        let mut engine = Engine::with_isa(self.threads, self.isa);
        engine.poison_freed_memory(self.poison);
        engine.cut_finely(self.finest);
        let session = if self.simplified { engine.compile(graph) } else { engine.compile_raw(graph) };
        let mut session = session.unwrap();
        for state in graph.states() {
            let value = to_tensor(&states[&state.name]);
            engine.store_mut().set(&state.name, state.role, &value).unwrap();
        }
        let inputs: Vec<Feed<'_>> = graph
            .inputs()
            .map(|(name, _)| match &feeds[name].data {
                NaiveData::Float(v) => Feed::F32(v),
                NaiveData::Int(v) => Feed::I32(v),
            })
            .collect();
        session.run(&mut engine, &inputs).unwrap();
        let outputs =
            graph.outputs().iter().map(|(name, _)| (name.clone(), from_tensor(session.output(&engine, name).unwrap())));
        let outputs = outputs.collect();
        let after = graph.states().iter().map(|s| (s.name.clone(), from_tensor(engine.store().get(&s.name).unwrap())));
        (outputs, after.collect())
    }
}

/// Every way to run a graph beside the specification.
pub fn runners() -> Vec<Box<dyn Runner>> {
    let mut list: Vec<Box<dyn Runner>> = Vec::new();
    for isa in Isa::available() {
        list.push(Box::new(Planned { simplified: false, ..Planned::new(1, isa) }));
        list.push(Box::new(Planned { simplified: false, finest: true, ..Planned::new(4, isa) }));
        list.push(Box::new(Planned::new(1, isa)));
        for threads in [1, 2, 3, 4] {
            list.push(Box::new(Planned { finest: true, ..Planned::new(threads, isa) }));
        }
    }
    list
}

fn to_tensor(value: &NaiveValue<f32>) -> Tensor {
    match &value.data {
        NaiveData::Float(v) => Tensor::new(value.shape.clone(), v.clone()).unwrap(),
        NaiveData::Int(v) => Tensor::new(value.shape.clone(), v.clone()).unwrap(),
    }
}

fn from_tensor(tensor: Tensor) -> NaiveValue<f32> {
    let shape = tensor.shape().to_vec();
    match tensor.into_data() {
        Data::F32(v) => NaiveValue::float(shape, v),
        Data::I32(v) => NaiveValue::int(shape, v),
        other => panic!("a graph holds no {}", other.dtype()),
    }
}

/// How far numbers may be from what is expected.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    /// By this part of each number itself.
    OfEach(f64),
    /// By this part of the largest magnitude.
    OfLargest(f64),
}

/// What differs by more than `limit` of the largest magnitude of the expected value; `None` if nothing does.
pub fn difference<A: Scalar, B: Scalar>(want: &NaiveValue<A>, got: &NaiveValue<B>, limit: f64) -> Option<String> {
    beyond(want, got, Limit::OfLargest(limit))
}

/// What differs by more than the limit; `None` if nothing does.
pub fn beyond<A: Scalar, B: Scalar>(want: &NaiveValue<A>, got: &NaiveValue<B>, limit: Limit) -> Option<String> {
    if want.shape != got.shape {
        return Some(format!("shape {:?}, expected {:?}", got.shape, want.shape));
    }
    let (Some(want), Some(got)) = (want.as_float(), got.as_float()) else {
        return (want.as_int() != got.as_int())
            .then(|| format!("got {:?}, expected {:?}", got.as_int(), want.as_int()));
    };
    let size = want.iter().map(|x| x.to_f64().abs()).filter(|x| x.is_finite()).fold(1e-30, f64::max);
    let allowed = |w: f64| match limit {
        Limit::OfEach(part) => part * w.abs(),
        Limit::OfLargest(part) => part * size,
    };
    let differs = |(w, g): (f64, f64)| !(w == g || (w.is_nan() && g.is_nan()) || (w - g).abs() <= allowed(w));
    let at = want.iter().zip(got).position(|(w, g)| differs((w.to_f64(), g.to_f64())))?;
    Some(format!("element {at}: got {:?}, expected {:?} (largest {size:e})", got[at], want[at]))
}
