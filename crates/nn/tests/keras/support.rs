//! What the suites share: records of Keras, comparison that names every failing case, and runs of graphs.

use footlight_cpu::naive::{self, NaiveData, NaiveValue, Scalar};
use footlight_graph::Graph;
use footlight_tensor::{DType, Tensor};
use serde_json::Value as Json;
use std::collections::HashMap;
use std::path::Path;

pub type Values<S> = HashMap<String, NaiveValue<S>>;

/// Layers of several inputs; Keras' file of a graph has one of each.
pub const MERGES: [&str; 8] = ["Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Dot"];

/// A record below the root of the workspace.
pub fn record(path: &str) -> Json {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Configurations, summaries, names and optimizer trajectories of Keras.
pub fn keras() -> Json {
    record("fixtures/configs.json")
}

pub fn list(value: &Json) -> &[Json] {
    value.as_array().unwrap_or_else(|| panic!("expected a list, got {value}"))
}

pub fn text(value: &Json) -> &str {
    value.as_str().unwrap_or_else(|| panic!("expected a text, got {value}"))
}

/// Numbers; `null` becomes NaN.
pub fn floats(value: &Json) -> Vec<f32> {
    list(value).iter().map(|v| v.as_f64().map_or(f32::NAN, |x| x as f32)).collect()
}

pub fn extents(value: &Json) -> Vec<usize> {
    list(value).iter().map(|v| v.as_u64().expect("an extent") as usize).collect()
}

/// A tensor of a record: `{"shape": [...], "data": [...]}`; whole numbers become an integer tensor.
pub fn tensor<S: Scalar>(value: &Json) -> NaiveValue<S> {
    let (shape, data) = (extents(&value["shape"]), list(&value["data"]));
    if !data.is_empty() && data.iter().all(|v| v.is_i64() || v.is_u64()) {
        return NaiveValue::int(shape, data.iter().map(|v| v.as_i64().expect("an integer") as i32).collect());
    }
    NaiveValue::float(shape, floats(&value["data"]).into_iter().map(|x| S::from_f64(f64::from(x))).collect())
}

pub fn of_tensor<S: Scalar>(tensor: &Tensor) -> NaiveValue<S> {
    NaiveValue::float(tensor.shape(), tensor.to_f64().into_iter().map(S::from_f64).collect())
}

pub fn numbers<S: Scalar>(value: &NaiveValue<S>) -> Vec<f64> {
    match &value.data {
        NaiveData::Float(x) => x.iter().map(|x| x.to_f64()).collect(),
        NaiveData::Int(x) => x.iter().map(|x| f64::from(*x)).collect(),
    }
}

/// All states of `graph` at zero, save those in `known`.
pub fn states<S: Scalar>(graph: &Graph, known: &Values<S>) -> Values<S> {
    let value = |ty: &footlight_graph::Type| match ty.dtype {
        DType::I32 => NaiveValue::int(ty.shape.clone(), vec![0; ty.len()]),
        _ => NaiveValue::float(ty.shape.clone(), vec![S::from_f64(0.0); ty.len()]),
    };
    let all = graph.states().iter().map(|s| (s.name.clone(), known.get(&s.name).cloned()));
    all.zip(graph.states()).map(|((name, v), s)| (name, v.unwrap_or_else(|| value(graph.type_of(s.value))))).collect()
}

pub fn run<S: Scalar>(graph: &Graph, feeds: &[(&str, NaiveValue<S>)], states: &mut Values<S>) -> Values<S> {
    let feeds = feeds.iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
    naive::run(graph, &feeds, states).expect("all inputs and states are given")
}

/// How far a number may be from the record: `absolute + relative |number|`.
#[derive(Clone, Copy)]
pub struct Tolerance {
    pub absolute: f64,
    pub relative: f64,
}

impl Tolerance {
    pub fn of(record: &Json) -> Tolerance {
        let part = |key: &str| record["tolerance"][key].as_f64().expect("a tolerance");
        Tolerance { absolute: part("absolute"), relative: part("relative") }
    }
}

/// Collects the cases that fail, to report them together.
#[derive(Default)]
pub struct Report {
    cases: usize,
    failures: Vec<String>,
}

impl Report {
    pub fn fail(&mut self, case: &str, message: impl std::fmt::Display) {
        self.failures.push(format!("{case}: {message}"));
    }

    pub fn equal<T: PartialEq + std::fmt::Debug>(&mut self, case: &str, got: T, want: T) {
        self.cases += 1;
        if got != want {
            self.fail(case, format!("\n  got  {got:?}\n  want {want:?}"));
        }
    }

    /// Compares numbers; where `want` is NaN anything is right.
    pub fn close(&mut self, case: &str, got: &[f64], want: &[f64], tolerance: Tolerance) {
        self.cases += 1;
        if got.len() != want.len() {
            return self.fail(case, format!("{} numbers, want {}", got.len(), want.len()));
        }
        let excess = |(got, want): (&f64, &f64)| {
            let limit = tolerance.absolute + tolerance.relative * want.abs();
            if want.is_nan() || got == want { 0.0 } else { ((got - want).abs() / limit).max(0.0) }
        };
        let of = |i: usize| excess((&got[i], &want[i]));
        // A NaN that is not wanted counts as worst.
        let key = |i: &usize| if of(*i).is_nan() { f64::INFINITY } else { of(*i) };
        let Some(worst) = (0..got.len()).max_by(|a, b| key(a).total_cmp(&key(b))) else { return };
        if key(&worst) > 1.0 {
            let (got, want) = (got[worst], want[worst]);
            let (absolute, relative) = ((got - want).abs(), (got - want).abs() / want.abs());
            self.fail(case, format!("[{worst}] {got} for {want}: off by {absolute:.2e}, relative {relative:.2e}"));
        }
    }

    pub fn finish(self) {
        assert!(self.cases > 0, "no case was checked");
        let (failed, all) = (self.failures.len(), self.cases);
        assert!(self.failures.is_empty(), "{failed} failures in {all} checks:\n{}", self.failures.join("\n"));
    }
}

pub fn f64s(values: &[f32]) -> Vec<f64> {
    values.iter().map(|x| f64::from(*x)).collect()
}

/// Where two configurations differ, numbers being compared as float32: paths such as `config.layers[1].name`.
pub fn differences(got: &Json, want: &Json) -> Vec<String> {
    let mut found = Vec::new();
    compare("", got, want, &mut found);
    found
}

fn compare(path: &str, got: &Json, want: &Json, found: &mut Vec<String>) {
    match (got, want) {
        (Json::Object(a), Json::Object(b)) => {
            let keys = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
            for key in keys {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                match (a.get(key), b.get(key)) {
                    (Some(a), Some(b)) => compare(&path, a, b, found),
                    (Some(_), None) => found.push(format!("{path} is not Keras'")),
                    _ => found.push(format!("{path} is missing")),
                }
            }
        }
        (Json::Array(a), Json::Array(b)) if a.len() == b.len() => {
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                compare(&format!("{path}[{i}]"), a, b, found);
            }
        }
        (Json::Number(a), Json::Number(b)) => {
            if a.as_f64().map(|x| x as f32) != b.as_f64().map(|x| x as f32) {
                found.push(format!("{path}: {a}, not {b}"));
            }
        }
        _ if got == want => {}
        _ => found.push(format!("{path}: {got}, not {want}")),
    }
}
