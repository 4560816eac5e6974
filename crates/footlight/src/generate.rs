//! Texts that go on from a prompt, token by token.

use std::sync::atomic::{AtomicBool, Ordering};

use footlight_nn::Architecture;
use footlight_tensor::{Philox, RandomKey};
use serde_json::{Value as Json, json};

use crate::{Error, ErrorKind, Model, Result, is_distribution};

/// What is called with the text of each token.
type Each<'a> = &'a mut dyn FnMut(&str) -> Result<()>;

/// How a text is generated.
///
/// The next token `i` is drawn with the probability `p_i ∝ exp(z_i / temperature)` from the `top_k` likeliest, `z` the
/// logits or logarithms of probabilities that the model answers; padding and the unknown token are never drawn.
///
/// # Arguments
/// Defaults: 500 tokens, temperature 1, any token, seed 0. Temperature 0 takes the likeliest token, of equals the first in
/// the vocabulary. The same seed gives the same text for any number of threads.
pub struct Generate<'a> {
    length: usize,
    temperature: f32,
    top_k: Option<usize>,
    seed: u64,
    each: Option<Each<'a>>,
    interrupt: Option<&'a AtomicBool>,
}

impl Default for Generate<'_> {
    fn default() -> Self {
        Generate { length: 500, temperature: 1.0, top_k: None, seed: 0, each: None, interrupt: None }
    }
}

impl<'a> Generate<'a> {
    /// 500 tokens, drawn as likely as the model holds them to be.
    pub fn new() -> Self {
        Generate::default()
    }

    /// How many tokens are generated, at least 1; default 500.
    pub fn length(mut self, tokens: usize) -> Self {
        self.length = tokens;
        self
    }

    /// What logits are divided by, at least 0: less than 1 is safer, more is wilder; default 1.
    pub fn temperature(mut self, temperature: f32) -> Self {
        self.temperature = temperature;
        self
    }

    /// Draws from so many of the likeliest tokens, at least 1; default all.
    pub fn top_k(mut self, tokens: usize) -> Self {
        self.top_k = Some(tokens);
        self
    }

    /// The seed of what is drawn; default 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Calls `each` with the text of every token as it is drawn; an error ends the text.
    pub fn each(mut self, each: Each<'a>) -> Self {
        self.each = Some(each);
        self
    }

    /// Ends the text after the token in which `flag` becomes true.
    pub fn interrupt(mut self, flag: &'a AtomicBool) -> Self {
        self.interrupt = Some(flag);
        self
    }

    fn check(&self) -> Result<()> {
        let config = |message: String, help: &str| Err(Error::new(ErrorKind::Config, message).help(help));
        if !(0.0..f32::INFINITY).contains(&self.temperature) {
            let message = format!("temperature = {} must be in [0, ∞)", self.temperature);
            return config(message, "0 takes the likeliest token each time, 1 draws as the model has learned");
        }
        match (self.length, self.top_k) {
            (0, _) => config("length = 0, nothing would be generated".into(), "500 is the default"),
            (_, Some(0)) => config("top_k = 0, there is nothing to draw from".into(), "leave it out to draw from all"),
            _ => Ok(()),
        }
    }

    /// The token that follows, of the vocabulary's first `tokens`.
    fn draw(&self, scores: &[f32], tokens: usize, random: &mut Philox) -> usize {
        let is_distribution = is_distribution(scores);
        let logit = |score: f32| match is_distribution {
            true => f64::from(score).max(f64::MIN_POSITIVE).ln(),
            false => f64::from(score),
        };
        let mut likely: Vec<(usize, f64)> = (FIRST..tokens).map(|token| (token, logit(scores[token]))).collect();
        likely.sort_by(|a, b| b.1.total_cmp(&a.1));
        let (best, highest) = likely[0];
        if self.temperature == 0.0 {
            return best;
        }
        likely.truncate(self.top_k.unwrap_or(tokens));
        let weight = |logit: f64| ((logit - highest) / f64::from(self.temperature)).exp();
        let sum: f64 = likely.iter().map(|(_, logit)| weight(*logit)).sum();
        let mut rest = random.uniform_f64() * sum;
        let drawn = likely.iter().find(|(_, logit)| {
            rest -= weight(*logit);
            rest < 0.0
        });
        drawn.map_or(best, |(token, _)| *token)
    }
}

