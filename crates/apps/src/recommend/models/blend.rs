//! A weighted sum of other models.

use footlight::tensor::Tensor;
use footlight::{Error, ErrorKind, Result};

use super::{Cost, Counts, Explanation, Fitted, Fitting, Kind, Model, Setting, Settings, Tensors};
use crate::recommend::data::Event;
use crate::recommend::evaluate::{Evaluation, Protocol, choose};
use crate::recommend::linear::add_scaled;

pub(super) const SETTINGS: &[Setting] = &[];

/// `score(j) = sum_m w_m (score_m(j) - mean_m) / deviation_m`, with the mean and the deviation of the scores of all items for
/// the history that is asked about.
#[derive(Debug)]
pub(crate) struct Blend {
    members: Vec<(f32, Fitted)>,
}

/// That of its members, one after another, fitted for each setting that is tried.
pub(super) fn cost(counts: Counts, _: &Settings) -> Cost {
    let costs = MEMBERS.map(|kind| (kind, kind.cost(counts, &Settings::default())));
    let fits = |kind: Kind| 2.0 + kind.settings().iter().map(|setting| setting.candidates.len()).sum::<usize>() as f64;
    Cost {
        bytes: costs.iter().map(|(_, cost)| cost.bytes).sum(),
        operations: costs.iter().map(|(kind, cost)| fits(*kind) * cost.operations).sum(),
    }
}

/// The models that are blended where nothing else is asked for.
pub(crate) const MEMBERS: [Kind; 3] = [Kind::ItemKnn, Kind::Ease, Kind::Als];

impl Blend {
    pub fn new(members: Vec<(f32, Fitted)>) -> Blend {
        Blend { members }
    }

    /// Members, settings and weights that find the last event of each user best.
    pub fn fit(fitting: Fitting<'_>, settings: &Settings) -> Result<Blend> {
        let Fitting { data, threads, seed } = fitting;
        let protocol = Protocol::LeaveOneOut;
        let evaluation =
            Evaluation { protocol, kinds: vec![Kind::Blend], splits: 1, settings: settings.clone(), threads };
        let chosen = choose(data, Kind::Blend, &evaluation, seed, &mut Vec::new())?;
        let member = |(weight, member): &(f32, crate::recommend::evaluate::Chosen)| {
            Ok((*weight, member.fit(data, threads, seed)?))
        };
        Ok(Blend { members: chosen.members.iter().map(member).collect::<Result<_>>()? })
    }

    pub fn load(items: usize, _: &Settings, tensors: &mut Tensors) -> Result<Blend> {
        let members = std::mem::take(&mut tensors.members);
        let is_sound = |(weight, member): &(f32, Fitted)| weight.is_finite() && member.num_items() == items;
        if members.is_empty() || !members.iter().all(is_sound) {
            return Err(Error::new(ErrorKind::File, "a blend needs members, each with a weight"));
        }
        Ok(Blend { members })
    }

    /// Calls `each` for each member.
    fn each(&self, history: &[Event], items: usize, each: &mut Each<'_>) -> Result<()> {
        let mut scores = vec![0.0; items];
        for (weight, member) in &self.members {
            member.score(history, &mut scores)?;
            let (mean, deviation) = moments(&scores);
            each(weight / deviation, mean, &scores, member)?;
        }
        Ok(())
    }
}

/// Takes the weight of a member divided by the deviation of its scores, the mean of these, the scores and the member.
type Each<'a> = dyn FnMut(f32, f32, &[f32], &Fitted) -> Result<()> + 'a;

/// Mean and deviation; 1 in place of a deviation of 0.
fn moments(scores: &[f32]) -> (f32, f32) {
    let count = scores.len().max(1) as f64;
    let mean = scores.iter().map(|score| f64::from(*score)).sum::<f64>() / count;
    let square = scores.iter().map(|score| (f64::from(*score) - mean).powi(2)).sum::<f64>() / count;
    (mean as f32, if square > 0.0 { square.sqrt() as f32 } else { 1.0 })
}

/// Gives scores the mean 0 and the deviation 1.
pub(crate) fn standardize(scores: &mut [f32]) {
    let (mean, deviation) = moments(scores);
    scores.iter_mut().for_each(|score| *score = (*score - mean) / deviation);
}

impl Model for Blend {
    fn num_items(&self) -> usize {
        self.members.first().map_or(0, |(_, member)| member.num_items())
    }

    fn score(&self, history: &[Event], scores: &mut [f32]) -> Result<()> {
        scores.fill(0.0);
        self.each(history, scores.len(), &mut |weight, mean, of_member, _| {
            add_scaled(scores, weight, of_member);
            scores.iter_mut().for_each(|score| *score -= weight * mean);
            Ok(())
        })
    }

    fn explain(&self, history: &[Event], item: u32) -> Result<Explanation> {
        let mut all = Explanation { base: 0.0, contributions: vec![0.0; history.len()] };
        self.each(history, self.num_items(), &mut |weight, mean, _, member| {
            let of_member = member.explain(history, item)?;
            all.base += weight * (of_member.base - mean);
            add_scaled(&mut all.contributions, weight, &of_member.contributions);
            Ok(())
        })?;
        Ok(all)
    }

    /// The sum of the likenesses of all members that know of any, each with mean 0 and deviation 1.
    fn similar(&self, item: u32, scores: &mut [f32]) -> Result<()> {
        scores.fill(0.0);
        let mut of_member = vec![0.0; scores.len()];
        for (weight, member) in self.members.iter().filter(|(_, member)| member.kind() != Kind::Popularity) {
            member.similar(item, &mut of_member)?;
            standardize(&mut of_member);
            add_scaled(scores, *weight, &of_member);
        }
        Ok(())
    }

    fn tensors(&self) -> Vec<(String, Tensor)> {
        Vec::new()
    }

    fn members(&self) -> &[(f32, Fitted)] {
        &self.members
    }
}
