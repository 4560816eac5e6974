//! `footlight recommend`: what a user might like next.

mod ask;
mod evaluate;
mod input;
mod quickstart;
mod serve;
mod train;
mod update;

use clap::{Parser, Subcommand};
use footlight::Result;

/// Recommend films, songs, games: train, ask, explain, update and evaluate recommenders
#[derive(Parser)]
#[command(after_help = "\
Examples:
  footlight recommend quickstart
  footlight recommend train --data ml-latest-small --model blend --output films.npz
  footlight recommend for 42 films.npz -k 5 --because
  footlight recommend for new films.npz --history 1,260,1196
  footlight recommend similar 260 films.npz
  footlight recommend update films.npz --events today.csv
  footlight recommend evaluate --data ml-100k
  footlight recommend serve films.npz")]
pub struct Recommend {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Quickstart(quickstart::Quickstart),
    Train(train::Train),
    For(ask::For),
    Similar(ask::Similar),
    Update(update::Update),
    Evaluate(evaluate::Evaluate),
    Serve(serve::Serve),
}

impl Recommend {
    pub fn run(self) -> Result<()> {
        match self.command {
            Command::Quickstart(quickstart) => quickstart.run(),
            Command::Train(train) => train.run(),
            Command::For(ask) => ask.run(),
            Command::Similar(similar) => similar.run(),
            Command::Update(update) => update.run(),
            Command::Evaluate(evaluate) => evaluate.run(),
            Command::Serve(serve) => serve.run(),
        }
    }
}
