//! Classes of one's own in files, and training steps of one's own.

use footlight::graph::{Builder, Value};
use footlight::nn::metrics::Observed;
use footlight::nn::optimizers::{Common as OptimizerCommon, Parameter, Update};
use footlight::nn::{Call, Common, Custom, Masked, Optimizer, WeightSpec, losses, metrics};
use footlight::prelude::*;
use footlight::train::TrainStep;
use footlight::{ErrorKind, nn};

#[derive(Clone, Debug)]
struct Scale {
    common: Common,
    start: f32,
}

impl Layer for Scale {
    fn common(&self) -> &Common {
        &self.common
    }
    fn common_mut(&mut self) -> &mut Common {
        &mut self.common
    }
    fn config(&self) -> nn::Config {
        [("start".to_string(), self.start.into())].into_iter().collect()
    }
    fn weights(&self, input: &[usize]) -> Result<Vec<WeightSpec>, nn::Error> {
        Ok(vec![WeightSpec::new("scale", input, Initializer::Constant(self.start))])
    }
    fn call(&self, cx: &mut Call<'_>, x: Masked) -> Masked {
        x.with(cx.graph.mul(x.value, cx.weights[0]))
    }
}

#[derive(Debug)]
struct Cubic;

impl losses::Rule for Cubic {
    fn lower(&self, g: &mut Builder, y: Value, p: Value) -> Value {
        let difference = g.sub(p, y);
        let square = g.mul(difference, difference);
        let size = g.unary(footlight::graph::ops::Unary::Abs, difference);
        g.mul(square, size)
    }
}

#[derive(Debug)]
struct LargestSum;

impl metrics::Rule for LargestSum {
    fn states(&self) -> &'static [&'static str] {
        &["sum"]
    }
    fn lower(&self, g: &mut Builder, batch: &Observed<'_>) -> Vec<Value> {
        vec![g.sum_all(batch.p.value)]
    }
    fn result(&self, sums: &[Vec<f64>]) -> Vec<f64> {
        sums[0].clone()
    }
}

#[derive(Clone, Debug)]
struct Momentum {
    common: OptimizerCommon,
}

impl Optimizer for Momentum {
    fn common(&self) -> &OptimizerCommon {
        &self.common
    }
    fn common_mut(&mut self) -> &mut OptimizerCommon {
        &mut self.common
    }
    fn slot_groups(&self) -> Vec<Vec<&'static str>> {
        vec![vec!["velocity"]]
    }
    fn update(&self, cx: &mut Update<'_>, _: &[Value], p: &Parameter) -> (Value, Vec<Value>) {
        let g = &mut *cx.graph;
        let kept = g.mul_scalar(p.slots[0], 0.9);
        let step = g.mul(p.gradient, cx.learning_rate);
        let velocity = g.sub(kept, step);
        (g.add(p.value, velocity), vec![velocity])
    }
}

fn custom() -> Custom {
    let layer =
        |read: &mut nn::config::Reader<'_>| Ok(Scale { common: Common::default(), start: read.f32("start", 1.0)? });
    Custom::new()
        .layer("Scale", layer)
        .loss("Cubic", |_| Ok(Cubic))
        .metric("LargestSum", |_| Ok(LargestSum))
        .optimizer("Momentum", |_| Ok(Momentum { common: OptimizerCommon::new(0.01) }))
}

fn data() -> (Samples, Samples) {
    let x: Vec<f32> = (0..60).map(|i| ((i * 37) % 60) as f32 / 30.0 - 1.0).collect();
    let y = x.chunks(3).map(|x| x[0] - 2.0 * x[2]).collect::<Vec<f32>>();
    (Tensor::new([20, 3], x).unwrap().into(), Tensor::new([20, 1], y).unwrap().into())
}

fn model() -> Model {
    let scale = Scale { common: Common::default(), start: 0.5 };
    let mut model = Sequential::new(layers![scale, Dense::new(1)]).unwrap();
    let optimizer = Momentum { common: OptimizerCommon::new(0.02) };
    model.compile(optimizer, Cubic, metrics![LargestSum]).unwrap();
    model
}

#[test]
fn a_training_with_classes_of_ones_own_goes_on_from_its_file() {
    let (x, y) = data();
    let quiet = || Fit::new().batch_size(10).shuffle(false).progress(Progress::None);
    let mut straight = model();
    let first = straight.fit(&x, &y, quiet().epochs(3)).unwrap();
    let path = std::env::temp_dir().join(format!("footlight-custom-{}.keras", std::process::id()));
    straight.save(&path).unwrap();
    let refused = Model::load(&path).unwrap_err();
    let loaded = Model::load_with(&path, &custom());
    std::fs::remove_file(&path).unwrap();

    assert_eq!(refused.kind(), ErrorKind::File);
    assert!(refused.message().contains("class `Scale` of `Custom>Scale` is no built-in"), "{refused}");
    let mut loaded = loaded.unwrap();
    assert_eq!(loaded.learning_rate().unwrap(), 0.02);
    let (on, straight_on) = (loaded.fit(&x, &y, quiet().epochs(2)), straight.fit(&x, &y, quiet().epochs(2)));
    assert_eq!(on.unwrap(), straight_on.unwrap());
    let losses = first.get("loss").unwrap();
    assert!(losses[2] < losses[0], "{losses:?}");
    assert!(first.get("LargestSum").is_some());
}

