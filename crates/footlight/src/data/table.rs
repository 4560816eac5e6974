//! Tables of comma-separated values: a column of labels, all others numbers, or one of texts.

use std::path::Path;

use csv::{ReaderBuilder, StringRecord, Trim};
use footlight_nn::suggest::{self, shown};
use footlight_tensor::{Data, Tensor};

use super::Samples;
use crate::{Error, ErrorKind, Result};

/// Faults shown of one table.
const SHOWN: usize = 10;

/// A table: features, labels, and what the labels are called if they are texts.
#[derive(Debug)]
pub struct Table {
    /// All columns but the label, in their order.
    pub x: Samples,
    /// The label column: whole numbers, numbers, or the indices of classes.
    pub y: Samples,
    /// The texts of the label column, sorted; none if labels are numbers.
    pub classes: Vec<String>,
}

impl Table {
    /// Reads the table at `path`, as [`Table::read`] does.
    ///
    /// # Errors
    /// As [`Table::read`], with the path; also when the file cannot be read.
    pub fn open(path: impl AsRef<Path>, label: Option<&str>) -> Result<Table> {
        open(path.as_ref(), |bytes| Table::read(bytes, label))
    }

    /// Reads the bytes of a table whose first line names the columns, of which `label` holds the labels; commas,
    /// semicolons or tabs stand between cells.
    ///
    /// # Errors
    /// `ErrorKind::Config` for a label column that is not there; `ErrorKind::Data` for rows of another length and cells
    /// that are empty or no numbers, each with its line and column; `ErrorKind::File` for bytes that are not UTF-8.
    ///
    /// # Examples
    /// ```
    /// use footlight::data::Table;
    /// let table = Table::read(b"length,kind,width\n1.5,iris,0.2\n4.3,rose,1.3\n", Some("kind")).unwrap();
    /// assert_eq!((table.x.sample_shape(), table.y.label(1)), (&[2][..], 1));
    /// assert_eq!(table.classes, ["iris", "rose"]);
    /// ```
    pub fn read(bytes: &[u8], label: Option<&str>) -> Result<Table> {
        let (mut reader, names) = reader(bytes)?;
        let label = label_column(&names, label)?;
        let (mut features, mut labels, mut faults) = (Vec::new(), Vec::new(), Faults::default());
        for record in reader.records() {
            row(&record.map_err(unreadable)?, &names, label, &mut features, &mut labels, &mut faults);
        }
        let (y, classes) = finished(&names[label], &labels, faults)?;
        let x = Tensor::new([labels.len(), names.len() - 1], features)?;
        Ok(Table { x: x.into(), y, classes })
    }
}

/// A table of texts and their labels.
#[derive(Debug)]
pub(super) struct TextTable {
    pub texts: Vec<String>,
    /// As [`Table::y`].
    pub y: Samples,
    /// As [`Table::classes`].
    pub classes: Vec<String>,
}

impl TextTable {
    /// Reads the columns `text` and `label` of the table at `path`; others are passed over.
    ///
    /// # Errors
    /// As [`Table::open`], and for a column of texts that is not there.
    pub fn open(path: &Path, text: &str, label: Option<&str>) -> Result<TextTable> {
        open(path, |bytes| TextTable::read(bytes, text, label))
    }

    fn read(bytes: &[u8], text: &str, label: Option<&str>) -> Result<TextTable> {
        let (mut reader, names) = reader(bytes)?;
        let label = label_column(&names, label)?;
        let text = column(&names, text)?;
        if text == label {
            let message = format!("column `{}` is to hold the texts and their labels", shown(&names[text]));
            return Err(Error::new(ErrorKind::Config, message).help("name two columns"));
        }
        let (mut texts, mut labels, mut faults) = (Vec::new(), Vec::new(), Faults::default());
        for record in reader.records() {
            let record = record.map_err(unreadable)?;
            let line = line_of(&record, &names, &mut faults);
            for (index, cell) in record.iter().enumerate().filter(|(index, _)| [label, text].contains(index)) {
                match index {
                    _ if cell.is_empty() => no_value(line, &names[index], &mut faults),
                    _ if index == label => labels.push((line, cell.into())),
                    _ => texts.push(cell.into()),
                }
            }
        }
        let (y, classes) = finished(&names[label], &labels, faults)?;
        Ok(TextTable { texts, y, classes })
    }
}

