//! How the texts that a model reads become numbers, and what the classes that it answers are called: what travels with a
//! model beside what Keras knows of it.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::data::{Samples, TextVectorization};
use crate::{Error, ErrorKind, Model, Result};

/// What a model's inputs and outputs stand for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reading {
    pub text: Option<TextVectorization>,
    pub classes: Vec<String>,
}

impl Reading {
    /// As a model's file holds it; nothing if there is nothing to say.
    pub fn to_json(&self) -> Vec<u8> {
        if self.text.is_none() && self.classes.is_empty() {
            return Vec::new();
        }
        let text = self.text.as_ref().map(TextVectorization::to_config);
        serde_json::json!({ "text": text, "classes": self.classes }).to_string().into_bytes()
    }

    /// What [`Reading::to_json`] wrote. Texts are read as texts and all else only where it is known, so that a file takes
    /// little more memory than it has bytes.
    ///
    /// # Errors
    /// `ErrorKind::File` for anything else.
    pub fn from_json(bytes: &[u8]) -> Result<Reading> {
        if bytes.is_empty() {
            return Ok(Reading::default());
        }
        let damaged = |error| Error::new(ErrorKind::File, format!("its {} bytes: {error}", bytes.len()));
        let mut members: Members<'_> = serde_json::from_slice(bytes).map_err(damaged)?;
        let text: Option<Members<'_>> = taken(&mut members, "text", serde_json::from_str)?;
        let text = text.map(TextVectorization::from_members).transpose()?;
        let classes = taken(&mut members, "classes", serde_json::from_str)?.unwrap_or_default();
        finish(members)?;
        Ok(Reading { text, classes })
    }
}

/// The members of an object, unread.
pub(crate) type Members<'a> = BTreeMap<String, &'a RawValue>;

/// Takes a member out, as `read` reads it; nothing where it is missing or null.
pub(crate) fn taken<'a, T>(
    members: &mut Members<'a>,
    key: &str,
    read: impl FnOnce(&'a str) -> serde_json::Result<Option<T>>,
) -> Result<Option<T>> {
    let Some(value) = members.remove(key) else { return Ok(None) };
    read(value.get()).map_err(|error| Error::new(ErrorKind::File, format!("`{key}`: {error}")))
}

/// Complains of members that nobody took.
pub(crate) fn finish(members: Members<'_>) -> Result<()> {
    match members.keys().next() {
        Some(key) => Err(Error::new(ErrorKind::File, format!("`{}` is not known", footlight_nn::suggest::shown(key)))),
        None => Ok(()),
    }
}

/// Whether these are the probabilities of classes: more than one number, all from 0 to 1, of sum 1.
///
/// # Examples
/// ```
/// assert!(footlight::is_distribution(&[0.25, 0.75]) && !footlight::is_distribution(&[1.0]));
/// ```
pub fn is_distribution(answer: &[f32]) -> bool {
    answer.len() > 1
        && answer.iter().all(|p| (0.0..=1.0).contains(p))
        && (answer.iter().sum::<f32>() - 1.0).abs() < 1e-3
}

impl Model {
    /// How the texts that it reads become numbers, if it reads texts.
    pub fn text(&self) -> Option<&TextVectorization> {
        self.reading.text.as_ref()
    }

    /// Says how the texts that it reads become numbers; files of the model hold it, and Keras passes it over.
    pub fn set_text(&mut self, text: Option<TextVectorization>) {
        self.reading.text = text;
    }

    /// What the classes that it answers are called, if they have names.
    pub fn classes(&self) -> &[String] {
        &self.reading.classes
    }

    /// Says what the classes that it answers are called; files of the model hold it, and Keras passes it over.
    pub fn set_classes(&mut self, classes: impl IntoIterator<Item = impl Into<String>>) {
        self.reading.classes = classes.into_iter().map(Into::into).collect();
    }

    /// Texts as the numbers that it reads, `[N, T]`.
    ///
    /// # Errors
    /// A model without a vocabulary, see [`Model::set_text`].
    ///
    /// # Examples
    /// ```
    /// use footlight::data::TextVectorization;
    /// use footlight::prelude::*;
    /// let mut words = TextVectorization::new().output_sequence_length(3);
    /// words.adapt(["good film", "bad film"])?;
    /// let mut model = Sequential::new(layers![Embedding::new(5, 2).input_shape([3]), Flatten::new(), Dense::new(1)])?;
    /// model.set_text(Some(words));
    /// let x = model.read_texts(["a good film"])?;
    /// assert_eq!(x.to_tensor().to_f32(), [1.0, 3.0, 2.0]);
    /// assert_eq!(model.predict(&x)?.shape(), [1, 1]);
    /// # Ok::<(), footlight::Error>(())
    /// ```
    pub fn read_texts<T: AsRef<str>>(&self, texts: impl IntoIterator<Item = T>) -> Result<Samples> {
        Ok(self.vocabulary()?.call(texts)?.into())
    }

    pub(crate) fn vocabulary(&self) -> Result<&TextVectorization> {
        self.text().ok_or_else(|| {
            Error::new(ErrorKind::Config, "the model has no vocabulary, so it reads no texts")
                .help("train it on texts with Footlight, which keeps the vocabulary in the model's file")
        })
    }
}
