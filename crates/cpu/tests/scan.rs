//! Recurrence: a scan is its unrolled graph, its gradient does nothing twice, and its plan goes through time by rows.

#[allow(dead_code, reason = "the other suites use the rest")]
mod common;

use common::{Limit, Naive, Runner, Values, beyond, runners, singles};
use footlight_cpu::naive::{self, NaiveValue};
use footlight_cpu::{CpuTarget, Engine, Feed, Isa};
use footlight_graph::ops::{Given, Scan, Unary};
use footlight_graph::plan::{Place, Plan, plan, verify};
use footlight_graph::simplify::simplify;
use footlight_graph::{Builder, ErrorKind, Graph, Op, OpRule, Role, Type, Value, differentiate};
use footlight_tensor::{Philox, RandomKey};
use std::collections::HashMap;

/// Records `scan` step by step.
fn unrolled(g: &mut Builder, scan: &Scan, inputs: &[Value]) -> Vec<Value> {
    let mut carries = inputs[scan.constants..][..scan.carries].to_vec();
    let results = scan.body.outputs().len() - scan.carries;
    let mut steps: Vec<Vec<Value>> = vec![vec![]; results];
    for turn in 0..scan.length {
        let step = scan.step(turn);
        let mut values: HashMap<Value, Value> = HashMap::new();
        for node in scan.body.nodes() {
            let made = match &node.op {
                Op::Given(Given { index, ty }) => vec![match scan.carry(*index) {
                    Some(carry) => carries[carry],
                    None if scan.is_constant(*index) => inputs[*index],
                    None => {
                        let one = g.slice_axis(inputs[*index], 0, step..step + 1);
                        g.reshape(one, ty.shape.clone())
                    }
                }],
                op => {
                    let read: Vec<Value> = node.inputs.iter().map(|v| values[v]).collect();
                    g.push(op.clone(), &read)
                }
            };
            values.extend(node.outputs.iter().copied().zip(made));
        }
        let made: Vec<Value> = scan.body.outputs().iter().map(|(_, v)| values[v]).collect();
        carries = made[..scan.carries].to_vec();
        for (result, value) in steps.iter_mut().zip(&made[scan.carries..]) {
            let shape = [&[1], &g.shape(*value)[..]].concat();
            result.push(g.reshape(*value, shape));
        }
    }
    for mut result in steps {
        if scan.reverse {
            result.reverse();
        }
        carries.push(g.concat(&result, 0));
    }
    carries
}

/// A graph with the scan or its steps, a loss of all outputs, the gradients by all inputs, and theirs in turn.
fn twice_differentiated(scan: &Scan, types: &[Type], unroll: bool) -> Graph {
    let mut g = Builder::new();
    let state = |g: &mut Builder, i: usize, ty: &Type| g.state(&format!("x{i}"), ty.clone(), Role::Parameter);
    let inputs: Vec<Value> = types.iter().enumerate().map(|(i, ty)| state(&mut g, i, ty)).collect();
    let outputs = if unroll { unrolled(&mut g, scan, &inputs) } else { g.push(scan.clone(), &inputs) };
    let loss = weighted_sum(&mut g, &outputs, 3);
    g.output("loss", loss);
    let gradients = differentiate(&mut g, loss, &inputs).unwrap();
    let second = weighted_sum(&mut g, &gradients, 5);
    let seconds = differentiate(&mut g, second, &inputs);
    for (j, output) in outputs.iter().enumerate() {
        g.output(&format!("y{j}"), *output);
    }
    for (i, gradient) in gradients.iter().enumerate() {
        g.output(&format!("d{i}"), *gradient);
    }
    for (i, second) in seconds.iter().flatten().enumerate() {
        g.output(&format!("dd{i}"), *second);
    }
    g.finish().unwrap()
}

/// Every element times another number, squared where a second derivative would be gone, and summed.
fn weighted_sum(g: &mut Builder, values: &[Value], seed: usize) -> Value {
    let mut sum = g.constant(0.0);
    for (i, value) in values.iter().enumerate() {
        let square = g.mul(*value, *value);
        let both = g.add(square, *value);
        let all = g.sum_all(both);
        let part = g.mul_scalar(all, 1.0 / (seed + i) as f32);
        sum = g.add(sum, part);
    }
    sum
}

fn random_states(types: &[Type]) -> Values<f64> {
    let mut rng = Philox::new(RandomKey::new(9));
    let named = types.iter().enumerate();
    named.map(|(i, ty)| (format!("x{i}"), singles(ty.shape.as_slice(), || 1.6 * rng.uniform_f64() - 0.8))).collect()
}

