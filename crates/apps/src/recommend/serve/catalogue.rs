//! Search in titles.

use std::cmp::Reverse;

use super::super::Recommender;

/// The titles of all items, as they are searched.
#[derive(Debug)]
pub(super) struct Catalogue {
    items: Vec<Entry>,
    /// All categories in their order.
    pub categories: Vec<String>,
}

#[derive(Debug)]
struct Entry {
    /// The title, or the name where none is known; in lower case.
    title: String,
    /// The number of its events.
    events: usize,
}

impl Catalogue {
    pub fn new(recommender: &Recommender) -> Catalogue {
        let data = recommender.data();
        let title = |name| Entry { title: recommender.title(name).to_lowercase(), events: 0 };
        let mut items: Vec<Entry> = data.items.iter().map(title).collect();
        data.events().for_each(|event| items[event.item as usize].events += 1);
        let mut categories: Vec<String> = data.catalogue.iter().flat_map(|item| item.categories.clone()).collect();
        categories.sort_unstable();
        categories.dedup();
        Catalogue { items, categories }
    }

    /// The indices of at most `n` items whose titles hold all words of `search`: first those that begin with it, then those
    /// of which a word does, then the others; among these those with the most events first.
    pub fn search(&self, search: &str, n: usize) -> Vec<u32> {
        let search = search.trim().to_lowercase();
        let words: Vec<&str> = search.split_whitespace().collect();
        let rank = |title: &str| match title.find(&search) {
            Some(0) => 0,
            Some(at) if !title[..at].ends_with(char::is_alphanumeric) => 1,
            _ => 2,
        };
        let found =
            self.items.iter().enumerate().filter(|(_, entry)| words.iter().all(|word| entry.title.contains(word)));
        let mut found: Vec<_> =
            found.map(|(index, entry)| (rank(&entry.title), Reverse(entry.events), index as u32)).collect();
        found.sort_unstable();
        found.into_iter().take(n).map(|(_, _, index)| index).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::{Kind, Settings, embedded};
    use super::*;

    #[test]
    fn titles_that_begin_with_what_is_searched_come_first() {
        let films = Recommender::fit(embedded(0), Kind::Popularity, &Settings::default(), 0, 1).unwrap();
        let catalogue = Catalogue::new(&films);
        let titles = |search: &str, n| {
            let found = catalogue.search(search, n).into_iter();
            found.map(|index| films.data().catalogue[index as usize].title.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(titles("  WI", 9), ["Wings (1927)", "The Wind (1928)"]);
        assert_eq!(titles("wind the", 9), ["The Wind (1928)"]);
        assert_eq!(titles("zzz", 9), [""; 0]);
        assert_eq!(titles("m (", 1), ["M (1931)"]);
        let popular = films.recommend(&super::super::super::Query::of_history([]).k(5)).unwrap();
        let popular: Vec<&str> = popular.iter().map(|got| films.title(&got.item)).collect();
        assert_eq!(titles("", 5), popular);
    }
}
