//! The formats in which events and items come.
//!
//! | files | events | items |
//! |---|---|---|
//! | MovieLens 100K | `u.data`: user, item, rating, time with tabs | `u.item`, `u.genre` |
//! | MovieLens 1M, 10M | `ratings.dat`: the same with `::` | `movies.dat` |
//! | MovieLens 20M and later | `ratings.csv` with named columns | `movies.csv` |
//! | RecBole | `NAME.inter`, whose columns are named with their types | `NAME.item` |
//! | tables | any `.csv`, `.tsv` or `.jsonl` with named columns | `items.csv`, `items.tsv`, `items.jsonl` |
//!
//! A set is a folder with such files, the `.zip` or `.tar.xz` it was published as, or one file of events.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use footlight::{Error, ErrorKind, Result, nn::suggest};
use serde_json::Value as Json;

use super::archive::{File, files};
use super::{Event, EventKind, Interactions, Item, NamedEvent, Names, Reading, time};

/// No name is longer.
const LONGEST_NAME: usize = 512;

/// What the columns of a table are called; where nothing is said, the usual names are looked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Columns {
    /// The user: `user`, `user_id`, `userId`.
    pub user: Option<String>,
    /// The item: `item`, `item_id`, `itemId`, `movieId`.
    pub item: Option<String>,
    /// How much: `value`, `rating`; may be missing.
    pub value: Option<String>,
    /// When, as seconds or milliseconds since 1970, a date, or a time by RFC 3339: `time`, `timestamp`; may be missing.
    pub time: Option<String>,
    /// What was done: `kind`, `event`, `event_type`; may be missing.
    pub kind: Option<String>,
}

impl Columns {
    /// The name that was given and the usual ones, for each column.
    fn wanted(&self) -> [(&'static str, Option<&str>, &'static [&'static str]); 5] {
        [
            ("user", self.user.as_deref(), &["user", "user_id", "userid"]),
            ("item", self.item.as_deref(), &["item", "item_id", "itemid", "movieid", "movie_id"]),
            ("value", self.value.as_deref(), &["value", "rating"]),
            ("time", self.time.as_deref(), &["time", "timestamp"]),
            ("kind", self.kind.as_deref(), &["kind", "event", "event_type", "feedbacktype"]),
        ]
    }

    /// The position of each column among `names`.
    fn find(&self, names: &[&str]) -> Result<[Option<usize>; 5]> {
        let mut found = [None; 5];
        for (place, (what, given, usual)) in found.iter_mut().zip(self.wanted()) {
            *place = match given {
                Some(given) => names.iter().position(|name| *name == given),
                None => names.iter().position(|name| usual.contains(&name.to_lowercase().as_str())),
            };
            if place.is_none() && (given.is_some() || ["user", "item"].contains(&what)) {
                let unknown = suggest::unknown("column", given.unwrap_or(what), names);
                return Err(unknown
                    .help(format!("say which column holds the {what}, such as --{what}-column NAME"))
                    .into());
            }
        }
        Ok(found)
    }
}

/// Events and items at `path`.
///
/// # Errors
/// `ErrorKind::File` for what cannot be read, `ErrorKind::Config` for columns that are not there, `ErrorKind::Data` where
/// no event could be read. Malformed lines are no error; they are in the [`Reading`].
pub fn open(path: &Path, columns: &Columns) -> Result<(Interactions, Reading)> {
    let place = |error: Error| error.at(format!("`{}`", path.display()));
    let files = files(path, &|name| is_events(name) || is_items(name) || name == "u.genre")?;
    let is_single = !path.is_dir() && files.len() == 1;
    let events = files.iter().find(|file| is_events(&file.name) || is_single).ok_or_else(|| {
        let message =
            "no events were found: none of u.data, ratings.dat, ratings.csv, *.inter, events.csv, events.jsonl";
        place(Error::new(ErrorKind::File, message).help("name the file itself if it is called otherwise"))
    })?;
    let mut reading = Reading::default();
    let named = read_events(events, columns, &mut reading).map_err(place)?;
    reading.check().map_err(place)?;
    let items = files.iter().find(|file| is_items(&file.name) && !std::ptr::eq(*file, events));
    let genres = files.iter().find(|file| file.name == "u.genre").map(genres).unwrap_or_default();
    let known = items.map(|file| read_items(file, &genres, &mut reading)).unwrap_or_default();
    Ok((index(named, known), reading))
}

/// The events in a file, such as what came in since a model was trained.
///
/// # Errors
/// As [`open`].
pub fn open_events(path: &Path, columns: &Columns) -> Result<(Vec<NamedEvent>, Reading)> {
    let place = |error: Error| error.at(format!("`{}`", path.display()));
    if path.is_dir() {
        return Err(place(Error::new(ErrorKind::File, "it is a folder, a file of events is needed")));
    }
    let (all, mut reading) = (files(path, &is_events)?, Reading::default());
    let file = all.first().ok_or_else(|| place(Error::new(ErrorKind::File, "it holds no events")))?;
    let named = read_events(file, columns, &mut reading).map_err(place)?;
    reading.check().map_err(place)?;
    Ok((named, reading))
}

fn is_events(name: &str) -> bool {
    ["u.data", "ratings.dat", "ratings.csv", "events.csv", "events.tsv", "events.jsonl"].contains(&name)
        || name.ends_with(".inter")
}

fn is_items(name: &str) -> bool {
    ["u.item", "movies.dat", "movies.csv", "items.csv", "items.tsv", "items.jsonl"].contains(&name)
        || name.ends_with(".item")
}

/// A text in UTF-8, or else in Latin-1, as MovieLens' older files are.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect::<String>().into(),
    }
}

