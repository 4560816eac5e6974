//! `footlight summary`: what a model is made of, and what running it takes.

use crate::{models, output};
use clap::Parser;
use footlight::description::Description;
use footlight::prelude::*;
use footlight::{ErrorKind, nn};
use std::path::PathBuf;

/// Print a model's layers, shapes and parameters
#[derive(Parser)]
#[command(after_help = "\
Examples:
  footlight summary model.keras
  footlight summary model.keras --plan --batch-size 128
  footlight summary model.keras --svg model.svg
  footlight summary run.toml --shape 28,28

With --plan: each step with its op, shapes, bytes and place in memory, and the most memory a run takes; of a training step \
if the model is compiled, else of an answer.")]
pub struct Summary {
    /// The model, a .keras file, an .h5 file of Keras or a run description (.toml)
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// Print the plan of a step too
    #[arg(long)]
    plan: bool,
    /// Where the model is drawn as a graph
    #[arg(long, value_name = "FILE.svg")]
    svg: Option<PathBuf>,
    /// The extents of a sample where the model leaves them open, such as 28,28; once for each input
    #[arg(long, value_name = "N,N", value_parser = models::shape)]
    shape: Vec<models::Shape>,
    /// Samples per step of the plan
    #[arg(long, value_name = "N", default_value_t = 32)]
    batch_size: usize,
    /// Threads of the plan [default: all cores]
    #[arg(long, value_name = "N", value_parser = models::threads)]
    threads: Option<usize>,
}

impl Summary {
    pub fn run(self) -> Result<()> {
        if self.batch_size == 0 {
            return Err(Error::new(ErrorKind::Config, "--batch-size 0: a step needs at least one sample"));
        }
        if let Some(path) = &self.svg {
            output::check_ending("--svg", path, "svg")?;
            output::check_writable(path)?;
        }
        let mut model = self.open()?;
        models::build(&mut model, &self.shape)?;
        output::print(&model.summary())?;
        if let Some(path) = &self.svg {
            footlight::write_atomically(path, model.architecture().to_svg().as_bytes())?;
        }
        if !self.plan {
            return Ok(());
        }
        let what = if model.is_compiled() { "training step" } else { "answer" };
        let plan = model.plan_summary(self.batch_size)?;
        output::print(&format!(
            "\nPlan of a {what} on {} samples:\n{}\nPeak memory: {} ({} bytes), {:.1} MFLOP\n",
            self.batch_size,
            plan.table.trim_end(),
            nn::readable_size(plan.peak_bytes),
            nn::grouped(plan.peak_bytes),
            plan.flops / 1e6
        ))
    }

    /// The model of a file, or the one that a run description says.
    fn open(&self) -> Result<Model> {
        if self.model.extension().is_none_or(|ending| !ending.eq_ignore_ascii_case("toml")) {
            return models::open(&self.model, self.threads);
        }
        let model = Description::open(&self.model, &[])?.model()?;
        Ok(models::with_threads(model, self.threads))
    }
}
