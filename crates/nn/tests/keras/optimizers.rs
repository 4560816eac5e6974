//! Updates against Keras: recorded trajectories, golden values, and the order of slots in files.

use crate::support::*;
use footlight_cpu::naive::NaiveValue;
use footlight_graph::{Builder, Graph, Role, Type};
use footlight_nn::optimizers::{self, Parameter, Update};
use footlight_nn::{Adam, AdamW, Architecture, Compile, Dense, Loss, Optimizer, RMSprop, SGD};
use footlight_tensor::DType;

/// One update of one parameter `w` by a gradient that is given.
fn step(optimizer: &dyn Optimizer, shape: &[usize]) -> Graph {
    let mut g = Builder::new();
    let value = g.state("w", Type::f32(shape), Role::Parameter);
    let gradient = g.input("gradient", Type::f32(shape));
    let slots: Vec<_> = optimizer.slots().iter().map(|s| g.state(s, Type::f32(shape), Role::Slot)).collect();
    let iteration = g.state("iteration", Type::i32([]), Role::Slot);
    let learning_rate = g.state("learning_rate", Type::f32([]), Role::Slot);
    let one = g.constant_i32(1);
    let after = g.add(iteration, one);
    g.set_next(iteration, after);
    let count = g.cast(after, DType::F32);
    let mut update = Update { graph: &mut g, learning_rate, step: count };
    let shared = optimizer.prepare(&mut update);
    let (next, next_slots) =
        optimizer.update(&mut update, shared, &Parameter { value, gradient, slots: slots.clone() });
    g.set_next(value, next);
    slots.into_iter().zip(next_slots).for_each(|(slot, next)| g.set_next(slot, next));
    g.finish().unwrap()
}

/// The parameter after each update, and the states at the end.
fn walk(optimizer: &dyn Optimizer, start: &[f32], gradients: &[Vec<f32>]) -> (Vec<Vec<f64>>, Values<f32>) {
    let shape = [start.len()];
    let graph = step(optimizer, &shape);
    let mut known = states(&graph, &Values::new());
    known.insert("w".into(), NaiveValue::float(shape, start.to_vec()));
    known.insert("learning_rate".into(), NaiveValue::float([], vec![optimizer.learning_rate()]));
    let mut path = Vec::new();
    for gradient in gradients {
        run(&graph, &[("gradient", NaiveValue::float(shape, gradient.clone()))], &mut known);
        path.push(numbers(&known["w"]));
    }
    (path, known)
}

/// `1 - beta_2` is taken of a float32 here and of a float64 in Keras: for 0.999 the second moment differs by 1.3e-5 of
/// itself, so a step of Adam differs by half of that, and steps add up.
fn adam_steps(optimizer: &dyn Optimizer, updates: usize) -> Tolerance {
    let is_adam = optimizer.class_name().starts_with("Adam");
    let steps = if is_adam { 1e-5 * f64::from(optimizer.learning_rate()) * updates as f64 } else { 0.0 };
    Tolerance { absolute: 1e-6 + steps, relative: if is_adam { 1e-5 } else { 1e-6 } }
}

#[test]
fn twenty_updates_by_changing_gradients_are_those_of_keras() {
    let (record, mut report) = (keras(), Report::default());
    for (i, case) in list(&record["trajectories"]).iter().enumerate() {
        let optimizer = optimizers::from_config(&case["config"]).unwrap();
        let name = format!("{i} {optimizer:?}");
        let gradients: Vec<Vec<f32>> = list(&case["gradients"]).iter().map(floats).collect();
        let (path, known) = walk(optimizer.as_ref(), &floats(&case["start"]), &gradients);
        for (t, (got, want)) in path.iter().zip(list(&case["weights"])).enumerate() {
            let tolerance = adam_steps(optimizer.as_ref(), t + 1);
            report.close(&format!("{name}: update {}", t + 1), got, &f64s(&floats(want)), tolerance);
        }
        for slot in list(&case["slots"]) {
            let key = text(&slot["name"]).strip_prefix("kernel_").expect("a slot of the kernel");
            let tolerance = Tolerance { absolute: 1e-9, relative: 2e-5 };
            report.close(&format!("{name}: {key}"), &numbers(&known[key]), &f64s(&floats(&slot["data"])), tolerance);
        }
    }
    report.finish();
}

#[test]
fn three_updates_by_a_constant_gradient_give_the_golden_values() {
    let cases: [(Box<dyn Optimizer>, [f64; 3]); 7] = [
        (Box::new(SGD::new().learning_rate(0.1)), [0.97, -1.94, 0.41]),
        (Box::new(SGD::new().learning_rate(0.1).momentum(0.9)), [0.9439, -1.8878, 0.33169997]),
        (Box::new(SGD::new().learning_rate(0.1).momentum(0.9).nesterov(true)), [0.91951001, -1.83902, 0.25852999]),
        (Box::new(Adam::new().learning_rate(0.1)), [0.70000923, -1.7000057, 0.20000443]),
        (Box::new(AdamW::new().learning_rate(0.1)), [0.69892973, -1.6977265, 0.19952467]),
        (Box::new(RMSprop::new().learning_rate(0.1)), [0.2622872, -1.2622681, -0.23773536]),
        (
            Box::new(RMSprop::new().learning_rate(0.1).momentum(0.9).centered(true)),
            [-0.6125679, -0.38737839, -1.1126316],
        ),
    ];
    let mut report = Report::default();
    for (optimizer, want) in cases {
        let (path, _) = walk(optimizer.as_ref(), &[1.0, -2.0, 0.5], &vec![vec![0.1, -0.2, 0.3]; 3]);
        report.close(&format!("{optimizer:?}"), &path[2], &want, adam_steps(optimizer.as_ref(), 3));
    }
    report.finish();
}

