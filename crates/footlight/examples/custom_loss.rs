//! A loss of one's own: `cargo run --release --example custom_loss`.
//!
//! The loss of the median and other quantiles: what is forecast too low costs `q` a unit, too high `1 - q`.

use footlight::graph::{Builder, Value};
use footlight::nn::{Config, losses};
use footlight::prelude::*;

/// `max(q (y - p), (q - 1) (y - p))`.
#[derive(Debug)]
struct Quantile {
    q: f32,
}

impl losses::Rule for Quantile {
    fn settings(&self) -> Config {
        [("q".to_string(), self.q.into())].into_iter().collect()
    }

    fn lower(&self, g: &mut Builder, y: Value, p: Value) -> Value {
        let difference = g.sub(y, p);
        let low = g.mul_scalar(difference, self.q);
        let high = g.mul_scalar(difference, self.q - 1.0);
        g.binary(footlight::graph::ops::Binary::Maximum, low, high)
    }
}

fn main() -> Result<()> {
    // Visitors of 1,000 evenings: a base of 50 and a long tail.
    let visitors: Vec<f32> = (0..1000).map(|i| 50.0 - 20.0 * (1.0 - (i as f32 + 0.5) / 1000.0).ln()).collect();
    let x = Samples::from(Tensor::new([1000, 1], vec![1.0f32; 1000])?);
    let y = Samples::from(Tensor::new([1000, 1], visitors)?);

    let mut model = Sequential::new(layers![Dense::new(1).use_bias(false)])?;
    model.compile(Adam::new().learning_rate(0.5), Quantile { q: 0.9 }, [])?;
    model.fit(&x, &y, Fit::new().epochs(100).batch_size(100).progress(Progress::None))?;

    let forecast = model.predict(&x)?.to_f32()[0];
    println!("Nine evenings of ten have at most {forecast:.1} visitors");
    assert!((forecast - 96.05).abs() < 1.0);
    Ok(())
}

#[test]
fn runs() -> Result<()> {
    main()
}
