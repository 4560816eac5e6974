//! `footlight predict`: a model's answers to arrays, pictures and texts.

use crate::evaluate::largest;
use crate::{data, models, output};
use clap::Parser;
use footlight::data::Picture;
use footlight::prelude::*;
use footlight::tensor::{display_shape, npy, npz};
use footlight::{ErrorKind, is_distribution, write_atomically};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Ask a model: arrays in, arrays out; of a picture or text the probability of each class
#[derive(Parser)]
#[command(after_help = "\
Examples:
  footlight predict model.keras --input digit.png
  footlight predict model.keras --input photo.jpg --invert
  footlight predict model.keras --input x.npy --output y.npy
  footlight predict imdb.keras --text \"What a wonderful film\"

An .npz file for a model of one input may hold one array under any name, or one called x among others. Bytes are divided \
by 255, as in training; other numbers are taken as they are. In an .npz output the answer is called output_0.")]
pub struct Predict {
    /// The model, a .keras file or an .h5 file of Keras
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// The samples: .npy, .npz, .png or .jpg
    #[arg(long, value_name = "FILE", required_unless_present = "text")]
    input: Option<PathBuf>,
    /// A text in place of a file, for a model of texts; may be given several times
    #[arg(long, value_name = "TEXT", conflicts_with = "input")]
    text: Vec<String>,
    /// Where the answers are written, .npy or .npz [default: as text on standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Take a picture's black for white and its white for black
    #[arg(long)]
    invert: bool,
    /// The extents of a picture where the model leaves them open, such as 64,64,3
    #[arg(long, value_name = "N,N", value_parser = models::shape)]
    shape: Vec<models::Shape>,
    /// The most threads to use; results do not depend on it [default: all cores]
    #[arg(long, value_name = "N", value_parser = models::threads)]
    threads: Option<usize>,
}

/// The array of a model's one input.
const INPUT: &str = "x";
/// Classes shown of one picture.
const SHOWN: usize = 10;
/// Cells of a bar of probability 1.
const BAR: f32 = 40.0;

impl Predict {
    pub fn run(self) -> Result<()> {
        let format = self.output.as_deref().map(output_format).transpose()?;
        let kind = self.input.as_deref().map(input_kind).transpose()?;
        if self.invert && kind != Some(InputKind::Picture) {
            return Err(Error::new(ErrorKind::Config, "--invert is for pictures only"));
        }
        let mut model = models::open_to_answer(&self.model, self.threads)?;
        models::build(&mut model, &self.shape)?;
        let x = match (&self.input, kind) {
            (Some(input), Some(kind)) => self.samples(&model, input, kind)?,
            _ => (&model.read_texts(&self.text).map_err(|error| error.at(quoted(&self.model)))?).into(),
        };
        let asked = self.input.as_deref().map_or("--text".into(), quoted);
        let answers = model.predict_all(x).map_err(|error| error.at(asked))?;
        let classes = model.classes();
        match (&self.output, format) {
            (Some(path), Some(format)) => Ok(write_atomically(path, &format(&answers)?)?),
            _ if answers.len() == 1 && (kind == Some(InputKind::Picture) || self.text.len() == 1) => {
                output::print(&one(&answers[0], classes))
            }
            _ => output::print(&told(&answers, &model.architecture().output_names(), classes)),
        }
    }

    /// The samples of the one input, whatever its array is called, or of several inputs by their names.
    fn samples(&self, model: &Model, path: &Path, kind: InputKind) -> Result<SamplesList> {
        let place = |e: Error| e.at(quoted(path));
        if let [input] = model.architecture().inputs() {
            let sample = input.shape.as_deref();
            let x = match kind {
                InputKind::Picture => self.picture(path, sample)?,
                _ => samples(read_array(path, kind)?, sample).map_err(place)?,
            };
            return Ok((&data::scaled(Samples::from(x))).into());
        }
        let names: Vec<&str> = model.architecture().inputs().iter().map(|input| input.name.as_str()).collect();
        if kind != InputKind::Npz {
            let message = format!("the model has {} inputs: {}", names.len(), names.join(", "));
            return Err(place(
                Error::new(ErrorKind::Data, message).help("give an .npz file with an array of each name"),
            ));
        }
        let arrays = read_arrays(path)?.into_iter();
        let named = arrays.map(|(name, array)| {
            let input = model.architecture().inputs().iter().find(|input| input.name == name);
            let x = samples(array, input.and_then(|input| input.shape.as_deref()));
            Ok((name, data::scaled(Samples::from(x.map_err(place)?))))
        });
        Ok(named.collect::<Result<Vec<_>>>()?.into())
    }

