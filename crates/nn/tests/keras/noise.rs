//! Layers that draw random numbers, as distributions.

use crate::contract::{BATCH, graph_of, lower, output};
use crate::support::*;
use footlight_cpu::naive::NaiveValue;
use footlight_nn::{
    AlphaDropout, Dropout, GaussianDropout, GaussianNoise, Layer, Mode, SpatialDropout1D, SpatialDropout2D,
    SpatialDropout3D,
};
use footlight_tensor::{Philox, RandomKey};

#[test]
fn dropout_drops_its_fraction_and_keeps_the_mean() {
    let shape = [40, 50];
    let x = NaiveValue::float([BATCH, 40, 50], vec![1.0; BATCH * 2000]);
    for rate in [0.1f32, 0.5, 0.9] {
        let layer = Dropout::new(rate);
        let graph = graph_of(lower(&layer, &shape, Mode::Train, 7));
        let y = numbers(&output(&graph, x.clone(), &Values::new(), 0));
        let kept = 1.0 / f64::from(1.0 - rate);
        assert!(y.iter().all(|y| *y == 0.0 || (y - kept).abs() < 1e-6 * kept), "{rate}");
        let dropped = y.iter().filter(|y| **y == 0.0).count() as f64 / y.len() as f64;
        // Four standard deviations of a fraction of 6,000 draws.
        let limit = 4.0 * (f64::from(rate * (1.0 - rate)) / y.len() as f64).sqrt();
        assert!((dropped - f64::from(rate)).abs() < limit, "{dropped} of {rate}");
    }
}

#[test]
fn dropout_draws_anew_each_step_and_the_same_for_the_same_seed() {
    let draw = |seed: u64, step: i32| {
        let graph = graph_of(lower(&Dropout::new(0.5), &[64], Mode::Train, seed));
        numbers(&output(&graph, NaiveValue::float([BATCH, 64], vec![1.0; BATCH * 64]), &Values::new(), step))
    };
    assert_eq!(draw(1, 0), draw(1, 0));
    assert_ne!(draw(1, 0), draw(1, 1));
    assert_ne!(draw(1, 0), draw(2, 0));
    assert_ne!(draw(1, 0)[..64], draw(1, 0)[64..128]);
}

/// What a layer makes of samples while training.
fn trained(layer: &dyn Layer, shape: &[usize], x: Vec<f64>, seed: u64) -> Vec<f64> {
    let graph = graph_of(lower(layer, shape, Mode::Train, seed));
    let x = NaiveValue::float([&[BATCH], shape].concat(), x);
    numbers(&output(&graph, x, &Values::new(), 3))
}

fn moments(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    (mean, values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count)
}

#[test]
fn a_spatial_dropout_drops_channels_as_a_whole() {
    let layers: [(Box<dyn Layer>, Vec<usize>); 3] = [
        (Box::new(SpatialDropout1D::new(0.25)), vec![6, 400]),
        (Box::new(SpatialDropout2D::new(0.25)), vec![2, 3, 400]),
        (Box::new(SpatialDropout3D::new(0.25)), vec![2, 1, 3, 400]),
    ];
    for (layer, shape) in layers {
        let y = trained(layer.as_ref(), &shape, vec![1.0; BATCH * 6 * 400], 5);
        let (mut dropped, kept) = (0, f64::from(1.0 / 0.75f32));
        for sample in y.chunks(6 * 400) {
            for channel in 0..400 {
                let values: Vec<f64> = sample.iter().skip(channel).step_by(400).copied().collect();
                assert!(values.iter().all(|y| *y == values[0]), "{}", layer.class_name());
                assert!(values[0] == 0.0 || (values[0] - kept).abs() < 1e-6, "{}", values[0]);
                dropped += usize::from(values[0] == 0.0);
            }
        }
        // Four standard deviations of a fraction of 1,200 draws.
        let fraction = dropped as f64 / 1200.0;
        assert!((fraction - 0.25).abs() < 4.0 * (0.25f64 * 0.75 / 1200.0).sqrt(), "{fraction}");
    }
}

