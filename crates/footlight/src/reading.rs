//! How the texts that a model reads become numbers, and what the classes that it answers are called: what travels with a
//! model beside what Keras knows of it.

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
        let text = Some(&json["text"]).filter(|text| !text.is_null());
        let classes = json["classes"].as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(Reading {
            text: text.map(TextVectorization::from_config).transpose()?,
            classes: classes.iter().filter_map(Json::as_str).map(str::to_string).collect(),
        })
    }
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