fn open<T>(path: &Path, read: impl Fn(&[u8]) -> Result<T>) -> Result<T> {
    let unreadable = |error| Error::new(ErrorKind::File, format!("cannot read it: {error}"));
    let table = std::fs::read(path).map_err(unreadable).and_then(|bytes| read(&bytes));
    table.map_err(|error| error.at(format!("`{}`", path.display())))
}

/// The rows of a table, and the names of its columns.
fn reader(bytes: &[u8]) -> Result<(csv::Reader<&[u8]>, Vec<String>)> {
    let mut reader = ReaderBuilder::new();
    let reader = reader.delimiter(delimiter(bytes)).flexible(true).trim(Trim::All);
    let mut reader = reader.from_reader(bytes);
    let names = reader.headers().map_err(unreadable)?.iter().map(str::to_string).collect();
    Ok((reader, names))
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
        let message = format!("which column is the label?\n  columns: {}", suggest::list(&known));
        return Err(Error::new(ErrorKind::Config, message).help("name it, such as --label COLUMN"));
    };
    let found = column(names, label)?;
    if names.len() == 1 {
        return Err(
            Error::new(ErrorKind::Data, "there is no column beside the label").help("give at least one feature")
        );
    }
    Ok(found)
}

fn column(names: &[String], name: &str) -> Result<usize> {
    let known: Vec<&str> = names.iter().map(String::as_str).collect();
    let found = known.iter().position(|known| *known == name);
    found.ok_or_else(|| suggest::unknown("column", name, &known).into())
}

/// A cell of the label column with its line.
type Label = (u64, String);

fn row(
    record: &StringRecord,
    names: &[String],
    label: usize,
    features: &mut Vec<f32>,
    labels: &mut Vec<Label>,
    faults: &mut Faults,
) {
    let line = line_of(record, names, faults);
    for (index, (cell, name)) in record.iter().zip(names).enumerate() {
        let number = cell.parse().ok().filter(|x: &f32| x.is_finite());
        match number {
            _ if cell.is_empty() => no_value(line, name, faults),
            _ if index == label => labels.push((line, cell.into())),
            Some(number) => features.push(number),
            None => {
                faults.add(|| format!("line {line}, column `{}`: `{}` is no number", shown(name), shown(cell)));
            }
        }
    }
}

/// The line of a row, which has to have as many cells as there are columns.
fn line_of(record: &StringRecord, names: &[String], faults: &mut Faults) -> u64 {
    let line = record.position().map_or(0, csv::Position::line);
    if record.len() != names.len() {
        faults.add(|| format!("line {line}: {} cells, the first line names {} columns", record.len(), names.len()));
    }
    line
}

fn no_value(line: u64, name: &str, faults: &mut Faults) {
    faults.add(|| format!("line {line}, column `{}`: no value", shown(name)));
}

/// The targets of all rows and what their classes are called.
fn finished(name: &str, labels: &[Label], mut faults: Faults) -> Result<(Samples, Vec<String>)> {
    let (y, classes) = targets(name, labels, &mut faults);
    faults.finish()?;
    if labels.is_empty() {
        return Err(Error::new(ErrorKind::Data, "there are no rows below the names of the columns"));
    }
    Ok((Tensor::new([labels.len()], y)?.into(), classes))
}

/// Labels as numbers, or as classes numbered in sorted order if they are texts.
fn targets(name: &str, labels: &[Label], faults: &mut Faults) -> (Data, Vec<String>) {
    let number = |cell: &str| cell.parse().ok().filter(|x: &f64| (*x as f32).is_finite());
    let numbers: Vec<Option<f64>> = labels.iter().map(|(_, cell)| number(cell)).collect();
    if numbers.iter().all(Option::is_none) {
        let mut classes: Vec<String> = labels.iter().map(|(_, cell)| cell.clone()).collect();
        classes.sort();
        classes.dedup();
        let class = |(_, cell): &Label| classes.binary_search(cell).unwrap_or_default() as i64;
        return (labels.iter().map(class).collect::<Vec<_>>().into(), classes);
    }
    for ((line, cell), _) in labels.iter().zip(&numbers).filter(|(_, number)| number.is_none()) {
        faults
            .add(|| format!("line {line}, column `{}`: `{}` is no number, other labels are", shown(name), shown(cell)));
    }
    let numbers: Vec<f64> = numbers.into_iter().flatten().collect();
    let is_whole = numbers.iter().all(|x| x.fract() == 0.0 && x.abs() < 2f64.powi(53));
    let data: Data = match is_whole {
        true => numbers.iter().map(|x| *x as i64).collect::<Vec<_>>().into(),
        false => numbers.iter().map(|x| *x as f32).collect::<Vec<_>>().into(),
    };
    (data, Vec::new())
}

