//! Every op of the catalogue, checked by construction: gradients against central differences, every runner against the
//! specification. A new op without samples, or with silence for a gradient, fails by name.

mod common;

use common::{Case, Limit, Naive, Planned, Runner, beyond, build, convert, difference, runners, singles};
use footlight_cpu::naive::{self, NaiveValue, Scalar};
use footlight_cpu::{CpuTarget, Isa};
use footlight_graph::ops::{AdamUpdate, Backward, Binary, Gradient, Sample, SampleInput, Unary, catalogue};
use footlight_graph::simplify::simplify;
use footlight_graph::{Builder, Node, Op, OpRule, Role, Type, differentiate};
use footlight_tensor::{DType, Philox, RandomKey};
use std::collections::HashMap;

fn samples() -> Vec<(String, Sample)> {
    let mut all = Vec::new();
    for (name, samples) in catalogue() {
        for (i, sample) in samples.into_iter().enumerate() {
            all.push((format!("{name} sample {i} ({})", sample.op), sample));
        }
    }
    all
}

fn report(failures: Vec<String>) {
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_op_has_samples_that_fit_its_shape_rule() {
    let mut failures = Vec::new();
    for (name, samples) in catalogue() {
        if samples.is_empty() && !["Input", "State", "Constant", "Given"].contains(&name) {
            failures.push(format!("{name} has no samples"));
        }
        for sample in samples {
            let types: Vec<Type> = sample.inputs.iter().map(|i| i.type_()).collect();
            if let Err(message) = sample.op.infer(&types.iter().collect::<Vec<_>>()) {
                failures.push(format!("{name} {}: {message}", sample.op));
            }
        }
    }
    let kinds: Vec<Op> = samples().into_iter().map(|(_, s)| s.op).collect();
    let elementwise = Unary::ALL.iter().map(|k| Op::Unary(*k)).chain(Binary::ALL.iter().map(|k| Op::Binary(*k)));
    failures.extend(elementwise.filter(|op| !kinds.contains(op)).map(|op| format!("{op} has no sample")));
    report(failures);
}

/// The loss of a case: every float output weighted by fixed random numbers and summed.
fn with_loss(sample: &Sample) -> (Case, Vec<String>) {
    let (mut g, _, outputs, mut case) = build(sample, 17);
    let mut loss = g.constant(0.0);
    for (i, output) in outputs.iter().enumerate() {
        let ty = g.type_of(*output).unwrap().clone();
        if ty.dtype == DType::F32 {
            let name = format!("weight{i}");
            let weight = g.input(&name, ty.clone());
            let mut rng = Philox::new(RandomKey::new(100 + i as u64));
            case.feeds.insert(name, singles(ty.shape, || rng.uniform_f64() * 2.0 - 1.0));
            let product = g.mul(*output, weight);
            let sum = g.sum_all(product);
            loss = g.add(loss, sum);
        }
    }
    g.output("loss", loss);
    let names = case.floats.iter().map(|v| g.graph().states().iter().find(|s| s.value == *v).unwrap().name.clone());
    let names: Vec<String> = names.collect();
    let (mut taken, mut kept) = (Vec::new(), Vec::new());
    for (name, value) in names.iter().zip(&case.floats) {
        // An input that takes no gradient by rule (a condition) is reported by `differentiate`; it is left out here and
        // covered by the zero check below.
        if let Ok(gradient) = differentiate(&mut g, loss, &[*value]) {
            taken.push(gradient[0]);
            kept.push(name.clone());
        }
    }
    for (name, gradient) in kept.iter().zip(&taken) {
        g.output(&format!("d{name}"), *gradient);
    }
    case.graph = g.finish().unwrap();
    (case, kept)
}

fn loss_of(case: &Case, name: &str, shift: &dyn Fn(usize) -> f64) -> f64 {
    let mut states = case.states.clone();
    let value = states.get_mut(name).unwrap();
    let moved = value.as_float().unwrap().iter().enumerate().map(|(i, x)| x + shift(i)).collect();
    *value = NaiveValue::float(value.shape.clone(), moved);
    naive::run(&case.graph, &case.feeds, &mut states).unwrap()["loss"].as_float().unwrap()[0]
}

#[test]
fn every_gradient_matches_central_differences() {
    let mut failures = Vec::new();
    for (name, sample) in samples() {
        let (case, kept) = with_loss(&sample);
        let declared = declares_no_gradient(&sample);
        let outputs = naive::run(&case.graph, &case.feeds, &mut case.states.clone()).unwrap();
        for input in case.states.keys() {
            let x = case.states[input].as_float().unwrap();
            let numeric: Vec<f64> = (0..x.len())
                .map(|i| {
                    let h = 6e-6 * x[i].abs().max(1.0);
                    let at = |sign: f64| loss_of(&case, input, &|j| if i == j { sign * h } else { 0.0 });
                    (at(1.0) - at(-1.0)) / (2.0 * h)
                })
                .collect();
            if !kept.contains(input) {
                let is_excused = declared.is_some_and(|reason| !reason.is_empty()) || is_condition(&sample, input);
                let is_on_purpose = matches!(
                    sample.op,
                    Op::AdamUpdate(_)
                        | Op::Program(_)
                        | Op::ConvKernelGradient(_)
                        | Op::ScatterKernelGradient(_)
                        | Op::Unary(Unary::StopGradient)
                );
                if !is_excused {
                    failures.push(format!("{name}: no gradient by {input} and no reason given"));
                } else if !is_on_purpose && numeric.iter().any(|d| d.abs() > 1e-9) {
                    failures.push(format!("{name}: declared without gradient by {input}, but it changes the output"));
                }
                continue;
            }
            let exact = outputs[&format!("d{input}")].as_float().unwrap();
            let size = numeric.iter().chain(exact).fold(1e-12f64, |a, b| a.max(b.abs()));
            for (i, (n, e)) in numeric.iter().zip(exact).enumerate() {
                if (n - e).abs() > 1e-6 * size {
                    failures.push(format!("{name}: d{input}[{i}] = {e}, central difference {n}, largest {size}"));
                }
            }
        }
    }
    report(failures);
}

fn is_condition(sample: &Sample, input: &str) -> bool {
    matches!(sample.op, Op::Select(_)) && input == "x0"
}

/// The reason an op gives for having no gradient, if it has none.
fn declares_no_gradient(sample: &Sample) -> Option<&'static str> {
    let (mut g, inputs, outputs, _) = build(sample, 17);
    let dy: Vec<_> = outputs.iter().map(|o| Some(g.mul_scalar(*o, 0.0))).collect();
    match sample.op.gradient(Backward { graph: &mut g, inputs: &inputs, outputs: &outputs, dy: &dy }) {
        Gradient::NotDifferentiable(reason) => Some(reason),
        Gradient::Inputs(_) => None,
    }
}

