//! Reading line by line: what is malformed is counted and shown, never silently dropped.

use std::fmt;

use footlight::{Error, ErrorKind, Result};

/// Malformed lines that are kept to be shown.
const SHOWN: usize = 5;
/// Longer lines are cut where they are shown.
const SHOWN_CHARACTERS: usize = 80;

/// A line that was passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What it says.
    pub text: String,
    /// What is wrong with it.
    pub fault: String,
}

/// What reading came upon.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Events that were read.
    pub events: usize,
    /// Lines that were passed over.
    pub malformed: usize,
    /// The first of them.
    pub shown: Vec<Malformed>,
}

impl Reading {
    /// Notes a line that is passed over.
    pub(super) fn pass_over(&mut self, file: &str, line: usize, text: &str, fault: impl Into<String>) {
        self.malformed += 1;
        if self.shown.len() < SHOWN {
            let cut: String = text.chars().take(SHOWN_CHARACTERS).flat_map(char::escape_debug).collect();
            self.shown.push(Malformed { file: file.into(), line, text: cut, fault: fault.into() });
        }
    }

    /// Refuses what holds no event at all.
    pub(super) fn check(&self) -> Result<()> {
        if self.events > 0 {
            return Ok(());
        }
        let lines = if self.malformed == 0 { "  there are no lines".into() } else { self.to_string() };
        Err(Error::new(ErrorKind::Data, format!("no event could be read\n{lines}"))
            .help("a line needs at least a user and an item; name the columns if they are called otherwise"))
    }
}

impl fmt::Display for Reading {
    /// Each malformed line that is shown with its fault.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  {} malformed lines were passed over", self.malformed)?;
        for Malformed { file, line, text, fault } in &self.shown {
            write!(f, "\n  {file}:{line}: {fault}: `{text}`")?;
        }
        if self.malformed > self.shown.len() {
            write!(f, "\n  and {} more", self.malformed - self.shown.len())?;
        }
        Ok(())
    }
}
