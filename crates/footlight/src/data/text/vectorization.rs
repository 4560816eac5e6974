//! Texts as numbers and back, by Keras' rules.

use std::{borrow::Cow, collections::HashMap, fmt, sync::Arc};

use footlight_nn::config::{Config, Reader};
use footlight_nn::{Error as Fault, grouped, suggest};
use footlight_tensor::Tensor;
use serde_json::{Value as Json, json, value::RawValue};

use super::{End, Split, Standardize};
use crate::reading::{Members, finish, taken};
use crate::{Error, ErrorKind, Result};

/// Stands for nothing: sequences are filled up with it.
const PADDING: &str = "";
/// Stands for any token that is not in the vocabulary.
const UNKNOWN: &str = "[UNK]";
/// No sequence is as long.
const LONGEST: usize = 1 << 24;
const CLASS: &str = "TextVectorization";
/// No setting but the vocabulary takes as many bytes.
const SETTINGS_BYTES: usize = 1 << 10;

/// Turns texts into sequences of whole numbers, and numbers back into texts; Keras' `TextVectorization`.
///
/// A text is standardized and split into tokens, and a token becomes its place in the vocabulary: 0 is padding, 1 any token
/// that is not in it, and from 2 on stand the tokens of the texts it was adapted to, the most frequent first, of equals
/// the one that sorts last.
///
/// # Shapes
/// `N` texts become `[N, T]`, `T` the `output_sequence_length`, else the tokens of the longest text.
///
/// # Arguments
/// Defaults as in Keras: no `max_tokens`, which counts padding and the unknown token; `standardize`
/// `lower_and_strip_punctuation`, `split` at whitespace; no `output_sequence_length`. `padding` and `truncating` say which
/// end of a sequence is filled up and cut off, as in Keras' `pad_sequences`; default the end (`post`) for both, as in
/// `TextVectorization`.
///
/// # Differences
/// Single characters are not standardized unless it is asked for.
///
/// # Examples
/// ```
/// use footlight::data::TextVectorization;
/// let mut words = TextVectorization::new().output_sequence_length(4);
/// words.adapt(["The film, the music!", "A film."])?;
/// assert_eq!(words.vocabulary(), ["", "[UNK]", "the", "film", "music", "a"]);
/// assert_eq!(words.call(["a new film"])?.to_f32(), [5.0, 1.0, 3.0, 0.0]);
/// # Ok::<(), footlight::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct TextVectorization {
    max_tokens: Option<usize>,
    standardize: Option<Standardize>,
    split: Split,
    output_sequence_length: Option<usize>,
    padding: End,
    truncating: End,
    vocabulary: Option<Arc<Vocabulary>>,
}

/// Tokens and their places.
#[derive(Debug)]
struct Vocabulary {
    tokens: Vec<String>,
    indices: HashMap<String, i32>,
}

impl PartialEq for Vocabulary {
    fn eq(&self, other: &Vocabulary) -> bool {
        self.tokens == other.tokens
    }
}

impl Vocabulary {
    /// Padding, the unknown token, and `tokens` after them.
    fn new(tokens: impl IntoIterator<Item = String>) -> Vocabulary {
        let tokens: Vec<String> = [PADDING.into(), UNKNOWN.into()].into_iter().chain(tokens).collect();
        let indices = tokens.iter().zip(0..).map(|(token, index)| (token.clone(), index)).collect();
        Vocabulary { tokens, indices }
    }
}

impl Default for TextVectorization {
    fn default() -> TextVectorization {
        TextVectorization {
            max_tokens: None,
            standardize: None,
            split: Split::Whitespace,
            output_sequence_length: None,
            padding: End::Post,
            truncating: End::Post,
            vocabulary: None,
        }
    }
}

impl TextVectorization {
    /// Words in lower case without punctuation, as many as there are, in sequences as long as they are.
    pub fn new() -> TextVectorization {
        TextVectorization::default()
    }

    /// The most tokens of the vocabulary, padding and the unknown one among them; default as many as there are.
    pub fn max_tokens(mut self, max_tokens: usize) -> TextVectorization {
        self.max_tokens = Some(max_tokens);
        self
    }

