//! A tree of named tensors: the part of HDF5 that a model file needs.

use std::collections::BTreeMap;

use footlight_tensor::Tensor;

/// A group: an optional name and entries by key, in the order of their keys.
///
/// Of all attributes only `name` is kept, because Keras writes no other one on a group.
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
    /// The string attribute `name`: what the layer is called.
    pub name: Option<String>,
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
