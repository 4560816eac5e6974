//! `footlight schema`: what a run description may say.

use clap::Parser;
use footlight::{Error, ErrorKind};

/// Print the JSON schema of run descriptions: every class and key, with its default
#[derive(Parser)]
#[command(after_help = "\
Example:
  footlight schema > run.schema.json

An editor that knows TOML completes and checks a description with it: write #:schema run.schema.json into the first line.")]
pub struct Schema {}

impl Schema {
    pub fn run(self) -> footlight::Result<()> {
        let text = serde_json::to_string_pretty(&footlight::description::schema())
            .map_err(|error| Error::new(ErrorKind::Invalid, error.to_string()))?;
        crate::output::print(&(text + "\n"))
    }
}
