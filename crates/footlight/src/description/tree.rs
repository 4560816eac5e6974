//! What a description says, value by value, each with the place it was written at.

use footlight_nn::Config;
use serde_json::{Value as Json, json};
use toml::de::{DeTable, DeValue};

/// Where a value was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// A line of the file, counted from 1.
    Line(usize),
    /// One of the settings given beside the file, counted from 0.
    Setting(usize),
}

/// A value and its place; that of a key's value is where the key stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub place: Place,
    pub item: Item,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Item {
    Table(Vec<(String, Node)>),
    List(Vec<Node>),
    Plain(Json),
}

/// The key that says which class a table describes.
pub(super) const CLASS: &str = "class";

/// Reads a text of TOML, as far as it can be; faults come with their lines.
pub(super) fn parse(text: &str) -> (Node, Vec<(Place, String)>) {
    let ends: Vec<usize> = text.match_indices('\n').map(|(end, _)| end).collect();
    let line = |at: usize| Place::Line(ends.partition_point(|end| *end < at) + 1);
    let (table, errors) = DeTable::parse_recoverable(text);
    let fault = |error: toml::de::Error| (line(error.span().map_or(0, |span| span.start)), error.message().to_string());
    let root = Node { place: Place::Line(1), item: Item::Table(entries(table.get_ref(), &line)) };
    (root, errors.into_iter().map(fault).collect())
}

fn entries(table: &DeTable<'_>, line: &impl Fn(usize) -> Place) -> Vec<(String, Node)> {
    let entry = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
        let name: &std::borrow::Cow<'_, str> = key.get_ref();
        (name.to_string(), Node { place: line(key.span().start), item: item(value.get_ref(), line) })
    };
    table.iter().map(entry).collect()
}

fn item(value: &DeValue<'_>, line: &impl Fn(usize) -> Place) -> Item {
    match value {
        DeValue::Table(table) => Item::Table(entries(table, line)),
        DeValue::Array(list) => Item::List(
            list.iter().map(|v| Node { place: line(v.span().start), item: item(v.get_ref(), line) }).collect(),
        ),
        DeValue::String(text) => Item::Plain(json!(text)),
        DeValue::Boolean(flag) => Item::Plain(json!(flag)),
        DeValue::Integer(digits) => Item::Plain(match i64::from_str_radix(digits.as_str(), digits.radix()) {
            Ok(number) => json!(number),
            Err(_) => json!(digits.as_str()),
        }),
        DeValue::Float(digits) => Item::Plain(match digits.as_str().parse::<f64>() {
            Ok(number) if number.is_finite() => json!(number),
            _ => json!(digits.as_str()),
        }),
        DeValue::Datetime(time) => Item::Plain(json!(time.to_string())),
    }
}

/// Key and value of a setting such as `fit.epochs=3`; a value that is no TOML is a text.
pub(super) fn setting(text: &str, index: usize) -> Option<(Vec<&str>, Node)> {
    let (path, value) = text.split_once('=')?;
    let place = Place::Setting(index);
    let item = match DeValue::parse(value.trim()) {
        Ok(value) => item(value.get_ref(), &|_| place),
        Err(_) => Item::Plain(json!(value.trim())),
    };
    Some((path.trim().split('.').collect(), Node { place, item }))
}

impl Node {
    /// An empty table.
    pub fn table(place: Place) -> Node {
        Node { place, item: Item::Table(Vec::new()) }
    }

    /// The keys and values of a table.
    pub fn entries(&self) -> impl Iterator<Item = &(String, Node)> {
        match &self.item {
            Item::Table(entries) => entries.iter(),
            _ => [].iter(),
        }
    }

    /// The same without some keys of a table.
    pub fn without(&self, keys: &[&str]) -> Node {
        let mut node = self.clone();
        if let Item::Table(entries) = &mut node.item {
            entries.retain(|(key, _)| !keys.contains(&key.as_str()));
        }
        node
    }

