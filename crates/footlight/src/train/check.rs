//! Data looked at before it is trained on.

use std::ops::Range;

use crate::data::{Columns, Feeds, Samples, SamplesList};
use crate::model::Model;
use crate::{Error, ErrorKind, Result};
use footlight_nn::{Architecture, Loss, ModelInput, losses};
use footlight_tensor::{DType, Data, display_shape};

impl Model {
    /// The samples by the model's inputs and outputs; refuses what it cannot be trained on or measured with, and builds it
    /// for `x` if it is not built yet.
    pub(crate) fn checked(&mut self, x: impl Into<SamplesList>, y: impl Into<SamplesList>) -> Result<Columns> {
        let compile = self.compiled()?.clone().for_model(self.architecture())?;
        let (x, y) = (self.inputs_of(x)?, y.into().in_order("output", &self.architecture().output_names())?);
        check_lengths(&x, &y)?;
        self.build_all(&x)?;
        check_inputs(&x, self.architecture())?;
        for ((y, port), terms) in y.iter().zip(self.architecture().outputs()).zip(&compile.outputs) {
            let prediction = self.architecture().shape_of(*port).expect("built above");
            check_targets(y, &terms.loss, prediction)?;
        }
        Ok(Columns::new(x, y))
    }

    /// The samples in the order of the model's inputs.
    pub(crate) fn inputs_of(&self, x: impl Into<SamplesList>) -> Result<Vec<Samples>> {
        let names: Vec<String> = self.architecture().inputs().iter().map(|input| input.name.clone()).collect();
        // The weights of samples are one more.
        if names.len() + self.architecture().outputs().len() + 1 > Feeds::MOST {
            let message = format!("a model takes at most {} inputs and outputs together", Feeds::MOST - 1);
            return Err(Error::new(ErrorKind::Config, message).help("put inputs of one kind into one, side by side"));
        }
        x.into().in_order("input", &names)
    }
}

/// Refuses inputs with numbers that are not finite, and indices that a layer does not know.
pub(crate) fn check_inputs(x: &[Samples], model: &Architecture) -> Result<()> {
    let name = |input: &ModelInput| if x.len() == 1 { "x".into() } else { format!("x `{}`", input.name) };
    for (index, (x, input)) in x.iter().zip(model.inputs()).enumerate() {
        check_values(&name(input), x)?;
        let Some((layer, count)) = model.num_indices_of(index) else { continue };
        let is_bad = |number: f32| number.fract() != 0.0 || !(0.0..count as f32).contains(&number);
        if let Some((sample, number)) = first_number(x, is_bad) {
            let message = format!(
                "{}: sample {sample} holds {number}, layer `{layer}` takes indices from 0 to {}",
                name(input),
                count - 1
            );
            let help = "number what it stands for from 0, or give the layer a larger input_dim";
            return Err(data(message).help(help));
        }
    }
    Ok(())
}

/// Refuses numbers that are not finite, naming the first.
pub(crate) fn check_values(name: &str, samples: &Samples) -> Result<()> {
    let (scale, offset) = samples.scale_offset();
    if !(scale.is_finite() && offset.is_finite()) {
        let message = format!("{name}: every number is multiplied by {scale} and moved by {offset}");
        return Err(numeric(message).help("a division by 0 does that; divide by another number, such as 255"));
    }
    let Some(at) = first_non_finite(samples) else { return Ok(()) };
    let len = samples.sample_len();
    let mut row = vec![0.0; len];
    samples.row_f32(at / len, &mut row);
    let (sample, element) = (at / len, at % len);
    let (number, value) = (stored(samples, at), row[element]);
    let place = format!("{name}: sample {sample} holds");
    if !number.is_finite() {
        let message = format!("{place} {number} at element {element}");
        return Err(numeric(message).help("remove such samples, or fill the gaps"));
    }
    let message = format!("{place} {number:.3e} at element {element}, which becomes {value} as float32");
    Err(numeric(message).help("scale the numbers to about -1 to 1"))
}

/// Where the first number lies that is not finite once it is mapped to `f32`, in elements from the first sample.
fn first_non_finite(samples: &Samples) -> Option<usize> {
    let (scale, offset) = samples.scale_offset();
    let largest = match samples.dtype() {
        DType::U8 => 255.0,
        DType::I32 => i32::MAX as f32,
        DType::I64 => i64::MAX as f32,
        DType::F32 | DType::F64 => f32::INFINITY,
    };
    if (largest * scale.abs() + offset.abs()).is_finite() {
        return None;
    }
    let is_bad = |stored: f32| !(stored * scale + offset).is_finite();
    let elements = elements(samples);
    match samples.tensor().data() {
        Data::F32(v) => v[elements].iter().position(|x| is_bad(*x)),
        Data::F64(v) => v[elements].iter().position(|x| is_bad(*x as f32)),
        Data::I64(v) => v[elements].iter().position(|x| is_bad(*x as f32)),
        Data::I32(v) => v[elements].iter().position(|x| is_bad(*x as f32)),
        Data::U8(v) => v[elements].iter().position(|x| is_bad(f32::from(*x))),
    }
}