/// How the cells of a line are told apart.
enum Cells {
    Separated(&'static str),
    Quoted(u8),
    Json,
}

fn cells_of(name: &str, text: &str) -> Cells {
    let first = text.lines().next().unwrap_or_default();
    match name.rsplit('.').next() {
        Some("dat") => Cells::Separated("::"),
        Some("data" | "inter") if !first.contains("::") => Cells::Separated("\t"),
        Some("item") if name == "u.item" => Cells::Separated("|"),
        Some("item") => Cells::Separated("\t"),
        Some("jsonl" | "ndjson") => Cells::Json,
        _ if first.contains("::") => Cells::Separated("::"),
        _ => {
            Cells::Quoted(*[b'\t', b';', b','].iter().find(|mark| first.contains(char::from(**mark))).unwrap_or(&b','))
        }
    }
}

/// A cell as a text; null is an empty one.
fn json_text(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Null => String::new(),
        Json::Array(values) => values.iter().map(json_text).collect::<Vec<_>>().join("|"),
        other => other.to_string(),
    }
}

/// The positions of the cells that are wanted, in the order in which they are.
type Picks = Vec<Option<usize>>;

/// Calls `each` with the cells of each row that `names` picks, by the names in the first line if there are any; what is no
/// row of this format is passed over.
fn rows(
    file: &File,
    reading: &mut Reading,
    names: &mut dyn FnMut(Option<&[&str]>) -> Result<Picks>,
    each: &mut dyn FnMut(&[&str]) -> Result<(), String>,
) -> Result<()> {
    let text = text(&file.bytes);
    let has_header = !matches!(file.name.as_str(), "u.data" | "u.item") && !file.name.ends_with(".dat");
    let pick = |cells: &[&str], order: &[Option<usize>], each: &mut dyn FnMut(&[&str]) -> Result<(), String>| {
        let last = order.iter().flatten().take(2).max().copied().unwrap_or(0);
        if cells.len() <= last {
            return Err(format!("expected {} cells, got {}", last + 1, cells.len()));
        }
        let picked: Vec<&str> =
            order.iter().map(|at| at.and_then(|at| cells.get(at)).map_or("", |cell| cell.trim())).collect();
        each(&picked)
    };
    match cells_of(&file.name, &text) {
        Cells::Separated(mark) => {
            let mut lines = text.lines().enumerate();
            let order = match has_header {
                true => {
                    let header = lines.next().map_or("", |(_, line)| line);
                    // RecBole writes the type of a column behind its name.
                    let header: Vec<&str> =
                        header.split(mark).map(|name| name.split(':').next().unwrap_or(name)).collect();
                    names(Some(&header))?
                }
                false => names(None)?,
            };
            for (number, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
                let cells: Vec<&str> = line.split(mark).collect();
                if let Err(fault) = pick(&cells, &order, each) {
                    reading.pass_over(&file.name, number + 1, line, fault);
                }
            }
        }
        Cells::Quoted(mark) => {
            let mut reader = csv::ReaderBuilder::new().delimiter(mark).flexible(true).from_reader(text.as_bytes());
            let header = reader.headers().map_err(|error| Error::new(ErrorKind::File, error.to_string()))?.clone();
            let order = names(Some(&header.iter().map(str::trim).collect::<Vec<_>>()))?;
            for record in reader.records() {
                let record = record.map_err(|error| Error::new(ErrorKind::File, error.to_string()))?;
                let cells: Vec<&str> = record.iter().collect();
                if let Err(fault) = pick(&cells, &order, each) {
                    let line = record.position().map_or(0, |position| position.line() as usize);
                    reading.pass_over(&file.name, line, &cells.join(","), fault);
                }
            }
        }
        Cells::Json => {
            for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
                let row = match serde_json::from_str::<Json>(line) {
                    Ok(Json::Object(object)) => {
                        let keys: Vec<&str> = object.keys().map(String::as_str).collect();
                        let cells: Vec<String> = object.values().map(json_text).collect();
                        let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
                        let order = names(Some(&keys)).map_err(|error| first_line(error.message()));
                        order.and_then(|order| pick(&cells, &order, each))
                    }
                    Ok(_) => Err("expected an object".into()),
                    Err(error) => Err(format!("it is no JSON: {error}")),
                };
                if let Err(fault) = row {
                    reading.pass_over(&file.name, number + 1, line, fault);
                }
            }
        }
    }
    Ok(())
}

fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().to_string()
}

fn read_events(file: &File, columns: &Columns, reading: &mut Reading) -> Result<Vec<NamedEvent>> {
    let mut events = Vec::new();
    let mut names = |header: Option<&[&str]>| match header {
        Some(header) => Ok(columns.find(header)?.to_vec()),
        None => Ok(vec![Some(0), Some(1), Some(2), Some(3), None]),
    };
    rows(file, reading, &mut names, &mut |cells| {
        events.push(event_of(cells)?);
        Ok(())
    })?;
    reading.events = events.len();
    Ok(events)
}

/// An event from the cells of user, item, value, time and kind.
fn event_of(cells: &[&str]) -> Result<NamedEvent, String> {
    let [user, item, value, time, kind] = cells else { unreachable!("five columns are picked") };
    for (what, name) in [("user", user), ("item", item)] {
        if name.is_empty() {
            return Err(format!("the {what} is empty"));
        }
        if name.len() > LONGEST_NAME {
            return Err(format!("the {what} has more than {LONGEST_NAME} bytes"));
        }
    }
    let kind = match (*kind, *value) {
        ("", "") => EventKind::Play,
        ("", _) => EventKind::Rating,
        (kind, _) => EventKind::from_name(&kind.to_lowercase())
            .ok_or_else(|| format!("the kind is none of {}", EventKind::NAMES.join(", ")))?,
    };
    let value = match value.parse::<f32>() {
        Ok(value) if value.is_finite() => value,
        _ if value.is_empty() => 1.0,
        _ => return Err("the value is no number".into()),
    };
    let no_time = || "the time is neither seconds since 1970 nor such as 2026-11-26T12:00:00Z".to_string();
    let time = if time.is_empty() { 0 } else { time::of_text(time).ok_or_else(no_time)? };
    Ok(NamedEvent { user: (*user).into(), item: (*item).into(), kind, value, time })
}

/// What is known of each item, by its name.
fn read_items(file: &File, genres: &[String], reading: &mut Reading) -> HashMap<String, Item> {
    let mut known = HashMap::new();
    let is_hundred = file.name == "u.item";
    let mut names = |header: Option<&[&str]>| {
        let Some(header) = header else {
            return Ok(if is_hundred { (0..24).map(Some).collect() } else { vec![Some(0), Some(1), Some(2)] });
        };
        let find = |usual: &[&str]| header.iter().position(|name| usual.contains(&name.to_lowercase().as_str()));
        let id = find(&["item", "item_id", "itemid", "movieid", "movie_id", "id"]).or(Some(0));
        let title = find(&["title", "movie_title", "name"]);
        Ok(vec![id, title, find(&["genres", "genre", "categories", "category", "class"])])
    };
    let mut added = Reading::default();
    let result = rows(file, &mut added, &mut names, &mut |cells| {
        let categories = match is_hundred {
            true => {
                cells[5..].iter().zip(genres).filter(|(flag, _)| **flag == "1").map(|(_, name)| name.clone()).collect()
            }
            false => categories(cells[2], file.name.ends_with(".item")),
        };
        if known.insert(cells[0].to_string(), Item { title: cells[1].into(), categories }).is_some() {
            return Err("the item is there twice, the last one counts".into());
        }
        Ok(())
    });
    if let Err(error) = result {
        added.pass_over(&file.name, 1, "", first_line(error.message()));
    }
    reading.malformed += added.malformed;
    reading.shown.append(&mut added.shown);
    known
}

fn categories(cell: &str, by_space: bool) -> Vec<String> {
    let mark = if by_space && !cell.contains('|') { ' ' } else { '|' };
    let names = cell.split(mark).map(str::trim).filter(|name| !name.is_empty() && *name != "(no genres listed)");
    names.map(str::to_string).collect()
}

/// The names of genres in the order of their flags.
fn genres(file: &File) -> Vec<String> {
    text(&file.bytes).lines().filter_map(|line| line.split_once('|')).map(|(name, _)| name.to_string()).collect()
}

fn index(named: Vec<NamedEvent>, mut known: HashMap<String, Item>) -> Interactions {
    let (mut users, mut items) = (Names::default(), Names::default());
    let indexed = named.into_iter().map(|NamedEvent { user, item, kind, value, time }| Event {
        user: users.add(&user),
        item: items.add(&item),
        kind,
        value,
        time,
    });
    let events: Vec<Event> = indexed.collect();
    let catalogue = items.iter().map(|name| known.remove(name).unwrap_or_default()).collect();
    Interactions::new(users, items, catalogue, events)
}
