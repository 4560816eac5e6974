//! Convolutions that are pooled: fused, they and their gradients say what the ops say one by one, and numbers that are not finite
//! are told where they are made.

#[allow(dead_code, reason = "the other suites use the rest")]
mod common;

use common::{Values, convert, difference, runners, singles};
use footlight_cpu::{CpuTarget, Engine, Feed, Isa, naive};
use footlight_graph::ops::{Binary, ConvGeometry, Windows};
use footlight_graph::simplify::simplify;
use footlight_graph::{Builder, Graph, Node, Op, OpRule, Role, Type, differentiate};
use footlight_tensor::{Philox, RandomKey, Tensor};
use std::collections::HashMap;

/// Two layers of convolution, bias, ReLU and pooling by halves of images `x`, with the gradients by all parameters.
fn network(geometry: &ConvGeometry, filters: [usize; 2]) -> Graph {
    let mut g = Builder::new();
    let mut y = g.state("x", Type::f32([5, 15, 18, 3]), Role::Parameter);
    let (zero, mut parameters) = (g.constant(0.0), vec![y]);
    for (layer, channels, filters) in [("a", 3, filters[0]), ("b", filters[0], filters[1])] {
        let w = g.state(&format!("{layer}/kernel"), Type::f32([3, 3, channels, filters]), Role::Parameter);
        let b = g.state(&format!("{layer}/bias"), Type::f32([filters]), Role::Parameter);
        g.enter(layer);
        let z = g.conv(y, w, geometry.clone());
        let z = g.add(z, b);
        let z = g.binary(Binary::Maximum, zero, z);
        y = g.max_pool(z, &[Windows::Even { size: 2, stride: 2, padding: [0, 0] }; 2]).0;
        g.leave();
        parameters.extend([w, b]);
    }
    let square = g.mul(y, y);
    let loss = g.sum_all(square);
    let gradients = differentiate(&mut g, loss, &parameters).unwrap();
    g.output("y", y);
    gradients.iter().enumerate().for_each(|(i, gradient)| g.output(&format!("d{i}"), *gradient));
    g.finish().unwrap()
}

fn random_states(graph: &Graph) -> Values<f64> {
    let mut rng = Philox::new(RandomKey::new(14));
    let mut state = |value| singles(graph.type_of(value).shape.as_slice(), || rng.uniform_f64() - 0.5);
    graph.states().iter().map(|s| (s.name.clone(), state(s.value))).collect()
}

#[test]
fn pooling_early_keeps_every_value_and_gradient() {
    let padded = |low: usize, high: usize| ConvGeometry { padding: vec![[low, high]; 2], ..ConvGeometry::new(2) };
    let cases = [
        (ConvGeometry::new(2), [17, 32]),
        (ConvGeometry::new(2), [32, 48]),
        (padded(1, 1), [32, 16]),
        (ConvGeometry { strides: vec![1, 2], ..padded(1, 0) }, [16, 5]),
    ];
    for (geometry, filters) in cases {
        let graph = network(&geometry, filters);
        let simplified = simplify(&graph, &CpuTarget::new(Isa::detect())).unwrap().graph;
        let is_dense = |node: &&Node| matches!(node.op, Op::Conv(_) | Op::MaxPool(_) | Op::PoolScatter(_));
        assert_eq!(simplified.nodes().iter().find(is_dense), None, "{simplified}");
        let states = random_states(&graph);
        let want = naive::run(&graph, &HashMap::new(), &mut states.clone()).unwrap();
        for runner in runners() {
            let (got, _) = runner.run(&graph, &HashMap::new(), &convert(&states));
            for (name, value) in &want {
                assert_eq!(difference(value, &got[name], 1e-5), None, "{name} by {}, {geometry:?}", runner.name());
            }
        }
    }
}

/// Products with zero are left out, among them those with what is not finite; it is told where it is made all the same.
#[test]
fn the_first_number_that_is_not_finite_is_told_where_it_is_made() {
    let graph = network(&ConvGeometry::new(2), [16, 16]);
    let first = |poisoned: &str, value: f32| {
        let mut engine = Engine::new(1);
        let mut session = engine.compile(&graph).unwrap();
        for (name, state) in convert::<f32>(&random_states(&graph)) {
            let mut numbers = state.as_float().unwrap().to_vec();
            if name == poisoned {
                numbers[7] = value;
            }
            engine.store_mut().set(&name, Role::Parameter, &Tensor::new(state.shape, numbers).unwrap()).unwrap();
        }
        let mut first = None;
        let inspect = &mut |step: footlight_cpu::Inspection<'_>| {
            if step.non_finite.is_some() && first.is_none() {
                first = Some(format!("{} of {}", step.node.op.name(), step.node.path));
            }
        };
        session.run_inspected(&mut engine, &[] as &[Feed<'_>], inspect).unwrap();
        first.unwrap()
    };
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        assert_eq!(first("a/kernel", value), "conv_max_pool of a");
        assert_eq!(first("b/kernel", value), "conv_max_pool of b");
    }
    for value in [f32::NAN, f32::INFINITY] {
        assert_eq!(first("b/bias", value), "program of b");
    }
}