#[test]
fn a_scan_is_its_unrolled_graph_in_value_and_in_first_and_second_gradients() {
    for sample in Scan::samples() {
        let Op::Scan(scan) = &sample.op else { unreachable!("samples of scans are scans") };
        let types: Vec<Type> = sample.inputs.iter().map(|i| i.type_()).collect();
        if scan.length == 0 {
            continue;
        }
        let states = random_states(&types);
        let run = |unroll| {
            let graph = twice_differentiated(scan, &types, unroll);
            naive::run(&graph, &HashMap::new(), &mut states.clone()).unwrap()
        };
        let (want, got) = (run(true), run(false));
        assert_eq!(want.len(), got.len(), "{}", sample.op);
        assert!(got.keys().any(|name| name.starts_with("dd")), "{} has second gradients", sample.op);
        for (name, want) in &want {
            assert_eq!(beyond(want, &got[name], Limit::OfLargest(1e-11)), None, "{name} of {}", sample.op);
        }
    }
}

/// `LSTM(U)` over `T` steps of `N` samples, all of whose inputs are states, with the gradient by each.
fn lstm(steps: usize, samples: usize, units: usize) -> Graph {
    let Some(Op::Scan(small)) = Scan::samples().pop().map(|sample| sample.op) else {
        unreachable!("the last is an LSTM")
    };
    let mut g = Builder::new();
    let state = |g: &mut Builder, name: &str, shape: &[usize]| g.state(name, Type::f32(shape), Role::Parameter);
    let mut inputs: Vec<Value> = (0..4).map(|i| state(&mut g, &format!("k{i}"), &[units, units])).collect();
    inputs.extend(["h", "c"].map(|name| state(&mut g, name, &[samples, units])));
    inputs.extend((0..4).map(|i| state(&mut g, &format!("x{i}"), &[steps, samples, units])));
    let (_, all) = g.scan(steps, false, &inputs[..4], &inputs[4..6], &inputs[6..], |g, k, c, x| {
        let given: Vec<Value> = k.iter().chain(c).chain(x).copied().collect();
        let mut values: HashMap<Value, Value> = small.body.given().zip(given).collect();
        for node in small.body.nodes().iter().filter(|n| !matches!(n.op, Op::Given(_))) {
            let read: Vec<Value> = node.inputs.iter().map(|v| values[v]).collect();
            let made = g.push(node.op.clone(), &read);
            values.extend(node.outputs.iter().copied().zip(made));
        }
        let made: Vec<Value> = small.body.outputs().iter().map(|(_, v)| values[v]).collect();
        (made[..2].to_vec(), made[2..].to_vec())
    });
    let square = g.mul(all[0], all[0]);
    let loss = g.mean_all(square);
    let gradients = differentiate(&mut g, loss, &inputs).unwrap();
    g.output("h", all[0]);
    for (i, gradient) in gradients.into_iter().enumerate() {
        g.output(&format!("d{i}"), gradient);
    }
    g.finish().unwrap()
}

fn scans(graph: &Graph) -> Vec<&Scan> {
    graph.nodes().iter().filter_map(|n| if let Op::Scan(scan) = &n.op { Some(scan) } else { None }).collect()
}

fn count(graph: &Graph, name: &str) -> usize {
    graph.nodes().iter().filter(|n| n.op.name() == name).count()
}

#[test]
fn the_gradient_of_a_recurrence_does_no_work_twice() {
    let graph = simplify(&lstm(5, 3, 4), &CpuTarget::new(Isa::detect())).unwrap().graph;
    let [forward, backward] = scans(&graph)[..] else { panic!("two scans in\n{graph}") };
    assert!(!forward.reverse && backward.reverse);
    assert_eq!((count(&forward.body, "matmul"), count(&backward.body, "matmul")), (4, 4), "one for each gate");
    assert_eq!(count(&graph, "matmul"), 4, "the gradient by each matrix is one product over all steps");
    let functions = |graph: &Graph| {
        let text: Vec<String> = graph.nodes().iter().map(|n| n.op.attributes()).collect();
        ["sigmoid", "tanh"].map(|name| text.iter().map(|t| t.matches(name).count()).sum::<usize>())
    };
    assert_eq!((functions(&forward.body), functions(&backward.body)), ([3, 2], [0, 0]));
    assert_eq!((backward.constants, backward.carries), (4, 2), "nothing is added up in a carry");
}

#[test]
fn a_second_gradient_of_the_same_recurrence_stacks_nothing_anew() {
    let outputs = |times: usize| {
        let mut g = Builder::new();
        let [h, x] = [[3, 4].as_slice(), &[5, 3, 4]].map(|shape| g.input("x", Type::f32(shape)));
        let (last, _) = g.scan(5, false, &[], &[h], &[x], |g, _, h, x| {
            let product = g.mul(h[0], x[0]);
            (vec![g.unary(Unary::Sigmoid, product)], vec![])
        });
        let loss = g.sum_all(last[0]);
        (0..times).for_each(|_| drop(differentiate(&mut g, loss, &[h, x]).unwrap()));
        g.graph().producer(last[0]).outputs.len()
    };
    assert_eq!([outputs(0), outputs(1), outputs(2)], [1, 3, 3], "the state before and the sigmoid");
}

