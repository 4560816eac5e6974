//! Protocols: what is learned from, and what is asked about.

use footlight::nn::suggest;
use footlight::tensor::{Philox, RandomKey};
use footlight::{Error, ErrorKind, Result};

use crate::recommend::data::{Event, Interactions};

/// How events are divided into what is learned from and what is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// A quarter of all events, drawn at random, is asked about.
    Random,
    /// A quarter of the events of each user, drawn at random.
    PerUser,
    /// The last event of each user.
    LeaveOneOut,
    /// What happened after four fifths of all events.
    GlobalTime,
    /// As [`Protocol::LeaveOneOut`], but ranked among 99 drawn items only, for comparison with old papers.
    SampledNegatives,
}

impl Protocol {
    /// All protocols.
    pub const ALL: [Protocol; 5] =
        [Protocol::Random, Protocol::PerUser, Protocol::LeaveOneOut, Protocol::GlobalTime, Protocol::SampledNegatives];
    /// Their names.
    pub const NAMES: [&str; 5] =
        ["random", "per-user", "leave-one-out", "global-time", "leave-one-out-99-sampled-negatives"];

    /// The name.
    pub fn name(self) -> &'static str {
        Protocol::NAMES[self as usize]
    }

    /// The protocol of this name.
    ///
    /// # Errors
    /// A name that is not known, with the nearest.
    pub fn from_name(name: &str) -> Result<Protocol> {
        let position = Protocol::NAMES.iter().position(|known| *known == name);
        position.map(|at| Protocol::ALL[at]).ok_or_else(|| suggest::unknown("protocol", name, &Protocol::NAMES).into())
    }

    /// Whether another seed divides in another way.
    pub fn is_random(self) -> bool {
        matches!(self, Protocol::Random | Protocol::PerUser)
    }
}

/// A history, and the items that are to be found from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// The user.
    pub user: u32,
    /// What the user did before.
    pub history: Vec<Event>,
    /// The items that came.
    pub relevant: Vec<u32>,
}

/// What is learned from, and what is asked about.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// What models learn from.
    pub train: Interactions,
    /// What they are asked about; none of it is in `train`.
    pub cases: Vec<Case>,
}

/// The share of events that is asked about.
const RANDOM_SHARE: f64 = 0.25;
const TIME_SHARE: f64 = 0.2;
/// The last events of each user that settings are chosen by, where the protocol asks about the last one.
const VALIDATION_EVENTS: usize = 3;

impl Split {
    /// Divides events that speak for their items by a protocol.
    ///
    /// # Errors
    /// Events of which nothing is left to ask about.
    ///
    /// # Examples
    /// ```
    /// use footlight_apps::recommend::{self, evaluate::{Protocol, Split}};
    /// let films = recommend::embedded(0);
    /// let split = Split::new(&films, Protocol::LeaveOneOut, 0)?;
    /// assert_eq!(split.train.num_events() + 300, films.num_events());
    /// assert_eq!(split.cases[0].relevant, [films.of(0).last().unwrap().item]);
    /// # Ok::<(), footlight::Error>(())
    /// ```
    pub fn new(data: &Interactions, protocol: Protocol, seed: u64) -> Result<Split> {
        let key = RandomKey::new(seed).child(protocol.name());
        match protocol {
            Protocol::Random => Split::by(data, |histories| {
                let mut draw = Philox::new(key);
                let mut order: Vec<usize> = (0..histories.iter().map(|h| h.len()).sum()).collect();
                draw.shuffle(&mut order);
                let count = (order.len() as f64 * RANDOM_SHARE).round() as usize;
                let mut is_asked = vec![false; order.len()];
                order[..count].iter().for_each(|index| is_asked[*index] = true);
                let mut flags = is_asked.into_iter();
                histories.iter().map(|history| flags.by_ref().take(history.len()).collect()).collect()
            }),
            Protocol::PerUser => Split::by(data, |histories| {
                let flags = |(user, history): (usize, &Vec<Event>)| {
                    let mut order: Vec<usize> = (0..history.len()).collect();
                    Philox::new(key.at(user as u64)).shuffle(&mut order);
                    let count = (history.len() as f64 * RANDOM_SHARE).round() as usize;
                    let mut is_asked = vec![false; history.len()];
                    order[..count].iter().for_each(|index| is_asked[*index] = true);
                    is_asked
                };
                histories.iter().enumerate().map(flags).collect()
            }),
            Protocol::LeaveOneOut | Protocol::SampledNegatives => Split::of_last(data, 1),
            Protocol::GlobalTime => {
                let mut times: Vec<i64> = data.events().map(|event| event.time).collect();
                times.sort_unstable();
                let at = (times.len() as f64 * (1.0 - TIME_SHARE)) as usize;
                let cut = times.get(at).copied().unwrap_or(0);
                let is_late = |history: &Vec<Event>| history.iter().map(|event| event.time >= cut).collect();
                Split::by(data, |histories| histories.iter().map(is_late).collect())
            }
        }
    }

