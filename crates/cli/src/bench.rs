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
    /// What to measure [default: all]; known: mlp, cnn, gpt
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
    batch: usize,
    /// Samples of an epoch.
    samples: usize,
    network: fn() -> Result<Model>,
    data: fn(usize) -> Result<(Samples, Samples)>,
    optimizer: &'static str,
    metrics: &'static [&'static str],
    /// Answers that are measured, after a tenth as many that are not.
    answers: usize,
}

const MLP: Workload = Workload {
    name: "mlp",
    batch: 128,
    samples: 60_000,
    network: mlp,
    data: pictures,
    optimizer: "adam",
    metrics: &["accuracy"],
    answers: 20_000,
};

const WORKLOADS: [Workload; 3] = [
    MLP,
    Workload { name: "cnn", samples: 12_800, network: cnn, ..MLP },
    Workload {
        name: "gpt",
        batch: 16,
        samples: 64,
        network: gpt,
        data: text,
        optimizer: "adamw",
        metrics: &[],
        answers: 100,
    },
];

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
        let (x, y) = (workload.data)(workload.samples)?;
        let mut model = (workload.network)()?.threads(threads);
        model.compile(workload.optimizer, "sparse_categorical_crossentropy", workload.metrics.to_vec())?;
        let flops = model.plan_summary(workload.batch)?.flops;
        // The first epoch warms caches and makes the plans.
        let mut steps = Steps::default();
        let fit = Fit::new().epochs(self.epochs + 1).batch_size(workload.batch).progress(Progress::None);
        model.fit(&x, &y, fit.callback(&mut steps))?;
        let mut epochs: Vec<f64> = steps.epochs[1..].to_vec();
        epochs.sort_by(f64::total_cmp);
        let median = epochs[epochs.len() / 2];
        self.line(Line {
            workload: workload.name,
            threads,
            mode: "train",
            batch: workload.batch,
            median_ms: median * 1e3,
            min_ms: epochs[0] * 1e3,
            flops,
            p50_us: None,
        })
    }

    fn infer(&self, workload: &Workload, threads: usize) -> Result<()> {
        let mut model = (workload.network)()?.threads(threads);
        let flops = model.plan_summary(1)?.flops;
        let extents = |shape: Option<&[usize]>| shape.unwrap_or_default().iter().product::<usize>();
        let (inputs, outputs) =
            (extents(model.architecture().input_shape()), extents(model.architecture().output_shape()));
        let sample: Vec<f32> = (0..inputs).map(|i| (i % 2) as f32).collect();
        let mut out = vec![0.0; outputs];
        let mut times: Vec<f64> = Vec::with_capacity(workload.answers);
        for call in 0..workload.answers + workload.answers / 10 {
            let begin = Instant::now();
            model.predict_one(&sample, &mut out)?;
            if call >= workload.answers / 10 {
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

const STEPS: usize = 128;
const VOCABULARY: usize = 4096;

/// A language model: four blocks of causal attention with eight heads, of width 256.
fn gpt() -> Result<Model> {
    const WIDTH: usize = 256;
    let tokens = Input::new([STEPS]).symbol();
    let mut x = Positions::default().on(&Embedding::new(VOCABULARY, WIDTH).on(&tokens));
    for _ in 0..4 {
        let h = LayerNormalization::new().on(&x);
        x = &x + &MultiHeadAttention::new(8, WIDTH / 8).use_causal_mask(true).on([&h, &h]);
        let h = Dense::new(4 * WIDTH).activation("gelu").on(&LayerNormalization::new().on(&x));
        x = &x + &Dense::new(WIDTH).on(&h);
    }
    let x = LayerNormalization::new().on(&x);
    Functional::new(&tokens, &Dense::new(VOCABULARY).use_bias(false).activation(Softmax).on(&x))
}

/// `y = x + positions`, a learned vector for each step.
#[derive(Clone, Debug, Default)]
struct Positions {
    common: nn::Common,
}

impl Layer for Positions {
    fn common(&self) -> &nn::Common {
        &self.common
    }

    fn common_mut(&mut self) -> &mut nn::Common {
        &mut self.common
    }

    fn weights(&self, input: &[usize]) -> Result<Vec<nn::WeightSpec>, nn::Error> {
        Ok(vec![nn::WeightSpec::new("positions", input, Initializer::random_uniform())])
    }

    fn call(&self, cx: &mut nn::Call<'_>, x: nn::Masked) -> nn::Masked {
        x.with(cx.graph.add(x.value, cx.weights[0]))
    }
}

/// Random tokens, and as labels others.
fn text(count: usize) -> Result<(Samples, Samples)> {
    let mut rng = footlight::tensor::Philox::new(footlight::tensor::RandomKey::new(1));
    let mut tokens = || -> Vec<i32> { (0..count * STEPS).map(|_| rng.below(VOCABULARY as u32) as i32).collect() };
    let (x, y) = (tokens(), tokens());
    Ok((Samples::from(Tensor::new([count, STEPS], x)?), Samples::from(Tensor::new([count, STEPS], y)?)))
}

/// Random bytes as pictures, random classes as labels.
fn pictures(count: usize) -> Result<(Samples, Samples)> {
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
