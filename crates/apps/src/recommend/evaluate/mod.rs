//! How good models are: on events that they have not seen, with all items ranked, settings chosen on validation alone.

mod choose;
mod metrics;
mod split;

pub use choose::{Chosen, choose};
pub use metrics::{Estimate, K, NAMES, Spread, of_list};
pub use split::{Case, Protocol, Split};

use std::time::{Duration, Instant};

use footlight::Result;
use footlight::tensor::{Philox, RandomKey};

use super::data::{Event, Interactions};
use super::models::{Kind, Model, Settings};
use super::parallel;
use super::recommender::top;

/// The items that one relevant item is ranked among where negatives are drawn.
const NEGATIVES: usize = 99;

/// What is evaluated.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// The protocol.
    pub protocol: Protocol,
    /// The models, in the order in which they are told.
    pub kinds: Vec<Kind>,
    /// How often the events are divided, with seeds 0, 1, ...; once where the protocol leaves no choice.
    pub splits: usize,
    /// Settings that are not to be chosen.
    pub settings: Settings,
    /// The most threads to use; results do not depend on it.
    pub threads: usize,
}

/// How good a model is by a protocol.
#[derive(Clone, Debug)]
pub struct Report {
    /// The protocol.
    pub protocol: Protocol,
    /// The model.
    pub kind: Kind,
    /// How often the events were divided.
    pub splits: usize,
    /// Users who were asked about.
    pub users: usize,
    /// The metrics by [`NAMES`], over users of each user's mean over the splits.
    pub metrics: Vec<Estimate>,
    /// How the lists are spread over the items, of the last split.
    pub spread: Spread,
    /// The settings and members of the last split.
    pub chosen: Chosen,
    /// The time that all took: choosing, fitting, asking.
    pub time: Duration,
}

impl Evaluation {
    /// Evaluates each model; `each` is given the reports as they come.
    ///
    /// # Errors
    /// Events of which nothing is left to ask about, fits that fail, and what `each` answers.
    pub fn run(&self, data: &Interactions, each: &mut dyn FnMut(Report) -> Result<()>) -> Result<()> {
        let data = &data.positives();
        let count = if self.protocol.is_random() { self.splits.max(1) } else { 1 };
        let splits: Vec<Split> =
            (0..count as u64).map(|seed| Split::new(data, self.protocol, seed)).collect::<Result<_>>()?;
        let mut known: Vec<Vec<Chosen>> = vec![Vec::new(); splits.len()];
        for kind in &self.kinds {
            let start = Instant::now();
            let mut tables = Vec::new();
            let mut last = None;
            for (seed, (split, known)) in splits.iter().zip(&mut known).enumerate() {
                let chosen = choose(&split.train, *kind, self, seed as u64, known)?;
                let model = chosen.fit(&split.train, self.threads, seed as u64)?;
                let lists = ranked(&*model, &split.cases, self.protocol, self.threads)?;
                tables.push(
                    lists
                        .iter()
                        .zip(&split.cases)
                        .map(|(list, case)| (case.user, of_list(list, &case.relevant)))
                        .collect(),
                );
                let pairs: Vec<(&[u32], &[u32])> = lists
                    .iter()
                    .zip(&split.cases)
                    .map(|(list, case)| (list.as_slice(), case.relevant.as_slice()))
                    .collect();
                last = Some((Spread::of(&pairs, &seen_by(&split.train), split.train.users.len()), chosen));
            }
            let (spread, chosen) = last.expect("there is at least one split");
            let (users, metrics) = over_users(&tables);
            let (protocol, splits, time) = (self.protocol, splits.len(), start.elapsed());
            each(Report { protocol, kind: *kind, splits, users, metrics, spread, chosen, time })?;
        }
        Ok(())
    }
}

/// How many users have seen each item.
fn seen_by(data: &Interactions) -> Vec<usize> {
    let mut counts = vec![0; data.items.len()];
    data.events().for_each(|event| counts[event.item as usize] += 1);
    counts
}

/// The number of users, and each metric over users of their means over the splits.
fn over_users(tables: &[Vec<(u32, [f64; 6])>]) -> (usize, Vec<Estimate>) {
    let mut sums: std::collections::BTreeMap<u32, ([f64; 6], usize)> = Default::default();
    for (user, values) in tables.iter().flatten() {
        let (sum, count) = sums.entry(*user).or_default();
        sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        *count += 1;
    }
    let means = |metric: usize| sums.values().map(|(sum, count)| sum[metric] / *count as f64).collect::<Vec<f64>>();
    (sums.len(), (0..NAMES.len()).map(|metric| Estimate::of(&means(metric))).collect())
}

/// The first ten items that a model ranks for each case, seen ones left out.
///
/// # Errors
/// Scores that cannot be computed.
pub fn ranked(model: &dyn Model, cases: &[Case], protocol: Protocol, threads: usize) -> Result<Vec<Vec<u32>>> {
    let first = cases.iter().map(|case| &case.history).find(|history| !history.is_empty());
    let items = first.map_or(0, |_| model.num_items());
    let list = |scores: &mut Vec<f32>, index: usize| {
        let case = &cases[index];
        model.score(&case.history, scores)?;
        Ok(top(scores, &left_out(case, items, protocol), K))
    };
    parallel::map(cases.len(), threads, || vec![0.0; items], list).into_iter().collect()
}

/// The items that are not ranked: seen ones and, where negatives are drawn, all but those and the relevant one.
fn left_out(case: &Case, items: usize, protocol: Protocol) -> Vec<bool> {
    let mut is_seen = vec![false; items];
    case.history.iter().for_each(|event: &Event| is_seen[event.item as usize] = true);
    if protocol != Protocol::SampledNegatives {
        return is_seen;
    }
    let mut draw = Philox::new(RandomKey::new(0).child("negatives").at(u64::from(case.user)));
    let mut others: Vec<u32> =
        (0..items as u32).filter(|item| !is_seen[*item as usize] && !case.relevant.contains(item)).collect();
    draw.shuffle(&mut others);
    let mut is_out = vec![true; items];
    others.iter().take(NEGATIVES).chain(&case.relevant).for_each(|item| is_out[*item as usize] = false);
    is_out
}
