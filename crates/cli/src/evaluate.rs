//! `footlight evaluate`: how a model does on the test samples of a set.

use crate::{data, models, output};
use clap::Parser;
use footlight::description::{DataSettings, TextSettings};
use footlight::prelude::*;
use serde_json::json;
use std::path::PathBuf;

/// Test a model: loss, metrics and confusion matrix on the test samples of a set
#[derive(Parser)]
#[command(after_help = "\
Examples:
  footlight evaluate model.keras --data mnist
  footlight evaluate model.keras --data fashion-mnist --json
  footlight evaluate model.keras --data flowers.csv --label species

Bytes, such as pixels, are divided by 255, and texts are read by the model's vocabulary, as in training. Rows of the confusion matrix are the true classes, columns the \
predicted ones.")]
pub struct Evaluate {
    /// The model, a .keras file or an .h5 file of Keras
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// A known set (mnist, fashion-mnist, digits, imdb, tiny-shakespeare), a folder of idx files or of .txt files by class,
    /// an .npz file, a .csv table or a .txt file
    #[arg(long, value_name = "SET|FOLDER|FILE")]
    data: String,
    /// The column of a table that holds the labels
    #[arg(long, value_name = "COLUMN")]
    label: Option<String>,
    /// The column of a table that holds texts
    #[arg(long, value_name = "COLUMN")]
    text_column: Option<String>,
    /// What inputs are divided by [default: 255 for bytes, 1 for other numbers]
    #[arg(long, value_name = "X")]
    scale: Option<f32>,
    /// The most threads to use; results do not depend on it [default: all cores]
    #[arg(long, value_name = "N", value_parser = models::threads)]
    threads: Option<usize>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Evaluate {
    pub fn run(self) -> Result<()> {
        let mut model = models::open(&self.model, self.threads)?;
        let place = |error: Error| error.at(format!("`{}`", self.model.display()));
        model.compiled().map_err(place)?;
        let text = TextSettings { column: self.text_column, vectorization: model.text().cloned() };
        let (set, label) = (Some(self.data), self.label);
        let settings = DataSettings { set, label, scale: self.scale, text, ..DataSettings::default() };
        let mut set = data::dataset(&settings, 0)?;
        set.number_as(model.classes())?;
        let about = data::describe(&set);
        let x = data::fitted(settings.scaled(set.x_test), model.architecture().input_shape())?;
        let y = set.y_test;
        let evaluation = model.evaluate(&x, &y)?;
        let matrix = match model.architecture().output_shape() {
            Some([_]) => confusion(&model.predict(&x)?, &y),
            _ => None,
        };
        if self.json {
            let mut object = serde_json::Map::new();
            object.insert("samples".into(), x.len().into());
            object.extend(evaluation.values().iter().map(|(name, value)| (name.clone(), json!(value))));
            object.insert("confusion_matrix".into(), json!(matrix));
            return output::print(&format!("{}\n", serde_json::Value::Object(object)));
        }
        let mut text = format!("{} test samples of {about}", x.len());
        for (name, value) in evaluation.values() {
            text += &format!("{name}: {value:.4}\n");
        }
        if let Some(matrix) = matrix {
            text += &table(&matrix);
        }
        output::print(&text)
    }
}

/// How often each class (row) was taken for each class (column), if the model's output is one number per class or, for
/// two classes, a probability.
fn confusion(prediction: &Tensor, y: &Samples) -> Option<Vec<Vec<usize>>> {
    let [_, units] = *prediction.shape() else { return None };
    let scores = prediction.to_f32();
    let classes = units.max(2);
    let mut matrix = vec![vec![0; classes]; classes];
    for (index, scores) in scores.chunks(units).enumerate() {
        let predicted = if units == 1 { usize::from(scores[0] > 0.5) } else { largest(scores) };
        let truth = if y.sample_len() == units && units > 1 {
            let mut row = vec![0.0; units];
            y.row_f32(index, &mut row);
            largest(&row)
        } else {
            usize::try_from(y.label(index)).ok()?
        };
        *matrix.get_mut(truth)?.get_mut(predicted)? += 1;
    }
    Some(matrix)
}

/// The position of the largest number, the first of equals.
pub fn largest(scores: &[f32]) -> usize {
    (1..scores.len()).fold(0, |best, i| if scores[i] > scores[best] { i } else { best })
}

fn table(matrix: &[Vec<usize>]) -> String {
    let cells = || matrix.iter().flatten().copied().chain([matrix.len()]);
    let width = cells().map(|count| count.to_string().len()).max().unwrap_or(1) + 2;
    let line = |head: &str, cells: &[String]| {
        let cells: String = cells.iter().map(|cell| format!("{cell:>width$}")).collect();
        format!("{head:>6}{cells}\n")
    };
    let header: Vec<String> = (0..matrix.len()).map(|class| class.to_string()).collect();
    let mut text = String::from("\nConfusion matrix: a row for each true class, a column for each predicted one\n");
    text += &line("", &[header, vec!["  recall".into()]].concat());
    for (class, row) in matrix.iter().enumerate() {
        let total: usize = row.iter().sum();
        let recall = if total == 0 { "-".into() } else { format!("{:.3}", row[class] as f64 / total as f64) };
        let counts: Vec<String> = row.iter().map(usize::to_string).chain([format!("{recall:>8}")]).collect();
        text += &line(&class.to_string(), &counts);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truth_goes_down_and_prediction_across() {
        let prediction = Tensor::new([3, 2], vec![0.9f32, 0.1, 0.2, 0.8, 0.7, 0.3]).unwrap();
        let y = Samples::from(Tensor::new([3], vec![0u8, 1, 1]).unwrap());
        assert_eq!(confusion(&prediction, &y), Some(vec![vec![1, 0], vec![1, 1]]));
        let one = Tensor::new([3, 1], vec![0.9f32, 0.1, 0.2]).unwrap();
        assert_eq!(confusion(&one, &y), Some(vec![vec![0, 1], vec![2, 0]]));
    }
}
