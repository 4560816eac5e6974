//! A model with the users, items and events it is asked about.

use footlight::nn::suggest;
use footlight::{Error, ErrorKind, Result};

use super::data::{Event, EventKind, Interactions, NamedEvent, Names};
use super::models::{Fitted, Fitting, Kind, Settings};

/// Recommends items to users: a fitted model, and what everybody has done so far.
///
/// All answers are functions of a history, so [`Recommender::update`] shows in the next one. Answering takes `&self` from any
/// number of threads.
#[derive(Debug)]
pub struct Recommender {
    pub(super) model: Fitted,
    pub(super) data: Interactions,
    /// What an event of which no value is known is worth.
    usual_value: f32,
}

/// What is asked for.
///
/// # Arguments
/// Defaults: `k` 10, seen items are left out, nothing else is, any category, no reasons.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    user: Option<String>,
    history: Vec<String>,
    k: usize,
    filter_seen: bool,
    exclude: Vec<String>,
    category: Option<String>,
    because: bool,
}

impl Query {
    fn new(user: Option<String>) -> Query {
        let (history, exclude) = (Vec::new(), Vec::new());
        Query { user, history, k: 10, filter_seen: true, exclude, category: None, because: false }
    }

    /// For a user who is known.
    pub fn of_user(user: &str) -> Query {
        Query::new(Some(user.into()))
    }

    /// For somebody who has seen these items, the last one at last.
    pub fn of_history<'a>(items: impl IntoIterator<Item = &'a str>) -> Query {
        Query::new(None).history(items)
    }

    /// Items that were seen after all that is known; a user who has such need not be known.
    pub fn history<'a>(mut self, items: impl IntoIterator<Item = &'a str>) -> Query {
        self.history.extend(items.into_iter().map(str::to_string));
        self
    }

    /// The number of items; fewer where fewer are left.
    pub fn k(mut self, k: usize) -> Query {
        self.k = k;
        self
    }

    /// Whether items of the history are left out.
    pub fn filter_seen(mut self, filter_seen: bool) -> Query {
        self.filter_seen = filter_seen;
        self
    }

    /// Further items that are left out.
    pub fn exclude<'a>(mut self, items: impl IntoIterator<Item = &'a str>) -> Query {
        self.exclude.extend(items.into_iter().map(str::to_string));
        self
    }

    /// Only items of this category.
    pub fn category(mut self, category: &str) -> Query {
        self.category = Some(category.into());
        self
    }

    /// Whether each item carries its reasons.
    pub fn because(mut self, because: bool) -> Query {
        self.because = because;
        self
    }
}

/// A part of a score.
#[derive(Clone, Debug, PartialEq)]
pub struct Reason {
    /// The item of the history that it comes from; none for what the score is without any history.
    pub item: Option<String>,
    /// What it adds to the score.
    pub contribution: f32,
}

/// An item that is recommended.
#[derive(Clone, Debug, PartialEq)]
pub struct Recommendation {
    /// The item.
    pub item: String,
    /// The score; those of one answer compare, those of several do not.
    pub score: f32,
    /// The reasons, the weightiest first; their contributions sum to the score. Empty unless asked for.
    pub because: Vec<Reason>,
}

/// An item that is like another.
#[derive(Clone, Debug, PartialEq)]
pub struct Similar {
    /// The item.
    pub item: String,
    /// How like it is, by the measure of the model.
    pub score: f32,
}

/// What became of new events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Update {
    /// Events that count from now on.
    pub added: usize,
    /// Users who were not there before.
    pub new_users: usize,
    /// Items that the model does not know, in the order in which they came, with the number of their events; they count once
    /// a model is fitted to them.
    pub unknown_items: Vec<(String, usize)>,
}

