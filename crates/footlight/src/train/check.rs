//! Data looked at before it is trained on.

use crate::data::Samples;
use crate::{Error, ErrorKind, Result};
use footlight_nn::{Loss, losses};
use footlight_tensor::Data;

/// Refuses numbers that are not finite, naming the first.
pub(crate) fn check_values(name: &str, samples: &Samples) -> Result<()> {
    let range = samples.range();
    let len = samples.sample_len();
    let elements = range.start * len..range.end * len;
    let bad = match samples.tensor().data() {
        Data::F32(v) => v[elements].iter().position(|x| !x.is_finite()),
        Data::F64(v) => v[elements].iter().position(|x| !(*x as f32).is_finite()),
        _ => None,
    };
    match bad {
        None => Ok(()),
        Some(at) => {
            let mut row = vec![0.0; len];
            samples.row_f32(at / len.max(1), &mut row);
            let message = format!("{name}: sample {} holds {} at element {}", at / len, row[at % len], at % len);
            Err(Error::new(ErrorKind::Numeric, message).help("remove such samples, or fill the gaps"))
        }
    }
}

/// Refuses targets that do not fit inputs, loss and predictions.
pub(crate) fn check_targets(x: &Samples, y: &Samples, loss: &Loss, prediction: &[usize]) -> Result<()> {
    if x.len() != y.len() {
        let message = format!("x has {} samples, y has {}", x.len(), y.len());
        return Err(
            Error::new(ErrorKind::Data, message).help("every sample needs one target: check how they were split")
        );
    }
    if x.is_empty() {
        return Err(Error::new(ErrorKind::Data, "there are no samples").help("check the data's path and its filters"));
    }
    let want = loss.target_type(&[&[1], prediction].concat()).shape;
    let significant = |shape: &[usize]| shape.iter().copied().filter(|d| *d != 1).collect::<Vec<_>>();
    if significant(y.sample_shape()) != significant(&want[1..]) {
        return Err(losses::target_mismatch(loss, y.sample_shape(), prediction).into());
    }
    check_values("y", y)?;
    let Some(classes) = loss.num_classes(prediction) else { return Ok(()) };
    if !y.dtype().is_integer() && has_fractions(y) {
        let message = format!("y holds fractions ({}), loss `{}` expects whole numbers", y.dtype(), loss.name());
        return Err(Error::new(ErrorKind::Data, message).help("for one-hot targets use categorical_crossentropy"));
    }
    let len = y.sample_len().max(1);
    let mut row = vec![0.0; len];
    for index in 0..y.len() {
        y.row_f32(index, &mut row);
        if let Some(label) = row.iter().find(|label| !(0.0..classes as f32).contains(*label)) {
            let message = format!(
                "y: sample {index} has label {label}, legal are 0 to {}\n  the model's last layer has {classes} units",
                classes - 1
            );
            return Err(Error::new(ErrorKind::Data, message)
                .help(format!("give the last layer {} units, or correct the labels", (*label as i64).max(0) + 1)));
        }
    }
    Ok(())
}

fn has_fractions(y: &Samples) -> bool {
    let mut row = vec![0.0; y.sample_len()];
    (0..y.len()).any(|index| {
        y.row_f32(index, &mut row);
        row.iter().any(|x| x.fract() != 0.0)
    })
}
