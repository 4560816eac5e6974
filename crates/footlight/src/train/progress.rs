//! What is told while training: Keras' line on a terminal, a plain line per epoch elsewhere, JSON for machines.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use super::TrainingPlan;
use super::callback::{Callback, Logs, Training};
use crate::Result;

/// How training is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Progress {
    /// `Bar` on a terminal, else `Plain`.
    #[default]
    Auto,
    /// A line that is redrawn, in Keras' wording.
    Bar,
    /// A line per epoch, and one every 30 s in longer epochs; no control characters.
    Plain,
    /// A JSON object per epoch.
    Json,
    /// Nothing.
    None,
}

impl Progress {
    /// The names of all modes.
    pub const NAMES: [&'static str; 5] = ["auto", "bar", "plain", "json", "none"];

    /// The mode of this name.
    pub fn from_name(name: &str) -> Option<Progress> {
        let modes = [Progress::Auto, Progress::Bar, Progress::Plain, Progress::Json, Progress::None];
        Progress::NAMES.iter().position(|n| *n == name).map(|i| modes[i])
    }

    /// The line on standard error; colours unless the environment asks for none by `NO_COLOR`.
    pub fn on_stderr(self) -> ProgressLine<std::io::Stderr> {
        let is_terminal = std::io::stderr().is_terminal();
        let mode = match self {
            Progress::Auto if is_terminal => Progress::Bar,
            Progress::Auto => Progress::Plain,
            other => other,
        };
        let color = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        ProgressLine::new(std::io::stderr(), mode, color)
    }
}

/// A bar is drawn at most this often.
const REDRAW: Duration = Duration::from_millis(100);
/// A plain line within an epoch is written at most this often.
const PLAIN_EVERY: Duration = Duration::from_secs(30);
/// The cells of the bar.
const BAR_WIDTH: usize = 20;

/// Tells of training on a writer.
#[derive(Debug)]
pub struct ProgressLine<W: Write> {
    out: W,
    mode: Progress,
    color: bool,
    steps: usize,
    epochs: usize,
    epoch_begin: Instant,
    /// When the first step of the epoch was done: it is left out of the time per step, as in Keras.
    first_step: Instant,
    last_draw: Instant,
    step: usize,
    clock: usize,
}

impl<W: Write> ProgressLine<W> {
    /// Tells in `mode`, which is not `Auto`; `color` allows escape sequences for colour.
    pub fn new(out: W, mode: Progress, color: bool) -> ProgressLine<W> {
        let now = Instant::now();
        ProgressLine {
            out,
            mode,
            color,
            steps: 0,
            epochs: 0,
            epoch_begin: now,
            first_step: now,
            last_draw: now,
            step: 0,
            clock: 0,
        }
    }

    fn per_step(&self) -> f64 {
        match self.step {
            0 => 0.0,
            1 => (self.first_step - self.epoch_begin).as_secs_f64(),
            n => self.first_step.elapsed().as_secs_f64() / (n - 1) as f64,
        }
    }

    fn draw(&mut self, logs: &[(String, f64)], is_done: bool) {
        let (bold, green, grey, reset) =
            if self.color { ("\x1b[1m", "\x1b[32m", "\x1b[37m", "\x1b[0m") } else { ("", "", "", "") };
        let filled = BAR_WIDTH * self.step / self.steps.max(1);
        let per_step = self.per_step();
        let time = if is_done {
            format_seconds(self.epoch_begin.elapsed().as_secs_f64())
        } else {
            format_seconds(per_step * (self.steps - self.step) as f64)
        };
        let width = self.steps.to_string().len();
        let line = format!(
            "\r\x1b[K{bold}{:>width$}/{}{reset} {green}{}{grey}{}{reset} {bold}{time}{reset} {}{}",
            self.step,
            self.steps,
            "━".repeat(filled),
            "━".repeat(BAR_WIDTH - filled),
            format_step(per_step),
            format_logs(logs),
        );
        let end = if is_done { "\n" } else { "" };
        let _ = write!(self.out, "{line}{end}").and_then(|()| self.out.flush());
    }

    fn plain(&mut self, logs: &[(String, f64)]) {
        let seconds = self.epoch_begin.elapsed().as_secs_f64();
        let (step, steps, per_step) = (self.step, self.steps, format_step(self.per_step()));
        let _ = writeln!(self.out, "{step}/{steps} - {} - {per_step}{}", format_seconds(seconds), format_logs(logs));
    }
}

impl<W: Write> ProgressLine<W> {
    fn begin(&mut self, plan: &TrainingPlan) {
        (self.steps, self.epochs) = (plan.steps, plan.epochs);
    }

    fn begin_epoch(&mut self, epoch: usize) {
        self.step = 0;
        self.clock = 0;
        self.epoch_begin = Instant::now();
        self.last_draw = self.epoch_begin;
        if matches!(self.mode, Progress::Bar | Progress::Plain) && self.epochs > 1 {
            let _ = writeln!(self.out, "Epoch {}/{}", epoch + 1, self.epochs);
        }
    }

    fn end_step(&mut self, step: usize, logs: &dyn Fn() -> Logs) {
        self.step = step;
        if step == 1 {
            self.first_step = Instant::now();
        }
        // The clock is read every few steps only: training steps take microseconds.
        self.clock += 1;
        if self.clock < 8 && step < self.steps {
            return;
        }
        self.clock = 0;
        let since = self.last_draw.elapsed();
        match self.mode {
            Progress::Bar if since >= REDRAW => {
                self.last_draw = Instant::now();
                self.draw(&logs(), false);
            }
            Progress::Plain if since >= PLAIN_EVERY => {
                self.last_draw = Instant::now();
                self.plain(&logs());
            }
            _ => {}
        }
    }