/// One elementwise op is as exact as single precision; what is summed or composed, measured by its largest number.
fn limit(op: &Op, output: &str) -> Limit {
    let is_one_pass = op.is_elementwise() || matches!(op, Op::Program(_) | Op::Cast(_));
    if is_one_pass && output.starts_with('y') { Limit::OfEach(1e-6) } else { Limit::OfLargest(1e-6) }
}

/// Where a case by some runner is not what the specification says in double precision.
fn disagreements(name: &str, sample: &Sample, runners: Vec<Box<dyn Runner>>) -> Vec<String> {
    let (case, _) = with_loss(sample);
    let exact = naive::run(&case.graph, &case.feeds, &mut case.states.clone()).unwrap();
    let (feeds, states) = (convert::<f32>(&case.feeds), convert::<f32>(&case.states));
    let mut failures = Vec::new();
    for runner in runners {
        let (outputs, _) = runner.run(&case.graph, &feeds, &states);
        // The loss itself is a sum with cancellation; what it is made of is compared.
        for (output, want) in exact.iter().filter(|(output, _)| *output != "loss") {
            if let Some(message) = beyond(want, &outputs[output], limit(&sample.op, output)) {
                failures.push(format!("{name}: {output} by {}: {message}", runner.name()));
            }
        }
    }
    failures
}

#[test]
fn every_runner_agrees_with_the_specification() {
    let all = || runners().into_iter().chain([Box::new(Naive) as Box<dyn Runner>]).collect();
    report(samples().iter().flat_map(|(name, sample)| disagreements(name, sample, all())).collect());
}

