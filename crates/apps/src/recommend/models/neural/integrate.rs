//! Integrated gradients: what each number of an input adds to what a network answers.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use footlight::graph::{Value, differentiate};
use footlight::prelude::*;
use footlight::train::{StepBuilder, TrainStep};

/// Points of the Gauss and Legendre rule on each part of the way.
const POINTS: usize = 8;
/// Half of the points in `(-1, 1)`, which lie symmetrically, with their weights.
const RULE: [(f64, f64); POINTS / 2] = [
    (0.183_434_642_495_649_8, 0.362_683_783_378_362),
    (0.525_532_409_916_329, 0.313_706_645_877_887_3),
    (0.796_666_477_413_626_7, 0.222_381_034_453_374_48),
    (0.960_289_856_497_536_3, 0.101_228_536_290_376_26),
];
/// Parts into which the way is cut at most.
const MOST_PARTS: usize = 64;
/// The part of the difference that contributions may miss.
const TOLERANCE: f64 = 1e-5;

/// A network that answers one number for an input, to be explained by `contribution_i = x_i integral_0^1 d f(a x) / d x_i da`,
/// whose sum is `f(x) - f(0)`.
///
/// # References
/// Sundararajan, Taly, Yan (2017), "Axiomatic attribution for deep networks", equations 1 and 2.
pub(super) struct Integrated {
    step: Mutex<TrainStep>,
    len: usize,
}

impl fmt::Debug for Integrated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Integrated").field("len", &self.len).finish_non_exhaustive()
    }
}

impl Integrated {
    /// A network over `models`, which are without dropout: `record` makes of inputs `[N, input...]` and of directions
    /// `[N, direction...]` one number for each row, `[N]`.
    pub fn new<'m>(
        models: &[(&'m str, &'m Model)],
        input: &[usize],
        direction: &[usize],
        record: impl Fn(&mut StepBuilder<'_>, Value, Value) -> Value + Send + Sync + 'static,
    ) -> Result<Integrated> {
        let (input, direction) = (input.to_vec(), direction.to_vec());
        let len = input.iter().product();
        let step = TrainStep::new(0, models.iter().copied(), move |s| {
            let x = s.input("x", &input);
            let direction = s.input("direction", &direction);
            let answers = record(s, x, direction);
            s.output("answers", answers);
            let sum = s.sum_all(answers);
            if let Ok(gradients) = differentiate(s, sum, &[x]) {
                s.output("gradients", gradients[0]);
            }
        })?;
        Ok(Integrated { step: Mutex::new(step), len })
    }

    /// What the network answers for nothing, and what each number of `x` adds. What the integral misses is added to the first.
    ///
    /// # Errors
    /// Inputs that do not fit.
    pub fn explain(&self, x: &[f32], direction: &[f32]) -> Result<(f32, Vec<f32>)> {
        let mut step = self.step.lock().unwrap_or_else(PoisonError::into_inner);
        let mut run = |shares: &[f64]| -> Result<(Vec<f32>, Vec<f32>)> {
            let inputs: Vec<f32> = shares.iter().flat_map(|share| x.iter().map(|x| *share as f32 * x)).collect();
            let samples =
                |width: usize, data: Vec<f32>| Ok::<_, Error>(Samples::from(Tensor::new([shares.len(), width], data)?));
            let (inputs, directions) =
                (samples(self.len, inputs)?, samples(direction.len(), direction.repeat(shares.len()))?);
            let rows: Vec<u32> = (0..shares.len() as u32).collect();
            step.train_on_batch(&[("x", &inputs), ("direction", &directions)], &rows)?;
            let of = |name: &str| step.output(name).map_or(Vec::new(), |tensor| tensor.to_f32());
            Ok((of("answers"), of("gradients")))
        };
        let (ends, _) = run(&[0.0, 1.0])?;
        let difference = f64::from(ends[1]) - f64::from(ends[0]);
        let mut parts = 1;
        loop {
            let contributions = integral(x, parts, &mut run)?;
            let missed = difference - contributions.iter().sum::<f64>();
            if missed.abs() <= TOLERANCE * difference.abs().max(1.0) || parts >= MOST_PARTS {
                let base = f64::from(ends[0]) + missed;
                return Ok((base as f32, contributions.into_iter().map(|value| value as f32).collect()));
            }
            parts *= 2;
        }
    }
}

/// Answers and gradients at shares of the way.
type Run<'a> = dyn FnMut(&[f64]) -> Result<(Vec<f32>, Vec<f32>)> + 'a;

/// The integral along the way from nothing to `x`, cut into parts.
fn integral(x: &[f32], parts: usize, run: &mut Run<'_>) -> Result<Vec<f64>> {
    let mut sums = vec![0.0; x.len()];
    let half = 0.5 / parts as f64;
    for part in 0..parts {
        let middle = (2 * part + 1) as f64 * half;
        let points = RULE.iter().flat_map(|(at, weight)| [(middle - at * half, weight), (middle + at * half, weight)]);
        let (shares, weights): (Vec<f64>, Vec<&f64>) = points.unzip();
        let (_, gradients) = run(&shares)?;
        for (gradient, weight) in gradients.chunks(x.len()).zip(weights) {
            let terms = sums.iter_mut().zip(gradient).zip(x);
            terms.for_each(|((sum, gradient), x)| *sum += weight * half * f64::from(*gradient) * f64::from(*x));
        }
    }
    Ok(sums)
}
