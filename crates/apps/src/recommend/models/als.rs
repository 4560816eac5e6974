//! Factors of users and items by alternating least squares.

use footlight::Result;
use footlight::tensor::{Philox, RandomKey};

use super::factors::{Factors, Squares};
use super::weighting::Weighting;
use super::{Cost, Counts, Fitting, Kind, Setting, Settings, Tensors};
use crate::recommend::linear::Matrix;
use crate::recommend::parallel;

const KIND: Kind = Kind::Als;

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new("factors", 32.0, [1.0, 2048.0], &[32.0, 64.0]),
    Setting::new("unobserved", 0.2, [0.0, 10.0], &[0.2, 0.1, 0.4]),
    Setting::new("regularization", 0.01, [0.0, 1e3], &[0.01, 0.003, 0.03]),
    Setting::new("iterations", 10.0, [1.0, 1000.0], &[]),
    Setting::new("half_life", 0.0, [0.0, 1e6], &[0.0, 20.0]),
    Setting::new("rating_weight", 0.0, [0.0, 10.0], &[]),
];

/// Matrix factorisation of what was seen, each side in turn the solution of least squares.
///
/// The loss is `sum_seen w (1 - p_u q_i)^2 + unobserved sum_all (p_u q_i)^2`, and a ridge that grows with the number of terms.
/// A user's factors follow from the history, for those who were there as for those who were not.
///
/// # References
/// Hu, Koren, Volinsky (2008), "Collaborative filtering for implicit feedback datasets"; Rendle et al. (2022), "Revisiting
/// the performance of iALS on item recommendation benchmarks", equations 2 and 3 and section 4.2 (the ridge).
pub(super) struct Als;

pub(super) fn cost(counts: Counts, settings: &Settings) -> Cost {
    let (size, rows) = (f64::from(settings.value(KIND, "factors")), (counts.users + counts.items) as f64);
    let step = 2.0 * counts.events as f64 * size.powi(2) + rows * (size.powi(3) / 3.0 + size.powi(2));
    Cost { bytes: 4.0 * rows * size, operations: step * f64::from(settings.value(KIND, "iterations")) }
}

impl Als {
    pub fn fit(fitting: Fitting<'_>, settings: &Settings) -> Result<Factors> {
        let (data, size) = (fitting.data, settings.count(KIND, "factors"));
        let weighting = Weighting::new(KIND, settings, data);
        let (mut of_user, mut of_item) = (vec![Vec::new(); data.users.len()], vec![Vec::new(); data.items.len()]);
        for event in data.events() {
            let weight = weighting.of_value(event.value);
            of_user[event.user as usize].push((event.item, weight));
            of_item[event.item as usize].push((event.user, weight));
        }
        let mut draw = Philox::new(RandomKey::new(fitting.seed).child("als"));
        let data = (0..data.items.len() * size).map(|_| 0.1 * draw.normal() as f32).collect();
        let mut items = Matrix { rows: of_item.len(), columns: size, data };
        let half = |fixed: &Matrix, seen: &[Vec<(u32, f32)>]| -> Result<Matrix> {
            let (unobserved, regularization) =
                (settings.value(KIND, "unobserved"), settings.value(KIND, "regularization"));
            let squares = Squares { fixed, gram: &fixed.gram(), unobserved, regularization };
            let rows = parallel::map(seen.len(), fitting.threads, || (), |(), row| squares.solve(&seen[row]));
            let data = rows.into_iter().collect::<Result<Vec<_>>>()?.concat();
            Ok(Matrix { rows: seen.len(), columns: size, data })
        };
        for _ in 0..settings.count(KIND, "iterations") {
            let users = half(&items, &of_user)?;
            items = half(&users, &of_item)?;
        }
        Ok(Factors::new(KIND, settings, items, weighting))
    }

    pub fn load(items: usize, settings: &Settings, tensors: &mut Tensors) -> Result<Factors> {
        Factors::load(KIND, items, settings, tensors)
    }
}
