//! The `footlight` command: arguments, printing and exit codes. Everything else is the library's.

mod bench;
mod completions;
mod data;
mod evaluate;
mod generate;
mod interruption;
mod models;
mod output;
mod predict;
mod recommend;
mod runs;
mod schema;
mod summary;
mod train;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Deep learning that fits on the machine you have.
#[derive(Parser)]
#[command(name = "footlight", version, propagate_version = true, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Train(Box<train::Train>),
    Evaluate(evaluate::Evaluate),
    Predict(predict::Predict),
    Generate(generate::Generate),
    Recommend(recommend::Recommend),
    Summary(summary::Summary),
    Schema(schema::Schema),
    Bench(bench::Bench),
    Completions(completions::Completions),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Train(train) => train.run(),
        Command::Evaluate(evaluate) => evaluate.run(),
        Command::Predict(predict) => predict.run(),
        Command::Generate(generate) => generate.run(),
        Command::Recommend(recommend) => recommend.run(),
        Command::Summary(summary) => summary.run(),
        Command::Schema(schema) => schema.run(),
        Command::Bench(bench) => bench.run(),
        Command::Completions(completions) => completions.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => output::report(&error),
    }
}
