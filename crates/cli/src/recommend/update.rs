//! `footlight recommend update`: what happened since.

use super::input::{ColumnNames, tell};
use crate::output;
use clap::Parser;
use footlight::Result;
use footlight_apps::recommend::{self, Recommender};
use std::path::PathBuf;

/// Items that a model does not know, shown by name.
const SHOWN: usize = 5;

/// Add events, which count from the next answer on
#[derive(Parser)]
#[command(after_help = "\
Examples:
  footlight recommend update films.npz --events today.csv
  footlight recommend update films.npz --events today.jsonl --output newer.npz

New users are answered from their events. Items that are new count once the model is trained again.")]
pub struct Update {
    /// The recommender
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The events: .csv, .tsv, .jsonl, u.data, ratings.dat or .inter
    #[arg(long, value_name = "FILE")]
    events: PathBuf,
    /// Where the recommender is written [default: in its place]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    columns: ColumnNames,
}

impl Update {
    pub fn run(self) -> Result<()> {
        let mut recommender = Recommender::load(&self.file)?;
        let (events, reading) = recommend::open_events(&self.events, &self.columns.columns())?;
        tell(&reading);
        let update = recommender.update(&events);
        let unknown: usize = update.unknown_items.iter().map(|(_, count)| count).sum();
        if unknown > 0 {
            let names: Vec<String> =
                update.unknown_items.iter().take(SHOWN).map(|(name, _)| format!("`{name}`")).collect();
            let more = if update.unknown_items.len() > SHOWN { ", ..." } else { "" };
            output::note(&format!(
                "{unknown} events with items that the model does not know: {}{more}",
                names.join(", ")
            ));
        }
        recommender.save(self.output.as_ref().unwrap_or(&self.file))?;
        output::print(&format!("Added: {} events, {} new users\n", update.added, update.new_users))
    }
}