/// The number stored as element `at` from the first sample.
fn stored(samples: &Samples, at: usize) -> f64 {
    let at = elements(samples).start + at;
    match samples.tensor().data() {
        Data::F32(v) => f64::from(v[at]),
        Data::F64(v) => v[at],
        Data::I64(v) => v[at] as f64,
        Data::I32(v) => f64::from(v[at]),
        Data::U8(v) => f64::from(v[at]),
    }
}

/// The stored elements of all samples.
fn elements(samples: &Samples) -> Range<usize> {
    let (range, len) = (samples.range(), samples.sample_len());
    range.start * len..range.end * len
}

fn check_lengths(all_x: &[Samples], all_y: &[Samples]) -> Result<()> {
    let x = &all_x[0];
    if let Some(other) = all_x.iter().find(|other| other.len() != x.len()) {
        let message = format!("the inputs have {} and {} samples", x.len(), other.len());
        return Err(data(message).help("every sample needs all inputs: check how they were split"));
    }
    if let Some(y) = all_y.iter().find(|y| y.len() != x.len()) {
        let message = format!("x has {} samples, y has {}", x.len(), y.len());
        return Err(data(message).help("every sample needs one target: check how they were split"));
    }
    if x.is_empty() || x.sample_len() == 0 {
        let shape = display_shape(&[&[x.len()], x.sample_shape()].concat());
        return Err(data(format!("x has shape {shape}, there is nothing in it"))
            .help("check where the samples come from and how they were filtered"));
    }
    Ok(())
}

/// Refuses targets that do not fit the loss and the predictions.
fn check_targets(y: &Samples, loss: &Loss, prediction: &[usize]) -> Result<()> {
    let want = loss.target_type(&[&[1], prediction].concat()).shape;
    let significant = |shape: &[usize]| shape.iter().copied().filter(|d| *d != 1).collect::<Vec<_>>();
    if significant(y.sample_shape()) != significant(&want[1..]) {
        return Err(losses::target_mismatch(loss, y.sample_shape(), prediction).into());
    }
    check_values("y", y)?;
    match (loss, loss.num_classes(prediction)) {
        (_, Some(classes)) => check_classes(y, loss, classes),
        (Loss::BinaryCrossentropy { .. }, None) => check_probabilities(y, loss),
        _ => Ok(()),
    }
}

fn check_classes(y: &Samples, loss: &Loss, classes: usize) -> Result<()> {
    if let Some((index, label)) = first_number(y, |label| label.fract() != 0.0) {
        let message = format!("y: sample {index} has label {label}, loss `{}` expects whole numbers", loss.name());
        return Err(data(message).help("for one-hot targets use categorical_crossentropy"));
    }
    if let Some((index, label)) = first_number(y, |label| !(0.0..classes as f32).contains(&label)) {
        let message = format!(
            "y: sample {index} has label {label}, legal are 0 to {}\n  the model's last layer has {classes} units",
            classes - 1
        );
        let help = match label < 0.0 {
            true => "number the classes from 0".to_owned(),
            false => format!("give the last layer {} units, or correct the labels", label as i64 + 1),
        };
        return Err(data(message).help(help));
    }
    Ok(())
}

fn check_probabilities(y: &Samples, loss: &Loss) -> Result<()> {
    match first_number(y, |target| !(0.0..=1.0).contains(&target)) {
        None => Ok(()),
        Some((index, target)) => {
            let message = format!("y: sample {index} has target {target}, loss `{}` expects 0 to 1", loss.name());
            Err(data(message).help("for more than two classes use sparse_categorical_crossentropy"))
        }
    }
}

/// The first number that is bad, and the sample it belongs to.
fn first_number(samples: &Samples, is_bad: impl Fn(f32) -> bool) -> Option<(usize, f32)> {
    let mut row = vec![0.0; samples.sample_len()];
    (0..samples.len()).find_map(|index| {
        samples.row_f32(index, &mut row);
        row.iter().copied().find(|number| is_bad(*number)).map(|number| (index, number))
    })
}

fn data(message: String) -> Error {
    Error::new(ErrorKind::Data, message)
}

fn numeric(message: String) -> Error {
    Error::new(ErrorKind::Numeric, message)
}