impl Recommender {
    /// Fits a model to all events.
    ///
    /// # Errors
    /// Settings out of range, events that nothing can be learned from, and fits that fail.
    pub fn fit(data: Interactions, kind: Kind, settings: &Settings, seed: u64, threads: usize) -> Result<Recommender> {
        if !data.events().any(|event| event.kind.is_positive()) {
            let message = "no event speaks for its item: there is nothing to learn from";
            return Err(
                Error::new(ErrorKind::Data, message).help("impressions, dislikes and skips alone are not enough")
            );
        }
        let model = Fitted::new(kind, settings, Fitting { data: &data, threads, seed })?;
        Ok(Recommender::new(model, data))
    }

    /// Takes a fitted model and the events it is asked about, whose items are those it was fitted to.
    pub fn new(model: Fitted, data: Interactions) -> Recommender {
        let (count, sum) = data.events().fold((0u32, 0.0f64), |(n, sum), event| (n + 1, sum + f64::from(event.value)));
        let usual_value = (sum / f64::from(count.max(1))) as f32;
        Recommender { model, data, usual_value }
    }

    /// The model.
    pub fn model(&self) -> &Fitted {
        &self.model
    }

    /// Users, items and events.
    pub fn data(&self) -> &Interactions {
        &self.data
    }

    /// The `k` items of the highest scores, the highest first; of equal ones that which was known first.
    ///
    /// A user without any event that counts is answered as a history without events: with what the model scores then.
    ///
    /// # Errors
    /// A user, an item or a category that is not known.
    pub fn recommend(&self, query: &Query) -> Result<Vec<Recommendation>> {
        let (history, seen) = self.history(query)?;
        let mut is_out = vec![false; self.data.items.len()];
        if query.filter_seen {
            seen.iter().for_each(|item| is_out[*item as usize] = true);
        }
        for item in &query.exclude {
            is_out[self.item(item)? as usize] = true;
        }
        if let Some(category) = &query.category {
            self.leave_out_others(category, &mut is_out)?;
        }
        let mut scores = vec![0.0; is_out.len()];
        self.model.score(&history, &mut scores)?;
        let recommendation = |item: u32| {
            let because = if query.because { self.because(&history, item)? } else { Vec::new() };
            Ok(Recommendation { item: self.data.items.name(item).into(), score: scores[item as usize], because })
        };
        top(&scores, &is_out, query.k).into_iter().map(recommendation).collect()
    }

    /// The `k` items that are most like `item`.
    ///
    /// # Errors
    /// An item that is not known, a model that knows of no likeness.
    pub fn similar(&self, item: &str, k: usize) -> Result<Vec<Similar>> {
        let item = self.item(item)?;
        let mut scores = vec![0.0; self.data.items.len()];
        self.model.similar(item, &mut scores)?;
        let mut is_out = vec![false; scores.len()];
        is_out[item as usize] = true;
        let similar = |item: u32| Similar { item: self.data.items.name(item).into(), score: scores[item as usize] };
        Ok(top(&scores, &is_out, k).into_iter().map(similar).collect())
    }

    /// Adds what users did; it counts in the next answer. What the model has learned stays as it is.
    pub fn update(&mut self, events: &[NamedEvent]) -> Update {
        let (mut update, users) = (Update::default(), self.data.users.len());
        let mut unknown = Names::default();
        for NamedEvent { user, item, kind, value, time } in events {
            let Some(item) = self.data.items.get(item) else {
                let index = unknown.add(item) as usize;
                match update.unknown_items.get_mut(index) {
                    Some((_, count)) => *count += 1,
                    None => update.unknown_items.push((item.clone(), 1)),
                }
                continue;
            };
            let user = self.data.users.add(user);
            self.data.push(Event { user, item, kind: *kind, value: *value, time: *time });
            update.added += 1;
        }
        update.new_users = self.data.users.len() - users;
        update
    }

    /// The title of an item, or its name where no title is known.
    pub fn title<'a>(&'a self, item: &'a str) -> &'a str {
        let known = self.data.items.get(item).map(|index| self.data.catalogue[index as usize].title.as_str());
        known.filter(|title| !title.is_empty()).unwrap_or(item)
    }

