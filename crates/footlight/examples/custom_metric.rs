//! A metric of one's own: `cargo run --release --example custom_metric`.
//!
//! A metric is a few sums over samples and what they come to, so it can be streamed and merged.

use footlight::graph::{Builder, Value, ops::Binary, ops::Unary};
use footlight::nn::metrics::{Observed, Rule};
use footlight::prelude::*;

/// The share of forecasts that miss by less than `tolerance`.
#[derive(Debug)]
struct WithinTolerance {
    tolerance: f32,
}

impl Rule for WithinTolerance {
    fn states(&self) -> &'static [&'static str] {
        &["hits", "count"]
    }

    fn lower(&self, g: &mut Builder, batch: &Observed<'_>) -> Vec<Value> {
        let difference = g.sub(batch.y, batch.p.value);
        let size = g.unary(Unary::Abs, difference);
        let tolerance = g.constant(self.tolerance);
        let hits = g.binary(Binary::Greater, tolerance, size);
        let count = g.shape(hits).iter().product::<usize>();
        vec![g.sum_all(hits), g.constant(count as f32)]
    }

    fn result(&self, sums: &[Vec<f64>]) -> Vec<f64> {
        vec![sums[0][0] / sums[1][0]]
    }
}

fn main() -> Result<()> {
    let inputs: Vec<f32> = (0..500).map(|i| i as f32 / 250.0 - 1.0).collect();
    let targets = inputs.iter().map(|x| (3.0 * x).sin()).collect::<Vec<f32>>();
    let (x, y) = (Tensor::new([500, 1], inputs)?.into(), Tensor::new([500, 1], targets)?.into());

    let mut model = Sequential::new(layers![Dense::new(32).activation("tanh"), Dense::new(1)])?;
    model.compile(Adam::new().learning_rate(0.02), "mse", metrics![WithinTolerance { tolerance: 0.1 }])?;
    let history = model.fit(&x, &y, Fit::new().epochs(100).progress(Progress::None))?;

    let hits = history.get("WithinTolerance").expect("it was asked for");
    println!("within 0.1: {:.3} after the first epoch, {:.3} after the last", hits[0], hits[99]);
    assert!(hits[0] < 0.5 && hits[99] > 0.95);
    Ok(())
}

#[test]
fn runs() -> Result<()> {
    main()
}