    /// What is done to a text before it is split; default [`Standardize::LowerAndStripPunctuation`] for words, nothing for
    /// characters.
    pub fn standardize(mut self, standardize: Standardize) -> TextVectorization {
        self.standardize = Some(standardize);
        self
    }

    /// What the tokens are; default words.
    pub fn split(mut self, split: Split) -> TextVectorization {
        self.split = split;
        self
    }

    /// The tokens of each sequence; default those of the longest text.
    pub fn output_sequence_length(mut self, tokens: usize) -> TextVectorization {
        self.output_sequence_length = Some(tokens);
        self
    }

    /// Which end of a short sequence is filled up; default the end.
    pub fn padding(mut self, end: End) -> TextVectorization {
        self.padding = end;
        self
    }

    /// Which end of a long sequence is cut off; default the end.
    pub fn truncating(mut self, end: End) -> TextVectorization {
        self.truncating = end;
        self
    }

    /// The tokens of a sequence, if all have as many.
    pub fn sequence_length(&self) -> Option<usize> {
        self.output_sequence_length
    }

    /// Reads Keras' keys.
    pub(crate) fn read(read: &mut Reader<'_>) -> Result<TextVectorization, Fault> {
        let max_tokens = read.usize("max_tokens")?;
        let standardize = read.string("standardize")?;
        let standardize = standardize.map(|name| Standardize::from_name("standardize", &name)).transpose()?;
        let split = Split::from_name("split", &read.string_or("split", Split::Whitespace.name())?)?;
        let output_sequence_length = read.usize("output_sequence_length")?;
        let padding = End::from_name("padding", &read.string_or("padding", End::Post.name())?)?;
        let truncating = End::from_name("truncating", &read.string_or("truncating", End::Post.name())?)?;
        let made = TextVectorization {
            max_tokens,
            standardize,
            split,
            output_sequence_length,
            padding,
            truncating,
            vocabulary: None,
        };
        made.check().map(|()| made)
    }

    fn check(&self) -> Result<(), Fault> {
        if let Some(most @ ..=2) = self.max_tokens {
            let message = format!("max_tokens = {most}, at least 3 are needed");
            let help = "padding and the unknown token are two of them, as in Keras";
            return Err(Fault::config(message).in_key("max_tokens").help(help));
        }
        match self.output_sequence_length {
            Some(length @ (0 | LONGEST..)) => {
                let message = format!("output_sequence_length = {length} must be in [1, {LONGEST})");
                Err(Fault::config(message).in_key("output_sequence_length"))
            }
            _ => Ok(()),
        }
    }

    /// The settings and the vocabulary, with Keras' keys.
    pub(crate) fn to_config(&self) -> Json {
        json!({ "class_name": CLASS, "config": {
            "max_tokens": self.max_tokens,
            "standardize": self.standardization().name(),
            "split": self.split.name(),
            "output_sequence_length": self.output_sequence_length,
            "padding": self.padding.name(),
            "truncating": self.truncating.name(),
            "vocabulary": self.vocabulary(),
        } })
    }

    /// What [`TextVectorization::to_config`] wrote.
    ///
    /// # Errors
    /// `ErrorKind::File` for anything else.
    pub(crate) fn from_members(mut entry: Members<'_>) -> Result<TextVectorization> {
        let file = |message: String| Error::new(ErrorKind::File, message);
        let class: Option<String> = taken(&mut entry, "class_name", serde_json::from_str)?;
        let mut members: Members<'_> = taken(&mut entry, "config", serde_json::from_str)?.unwrap_or_default();
        finish(entry)?;
        if let Some(class) = class.filter(|class| class != CLASS) {
            return Err(file(format!("texts are read by a `{}`, which is not known", suggest::shown(&class))));
        }
        let tokens: Vec<String> = taken(&mut members, "vocabulary", serde_json::from_str)?.unwrap_or_default();
        let settings = settings(members)?;
        let mut reader = Reader::new(&settings);
        let made = TextVectorization::read(&mut reader).map_err(|fault| file(fault.message().into()))?;
        reader.finish().map_err(|fault| file(fault.message().into()))?;
        if tokens.is_empty() {
            return Ok(made);
        }
        if !tokens.starts_with(&[PADDING.into(), UNKNOWN.into()]) {
            return Err(file("the vocabulary does not begin with padding and the unknown token".into()));
        }
        let vocabulary = Vocabulary::new(tokens.into_iter().skip(2));
        if vocabulary.indices.len() != vocabulary.tokens.len() {
            return Err(file("the vocabulary holds a token twice".into()));
        }
        Ok(TextVectorization { vocabulary: Some(Arc::new(vocabulary)), ..made })
    }

