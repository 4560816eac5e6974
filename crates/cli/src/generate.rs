//! `footlight generate`: a text that goes on from a prompt.

use crate::{interruption, models, output};
use clap::Parser;
use footlight::prelude::*;
use std::path::PathBuf;

/// Let a language model go on with a text
#[derive(Parser)]
#[command(after_help = "\
Examples:
  footlight generate shakespeare.keras --prompt \"ROMEO:\"
  footlight generate shakespeare.keras --prompt \"ROMEO:\" --length 1000 --temperature 0.8 --top-k 10 --seed 7

MODEL is one that was trained on a text by footlight train: its file holds the vocabulary. The same seed gives the same \
text. Ctrl-C ends it.")]
pub struct Generate {
    /// The model, a .keras file
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// How the text begins [default: a newline]
    #[arg(long, value_name = "TEXT", default_value = "\n", hide_default_value = true)]
    prompt: String,
    /// How many tokens are generated
    #[arg(long, value_name = "N", default_value_t = 500)]
    length: usize,
    /// Less than 1 is safer, more is wilder; 0 takes the likeliest token each time
    #[arg(long, value_name = "T", default_value_t = 1.0, allow_negative_numbers = true)]
    temperature: f32,
    /// Draw from so many of the likeliest tokens [default: all]
    #[arg(long, value_name = "K")]
    top_k: Option<usize>,
    /// The seed of what is drawn
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// The most threads to use; results do not depend on it [default: all cores]
    #[arg(long, value_name = "N", value_parser = models::threads)]
    threads: Option<usize>,
}

impl Generate {
    pub fn run(self) -> Result<()> {
        let mut model = models::open_to_answer(&self.model, self.threads)?;
        let place = |error: Error| error.at(format!("`{}`", self.model.display()));
        let unknown = model.text().map(|text| text.unknown(&self.prompt)).transpose()?.unwrap_or_default();
        if !unknown.is_empty() {
            let unknown: Vec<String> = unknown.iter().map(|token| format!("`{}`", token.escape_debug())).collect();
            output::note(&format!("the model does not know {} of the prompt", unknown.join(", ")));
        }
        let mut begin = Some(&self.prompt);
        let mut each = |piece: &str| {
            // Faults are told before anything else.
            begin.take().map_or(Ok(()), |prompt| output::print(prompt))?;
            output::print(piece)
        };
        let mut options = footlight::Generate::new()
            .length(self.length)
            .temperature(self.temperature)
            .seed(self.seed)
            .each(&mut each)
            .interrupt(interruption::flag("finishing the token; Ctrl-C again ends at once"));
        if let Some(top_k) = self.top_k {
            options = options.top_k(top_k);
        }
        model.generate(&self.prompt, options).map_err(place)?;
        output::print("\n")
    }
}
