//! Digits that nobody wrote: `cargo run --release --example gan`.
//!
//! Two networks play against each other. The generator makes pictures of noise; the discriminator tells them from real
//! ones. Both, their losses and their optimizers are one planned step. The last picture is written to `gan.png`.

use footlight::graph::ops::Binary;
use footlight::prelude::*;
use footlight::train::TrainStep;

const NOISE: usize = 64;

fn generator() -> Result<Model> {
    Sequential::new(layers![
        Dense::new(256).input_shape([NOISE]),
        BatchNormalization::new().momentum(0.9),
        LeakyReLU::new().negative_slope(0.2),
        Dense::new(512),
        BatchNormalization::new().momentum(0.9),
        LeakyReLU::new().negative_slope(0.2),
        Dense::new(784).activation("sigmoid"),
        Reshape::new([28, 28]),
    ])
}

fn discriminator() -> Result<Model> {
    Sequential::new(layers![
        Flatten::new().input_shape([28, 28]),
        Dense::new(256),
        LeakyReLU::new().negative_slope(0.2),
        Dropout::new(0.4),
        Dense::new(128),
        LeakyReLU::new().negative_slope(0.2),
        Dropout::new(0.4),
        Dense::new(1).activation("sigmoid"),
    ])
}

/// Trains both; answers the generator and the discriminator's accuracy in each epoch.
fn train(x: &Samples, epochs: usize) -> Result<(Model, Vec<f64>)> {
    let (mut generator, discriminator) = (generator()?, discriminator()?.seed(1));
    let mut step = TrainStep::new(0, [("generator", &generator), ("discriminator", &discriminator)], |s| {
        let real = s.input("real", &[28, 28]);
        let noise = s.noise_normal(&[NOISE]);
        let fake = s.call("generator", noise);
        let (of_real, of_fake) = (s.call("discriminator", real), s.call("discriminator", fake));

        // Real ones are 0.9 real, so that the discriminator never grows too sure for the generator to learn from it.
        let (is_real, is_fake) = (s.full_like(of_real, 0.9), s.full_like(of_fake, 0.0));
        let loss_of_real = s.loss("binary_crossentropy", is_real, of_real);
        let loss_of_fake = s.loss("binary_crossentropy", is_fake, of_fake);
        let found_out = s.add(loss_of_real, loss_of_fake);
        s.minimize(found_out, "discriminator", Adam::new().learning_rate(0.0001).beta_1(0.5));

        let wanted = s.full_like(of_fake, 1.0);
        let not_fooled = s.loss("binary_crossentropy", wanted, of_fake);
        s.minimize(not_fooled, "generator", Adam::new().learning_rate(0.0002).beta_1(0.5));

        let half = s.constant(0.5);
        let right_on_real = s.binary(Binary::Greater, of_real, half);
        let right_on_fake = s.binary(Binary::Greater, half, of_fake);
        let both = s.add(right_on_real, right_on_fake);
        let twice = s.mean_all(both);
        let accuracy = s.mul_scalar(twice, 0.5);
        s.report("accuracy", accuracy);
        s.report("discriminator", found_out);
        s.report("generator", not_fooled);
    })?;
    let mut accuracies = Vec::new();
    for epoch in 0..epochs {
        let order = footlight::data::shuffled(x.len(), 0, epoch);
        let batches = order.chunks_exact(128);
        let (mut sums, steps) = ([0.0; 3], batches.len() as f64);
        for rows in batches {
            let logs = step.train_on_batch(&[("real", x)], rows)?;
            sums.iter_mut().zip(&logs).for_each(|(sum, (_, value))| *sum += value / steps);
        }
        let [accuracy, discriminator, generator] = sums;
        println!(
            "epoch {}: accuracy {accuracy:.3}, losses: discriminator {discriminator:.3}, generator {generator:.3}",
            epoch + 1
        );
        accuracies.push(accuracy);
    }
    step.update("generator", &mut generator)?;
    Ok((generator, accuracies))
}

fn main() -> Result<()> {
    let mnist = footlight::data::mnist()?;
    let (mut generator, accuracies) = train(&(mnist.x_train / 255.0), 20)?;
    let noise = Tensor::new([64, NOISE], normal(64 * NOISE))?;
    footlight::data::write_grid("gan.png", &generator.predict(&noise.into())?, 8)?;
    println!("64 digits that nobody wrote: gan.png");
    let last = accuracies.last().copied().unwrap_or_default();
    println!("Accuracy of the discriminator: {last:.4}");
    Ok(())
}

/// Numbers of mean 0 and standard deviation 1.
fn normal(count: usize) -> Vec<f32> {
    let mut random = footlight::tensor::Philox::new(footlight::tensor::RandomKey::new(2));
    (0..count).map(|_| random.normal() as f32).collect()
}

#[test]
fn the_generator_learns_how_dark_pictures_of_digits_are() -> Result<()> {
    let (x, _) = footlight::data::digits::generate(0, footlight::data::digits::Part::Train, 1_280, 1);
    let (mut trained, _) = train(&(Samples::from(x) / 255.0), 6)?;
    let noise = Samples::from(Tensor::new([64, NOISE], normal(64 * NOISE))?);
    let brightness = |model: &mut Model| -> Result<f32> {
        let pixels = model.predict(&noise)?.to_f32();
        Ok(pixels.iter().sum::<f32>() / pixels.len() as f32)
    };
    let (before, after) = (brightness(&mut generator()?)?, brightness(&mut trained)?);
    assert!((before - 0.5).abs() < 0.05 && after < 0.35, "{before} then {after}");
    Ok(())
}
