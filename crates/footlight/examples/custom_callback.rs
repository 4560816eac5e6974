//! A callback of one's own: `cargo run --release --example custom_callback`.
//!
//! It watches the size of the weights, puts it into the history, and ends the training when they hardly move.

use footlight::prelude::*;
use footlight::train::{Callback, Logs, Training};

/// Ends a training in which the weights of a layer move by less than a share of their size in an epoch.
struct StopWhenStill {
    kernel: &'static str,
    share: f32,
    before: Vec<f32>,
}

impl Callback for StopWhenStill {
    fn on_epoch_end(&mut self, training: &mut Training<'_>, logs: &mut Logs) -> Result<()> {
        let now = training.model.state(self.kernel).expect("the layer is there").to_f32();
        let norm = |x: &[f32]| x.iter().map(|x| x * x).sum::<f32>().sqrt();
        logs.push(("norm".into(), f64::from(norm(&now))));
        let moved: Vec<f32> = now.iter().zip(&self.before).map(|(a, b)| a - b).collect();
        if !self.before.is_empty() && norm(&moved) < self.share * norm(&now) {
            training.stop();
        }
        self.before = now;
        Ok(())
    }
}

fn main() -> Result<()> {
    let inputs: Vec<f32> = (0..600).map(|i| ((i * 7919) % 600) as f32 / 300.0 - 1.0).collect();
    let targets = inputs.chunks(2).map(|x| 2.0 * x[0] - x[1]).collect::<Vec<f32>>();
    let (x, y) = (Tensor::new([300, 2], inputs)?.into(), Tensor::new([300, 1], targets)?.into());

    let mut model = Sequential::new(layers![Dense::new(1)])?;
    model.compile(Adam::new().learning_rate(0.05), "mse", [])?;
    let mut still = StopWhenStill { kernel: "dense/kernel", share: 1e-3, before: vec![] };
    let history = model.fit(&x, &y, Fit::new().epochs(500).progress(Progress::None).callback(&mut still))?;

    let norms = history.get("norm").expect("the callback told it");
    println!("{} epochs; the kernel's norm ends at {:.3}", history.epochs(), norms[history.epochs() - 1]);
    assert!(history.epochs() < 500 && (norms[history.epochs() - 1] - 5f64.sqrt()).abs() < 0.05);
    Ok(())
}

#[test]
fn runs() -> Result<()> {
    main()
}