/// Shapes with whole vectors, tiles and blocks, and with what is left over of each.
fn larger_samples() -> Vec<Sample> {
    use footlight_graph::ops::{
        ArgMax, Broadcast, Concat, Constant, Gather, Iota, Lower, MatMul, OneHot, Pad, ReduceMax, ReduceSum, Reverse,
        Slice, Softmax, SparseSoftmaxCrossEntropy, SumRows, Transpose,
    };
    let uniform = |shape: &[usize]| SampleInput::Uniform(shape.to_vec(), -2.0, 2.0);
    let sample = |op: Op, inputs: &[SampleInput]| Sample { op, inputs: inputs.to_vec() };
    let mut all = vec![
        sample(Softmax::default().into(), &[uniform(&[37, 53])]),
        sample(Softmax::default().into(), &[uniform(&[5, 1])]),
        sample(Softmax::default().into(), &[uniform(&[3, 70, 16])]),
        sample(SparseSoftmaxCrossEntropy.into(), &[uniform(&[130, 33]), SampleInput::Index(vec![130], 33)]),
        sample(ArgMax.into(), &[uniform(&[130, 33])]),
        sample(OneHot { depth: 70 }.into(), &[SampleInput::Index(vec![33], 70)]),
        sample(Transpose { order: vec![2, 0, 1] }.into(), &[uniform(&[33, 7, 70])]),
        sample(Broadcast { shape: vec![5, 33, 70] }.into(), &[uniform(&[33, 1])]),
        sample(Broadcast { shape: vec![33, 7, 70] }.into(), &[uniform(&[33, 1, 70])]),
        sample(Transpose { order: vec![1, 0] }.into(), &[uniform(&[133, 70])]),
        sample(Transpose { order: vec![0, 2, 1] }.into(), &[uniform(&[7, 33, 70])]),
        sample(Transpose { order: vec![0, 2, 1, 3] }.into(), &[uniform(&[7, 13, 5, 8])]),
        sample(Concat { axis: 0 }.into(), &[uniform(&[33, 40]), uniform(&[1, 40]), uniform(&[70, 40])]),
        sample(Concat { axis: 1 }.into(), &[uniform(&[70, 9]), uniform(&[70, 33])]),
        sample(Concat { axis: 1 }.into(), &[uniform(&[33, 4, 7]), uniform(&[33, 3, 7])]),
        sample(Gather.into(), &[uniform(&[50, 33]), SampleInput::Index(vec![40, 9], 50)]),
        sample(SumRows { rows: 133 }.into(), &[uniform(&[70, 5, 33]), SampleInput::Index(vec![70, 5], 133)]),
        sample(Iota { shape: vec![70, 33], axis: 1 }.into(), &[]),
    ];
    for (starts, ends, steps) in [([2, 0, 0], [31, 7, 70], [3, 1, 1]), ([0, 1, 5], [33, 6, 66], [1, 2, 3])] {
        let slice = Slice { starts: starts.into(), ends: ends.into(), steps: steps.into() };
        all.push(sample(slice.into(), &[uniform(&[33, 7, 70])]));
    }
    for (low, high, interior) in [([3, 0, 0], [1, 0, 0], [2, 0, 0]), ([0, 2, 1], [0, 1, 3], [0, 1, 0])] {
        let (low, high, interior) = (low.into(), high.into(), interior.into());
        let pad = Pad { low, high, interior, value: Constant::F32(-0.5) };
        all.push(sample(pad.into(), &[uniform(&[33, 7, 20])]));
    }
    for axes in [vec![0], vec![1, 2]] {
        all.push(sample(Reverse { axes }.into(), &[uniform(&[33, 7, 20])]));
    }
    for axes in [vec![0], vec![1], vec![2], vec![0, 1], vec![1, 2], vec![0, 2], vec![0, 1, 2]] {
        let inputs = [uniform(&[33, 7, 70])];
        all.push(sample(ReduceSum { axes: axes.clone(), keepdims: false }.into(), &inputs));
        all.push(sample(ReduceMax { axes, keepdims: true }.into(), &inputs));
    }
    all.extend(larger_images());
    all.extend(larger_pooled_images());
    for (transpose_a, transpose_b) in [(false, false), (true, false), (false, true), (true, true)] {
        let shape = |is_turned, m, n| if is_turned { uniform(&[n, m]) } else { uniform(&[m, n]) };
        let inputs = [shape(transpose_a, 70, 33), shape(transpose_b, 33, 130)];
        all.push(sample(MatMul { transpose_a, transpose_b, lower: None }.into(), &inputs));
        for m in [3, 37] {
            let shape = |is_turned, m, n| uniform(&if is_turned { [5, 3, n, m] } else { [5, 3, m, n] });
            let inputs = [shape(transpose_a, m, 33), shape(transpose_b, 33, 40)];
            for lower in [None, Some(Lower::A), Some(Lower::Output)] {
                all.push(sample(MatMul { transpose_a, transpose_b, lower }.into(), &inputs));
            }
        }
    }
    // Triangles over more than one chunk of the inner extent, and rows of whole vectors, which are read where they lie.
    for (transpose_a, transpose_b) in [(false, false), (true, false), (false, true), (true, true)] {
        let shape = |is_turned, m, n| uniform(&if is_turned { [2, n, m] } else { [2, m, n] });
        for ([m, n, k], lower) in [([37, 48, 260], Lower::Output), ([37, 48, 260], Lower::A), ([260, 32, 37], Lower::A)]
        {
            let inputs = [shape(transpose_a, m, k), shape(transpose_b, k, n)];
            all.push(sample(MatMul { transpose_a, transpose_b, lower: Some(lower) }.into(), &inputs));
        }
    }
    for shape in [[5, 40, 33], [3, 33, 70]] {
        all.push(sample(Softmax { causal: true }.into(), &[uniform(&shape)]));
    }
    // A sum over so many samples that the right side is packed in pieces.
    let inputs = [uniform(&[300, 150]), uniform(&[300, 290])];
    all.push(sample(MatMul { transpose_a: true, transpose_b: false, lower: None }.into(), &inputs));
    for b in [[70, 1100].as_slice(), &[1100], &[70, 1], &[1, 1100], &[]] {
        all.push(sample(Binary::Sub.into(), &[uniform(&[70, 1100]), uniform(b)]));
    }
    all
}

