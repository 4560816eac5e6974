//! `footlight bench`: how fast training steps are on this machine, through the public API.

mod workloads;

use crate::{models, output};
use clap::Parser;
use footlight::prelude::*;
use footlight::train::{Callback, Logs, Training};
use footlight::{ErrorKind, nn};
use std::time::Instant;
use workloads::{WORKLOADS, Workload};

/// Measure training steps (shuffling and batching included) or answers on synthetic data
#[derive(Parser)]
#[command(
    after_help = "Examples:\n  footlight bench\n  footlight bench mlp --threads 2 --json\n  footlight bench mlp --infer\n  footlight bench gpt --profile"
)]
pub struct Bench {
    /// What to measure [default: all]; known: mlp, cnn, lstm, lstm-128, gpt, recommender, recommender-lazy,
    /// resnet20
    #[arg(value_name = "WORKLOAD")]
    workloads: Vec<String>,
    /// Threads to use [default: all cores]
    #[arg(long, value_name = "N", value_parser = models::threads)]
    threads: Option<usize>,
    /// Measure answers instead of training
    #[arg(long)]
    infer: bool,
    /// Epochs to measure
    #[arg(long, value_name = "N", default_value_t = 6)]
    epochs: usize,
    /// Tell where the time of a training step goes, op by op on one thread, beside what the processor can do at best
    #[arg(long, conflicts_with_all = ["infer", "json"])]
    profile: bool,
    /// One JSON object per line
    #[arg(long)]
    json: bool,
}

impl Bench {
    pub fn run(self) -> Result<()> {
        if self.epochs == 0 {
            return Err(Error::new(ErrorKind::Config, "--epochs 0: nothing would be measured"));
        }
        let names = WORKLOADS.map(|w| w.name);
        if let Some(unknown) = self.workloads.iter().find(|w| !names.contains(&w.as_str())) {
            return Err(nn::suggest::unknown("workload", unknown, &names).into());
        }
        let threads = self.threads.unwrap_or_else(footlight::cpu::Engine::available_threads);
        let is_asked = |w: &Workload| self.workloads.is_empty() || self.workloads.iter().any(|name| name == w.name);
        for workload in WORKLOADS.iter().filter(|w| is_asked(w)) {
            match (self.profile, self.infer) {
                (true, _) => self.profile(workload)?,
                (_, true) => self.infer(workload, threads)?,
                _ => self.train(workload, threads)?,
            }
        }
        Ok(())
    }

    fn train(&self, workload: &Workload, threads: usize) -> Result<()> {
        let (x, y) = (workload.data)(workload.samples)?;
        let before = Memory::begin();
        let mut model = (workload.network)()?.threads(threads);
        (workload.compile)(&mut model)?;
        let plan = model.training_plan(workload.samples, workload.batch, self.epochs + 1)?;
        // The first epoch warms caches and makes the plans.
        let mut steps = Steps::default();
        let fit = Fit::new().epochs(self.epochs + 1).batch_size(workload.batch).progress(Progress::None);
        model.fit(x, &y, fit.callback(&mut steps))?;
        let memory = before.map(|before| before.end(plan.total_bytes()));
        let measured =
            Measured { batch: workload.batch, flops: plan.flops_per_step, seconds: steps.epochs.split_off(1), memory };
        self.line(workload.name, threads, Mode::Train, measured)
    }

    fn profile(&self, workload: &Workload) -> Result<()> {
        let (x, y) = (workload.data)(workload.batch)?;
        let mut model = (workload.network)()?.threads(1);
        (workload.compile)(&mut model)?;
        model.train_on_batch(x.clone(), &y)?;
        let profile = model.profile(x, &y, self.epochs)?;
        let best = profile.ceilings.map_or(String::new(), |best| {
            format!(", at best {:.1} GFLOP/s and {:.1} GB/s on one thread", best.flops / 1e9, best.bandwidth / 1e9)
        });
        output::print(&format!("{}, batch {}{best}\n{profile}", workload.name, workload.batch))
    }

    /// Answers to one sample, then to a large batch.
    fn infer(&self, workload: &Workload, threads: usize) -> Result<()> {
        let mut model = (workload.network)()?.threads(threads);
        let (x, _) = (workload.data)(workload.many)?;
        let mut sample = vec![0.0; x[0].sample_len()];
        x[0].row_f32(0, &mut sample);
        let mut out = vec![0.0; model.architecture().output_shape().unwrap_or_default().iter().product()];
        for (batch, answers) in [(1, workload.answers), (workload.many, (workload.answers / 100).max(10))] {
            let times = if batch == 1 && x.len() == 1 {
                times(answers, || model.predict_one(&sample, &mut out))?
            } else {
                let some: Vec<Samples> = x.iter().map(|x| x.slice(0..batch)).collect();
                times(answers, || model.predict_all(some.clone()).map(drop))?
            };
            let flops = model.plan_summary(batch)?.flops;
            let measured = Measured { batch, flops, seconds: times, memory: None };
            self.line(workload.name, threads, Mode::Infer, measured)?;
        }
        Ok(())
    }

