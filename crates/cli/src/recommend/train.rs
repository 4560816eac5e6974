//! `footlight recommend train`: fits a model to all events.

use super::input::Input;
use crate::{models, output};
use clap::Parser;
use footlight::{Error, ErrorKind, Result};
use footlight_apps::recommend::{Counts, Kind, Recommender, Settings};
use std::path::PathBuf;
use std::time::Instant;

/// Fit a model to all events
#[derive(Parser)]
#[command(after_help = "\
Examples:
  footlight recommend train
  footlight recommend train --data ml-latest-small --model ease --set regularization=300 --output films.npz
  footlight recommend train --data plays.csv --user-column listener --item-column song --k-core 5 --model blend
  footlight recommend train --data plays.csv --feedback recommender.feedback

Memory and time are told before the fit. A blend chooses members, settings and weights by the last events of each user.")]
pub struct Train {
    #[command(flatten)]
    input: Input,
    #[arg(long, value_name = "NAME", default_value = "ease", help = Kind::NAMES.join(", "))]
    model: String,
    /// Change a setting of the model, such as regularization=300
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    set: Vec<(String, f32)>,
    /// The seed of what is drawn
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// The most threads to use; results do not depend on it [default: all cores]
    #[arg(long, value_name = "N", value_parser = models::threads)]
    threads: Option<usize>,
    /// Where the recommender is written
    #[arg(long, value_name = "FILE", default_value = "recommender.npz")]
    output: PathBuf,
}

/// A name and a number.
pub fn setting(text: &str) -> Result<(String, f32), String> {
    let (name, value) = text.split_once('=').ok_or("NAME=VALUE is needed")?;
    value.trim().parse().map(|value| (name.trim().to_string(), value)).map_err(|_| format!("`{value}` is no number"))
}

/// The settings of flags.
pub fn settings(set: Vec<(String, f32)>) -> Settings {
    set.into_iter().fold(Settings::default(), |settings, (name, value)| settings.with(&name, value))
}

/// The number of threads that was asked for, or of cores.
pub fn threads(threads: Option<usize>) -> usize {
    threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
}

impl Train {
    pub fn run(self) -> Result<()> {
        let kind = Kind::from_name(&self.model)?;
        let settings = settings(self.set);
        settings.check(kind)?;
        output::check_writable(&self.output)?;
        let (data, name) = self.input.read()?;
        let counts = Counts::of(&data);
        output::print(&format!(
            "Data: {name}: {} users, {} items, {} events\n{}",
            counts.users,
            counts.items,
            counts.events,
            announced(kind, counts, &settings)
        ))?;
        if data.num_events() == 0 {
            return Err(Error::new(ErrorKind::Data, "the filters leave no event").help("lower --threshold or --k-core"));
        }
        let start = Instant::now();
        let recommender = Recommender::fit(data, kind, &settings, self.seed, threads(self.threads))?;
        for (weight, member) in recommender.model().members() {
            output::print(&format!("  {weight} {}\n", described(member.kind(), member.settings())))?;
        }
        recommender.save(&self.output)?;
        output::print(&format!("Fitted in {:.1} s\nSaved: {}\n", start.elapsed().as_secs_f64(), self.output.display()))
    }
}

/// A model and those of its settings that are not the defaults.
pub fn described(kind: Kind, settings: &Settings) -> String {
    let entries: Vec<String> = settings.entries().iter().map(|(name, value)| format!("{name}={value}")).collect();
    if entries.is_empty() { kind.name().into() } else { format!("{} ({})", kind.name(), entries.join(", ")) }
}

/// What a fit needs, before it begins.
fn announced(kind: Kind, counts: Counts, settings: &Settings) -> String {
    let cost = kind.cost(counts, settings);
    let [least, most] = cost.seconds();
    let time = match most < 1.0 {
        true => "less than 1 s".to_string(),
        false => format!("{least:.0} to {:.0} s on one core", most.ceil()),
    };
    format!("Model: {}: {time}, {:.0} MB\n", described(kind, settings), counts.memory(cost) / 1e6)
}