/// Images with whole tiles and panels and what is left over, bands that are cut, lines longer than a part of a sum.
fn larger_images() -> Vec<Sample> {
    use footlight_graph::ops::{AveragePool, Conv, ConvGeometry, MaxPool, Windows};
    let uniform = |shape: &[usize]| SampleInput::Uniform(shape.to_vec(), -2.0, 2.0);
    let conv = |geometry: ConvGeometry, x: &[usize], w: &[usize]| Sample {
        op: Conv { geometry }.into(),
        inputs: vec![uniform(x), uniform(w)],
    };
    let plain = ConvGeometry::new;
    let padded =
        |low: usize, high: usize, axes: usize| ConvGeometry { padding: vec![[low, high]; axes], ..plain(axes) };
    let windows = |size, stride, padding| vec![Windows::Even { size, stride, padding }; 2];
    vec![
        conv(padded(1, 1, 2), &[3, 9, 17, 5], &[3, 3, 5, 33]),
        conv(padded(1, 1, 2), &[5, 12, 22, 16], &[3, 3, 16, 48]),
        conv(padded(1, 1, 2), &[3, 40, 4, 64], &[3, 3, 64, 64]),
        conv(padded(1, 1, 2), &[2, 4, 150, 48], &[3, 3, 48, 16]),
        conv(padded(1, 0, 2), &[2, 7, 9, 32], &[3, 3, 32, 16]),
        conv(plain(2), &[2, 6, 8, 16], &[3, 3, 16, 16]),
        conv(plain(2), &[5, 12, 18, 1], &[3, 3, 1, 32]),
        conv(plain(2), &[3, 7, 5, 70], &[1, 1, 70, 40]),
        conv(ConvGeometry { strides: vec![2, 2], ..padded(0, 1, 2) }, &[2, 15, 16, 9], &[3, 3, 9, 17]),
        conv(ConvGeometry { groups: 40, ..padded(1, 1, 2) }, &[2, 9, 10, 40], &[3, 3, 1, 40]),
        conv(ConvGeometry { groups: 3, dilation: vec![2, 1], ..padded(2, 2, 2) }, &[2, 9, 10, 12], &[3, 3, 4, 21]),
        conv(padded(1, 1, 2), &[1, 60, 75, 17], &[3, 3, 17, 3]),
        conv(padded(1, 1, 2), &[3, 4, 7, 40], &[3, 3, 40, 300]),
        conv(ConvGeometry { strides: vec![2, 3], groups: 2, ..padded(1, 2, 2) }, &[2, 5, 7, 64], &[3, 5, 32, 70]),
        conv(ConvGeometry { groups: 2, ..plain(2) }, &[4, 6, 5, 4], &[2, 2, 2, 32]),
        conv(ConvGeometry { groups: 2, ..plain(2) }, &[4, 6, 5, 4], &[2, 2, 2, 16]),
        conv(padded(2, 0, 2), &[4, 6, 5, 4], &[2, 2, 4, 16]),
        conv(padded(2, 0, 2), &[4, 6, 5, 4], &[2, 2, 4, 8]),
        conv(plain(2), &[4, 6, 5, 4], &[2, 2, 4, 4]),
        conv(padded(3, 0, 1), &[2, 2500, 30], &[4, 30, 6]),
        conv(ConvGeometry { strides: vec![2], ..plain(1) }, &[2, 700, 3], &[300, 3, 2]),
        conv(ConvGeometry { strides: vec![1, 2, 1], ..padded(1, 1, 3) }, &[2, 7, 20, 21, 30], &[2, 3, 3, 30, 4]),
        Sample {
            op: MaxPool { windows: windows(3, 2, [1, 1]) }.into(),
            inputs: vec![SampleInput::Apart(vec![3, 11, 8, 37])],
        },
        Sample { op: AveragePool { windows: windows(2, 2, [0, 1]) }.into(), inputs: vec![uniform(&[3, 11, 8, 37])] },
    ]
}

