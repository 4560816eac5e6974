//! Who did what with what, when: events, the names of users and items, and what is known of the items.

mod archive;
mod embedded;
mod filter;
mod formats;
mod lines;
pub(crate) mod time;

pub use embedded::embedded;
pub use filter::Filter;
pub(crate) use filter::last_of_each;
pub use formats::{Columns, open, open_events};
pub use lines::{Malformed, Reading};

use std::collections::HashMap;

/// What somebody did with an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// It was shown.
    Impression,
    /// It was looked at.
    Click,
    /// It was begun.
    Play,
    /// It was seen to the end.
    Complete,
    /// It was liked.
    Like,
    /// It was disliked.
    Dislike,
    /// It was passed over.
    Skip,
    /// It was given a rating, which is the value of the event.
    Rating,
}

impl EventKind {
    /// The names of all kinds.
    pub const NAMES: [&str; 8] = ["impression", "click", "play", "complete", "like", "dislike", "skip", "rating"];
    const ALL: [EventKind; 8] = [
        EventKind::Impression,
        EventKind::Click,
        EventKind::Play,
        EventKind::Complete,
        EventKind::Like,
        EventKind::Dislike,
        EventKind::Skip,
        EventKind::Rating,
    ];

    /// The kind of this name.
    pub fn from_name(name: &str) -> Option<EventKind> {
        EventKind::NAMES.iter().position(|known| *known == name).map(|index| EventKind::ALL[index])
    }

    /// The name, such as `like`.
    pub fn name(self) -> &'static str {
        EventKind::NAMES[self as usize]
    }

    /// The kind by its place in [`EventKind::NAMES`].
    pub(crate) fn from_index(index: usize) -> Option<EventKind> {
        EventKind::ALL.get(index).copied()
    }

    /// Whether it speaks for the item: models learn from such events; the others only say what not to recommend.
    pub fn is_positive(self) -> bool {
        !matches!(self, EventKind::Impression | EventKind::Dislike | EventKind::Skip)
    }

    /// Whether the item counts as seen by the user; what was only shown may be shown again.
    pub fn is_seen(self) -> bool {
        self != EventKind::Impression
    }
}

/// Something that a user did with an item, both by their index.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Event {
    /// The user.
    pub user: u32,
    /// The item.
    pub item: u32,
    /// What was done.
    pub kind: EventKind,
    /// How much of it: a rating, a share of the length; 1 where nothing is said.
    pub value: f32,
    /// When, in seconds since 1970; 0 where nothing is said.
    pub time: i64,
}

/// An event whose user and item have names.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedEvent {
    /// The user's name.
    pub user: String,
    /// The item's name.
    pub item: String,
    /// As [`Event::kind`].
    pub kind: EventKind,
    /// As [`Event::value`].
    pub value: f32,
    /// As [`Event::time`].
    pub time: i64,
}

/// Names with their indices, which count from 0 in the order in which names came.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Names {
    names: Vec<String>,
    index: HashMap<String, u32>,
}

impl Names {
    /// The index of a name, which is given one if it is new.
    pub fn add(&mut self, name: &str) -> u32 {
        if let Some(index) = self.index.get(name) {
            return *index;
        }
        let index = self.names.len() as u32;
        self.names.push(name.into());
        self.index.insert(name.into(), index);
        index
    }

    /// The index of a name.
    pub fn get(&self, name: &str) -> Option<u32> {
        self.index.get(name).copied()
    }

    /// The name of an index that was given out here.
    pub fn name(&self, index: u32) -> &str {
        &self.names[index as usize]
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// All names, in the order of their indices.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }
}

impl<'a> FromIterator<&'a str> for Names {
    fn from_iter<I: IntoIterator<Item = &'a str>>(names: I) -> Names {
        let mut all = Names::default();
        names.into_iter().for_each(|name| {
            all.add(name);
        });
        all
    }
}

/// What is known of an item.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Item {
    /// The title; empty if none is known.
    pub title: String,
    /// The categories, such as genres.
    pub categories: Vec<String>,
}

/// Events of users with items.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Interactions {
    /// The users.
    pub users: Names,
    /// The items.
    pub items: Names,
    /// What is known of each item, in the order of their indices.
    pub catalogue: Vec<Item>,
    histories: Vec<Vec<Event>>,
}

