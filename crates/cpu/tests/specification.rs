//! The specification itself, against numbers worked out by hand and against its own laws: what happens at ties, NaN and
//! overflow, what a gradient looks like beside its values, and what a fused op stands for.

#[allow(dead_code, reason = "the runners are for the other suite")]
mod common;

use common::{Case, build, convert, difference};
use footlight_cpu::naive::{self, NaiveValue, Scalar, evaluate};
use footlight_graph::ops::{
    ArgMax, Binary, Cast, Concat, Constant, Gather, Instruction, Iota, MatMul, OneHot, Operand, Pad, Program,
    RandomUniform, ReduceMax, Reverse, Sample, SampleInput, Slice, Softmax, SparseSoftmaxCrossEntropy, SumRows, Unary,
    catalogue,
};
use footlight_graph::{Builder, Op, Role, Type, Value, differentiate};
use footlight_tensor::{DType, Philox, RandomKey};
use std::collections::HashMap;

const NAN: f64 = f64::NAN;

fn floats(shape: &[usize], data: &[f64]) -> NaiveValue<f64> {
    NaiveValue::float(shape, data.to_vec())
}

fn ints(shape: &[usize], data: &[i32]) -> NaiveValue<f64> {
    NaiveValue::int(shape, data.to_vec())
}

