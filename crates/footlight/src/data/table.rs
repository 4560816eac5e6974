//! Tables of comma-separated values: a column of labels, all others numbers.

use std::path::Path;

use csv::{ReaderBuilder, StringRecord, Trim};
use footlight_tensor::{Data, Tensor};

use super::Samples;
use crate::{Error, ErrorKind, Result};

/// Faults shown of one table.
const SHOWN: usize = 10;

/// Features, labels, and what the labels are called if they are texts.
#[derive(Debug)]
pub(super) struct Table {
    pub x: Samples,
    pub y: Samples,
    pub classes: Vec<String>,
}

/// Reads a table whose first line names the columns; commas, semicolons or tabs stand between cells.
///
/// # Errors
/// A label column that is not there; rows of another length; cells that are empty or no numbers, each with its line and
/// column.
pub(super) fn read(path: &Path, label: Option<&str>) -> Result<Table> {
    let place = |error: Error| error.at(format!("`{}`", path.display()));
    let bytes = std::fs::read(path).map_err(|e| place(Error::new(ErrorKind::File, format!("cannot read it: {e}"))))?;
    parse(&bytes, label).map_err(place)
}

fn parse(bytes: &[u8], label: Option<&str>) -> Result<Table> {
    let mut reader = ReaderBuilder::new().delimiter(delimiter(bytes)).flexible(true).trim(Trim::All).from_reader(bytes);
    let names: Vec<String> = reader.headers().map_err(unreadable)?.iter().map(str::to_string).collect();
    let label = label_column(&names, label)?;
    let (mut features, mut labels, mut faults) = (Vec::new(), Vec::new(), Vec::new());
    for record in reader.records() {
        row(&record.map_err(unreadable)?, &names, label, &mut features, &mut labels, &mut faults);
    }
    let (y, classes) = targets(&names[label], &labels, &mut faults);
    report(&faults)?;
    if labels.is_empty() {
        return Err(Error::new(ErrorKind::Data, "there are no rows below the names of the columns"));
    }
    let x = Tensor::new([labels.len(), names.len() - 1], features)?;
    Ok(Table { x: x.into(), y: Tensor::new([labels.len()], y)?.into(), classes })
}

/// The one of comma, semicolon and tab that is the most frequent in the first line.
fn delimiter(bytes: &[u8]) -> u8 {
    let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |delimiter: &u8| first.iter().filter(|byte| *byte == delimiter).count();
    [b'\t', b';', b','].into_iter().max_by_key(count).unwrap_or(b',')
}

fn label_column(names: &[String], label: Option<&str>) -> Result<usize> {
    let known: Vec<&str> = names.iter().map(String::as_str).collect();
    let Some(label) = label else {
        let message = format!("which column is the label?\n  columns: {}", known.join(", "));
        return Err(Error::new(ErrorKind::Config, message).help("name it, such as --label COLUMN"));
    };
    let found = known.iter().position(|name| *name == label);
    let found = found.ok_or_else(|| Error::from(footlight_nn::suggest::unknown("column", label, &known)))?;
    if names.len() == 1 {
        return Err(
            Error::new(ErrorKind::Data, "there is no column beside the label").help("give at least one feature")
        );
    }
    Ok(found)
}

/// A cell of the label column with its line.
type Label = (u64, String);

fn row(
    record: &StringRecord,
    names: &[String],
    label: usize,
    features: &mut Vec<f32>,
    labels: &mut Vec<Label>,
    faults: &mut Vec<String>,
) {
    let line = record.position().map_or(0, csv::Position::line);
    if record.len() != names.len() {
        faults.push(format!("line {line}: {} cells, the first line names {} columns", record.len(), names.len()));
    }
    for (index, (cell, name)) in record.iter().zip(names).enumerate() {
        let number = cell.parse().ok().filter(|x: &f32| x.is_finite());
        match number {
            _ if cell.is_empty() => faults.push(format!("line {line}, column `{name}`: no value")),
            _ if index == label => labels.push((line, cell.into())),
            Some(number) => features.push(number),
            None => faults.push(format!("line {line}, column `{name}`: `{cell}` is no number")),
        }
    }
}

