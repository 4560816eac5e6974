//! Recommenders on disk: an `.npz` archive of tensors, one of which holds the version, the kind, the names and the titles as
//! JSON.
//!
//! Nothing in a file is run, and no length, index or number is believed before it was checked.

use std::path::Path;

use footlight::tensor::{Data, Tensor, npz};
use footlight::{Error, ErrorKind, Result, write_atomically_with};
use serde_json::{Value as Json, json};

use super::data::{Event, EventKind, Interactions, Item, Names};
use super::models::{Fitted, Kind, Settings, Tensors};
use super::recommender::Recommender;

/// The version of the format that is written, and the only one that is read.
const VERSION: u64 = 1;
const ABOUT: &str = "about";
const EVENTS: [&str; 5] = ["events/user", "events/item", "events/kind", "events/value", "events/time"];

impl Recommender {
    /// Writes model, names, titles and events; the file is there whole or not at all.
    ///
    /// # Errors
    /// `ErrorKind::File` with the path when it cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let mut tensors = Vec::new();
        let model = describe(&self.model, "model/", &mut tensors);
        let about = json!({
            "footlight_recommender": VERSION,
            "model": model,
            "users": self.data.users.iter().collect::<Vec<_>>(),
            "items": self.data.items.iter().collect::<Vec<_>>(),
            "titles": self.data.catalogue.iter().map(|item| item.title.as_str()).collect::<Vec<_>>(),
            "categories": self.data.catalogue.iter().map(|item| item.categories.clone()).collect::<Vec<_>>(),
        });
        tensors.push((ABOUT.to_string(), vector(about.to_string().into_bytes())));
        let events: Vec<&Event> = self.data.events().collect();
        let columns = [
            vector(events.iter().map(|event| event.user as i32).collect::<Vec<_>>()),
            vector(events.iter().map(|event| event.item as i32).collect::<Vec<_>>()),
            vector(events.iter().map(|event| event.kind as u8).collect::<Vec<_>>()),
            vector(events.iter().map(|event| event.value).collect::<Vec<_>>()),
            vector(events.iter().map(|event| event.time).collect::<Vec<_>>()),
        ];
        tensors.extend(EVENTS.map(str::to_string).into_iter().zip(columns));
        let tensors = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor));
        Ok(write_atomically_with(path, |file| npz::write_stream(tensors, file))?)
    }

    /// Opens what [`Recommender::save`] wrote.
    ///
    /// # Errors
    /// `ErrorKind::File` with the path: a file that cannot be read, is damaged, is none of a recommender, or of another
    /// version.
    pub fn load(path: impl AsRef<Path>) -> Result<Recommender> {
        let path = path.as_ref();
        let unreadable = |error| Error::new(ErrorKind::File, format!("cannot read it: {error}"));
        let bytes = std::fs::read(path).map_err(unreadable);
        bytes.and_then(|bytes| read(&bytes)).map_err(|error| error.at(format!("`{}`", path.display())))
    }
}

fn vector(data: impl Into<Data>) -> Tensor {
    let data = data.into();
    Tensor::new([data.len()], data).expect("a vector has as many elements as it has")
}

/// Kind, settings and members of a model; its tensors are put behind the others.
fn describe(model: &Fitted, prefix: &str, tensors: &mut Vec<(String, Tensor)>) -> Json {
    tensors.extend(model.tensors().into_iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor)));
    let member = |(index, (weight, member)): (usize, &(f32, Fitted))| {
        let mut described = describe(member, &format!("{prefix}{index}/"), tensors);
        described["weight"] = (*weight).into();
        described
    };
    let members: Vec<Json> = model.members().iter().enumerate().map(member).collect();
    json!({ "kind": model.kind().name(), "settings": model.settings().to_json(), "members": members })
}

fn fault(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::File, message)
}