/// Convolutions that are pooled and their gradients: lines as long as vectors and shorter, images with padding, regions that
/// are cut, positions that no window reads, windows that overlap.
fn larger_pooled_images() -> Vec<Sample> {
    use footlight_graph::ops::{
        Conv, ConvGeometry, ConvInputGradient, ConvKernelGradient, ConvMaxPool, MaxPool, ScatterInputGradient,
        ScatterKernelGradient, Windows,
    };
    let uniform = |shape: &[usize]| SampleInput::Uniform(shape.to_vec(), -2.0, 2.0);
    let even = |size, stride, padding| Windows::Even { size, stride, padding };
    let plain = ConvGeometry::new;
    let padded =
        |low: usize, high: usize, axes: usize| ConvGeometry { padding: vec![[low, high]; axes], ..plain(axes) };
    let cases: Vec<(ConvGeometry, &[usize], &[usize], Windows)> = vec![
        (plain(2), &[3, 13, 13, 32], &[3, 3, 32, 64], even(2, 2, [0, 0])),
        (padded(1, 1, 2), &[2, 12, 14, 16], &[3, 3, 16, 32], even(2, 2, [0, 0])),
        (plain(2), &[3, 28, 28, 1], &[3, 3, 1, 32], even(2, 2, [0, 0])),
        (padded(1, 1, 2), &[2, 12, 9, 20], &[3, 3, 20, 37], even(2, 2, [1, 0])),
        (ConvGeometry { strides: vec![2, 1], ..padded(0, 1, 2) }, &[2, 15, 11, 17], &[3, 3, 17, 9], even(3, 2, [1, 1])),
        (ConvGeometry { dilation: vec![1, 2], ..plain(2) }, &[2, 9, 14, 48], &[3, 3, 48, 8], Windows::Adaptive(3)),
        (ConvGeometry { groups: 4, ..padded(1, 1, 2) }, &[2, 8, 8, 16], &[3, 3, 4, 36], even(2, 2, [0, 0])),
        (ConvGeometry { groups: 40, ..padded(1, 1, 2) }, &[2, 8, 8, 40], &[3, 3, 1, 40], even(2, 2, [0, 0])),
        (plain(2), &[2, 6, 6, 70], &[1, 1, 70, 40], even(2, 2, [0, 0])),
        (padded(2, 2, 1), &[2, 300, 12], &[5, 12, 96], even(3, 3, [0, 0])),
        (padded(1, 1, 3), &[2, 5, 7, 8, 10], &[2, 3, 3, 10, 33], even(2, 2, [0, 0])),
    ];
    let samples = |(geometry, x, w, windows): (ConvGeometry, &[usize], &[usize], Windows)| {
        let axes = geometry.axes();
        let (spatial, window, filters) = (x[1..=axes].to_vec(), w[..axes].to_vec(), w[axes + 1]);
        let pool = MaxPool { windows: vec![windows; axes] };
        let fused = ConvMaxPool { conv: Conv { geometry: geometry.clone() }, pool };
        let dy = fused.infer(&[&Type::f32(x), &Type::f32(w)]).unwrap()[0].shape.clone();
        let places: usize = geometry.output(&spatial, &window).unwrap().iter().product();
        assert_eq!(dy[axes + 1], filters);
        let (dy, positions) = (uniform(&dy), SampleInput::Index(dy, places as i32 + 3));
        let by_x = ConvInputGradient { geometry: geometry.clone(), spatial };
        let by_w = |chunks| ConvKernelGradient { geometry: geometry.clone(), window: window.clone(), chunks };
        let by_w = |chunks| Sample {
            op: ScatterKernelGradient { of: by_w(chunks) }.into(),
            inputs: vec![uniform(x), dy.clone(), positions.clone()],
        };
        let op = ScatterInputGradient { of: by_x }.into();
        let by_x = Sample { op, inputs: vec![dy.clone(), positions.clone(), uniform(w)] };
        [Sample { op: fused.into(), inputs: vec![uniform(x), uniform(w)] }, by_x, by_w(1), by_w(2)]
    };
    cases.into_iter().flat_map(samples).collect()
}

#[test]
fn every_runner_agrees_on_larger_tensors() {
    let failures = larger_samples().into_iter().flat_map(|sample| {
        let shapes: Vec<String> = sample.inputs.iter().map(|i| i.type_().to_string()).collect();
        disagreements(&format!("{} of {}", sample.op, shapes.join(", ")), &sample, runners())
    });
    report(failures.collect());
}

/// How rows are grouped into blocks, and who works on them, never changes a bit.
#[test]
fn any_cut_and_any_number_of_threads_gives_the_same_bytes() {
    let larger = larger_samples().into_iter().map(|sample| (format!("larger {}", sample.op), sample));
    let mut failures = Vec::new();
    for (name, sample) in samples().into_iter().chain(larger) {
        let (case, _) = with_loss(&sample);
        let (feeds, states) = (convert::<f32>(&case.feeds), convert::<f32>(&case.states));
        for isa in Isa::available() {
            let want = Planned::new(1, isa).run(&case.graph, &feeds, &states);
            for threads in [1, 2, 3, 4] {
                let runner = Planned { finest: true, poison: threads < 4, ..Planned::new(threads, isa) };
                if runner.run(&case.graph, &feeds, &states) != want {
                    failures.push(format!("{name} by {}", runner.name()));
                }
            }
        }
    }
    report(failures);
}

#[test]
fn states_are_updated_the_same_by_every_runner() {
    // Two states that swap, one that is a sum, one updated from a reduction of itself, and outputs of what was there
    // before: copies and waits are needed.
    let mut g = Builder::new();
    let a = g.state("a", Type::f32([70, 3]), Role::Parameter);
    let b = g.state("b", Type::f32([70, 3]), Role::Parameter);
    let total = g.state("total", Type::f32([]), Role::Metric);
    let count = g.state("count", Type::i32([]), Role::Slot);
    let sum = g.sum_all(a);
    let next_total = g.add(total, sum);
    let one = g.constant_i32(1);
    let next_count = g.add(count, one);
    let mean = g.reduce_mean(b, &[0], false);
    let centred = g.sub(b, mean);
    g.set_next(a, centred);
    g.set_next(b, a);
    g.set_next(total, next_total);
    g.set_next(count, next_count);
    let late = g.mul(a, b);
    let old = g.reshape(b, [70, 1, 3]);
    for (name, value) in [("late", late), ("old", old), ("old total", total)] {
        g.output(name, value);
    }
    let graph = g.finish().unwrap();
    let mut rng = Philox::new(RandomKey::new(4));
    let mut floats = |n: usize| (0..n).map(|_| rng.uniform() - 0.5).collect::<Vec<f32>>();
    let states = HashMap::from([
        ("a".to_string(), NaiveValue::float([70, 3], floats(210))),
        ("b".to_string(), NaiveValue::float([70, 3], floats(210))),
        ("total".to_string(), NaiveValue::float([], floats(1))),
        ("count".to_string(), NaiveValue::int([], vec![41])),
    ]);
    let (want_outputs, want_states) = Naive.run(&graph, &HashMap::new(), &states);
    for runner in runners() {
        let (outputs, after) = runner.run(&graph, &HashMap::new(), &states);
        for (name, want) in &want_outputs {
            assert_eq!(difference(want, &outputs[name], 1e-6), None, "{name} by {}", runner.name());
        }
        for (name, want) in &want_states {
            assert_eq!(difference(want, &after[name], 1e-6), None, "{name} by {}", runner.name());
        }
    }
}

