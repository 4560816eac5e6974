//! Where the command finds its data.

use footlight::Result;
use footlight::data::{Dataset, LoadOptions, Samples, load};
use footlight::description::DataSettings;
use std::io::IsTerminal;

/// Loads a named set, a folder, a file, or the default with its fallback.
pub fn dataset(settings: &DataSettings, seed: u64) -> Result<Dataset> {
    let options = LoadOptions {
        show_progress: std::io::stderr().is_terminal(),
        seed,
        label: settings.label.clone(),
        text_column: settings.text.column.clone(),
        text: settings.text.vectorization.clone(),
        test_split: settings.test_split,
        ..LoadOptions::from_environment()
    };
    load(settings.set.as_deref(), &options, &mut std::io::stderr())
}

/// What a set is, in a line, and in one more each if its labels or samples are texts.
pub fn describe(set: &Dataset) -> String {
    let mut text = format!("{} ({})\n", set.name, set.origin);
    if !set.classes.is_empty() {
        let classes: Vec<String> = set.classes.iter().enumerate().map(|(i, name)| format!("{i} {name}")).collect();
        text += &format!("Classes: {}\n", classes.join(", "));
    }
    if let Some(texts) = &set.text {
        text += &format!("Vocabulary: {texts}\n");
    }
    text
}

/// Pictures as numbers between 0 and 1: bytes are divided by 255, anything else is left as it is.
pub fn scaled(x: Samples) -> Samples {
    DataSettings::default().scaled(x)
}

/// Samples in the shape that a model expects, if only the shape differs: pictures for a model of flat samples.
pub fn fitted(x: Samples, expected: Option<&[usize]>) -> Result<Samples> {
    match expected {
        Some(shape) if shape.iter().product::<usize>() == x.sample_len() => x.reshape(shape),
        _ => Ok(x),
    }
}
