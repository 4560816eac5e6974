//! Updates against Keras: recorded trajectories, golden values, and the order of slots in files.

use crate::support::*;
use footlight_cpu::naive::NaiveValue;
use footlight_graph::{Builder, Graph, Role, Type};
use footlight_nn::optimizers::{self, Trained};
use footlight_nn::{
    Adadelta, Adafactor, Adagrad, Adam, AdamW, Adamax, Architecture, Compile, CosineDecayRestarts, Dense, Ftrl, Lamb,
    Lion, Loss, Nadam, Optimizer, RMSprop, SGD, Schedule,
};

/// One update of one parameter `w` by a gradient that is given.
fn step(optimizer: &dyn Optimizer, shape: &[usize]) -> Graph {
    let mut g = Builder::new();
    let value = g.state("w", Type::f32(shape), Role::Parameter);
    let gradient = g.input("gradient", Type::f32(shape));
    let iteration = g.state("optimizer/iteration", Type::i32([]), Role::Slot);
    optimizers::step(
        &mut g,
        optimizer,
        "optimizer",
        iteration,
        &[Trained { path: "w", value, gradient, constraint: None }],
    );
    g.finish().unwrap()
}

/// The parameter after each update, and the states at the end.
fn walk(
    optimizer: &dyn Optimizer,
    shape: &[usize],
    start: &[f32],
    gradients: &[Vec<f32>],
) -> (Vec<Vec<f64>>, Values<f32>) {
    let graph = step(optimizer, shape);
    let mut known = states(&graph, &Values::new());
    known.insert("w".into(), NaiveValue::float(shape, start.to_vec()));
    for state in optimizers::states(optimizer, "optimizer", &[("w", shape)]).into_iter().filter(|s| s.initial != 0.0) {
        let value = vec![state.initial; state.ty.len()];
        known.insert(state.name, NaiveValue::float(state.ty.shape, value));
    }
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
    let is_adam = ["Adam", "AdamW", "Nadam", "Lamb"].contains(&optimizer.class_name());
    let rate = optimizer.common().learning_rate.constant().unwrap_or(0.1);
    let steps = if is_adam { 1e-5 * f64::from(rate) * updates as f64 } else { 0.0 };
    Tolerance { absolute: 1e-6 + steps, relative: if is_adam { 1e-5 } else { 1e-6 } }
}

#[test]
fn twenty_updates_by_changing_gradients_are_those_of_keras() {
    let (record, mut report) = (keras(), Report::default());
    for (i, case) in list(&record["trajectories"]).iter().enumerate() {
        let optimizer = optimizers::from_config(&case["config"]).unwrap();
        let name = format!("{i} {optimizer:?}");
        let gradients: Vec<Vec<f32>> = list(&case["gradients"]).iter().map(floats).collect();
        let (path, known) = walk(optimizer.as_ref(), &[2, 3], &floats(&case["start"]), &gradients);
        for (t, (got, want)) in path.iter().zip(list(&case["weights"])).enumerate() {
            let tolerance = adam_steps(optimizer.as_ref(), t + 1);
            report.close(&format!("{name}: update {}", t + 1), got, &f64s(&floats(want)), tolerance);
        }
        for slot in list(&case["slots"]) {
            let key = text(&slot["name"]).strip_prefix("kernel_").expect("a slot of the kernel");
            let tolerance = Tolerance { absolute: 1e-6, relative: 2e-5 };
            let got = numbers(&known[&format!("optimizer/w/{key}")]);
            report.close(&format!("{name}: {key}"), &got, &f64s(&floats(&slot["data"])), tolerance);
        }
    }
    report.finish();
}

#[test]
fn three_updates_by_a_constant_gradient_give_the_golden_values() {
    let cases: [(Box<dyn Optimizer>, [f64; 3]); 18] = [
        (Box::new(SGD::new().learning_rate(0.1)), [0.97, -1.94, 0.41]),
        (Box::new(SGD::new().learning_rate(0.1).momentum(0.9)), [0.9439, -1.8878, 0.33169997]),
        (Box::new(SGD::new().learning_rate(0.1).momentum(0.9).nesterov(true)), [0.91951001, -1.83902, 0.25852999]),
        (Box::new(Adam::new().learning_rate(0.1)), [0.70000923, -1.7000057, 0.20000443]),
        (Box::new(AdamW::new().learning_rate(0.1)), [0.69892973, -1.6977265, 0.19952467]),
        (Box::new(Nadam::new().learning_rate(0.1)), [0.74522895, -1.7452288, 0.24522874]),
        (Box::new(Adamax::new().learning_rate(0.1)), [0.70000029, -1.7000003, 0.20000015]),
        (Box::new(RMSprop::new().learning_rate(0.1)), [0.2622872, -1.2622681, -0.23773536]),
        (
            Box::new(RMSprop::new().learning_rate(0.1).momentum(0.9).centered(true)),
            [-0.6125679, -0.38737839, -1.1126316],
        ),
        (Box::new(Adagrad::new().learning_rate(0.1)), [0.91324639, -1.8567672, 0.32516095]),
        (Box::new(Adadelta::new().learning_rate(0.1)), [0.99957097, -1.999571, 0.49957091]),
        (Box::new(Lion::new().learning_rate(0.1)), [0.7, -1.7, 0.2]),
        (Box::new(Ftrl::new().learning_rate(0.1)), [-0.040216252, -0.16645868, -0.037577208]),
        (Box::new(Lamb::new().learning_rate(0.1)), [0.63631648, -1.6363162, 0.13631618]),
        (Box::new(Adafactor::new().learning_rate(0.1)), [0.6363163, -1.6363163, 0.13631628]),
        (Box::new(SGD::new().learning_rate(0.1).clipnorm(0.1)), [0.99198216, -1.9839643, 0.47594649]),
        (Box::new(SGD::new().learning_rate(0.1).clipvalue(0.15)), [0.97, -1.955, 0.455]),
        (Box::new(SGD::new().learning_rate(0.1).gradient_accumulation_steps(2)), [0.99, -1.98, 0.47]),
    ];
    let mut report = Report::default();
    for (optimizer, want) in cases {
        let (path, _) = walk(optimizer.as_ref(), &[3], &[1.0, -2.0, 0.5], &vec![vec![0.1, -0.2, 0.3]; 3]);
        report.close(&format!("{optimizer:?}"), &path[2], &want, adam_steps(optimizer.as_ref(), 3));
    }
    report.finish();
}

