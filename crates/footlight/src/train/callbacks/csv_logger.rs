//! The numbers of each epoch as a table.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use footlight_nn::config::{self, Reader};
use serde_json::json;

use crate::train::callback::{Callback, CallbackState, Logs, Training};
use crate::{Error, ErrorKind, Result};

/// Writes a row per epoch to a CSV file: `epoch`, counted from 0, then the metrics, sorted by name.
///
/// Validation that is skipped in an epoch leaves `NA`. The file is there after each epoch.
///
/// # Arguments
/// Defaults as in Keras: `separator` `,`, `append` false.
#[derive(Debug)]
pub struct CSVLogger {
    path: PathBuf,
    separator: char,
    append: bool,
    columns: Vec<String>,
    file: Option<File>,
}

impl CSVLogger {
    /// Writes to `path`, in place of an older file.
    pub fn new(path: impl AsRef<Path>) -> CSVLogger {
        let path = path.as_ref().to_owned();
        CSVLogger { path, separator: ',', append: false, columns: Vec::new(), file: None }
    }

    pub(super) fn from_config(read: &mut Reader<'_>) -> Result<CSVLogger, footlight_nn::Error> {
        let path = read.string("filename")?.ok_or_else(|| config::missing("filename"))?;
        let separator = read.string_or("separator", ",")?;
        let mut letters = separator.chars();
        let (Some(separator), None) = (letters.next(), letters.next()) else {
            let message = format!("separator = `{separator}`: expected one character");
            return Err(footlight_nn::Error::config(message).in_key("separator"));
        };
        Ok(CSVLogger::new(path).separator(separator).append(read.bool("append", false)?))
    }

    /// What stands between columns; default a comma.
    pub fn separator(mut self, separator: char) -> CSVLogger {
        self.separator = separator;
        self
    }

    /// Whether rows are added to an older file; default false.
    pub fn append(mut self, append: bool) -> CSVLogger {
        self.append = append;
        self
    }

    fn fault(&self, error: std::io::Error) -> Error {
        let message = format!("CSVLogger: `{}`: {error}", self.path.display());
        Error::new(ErrorKind::File, message).help("choose another path, or make room there")
    }

    fn row(&mut self, cells: &[String]) -> Result<()> {
        let line = cells.join(&self.separator.to_string()) + "\n";
        let written = self.file.as_mut().map_or(Ok(()), |file| file.write_all(line.as_bytes()));
        written.map_err(|error| self.fault(error))
    }

    /// The columns of an older file.
    fn read_columns(&self) -> std::io::Result<Vec<String>> {
        let mut text = String::new();
        File::open(&self.path)?.read_to_string(&mut text)?;
        let header = text.lines().next().unwrap_or_default();
        Ok(header.split(self.separator).skip(1).map(str::to_string).collect())
    }
}

impl Callback for CSVLogger {
    fn on_train_begin(&mut self, training: &mut Training<'_>) -> Result<()> {
        let keeps = self.append || training.is_resumed;
        self.columns = if keeps { self.read_columns().unwrap_or_default() } else { Vec::new() };
        let file = OpenOptions::new().create(true).append(true).open(&self.path).map_err(|e| self.fault(e))?;
        if !keeps {
            file.set_len(0).map_err(|e| self.fault(e))?;
        }
        self.file = Some(file);
        Ok(())
    }

    fn on_epoch_end(&mut self, training: &mut Training<'_>, logs: &mut Logs) -> Result<()> {
        if self.columns.is_empty() {
            self.columns = logs.iter().map(|(name, _)| name.clone()).collect();
            if training.plan.has_validation {
                let missing = |name: &String| !name.starts_with("val_") && *name != "learning_rate";
                let own: Vec<String> = self.columns.iter().filter(|name| missing(name)).cloned().collect();
                let validation: Vec<String> = own.iter().map(|name| format!("val_{name}")).collect();
                self.columns.extend(validation);
            }
            self.columns.sort();
            self.columns.dedup();
            let header = [vec!["epoch".to_string()], self.columns.clone()].concat();
            self.row(&header)?;
        }
        let value = |name: &String| crate::train::callback::value_of(logs, name);
        let cells = self.columns.iter().map(|name| value(name).map_or("NA".into(), |value| format!("{value}")));
        let cells: Vec<String> = std::iter::once(training.epoch.to_string()).chain(cells).collect();
        self.row(&cells)
    }

    fn on_train_end(&mut self, _: &mut Training<'_>) -> Result<()> {
        self.file = None;
        Ok(())
    }

    fn state(&self) -> CallbackState {
        json!(self.file.as_ref().and_then(|file| file.metadata().ok()).map(|found| found.len())).into()
    }

    /// Goes on behind the rows that the checkpoint knows of.
    fn restore(&mut self, state: &CallbackState) -> Result<()> {
        let (Some(file), Some(known)) = (&self.file, state.values.as_u64()) else { return Ok(()) };
        let present = file.metadata().map_err(|e| self.fault(e))?.len();
        if present > known {
            file.set_len(known).map_err(|e| self.fault(e))?;
        }
        if known == 0 {
            self.columns.clear();
        }
        Ok(())
    }
}