fn report(failures: Vec<String>) {
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn ties_nan_overflow_and_positions_outside_follow_the_docs() {
    let max = |keepdims| Op::from(ReduceMax { axes: vec![1], keepdims });
    let unary = |kind: Unary| Op::from(kind);
    let extremes = [i32::MAX, i32::MIN, 1 << 20];
    type Convention = (&'static str, Op, Vec<NaiveValue<f64>>, NaiveValue<f64>);
    let cases: Vec<Convention> = vec![
        (
            "the first maximum wins",
            ArgMax.into(),
            vec![floats(&[2, 3], &[1.0, 5.0, 5.0, -2.0, -2.0, -3.0])],
            ints(&[2], &[1, 0]),
        ),
        (
            "the first NaN is the maximum",
            ArgMax.into(),
            vec![floats(&[2, 4], &[1.0, NAN, 9.0, NAN, NAN, 1.0, 2.0, NAN])],
            ints(&[2], &[1, 0]),
        ),
        ("minus infinity is a number", ArgMax.into(), vec![floats(&[1, 2], &[f64::NEG_INFINITY; 2])], ints(&[1], &[0])),
        (
            "NaN makes the maximum NaN",
            max(false),
            vec![floats(&[3, 2], &[NAN, 1.0, 1.0, NAN, 2.0, 1.0])],
            floats(&[3], &[NAN, NAN, 2.0]),
        ),
        (
            "a kept axis has extent 1",
            max(true),
            vec![floats(&[2, 2], &[-4.0, -3.0, 0.0, 7.0])],
            floats(&[2, 1], &[-3.0, 7.0]),
        ),
        (
            "an index outside gives zeros",
            OneHot { depth: 2 }.into(),
            vec![ints(&[4], &[1, 2, -1, 0])],
            floats(&[4, 2], &[0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0]),
        ),
        (
            "the sign of zero is zero",
            unary(Unary::Sign),
            vec![floats(&[4], &[-0.5, 0.0, 2.0, NAN])],
            floats(&[4], &[-1.0, 0.0, 1.0, NAN]),
        ),
        (
            "floor goes down",
            unary(Unary::Floor),
            vec![floats(&[3], &[-0.5, 2.0, 2.9])],
            floats(&[3], &[-1.0, 2.0, 2.0]),
        ),
        (
            "a row that is not in the table is NaN",
            Gather.into(),
            vec![floats(&[2, 2], &[1.0, 2.0, 3.0, 4.0]), ints(&[3], &[1, 2, -1])],
            floats(&[3, 2], &[3.0, 4.0, NAN, NAN, NAN, NAN]),
        ),
        (
            "a row that is not in a table of integers is the smallest integer",
            Gather.into(),
            vec![ints(&[2], &[7, 8]), ints(&[2], &[1, 2])],
            ints(&[2], &[8, i32::MIN]),
        ),
        (
            "an index outside of the table adds nothing",
            SumRows { rows: 2 }.into(),
            vec![floats(&[4, 1], &[1.0, 2.0, 4.0, 8.0]), ints(&[4], &[1, 2, 1, -1])],
            floats(&[2, 1], &[0.0, 5.0]),
        ),
        (
            "a slice steps from its start",
            Slice { starts: vec![1], ends: vec![6], steps: vec![2] }.into(),
            vec![floats(&[6], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0])],
            floats(&[3], &[1.0, 3.0, 5.0]),
        ),
        (
            "a pad goes before, between and after",
            Pad { low: vec![1], high: vec![2], interior: vec![1], value: Constant::F32(9.0) }.into(),
            vec![floats(&[2], &[1.0, 2.0])],
            floats(&[6], &[9.0, 1.0, 9.0, 2.0, 9.0, 9.0]),
        ),
        (
            "parts come in order",
            Concat { axis: 1 }.into(),
            vec![ints(&[2, 1], &[1, 2]), ints(&[2, 2], &[3, 4, 5, 6])],
            ints(&[2, 3], &[1, 3, 4, 2, 5, 6]),
        ),
        (
            "the last comes first",
            Reverse { axes: vec![1] }.into(),
            vec![ints(&[2, 3], &[1, 2, 3, 4, 5, 6])],
            ints(&[2, 3], &[3, 2, 1, 6, 5, 4]),
        ),
        (
            "positions count along their axis",
            Iota { shape: vec![2, 2], axis: 0 }.into(),
            vec![],
            ints(&[2, 2], &[0, 0, 1, 1]),
        ),
        (
            "integers compare to integers",
            Binary::Greater.into(),
            vec![ints(&[2, 1], &[1, 2]), ints(&[2], &[0, 1])],
            ints(&[2, 2], &[1, 0, 1, 1]),
        ),
        (
            "floats are truncated",
            Cast { dtype: DType::I32 }.into(),
            vec![floats(&[3], &[-1.9, 1.9, -0.5])],
            ints(&[3], &[-1, 1, 0]),
        ),
        (
            "integer sums wrap",
            Binary::Add.into(),
            vec![ints(&[3], &extremes), ints(&[], &[1])],
            ints(&[3], &[i32::MIN, i32::MIN + 1, (1 << 20) + 1]),
        ),
        (
            "integer differences wrap",
            Binary::Sub.into(),
            vec![ints(&[3], &extremes), ints(&[], &[1])],
            ints(&[3], &[i32::MAX - 1, i32::MAX, (1 << 20) - 1]),
        ),
        (
            "integer products wrap",
            Binary::Mul.into(),
            vec![ints(&[3], &extremes), ints(&[], &[1 << 12])],
            ints(&[3], &[-4096, 0, 0]),
        ),
        (
            "NaN on either side is the larger",
            Binary::Maximum.into(),
            vec![floats(&[3], &[NAN, 1.0, 1.0]), floats(&[3], &[1.0, NAN, 2.0])],
            floats(&[3], &[NAN, NAN, 2.0]),
        ),
        (
            "NaN on either side is the smaller",
            Binary::Minimum.into(),
            vec![floats(&[3], &[NAN, 1.0, 1.0]), floats(&[3], &[1.0, NAN, 2.0])],
            floats(&[3], &[NAN, NAN, 1.0]),
        ),
        (
            "NaN equals nothing",
            Binary::Equal.into(),
            vec![floats(&[2], &[NAN, 3.0]), floats(&[], &[3.0])],
            floats(&[2], &[0.0, 1.0]),
        ),
        (
            "equal is not greater",
            Binary::Greater.into(),
            vec![floats(&[3], &[1.0, 2.0, 3.0]), floats(&[], &[2.0])],
            floats(&[3], &[0.0, 0.0, 1.0]),
        ),
        (
            "equal is greater or equal",
            Binary::GreaterEqual.into(),
            vec![floats(&[3], &[1.0, 2.0, 3.0]), floats(&[], &[2.0])],
            floats(&[3], &[0.0, 1.0, 1.0]),
        ),
        (
            "a negative base takes whole powers",
            Binary::Pow.into(),
            vec![floats(&[3], &[-2.0, -2.0, 0.0]), floats(&[3], &[3.0, -1.0, 0.0])],
            floats(&[3], &[-8.0, -0.5, 1.0]),
        ),
        (
            "a product reads rows by columns",
            MatMul { transpose_a: false, transpose_b: true, lower: None }.into(),
            vec![floats(&[1, 2], &[1.0, 2.0]), floats(&[2, 2], &[3.0, 4.0, 5.0, 6.0])],
            floats(&[1, 2], &[11.0, 17.0]),
        ),
        (
            "huge logits stay finite",
            Softmax::default().into(),
            vec![floats(&[1, 2], &[1e300, 1e300])],
            floats(&[1, 2], &[0.5, 0.5]),
        ),
    ];
    let failures = cases.into_iter().filter_map(|(law, op, inputs, want)| {
        let got = evaluate(&op, &inputs.iter().collect::<Vec<_>>());
        difference(&want, &got[0], 1e-15).map(|message| format!("{law}: {op}: {message}"))
    });
    report(failures.collect());
}

#[test]
fn a_label_outside_makes_only_its_own_loss_nan() {
    let logits = floats(&[3, 2], &[0.0, 3f64.ln(), 1e4, 0.0, 0.0, 0.0]);
    let got = evaluate(&SparseSoftmaxCrossEntropy.into(), &[&logits, &ints(&[3], &[1, 1, 2])]);
    assert_eq!(difference(&floats(&[3], &[(4f64 / 3.0).ln(), 1e4, NAN]), &got[0], 1e-15), None);
    assert_eq!(difference(&floats(&[3, 2], &[0.25, 0.75, 1.0, 0.0, 0.5, 0.5]), &got[1], 1e-15), None);
}

/// The words themselves are checked against published ones where they are made.
#[test]
fn a_random_number_is_the_word_of_its_key_step_and_element() {
    let key = RandomKey::new(11).child("dropout");
    let op = Op::from(RandomUniform { key, shape: vec![2, 5] });
    for step in [0, 7, -1] {
        let got = evaluate(&op, &[&ints(&[], &[step])]);
        let want: Vec<f64> = (0..10)
            .map(|e: u64| f64::from(key.words(e / 4, step as u32)[(e % 4) as usize] >> 8) / 16_777_216.0)
            .collect();
        assert_eq!(got[0].as_float().unwrap(), want, "step {step}");
    }
}

/// Abramowitz and Stegun (1964), table 7.1, continued to more digits.
#[test]
fn erf_is_exact_to_fifteen_digits() {
    let known = [
        (0.0, 0.0),
        (0.1, 0.112_462_916_018_284_9),
        (0.5, 0.520_499_877_813_046_5),
        (1.0, 0.842_700_792_949_714_9),
        (1.5, 0.966_105_146_475_310_7),
        (2.0, 0.995_322_265_018_952_7),
        (2.5, 0.999_593_047_982_555),
        (2.99, 0.999_976_474_396_919_4),
        (3.5, 0.999_999_256_901_627_7),
        (4.0, 0.999_999_984_582_742_1),
        (7.0, 1.0),
    ];
    let failures = known.iter().flat_map(|&(x, y)| [(x, y), (-x, -y)]).filter_map(|(x, want): (f64, f64)| {
        let got = naive::erf(x);
        ((got - want).abs() > 1e-15 * want.abs()).then(|| format!("erf({x}) = {got:?}, expected {want:?}"))
    });
    report(failures.collect());
}

/// Output `which` of a case (or all of them), weighted and summed, with its gradients by every float input.
fn weighted(sample: &Sample, which: Option<usize>) -> Option<(Case, Vec<(String, Type)>)> {
    let (mut g, _, outputs, mut case) = build(sample, 29);
    let mut loss = g.constant(0.0);
    let chosen = |i: usize| which.is_none_or(|w| w == i);
    for (i, output) in outputs.iter().enumerate().filter(|(i, _)| chosen(*i)) {
        let ty = g.type_of(*output)?.clone();
        if ty.dtype != DType::F32 {
            return None;
        }
        let weight = g.input(&format!("weight{i}"), ty.clone());
        let mut rng = Philox::new(RandomKey::new(200).at(i as u64));
        let data = (0..ty.len()).map(|_| rng.uniform_f64() * 2.0 - 1.0).collect();
        case.feeds.insert(format!("weight{i}"), NaiveValue::float(ty.shape, data));
        let product = g.mul(*output, weight);
        let sum = g.sum_all(product);
        loss = g.add(loss, sum);
    }
    g.output("loss", loss);
    let mut taken = Vec::new();
    for value in &case.floats {
        let Ok(gradient) = differentiate(&mut g, loss, &[*value]) else { continue };
        let name = g.graph().states().iter().find(|s| s.value == *value)?.name.clone();
        taken.push((name.clone(), g.type_of(gradient[0])?.clone()));
        g.output(&format!("d{name}"), gradient[0]);
    }
    case.graph = g.finish().unwrap();
    Some((case, taken))
}

fn samples() -> impl Iterator<Item = (String, Sample)> {
    catalogue().into_iter().flat_map(|(name, samples)| {
        samples.into_iter().enumerate().map(move |(i, s)| (format!("{name} sample {i} ({})", s.op), s))
    })
}

fn loss_of(case: &Case, name: &str, direction: &[f64], h: f64) -> f64 {
    let mut states = case.states.clone();
    let value = states.get_mut(name).unwrap();
    let moved = value.as_float().unwrap().iter().zip(direction).map(|(x, d)| x + h * d).collect();
    *value = NaiveValue::float(value.shape.clone(), moved);
    naive::run(&case.graph, &case.feeds, &mut states).unwrap()["loss"].as_float().unwrap()[0]
}

/// What is wrong with the gradients of a case along three random directions.
fn wrong_directions(name: &str, case: &Case, taken: &[(String, Type)]) -> Vec<String> {
    let outputs = naive::run(&case.graph, &case.feeds, &mut case.states.clone()).unwrap();
    let mut failures = Vec::new();
    for (input, _) in taken {
        let x = case.states[input].as_float().unwrap();
        let exact = outputs[&format!("d{input}")].as_float().unwrap();
        let mut rng = Philox::new(RandomKey::new(31));
        for d in 0..3 {
            let direction: Vec<f64> = (0..x.len()).map(|_| rng.uniform_f64() * 2.0 - 1.0).collect();
            let h = 6e-6;
            let numeric = (loss_of(case, input, &direction, h) - loss_of(case, input, &direction, -h)) / (2.0 * h);
            let along: f64 = exact.iter().zip(&direction).map(|(e, d)| e * d).sum();
            let size: f64 = exact.iter().zip(&direction).map(|(e, d)| (e * d).abs()).fold(numeric.abs(), f64::max);
            if (along - numeric).abs() > 1e-6 * size.max(1e-12) {
                failures.push(format!("{name}: d{input} along direction {d} = {along}, central difference {numeric}"));
            }
        }
    }
    failures
}

#[test]
fn a_gradient_has_the_type_of_its_value() {
    let mut failures = Vec::new();
    for (name, sample) in samples() {
        for (input, ty) in weighted(&sample, None)
            .iter()
            .flat_map(|(case, taken)| taken.iter().map(|(input, ty)| ((input, case.states[input].shape.clone()), ty)))
        {
            if ty.shape != input.1 {
                failures.push(format!("{name}: d{} is {ty}, x is {:?}", input.0, input.1));
            }
        }
    }
    report(failures);
}

#[test]
fn the_gradient_by_each_output_alone_is_right() {
    let mut failures = Vec::new();
    for (name, sample) in samples() {
        let outputs = build(&sample, 29).2.len();
        for which in (0..outputs).filter(|_| outputs > 1) {
            if let Some((case, taken)) = weighted(&sample, Some(which)) {
                failures.extend(wrong_directions(&format!("{name}, output {which} alone"), &case, &taken));
            }
        }
    }
    report(failures);
}

#[test]
fn gradients_of_larger_tensors_are_right_along_random_directions() {
    let uniform = |shape: &[usize]| SampleInput::Uniform(shape.to_vec(), -2.0, 2.0);
    let apart = |shape: &[usize]| SampleInput::Apart(shape.to_vec());
    let larger = vec![
        Sample {
            op: MatMul { transpose_a: true, transpose_b: false, lower: None }.into(),
            inputs: vec![uniform(&[13, 9]), uniform(&[13, 11])],
        },
        Sample { op: Softmax::default().into(), inputs: vec![uniform(&[3, 5, 7])] },
        Sample {
            op: SparseSoftmaxCrossEntropy.into(),
            inputs: vec![uniform(&[4, 3, 9]), SampleInput::Index(vec![4, 3], 9)],
        },
        Sample { op: ReduceMax { axes: vec![0, 2], keepdims: false }.into(), inputs: vec![apart(&[4, 5, 6])] },
        Sample { op: Binary::Mul.into(), inputs: vec![uniform(&[1, 9]), uniform(&[9, 1])] },
        Sample { op: Binary::Div.into(), inputs: vec![uniform(&[9]), SampleInput::Uniform(vec![2, 9, 9], 0.5, 2.0)] },
    ];
    let mut failures = Vec::new();
    for sample in larger {
        let (case, taken) = weighted(&sample, None).expect("these have gradients");
        assert!(!taken.is_empty(), "{}", sample.op);
        failures.extend(wrong_directions(&format!("larger {}", sample.op), &case, &taken));
    }
    report(failures);
}

/// However the leading axes broadcast, each product is that of its own two matrices.
#[test]
fn a_product_of_broadcast_leading_axes_is_that_of_repeated_matrices() {
    for (lead_a, lead_b, lead) in
        [(vec![4, 3], vec![], vec![4, 3]), (vec![4, 1], vec![3], vec![4, 3]), (vec![], vec![3], vec![3])]
    {
        for (transpose_a, transpose_b) in [(false, false), (true, false), (false, true), (true, true)] {
            let mut g = Builder::new();
            let shape = |lead: &[usize], turned: bool, [m, n]: [usize; 2]| {
                [lead, &if turned { [n, m] } else { [m, n] }].concat()
            };
            let (shape_a, shape_b) = (shape(&lead_a, transpose_a, [2, 5]), shape(&lead_b, transpose_b, [5, 7]));
            let (a, b) = (g.input("a", Type::f32(shape_a.clone())), g.input("b", Type::f32(shape_b.clone())));
            let y = g.matmul_broadcast(a, b, transpose_a, transpose_b);
            g.output("y", y);
            let wide_a = g.broadcast(a, shape(&lead, transpose_a, [2, 5]));
            let wide_b = g.broadcast(b, shape(&lead, transpose_b, [5, 7]));
            let want = g.matmul_with(wide_a, wide_b, transpose_a, transpose_b);
            g.output("want", want);
            let mut rng = Philox::new(RandomKey::new(41));
            let mut noise = |shape: Vec<usize>| common::singles(shape, || rng.uniform_f64() - 0.5);
            let feeds = HashMap::from([("a".to_string(), noise(shape_a)), ("b".to_string(), noise(shape_b))]);
            let outputs = naive::run(&g.finish().unwrap(), &feeds, &mut HashMap::new()).unwrap();
            assert_eq!(difference(&outputs["want"], &outputs["y"], 1e-15), None, "{lead_a:?} {lead_b:?}");
        }
    }
}

/// A value read twice, by one op and by several, gets the sum of what each asks for.
#[test]
fn gradients_that_meet_are_summed() {
    let slope = |build: &dyn Fn(&mut Builder, Value) -> Value, x: f64| {
        let mut g = Builder::new();
        let w = g.state("w", Type::f32([]), Role::Parameter);
        let loss = build(&mut g, w);
        let gradient = differentiate(&mut g, loss, &[w]).unwrap()[0];
        g.output("d", gradient);
        let mut states = HashMap::from([("w".to_string(), floats(&[], &[x]))]);
        naive::run(&g.finish().unwrap(), &HashMap::new(), &mut states).unwrap()["d"].as_float().unwrap()[0]
    };
    assert_eq!(slope(&|g, w| g.mul(w, w), 3.0), 6.0);
    assert_eq!(slope(&|g, w| g.sub(w, w), 3.0), 0.0);
    let cubic = |g: &mut Builder, w: Value| {
        let square = g.mul(w, w);
        let cube = g.mul(square, w);
        let sum = g.add(cube, square);
        g.add(sum, w)
    };
    assert_eq!(slope(&cubic, 2.0), 3.0 * 4.0 + 2.0 * 2.0 + 1.0);
}

/// The ops of a program, one node each.
fn unfused(g: &mut Builder, program: &Program, inputs: &[Value]) -> Value {
    let mut registers: Vec<Value> = Vec::new();
    for instruction in &program.instructions {
        let operands: Vec<Value> = instruction
            .operands()
            .map(|operand| match operand {
                Operand::Input(i) => inputs[i],
                Operand::Register(r) => registers[r],
                Operand::Constant(c) => g.constant(c),
            })
            .collect();
        registers.push(match *instruction {
            Instruction::Unary(kind, _) => g.unary(kind, operands[0]),
            Instruction::Binary(kind, ..) => g.binary(kind, operands[0], operands[1]),
            Instruction::Select(..) => g.select(operands[0], operands[1], operands[2]),
            Instruction::Uniform { key, step } => g.random_uniform(key, inputs[step], program.shape.clone()),
        });
    }
    g.broadcast(registers[registers.len() - 1], program.shape.clone())
}

#[test]
fn a_program_equals_its_ops() {
    let random = Program {
        instructions: vec![
            Instruction::Uniform { key: RandomKey::new(5), step: 1 },
            Instruction::Binary(Binary::Greater, Operand::Register(0), Operand::Constant(0.3)),
            Instruction::Select(Operand::Register(1), Operand::Input(0), Operand::Constant(0.0)),
        ],
        shape: vec![4, 6],
    };
    let inputs = vec![SampleInput::Uniform(vec![6], -1.0, 1.0), SampleInput::Index(vec![], 100)];
    let all = samples().chain([("a program with dropout".to_string(), Sample { op: random.into(), inputs })]);
    let mut checked = 0;
    for (name, sample) in all {
        let Op::Program(program) = &sample.op else { continue };
        let (mut g, inputs, _, case) = build(&sample, 23);
        let composed = unfused(&mut g, program, &inputs);
        g.output("composed", composed);
        let outputs = naive::run(&g.finish().unwrap(), &case.feeds, &mut case.states.clone()).unwrap();
        assert_eq!(outputs["composed"], outputs["y0"], "{name}");
        checked += 1;
    }
    assert!(checked >= 2);
}

#[test]
fn single_precision_agrees_with_double_in_every_element() {
    let mut failures = Vec::new();
    for (name, sample) in samples() {
        let (g, _, _, case) = build(&sample, 37);
        let graph = g.finish().unwrap();
        // Both start from numbers that single precision holds, so that only the arithmetic differs.
        let (feeds, states) = (convert::<f32>(&case.feeds), convert::<f32>(&case.states));
        let wide = |v: &NaiveValue<f32>| match v.as_float() {
            Some(x) => floats(&v.shape, &x.iter().map(|x| f64::from(*x)).collect::<Vec<_>>()),
            None => ints(&v.shape, v.as_int().unwrap()),
        };
        let wide = |values: &HashMap<String, NaiveValue<f32>>| -> HashMap<String, NaiveValue<f64>> {
            values.iter().map(|(name, v)| (name.clone(), wide(v))).collect()
        };
        let exact = naive::run(&graph, &wide(&feeds), &mut wide(&states)).unwrap();
        let single = naive::run(&graph, &feeds, &mut states.clone()).unwrap();
        for (output, want) in &exact {
            let (Some(want), Some(got)) = (want.as_float(), single[output].as_float()) else {
                if want.as_int() != single[output].as_int() {
                    failures.push(format!("{name}: {output} differs"));
                }
                continue;
            };
            let size = want.iter().fold(1e-30, |a: f64, b| a.max(b.abs()));
            for (i, (w, g)) in want.iter().zip(got).enumerate() {
                if (w - g.to_f64()).abs() > 1e-5 * size {
                    failures.push(format!("{name}: {output}[{i}] = {g:?}, in double precision {w:?}"));
                }
            }
        }
    }
    report(failures);
}