/// The rate of each step under a schedule.
fn rates(schedule: &Schedule, steps: impl Iterator<Item = usize>) -> Vec<f64> {
    let graph = schedule.graph().unwrap();
    let at = |step| run(&graph, &[("step", NaiveValue::float([], vec![step as f32]))], &mut Values::new());
    steps.map(|step| numbers(&at(step)["learning_rate"])[0]).collect()
}

#[test]
fn rates_of_schedules_are_those_of_keras() {
    let (record, mut report) = (keras(), Report::default());
    let tolerance = Tolerance { absolute: 1e-7, relative: 2e-6 };
    for case in list(&record["schedules"]) {
        let schedule = Schedule::from_config(&case["config"]).unwrap();
        let want = f64s(&floats(&case["rates"]));
        report.close(&format!("{schedule:?}"), &rates(&schedule, 0..want.len()), &want, tolerance);
        report.equal(&format!("{schedule:?}"), differences(&schedule.to_config(), &case["config"]), vec![]);
    }
    report.finish();
}

/// Where a cycle begins the logarithm that finds it may be rounded down.
#[test]
fn every_cycle_of_restarts_begins_with_the_initial_rate() {
    for (t_mul, first) in [(2.0, 10), (3.0, 7), (1.5, 16)] {
        let schedule = Schedule::from(CosineDecayRestarts::new(0.1, first).t_mul(t_mul));
        let begins = (0..6).map(|i| (first as f32 * (t_mul.powi(i) - 1.0) / (t_mul - 1.0)) as usize);
        let first: Vec<f64> = rates(&schedule, begins.take_while(|step| *step < 1 << 20)).to_vec();
        assert!(first.iter().all(|rate| (rate - 0.1).abs() < 1e-3), "{t_mul}: {first:?}");
    }
}

#[test]
fn a_plain_optimizer_pays_for_no_option() {
    let graph = step(&Adam::new(), &[4]);
    let count = |name: &str| graph.to_string().matches(name).count();
    assert_eq!((count("adam_update"), count("select"), count("reduce_sum")), (1, 0, 0), "{graph}");
    // Decay is one factor and one subtraction more.
    assert_eq!(step(&AdamW::new(), &[4]).nodes().len(), graph.nodes().len() + 4);
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
            let name = name.replace("layer/bias/", "b_");
            // Keras has no names for these: a factor is called as its weight is, and a number of its own `variable`.
            let name = name.replace("_row", "").replace("_column", "");
            if name == "u_product" { "variable".into() } else { name }
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
    const POSITIVE: Wrong = (&[0.0, f32::INFINITY, f32::NAN], "(0, ∞)");
    let cases: [(&str, Wrong, Make); 26] = [
        ("rho", DECAY, |x| Box::new(Adadelta::new().rho(x))),
        ("initial_accumulator_value", NOT_NEGATIVE, |x| Box::new(Adagrad::new().initial_accumulator_value(x))),
        ("beta_2", DECAY, |x| Box::new(Adamax::new().beta_2(x))),
        ("beta_1", DECAY, |x| Box::new(Nadam::new().beta_1(x))),
        ("epsilon", NOT_NEGATIVE, |x| Box::new(Lamb::new().epsilon(x))),
        ("beta_2", DECAY, |x| Box::new(Lion::new().beta_2(x))),
        ("epsilon_2", NOT_NEGATIVE, |x| Box::new(Adafactor::new().epsilon_2(x))),
        ("learning_rate_power", (&[0.1, f32::NAN], "(-∞, 0]"), |x| Box::new(Ftrl::new().learning_rate_power(x))),
        ("ema_momentum", MOMENTUM, |x| Box::new(SGD::new().ema_momentum(x))),
        ("weight_decay", NOT_NEGATIVE, |x| Box::new(SGD::new().weight_decay(x))),
        ("clipnorm", POSITIVE, |x| Box::new(SGD::new().clipnorm(x))),
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
        let allowed = if key == "clipnorm" { 1.0 } else { 0.0 };
        report.equal(&format!("{:?}", make(allowed)), make(allowed).check(), Ok(()));
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
