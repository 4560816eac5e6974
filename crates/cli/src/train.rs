//! `footlight train`: the article's program, a run description, or more of a saved model.

use crate::interruption::Checkpoint;
use crate::runs::Run;
use crate::{data, models, output};
use clap::Parser;
use footlight::prelude::*;
use footlight::{ErrorKind, nn};
use std::path::PathBuf;
use std::time::Duration;

/// Train what a file says, or else the article's network (Flatten, Dense 128 relu, Dropout 0.2, Dense 10 softmax)
#[derive(Parser)]
#[command(after_help = "\
Examples:
  footlight train
  footlight train --data fashion-mnist --epochs 10 --output fashion.keras
  footlight train --data flowers.csv --label species --epochs 50
  footlight train reviews.toml --data reviews.csv --label rating --text-column review
  footlight train run.toml --set fit.epochs=3 --set compile.optimizer=sgd
  footlight train model.keras --data mnist --epochs 2
  footlight train --optimizer sgd --learning-rate 0.1 --validation-split 0.1 --history history.json --plot curve.svg
  footlight train --epochs 100 --resume

RUN is a run description (.toml; `footlight schema` tells its keys) or a compiled model (.keras or .h5), which goes on with the \
optimizer, loss and metrics saved in it. Flags come before what a description says.

Data is looked for in FOOTLIGHT_DATA (one folder per set), in the user's cache, then on the network. Without --data, \
and where MNIST cannot be had, digits are generated, and a warning says so.")]
pub struct Train {
    /// A run description (.toml) or a model to train on (.keras or .h5) [default: the article's program]
    #[arg(value_name = "RUN")]
    run: Option<PathBuf>,
    /// Change what the description says, such as fit.epochs=3
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// A known set (mnist, fashion-mnist, digits, imdb, tiny-shakespeare), a folder of idx files or of .txt files by class,
    /// an .npz file (x, y), a .csv table or a .txt file [default: mnist, else generated digits]
    #[arg(long, value_name = "SET|FOLDER|FILE")]
    data: Option<String>,
    /// The column of a table that holds the labels
    #[arg(long, value_name = "COLUMN")]
    label: Option<String>,
    /// The column of a table that holds texts [default: all but the label hold numbers]
    #[arg(long, value_name = "COLUMN")]
    text_column: Option<String>,
    /// What inputs are divided by [default: 255 for bytes, 1 for other numbers]
    #[arg(long, value_name = "X")]
    scale: Option<f32>,
    /// How often all samples are seen [default: 5]
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
    /// Samples per step [default: 128]
    #[arg(long, value_name = "N")]
    batch_size: Option<usize>,
    #[arg(long, value_name = "NAME", help = format!("{} [default: adam]", nn::optimizers::NAMES.join(", ")))]
    optimizer: Option<String>,
    /// The size of a step [default: the optimizer's own]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    learning_rate: Option<f32>,
    /// The seed of weights, order and dropout [default: 0]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// The most threads to use; results do not depend on it [default: all cores]
    #[arg(long, value_name = "N", value_parser = models::threads)]
    threads: Option<usize>,
    /// The fraction of training samples, the last ones, kept for validation [default: 0]
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    validation_split: Option<f64>,
    /// See the samples in the order they are stored
    #[arg(long)]
    no_shuffle: bool,
    /// Where the trained model is written [default: model.keras]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
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
        if self.epochs == Some(0) {
            return Err(Error::new(ErrorKind::Config, "--epochs 0: nothing would be trained").help("5 is the default"));
        }
        let optimizer = self.optimizer.as_deref().map(nn::optimizers::from_name).transpose()?;
        let mut run = self.settings()?;
        let output = run.settings.output.clone().unwrap_or_else(|| "model.keras".into());
        let history_path = run.settings.history.clone();
        output::check_ending(if self.output.is_some() { "--output" } else { "output" }, &output, "keras")?;
        if let Some(path) = &self.plot {
            output::check_ending("--plot", path, "svg")?;
        }
        for path in [Some(&output), history_path.as_ref(), self.plot.as_ref()].into_iter().flatten() {
            output::check_writable(path)?;
        }
        let every = Duration::try_from_secs_f64(self.checkpoint_every)
            .map_err(|_| Error::new(ErrorKind::Config, "--checkpoint-every: a number of seconds is needed"))?;
        let checkpoint = Checkpoint::new(&output, self.checkpoint_dir.as_deref());
        checkpoint.prepare(&output, self.resume)?;
        let mut set = data::dataset(&run.data, run.settings.seed)?;
        set.number_as(run.classes())?;
        let mut model = run.model(&set, optimizer, self.learning_rate)?;
        if let Some(threads) = self.threads {
            model = model.threads(threads);
        }
        let about = data::describe(&set);
        // A model of texts that goes on with arrays stays one.
        if set.text.is_some() {
            model.set_text(set.text);
        }
        if !set.classes.is_empty() {
            model.set_classes(set.classes);
        }
        let (x_train, x_test) = (run.data.scaled(set.x_train), run.data.scaled(set.x_test));
        if progress != Progress::None {
            model.build_for(&x_train)?;
            let plan = model.training_plan(x_train.len(), run.fit.batch_size.max(1), run.fit.epochs)?;
            output::print(&format!("Data: {about}{}{}\n", model.summary(), plan.to_text()))?;
        }
        let validates_on_test = run.fit.validates_on_test;
        let mut fit = checkpoint.apply(run.fit.to_fit().progress(progress), every, self.resume);
        if validates_on_test {
            fit = fit.validation_data(&x_test, &set.y_test);
        }
        let history = model.fit(&x_train, &set.y_train, fit).map_err(|error| checkpoint.explain(error))?;
        // What was learned is safe before anything else is asked of the model, and new sequences begin.
        model.save(&output)?;
        model.reset_states();
        let evaluation = model.evaluate(&x_test, &set.y_test)?;
        if let Some(path) = &history_path {
            footlight::write_atomically(path, history.to_json().as_bytes())?;
        }
        if let Some(path) = &self.plot {
            footlight::write_atomically(path, history.to_svg().as_bytes())?;
        }
        checkpoint.remove();
        if progress != Progress::None {
            output::print(&format!("Saved: {}\n", output.display()))?;
        }
        output::print(&match evaluation.metric("accuracy") {
            Some(accuracy) => format!("Accuracy: {accuracy:.4}\n"),
            None => format!("Loss: {:.4}\n", evaluation.loss()),
        })
    }

    /// What is trained, with the flags above what a description says.
    fn settings(&self) -> Result<Run> {
        let mut run = Run::open(self.run.as_deref(), &self.set)?;
        put(&mut run.data.set, self.data.clone());
        put(&mut run.data.label, self.label.clone());
        put(&mut run.data.text.column, self.text_column.clone());
        put(&mut run.data.scale, self.scale);
        put(&mut run.settings.output, self.output.clone());
        put(&mut run.settings.history, self.history.clone());
        run.settings.seed = self.seed.unwrap_or(run.settings.seed);
        run.fit.epochs = self.epochs.unwrap_or(run.fit.epochs);
        run.fit.batch_size = self.batch_size.unwrap_or(run.fit.batch_size);
        run.fit.validation_split = self.validation_split.unwrap_or(run.fit.validation_split);
        run.fit.shuffle &= !self.no_shuffle;
        Ok(run)
    }
}

/// Puts a flag that was given in place of what was there.
fn put<T>(place: &mut Option<T>, flag: Option<T>) {
    if flag.is_some() {
        *place = flag;
    }
}
