//! `footlight bench`: how fast training steps are on this machine, through the public API.

use crate::{models, output};
use clap::Parser;
use footlight::prelude::*;
use footlight::train::{Callback, Logs, Training};
use footlight::{ErrorKind, nn};
use std::time::Instant;

/// Measure training steps (shuffling and batching included) or answers on synthetic data
#[derive(Parser)]
#[command(
    after_help = "Examples:\n  footlight bench\n  footlight bench mlp --threads 2 --json\n  footlight bench mlp --infer"
)]
pub struct Bench {
    /// What to measure [default: all]; known: mlp, cnn
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
    /// One JSON object per line
    #[arg(long)]
    json: bool,
}

/// A network to measure.
struct Workload {
    name: &'static str,
    /// Samples of an epoch.
    samples: usize,
    network: fn() -> Result<Model>,
}

const WORKLOADS: [Workload; 2] =
    [Workload { name: "mlp", samples: 60_000, network: mlp }, Workload { name: "cnn", samples: 12_800, network: cnn }];
const BATCH: usize = 128;

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
            if self.infer { self.infer(workload, threads)? } else { self.train(workload, threads)? }
        }
        Ok(())
    }

    fn train(&self, workload: &Workload, threads: usize) -> Result<()> {
        let (x, y) = synthetic(workload.samples)?;
        let mut model = (workload.network)()?.threads(threads);
        model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])?;
        let flops = model.plan_summary(BATCH)?.flops;
        // The first epoch warms caches and makes the plans.
        let mut steps = Steps::default();
        let fit = Fit::new().epochs(self.epochs + 1).batch_size(BATCH).progress(Progress::None);
        model.fit(&x, &y, fit.callback(&mut steps))?;
        let mut epochs: Vec<f64> = steps.epochs[1..].to_vec();
        epochs.sort_by(f64::total_cmp);
        let median = epochs[epochs.len() / 2];
        self.line(Line {
            workload: workload.name,
            threads,
            mode: "train",
            batch: BATCH,
            median_ms: median * 1e3,
            min_ms: epochs[0] * 1e3,
            flops,
            p50_us: None,
        })
    }

    fn infer(&self, workload: &Workload, threads: usize) -> Result<()> {
        let mut model = (workload.network)()?.threads(threads);
        let flops = model.plan_summary(1)?.flops;
        let sample: Vec<f32> = (0..784).map(|i| (i % 17) as f32 / 17.0).collect();
        let mut out = [0.0; 10];
        let mut times: Vec<f64> = Vec::with_capacity(20_000);
        for call in 0..22_000 {
            let begin = Instant::now();
            model.predict_one(&sample, &mut out)?;
            if call >= 2_000 {
                times.push(begin.elapsed().as_secs_f64());
            }
        }
        times.sort_by(f64::total_cmp);
        let median = times[times.len() / 2];
        self.line(Line {
            workload: workload.name,
            threads,
            mode: "infer",
            batch: 1,
            median_ms: median * 1e3,
            min_ms: times[0] * 1e3,
            flops,
            p50_us: Some(median * 1e6),
        })
    }

    fn line(&self, line: Line) -> Result<()> {
        let Line { workload, threads, mode, batch, median_ms, min_ms, flops, p50_us } = line;
        let samples_per_s = batch as f64 / median_ms * 1e3;
        let gflops = flops / median_ms / 1e6;
        let rss = peak_rss_mb();
        if self.json {
            let mut object = serde_json::json!({
                "workload": workload, "batch": batch, "threads": threads, "mode": mode, "step_ms_median": median_ms,
                "step_ms_min": min_ms, "samples_per_s": samples_per_s, "gflops": gflops, "peak_rss_mb": rss,
            });
            if let Some(p50_us) = p50_us {
                object["p50_us"] = p50_us.into();
            }
            return output::print(&format!("{object}\n"));
        }
        let rss = rss.map_or(String::new(), |mb| format!(", peak {mb:.0} MB"));
        output::print(&format!(
            "{workload} {mode}, batch {batch}, {threads} threads: {median_ms:.4} ms (fastest {min_ms:.4}), \
             {samples_per_s:.0} samples/s, {gflops:.1} GFLOP/s{rss}\n"
        ))
    }
}

struct Line {
    workload: &'static str,
    threads: usize,
    mode: &'static str,
    batch: usize,
    median_ms: f64,
    min_ms: f64,
    flops: f64,
    p50_us: Option<f64>,
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

fn mlp() -> Result<Model> {
    Sequential::new(layers![
        Flatten::new().input_shape([28, 28]),
        Dense::new(128).activation(Relu),
        Dropout::new(0.2),
        Dense::new(10).activation(Softmax),
    ])
}

fn cnn() -> Result<Model> {
    Sequential::new(layers![
        Reshape::new([28, 28, 1]).input_shape([28, 28]),
        Conv2D::new(32, 3).activation(Relu),
        MaxPooling2D::new(2),
        Conv2D::new(64, 3).activation(Relu),
        MaxPooling2D::new(2),
        Flatten::new(),
        Dropout::new(0.5),
        Dense::new(10).activation(Softmax),
    ])
}

/// Random bytes as pictures, random classes as labels.
fn synthetic(count: usize) -> Result<(Samples, Samples)> {
    let mut rng = footlight::tensor::Philox::new(footlight::tensor::RandomKey::new(1));
    let pixels: Vec<u8> = (0..count * 784 / 4).flat_map(|_| rng.word().to_le_bytes()).collect();
    let labels: Vec<u8> = (0..count).map(|_| rng.below(10) as u8).collect();
    let x = Samples::from(Tensor::new([count, 28, 28], pixels)?) / 255.0;
    Ok((x, Samples::from(Tensor::new([count], labels)?)))
}

/// The most memory this process has held, where the system tells.
fn peak_rss_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    let kb: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kb / 1024.0)
}