/// Cells that cannot be used: the first ones in words, the others counted.
#[derive(Default)]
struct Faults {
    told: Vec<String>,
    count: usize,
}

impl Faults {
    fn add(&mut self, told: impl Fn() -> String) {
        self.count += 1;
        if self.told.len() < SHOWN {
            self.told.push(told());
        }
    }

    fn finish(self) -> Result<()> {
        let mut message = match self.count {
            0 => return Ok(()),
            1 => "1 cell cannot be used".to_string(),
            count => format!("{count} cells cannot be used"),
        };
        for fault in &self.told {
            message += &format!("\n  {fault}");
        }
        if self.count > self.told.len() {
            message += &format!("\n  and {} more", self.count - self.told.len());
        }
        Err(Error::new(ErrorKind::Data, message)
            .help("fill the gaps, leave out rows and columns that are no numbers, and name the column of texts if there is one"))
    }
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
        let table = Table::read(text.as_bytes(), Some("y")).unwrap();
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
        let table = Table::read(b"a, y,\"b, c\"\n1, 0, 2\n\n3, 1, 4e1\n", Some("y")).unwrap();
        assert_eq!(table.x.to_tensor(), Tensor::new([2, 2], vec![1.0f32, 2.0, 3.0, 40.0]).unwrap());
    }

    #[test]
    fn all_cells_that_cannot_be_used_are_told_with_line_and_column() {
        let error = Table::read(b"a,b,y\n1,,0\nred,2,1\n1,nan,one\n1,2\n", Some("y")).unwrap_err();
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

    /// Each fault names its column; all of them together would take the square of what the table takes.
    #[test]
    fn of_endless_faults_ten_are_told_each_in_few_letters() {
        let name = "\u{1b}[2J".repeat(100_000);
        let text = format!("{name},y\n{}", "x,1\n".repeat(100_000));
        let message = Table::read(text.as_bytes(), Some("y")).unwrap_err().message().to_string();
        assert!(message.starts_with("100000 cells cannot be used\n  line 2, column `\\u{1b}[2J"), "{message}");
        assert!(message.ends_with("…`: `x` is no number\n  and 99990 more"), "{message}");
        assert!(message.len() < 10_000, "{}", message.len());
        let columns = ["column"; 100_000].join(",");
        let message = Table::read(columns.as_bytes(), None).unwrap_err().message().to_string();
        assert!(message.ends_with(", column, and 99900 more"), "{message}");
    }

    #[test]
    fn labels_are_finite_numbers_or_texts() {
        for label in ["nan", "inf", "1e39"] {
            let error = Table::read(format!("a,y\n1,0.5\n1,{label}\n").as_bytes(), Some("y")).unwrap_err();
            let told = format!("line 3, column `y`: `{label}` is no number, other labels are");
            assert!(error.message().contains(&told), "{error}");
        }
        assert_eq!(labels("a,y\n1,nan\n2,inf\n"), (Data::I64(vec![1, 0]), vec!["inf".into(), "nan".into()]));
    }

    #[test]
    fn the_label_has_to_be_a_column() {
        let ask = |label| Table::read(b"width,species\n1,a\n", label).unwrap_err().to_string();
        assert!(ask(None).contains("columns: width, species"));
        assert!(ask(Some("specie")).contains("did you mean `species`?"));
        assert!(Table::read(b"y\n1\n", Some("y")).is_err() && Table::read(b"a,y\n", Some("y")).is_err());
    }
}