    fn end_epoch(&mut self, epoch: usize, logs: &[(String, f64)]) {
        match self.mode {
            Progress::Bar => self.draw(logs, true),
            Progress::Plain => self.plain(logs),
            Progress::Json => {
                let number = |x: f64| if x.is_finite() { format!("{x:?}") } else { "null".into() };
                let fields: Vec<String> = logs.iter().map(|(name, x)| format!("{name:?}: {}", number(*x))).collect();
                let seconds = self.epoch_begin.elapsed().as_secs_f64();
                let _ = writeln!(
                    self.out,
                    "{{\"epoch\": {}, \"epochs\": {}, \"steps\": {}, \"seconds\": {seconds:.3}, {}}}",
                    epoch + 1,
                    self.epochs,
                    self.steps,
                    fields.join(", ")
                );
            }
            Progress::Auto | Progress::None => {}
        }
    }
}

/// A line that cannot be written is no reason to lose a training.
impl<W: Write> Callback for ProgressLine<W> {
    fn on_train_begin(&mut self, training: &mut Training<'_>) -> Result<()> {
        self.begin(training.plan);
        if training.is_resumed && matches!(self.mode, Progress::Bar | Progress::Plain) {
            let (epoch, step) = (training.epoch + 1, training.step);
            let _ = writeln!(self.out, "Going on in epoch {epoch}/{} after step {step}", self.epochs);
        }
        Ok(())
    }

    fn on_epoch_begin(&mut self, training: &mut Training<'_>) -> Result<()> {
        self.begin_epoch(training.epoch);
        Ok(())
    }

    fn on_batch_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        self.end_step(training.step, &|| training.logs());
        Ok(())
    }

    fn on_epoch_end(&mut self, training: &mut Training<'_>, logs: &mut Logs) -> Result<()> {
        self.end_epoch(training.epoch, logs);
        Ok(())
    }
}

/// `12s`, `1:05`, `1:02:03`, as Keras.
fn format_seconds(seconds: f64) -> String {
    let whole = seconds as u64;
    match whole {
        3600.. => format!("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60),
        60.. => format!("{}:{:02}", whole / 60, whole % 60),
        _ => format!("{whole}s"),
    }
}

/// `3s/step`, `12ms/step`, `850us/step`, as Keras.
fn format_step(seconds: f64) -> String {
    if seconds >= 1.0 || seconds == 0.0 {
        format!("{seconds:.0}s/step")
    } else if seconds >= 1e-3 {
        format!("{:.0}ms/step", seconds * 1e3)
    } else {
        format!("{:.0}us/step", seconds * 1e6)
    }
}

/// ` - accuracy: 0.1250 - loss: 3.1566`, as Keras.
fn format_logs(logs: &[(String, f64)]) -> String {
    let value = |x: f64| if x.abs() > 1e-3 { format!("{x:.4}") } else { format_exponent(x) };
    logs.iter().map(|(name, x)| format!(" - {name}: {}", value(*x))).collect()
}

/// `%.4e` of C: two digits of exponent at least.
fn format_exponent(x: f64) -> String {
    let text = format!("{x:.4e}");
    let Some((digits, exponent)) = text.split_once('e') else { return text };
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |e| ('-', e));
    format!("{digits}e{sign}{exponent:0>2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> TrainingPlan {
        TrainingPlan {
            parameter_bytes: 0,
            activation_bytes: 0,
            optimizer_bytes: 0,
            copy_bytes: 0,
            threads: 1,
            flops_per_step: 0.0,
            seed: 0,
            steps: 47,
            epochs: 2,
            has_validation: false,
        }
    }

    fn told(mode: Progress) -> String {
        let mut line = ProgressLine::new(Vec::new(), mode, false);
        let logs = vec![("accuracy".to_string(), 0.125), ("loss".to_string(), 0.00042)];
        line.begin(&plan());
        line.begin_epoch(0);
        for step in 1..=47 {
            line.end_step(step, &|| logs.clone());
        }
        line.end_epoch(0, &logs);
        String::from_utf8(line.out).unwrap()
    }

    #[test]
    fn a_finished_bar_reads_as_in_keras() {
        let text = told(Progress::Bar);
        assert!(text.starts_with("Epoch 1/2\n\r"), "{text:?}");
        let line = text.rsplit('\r').next().unwrap();
        assert!(line.starts_with("\x1b[K47/47 ━━━━━━━━━━━━━━━━━━━━ 0s "), "{line:?}");
        assert!(line.ends_with("us/step - accuracy: 0.1250 - loss: 4.2000e-04\n"), "{line:?}");
    }

    #[test]
    fn plain_output_has_no_control_characters() {
        let text = told(Progress::Plain);
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        assert!(text.contains("47/47 - 0s - "), "{text:?}");
        assert_eq!(told(Progress::None), "");
    }

    #[test]
    fn times_read_as_in_keras() {
        assert_eq!([59.9, 65.0, 3723.0].map(format_seconds), ["59s", "1:05", "1:02:03"]);
        assert_eq!([2.6, 0.0124, 0.00085].map(format_step), ["3s/step", "12ms/step", "850us/step"]);
        assert_eq!(format_exponent(-0.0), "-0.0000e+00");
    }
}
