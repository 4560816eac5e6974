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
    after_help = "Examples:\n  footlight bench\n  footlight bench mlp --threads 2 --json\n  footlight bench mlp --infer"
)]
pub struct Bench {
    /// What to measure [default: all]; known: mlp, cnn, lstm, lstm-128, gpt, recommender, resnet20
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
        let mut model = (workload.network)()?.threads(threads);
        (workload.compile)(&mut model)?;
        let flops = model.plan_summary(workload.batch)?.flops;
        // The first epoch warms caches and makes the plans.
        let mut steps = Steps::default();
        let fit = Fit::new().epochs(self.epochs + 1).batch_size(workload.batch).progress(Progress::None);
        model.fit(x, &y, fit.callback(&mut steps))?;
        self.line(workload.name, threads, Mode::Train, workload.batch, flops, steps.epochs.split_off(1))
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
            self.line(workload.name, threads, Mode::Infer, batch, flops, times)?;
        }
        Ok(())
    }

    /// Prints what the times of steps or answers, in seconds, say.
    fn line(
        &self,
        name: &str,
        threads: usize,
        mode: Mode,
        batch: usize,
        flops: f64,
        mut seconds: Vec<f64>,
    ) -> Result<()> {
        seconds.sort_by(f64::total_cmp);
        let (median_ms, min_ms) = (seconds[seconds.len() / 2] * 1e3, seconds[0] * 1e3);
        let samples_per_s = batch as f64 / median_ms * 1e3;
        let gflops = flops / median_ms / 1e6;
        let rss = peak_rss_mb();
        let told = mode.name();
        if self.json {
            let mut object = serde_json::json!({
                "workload": name, "batch": batch, "threads": threads, "mode": told, "step_ms_median": median_ms,
                "step_ms_min": min_ms, "samples_per_s": samples_per_s, "gflops": gflops, "peak_rss_mb": rss,
            });
            if mode == Mode::Infer {
                object["p50_us"] = (median_ms * 1e3).into();
            }
            return output::print(&format!("{object}\n"));
        }
        let rss = rss.map_or(String::new(), |mb| format!(", peak {mb:.0} MB"));
        output::print(&format!(
            "{name} {told}, batch {batch}, {threads} threads: {median_ms:.4} ms (fastest {min_ms:.4}), \
             {samples_per_s:.0} samples/s, {gflops:.1} GFLOP/s{rss}\n"
        ))
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

/// The most memory this process has held, where the system tells.
fn peak_rss_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    let kb: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kb / 1024.0)
}