/// The bodies of a plan, outermost first.
fn bodies(plan: &Plan) -> Vec<&footlight_graph::plan::Body> {
    let steps = plan.phases.iter().flat_map(|p| &p.chains).flat_map(|c| &c.steps);
    steps.filter_map(|s| s.body.as_deref()).collect()
}

#[test]
fn an_lstm_and_its_gradient_go_through_time_by_rows() {
    let target = CpuTarget::new(Isa::detect());
    let simple = simplify(&lstm(5, 64, 32), &target).unwrap().graph;
    let plan = plan(&simple, &target).unwrap();
    let rows: Vec<Option<usize>> = bodies(&plan).iter().map(|body| body.rows).collect();
    assert_eq!(rows, [Some(64), Some(64)], "{plan}");
    for phase in &plan.phases {
        for chain in phase.chains.iter().filter(|c| c.steps[0].body.is_some()) {
            assert!(chain.blocks() > 1, "{plan}");
        }
    }
    assert!(plan.to_string().contains("\n    0    matmul"), "{plan}");
}

#[test]
fn every_runner_agrees_on_recurrences_of_many_blocks() {
    let graph = lstm(3, 37, 35);
    let states: HashMap<String, NaiveValue<f32>> = {
        let types: Vec<(String, Type)> =
            graph.states().iter().map(|s| (s.name.clone(), graph.type_of(s.value).clone())).collect();
        let mut rng = Philox::new(RandomKey::new(2));
        let mut fill = |ty: &Type| (0..ty.len()).map(|_| rng.uniform() - 0.5).collect();
        types.into_iter().map(|(name, ty)| (name, NaiveValue::float(ty.shape.clone(), fill(&ty)))).collect()
    };
    let (want, _) = Naive.run(&graph, &HashMap::new(), &states);
    for runner in runners() {
        let (got, _) = runner.run(&graph, &HashMap::new(), &states);
        for (name, want) in &want {
            assert_eq!(beyond(want, &got[name], Limit::OfLargest(2e-6)), None, "{name} by {}", runner.name());
        }
    }
}

#[test]
fn what_nobody_needs_is_neither_carried_nor_stacked_and_what_never_changes_is_computed_once() {
    let mut g = Builder::new();
    let [k, unused] = ["k", "unused"].map(|name| g.input(name, Type::f32([4])));
    let [a, b] = ["a", "b"].map(|name| g.input(name, Type::f32([4])));
    let [x, y] = ["x", "y"].map(|name| g.input(name, Type::f32([6, 4])));
    let (last, results) = g.scan(6, false, &[k, unused], &[a, b], &[x, y], |g, k, c, s| {
        let bounded = g.unary(Unary::Tanh, k[0]);
        let kept = g.mul(c[0], bounded);
        let next = g.add(kept, s[0]);
        let other = g.add(c[1], s[1]);
        let both = g.mul(other, k[1]);
        (vec![next, other], vec![both, next])
    });
    g.output("last", last[0]);
    g.output("all", results[1]);
    let graph = simplify(&g.finish().unwrap(), &CpuTarget::new(Isa::detect())).unwrap().graph;
    let [scan] = scans(&graph)[..] else { panic!("one scan in\n{graph}") };
    assert_eq!((scan.constants, scan.carries, scan.body.given().count(), scan.body.outputs().len()), (1, 1, 3, 2));
    assert!(graph.nodes().iter().any(|n| n.op.attributes() == "tanh"), "{graph}");
    assert_eq!(scan.body.nodes().last().unwrap().op.attributes(), "mul add");
}

#[test]
fn faults_in_a_body_are_told_with_their_layer_and_poison_is_silent() {
    let mut g = Builder::new();
    let x = g.input("x", Type::f32([6, 4]));
    let h = g.input("h", Type::f32([4]));
    let w = g.input("w", Type::f32([3]));
    g.enter("lstm");
    let (last, _) = g.scan(6, false, &[], &[h], &[x], |g, _, h, x| {
        g.enter("cell");
        let sum = g.add(h[0], x[0]);
        let sum = g.add(sum, w);
        g.leave();
        (vec![sum], vec![])
    });
    g.scan(6, false, &[h], &[], &[x], |g, _, _, x| (vec![], vec![g.add(x[0], h)]));
    g.scan(5, false, &[], &[h], &[x], |_, _, h, _| (h.to_vec(), vec![]));
    g.scan(6, false, &[], &[h], &[x], |_, _, _, _| (vec![], vec![]));
    g.scan(6, false, &[], &[h], &[x], |g, _, h, x| {
        let state = g.state("inner", Type::f32([4]), Role::Parameter);
        (vec![g.add(h[0], state)], vec![x[0]])
    });
    g.leave();
    assert!(g.is_poison(last[0]));
    let y = g.add(last[0], x);
    assert!(g.is_poison(y));
    let error = g.finish().unwrap_err();
    let told: Vec<String> = error.faults().iter().map(|f| f.to_string()).collect();
    let want = [
        "lstm/cell: op `add`: shapes [4] and [3] do not broadcast on axis 0",
        "lstm: op `scan`: op `add` of its body reads a value made outside of it\n  help: pass it as a constant",
        "lstm: op `scan` of 5 steps: its sequence is f32[6, 4]",
        "lstm: op `scan`: 1 carries go in, its body makes 0",
        "lstm: op `scan`: its body has a state\n  help: carry it from step to step",
    ];
    assert_eq!(told, want);
    assert_eq!(error.kind(), ErrorKind::Shape);
}

