//! A layer of one's own: `cargo run --release --example custom_layer`.
//!
//! It says which weights it has and what it computes; its gradient follows from the ops, and a file holds its settings.

use footlight::nn::{Call, Common, Config, Custom, Masked, WeightSpec};
use footlight::prelude::*;

/// `y = exp(-sharpness |x - center|^2)`, with a center and a sharpness for each unit.
#[derive(Clone, Debug)]
struct Bumps {
    common: Common,
    units: usize,
}

impl Bumps {
    fn new(units: usize) -> Bumps {
        Bumps { common: Common::default(), units }
    }
}

impl Layer for Bumps {
    fn common(&self) -> &Common {
        &self.common
    }

    fn common_mut(&mut self) -> &mut Common {
        &mut self.common
    }

    fn config(&self) -> Config {
        [("units".to_string(), self.units.into())].into_iter().collect()
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, footlight::nn::Error> {
        match input {
            [_] => Ok(vec![self.units]),
            _ => Err(footlight::nn::Error::config(format!("takes samples of one axis, got {input:?}"))),
        }
    }

    fn weights(&self, input: &[usize]) -> Result<Vec<WeightSpec>, footlight::nn::Error> {
        let center =
            WeightSpec::new("center", [self.units, input[0]], Initializer::RandomUniform { minval: -1.0, maxval: 1.0 });
        Ok(vec![center, WeightSpec::new("sharpness", [self.units], Initializer::Ones)])
    }

    fn call(&self, cx: &mut Call<'_>, x: Masked) -> Masked {
        let (g, [center, sharpness]) = (&mut *cx.graph, [cx.weights[0], cx.weights[1]]);
        let shape = g.shape(x.value);
        let column = g.reshape(x.value, [shape[0], 1, shape[1]]);
        let difference = g.sub(column, center);
        let square = g.mul(difference, difference);
        let distance = g.reduce_sum(square, &[2], false);
        let scaled = g.mul(distance, sharpness);
        let negative = g.neg(scaled);
        x.with(g.unary(footlight::graph::ops::Unary::Exp, negative))
    }
}

fn main() -> Result<()> {
    // Points inside a ring, which no line tells from those outside.
    let points: Vec<[f32; 2]> = (0..400).map(|i| [(i % 20) as f32 / 9.5 - 1.0, (i / 20) as f32 / 9.5 - 1.0]).collect();
    let inside = points.iter().map(|[x, y]| f32::from((0.3..0.8).contains(&x.hypot(*y)))).collect::<Vec<f32>>();
    let x = Samples::from(Tensor::new([400, 2], points.concat())?);
    let y = Samples::from(Tensor::new([400, 1], inside)?);

    let layers = layers![Bumps::new(16), Dense::new(1).activation("sigmoid")];
    let mut model = Sequential::new(layers)?;
    model.compile(Adam::new().learning_rate(0.03), "binary_crossentropy", ["accuracy"])?;
    model.fit(&x, &y, Fit::new().epochs(100).progress(Progress::None))?;
    println!("{}", model.summary());

    // The file names the class; what it does is told when it is loaded.
    let path = std::env::temp_dir().join("bumps.keras");
    model.save(&path)?;
    let custom = Custom::new().layer("Bumps", |read| {
        read.usize("units")?.map(Bumps::new).ok_or_else(|| footlight::nn::config::missing("units"))
    });
    let mut loaded = Model::load_with(&path, &custom)?;
    let accuracy = loaded.evaluate(&x, &y)?.accuracy();
    println!("Accuracy: {accuracy:.4}");
    assert!(accuracy > 0.9);
    Ok(())
}

#[test]
fn runs() -> Result<()> {
    main()
}