fn read(bytes: &[u8]) -> Result<Recommender> {
    let none = |error: footlight::tensor::Error| {
        Error::from(error).help("it has to be one that `footlight recommend train` wrote")
    };
    let mut tensors = Tensors { all: npz::read(bytes).map_err(none)?.into_iter().collect(), ..Tensors::default() };
    let about: Json = match tensors.all.remove(ABOUT).map(Tensor::into_data) {
        Some(Data::U8(text)) => serde_json::from_slice(&text).map_err(|error| fault(format!("`{ABOUT}`: {error}")))?,
        _ => return Err(fault("it is no recommender").help("it has to be one that `footlight recommend train` wrote")),
    };
    match about["footlight_recommender"].as_u64() {
        Some(VERSION) => {}
        Some(other) => {
            let message = format!("it has version {other} of the format, this program reads version {VERSION}");
            return Err(fault(message).help("train it again, or use the program that wrote it"));
        }
        None => return Err(fault("it says no version")),
    }
    let data = interactions(&about, &mut tensors)?;
    let model = model(&about["model"], "model/", data.items.len(), &mut tensors)?;
    Ok(Recommender::new(model, data))
}

fn model(about: &Json, prefix: &str, items: usize, tensors: &mut Tensors) -> Result<Fitted> {
    let kind = about["kind"].as_str().ok_or_else(|| fault("the model has no kind"))?;
    let kind = Kind::from_name(kind).map_err(|error| fault(error.message()))?;
    let settings = Settings::from_json(&about["settings"]).ok_or_else(|| fault("the settings are no numbers"))?;
    settings.check(kind).map_err(|error| fault(error.message()))?;
    let mut own = Tensors::default();
    let members = about["members"].as_array().filter(|_| kind == Kind::Blend);
    for (index, about) in members.into_iter().flatten().enumerate() {
        if about["kind"] == Kind::Blend.name() {
            return Err(fault("a blend is made of a blend"));
        }
        let weight = about["weight"].as_f64().ok_or_else(|| fault("a member of a blend has no weight"))?;
        own.members.push((weight as f32, model(about, &format!("{prefix}{index}/"), items, tensors)?));
    }
    let names: Vec<String> = tensors.all.keys().filter(|name| name.starts_with(prefix)).cloned().collect();
    for name in names {
        let tensor = tensors.all.remove(&name).expect("it was listed");
        own.all.insert(name[prefix.len()..].to_string(), tensor);
    }
    Fitted::load(kind, settings, items, &mut own)
}

fn texts(about: &Json, key: &str) -> Result<Vec<String>> {
    let texts = about[key].as_array().and_then(|all| all.iter().map(|text| Some(text.as_str()?.to_string())).collect());
    texts.ok_or_else(|| fault(format!("`{key}` is no list of texts")))
}

fn names(about: &Json, key: &str) -> Result<Names> {
    let texts = texts(about, key)?;
    let names = Names::from_iter(texts.iter().map(String::as_str));
    if names.len() < texts.len() {
        return Err(fault(format!("`{key}` holds a name twice")));
    }
    Ok(names)
}

fn interactions(about: &Json, tensors: &mut Tensors) -> Result<Interactions> {
    let (users, items) = (names(about, "users")?, names(about, "items")?);
    let titles = texts(about, "titles")?;
    let categories = about["categories"].as_array().ok_or_else(|| fault("`categories` is no list"))?;
    if titles.len() != items.len() || categories.len() != items.len() {
        return Err(fault(format!(
            "{} items have {} titles and {} categories",
            items.len(),
            titles.len(),
            categories.len()
        )));
    }
    let item = |(title, categories): (String, &Json)| {
        let categories = categories.as_array().into_iter().flatten().filter_map(Json::as_str).map(str::to_string);
        Item { title, categories: categories.collect() }
    };
    let catalogue = titles.into_iter().zip(categories).map(item).collect();
    let user = tensors.indices(EVENTS[0], &[0], users.len())?;
    let count = [user.len()];
    let item = tensors.indices(EVENTS[1], &count, items.len())?;
    let value = tensors.floats(EVENTS[3], &count)?;
    let (kind, time) = (tensors.take(EVENTS[2], &count)?.into_data(), tensors.take(EVENTS[4], &count)?.into_data());
    let (Data::U8(kind), Data::I64(time)) = (kind, time) else { return Err(fault("kinds or times have another type")) };
    let event = |index: usize| {
        let kind = EventKind::from_index(kind[index].into()).ok_or_else(|| fault("an event is of no known kind"))?;
        Ok(Event { user: user[index] as u32, item: item[index] as u32, kind, value: value[index], time: time[index] })
    };
    let events = (0..user.len()).map(event).collect::<Result<_>>()?;
    Ok(Interactions::new(users, items, catalogue, events))
}
