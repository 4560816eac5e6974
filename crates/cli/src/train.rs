//! `footlight train`: the article's program.

use crate::interruption::Checkpoint;
use crate::{data, models, output};
use clap::Parser;
use footlight::prelude::*;
use footlight::{ErrorKind, nn};
use std::path::PathBuf;
use std::time::Duration;

/// Train the article's network (Flatten, Dense 128 relu, Dropout 0.2, Dense 10 softmax) on pictures of digits
#[derive(Parser)]
#[command(after_help = "\
Examples:
  footlight train
  footlight train --data fashion-mnist --epochs 10 --output fashion.keras
  footlight train --optimizer sgd --learning-rate 0.1 --validation-split 0.1 --history history.json --plot curve.svg
  footlight train --epochs 100 --resume

Data is looked for in FOOTLIGHT_DATA (one folder per set), in the user's cache, then on the network. Without --data, \
and where MNIST cannot be had, digits are generated, and a warning says so.")]
pub struct Train {
    /// A known set (mnist, fashion-mnist, digits) or a folder of idx files [default: mnist, else generated digits]
    #[arg(long, value_name = "SET|FOLDER")]
    data: Option<String>,
    /// How often all samples are seen
    #[arg(long, value_name = "N", default_value_t = 5)]
    epochs: usize,
    /// Samples per step
    #[arg(long, value_name = "N", default_value_t = 128)]
    batch_size: usize,
    /// adam, adamw, rmsprop or sgd
    #[arg(long, value_name = "NAME", default_value = "adam")]
    optimizer: String,
    /// The size of a step [default: the optimizer's own]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    learning_rate: Option<f32>,
    /// The seed of weights, order and dropout
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// The most threads to use; results do not depend on it [default: all cores]
    #[arg(long, value_name = "N", value_parser = models::threads)]
    threads: Option<usize>,
    /// The fraction of training samples, the last ones, kept for validation
    #[arg(long, value_name = "F", default_value_t = 0.0, allow_negative_numbers = true)]
    validation_split: f64,
    /// See the samples in the order they are stored
    #[arg(long)]
    no_shuffle: bool,
    /// Where the trained model is written
    #[arg(long, value_name = "FILE", default_value = "model.keras")]
    output: PathBuf,
    /// Where the numbers of each epoch are written as JSON
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// Where the learning curves are drawn
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Where the training is put aside, after epochs and now and then [default: beside the output]
    #[arg(long, value_name = "FOLDER")]
    checkpoint_dir: Option<PathBuf>,
    /// How often it is put aside within an epoch
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    checkpoint_every: f64,
    /// Go on from the checkpoint of a training that was interrupted; the result has the same bytes
    #[arg(long)]
    resume: bool,
    /// How training is told on standard error: auto, bar, plain, json or none
    #[arg(long, value_name = "MODE", default_value = "auto")]
    progress: String,
}

impl Train {
    pub fn run(self) -> Result<()> {
        let progress = Progress::from_name(&self.progress)
            .ok_or_else(|| nn::suggest::unknown("progress mode", &self.progress, &Progress::NAMES))?;
        if self.epochs == 0 {
            return Err(Error::new(ErrorKind::Config, "--epochs 0: nothing would be trained").help("5 is the default"));
        }
        let mut optimizer = nn::optimizers::from_name(&self.optimizer)?;
        if let Some(learning_rate) = self.learning_rate {
            optimizer.set_learning_rate(learning_rate);
        }
        output::check_ending("--output", &self.output, "keras")?;
        if let Some(path) = &self.plot {
            output::check_ending("--plot", path, "svg")?;
        }
        for path in [Some(&self.output), self.history.as_ref(), self.plot.as_ref()].into_iter().flatten() {
            output::check_writable(path)?;
        }
        let every = Duration::try_from_secs_f64(self.checkpoint_every)
            .map_err(|_| Error::new(ErrorKind::Config, "--checkpoint-every: a number of seconds is needed"))?;
        let checkpoint = Checkpoint::new(&self.output, self.checkpoint_dir.as_deref());
        checkpoint.prepare(&self.output, self.resume)?;
        let fit = Fit::new()
            .epochs(self.epochs)
            .batch_size(self.batch_size)
            .shuffle(!self.no_shuffle)
            .validation_split(self.validation_split)
            .progress(progress);
        let set = data::dataset(self.data.as_deref(), self.seed)?;
        let (x_train, x_test) = (data::scaled(set.x_train), data::scaled(set.x_test));
        let mut model = article(&x_train, &set.y_train)?.seed(self.seed);
        if let Some(threads) = self.threads {
            model = model.threads(threads);
        }
        model.compile(optimizer, "sparse_categorical_crossentropy", ["accuracy"])?;
        if progress != Progress::None {
            let plan = model.training_plan(x_train.len(), self.batch_size.max(1), self.epochs)?;
            let head = format!("Data: {} ({})\n{}{}\n", set.name, set.origin, model.summary(), plan.to_text());
            output::print(&head)?;
        }
        let fit = checkpoint.apply(fit, every, self.resume);
        let history = model.fit(&x_train, &set.y_train, fit).map_err(|error| checkpoint.explain(error))?;
        let evaluation = model.evaluate(&x_test, &set.y_test)?;
        model.save(&self.output)?;
        if let Some(path) = &self.history {
            footlight::write_atomically(path, history.to_json().as_bytes())?;
        }
        if let Some(path) = &self.plot {
            footlight::write_atomically(path, history.to_svg().as_bytes())?;
        }
        checkpoint.remove();
        if progress != Progress::None {
            output::print(&format!("Saved: {}\n", self.output.display()))?;
        }
        output::print(&format!("Accuracy: {:.4}\n", evaluation.accuracy()))
    }
}

/// The article's network for these samples: as many classes as there are labels.
fn article(x: &Samples, y: &Samples) -> Result<Model> {
    let classes = (0..y.len()).map(|i| y.label(i)).max().unwrap_or(0).max(0) as usize + 1;
    Sequential::new(layers![
        Flatten::new().input_shape(x.sample_shape()),
        Dense::new(128).activation(Relu),
        Dropout::new(0.2),
        Dense::new(classes).activation(Softmax),
    ])
}