    /// Prints what the times of steps or answers say.
    fn line(&self, name: &str, threads: usize, mode: Mode, measured: Measured) -> Result<()> {
        let Measured { batch, flops, mut seconds, memory } = measured;
        seconds.sort_by(f64::total_cmp);
        let (median_ms, min_ms) = (seconds[seconds.len() / 2] * 1e3, seconds[0] * 1e3);
        let samples_per_s = batch as f64 / median_ms * 1e3;
        let gflops = flops / median_ms / 1e6;
        let told = mode.name();
        if self.json {
            let mut object = serde_json::json!({
                "workload": name, "batch": batch, "threads": threads, "mode": told, "step_ms_median": median_ms,
                "step_ms_min": min_ms, "samples_per_s": samples_per_s, "gflops": gflops,
                "peak_rss_mb": status_mb("VmHWM"),
            });
            if mode == Mode::Infer {
                object["p50_us"] = (median_ms * 1e3).into();
            }
            if let Some(Memory { planned, before, peak }) = memory {
                object["planned_mb"] = planned.into();
                object["before_mb"] = before.into();
                object["added_mb"] = (peak - before).into();
            }
            return output::print(&format!("{object}\n"));
        }
        let memory = memory.map_or(String::new(), |Memory { planned, before, peak }| {
            format!(", {planned:.1} MB planned, {:.1} MB added to {before:.1}", peak - before)
        });
        output::print(&format!(
            "{name} {told}, batch {batch}, {threads} threads: {median_ms:.4} ms (fastest {min_ms:.4}), \
             {samples_per_s:.0} samples/s, {gflops:.1} GFLOP/s{memory}\n"
        ))
    }
}

/// What was seen of one workload.
struct Measured {
    batch: usize,
    flops: f64,
    seconds: Vec<f64>,
    memory: Option<Memory>,
}

/// What a plan promised, and what this process held before there was a model and at its peak since, in MB of 2^20 bytes;
/// its own code, which is read from its file as it is used, does not count.
struct Memory {
    planned: f64,
    before: f64,
    peak: f64,
}

impl Memory {
    /// What is held now; the peak is counted from here on. `None` where the system does not tell.
    fn begin() -> Option<Memory> {
        std::fs::write("/proc/self/clear_refs", "5").ok()?;
        Some(Memory { planned: 0.0, before: status_mb("RssAnon")?, peak: 0.0 })
    }

    fn end(self, planned_bytes: usize) -> Memory {
        let peak = status_mb("VmHWM").zip(status_mb("RssFile")).map_or(self.before, |(all, code)| all - code);
        Memory { planned: planned_bytes as f64 / f64::from(1 << 20), peak, ..self }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Train,
    Infer,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Mode::Train => "train",
            Mode::Infer => "infer",
        }
    }
}

/// Seconds of each of so many calls, after a tenth as many that are not measured.
fn times(count: usize, mut call: impl FnMut() -> Result<()>) -> Result<Vec<f64>> {
    let mut times = Vec::with_capacity(count);
    for index in 0..count + count / 10 {
        let begin = Instant::now();
        call()?;
        if index >= count / 10 {
            times.push(begin.elapsed().as_secs_f64());
        }
    }
    Ok(times)
}

/// Seconds per step of each epoch, shuffling included.
#[derive(Default)]
struct Steps {
    begin: Option<Instant>,
    epochs: Vec<f64>,
}

impl Callback for Steps {
    fn on_epoch_begin(&mut self, _: &mut Training<'_>) -> Result<()> {
        self.begin = Some(Instant::now());
        Ok(())
    }
    fn on_epoch_end(&mut self, training: &mut Training<'_>, _: &mut Logs) -> Result<()> {
        let seconds = self.begin.map_or(0.0, |b| b.elapsed().as_secs_f64());
        self.epochs.push(seconds / training.plan.steps as f64);
        Ok(())
    }
}

/// A figure in MB of what the system tells about this process, where it does: `RssAnon` is held now, `VmHWM` was at
/// the peak with code and data of files, `RssFile`.
fn status_mb(key: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(key))?;
    let kb: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kb / 1024.0)
}
