//! How much each event of a history counts.

use footlight::tensor::Tensor;

use super::{Kind, Settings};
use crate::recommend::data::{Event, Interactions};

/// `w = max(0, 1 + rating_weight (value - mean) / deviation) 2^(-age / half_life)`, where the age counts events from the end
/// of the history; without a half-life all count the same.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Weighting {
    rating_weight: f32,
    half_life: f32,
    mean: f32,
    deviation: f32,
}

impl Weighting {
    /// Of the settings `rating_weight` and `half_life`, with the mean and the deviation of the values of `data`.
    pub fn new(kind: Kind, settings: &Settings, data: &Interactions) -> Weighting {
        let (count, sum) = data.events().fold((0u32, 0.0f64), |(n, sum), event| (n + 1, sum + f64::from(event.value)));
        let mean = sum / f64::from(count.max(1));
        let square = data.events().map(|event| (f64::from(event.value) - mean).powi(2)).sum::<f64>();
        let deviation = (square / f64::from(count.max(1))).sqrt();
        Weighting::of(kind, settings, &[mean as f32, deviation as f32])
    }

    /// Of the settings, with the numbers of [`Weighting::tensor`].
    pub fn of(kind: Kind, settings: &Settings, numbers: &[f32]) -> Weighting {
        let (rating_weight, half_life) = (settings.value(kind, "rating_weight"), settings.value(kind, "half_life"));
        Weighting { rating_weight, half_life, mean: numbers[0], deviation: numbers[1] }
    }

    /// Mean and deviation of the values it was made of, as `values`.
    pub fn tensor(&self) -> (String, Tensor) {
        ("values".into(), Tensor::new([2], vec![self.mean, self.deviation]).expect("they are two"))
    }

    /// What an event counts by its value alone.
    pub fn of_value(&self, value: f32) -> f32 {
        if self.deviation == 0.0 || self.rating_weight == 0.0 {
            return 1.0;
        }
        (1.0 + self.rating_weight * (value - self.mean) / self.deviation).max(0.0)
    }

    /// What each event of a history counts.
    pub fn of_history(&self, history: &[Event]) -> Vec<f32> {
        let age = |index: usize| (history.len() - 1 - index) as f32;
        let recency = |index| if self.half_life > 0.0 { (-age(index) / self.half_life).exp2() } else { 1.0 };
        history.iter().enumerate().map(|(index, event)| self.of_value(event.value) * recency(index)).collect()
    }
}
