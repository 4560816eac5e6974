//! Event files for TensorBoard.
//!
//! An event file is a list of records: the length in 8 bytes, its checksum, the payload, its checksum. The payload is an
//! `Event` in protocol buffers: 1 `wall_time` (double), 2 `step` (int64), 3 `file_version` (string), 5 `summary`, which
//! holds values (1) of a tag (1) and a float (2). A checksum is a CRC-32C, turned by 15 bits and moved by a constant.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use footlight_nn::config::Reader;

use crate::train::callback::{Callback, Logs, Training};
use crate::{Error, ErrorKind, Result};

/// Writes the numbers of each epoch where TensorBoard finds them: `<folder>/train` and `<folder>/validation`, as
/// `epoch_loss`, `epoch_accuracy`, `epoch_learning_rate` and so on, with the epoch as the step.
///
/// # Differences
/// Keras also writes histograms, graphs and profiles when it is asked for them.
///
/// # References
/// TensorFlow, `tensorflow/core/lib/io/record_writer.h`, `tensorflow/core/util/event.proto` and
/// `framework/summary.proto`.
#[derive(Debug)]
pub struct TensorBoard {
    folder: PathBuf,
    train: Option<File>,
    validation: Option<File>,
}

impl TensorBoard {
    /// Writes below `folder`, which is made if it is missing.
    pub fn new(folder: impl AsRef<Path>) -> TensorBoard {
        TensorBoard { folder: folder.as_ref().to_owned(), train: None, validation: None }
    }

    pub(super) fn from_config(read: &mut Reader<'_>) -> Result<TensorBoard, footlight_nn::Error> {
        Ok(TensorBoard::new(read.string_or("log_dir", "logs")?))
    }

    fn fault(&self, error: std::io::Error) -> Error {
        let message = format!("TensorBoard: `{}`: {error}", self.folder.display());
        Error::new(ErrorKind::File, message).help("choose another folder, or make room there")
    }
}

impl Callback for TensorBoard {
    fn on_train_begin(&mut self, _: &mut Training<'_>) -> Result<()> {
        (self.train, self.validation) = (None, None);
        Ok(())
    }

    fn on_epoch_end(&mut self, training: &mut Training<'_>, logs: &mut Logs) -> Result<()> {
        let now = SystemTime::now();
        let rate = training.model.learning_rate().ok().map(|rate| ("epoch_learning_rate".to_string(), f64::from(rate)));
        let of = |is_validation: bool| {
            let chosen = logs.iter().filter(move |(name, _)| name.starts_with("val_") == is_validation);
            let chosen = chosen.filter(|(name, _)| name != "learning_rate");
            chosen.map(|(name, value)| (format!("epoch_{}", name.strip_prefix("val_").unwrap_or(name)), *value))
        };
        let train: Vec<_> = of(false).chain(rate).collect();
        let validation: Vec<_> = of(true).collect();
        let written = append(&mut self.train, &self.folder.join("train"), now, training.epoch, &train);
        let written = written.and_then(|()| match validation.is_empty() {
            true => Ok(()),
            false => append(&mut self.validation, &self.folder.join("validation"), now, training.epoch, &validation),
        });
        written.map_err(|error| self.fault(error))
    }
}

/// Adds an event to the file, which is made on first use.
fn append(
    file: &mut Option<File>,
    folder: &Path,
    now: SystemTime,
    step: usize,
    values: &[(String, f64)],
) -> std::io::Result<()> {
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    if file.is_none() {
        std::fs::create_dir_all(folder)?;
        let name = format!("events.out.tfevents.{:010}.footlight.{}.v2", seconds as u64, std::process::id());
        let mut made = OpenOptions::new().create(true).append(true).open(folder.join(name))?;
        made.write_all(&record(&[double(1, seconds), bytes(3, b"brain.Event:2")].concat()))?;
        *file = Some(made);
    }
    let value = |(tag, value): &(String, f64)| bytes(1, &[bytes(1, tag.as_bytes()), float(2, *value as f32)].concat());
    let summary: Vec<u8> = values.iter().flat_map(value).collect();
    let event = [double(1, seconds), varint(2 << 3), varint(step as u64), bytes(5, &summary)].concat();
    file.as_mut().map_or(Ok(()), |file| file.write_all(&record(&event)))
}

fn record(payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u64).to_le_bytes();
    [&len[..], &masked_crc(&len).to_le_bytes(), payload, &masked_crc(payload).to_le_bytes()].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn double(field: u64, value: f64) -> Vec<u8> {
    [varint(field << 3 | 1), value.to_le_bytes().to_vec()].concat()
}

fn float(field: u64, value: f32) -> Vec<u8> {
    [varint(field << 3 | 5), value.to_le_bytes().to_vec()].concat()
}

fn bytes(field: u64, value: &[u8]) -> Vec<u8> {
    [varint(field << 3 | 2), varint(value.len() as u64), value.to_vec()].concat()
}

fn masked_crc(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// The Castagnoli checksum, bit by bit: records are short and few.
fn crc32c(data: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
    !data.iter().fold(!0u32, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_the_published_ones() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
    }

    #[test]
    fn numbers_are_written_in_groups_of_seven_bits() {
        assert_eq!(varint(300), [0xac, 0x02]);
        assert_eq!(bytes(1, b"ab"), [0x0a, 2, b'a', b'b']);
    }
}