/// The first number of a vocabulary that is neither padding nor the unknown token.
const FIRST: usize = 2;

impl Model {
    /// Goes on with a text: answers what follows `prompt`, without it.
    ///
    /// The model reads `T` tokens and answers logits or probabilities of the token after each, `[T, V]`. Recurrent layers
    /// carry their state from token to token if every other layer looks at one step at a time; all other models are asked
    /// anew with the last `T` tokens, so they have to be causal.
    ///
    /// # Errors
    /// A model without a vocabulary or of other shapes, settings out of range, an empty prompt, answers that are not
    /// finite, and errors of [`Generate::each`].
    ///
    /// # Examples
    /// ```
    /// use footlight::data::{Split, TextVectorization};
    /// use footlight::prelude::*;
    /// let mut characters = TextVectorization::new().split(Split::Character).output_sequence_length(8);
    /// characters.adapt(["abracadabra"])?;
    /// let layers = layers![Embedding::new(7, 4).input_shape([8]), GRU::new(5).return_sequences(true), Dense::new(7)];
    /// let mut model = Sequential::new(layers)?;
    /// model.set_text(Some(characters));
    /// assert_eq!(model.generate("abra", Generate::new().length(20))?.len(), 20);
    /// # Ok::<(), footlight::Error>(())
    /// ```
    pub fn generate(&mut self, prompt: &str, mut options: Generate<'_>) -> Result<String> {
        options.check()?;
        let text = self.vocabulary()?.clone();
        let prompt = text.encode(prompt)?;
        if prompt.is_empty() {
            return Err(Error::new(ErrorKind::Data, "the prompt holds nothing to go on from")
                .help("begin the text with what the model was trained on: a word, or a character such as a newline"));
        }
        if let (None, Some(length)) = (self.architecture.input_shape(), text.sequence_length()) {
            self.build(&[&[length]])?;
        }
        let tokens = text.vocabulary().len();
        let mut source = Source::new(self, tokens)?;
        prompt[..prompt.len() - 1].iter().try_for_each(|token| source.read(*token))?;
        let mut random = Philox::new(RandomKey::new(options.seed).child("generate"));
        let (mut last, mut whole) = (prompt[prompt.len() - 1], String::new());
        for _ in 0..options.length {
            source.read(last)?;
            let token = options.draw(source.scores()?, tokens, &mut random);
            last = token as i32;
            let piece = text.piece(token);
            whole += &piece;
            if let Some(each) = &mut options.each {
                each(&piece)?;
            }
            if options.interrupt.is_some_and(|flag| flag.load(Ordering::Relaxed)) {
                break;
            }
        }
        Ok(whole)
    }
}

/// A model that reads token by token, and its scores of the next.
struct Source<'m> {
    way: Way<'m>,
    /// The answer, of which the last `V` that were read count.
    answer: Vec<f32>,
    /// Scores of one step.
    width: usize,
}

enum Way<'m> {
    /// A model of one step, whose layers carry states.
    Steps(Box<Model>),
    /// A model that is asked for all of the last tokens, which stand in front, with padding behind them.
    Window { model: &'m mut Model, window: Vec<f32>, filled: usize },
}