    fn picture(&self, path: &Path, sample: Option<&[usize]>) -> Result<Tensor> {
        let Some(sample) = sample else {
            return Err(Error::new(ErrorKind::Shape, "the model does not say which shape its samples have")
                .help("say it, such as --shape 64,64,3"));
        };
        let mut picture = Picture::open(path, sample)?;
        if picture.size != picture.scaled_to {
            let ((w, h), (to_w, to_h)) = (picture.size, picture.scaled_to);
            output::note(&format!("{} is {w}x{h}; it was scaled to {to_w}x{to_h}", quoted(path)));
        }
        if self.invert {
            picture = picture.inverted()?;
        }
        if picture.is_blank() {
            output::note("the picture is blank: whatever is answered means nothing");
        } else if picture.is_dark_on_light() {
            let advice = if self.invert { "try without --invert" } else { "try --invert" };
            output::note(&format!(
                "the picture looks inverted: dark on light, where MNIST has light on dark; {advice}"
            ));
        }
        Ok(picture.sample.reshape([&[1], sample].concat())?)
    }
}

#[derive(Clone, Copy, PartialEq)]
enum InputKind {
    Npy,
    Npz,
    Picture,
}

fn extension(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_lowercase()
}

fn quoted(path: &Path) -> String {
    format!("`{}`", path.display())
}

fn input_kind(path: &Path) -> Result<InputKind> {
    match extension(path).as_str() {
        "npy" => Ok(InputKind::Npy),
        "npz" => Ok(InputKind::Npz),
        "png" | "jpg" | "jpeg" => Ok(InputKind::Picture),
        _ => Err(Error::new(ErrorKind::Config, format!("--input {}: the name does not say what it is", quoted(path)))
            .help("known are .npy, .npz, .png and .jpg")),
    }
}

type ToBytes = fn(&[Tensor]) -> Result<Vec<u8>>;

fn output_format(path: &Path) -> Result<ToBytes> {
    output::check_writable(path)?;
    match extension(path).as_str() {
        "npy" => Ok(|answers| match answers {
            [one] => Ok(npy::write(one)?),
            many => Err(Error::new(ErrorKind::Config, format!("the model has {} outputs", many.len()))
                .help("an .npy file holds one array; write an .npz file")),
        }),
        "npz" => Ok(|answers| {
            let names: Vec<String> = (0..answers.len()).map(|index| format!("output_{index}")).collect();
            Ok(npz::write(names.iter().map(String::as_str).zip(answers))?)
        }),
        _ => Err(Error::new(ErrorKind::Config, format!("--output {}: the name does not say what it is", quoted(path)))
            .help("known are .npy and .npz")),
    }
}

fn read_array(path: &Path, kind: InputKind) -> Result<Tensor> {
    if kind == InputKind::Npy {
        return npy::read(&bytes_of(path)?).map_err(|e| Error::from(e.at(quoted(path))));
    }
    let mut arrays = read_arrays(path)?;
    let names: Vec<String> = arrays.iter().map(|(name, _)| format!("`{name}`")).collect();
    let chosen = if arrays.len() == 1 { Some(0) } else { arrays.iter().position(|(name, _)| name == INPUT) };
    match chosen {
        Some(index) => Ok(arrays.swap_remove(index).1),
        None => {
            let message = format!("{}: which array is the input? It holds {}", quoted(path), list(&names));
            Err(Error::new(ErrorKind::Data, message).help(format!("leave one array, or call one of them `{INPUT}`")))
        }
    }
}

fn bytes_of(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| Error::new(ErrorKind::File, format!("{}: cannot read it: {e}", quoted(path))))
}