impl Interactions {
    /// Puts events in their order: of each user by time, those of one time as they came.
    ///
    /// # Examples
    /// ```
    /// use footlight_apps::recommend::{Event, EventKind, Interactions, Names};
    /// let event = |user, item, time| Event { user, item, kind: EventKind::Play, value: 1.0, time };
    /// let (users, items) = (Names::from_iter(["ann", "bob"]), Names::from_iter(["x", "y"]));
    /// let all = Interactions::new(users, items, vec![], vec![event(1, 0, 5), event(0, 1, 9), event(0, 0, 3)]);
    /// assert_eq!(all.of(0).iter().map(|event| event.item).collect::<Vec<_>>(), [0, 1]);
    /// ```
    pub fn new(users: Names, items: Names, mut catalogue: Vec<Item>, events: Vec<Event>) -> Interactions {
        catalogue.resize(items.len(), Item::default());
        let mut histories = vec![Vec::new(); users.len()];
        events.into_iter().for_each(|event| histories[event.user as usize].push(event));
        histories.iter_mut().for_each(|history| history.sort_by_key(|event| event.time));
        Interactions { users, items, catalogue, histories }
    }

    /// The events of a user in the order of their time; none of one who is not known.
    pub fn of(&self, user: u32) -> &[Event] {
        self.histories.get(user as usize).map_or(&[], Vec::as_slice)
    }

    /// All events, by user.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.histories.iter().flatten()
    }

    /// The number of events.
    pub fn num_events(&self) -> usize {
        self.histories.iter().map(Vec::len).sum()
    }

    /// The events of each user.
    pub fn histories(&self) -> &[Vec<Event>] {
        &self.histories
    }

    /// The same users and items with other events.
    pub fn with_events(&self, events: Vec<Event>) -> Interactions {
        Interactions::new(self.users.clone(), self.items.clone(), self.catalogue.clone(), events)
    }

    /// The same with more events; users and items that are new stand behind those that are known.
    ///
    /// # Examples
    /// ```
    /// use footlight_apps::recommend::{EventKind, NamedEvent, embedded};
    /// let seen = |item: &str| NamedEvent { user: "you".into(), item: item.into(), kind: EventKind::Like, value: 1.0, time: 0 };
    /// let films = embedded(0).with_named(&[seen("5"), seen("a new film")]);
    /// assert_eq!((films.users.len(), films.items.len(), films.of(300).len()), (301, 49, 2));
    /// ```
    pub fn with_named(mut self, events: &[NamedEvent]) -> Interactions {
        let (users, items) = (&mut self.users, &mut self.items);
        let indexed = events.iter().map(|NamedEvent { user, item, kind, value, time }| Event {
            user: users.add(user),
            item: items.add(item),
            kind: *kind,
            value: *value,
            time: *time,
        });
        let added: Vec<Event> = indexed.collect();
        let all = self.histories.into_iter().flatten().chain(added).collect();
        Interactions::new(self.users, self.items, self.catalogue, all)
    }

    /// The events that speak for their item.
    pub fn positives(&self) -> Interactions {
        self.with_events(self.events().filter(|event| event.kind.is_positive()).copied().collect())
    }

    /// Adds an event behind those of its user that are as old or older.
    pub(crate) fn push(&mut self, event: Event) {
        self.histories.resize(self.users.len(), Vec::new());
        let history = &mut self.histories[event.user as usize];
        let at = history.partition_point(|known| known.time <= event.time);
        history.insert(at, event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(user: u32, item: u32, time: i64) -> Event {
        Event { user, item, kind: EventKind::Play, value: 1.0, time }
    }

    #[test]
    fn events_of_one_time_keep_the_order_in_which_they_came() {
        let names = |count: usize| Names::from_iter((0..count).map(|i| ["a", "b", "c", "d", "e"][i]));
        let items = [3, 0, 4, 1, 2];
        let events = items.iter().map(|item| event(0, *item, 7)).collect();
        let all = Interactions::new(names(1), names(5), vec![], events);
        assert_eq!(all.of(0).iter().map(|event| event.item).collect::<Vec<_>>(), items);
    }

    #[test]
    fn an_event_that_is_added_stands_where_sorting_puts_it() {
        let (users, items) = (Names::from_iter(["a", "b", "c"]), Names::from_iter(["x", "y"]));
        let events = vec![event(0, 0, 5), event(0, 1, 9), event(1, 0, 4), event(2, 1, 1)];
        let mut all = Interactions::new(users, items, vec![], events.clone());
        for added in [event(0, 1, 5), event(1, 1, 1), event(2, 0, 9), event(0, 0, 0)] {
            all.push(added);
        }
        let added = vec![event(0, 1, 5), event(1, 1, 1), event(2, 0, 9), event(0, 0, 0)];
        assert_eq!(all, all.with_events([events, added].concat()));
        assert_eq!(all.of(7), []);
    }

    #[test]
    fn every_kind_of_event_is_found_by_its_name() {
        for (index, name) in EventKind::NAMES.iter().enumerate() {
            let kind = EventKind::from_name(name).unwrap();
            assert_eq!((kind.name(), EventKind::from_index(index)), (*name, Some(kind)));
        }
    }
}