    /// What settings are chosen by: divides what a split learns from once more.
    ///
    /// Where the last event of each user is asked about, the last three before it are, one after another: a model sees none of
    /// them while it is fitted, and all those before while it is asked.
    ///
    /// # Errors
    /// As [`Split::new`].
    pub fn validation(train: &Interactions, protocol: Protocol, seed: u64) -> Result<Split> {
        match protocol {
            Protocol::LeaveOneOut | Protocol::SampledNegatives => Split::of_last(train, VALIDATION_EVENTS),
            _ => Split::new(train, protocol, seed ^ 0x76a1),
        }
    }

    fn checked(train: Interactions, cases: Vec<Case>) -> Result<Split> {
        if cases.is_empty() {
            return Err(Error::new(ErrorKind::Data, "no user has events both to learn from and to ask about")
                .help("more events of each user are needed, at different times"));
        }
        Ok(Split { train, cases })
    }

    /// Each user's marked events are asked about, all at once.
    fn by(data: &Interactions, mark: impl Fn(&[Vec<Event>]) -> Vec<Vec<bool>>) -> Result<Split> {
        let (mut kept, mut cases) = (Vec::new(), Vec::new());
        for (user, (history, is_asked)) in data.histories().iter().zip(mark(data.histories())).enumerate() {
            let marked = history.iter().zip(is_asked);
            let (asked, before): (Vec<_>, Vec<_>) = marked.partition(|(_, is_asked)| *is_asked);
            let history: Vec<Event> = before.into_iter().map(|(event, _)| *event).collect();
            kept.extend_from_slice(&history);
            let relevant: Vec<u32> = asked.into_iter().map(|(event, _)| event.item).collect();
            if !relevant.is_empty() && !history.is_empty() {
                cases.push(Case { user: user as u32, history, relevant });
            }
        }
        Split::checked(data.with_events(kept), cases)
    }

    /// The last `count` events of each user are asked about, one after another; a user keeps at least two events to learn
    /// from.
    fn of_last(data: &Interactions, count: usize) -> Result<Split> {
        let (mut kept, mut cases) = (Vec::new(), Vec::new());
        for (user, history) in data.histories().iter().enumerate() {
            let asked = count.min(history.len().saturating_sub(1));
            let first = history.len() - asked;
            kept.extend_from_slice(&history[..first]);
            let case = |at: usize| Case {
                user: user as u32,
                history: history[..at].to_vec(),
                relevant: vec![history[at].item],
            };
            cases.extend((first..history.len()).map(case));
        }
        Split::checked(data.with_events(kept), cases)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recommend::embedded;

    #[test]
    fn nothing_is_both_learned_and_asked_and_nothing_is_lost() {
        let films = embedded(0);
        for protocol in Protocol::ALL {
            let split = Split::new(&films, protocol, 3).unwrap();
            let asked: usize = split.cases.iter().map(|case| case.relevant.len()).sum();
            assert!(split.train.num_events() + asked <= films.num_events(), "{}", protocol.name());
            for case in &split.cases {
                let learned: Vec<u32> = split.train.of(case.user).iter().map(|event| event.item).collect();
                assert!(case.relevant.iter().all(|item| !learned.contains(item)), "{}", protocol.name());
                assert_eq!(case.history, split.train.of(case.user), "{}", protocol.name());
            }
        }
    }

    #[test]
    fn a_split_by_time_learns_from_nothing_that_is_later_than_what_it_asks() {
        let films = embedded(0);
        let split = Split::new(&films, Protocol::GlobalTime, 0).unwrap();
        let latest = split.train.events().map(|event| event.time).max().unwrap();
        for case in &split.cases {
            let of_user = films.of(case.user);
            assert!(of_user.iter().filter(|e| case.relevant.contains(&e.item)).all(|event| event.time > latest));
        }
    }

    #[test]
    fn seeds_divide_in_other_ways_and_the_same_seed_in_the_same() {
        let films = embedded(0);
        for protocol in Protocol::ALL {
            let split = |seed| Split::new(&films, protocol, seed).unwrap();
            assert_eq!(split(1), split(1));
            assert_eq!(split(1) != split(2), protocol.is_random(), "{}", protocol.name());
        }
    }

    #[test]
    fn validation_asks_about_the_last_events_before_the_one_that_is_tested() {
        let films = embedded(0);
        let split = Split::new(&films, Protocol::LeaveOneOut, 0).unwrap();
        let validation = Split::validation(&split.train, Protocol::LeaveOneOut, 0).unwrap();
        let of_first: Vec<&Case> = validation.cases.iter().filter(|case| case.user == 0).collect();
        let known = split.train.of(0);
        assert_eq!(of_first.len(), 3);
        assert_eq!(of_first[2].relevant, [known[known.len() - 1].item]);
        assert_eq!(of_first[2].history, known[..known.len() - 1]);
        assert_eq!(validation.train.of(0), &known[..known.len() - 3]);
    }
}
