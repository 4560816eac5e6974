//! `footlight summary`: what a model is made of, and what running it takes.

use crate::{models, output};
use clap::Parser;
use footlight::prelude::*;
use footlight::{ErrorKind, nn};
use std::path::PathBuf;

/// Print a model's layers, shapes and parameters
#[derive(Parser)]
#[command(after_help = "\
Examples:
  footlight summary model.keras
  footlight summary model.keras --plan --batch-size 128

With --plan: each step with its op, shapes, bytes and place in memory, and the most memory a run takes; of a training step \
if the model is compiled, else of an answer.")]
pub struct Summary {
    /// The model, a .keras file or an .h5 file of Keras
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// Print the plan of a step too
    #[arg(long)]
    plan: bool,
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
        let mut model = models::open(&self.model, self.threads)?;
        output::print(&model.summary())?;
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
}
