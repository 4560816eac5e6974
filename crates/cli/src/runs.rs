//! What is trained: the article's program, a run description, or a model that was saved.

use footlight::description::{DataSettings, Description, FitSettings, RunSettings, TextSettings};
use footlight::prelude::*;
use footlight::{ErrorKind, data::Dataset};
use std::path::Path;

/// A training before its data are there.
pub struct Run {
    pub settings: RunSettings,
    pub data: DataSettings,
    pub fit: FitSettings,
    model: Choice,
}

enum Choice {
    Article,
    Described(Model),
    Saved(Model),
}

impl Run {
    /// The run of a file, or the article's without one; `set` changes what a description says.
    pub fn open(file: Option<&Path>, set: &[String]) -> Result<Run> {
        let ending = file.and_then(Path::extension).and_then(|ending| ending.to_str());
        match (file, ending) {
            (Some(file), Some("toml")) => Run::described(file, set),
            (Some(file), ending) if !matches!(ending, Some("keras" | "h5" | "hdf5")) => {
                let message = format!("`{}`: the name does not say what it is", file.display());
                Err(Error::new(ErrorKind::Config, message).help("known are .toml (a run description), .keras and .h5"))
            }
            _ if !set.is_empty() => {
                Err(Error::new(ErrorKind::Config, format!("--set {}: there is no run description to change", set[0]))
                    .help("give one, such as footlight train run.toml"))
            }
            (Some(file), _) => {
                let model = saved(file)?;
                let text = TextSettings { vectorization: model.text().cloned(), ..TextSettings::default() };
                let run = Run::of(Choice::Saved(model));
                Ok(Run { data: DataSettings { text, ..run.data }, ..run })
            }
            (None, _) => Ok(Run::of(Choice::Article)),
        }
    }

    fn of(model: Choice) -> Run {
        let fit = FitSettings { epochs: 5, batch_size: 128, ..FitSettings::default() };
        Run { settings: RunSettings::default(), data: DataSettings::default(), fit, model }
    }

    fn described(file: &Path, set: &[String]) -> Result<Run> {
        let description = Description::open(file, set)?;
        let model = Choice::Described(description.model()?);
        let Description { run, data, fit, .. } = description;
        Ok(Run { settings: run, data, fit, model })
    }

    /// What the classes that a saved model answers are called.
    pub fn classes(&self) -> &[String] {
        match &self.model {
            Choice::Saved(model) => model.classes(),
            _ => &[],
        }
    }

    /// The model for these data, compiled by the optimizer given or else its own.
    pub fn model(
        &mut self,
        set: &Dataset,
        optimizer: Option<Box<dyn footlight::nn::Optimizer>>,
        learning_rate: Option<f32>,
    ) -> Result<Model> {
        let seed = self.settings.seed;
        let is_saved = matches!(self.model, Choice::Saved(_));
        let mut model = match std::mem::replace(&mut self.model, Choice::Article) {
            Choice::Described(model) => model.seed(seed),
            Choice::Saved(model) => model.reseed(seed),
            Choice::Article => {
                let mut model = article(set)?.seed(seed);
                model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])?;
                model
            }
        };
        if let Some(optimizer) = optimizer {
            model.set_optimizer(optimizer)?;
        }
        if let Some(learning_rate) = learning_rate {
            let mut optimizer = model.compiled()?.optimizer.clone();
            optimizer.set_learning_rate(learning_rate);
            optimizer.check().map_err(|error| error.at(format!("optimizer `{}`", optimizer.class_name())))?;
            // The optimizer's state of a saved model is kept; a described one may have had a schedule.
            if is_saved {
                model.set_learning_rate(learning_rate)?;
            } else {
                model.set_optimizer(optimizer)?;
            }
        }
        Ok(model)
    }
}

fn saved(file: &Path) -> Result<Model> {
    let model = Model::load(file)?;
    if let Err(error) = model.compiled() {
        return Err(error.at(format!("`{}`", file.display())).help("compile it in Keras and save it again"));
    }
    Ok(model)
}

/// The article's network for these samples: as many classes as there are labels.
fn article(set: &Dataset) -> Result<Model> {
    if set.text.is_some() {
        return Err(Error::new(
            ErrorKind::Config,
            format!("`{}` holds texts, the article's network is for pictures", set.name),
        )
        .help("say what is trained in a run description, as those in examples/runs do"));
    }
    let labels = (0..set.y_train.len()).map(|i| set.y_train.label(i)).max().unwrap_or(0).max(0) as usize + 1;
    Sequential::new(layers![
        Flatten::new().input_shape(set.x_train.sample_shape()),
        Dense::new(128).activation(Relu),
        Dropout::new(0.2),
        Dense::new(labels.max(set.classes.len())).activation(Softmax),
    ])
}