#[test]
fn every_breach_of_the_law_of_bodies_is_told() {
    let target = CpuTarget::new(Isa::detect());
    // So many units that a kernel is packed.
    let whole = plan(&simplify(&lstm(5, 64, 33), &target).unwrap().graph, &target).unwrap();
    let caught = |told: &str, breaks: &dyn Fn(&mut footlight_graph::plan::Chain)| {
        let mut plan = whole.clone();
        let chains = plan.phases.iter_mut().flat_map(|p| &mut p.chains);
        chains.filter(|c| c.steps[0].body.is_some()).take(1).for_each(breaks);
        let message = verify(&plan).expect_err(told).to_string();
        assert!(message.contains(told), "expected `{told}` in:\n{message}");
    };
    fn body(chain: &mut footlight_graph::plan::Chain) -> &mut footlight_graph::plan::Body {
        chain.steps[0].body.as_mut().unwrap()
    }
    caught("is not cut as its body allows", &|chain| chain.block_rows = 7);
    caught("is not cut as its body allows", &|chain| chain.rows = 32);
    caught("in the body of scan", &|chain| drop(body(chain).plan.phases[0].chains[0].steps.pop()));
    caught("too early", &|chain| body(chain).plan.phases[0].chains[0].steps.reverse());
    caught("overlap in a body's scratch", &|chain| body(chain).carries[1] = body(chain).carries[0]);
    caught("overlap in a body's scratch", &|chain| body(chain).carries[0][1] = body(chain).carries[0][0]);
    caught("overlap in a body's scratch", &|chain| body(chain).scratch = 0);
    caught("ends outside of a body's scratch", &|chain| body(chain).scratch = 1 << 30);
    caught("overlap in what the body keeps", &|chain| {
        let steps = &mut body(chain).plan.phases[0].chains[0].steps;
        steps.iter_mut().filter(|s| !s.phase_scratch.is_empty()).for_each(|s| s.phase_scratch = 0..64);
    });
    caught("keeps has no room", &|chain| chain.steps[0].phase_scratch = 0..0);
    caught("is in the place of output 1", &|chain| {
        body(chain).plan.places.iter_mut().filter(|p| **p == Place::Output(0)).for_each(|p| *p = Place::Output(1));
    });
    caught("has no plan of its body", &|chain| chain.steps[0].body = None);
}

#[test]
fn a_profile_and_an_inspection_tell_the_steps_of_bodies() {
    let mut engine = Engine::new(1);
    let mut g = Builder::new();
    let x = g.input("x", Type::f32([7, 3, 4]));
    let zero = g.constant(0.0);
    let first = g.broadcast(zero, [3, 4]);
    g.enter("rnn");
    let (last, _) = g.scan(7, false, &[], &[first], &[x], |g, _, h, x| {
        let log = g.unary(Unary::Log, x[0]);
        (vec![g.add(h[0], log)], vec![])
    });
    g.leave();
    g.output("last", last[0]);
    let mut session = engine.compile(&g.finish().unwrap()).unwrap();
    let mut data = vec![1.0; 84];
    data[5 * 12 + 2] = 0.0;
    let profile = session.profile(&mut engine, &[Feed::F32(&data)], 2).unwrap();
    let own: Vec<&str> = profile.nodes.iter().filter(|n| n.path == "rnn").map(|n| n.op.as_str()).collect();
    assert_eq!(own, ["log add"], "{profile}");
    let mut told = Vec::new();
    let inspect = &mut |step: footlight_cpu::Inspection<'_>| {
        if step.node.path == "rnn" {
            told.push(step.non_finite);
        }
    };
    session.run_inspected(&mut engine, &[Feed::F32(&data)], inspect).unwrap();
    let nothing = [None; 5].to_vec();
    assert_eq!(told, [nothing, vec![Some(f32::NEG_INFINITY); 2]].concat());
}
