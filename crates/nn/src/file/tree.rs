//! A tree of named tensors: the part of HDF5 that a model file needs.

use std::collections::BTreeMap;

use footlight_tensor::Tensor;

/// A group: texts that describe it, and entries by key, in the order of their keys.
///
/// Attributes of other types are not kept, because Keras says all it has to say in texts.
///
/// # Examples
/// ```
/// use footlight_nn::file::Group;
/// use footlight_tensor::Tensor;
/// let mut root = Group::default();
/// root.group_mut("layers/dense/vars").unwrap().insert("0", Tensor::scalar(2.0));
/// assert_eq!(root.tensor("layers/dense/vars/0"), Some(&Tensor::scalar(2.0)));
/// assert_eq!(root.group("layers/flatten"), None);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Group {
    /// The attributes that are texts, such as the `name` of a layer; a single text is a list of one.
    pub attributes: BTreeMap<String, Vec<String>>,
    /// What lies in the group.
    pub entries: BTreeMap<String, Entry>,
}

/// What a key of a group leads to.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// A group below this one.
    Group(Group),
    /// A tensor.
    Dataset(Tensor),
}

impl Group {
    /// A group with the attribute `name`.
    pub fn named(name: impl Into<String>) -> Group {
        Group { attributes: BTreeMap::from([("name".into(), vec![name.into()])]), ..Group::default() }
    }

    /// The attribute `name`: what the layer is called.
    pub fn name(&self) -> Option<&str> {
        self.text("name")
    }

    /// The text of an attribute that is a single one.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.attributes.get(key)?.as_slice() {
            [text] => Some(text),
            _ => None,
        }
    }

    /// The texts of an attribute; a list too long for one goes on in `<key>0`, `<key>1` and so on.
    pub fn texts(&self, key: &str) -> Vec<&str> {
        let parts = (0..).map_while(|part| self.attributes.get(&format!("{key}{part}")));
        let whole = self.attributes.get(key);
        whole.into_iter().chain(parts.take_while(|_| whole.is_none())).flatten().map(String::as_str).collect()
    }

    /// The group at `path`, whose keys are separated by `/`; the empty path is this group.
    pub fn group(&self, path: &str) -> Option<&Group> {
        keys(path).try_fold(self, |group, key| match group.entries.get(key)? {
            Entry::Group(below) => Some(below),
            Entry::Dataset(_) => None,
        })
    }

    /// The group at `path`, made where it is missing; `None` where a tensor is in the way.
    pub fn group_mut(&mut self, path: &str) -> Option<&mut Group> {
        keys(path).try_fold(self, |group, key| {
            match group.entries.entry(key.to_owned()).or_insert_with(|| Entry::Group(Group::default())) {
                Entry::Group(below) => Some(below),
                Entry::Dataset(_) => None,
            }
        })
    }

    /// The tensor at `path`.
    pub fn tensor(&self, path: &str) -> Option<&Tensor> {
        let (above, key) = path.rsplit_once('/').unwrap_or(("", path));
        match self.group(above)?.entries.get(key)? {
            Entry::Dataset(tensor) => Some(tensor),
            Entry::Group(_) => None,
        }
    }

    /// Puts a tensor under `key`, in place of what was there.
    pub fn insert(&mut self, key: impl Into<String>, tensor: Tensor) {
        self.entries.insert(key.into(), Entry::Dataset(tensor));
    }
}

fn keys(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|key| !key.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_in_parts_is_one() {
        let mut group = Group::named("model");
        for (key, texts) in [("names0", &["a", "b"][..]), ("names1", &["c"]), ("names3", &["d"]), ("whole", &["e"])] {
            group.attributes.insert(key.into(), texts.iter().map(ToString::to_string).collect());
        }
        assert_eq!(group.texts("names"), ["a", "b", "c"]);
        assert_eq!(group.texts("whole"), ["e"]);
        assert_eq!((group.text("names0"), group.text("whole"), group.name()), (None, Some("e"), Some("model")));
        assert!(group.texts("none").is_empty());
    }

    #[test]
    fn a_tensor_is_not_walked_through() {
        let mut root = Group::default();
        root.insert("x", Tensor::scalar(1.0));
        assert!(root.group_mut("x/y").is_none());
        assert!(root.group("x").is_none());
        assert!(root.tensor("x/y").is_none());
        assert!(root.group_mut("a/b").is_some());
        assert!(root.tensor("a/b").is_none());
        assert_eq!(root.group(""), Some(&root));
    }
}