    /// The index of an item.
    fn item(&self, name: &str) -> Result<u32> {
        self.data.items.get(name).ok_or_else(|| {
            let alike = |(index, item): (usize, &super::Item)| {
                let is_meant = item.title.to_lowercase().starts_with(&name.to_lowercase());
                is_meant.then(|| format!("`{}` is {}", self.data.items.name(index as u32), item.title))
            };
            let message = format!("item `{}` is not known among {}", suggest::shown(name), self.data.items.len());
            let help = self.data.catalogue.iter().enumerate().find_map(alike);
            Error::new(ErrorKind::Config, message).help(help.unwrap_or("items are named as in the events".into()))
        })
    }

    fn leave_out_others(&self, category: &str, is_out: &mut [bool]) -> Result<()> {
        let is_meant = |known: &String| known.eq_ignore_ascii_case(category);
        let mut all: Vec<&str> =
            self.data.catalogue.iter().flat_map(|item| &item.categories).map(String::as_str).collect();
        all.sort_unstable();
        all.dedup();
        if !all.iter().any(|known| known.eq_ignore_ascii_case(category)) {
            return Err(suggest::unknown("category", category, &all).into());
        }
        for (is_out, item) in is_out.iter_mut().zip(&self.data.catalogue) {
            *is_out |= !item.categories.iter().any(is_meant);
        }
        Ok(())
    }

    /// The events that speak for their items, each item once, and all items that count as seen.
    fn history(&self, query: &Query) -> Result<(Vec<Event>, Vec<u32>)> {
        let mut events = Vec::new();
        if let Some(user) = &query.user {
            match self.data.users.get(user) {
                Some(index) => events.extend_from_slice(self.data.of(index)),
                None if !query.history.is_empty() => {}
                None => {
                    let message =
                        format!("user `{}` is not known among {}", suggest::shown(user), self.data.users.len());
                    return Err(
                        Error::new(ErrorKind::Config, message).help("give a history to recommend to somebody new")
                    );
                }
            }
        }
        for item in &query.history {
            let (item, value) = (self.item(item)?, self.usual_value);
            events.push(Event {
                user: events.first().map_or(0, |event: &Event| event.user),
                item,
                kind: EventKind::Play,
                value,
                time: i64::MAX,
            });
        }
        let seen = events.iter().filter(|event| event.kind.is_seen()).map(|event| event.item).collect();
        let positives: Vec<Event> = events.into_iter().filter(|event| event.kind.is_positive()).collect();
        Ok((super::data::last_of_each(positives), seen))
    }

    fn because(&self, history: &[Event], item: u32) -> Result<Vec<Reason>> {
        let explanation = self.model.explain(history, item)?;
        let of_event = |(event, contribution): (&Event, f32)| Reason {
            item: Some(self.data.items.name(event.item).into()),
            contribution,
        };
        let base = Reason { item: None, contribution: explanation.base };
        let mut reasons: Vec<Reason> = history.iter().zip(explanation.contributions).map(of_event).collect();
        reasons.push(base);
        reasons.retain(|reason| reason.contribution != 0.0);
        reasons.sort_by(|a, b| b.contribution.abs().total_cmp(&a.contribution.abs()));
        Ok(reasons)
    }
}

/// The indices of the `k` highest scores that are not out, the highest first.
pub(super) fn top(scores: &[f32], is_out: &[bool], k: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..scores.len() as u32).filter(|index| !is_out[*index as usize]).collect();
    let better = |a: &u32, b: &u32| scores[*b as usize].total_cmp(&scores[*a as usize]).then(a.cmp(b));
    if k < order.len() {
        order.select_nth_unstable_by(k, better);
        order.truncate(k);
    }
    order.sort_unstable_by(better);
    order
}
