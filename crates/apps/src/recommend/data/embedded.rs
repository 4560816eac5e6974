//! A small catalogue and users who never were, so that everything runs where no data is at hand.

use footlight::tensor::{Philox, RandomKey};

use super::{Event, EventKind, Interactions, Item, Names};

/// Users that are made.
const USERS: u32 = 300;
/// Films of the silent age and the decades after, with their genres.
const FILMS: [(&str, &str); 48] = [
    ("A Trip to the Moon (1902)", "Fantasy|Science fiction"),
    ("The Great Train Robbery (1903)", "Western|Crime"),
    ("The Cabinet of Dr. Caligari (1920)", "Horror|Mystery"),
    ("The Mark of Zorro (1920)", "Adventure|Western"),
    ("The Kid (1921)", "Comedy|Drama"),
    ("Nosferatu (1922)", "Horror|Fantasy"),
    ("Dr. Mabuse, the Gambler (1922)", "Crime|Mystery"),
    ("Safety Last! (1923)", "Comedy|Romance"),
    ("The Hunchback of Notre Dame (1923)", "Drama|Horror"),
    ("Sherlock Jr. (1924)", "Comedy|Mystery"),
    ("The Thief of Bagdad (1924)", "Adventure|Fantasy"),
    ("The Navigator (1924)", "Comedy|Adventure"),
    ("The Iron Horse (1924)", "Western|Drama"),
    ("Greed (1924)", "Drama|Crime"),
    ("The Gold Rush (1925)", "Comedy|Adventure"),
    ("Battleship Potemkin (1925)", "Drama|War"),
    ("The Phantom of the Opera (1925)", "Horror|Romance"),
    ("The Lost World (1925)", "Adventure|Science fiction"),
    ("The Big Parade (1925)", "War|Romance"),
    ("Faust (1926)", "Fantasy|Horror"),
    ("The Black Pirate (1926)", "Adventure|Romance"),
    ("The General (1926)", "Comedy|War"),
    ("Metropolis (1927)", "Science fiction|Drama"),
    ("Sunrise (1927)", "Romance|Drama"),
    ("Wings (1927)", "War|Romance"),
    ("The Lodger (1927)", "Mystery|Crime"),
    ("The Cat and the Canary (1927)", "Horror|Comedy"),
    ("Napoleon (1927)", "War|Drama"),
    ("The Passion of Joan of Arc (1928)", "Drama|War"),
    ("The Circus (1928)", "Comedy|Romance"),
    ("Steamboat Bill, Jr. (1928)", "Comedy|Romance"),
    ("The Wind (1928)", "Western|Drama"),
    ("Spione (1928)", "Crime|Mystery"),
    ("Woman in the Moon (1929)", "Science fiction|Adventure"),
    ("Pandora's Box (1929)", "Drama|Crime"),
    ("All Quiet on the Western Front (1930)", "War|Drama"),
    ("City Lights (1931)", "Comedy|Romance"),
    ("M (1931)", "Crime|Mystery"),
    ("Frankenstein (1931)", "Horror|Science fiction"),
    ("Dracula (1931)", "Horror|Fantasy"),
    ("Vampyr (1932)", "Horror|Mystery"),
    ("King Kong (1933)", "Adventure|Fantasy"),
    ("The Invisible Man (1933)", "Science fiction|Horror"),
    ("It Happened One Night (1934)", "Comedy|Romance"),
    ("The 39 Steps (1935)", "Mystery|Adventure"),
    ("Modern Times (1936)", "Comedy|Drama"),
    ("Stagecoach (1939)", "Western|Adventure"),
    ("The Hound of the Baskervilles (1939)", "Mystery|Horror"),
];

/// The embedded catalogue, and the events of users `1`, `2`, ... that are drawn from `seed`: each has two genres of their
/// own, goes on with what is like the film before, and knows the famous films better.
///
/// # Examples
/// ```
/// let films = footlight_apps::recommend::embedded(0);
/// assert_eq!((films.users.len(), films.items.len()), (300, 48));
/// assert_eq!(films, footlight_apps::recommend::embedded(0));
/// ```
pub fn embedded(seed: u64) -> Interactions {
    let key = RandomKey::new(seed).child("embedded");
    let users: Vec<String> = (1..=USERS).map(|user| user.to_string()).collect();
    let items: Vec<String> = (1..=FILMS.len()).map(|item| item.to_string()).collect();
    let catalogue = FILMS.map(|(title, genres)| Item {
        title: title.into(),
        categories: genres.split('|').map(str::to_string).collect(),
    });
    let events = (0..USERS).flat_map(|user| history(user, &catalogue, key.at(u64::from(user)))).collect();
    let of = |names: &[String]| Names::from_iter(names.iter().map(String::as_str));
    Interactions::new(of(&users), of(&items), catalogue.to_vec(), events)
}

fn history(user: u32, films: &[Item], key: RandomKey) -> Vec<Event> {
    let mut random = Philox::new(key);
    let tastes = [0, 1].map(|_| films[random.below(films.len() as u32) as usize].categories[0].clone());
    let count = 8 + random.below(13);
    let mut seen: Vec<usize> = Vec::new();
    let (mut events, mut time) = (Vec::new(), 1_000_000 + i64::from(random.below(500_000)));
    for _ in 0..count {
        let shared = |a: &Item, b: &[String]| a.categories.iter().filter(|genre| b.contains(genre)).count() as f32;
        let weight = |(index, film): (usize, &Item)| {
            let before = seen.last().map_or(0.0, |last| shared(film, &films[*last].categories));
            let fame = 1.0 / (1.0 + (index * 29 % films.len()) as f32 / 8.0);
            if seen.contains(&index) { 0.0 } else { (0.15 + 2.0 * shared(film, &tastes) + before) * fame }
        };
        let weights: Vec<f32> = films.iter().enumerate().map(weight).collect();
        let item = drawn(&weights, &mut random);
        let liked = shared(&films[item], &tastes) > 0.0;
        let value = if liked { 4 + random.below(2) } else { 2 + random.below(3) } as f32;
        time += 3_600 + i64::from(random.below(90_000));
        events.push(Event { user, item: item as u32, kind: EventKind::Rating, value, time });
        seen.push(item);
    }
    events
}

/// An index drawn as likely as it weighs.
fn drawn(weights: &[f32], random: &mut Philox) -> usize {
    let mut left = random.uniform() * weights.iter().sum::<f32>();
    let at = weights.iter().position(|weight| {
        left -= weight;
        left < 0.0
    });
    at.unwrap_or_else(|| weights.iter().rposition(|weight| *weight > 0.0).unwrap_or(0))
}