impl<'m> Source<'m> {
    fn new(model: &'m mut Model, tokens: usize) -> Result<Source<'m>> {
        let (length, width) = extents(model.architecture(), tokens)?;
        if let Some(architecture) = of_one_step(model.architecture()) {
            let mut steps = Model::new(architecture)?.threads(model.engine.threads());
            for weight in model.architecture().weights() {
                if let Some(value) = model.state(&weight.path) {
                    steps.set_state(&weight.path, &value)?;
                }
            }
            return Ok(Source { way: Way::Steps(Box::new(steps)), answer: vec![0.0; width], width });
        }
        let way = Way::Window { model, window: vec![0.0; length], filled: 0 };
        Ok(Source { way, answer: vec![0.0; length * width], width })
    }

    /// Takes in one token more; a window is not asked before scores are wanted.
    fn read(&mut self, token: i32) -> Result<()> {
        match &mut self.way {
            Way::Steps(model) => model.predict_one(&[token as f32], &mut self.answer),
            Way::Window { window, filled, .. } => {
                if *filled == window.len() {
                    window.rotate_left(1);
                    *filled -= 1;
                }
                window[*filled] = token as f32;
                *filled += 1;
                Ok(())
            }
        }
    }

    /// The scores of all tokens to come next.
    fn scores(&mut self) -> Result<&[f32]> {
        let step = match &mut self.way {
            Way::Steps(_) => 0,
            Way::Window { model, window, filled } => {
                model.reset_states();
                model.predict_one(window, &mut self.answer)?;
                *filled - 1
            }
        };
        let scores = &self.answer[step * self.width..][..self.width];
        if scores.iter().all(|score| score.is_finite()) {
            return Ok(scores);
        }
        Err(Error::new(ErrorKind::Numeric, "the model answers numbers that are not finite")
            .help("it was trained to no end; train it again with a smaller learning rate"))
    }
}

/// The tokens that a model reads and the scores of each step it answers, which are at least those of the vocabulary.
fn extents(model: &Architecture, tokens: usize) -> Result<(usize, usize)> {
    let shape = |shape: &[usize]| {
        let extents: String = shape.iter().map(|extent| format!(", {extent}")).collect();
        format!("[N{extents}]")
    };
    let inputs: Vec<String> = model
        .inputs()
        .iter()
        .map(|input| format!("`{}` {}", input.name, shape(input.shape.as_deref().unwrap_or_default())))
        .collect();
    let names = model.output_names();
    let outputs: Vec<String> = names
        .iter()
        .zip(model.outputs())
        .map(|(name, port)| format!("`{name}` {}", shape(model.shape_of(*port).unwrap_or_default())))
        .collect();
    if let ([_], [_], Some(&[length]), Some(&[steps, width])) =
        (&inputs[..], &outputs[..], model.input_shape(), model.output_shape())
        && length == steps
        && width >= tokens
        && tokens > FIRST
    {
        return Ok((length, width));
    }
    let message = format!(
        "the model answers no scores of the next token after each step\n  input:  {}\n  output: {}\n  expected: [N, T] \
         and [N, T, {tokens}], a score for each token of the vocabulary",
        inputs.join(", "),
        outputs.join(", ")
    );
    Err(Error::new(ErrorKind::Shape, message)
        .help(format!("let recurrent layers return sequences, and end with a Dense layer of {tokens} units")))
}

/// Layers that make each step of a sequence of that step alone.
const STEPWISE: [&str; 18] = [
    "Activation",
    "Add",
    "AlphaDropout",
    "BatchNormalization",
    "Dense",
    "Dropout",
    "ELU",
    "Embedding",
    "GaussianDropout",
    "GaussianNoise",
    "Identity",
    "LayerNormalization",
    "LeakyReLU",
    "Masking",
    "RMSNormalization",
    "ReLU",
    "Softmax",
    "SpatialDropout1D",
];
/// Layers that carry what they know from step to step.
const RECURRENT: [&str; 4] = ["GRU", "LSTM", "RNN", "SimpleRNN"];

/// Whether an axis, if there is one, is the last of `[N, T, F]`.
fn is_along_features(axis: &Json) -> bool {
    let is_last = |axis: &Json| matches!(axis.as_i64(), Some(-1 | 2));
    match axis {
        Json::Null => true,
        Json::Array(axes) => axes.iter().all(is_last),
        axis => is_last(axis),
    }
}

/// The same layers for one step, with states that are carried on; nothing if a layer needs more than that.
fn of_one_step(model: &Architecture) -> Option<Architecture> {
    let mut value = model.to_config();
    let mut is_recurrent = false;
    for layer in value["config"]["layers"].as_array_mut()? {
        let class = layer["class_name"].as_str()?.to_string();
        let calls = layer["inbound_nodes"].as_array().map_or(1, Vec::len);
        let config = &mut layer["config"];
        if class == "InputLayer" {
            config["batch_shape"] = json!([null, 1]);
        } else if RECURRENT.contains(&class.as_str()) {
            let is = |key: &str| config[key].as_bool() == Some(true);
            // A second call would go on from the states of the first.
            if calls > 1 || is("go_backwards") || !is("return_sequences") || is("return_state") {
                return None;
            }
            config["stateful"] = Json::Bool(true);
            is_recurrent = true;
        } else if !STEPWISE.contains(&class.as_str()) || !is_along_features(&config["axis"]) {
            return None;
        }
    }
    if is_recurrent { Architecture::from_config(&value).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use footlight_nn::{BatchNormalization, Embedding, GRU, Input, On, Shared, layers};

    #[test]
    fn a_layer_that_needs_more_than_its_own_step_writes_from_a_window() {
        let model = |layers: Vec<Box<dyn footlight_nn::Layer>>| Architecture::sequential(layers).unwrap();
        let steps = || GRU::new(4).return_sequences(true);
        let embedding = || Embedding::new(5, 4).input_shape([6]);
        assert!(of_one_step(&model(layers![embedding(), steps()])).is_some());
        let along_steps = BatchNormalization::new().axis(1);
        assert!(of_one_step(&model(layers![embedding(), steps(), along_steps])).is_none());
        let (tokens, twice) = (Input::new([6]).symbol(), Shared::new(steps()));
        let x = twice.on(&twice.on(&Embedding::new(5, 4).on(&tokens)));
        let twice = crate::Functional::new(&tokens, &x).unwrap();
        assert!(of_one_step(twice.architecture()).is_none());
    }

    fn drawn(options: &Generate<'_>, scores: &[f32], count: usize) -> Vec<usize> {
        let mut random = Philox::new(RandomKey::new(3));
        let mut counts = vec![0; scores.len()];
        (0..count).for_each(|_| counts[options.draw(scores, scores.len(), &mut random)] += 1);
        counts
    }

    #[test]
    fn tokens_are_drawn_as_likely_as_they_are() {
        // exp(z) is 1, 2, 4 and 3 for the tokens that count.
        let logits = [9.0, 9.0, 0.0, 2f32.ln(), 4f32.ln(), 3f32.ln()];
        let near = |got: Vec<usize>, want: [f64; 6], what: &str| {
            let share = |count: usize| count as f64 / 100_000.0;
            assert!(got.iter().zip(want).all(|(got, want)| (share(*got) - want).abs() < 0.006), "{what}: {got:?}");
        };
        near(drawn(&Generate::new(), &logits, 100_000), [0.0, 0.0, 0.1, 0.2, 0.4, 0.3], "logits");
        let probabilities = [0.0, 0.0, 0.1, 0.2, 0.4, 0.3];
        near(drawn(&Generate::new(), &probabilities, 100_000), [0.0, 0.0, 0.1, 0.2, 0.4, 0.3], "probabilities");
        let squared = [0.0, 0.0, 1.0 / 30.0, 4.0 / 30.0, 16.0 / 30.0, 9.0 / 30.0];
        near(drawn(&Generate::new().temperature(0.5), &logits, 100_000), squared, "temperature");
        let two = [0.0, 0.0, 0.0, 0.0, 4.0 / 7.0, 3.0 / 7.0];
        near(drawn(&Generate::new().top_k(2), &logits, 100_000), two, "top_k");
        assert_eq!(drawn(&Generate::new().temperature(0.0), &[9.0, 9.0, 1.0, 2.0, 2.0], 10), [0, 0, 0, 10, 0]);
        // Padding and the unknown token are never drawn, however likely they are.
        assert_eq!(drawn(&Generate::new(), &[1.0, 0.0, 0.0, 0.0], 10)[..2], [0, 0]);
    }
}