#[test]
fn slots_stand_in_the_order_of_keras_files() {
    let layers = footlight_nn::layers![Dense::new(3).input_shape([2]).name("layer")];
    let model = Architecture::sequential(layers).unwrap();
    let (record, mut report) = (keras(), Report::default());
    for case in list(&record["slot_orders"]) {
        let optimizer = optimizers::from_config(&case["config"]).unwrap();
        let name = format!("{optimizer:?}");
        let compile = Compile::new(optimizer, Loss::from("mse"), vec![]).unwrap();
        // Keras' weights `a` and `b` are this model's kernel and bias.
        let short = |name: &str| {
            let name = name.trim_start_matches("optimizer/").replace("layer/kernel/", "a_");
            name.replace("layer/bias/", "b_")
        };
        let got: Vec<String> = compile.optimizer_states(&model).iter().map(|(name, _)| short(name)).collect();
        let want: Vec<String> = list(&case["names"]).iter().map(|n| text(n).to_string()).collect();
        report.equal(&name, got, want);
    }
    report.finish();
}

#[test]
fn configurations_are_those_of_keras() {
    let (record, mut report) = (keras(), Report::default());
    for case in list(&record["trajectories"]) {
        let optimizer = optimizers::from_config(&case["config"]).unwrap();
        let found = differences(&optimizers::to_config(optimizer.as_ref()), &case["config"]);
        report.equal(&format!("{optimizer:?}"), found, vec![]);
    }
    report.finish();
}

#[test]
fn a_training_graph_counts_its_updates_and_keeps_the_learning_rate() {
    let model = Architecture::sequential(footlight_nn::layers![Dense::new(1).input_shape([2])]).unwrap();
    for name in optimizers::NAMES {
        let compile = Compile::new(optimizers::from_name(name).unwrap(), Loss::from("mse"), vec![]).unwrap();
        let graph = compile.lower_train(&model, 4, 0).unwrap();
        let state = |name: &str| graph.state(name).unwrap();
        assert!(state("optimizer/iteration").next.is_some(), "{name}");
        assert!(state("optimizer/learning_rate").next.is_none(), "{name}");
        let slots: Vec<&str> =
            graph.states().iter().filter(|s| s.role == Role::Slot).map(|s| s.name.as_str()).collect();
        let mut listed: Vec<String> = compile.optimizer_states(&model).into_iter().map(|(name, _)| name).collect();
        listed.sort();
        let mut slots: Vec<String> = slots.iter().map(|s| s.to_string()).collect();
        slots.sort();
        assert_eq!(slots, listed, "{name}");
    }
}

#[test]
fn a_setting_out_of_range_is_refused_with_its_value_and_range() {
    type Wrong = (&'static [f32], &'static str);
    type Make = fn(f32) -> Box<dyn Optimizer>;
    const NOT_NEGATIVE: Wrong = (&[-0.1, f32::INFINITY, f32::NAN], "[0, ∞)");
    const DECAY: Wrong = (&[-0.1, 1.0, f32::NAN], "[0, 1)");
    const MOMENTUM: Wrong = (&[-0.1, 1.1, f32::NAN], "[0, 1]");
    let cases: [(&str, Wrong, Make); 15] = [
        ("learning_rate", NOT_NEGATIVE, |x| Box::new(SGD::new().learning_rate(x))),
        ("momentum", MOMENTUM, |x| Box::new(SGD::new().momentum(x))),
        ("learning_rate", NOT_NEGATIVE, |x| Box::new(RMSprop::new().learning_rate(x))),
        ("rho", DECAY, |x| Box::new(RMSprop::new().rho(x))),
        ("momentum", MOMENTUM, |x| Box::new(RMSprop::new().momentum(x))),
        ("epsilon", NOT_NEGATIVE, |x| Box::new(RMSprop::new().epsilon(x))),
        ("learning_rate", NOT_NEGATIVE, |x| Box::new(Adam::new().learning_rate(x))),
        ("beta_1", DECAY, |x| Box::new(Adam::new().beta_1(x))),
        ("beta_2", DECAY, |x| Box::new(Adam::new().beta_2(x))),
        ("epsilon", NOT_NEGATIVE, |x| Box::new(Adam::new().epsilon(x))),
        ("learning_rate", NOT_NEGATIVE, |x| Box::new(AdamW::new().learning_rate(x))),
        ("beta_1", DECAY, |x| Box::new(AdamW::new().beta_1(x))),
        ("beta_2", DECAY, |x| Box::new(AdamW::new().beta_2(x))),
        ("epsilon", NOT_NEGATIVE, |x| Box::new(AdamW::new().epsilon(x))),
        ("weight_decay", NOT_NEGATIVE, |x| Box::new(AdamW::new().weight_decay(x))),
    ];
    let mut report = Report::default();
    for (key, (wrong, range), make) in cases {
        report.equal(&format!("{:?}", make(0.0)), make(0.0).check(), Ok(()));
        for value in wrong {
            let optimizer = make(*value);
            let name = format!("optimizer `{}`", optimizer.class_name());
            let got =
                Compile::new(optimizer, Loss::from("mse"), vec![]).map(|_| ()).map_err(|e| e.message().to_string());
            report.equal(key, got, Err(format!("{name}: {key} = {value} must be in {range}")));
        }
    }
    report.finish();
}