/// Standard normal numbers stay standard in mean and variance, which is what the dropout is for.
#[test]
fn an_alpha_dropout_keeps_mean_and_variance() {
    let mut rng = Philox::new(RandomKey::new(8));
    let x: Vec<f64> = (0..BATCH * 20_000).map(|_| rng.normal()).collect();
    for rate in [0.1f32, 0.5] {
        let y = trained(&AlphaDropout::new(rate), &[20_000], x.clone(), 6);
        let (mean, variance) = moments(&y);
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03, "{rate}: {mean} {variance}");
        // The dropped ones are all the same number.
        let mut sorted = y;
        sorted.sort_by(f64::total_cmp);
        let longest = sorted.chunk_by(|a, b| a == b).map(<[f64]>::len).max().unwrap_or(0);
        let fraction = longest as f64 / x.len() as f64;
        assert!((fraction - f64::from(rate)).abs() < 0.01, "{fraction} of {rate}");
    }
}

#[test]
fn gaussian_noise_has_its_mean_and_deviation() {
    let count = BATCH * 20_000;
    // Four standard errors of the mean, and of the variance of normal numbers.
    let check = |what: &str, values: &[f64], mean: f64, deviation: f64| {
        let (got_mean, got_variance) = moments(values);
        let variance = deviation * deviation;
        assert!((got_mean - mean).abs() < 4.0 * deviation / (count as f64).sqrt(), "{what}: mean {got_mean}");
        let error = 4.0 * variance * (2.0 / count as f64).sqrt();
        assert!((got_variance - variance).abs() < error, "{what}: variance {got_variance} for {variance}");
        let beyond = values.iter().filter(|x| (*x - mean).abs() > 2.0 * deviation).count() as f64 / count as f64;
        assert!((beyond - 0.0455).abs() < 0.004, "{what}: {beyond} beyond two deviations");
    };
    let added = trained(&GaussianNoise::new(0.3), &[20_000], vec![2.0; count], 7);
    check("noise", &added, 2.0, f64::from(0.3f32));
    let factors = trained(&GaussianDropout::new(0.2), &[20_000], vec![1.0; count], 7);
    check("dropout", &factors, 1.0, 0.5);
    let others = trained(&GaussianDropout::new(0.2), &[20_000], vec![1.0; count], 8);
    assert_ne!(factors, others);
}

#[test]
fn what_has_an_extent_of_one_in_the_noise_shape_is_dropped_together() {
    let shape = [30, 40];
    let ones = || vec![1.0; BATCH * 1200];
    /// To which group an element belongs.
    type Group = fn(usize) -> usize;
    let cases: [(Box<dyn Layer>, Group, usize); 3] = [
        (Box::new(Dropout::new(0.5).noise_shape([None, Some(1), None])), |i| i / 1200 * 40 + i % 40, BATCH * 40),
        (Box::new(Dropout::new(0.5).noise_shape([Some(1), Some(30), Some(1)])), |i| i % 1200 / 40, 30),
        (Box::new(AlphaDropout::new(0.5).noise_shape([None, None, Some(1)])), |i| i / 40, BATCH * 30),
    ];
    for (layer, group, groups) in cases {
        let y = trained(layer.as_ref(), &shape, ones(), 5);
        let mut of_group: Vec<Option<f64>> = vec![None; groups];
        for (i, value) in y.iter().enumerate() {
            let first = *of_group[group(i)].get_or_insert(*value);
            assert_eq!(first, *value, "{layer:?}: element {i}");
        }
        let low = of_group.iter().flatten().copied().fold(f64::INFINITY, f64::min);
        let dropped = of_group.iter().flatten().filter(|value| **value == low).count() as f64 / groups as f64;
        // Four standard deviations.
        assert!((dropped - 0.5).abs() < 4.0 * (0.25 / groups as f64).sqrt(), "{layer:?}: {dropped}");
    }
}