/// Ops on single rows between two products, seen under the axes of samples, work on the rows of the products.
#[test]
fn ops_between_products_agree_with_the_specification() {
    let mut g = Builder::new();
    let [rows, w, bias] = [("rows", [24, 8].as_slice()), ("w", &[8, 8]), ("bias", &[8])]
        .map(|(name, shape)| g.input(name, Type::f32(shape)));
    let (indices, step) = (g.input("indices", Type::i32([4, 6])), g.input("step", Type::i32([])));
    let y = g.matmul(rows, w);
    let y = g.reshape(y, [4, 6, 8]);
    let y = g.add(y, bias);
    let random = g.random_uniform(RandomKey::new(3), step, [4, 6, 8]);
    let half = g.constant(0.5);
    let kept = g.binary(Binary::Greater, random, half);
    let own = g.gather(w, indices);
    let y = g.select(kept, y, own);
    let sum = g.reduce_sum(y, &[2], false);
    let sum = g.reshape(sum, [4, 6, 1]);
    let wide = g.broadcast(sum, [4, 6, 8]);
    let y = g.sub(y, wide);
    let heads = g.reshape(y, [4, 6, 2, 4]);
    let largest = g.reduce_max(heads, &[3], true);
    let heads = g.sub(heads, largest);
    let shares = g.softmax(heads);
    let shares = g.reshape(shares, [4, 6, 8]);
    let best = g.argmax(shares);
    let marked = g.one_hot(best, 8);
    let y = g.mul(marked, y);
    let (loss, p) = g.sparse_softmax_cross_entropy(y, indices);
    let loss = g.reshape(loss, [4, 6, 1]);
    let y = g.mul(p, loss);
    let out = g.reshape(y, [24, 8]);
    let out = g.matmul(out, w);
    for (name, value) in [("out", out), ("axes", y), ("loss", loss), ("best", best)] {
        g.output(name, value);
    }
    let graph = g.finish().unwrap();
    let simplified = simplify(&graph, &CpuTarget::new(Isa::detect())).unwrap().graph;
    let by_rows = |node: &Node| simplified.type_of(node.outputs[0]).shape == [24, 2, 4];
    let softmax = simplified.nodes().iter().find(|node| matches!(node.op, Op::Softmax(_)));
    assert!(softmax.is_some_and(by_rows), "{simplified}");
    let mut rng = Philox::new(RandomKey::new(6));
    let mut floats =
        |shape: &[usize]| NaiveValue::float(shape, (0..shape.iter().product()).map(|_| rng.uniform() - 0.5).collect());
    let mut feeds = HashMap::from(
        [("rows", [24, 8].as_slice()), ("w", &[8, 8]), ("bias", &[8])]
            .map(|(name, shape)| (name.to_string(), floats(shape))),
    );
    feeds.insert("indices".into(), NaiveValue::int([4, 6], (0..24).map(|i| i * 5 % 8).collect()));
    feeds.insert("step".into(), NaiveValue::int([], vec![2]));
    let (want, _) = Naive.run(&graph, &feeds, &HashMap::new());
    for runner in runners() {
        let (got, _) = runner.run(&graph, &feeds, &HashMap::new());
        for (name, value) in &want {
            assert_eq!(difference(value, &got[name], 1e-6), None, "{name} by {}", runner.name());
        }
    }
}

