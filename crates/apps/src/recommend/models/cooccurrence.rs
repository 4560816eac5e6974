//! How often the same users have seen two items, and how near to each other.

use super::weighting::Weighting;
use super::{Kind, Settings};
use crate::recommend::data::Interactions;

/// Which pairs of events of one user count how much: events `d` places apart count
/// `1 - window_share + window_share e^(-d / window)`, without a window all pairs count 1.
pub(super) struct Cooccurrence<'a> {
    data: &'a Interactions,
    /// The weight of each event of each user by its value.
    weights: Vec<Vec<f32>>,
    /// The events of each item: user and place.
    of_item: Vec<Vec<(u32, u32)>>,
    /// What a pair counts by its distance.
    kernel: Vec<f32>,
    /// Whether only what comes later counts.
    is_directed: bool,
}

impl<'a> Cooccurrence<'a> {
    /// Of the settings `window` and `window_share`.
    pub fn new(data: &'a Interactions, kind: Kind, settings: &Settings, weighting: &Weighting) -> Cooccurrence<'a> {
        let mut of_item = vec![Vec::new(); data.items.len()];
        for (user, history) in data.histories().iter().enumerate() {
            for (place, event) in history.iter().enumerate() {
                of_item[event.item as usize].push((user as u32, place as u32));
            }
        }
        let (window, share) = (settings.value(kind, "window"), settings.value(kind, "window_share"));
        let longest = data.histories().iter().map(Vec::len).max().unwrap_or(0);
        let near = |distance: usize| if window > 0.0 { (-(distance as f32) / window).exp() } else { 1.0 };
        let kernel = (0..longest).map(|distance| 1.0 - share + share * near(distance)).collect();
        let of_history =
            |history: &Vec<_>| history.iter().map(|event: &super::Event| weighting.of_value(event.value)).collect();
        let weights = data.histories().iter().map(of_history).collect();
        Cooccurrence { data, weights, of_item, kernel, is_directed: false }
    }

    /// Only what comes after the item counts.
    pub fn directed(mut self, is_directed: bool) -> Cooccurrence<'a> {
        self.is_directed = is_directed;
        self
    }

    /// The number of events with an item.
    pub fn count(&self, item: usize) -> usize {
        self.of_item[item].len()
    }

    /// Adds to `row` what each item counts beside `item`.
    pub fn add_row(&self, item: usize, row: &mut [f32]) {
        for (user, place) in &self.of_item[item] {
            let (history, weights) = (&self.data.histories()[*user as usize], &self.weights[*user as usize]);
            let place = *place as usize;
            let first = if self.is_directed { place + 1 } else { 0 };
            for (other, event) in history.iter().enumerate().skip(first) {
                row[event.item as usize] += weights[place] * weights[other] * self.kernel[place.abs_diff(other)];
            }
        }
    }
}