/// Labels as numbers, or as classes numbered in sorted order if they are texts.
fn targets(name: &str, labels: &[Label], faults: &mut Vec<String>) -> (Data, Vec<String>) {
    let numbers: Vec<Option<f64>> = labels.iter().map(|(_, cell)| cell.parse().ok()).collect();
    if numbers.iter().all(Option::is_none) {
        let mut classes: Vec<String> = labels.iter().map(|(_, cell)| cell.clone()).collect();
        classes.sort();
        classes.dedup();
        let class = |(_, cell): &Label| classes.binary_search(cell).unwrap_or_default() as i64;
        return (labels.iter().map(class).collect::<Vec<_>>().into(), classes);
    }
    for ((line, cell), _) in labels.iter().zip(&numbers).filter(|(_, number)| number.is_none()) {
        faults.push(format!("line {line}, column `{name}`: `{cell}` is no number, other labels are"));
    }
    let numbers: Vec<f64> = numbers.into_iter().flatten().collect();
    let is_whole = numbers.iter().all(|x| x.fract() == 0.0 && x.abs() < 2f64.powi(53));
    let data: Data = match is_whole {
        true => numbers.iter().map(|x| *x as i64).collect::<Vec<_>>().into(),
        false => numbers.iter().map(|x| *x as f32).collect::<Vec<_>>().into(),
    };
    (data, Vec::new())
}

fn report(faults: &[String]) -> Result<()> {
    if faults.is_empty() {
        return Ok(());
    }
    let mut message = match faults.len() {
        1 => "1 cell cannot be used".to_string(),
        count => format!("{count} cells cannot be used"),
    };
    for fault in faults.iter().take(SHOWN) {
        message += &format!("\n  {fault}");
    }
    if faults.len() > SHOWN {
        message += &format!("\n  and {} more", faults.len() - SHOWN);
    }
    Err(Error::new(ErrorKind::Data, message).help("fill the gaps, and leave out columns or rows that are no numbers"))
}

fn unreadable(error: csv::Error) -> Error {
    let message = match (error.kind(), error.position()) {
        (csv::ErrorKind::Utf8 { .. }, Some(at)) => format!("line {} is not UTF-8", at.line()),
        _ => error.to_string(),
    };
    Error::new(ErrorKind::File, message).help("save the table as CSV in UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> (Data, Vec<String>) {
        let table = parse(text.as_bytes(), Some("y")).unwrap();
        (table.y.tensor().data().clone(), table.classes)
    }

    #[test]
    fn texts_are_classes_in_sorted_order_and_numbers_are_numbers() {
        let classes = vec!["cat".to_string(), "dog".to_string()];
        assert_eq!(labels("a,y\n1,dog\n2,cat\n3,dog\n"), (Data::I64(vec![1, 0, 1]), classes));
        assert_eq!(labels("y;a\n4;1\n2;1\n"), (Data::I64(vec![4, 2]), vec![]));
        assert_eq!(labels("a\ty\n1\t0.5\n1\t2\n"), (Data::F32(vec![0.5, 2.0]), vec![]));
    }

    #[test]
    fn features_keep_their_order_without_the_label() {
        let table = parse(b"a, y,\"b, c\"\n1, 0, 2\n\n3, 1, 4e1\n", Some("y")).unwrap();
        assert_eq!(table.x.to_tensor(), Tensor::new([2, 2], vec![1.0f32, 2.0, 3.0, 40.0]).unwrap());
    }

    #[test]
    fn all_cells_that_cannot_be_used_are_told_with_line_and_column() {
        let error = parse(b"a,b,y\n1,,0\nred,2,1\n1,nan,one\n1,2\n", Some("y")).unwrap_err();
        for told in [
            "5 cells cannot be used",
            "line 2, column `b`: no value",
            "line 3, column `a`: `red` is no number",
            "line 4, column `b`: `nan` is no number",
            "line 4, column `y`: `one` is no number, other labels are",
            "line 5: 2 cells, the first line names 3 columns",
        ] {
            assert!(error.message().contains(told), "{told}: {error}");
        }
    }

    #[test]
    fn the_label_has_to_be_a_column() {
        let ask = |label| parse(b"width,species\n1,a\n", label).unwrap_err().to_string();
        assert!(ask(None).contains("columns: width, species"));
        assert!(ask(Some("specie")).contains("did you mean `species`?"));
        assert!(parse(b"y\n1\n", Some("y")).is_err() && parse(b"a,y\n", Some("y")).is_err());
    }
}