#[test]
fn a_key_that_a_class_of_ones_own_does_not_read_is_told() {
    let value = serde_json::json!({ "class_name": "Scale", "config": { "start": 1.0, "stop": 2.0 } });
    let error = nn::layers::from_config_with(&value, &custom()).unwrap_err();
    assert!(error.message().contains("`Scale`: unknown key `stop`"), "{error}");
}

/// `fit` and a step of one's own that says the same train the same.
#[test]
fn a_step_of_ones_own_equals_fit() {
    let (x, y) = data();
    let layers = || {
        layers![
            Dense::new(4).activation("tanh").kernel_regularizer(L2::new(0.01)).input_shape([3]),
            BatchNormalization::new(),
            Dense::new(1)
        ]
    };
    let mut fitted = Sequential::new(layers()).unwrap();
    let mut stepped = Sequential::new(layers()).unwrap();
    fitted.compile(Adam::new().learning_rate(0.1), "mse", []).unwrap();
    fitted.fit(&x, &y, Fit::new().epochs(3).batch_size(10).shuffle(false).progress(Progress::None)).unwrap();
    let mut step = TrainStep::new(0, [("model", &stepped)], |s| {
        let (x, y) = (s.input("x", &[3]), s.input("y", &[1]));
        let prediction = s.call("model", x);
        let loss = s.loss("mse", y, prediction);
        let penalties = s.penalties("model");
        let whole = s.add(loss, penalties);
        s.minimize(whole, "model", Adam::new().learning_rate(0.1));
        s.report("loss", whole);
    })
    .unwrap();
    let rows: Vec<u32> = (0..20).collect();
    for _ in 0..3 {
        for rows in rows.chunks(10) {
            step.train_on_batch(&[("y", &y), ("x", &x)], rows).unwrap();
        }
    }
    step.update("model", &mut stepped).unwrap();
    for weight in fitted.architecture().weights() {
        assert_eq!(fitted.state(&weight.path), stepped.state(&weight.path), "{}", weight.path);
    }
    assert_eq!(fitted.state("optimizer/dense/kernel/momentum"), step.state("model/optimizer/dense/kernel/momentum"));
}

#[test]
fn a_step_of_ones_own_tells_where_its_time_goes() {
    let model = Sequential::new(layers![Dense::new(3).name("first").input_shape([4])]).unwrap();
    let mut step = TrainStep::new(0, [("model", &model)], |s| {
        let x = s.input("x", &[4]);
        let y = s.call("model", x);
        let loss = s.mean_all(y);
        s.minimize(loss, "model", SGD::new());
        s.report("loss", loss);
    })
    .unwrap();
    let x = Samples::from(Tensor::new([2, 4], vec![1.0f32; 8]).unwrap());
    let profile = step.profile(&[("x", &x)], &[0, 1], 3).unwrap();
    let product = profile.nodes.iter().find(|node| node.op == "matmul" && node.path == "model/first");
    assert_eq!(product.map(|node| node.flops), Some(2.0 * 2.0 * 4.0 * 3.0), "{profile}");
    assert!(profile.ceilings.is_some());
    let error = step.profile(&[], &[0, 1], 3).unwrap_err();
    assert!(error.to_string().contains("input `x` is given no samples"), "{error}");
}

#[test]
fn statistics_go_on_from_call_to_call_within_a_step() {
    let norm = Sequential::new(layers![BatchNormalization::new().momentum(0.5).input_shape([1])]).unwrap();
    let mut step = TrainStep::new(0, [("norm", &norm)], |s| {
        let (a, b) = (s.input("a", &[1]), s.input("b", &[1]));
        let (a, b) = (s.call("norm", a), s.call("norm", b));
        let sum = s.add(a, b);
        let mean = s.mean_all(sum);
        s.report("mean", mean);
    })
    .unwrap();
    let of = |values: [f32; 2]| Samples::from(Tensor::new([2, 1], values.to_vec()).unwrap());
    step.train_on_batch(&[("a", &of([4.0, 4.0])), ("b", &of([8.0, 8.0]))], &[0, 1]).unwrap();
    // 0 -> (0 + 4) / 2 = 2 -> (2 + 8) / 2 = 5
    assert_eq!(step.state("norm/batch_normalization/moving_mean").unwrap().to_f32(), [5.0]);
}