/// A reshape that changes the rows ends a chain, and whoever reads by rows still reads the rows of its own block.
#[test]
fn rows_under_another_shape_are_those_of_the_new_shape() {
    let mut g = Builder::new();
    let x = g.input("x", Type::f32([40, 6]));
    let y = g.unary(Unary::Tanh, x);
    let y = g.reshape(y, [80, 3]);
    let negative = g.neg(y);
    let softmax = g.softmax(y);
    let sum = g.reduce_sum(y, &[1], false);
    let best = g.argmax(y);
    for (name, value) in [("negative", negative), ("softmax", softmax), ("sum", sum), ("best", best)] {
        g.output(name, value);
    }
    let graph = g.finish().unwrap();
    let mut rng = Philox::new(RandomKey::new(6));
    let x = (0..240).map(|_| rng.uniform() - 0.5).collect();
    let feeds = HashMap::from([("x".to_string(), NaiveValue::float([40, 6], x))]);
    let (want, _) = Naive.run(&graph, &feeds, &HashMap::new());
    for runner in runners() {
        let (got, _) = runner.run(&graph, &feeds, &HashMap::new());
        for (name, value) in &want {
            assert_eq!(difference(value, &got[name], 1e-6), None, "{name} by {}", runner.name());
        }
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    let mut g = Builder::new();
    let x = g.state("x", Type::f32([100, 70]), Role::Parameter);
    let w = g.state("w", Type::f32([70, 50]), Role::Parameter);
    let step = g.input("step", Type::i32([]));
    let random = g.random_uniform(RandomKey::new(3), step, [100, 50]);
    let y = g.matmul(x, w);
    let y = g.unary(Unary::Tanh, y);
    let y = g.mul(y, random);
    let p = g.softmax(y);
    let loss = g.mean_all(p);
    let square = g.mul(p, p);
    let loss_2 = g.sum_all(square);
    let loss = g.add(loss, loss_2);
    let gradients = differentiate(&mut g, loss, &[x, w]).unwrap();
    g.output("loss", loss);
    g.output("dx", gradients[0]);
    g.output("dw", gradients[1]);
    let graph = g.finish().unwrap();
    let mut rng = Philox::new(RandomKey::new(4));
    let mut floats = |n: usize| (0..n).map(|_| rng.uniform() - 0.5).collect::<Vec<f32>>();
    let states = HashMap::from([
        ("x".to_string(), NaiveValue::float([100, 70], floats(7000))),
        ("w".to_string(), NaiveValue::float([70, 50], floats(3500))),
    ]);
    let feeds = HashMap::from([("step".to_string(), NaiveValue::int([], vec![7]))]);
    let (exact, _) = Naive.run(&graph, &feeds, &states);
    for isa in Isa::available() {
        let (want, _) = Planned::new(1, isa).run(&graph, &feeds, &states);
        for threads in [2, 3, 4] {
            for poison in [false, true] {
                let (got, _) = Planned { poison, ..Planned::new(threads, isa) }.run(&graph, &feeds, &states);
                assert_eq!(want, got, "{threads} threads, {}", isa.name());
            }
        }
        for (name, value) in &exact {
            assert_eq!(difference(value, &want[name], 1e-5), None, "{name} by {}", isa.name());
        }
    }
}

#[test]
fn ties_and_kinks_follow_their_conventions() {
    let gradient =
        |build: &dyn Fn(&mut Builder, footlight_graph::Value, footlight_graph::Value) -> footlight_graph::Value,
         a: f64,
         b: f64| {
            let mut g = Builder::new();
            let (x, y) = (g.state("a", Type::f32([1]), Role::Parameter), g.state("b", Type::f32([1]), Role::Parameter));
            let z = build(&mut g, x, y);
            let loss = g.sum_all(z);
            let d = differentiate(&mut g, loss, &[x]).unwrap()[0];
            g.output("d", d);
            let mut states = HashMap::from([
                ("a".to_string(), NaiveValue::<f64>::float([1], vec![a])),
                ("b".to_string(), NaiveValue::float([1], vec![b])),
            ]);
            naive::run(&g.finish().unwrap(), &HashMap::new(), &mut states).unwrap()["d"].as_float().unwrap()[0]
        };
    assert_eq!(gradient(&|g, a, b| g.binary(Binary::Maximum, a, b), 1.0, 1.0), 1.0, "a tie of maxima goes to a");
    assert_eq!(gradient(&|g, a, b| g.binary(Binary::Minimum, a, b), 1.0, 1.0), 1.0, "a tie of minima goes to a");
    assert_eq!(gradient(&|g, a, _| g.unary(Unary::Abs, a), 0.0, 0.0), 0.0, "the slope of |x| at 0 is 0");
    let mut g = Builder::new();
    let x = g.state("x", Type::f32([4]), Role::Parameter);
    let loss = g.reduce_max(x, &[0], false);
    let d = differentiate(&mut g, loss, &[x]).unwrap()[0];
    g.output("d", d);
    let mut states = HashMap::from([("x".to_string(), NaiveValue::<f64>::float([4], vec![2.0, 1.0, 2.0, 0.0]))]);
    let shares = naive::run(&g.finish().unwrap(), &HashMap::new(), &mut states).unwrap();
    assert_eq!(shares["d"].as_float().unwrap(), [0.5, 0.0, 0.5, 0.0], "tied maxima share the gradient");
}

#[test]
fn the_first_of_equal_maxima_is_pooled_and_a_nan_wins() {
    use footlight_graph::ops::Windows;
    let mut g = Builder::new();
    let x = g.state("x", Type::f32([1, 8, 1]), Role::Parameter);
    let (y, positions) = g.max_pool(x, &[Windows::Even { size: 4, stride: 4, padding: [0, 0] }]);
    let loss = g.sum_all(y);
    let dx = differentiate(&mut g, loss, &[x]).unwrap()[0];
    g.output("y", y);
    g.output("positions", positions);
    g.output("dx", dx);
    let graph = g.finish().unwrap();
    let x = NaiveValue::float([1, 8, 1], vec![1.0, 3.0, 3.0, 2.0, 5.0, f32::NAN, f32::INFINITY, f32::NAN]);
    let states = HashMap::from([("x".to_string(), x)]);
    for runner in runners().into_iter().chain([Box::new(Naive) as Box<dyn Runner>]) {
        let (outputs, _) = runner.run(&graph, &HashMap::new(), &states);
        assert_eq!(outputs["positions"].as_int().unwrap(), [1, 5], "{}", runner.name());
        let y = outputs["y"].as_float().unwrap();
        assert!(y[0] == 3.0 && y[1].is_nan(), "{}: {y:?}", runner.name());
        assert_eq!(outputs["dx"].as_float().unwrap(), [0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0], "{}", runner.name());
    }
}

#[test]
fn fused_ops_equal_their_composed_form() {
    let mut failures = Vec::new();
    let mut check =
        |name: &str,
         sample: &Sample,
         compose: &dyn Fn(&mut Builder, &[footlight_graph::Value]) -> Vec<footlight_graph::Value>| {
            let (mut g, inputs, _, case) = build(sample, 23);
            for (i, value) in compose(&mut g, &inputs).into_iter().enumerate() {
                g.output(&format!("composed{i}"), value);
            }
            let outputs = naive::run(&g.finish().unwrap(), &case.feeds, &mut case.states.clone()).unwrap();
            for i in 0.. {
                let Some(composed) = outputs.get(&format!("composed{i}")) else { break };
                if let Some(message) = difference(composed, &outputs[&format!("y{i}")], 1e-12) {
                    failures.push(format!("{name} output {i}: {message}"));
                }
            }
        };
    for (name, sample) in samples() {
        match sample.op.clone() {
            Op::Softmax(op) if op.causal => check(&name, &sample, &|g, x| {
                let shape = g.shape(x[0]);
                let [row, column] = [0, 1].map(|axis| g.iota(&shape[shape.len() - 2..], axis));
                let is_seen = g.binary(Binary::GreaterEqual, row, column);
                let (is_seen, hidden) = (g.cast(is_seen, DType::F32), g.constant(-1e30));
                let x = g.select(is_seen, x[0], hidden);
                vec![composed_softmax(g, x)]
            }),
            Op::Softmax(_) => check(&name, &sample, &|g, x| vec![composed_softmax(g, x[0])]),
            Op::SparseSoftmaxCrossEntropy(_) => check(&name, &sample, &|g, x| {
                let p = composed_softmax(g, x[0]);
                let classes = *g.shape(p).last().unwrap();
                let own = g.one_hot(x[1], classes);
                let log = g.unary(Unary::Log, p);
                let picked = g.mul(own, log);
                let sum = g.reduce_sum(picked, &[1], false);
                vec![g.neg(sum), p]
            }),
            Op::AdamUpdate(op) => check(&name, &sample, &|g, x| composed_adam(g, op, x)),
            _ => {}
        }
    }
    report(failures);
}

fn composed_softmax(g: &mut Builder, x: footlight_graph::Value) -> footlight_graph::Value {
    let last = g.shape(x).len() - 1;
    let max = g.reduce_max(x, &[last], true);
    let centred = g.sub(x, max);
    let e = g.unary(Unary::Exp, centred);
    let sum = g.reduce_sum(e, &[last], true);
    g.div(e, sum)
}

fn composed_adam(g: &mut Builder, op: AdamUpdate, x: &[footlight_graph::Value]) -> Vec<footlight_graph::Value> {
    let &[w, gradient, m, v, alpha] = x else { unreachable!() };
    let scale = |g: &mut Builder, value, beta: f32| {
        let one = g.constant(1.0);
        let beta = g.constant(beta);
        let rest = g.sub(one, beta);
        g.mul(value, rest)
    };
    let dm = g.sub(gradient, m);
    let dm = scale(g, dm, op.beta_1);
    let m = g.add(m, dm);
    let square = g.mul(gradient, gradient);
    let dv = g.sub(square, v);
    let dv = scale(g, dv, op.beta_2);
    let v = g.add(v, dv);
    let root = g.unary(Unary::Sqrt, v);
    let root = g.add_scalar(root, op.epsilon);
    let direction = g.mul(alpha, m);
    let direction = g.div(direction, root);
    let next = [g.sub(w, direction), m, v];
    if !op.lazy {
        return next.to_vec();
    }
    let sum = g.reduce_sum(square, &[1], true);
    let zero = g.constant(0.0);
    let moves = g.binary(Binary::Greater, sum, zero);
    next.into_iter().zip([x[0], x[2], x[3]]).map(|(next, old)| g.select(moves, next, old)).collect()
}

#[test]
fn labels_outside_of_the_classes_give_nan() {
    let logits = NaiveValue::<f32>::float([2, 3], vec![0.0; 6]);
    let labels = NaiveValue::int([2], vec![3, -1]);
    let outputs = naive::evaluate(
        &Op::SparseSoftmaxCrossEntropy(footlight_graph::ops::SparseSoftmaxCrossEntropy),
        &[&logits, &labels],
    );
    assert!(outputs[0].as_float().unwrap().iter().all(|x| x.to_f64().is_nan()));
}