    fn standardization(&self) -> Standardize {
        self.standardize.unwrap_or(match self.split {
            Split::Whitespace => Standardize::LowerAndStripPunctuation,
            Split::Character => Standardize::None,
        })
    }

    /// Learns the vocabulary from `texts`, in place of an earlier one.
    ///
    /// # Errors
    /// Settings out of range, and texts without a token.
    pub fn adapt<T: AsRef<str>>(&mut self, texts: impl IntoIterator<Item = T>) -> Result<()> {
        self.check()?;
        self.standardize = Some(self.standardization());
        let mut counts: HashMap<String, u64> = HashMap::new();
        for text in texts {
            for token in self.split_of(&self.standardized(text.as_ref())) {
                match counts.get_mut(token) {
                    Some(count) => *count += 1,
                    None => drop(counts.insert(token.into(), 1)),
                }
            }
        }
        // Keras takes these two for its own.
        counts.retain(|token, _| token != PADDING && token != UNKNOWN);
        if counts.is_empty() {
            let message = format!("there are no {} in the texts to learn a vocabulary from", self.unit(0));
            return Err(Error::new(ErrorKind::Data, message).help("check where the texts come from"));
        }
        let mut sorted: Vec<(u64, String)> = counts.into_iter().map(|(token, count)| (count, token)).collect();
        sorted.sort_unstable_by(|a, b| b.cmp(a));
        sorted.truncate(self.max_tokens.map_or(usize::MAX, |most| most - 2));
        self.vocabulary = Some(Arc::new(Vocabulary::new(sorted.into_iter().map(|(_, token)| token))));
        Ok(())
    }

    /// Whether there is a vocabulary.
    pub fn is_adapted(&self) -> bool {
        self.vocabulary.is_some()
    }

    /// All tokens by their numbers, padding (empty) and the unknown one (`[UNK]`) first; none before it was adapted.
    pub fn vocabulary(&self) -> &[String] {
        self.vocabulary.as_ref().map_or(&[], |vocabulary| &vocabulary.tokens)
    }

    fn known(&self) -> Result<&Vocabulary> {
        self.check()?;
        self.vocabulary.as_deref().ok_or_else(|| {
            Error::new(ErrorKind::Invalid, "the text vectorization has no vocabulary yet")
                .help("call adapt(texts) first")
        })
    }

    /// The numbers of all tokens of a text.
    ///
    /// # Errors
    /// No vocabulary, and settings out of range.
    pub fn encode(&self, text: &str) -> Result<Vec<i32>> {
        let vocabulary = self.known()?;
        let number = |token: &str| vocabulary.indices.get(token).copied().unwrap_or(1);
        Ok(self.split_of(&self.standardized(text)).map(number).collect())
    }

    /// The text of numbers: words with a space between, or characters; padding and numbers that stand for none are left out.
    pub fn decode(&self, numbers: &[i32]) -> String {
        let token = |number: &i32| usize::try_from(*number).ok().and_then(|index| self.vocabulary().get(index));
        let tokens: Vec<&str> =
            numbers.iter().filter_map(token).map(String::as_str).filter(|token| !token.is_empty()).collect();
        tokens.join(self.separator())
    }

    /// What a token adds to a text that goes on.
    pub(crate) fn piece(&self, number: usize) -> String {
        let token = self.vocabulary().get(number).map_or("", String::as_str);
        format!("{}{token}", self.separator())
    }