/// All arrays of an .npz file with their names.
fn read_arrays(path: &Path) -> Result<Vec<(String, Tensor)>> {
    npz::read(&bytes_of(path)?).map_err(|e| Error::from(e.at(quoted(path))))
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

/// An array as samples: as it is, with the axis of one sample added, or in the shape the model expects if each sample has
/// as many elements.
fn samples(array: Tensor, sample: Option<&[usize]>) -> Result<Tensor> {
    let Some(sample) = sample else { return Ok(array) };
    let shape = array.shape().to_vec();
    let len = |shape: &[usize]| shape.iter().product::<usize>();
    if shape == sample {
        return Ok(array.reshape([&[1], sample].concat())?);
    }
    match shape.split_first() {
        Some((count, rest)) if len(rest) == len(sample) => Ok(array.reshape([&[*count], sample].concat())?),
        _ => {
            let samples: String = sample.iter().map(|d| format!(", {d}")).collect();
            let message = format!("the array has shape {}, the model expects [N{samples}]", display_shape(&shape));
            Err(Error::new(ErrorKind::Shape, message).help("reshape the array; N is the number of samples"))
        }
    }
}

fn numbers(row: &[f32]) -> String {
    row.iter().map(|x| format!("{x}")).collect::<Vec<_>>().join(" ")
}

/// The probabilities of the classes, if that is what these are; one is that of the second of two.
fn distribution(row: &[f32], classes: &[String]) -> Option<Vec<f32>> {
    match *row {
        [p] if classes.len() == 2 && (0.0..=1.0).contains(&p) => Some(vec![1.0 - p, p]),
        _ => is_distribution(row).then(|| row.to_vec()),
    }
}

/// What a class is called, or else its number in so many places.
fn name(classes: &[String], class: usize, places: usize) -> String {
    classes.get(class).cloned().unwrap_or_else(|| format!("class {class:>places$}"))
}

/// The answer to one picture or text: the likeliest classes first.
fn one(prediction: &Tensor, names: &[String]) -> String {
    let row = prediction.to_f32();
    let Some(row) = distribution(&row, names) else {
        return format!("{}\n", numbers(&row));
    };
    let width = (0..row.len()).map(|class| name(names, class, 3).chars().count()).max().unwrap_or(0);
    let mut classes: Vec<usize> = (0..row.len()).collect();
    classes.sort_by(|a, b| row[*b].total_cmp(&row[*a]));
    let mut text = String::new();
    for class in classes.iter().take(SHOWN) {
        let bar = "█".repeat((row[*class] * BAR).round() as usize);
        let line = format!("{:<width$}  {:.4}  {bar}", name(names, *class, 3), row[*class]);
        let _ = writeln!(text, "{}", line.trim_end());
    }
    if row.len() > SHOWN {
        let _ = writeln!(text, "and {} less likely", row.len() - SHOWN);
    }
    text
}

/// The answers to all samples, each output under its name where there are several.
fn told(answers: &[Tensor], names: &[String], classes: &[String]) -> String {
    match answers {
        [one] => all(one, classes),
        many => many.iter().zip(names).map(|(answer, name)| format!("{name}\n{}", all(answer, &[]))).collect(),
    }
}

/// A line for each sample.
fn all(prediction: &Tensor, classes: &[String]) -> String {
    let count = prediction.shape().first().copied().unwrap_or(1);
    let rows = prediction.to_f32();
    let mut text = String::new();
    for (index, row) in rows.chunks(rows.len().div_ceil(count.max(1)).max(1)).enumerate() {
        let _ = match distribution(row, classes) {
            Some(row) => {
                let class = largest(&row);
                writeln!(text, "sample {index}: {}, probability {:.4}", name(classes, class, 0), row[class])
            }
            None => writeln!(text, "sample {index}: {}", numbers(row)),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zeros(shape: &[usize]) -> Tensor {
        Tensor::new(shape, vec![0.0f32; shape.iter().product()]).unwrap()
    }

    #[test]
    fn one_sample_and_axes_of_extent_1_are_put_right() {
        for shape in [&[28, 28][..], &[1, 28, 28], &[1, 28, 28, 1]] {
            assert_eq!(samples(zeros(shape), Some(&[28, 28])).unwrap().shape(), [1, 28, 28]);
        }
        let error = samples(zeros(&[5, 27, 28]), Some(&[28, 28])).unwrap_err();
        assert_eq!(error.message(), "the array has shape [5, 27, 28], the model expects [N, 28, 28]");
    }

    #[test]
    fn classes_are_told_by_likelihood_and_other_numbers_as_they_are() {
        let text = one(&Tensor::new([1, 3], vec![0.2f32, 0.7, 0.1]).unwrap(), &[]);
        assert!(text.starts_with("class   1  0.7000  ████████████████████████████\n"), "{text}");
        assert_eq!(one(&Tensor::new([1, 2], vec![2.5f32, -1.0]).unwrap(), &[]), "2.5 -1\n");
        let text = all(&Tensor::new([2, 2], vec![0.25f32, 0.75, 3.0, 1.0]).unwrap(), &[]);
        assert_eq!(text, "sample 0: class 1, probability 0.7500\nsample 1: 3 1\n");
        let names = ["good".to_string(), "excellent".to_string()];
        let text = one(&Tensor::new([1, 1], vec![0.25f32]).unwrap(), &names);
        assert!(text.starts_with("good       0.7500  ██") && text.contains("\nexcellent  0.2500  █"), "{text}");
        let text = all(&Tensor::new([2, 1], vec![0.75f32, 1.5]).unwrap(), &names);
        assert_eq!(text, "sample 0: excellent, probability 0.7500\nsample 1: 1.5\n");
    }
}