    /// A text.
    pub fn text(&self) -> Option<&str> {
        match &self.item {
            Item::Plain(Json::String(text)) => Some(text),
            _ => None,
        }
    }

    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.item {
            Item::Table(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, node)| node),
            _ => None,
        }
    }

    /// Puts `value` where `path` leads, making the tables on its way; items of lists are counted from 0.
    ///
    /// Answers the step that leads nowhere, if one does.
    pub fn set<'p>(&mut self, path: &[&'p str], value: Node) -> Result<(), &'p str> {
        let [step, rest @ ..] = path else {
            *self = value;
            return Ok(());
        };
        let below = match &mut self.item {
            Item::List(list) => step.parse().ok().and_then(|index: usize| list.get_mut(index)).ok_or(*step)?,
            Item::Plain(_) => return Err(step),
            Item::Table(entries) => {
                if !entries.iter().any(|(name, _)| name == step) {
                    entries.push((step.to_string(), Node::table(value.place)));
                }
                let found = entries.iter_mut().find(|(name, _)| name == step);
                found.map(|(_, node)| node).ok_or(*step)?
            }
        };
        below.set(rest, value)
    }

    /// The place of a key, whose parts are divided by dots; of a table with a class that of its class.
    pub fn place_of(&self, path: Option<&str>) -> Place {
        let mut steps = path.into_iter().flat_map(|path| path.split('.'));
        let node = steps.try_fold(self, |node, step| node.get(step)).unwrap_or(self);
        node.get(CLASS).unwrap_or(node).place
    }

    /// As the configurations of a model's file say it: a table with a class is an object of that class.
    pub fn to_json(&self) -> Json {
        let entries = match &self.item {
            Item::Plain(value) => return value.clone(),
            Item::List(list) => return list.iter().map(Node::to_json).collect(),
            Item::Table(entries) => entries,
        };
        let others = entries.iter().filter(|(key, _)| key != CLASS);
        let config: Config = others.map(|(key, node)| (key.clone(), node.to_json())).collect();
        match self.get(CLASS) {
            Some(class) => json!({ "class_name": class.to_json(), "config": config }),
            None => Json::Object(config),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_remember_their_lines_and_tables_with_a_class_are_objects() {
        let (root, faults) =
            parse("[model]\nlayers = [\n  { class = \"Dense\",\n    units = 0x10 },\n]\n\n[fit]\nx = 1.5\n");
        assert_eq!(faults, []);
        let Item::List(layers) = &root.get("model").unwrap().get("layers").unwrap().item else { panic!() };
        assert_eq!(layers[0].to_json(), json!({ "class_name": "Dense", "config": { "units": 16 } }));
        assert_eq!(layers[0].place_of(Some("units")), Place::Line(4));
        assert_eq!(layers[0].place_of(None), Place::Line(3));
        assert_eq!(root.place_of(Some("fit.x")), Place::Line(8));
    }

    #[test]
    fn settings_reach_tables_and_lists_and_make_what_is_missing() {
        let (mut root, _) = parse("[model]\nlayers = [{ units = 1 }]\n");
        let mut set = |text: &'static str| {
            let (path, value) = setting(text, 0).unwrap();
            root.set(&path, value)
        };
        for text in ["fit.epochs=3", "compile.loss=mse", "model.layers.0.units = 7", "a.b=[1, 2]"] {
            set(text).unwrap();
        }
        assert_eq!(set("model.layers.4.units=1"), Err("4"));
        assert_eq!(set("compile.loss.x=1"), Err("x"));
        let want = json!({ "model": { "layers": [{ "units": 7 }] }, "fit": { "epochs": 3 },
            "compile": { "loss": "mse" }, "a": { "b": [1, 2] } });
        assert_eq!(root.to_json(), want);
        assert!(setting("fit.epochs", 0).is_none());
    }

    #[test]
    fn texts_made_to_take_long_are_read_in_good_time() {
        let deep = [
            format!("{} = 1", vec!["a"; 500_000].join(".")),
            format!("[{}]", vec!["a"; 500_000].join(".")),
            format!("a = {}", "[".repeat(1_000_000)),
            format!("a = {}", "{ a = ".repeat(200_000)),
        ];
        for text in &deep {
            parse(text);
        }
        let wide = (0..200_000).map(|i| format!("k{i} = 1\n")).collect::<String>();
        let (root, faults) = parse(&wide);
        assert_eq!((root.place_of(Some("k199999")), faults.len()), (Place::Line(200_000), 0));
    }

    #[test]
    fn faults_of_the_text_come_with_their_lines() {
        let (_, faults) = parse("[fit]\nepochs = \n");
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert_eq!(faults[0].0, Place::Line(2));
    }
}