#[test]
fn each_call_and_each_step_draws_its_own_numbers_for_any_number_of_threads() {
    let identity = || Sequential::new(layers![Dropout::new(0.5).input_shape([64])]).unwrap();
    let run = |threads| {
        let model = identity().threads(threads);
        let mut step = TrainStep::new(3, [("drop", &model)], |s| {
            let noise = s.noise_normal(&[64]);
            let ones = s.full_like(noise, 1.0);
            let (first, second) = (s.call("drop", ones), s.call("drop", ones));
            for (name, value) in [("noise", noise), ("first", first), ("second", second)] {
                s.output(name, value);
            }
        })
        .unwrap();
        let mut all = Vec::new();
        for _ in 0..2 {
            step.train_on_batch(&[], &[0, 1, 2, 3]).unwrap();
            all.extend(["noise", "first", "second"].map(|name| step.output(name).unwrap().to_f32()));
        }
        all
    };
    let all = run(1);
    for (i, a) in all.iter().enumerate() {
        assert!(all[i + 1..].iter().all(|b| a != b), "draw {i} is drawn again");
    }
    assert_eq!(all, run(3));
}

#[test]
fn what_a_step_cannot_do_is_told() {
    let (x, _) = data();
    let model = || Sequential::new(layers![Dense::new(1).input_shape([3])]).unwrap();
    type Record = fn(&mut footlight::train::StepBuilder<'_>);
    let error = |record: Record| TrainStep::new(0, [("model", &model())], record).unwrap_err().to_string();
    let cases: [(&str, Record); 7] = [
        ("unknown model `modle`", |s| {
            let x = s.input("x", &[3]);
            s.call("modle", x);
        }),
        ("model `model` is called on [1, 2], it takes [1, 3]", |s| {
            let x = s.input("x", &[2]);
            s.call("model", x);
        }),
        ("unknown loss `msee`", |s| {
            let x = s.input("x", &[3]);
            s.loss("msee", x, x);
        }),
        ("unknown optimizer `adm`", |s| {
            let x = s.input("x", &[3]);
            let y = s.call("model", x);
            let loss = s.mean_all(y);
            s.minimize(loss, "model", "adm");
        }),
        ("model `model` is moved twice in one step", |s| {
            let x = s.input("x", &[3]);
            let y = s.call("model", x);
            let loss = s.mean_all(y);
            s.minimize(loss, "model", "sgd");
            s.minimize(loss, "model", "sgd");
        }),
        ("the loss does not depend on `model/dense/kernel`", |s| {
            let x = s.input("x", &[3]);
            let loss = s.mean_all(x);
            s.minimize(loss, "model", "sgd");
        }),
        ("op `add`: shapes [1, 3] and [1, 2] do not broadcast", |s| {
            let (a, b) = (s.input("a", &[3]), s.input("b", &[2]));
            s.add(a, b);
        }),
    ];
    for (told, record) in cases {
        let message = error(record);
        assert!(message.contains(told), "expected `{told}` in:\n{message}");
    }

    let unbuilt = Sequential::new(layers![Dense::new(1)]).unwrap();
    let error = TrainStep::new(0, [("model", &unbuilt)], |_| {}).unwrap_err();
    assert!(error.message().contains("does not know the shape of its samples"), "{error}");
    let twice = model();
    let error = TrainStep::new(0, [("a", &twice), ("a", &twice)], |_| {}).unwrap_err();
    assert!(error.message().contains("names of their own"), "{error}");

    let mut step = TrainStep::new(0, [("model", &model())], |s| {
        let x = s.input("x", &[3]);
        let y = s.call("model", x);
        let mean = s.mean_all(y);
        s.report("mean", mean);
    })
    .unwrap();
    let wrong = Samples::from(Tensor::new([4, 2], vec![0.0f32; 8]).unwrap());
    type Case<'a> = (&'a str, Vec<(&'a str, &'a Samples)>, &'a [u32]);
    let cases: [Case<'_>; 4] = [
        ("input `x` is given no samples", vec![], &[0]),
        ("unknown input `z`", vec![("x", &x), ("z", &x)], &[0]),
        ("input `x`: samples have shape [2], the step takes [3]", vec![("x", &wrong)], &[0]),
        ("row 20 asked for, the table has 20", vec![("x", &x)], &[0, 20]),
    ];
    for (told, data, rows) in cases {
        let message = step.train_on_batch(&data, rows).unwrap_err().to_string();
        assert!(message.contains(told), "expected `{told}` in:\n{message}");
    }
    assert_eq!(step.train_on_batch(&[("x", &x)], &[0, 19]).unwrap().len(), 1);
}
