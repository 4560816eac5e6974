//! How the texts that a model reads become numbers, and what the classes that it answers are called: what travels with a
//! model beside what Keras knows of it.

use footlight_nn::config::{Config, Reader};
use serde_json::{Value as Json, json};

use crate::data::{Samples, TextVectorization};
use crate::{Error, ErrorKind, Model, Result};

/// What a model's inputs and outputs stand for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reading {
    pub text: Option<TextVectorization>,
    pub classes: Vec<String>,
}

impl Reading {
    /// As a model's file holds it; null if there is nothing to say.
    pub fn to_json(&self) -> Json {
        match (&self.text, &self.classes[..]) {
            (None, []) => Json::Null,
            (text, classes) => json!({ "text": text.as_ref().map(TextVectorization::to_config), "classes": classes }),
        }
    }

    /// What [`Reading::to_json`] wrote.
    ///
    /// # Errors
    /// `ErrorKind::File` for anything else.
    pub fn from_json(json: &Json) -> Result<Reading> {
        let empty = Config::new();
        let mut reader = match json {
            Json::Null => Reader::new(&empty),
            Json::Object(config) => Reader::new(config),
            _ => return Err(Error::new(ErrorKind::File, "it is no object")),
        };
        let text = reader.get("text").map(TextVectorization::from_config).transpose()?;
        let classes = match reader.get("classes") {
            None => Vec::new(),
            Some(classes) => texts(classes)?,
        };
        reader.finish().map_err(|fault| Error::new(ErrorKind::File, fault.message()))?;
        Ok(Reading { text, classes })
    }
}

/// A list of texts.
fn texts(list: &Json) -> Result<Vec<String>> {
    let texts = list.as_array().and_then(|list| list.iter().map(|text| text.as_str().map(str::to_string)).collect());
    texts.ok_or_else(|| Error::new(ErrorKind::File, "`classes` is no list of texts"))
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
