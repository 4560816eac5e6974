//! Choosing settings, and the weights of a blend, on validation alone.

use footlight::Result;

use super::{Case, Evaluation, K, Protocol, Split, of_list, ranked};
use crate::recommend::data::Interactions;
use crate::recommend::models::{Blend, Fitted, Fitting, Kind, MEMBERS, Model, Settings, standardize};
use crate::recommend::parallel;
use crate::recommend::recommender::top;

/// Scores of so many pairs of cases and items are held for each member of a blend.
const MOST_SCORES: usize = 16 << 20;
/// The weights that are tried for each member of a blend.
const WEIGHTS: [f32; 8] = [0.0, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0, 1.5];
/// How often each weight is chosen anew.
const ROUNDS: usize = 2;

/// What was chosen for a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    /// The model.
    pub kind: Kind,
    /// Its settings.
    pub settings: Settings,
    /// The members of a blend with their weights.
    pub members: Vec<(f32, Chosen)>,
    /// nDCG@10 on validation.
    pub validation: f64,
}

impl Chosen {
    /// Fits what was chosen.
    ///
    /// # Errors
    /// Fits that fail.
    pub fn fit(&self, train: &Interactions, threads: usize, seed: u64) -> Result<Fitted> {
        if self.kind != Kind::Blend {
            return Fitted::new(self.kind, &self.settings, Fitting { data: train, threads, seed });
        }
        let member = |(weight, member): &(f32, Chosen)| Ok((*weight, member.fit(train, threads, seed)?));
        let members = self.members.iter().map(member).collect::<Result<_>>()?;
        Ok(Fitted::of(Kind::Blend, self.settings.clone(), Box::new(Blend::new(members))))
    }
}

/// Chooses the settings of a model by nDCG@10 on a part of `train`, one setting after another; those of a blend are those of
/// its members, and their weights. What is known is not chosen again.
///
/// # Errors
/// Events of which nothing is left to validate on, fits that fail.
pub fn choose(train: &Interactions, kind: Kind, of: &Evaluation, seed: u64, known: &mut Vec<Chosen>) -> Result<Chosen> {
    if let Some(chosen) = known.iter().find(|chosen| chosen.kind == kind) {
        return Ok(chosen.clone());
    }
    let validation = Split::validation(train, of.protocol, seed)?;
    let chosen = match kind {
        Kind::Blend => blend(train, of, seed, &validation, known)?,
        _ => settings(kind, of, seed, &validation)?,
    };
    known.push(chosen.clone());
    Ok(chosen)
}

fn settings(kind: Kind, of: &Evaluation, seed: u64, validation: &Split) -> Result<Chosen> {
    let mut best = Chosen { kind, settings: of.settings.of(kind), members: Vec::new(), validation: f64::NEG_INFINITY };
    let is_given = |name: &str| best.settings.entries().iter().any(|(known, _)| known == name);
    let open: Vec<_> = kind.settings().iter().filter(|setting| !is_given(setting.name)).collect();
    let mut candidates = vec![best.settings.clone()];
    let mut next = open.into_iter();
    loop {
        // Several candidates are fitted at a time; where there are fewer than threads, each has several.
        let threads = (of.threads / candidates.len().max(1)).max(1);
        let quality = |index: usize| -> Result<f64> {
            let fitting = Fitting { data: &validation.train, threads, seed };
            let model = Fitted::new(kind, &candidates[index], fitting)?;
            let lists = ranked(&*model, &validation.cases, of.protocol, threads)?;
            Ok(mean_ndcg(&lists, &validation.cases))
        };
        let qualities = parallel::map(candidates.len(), of.threads, || (), |(), index| quality(index));
        for (candidate, quality) in candidates.iter().zip(qualities) {
            let quality = quality?;
            if quality > best.validation {
                best = Chosen { settings: candidate.clone(), validation: quality, ..best };
            }
        }
        let Some(setting) = next.find(|setting| !setting.candidates.is_empty()) else { return Ok(best) };
        let now = best.settings.value(kind, setting.name);
        let others = setting.candidates.iter().filter(|value| **value != now);
        candidates = others.map(|value| best.settings.clone().with(setting.name, *value)).collect();
    }
}

fn mean_ndcg(lists: &[Vec<u32>], cases: &[Case]) -> f64 {
    let sum: f64 = lists.iter().zip(cases).map(|(list, case)| of_list(list, &case.relevant)[0]).sum();
    sum / cases.len().max(1) as f64
}

/// The members of a blend: all kinds of which a linear sum makes sense and that are asked for, or all closed forms.
fn members(of: &Evaluation) -> Vec<Kind> {
    let others = of.kinds.iter().filter(|kind| **kind != Kind::Blend && !MEMBERS.contains(kind));
    MEMBERS.iter().chain(others).copied().collect()
}

fn blend(
    train: &Interactions,
    of: &Evaluation,
    seed: u64,
    validation: &Split,
    known: &mut Vec<Chosen>,
) -> Result<Chosen> {
    let chosen: Vec<Chosen> =
        members(of).into_iter().map(|kind| choose(train, kind, of, seed, known)).collect::<Result<_>>()?;
    let items = train.items.len();
    let step = validation.cases.len().div_ceil((MOST_SCORES / items.max(1)).max(100));
    let cases: Vec<Case> = validation.cases.iter().step_by(step.max(1)).cloned().collect();
    let scores: Vec<Vec<Vec<f32>>> = chosen
        .iter()
        .map(|chosen| {
            let model = chosen.fit(&validation.train, of.threads, seed)?;
            standardized(&*model, &cases, of.threads)
        })
        .collect::<Result<_>>()?;
    let quality = |weights: &[f32]| {
        let list = |sum: &mut Vec<f32>, index: usize| {
            sum.fill(0.0);
            for (weight, scores) in weights.iter().zip(&scores).filter(|(weight, _)| **weight != 0.0) {
                crate::recommend::linear::add_scaled(sum, *weight, &scores[index]);
            }
            top(sum, &super::left_out(&cases[index], items, Protocol::PerUser), K)
        };
        mean_ndcg(&parallel::map(cases.len(), of.threads, || vec![0.0; items], list), &cases)
    };
    let first = (0..chosen.len())
        .max_by(|a, b| chosen[*a].validation.total_cmp(&chosen[*b].validation))
        .expect("there are three");
    let mut weights: Vec<f32> = (0..chosen.len()).map(|index| f32::from(u8::from(index == first))).collect();
    let mut best = quality(&weights);
    for _ in 0..ROUNDS {
        for index in (0..weights.len()).filter(|index| *index != first) {
            for weight in WEIGHTS {
                let tried: Vec<f32> =
                    weights.iter().enumerate().map(|(i, w)| if i == index { weight } else { *w }).collect();
                let quality = quality(&tried);
                if quality > best {
                    (best, weights) = (quality, tried);
                }
            }
        }
    }
    let members = weights.into_iter().zip(chosen).filter(|(weight, _)| *weight != 0.0).collect();
    Ok(Chosen { kind: Kind::Blend, settings: Settings::default(), members, validation: best })
}

/// The scores of all items for each case, with mean 0 and deviation 1.
fn standardized(model: &dyn Model, cases: &[Case], threads: usize) -> Result<Vec<Vec<f32>>> {
    let of_case = |(): &mut (), index: usize| {
        let mut scores = vec![0.0; model.num_items()];
        model.score(&cases[index].history, &mut scores)?;
        standardize(&mut scores);
        Ok(scores)
    };
    parallel::map(cases.len(), threads, || (), of_case).into_iter().collect()
}
