//! What of the events is kept.

use std::collections::HashMap;

use super::{Event, Interactions, Names};

/// Rules by which events are kept.
///
/// # Arguments
/// `threshold`: ratings below it do not count; default none. `k_core`: users and items with fewer events are left out,
/// again and again until none is; default 0. Of several events of a user with an item the last one counts, unless
/// `keep_duplicates`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    /// The least rating that counts.
    pub threshold: Option<f32>,
    /// The least number of events of every user and item.
    pub k_core: usize,
    /// Whether a user may have several events with one item.
    pub keep_duplicates: bool,
}

impl Filter {
    /// The events that the rules keep, with the users and items that still have any.
    ///
    /// # Examples
    /// ```
    /// use footlight_apps::recommend::{Event, EventKind, Filter, Interactions, Names};
    /// let event = |user, item| Event { user, item, kind: EventKind::Play, value: 1.0, time: 0 };
    /// let (users, items) = (Names::from_iter(["ann", "bob", "cid"]), Names::from_iter(["x", "y", "z"]));
    /// let events = vec![event(0, 0), event(0, 1), event(1, 0), event(1, 1), event(2, 1), event(2, 2)];
    /// let all = Interactions::new(users, items, vec![], events);
    /// let core = Filter { k_core: 2, ..Filter::default() }.apply(&all);
    /// assert_eq!(core.users.iter().collect::<Vec<_>>(), ["ann", "bob"]);
    /// ```
    pub fn apply(&self, all: &Interactions) -> Interactions {
        let is_rated_enough = |event: &&Event| self.threshold.is_none_or(|least| event.value >= least);
        let mut events: Vec<Event> = all.events().filter(is_rated_enough).copied().collect();
        if !self.keep_duplicates {
            events = last_of_each(events);
        }
        while self.k_core > 1 && self.remove_rare(&mut events, all) {}
        if events.len() == all.num_events() {
            return all.clone();
        }
        compact(all, events)
    }

    /// Leaves out users and items with too few events; tells whether there were any.
    fn remove_rare(&self, events: &mut Vec<Event>, all: &Interactions) -> bool {
        let (mut users, mut items) = (vec![0usize; all.users.len()], vec![0usize; all.items.len()]);
        for event in events.iter() {
            users[event.user as usize] += 1;
            items[event.item as usize] += 1;
        }
        let before = events.len();
        let is_frequent = |count: usize| count >= self.k_core;
        events.retain(|e| is_frequent(users[e.user as usize]) && is_frequent(items[e.item as usize]));
        events.len() < before
    }
}

/// Of several events of a user with an item the last one, in its place.
pub(crate) fn last_of_each(events: Vec<Event>) -> Vec<Event> {
    let last: HashMap<(u32, u32), usize> =
        events.iter().enumerate().map(|(index, event)| ((event.user, event.item), index)).collect();
    let is_last = |(index, event): &(usize, Event)| last[&(event.user, event.item)] == *index;
    events.into_iter().enumerate().filter(is_last).map(|(_, event)| event).collect()
}

/// Only the users and items that have events.
fn compact(all: &Interactions, mut events: Vec<Event>) -> Interactions {
    let (mut has_user, mut has_item) = (vec![false; all.users.len()], vec![false; all.items.len()]);
    for event in &events {
        has_user[event.user as usize] = true;
        has_item[event.item as usize] = true;
    }
    let kept = |has: Vec<bool>| has.into_iter().enumerate().filter(|(_, has)| *has).map(|(index, _)| index as u32);
    let users: Names = kept(has_user).map(|user| all.users.name(user)).collect();
    let kept_items: Vec<u32> = kept(has_item).collect();
    let items: Names = kept_items.iter().map(|item| all.items.name(*item)).collect();
    for event in &mut events {
        event.user = users.get(all.users.name(event.user)).expect("it was kept");
        event.item = items.get(all.items.name(event.item)).expect("it was kept");
    }
    let catalogue = kept_items.iter().map(|item| all.catalogue[*item as usize].clone()).collect();
    Interactions::new(users, items, catalogue, events)
}

#[cfg(test)]
mod tests {
    use super::super::EventKind;
    use super::*;

    fn interactions(events: &[(u32, u32, f32, i64)]) -> Interactions {
        let names = |count: u32| (0..count).map(|i| i.to_string()).collect::<Vec<_>>();
        let (users, items) = (names(4), names(5));
        let event = |(user, item, value, time): &(u32, u32, f32, i64)| Event {
            user: *user,
            item: *item,
            kind: EventKind::Rating,
            value: *value,
            time: *time,
        };
        let of = |names: &[String]| Names::from_iter(names.iter().map(String::as_str));
        Interactions::new(of(&users), of(&items), vec![], events.iter().map(event).collect())
    }

    #[test]
    fn of_duplicates_the_last_in_time_counts() {
        let all = interactions(&[(0, 1, 5.0, 9), (0, 1, 2.0, 3), (0, 2, 4.0, 5)]);
        let kept = Filter::default().apply(&all);
        assert_eq!(kept.of(0).iter().map(|e| e.value).collect::<Vec<_>>(), [4.0, 5.0]);
        assert_eq!(Filter { keep_duplicates: true, ..Filter::default() }.apply(&all), all);
    }

    #[test]
    fn a_core_is_one_of_all_that_are_left() {
        // User 3 keeps item 4 alive, which alone keeps user 2 alive.
        let all = interactions(&[
            (0, 0, 5.0, 1),
            (0, 1, 5.0, 2),
            (1, 0, 5.0, 1),
            (1, 1, 5.0, 2),
            (2, 1, 5.0, 1),
            (2, 4, 5.0, 2),
            (3, 4, 5.0, 1),
        ]);
        let core = Filter { k_core: 2, ..Filter::default() }.apply(&all);
        assert_eq!((core.users.len(), core.items.len(), core.num_events()), (2, 2, 4));
        assert_eq!(core.items.iter().collect::<Vec<_>>(), ["0", "1"]);
    }

    #[test]
    fn ratings_below_the_threshold_do_not_count() {
        let all = interactions(&[(0, 0, 3.5, 1), (0, 1, 4.0, 2), (1, 2, 1.0, 1)]);
        let kept = Filter { threshold: Some(4.0), ..Filter::default() }.apply(&all);
        assert_eq!((kept.users.len(), kept.items.len(), kept.num_events()), (1, 1, 1));
    }
}
