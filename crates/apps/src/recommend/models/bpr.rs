//! Factors of items that rank what was seen before what was not.

use footlight::Result;
use footlight::tensor::{Philox, RandomKey};

use super::factors::Factors;
use super::weighting::Weighting;
use super::{Cost, Counts, Fitting, Kind, Setting, Settings, Tensors};
use crate::recommend::linear::{Matrix, dot};

const KIND: Kind = Kind::Bpr;

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new("factors", 64.0, [1.0, 2048.0], &[64.0]),
    Setting::new("epochs", 40.0, [1.0, 10_000.0], &[40.0]),
    Setting::new("learning_rate", 0.05, [1e-6, 10.0], &[]),
    Setting::new("decay", 0.01, [0.0, 10.0], &[0.01, 0.003]),
    Setting::new("unobserved", 0.1, [0.0, 10.0], &[0.1, 0.03, 0.3]),
    Setting::new("regularization", 0.01, [0.0, 1e3], &[]),
    Setting::new("half_life", 0.0, [0.0, 1e6], &[0.0, 20.0]),
    Setting::new("rating_weight", 0.0, [0.0, 10.0], &[]),
];

/// Matrix factorisation by the loss `-ln sigmoid(x_ui - x_uj)` for an item `i` that was seen and a drawn one `j` that was not,
/// with `x_ui = p_u q_i`.
///
/// # Differences
/// From the paper: to answer, a user's factors are those that fit the history by least squares (`unobserved` and
/// `regularization` as of ALS), so that users who were not there while the model was fitted are answered as well.
///
/// # References
/// Rendle, Freudenthaler, Gantner, Schmidt-Thieme (2009), "BPR: Bayesian personalized ranking from implicit feedback",
/// section 4.2 and figure 4.
pub(super) struct Bpr;

pub(super) fn cost(counts: Counts, settings: &Settings) -> Cost {
    let (size, rows) = (f64::from(settings.value(KIND, "factors")), (counts.users + counts.items) as f64);
    let steps = counts.events as f64 * f64::from(settings.value(KIND, "epochs"));
    Cost { bytes: 4.0 * rows * size, operations: 60.0 * steps * size }
}

impl Bpr {
    pub fn fit(fitting: Fitting<'_>, settings: &Settings) -> Result<Factors> {
        let (data, size) = (fitting.data, settings.count(KIND, "factors"));
        let mut draw = Philox::new(RandomKey::new(fitting.seed).child("bpr"));
        let mut random = |rows: usize| Matrix {
            rows,
            columns: size,
            data: (0..rows * size).map(|_| 0.1 * draw.normal() as f32).collect(),
        };
        let (mut users, mut items) = (random(data.users.len()), random(data.items.len()));
        let mut seen: Vec<Vec<u32>> =
            data.histories().iter().map(|h| h.iter().map(|event| event.item).collect()).collect();
        seen.iter_mut().for_each(|items| items.sort_unstable());
        let mut order: Vec<(u32, u32)> = data.events().map(|event| (event.user, event.item)).collect();
        let (rate, decay) = (settings.value(KIND, "learning_rate"), settings.value(KIND, "decay"));
        for _ in 0..settings.count(KIND, "epochs") {
            draw.shuffle(&mut order);
            for (user, item) in &order {
                let other = draw.below(items.rows as u32);
                if seen[*user as usize].binary_search(&other).is_ok() {
                    continue;
                }
                let (i, j) = (*item as usize, other as usize);
                let p = users.row_mut(*user as usize);
                let difference = dot(p, items.row(i)) - dot(p, items.row(j));
                let slope = 1.0 / (1.0 + difference.exp());
                for (f, p) in p.iter_mut().enumerate() {
                    let (at_i, at_j) = (i * size + f, j * size + f);
                    let (before, qi, qj) = (*p, items.data[at_i], items.data[at_j]);
                    *p += rate * (slope * (qi - qj) - decay * before);
                    items.data[at_i] += rate * (slope * before - decay * qi);
                    items.data[at_j] += rate * (-slope * before - decay * qj);
                }
            }
        }
        let weighting = Weighting::new(KIND, settings, data);
        Ok(Factors::new(KIND, settings, items, weighting))
    }

    pub fn load(items: usize, settings: &Settings, tensors: &mut Tensors) -> Result<Factors> {
        Factors::load(KIND, items, settings, tensors)
    }
}