    fn separator(&self) -> &'static str {
        match self.split {
            Split::Whitespace => " ",
            Split::Character => "",
        }
    }

    /// The tokens of a text that are not in the vocabulary, once each in their order.
    ///
    /// # Errors
    /// No vocabulary.
    pub fn unknown(&self, text: &str) -> Result<Vec<String>> {
        let vocabulary = self.known()?;
        let mut unknown: Vec<String> = Vec::new();
        for token in self.split_of(&self.standardized(text)).filter(|token| !vocabulary.indices.contains_key(*token)) {
            if !unknown.iter().any(|known| known == token) {
                unknown.push(token.into());
            }
        }
        Ok(unknown)
    }

    /// Texts as numbers of one length, `[N, T]`.
    ///
    /// # Errors
    /// No vocabulary, settings out of range, and texts without a token where no length is set.
    pub fn call<T: AsRef<str>>(&self, texts: impl IntoIterator<Item = T>) -> Result<Tensor> {
        let sequences: Vec<Vec<i32>> =
            texts.into_iter().map(|text| self.encode(text.as_ref())).collect::<Result<_>>()?;
        let longest = || sequences.iter().map(Vec::len).max().unwrap_or(0);
        let length = self.output_sequence_length.unwrap_or_else(longest);
        let mut numbers = vec![0; sequences.len() * length];
        for (row, sequence) in numbers.chunks_mut(length.max(1)).zip(&sequences) {
            let kept = match self.truncating {
                End::Post => &sequence[..sequence.len().min(length)],
                End::Pre => &sequence[sequence.len().saturating_sub(length)..],
            };
            let place = match self.padding {
                End::Post => 0,
                End::Pre => length - kept.len(),
            };
            row[place..place + kept.len()].copy_from_slice(kept);
        }
        Ok(Tensor::new([sequences.len(), length], numbers)?)
    }

    fn standardized<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let stripped = |text: &str| text.chars().filter(|c| !c.is_ascii_punctuation()).collect::<String>();
        match self.standardization() {
            Standardize::None => text.into(),
            Standardize::Lower => text.to_ascii_lowercase().into(),
            Standardize::StripPunctuation => stripped(text).into(),
            Standardize::LowerAndStripPunctuation => stripped(text).to_ascii_lowercase().into(),
        }
    }

    fn split_of<'t>(&self, text: &'t str) -> Box<dyn Iterator<Item = &'t str> + 't> {
        // What C calls whitespace, as TensorFlow does.
        let is_space = |c: char| matches!(c, ' ' | '\t'..='\r');
        match self.split {
            Split::Whitespace => Box::new(text.split(is_space).filter(|word| !word.is_empty())),
            Split::Character => Box::new(text.char_indices().map(|(at, c)| &text[at..at + c.len_utf8()])),
        }
    }

    /// What so many tokens are called.
    pub(super) fn unit(&self, count: usize) -> &'static str {
        match (self.split, count) {
            (Split::Whitespace, 1) => "word",
            (Split::Whitespace, _) => "words",
            (Split::Character, 1) => "character",
            (Split::Character, _) => "characters",
        }
    }
}

/// Settings as a reader takes them; they are few and short.
fn settings(members: Members<'_>) -> Result<Config> {
    let len_bytes: usize = members.iter().map(|(key, value)| key.len() + value.get().len()).sum();
    if len_bytes > SETTINGS_BYTES {
        let message = format!("the settings of `{CLASS}` take {len_bytes} bytes, more than {SETTINGS_BYTES}");
        return Err(Error::new(ErrorKind::File, message));
    }
    let read = |(key, value): (String, &RawValue)| Some((key, serde_json::from_str(value.get()).ok()?));
    Ok(members.into_iter().filter_map(read).collect())
}

/// Such as `20,000 tokens (words, padding and the unknown one), 400 in a sequence`.
impl fmt::Display for TextVectorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.vocabulary().len();
        write!(f, "{} tokens ({}, padding and the unknown one)", grouped(count), self.unit(count))?;
        match self.output_sequence_length {
            Some(length) => write!(f, ", {} in a sequence", grouped(length)),
            None => Ok(()),
        }
    }
}
