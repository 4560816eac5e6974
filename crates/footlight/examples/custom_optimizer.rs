//! An optimizer of one's own: `cargo run --release --example custom_optimizer`.
//!
//! It says what one parameter becomes; clipping, weight decay, schedules and running means come with the common settings.

use footlight::data::digits::Part;
use footlight::graph::{Value, ops::Unary};
use footlight::nn::Optimizer;
use footlight::nn::optimizers::{Common, Parameter, Update};
use footlight::prelude::*;

/// Steps along the mean of the signs of past gradients: `m = decay m + (1 - decay) sign(g)`, `w -= lr m`.
#[derive(Clone, Debug)]
struct MeanSign {
    common: Common,
    decay: f32,
}

impl Optimizer for MeanSign {
    fn common(&self) -> &Common {
        &self.common
    }

    fn common_mut(&mut self) -> &mut Common {
        &mut self.common
    }

    fn slot_groups(&self) -> Vec<Vec<&'static str>> {
        vec![vec!["mean"]]
    }

    fn update(&self, cx: &mut Update<'_>, _: &[Value], p: &Parameter) -> (Value, Vec<Value>) {
        let g = &mut *cx.graph;
        let sign = g.unary(Unary::Sign, p.gradient);
        let (kept, added) = (g.mul_scalar(p.slots[0], self.decay), g.mul_scalar(sign, 1.0 - self.decay));
        let mean = g.add(kept, added);
        let step = g.mul(cx.learning_rate, mean);
        (g.sub(p.value, step), vec![mean])
    }
}

fn main() -> Result<()> {
    let (x, y) = footlight::data::digits::generate(0, Part::Train, 2_000, 1);
    let (x, y) = (Samples::from(x) / 255.0, Samples::from(y));
    let layers = layers![Flatten::new(), Dense::new(64).activation("relu"), Dense::new(10).activation("softmax")];
    let mut model = Sequential::new(layers)?;
    let mut optimizer = MeanSign { common: Common::new(0.01), decay: 0.9 };
    optimizer.common.learning_rate = CosineDecay::new(0.01, 630).into();
    optimizer.common.global_clipnorm = Some(1.0);
    model.compile(optimizer, "sparse_categorical_crossentropy", ["accuracy"])?;
    let history = model.fit(&x, &y, Fit::new().epochs(10).progress(Progress::None))?;
    let accuracy = history.get("accuracy").expect("it was asked for");
    println!("accuracy on the samples trained on: {:.3} then {:.3}", accuracy[0], accuracy[9]);
    assert!(accuracy[9] > 0.95);
    Ok(())
}

#[test]
fn runs() -> Result<()> {
    main()
}
