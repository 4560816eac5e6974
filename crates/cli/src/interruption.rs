//! Ctrl-C while a model trains or writes, and where the checkpoint of a training lies.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::output;
use footlight::prelude::*;

/// The exit code of a program that Ctrl-C ended at once.
const ENDED_AT_ONCE: i32 = 130;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// A flag that becomes true at Ctrl-C, which is answered by `note`; another one ends the program at once.
pub fn flag(note: &'static str) -> &'static AtomicBool {
    // A second handler cannot be set, and the first does what is wanted.
    let _ = ctrlc::set_handler(move || {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            std::process::exit(ENDED_AT_ONCE);
        }
        output::note(note);
    });
    &INTERRUPTED
}

/// The checkpoint of a training whose model goes to `output`: beside it, or in `folder`.
#[derive(Debug)]
pub struct Checkpoint(PathBuf);

impl Checkpoint {
    pub fn new(output: &Path, folder: Option<&Path>) -> Checkpoint {
        let mut name = output.file_stem().unwrap_or_default().to_os_string();
        name.push(".checkpoint.npz");
        Checkpoint(folder.map_or_else(|| output.with_file_name(&name), |folder| folder.join(&name)))
    }

    /// Makes the folder, and keeps a checkpoint that nobody asked to go on from out of the way.
    ///
    /// # Errors
    /// A folder that cannot be written to, and a training that is to go on but is done by all appearances.
    pub fn prepare(&self, output: &Path, resume: bool) -> Result<()> {
        if let Some(folder) = self.0.parent() {
            let _ = std::fs::create_dir_all(folder);
        }
        output::check_writable(&self.0)?;
        let place = self.0.display();
        if resume && !self.0.is_file() && output.is_file() {
            let message = format!("--resume: there is no checkpoint `{place}`, and `{}` is there", output.display());
            return Err(Error::new(footlight::ErrorKind::Config, message)
                .help("the training is probably done; leave --resume out to train anew in its place"));
        }
        match (resume, self.0.is_file()) {
            (true, false) => output::note(&format!("there is no checkpoint `{place}`: the training starts anew")),
            (false, true) => {
                let old = self.0.with_extension("npz.old");
                if std::fs::rename(&self.0, &old).is_ok() {
                    let old = old.display();
                    output::note(&format!(
                        "a checkpoint of an unfinished training was there; it is now `{old}` (--resume would have gone on)"
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// How a training is put aside and interrupted.
    pub fn apply<'a>(&self, fit: Fit<'a>, every: Duration, resume: bool) -> Fit<'a> {
        let flag = flag("finishing the step and writing a checkpoint; Ctrl-C again ends at once");
        fit.checkpoint(&self.0, every).resume(resume).interrupt(flag)
    }

    /// Tells how to go on, where a training was interrupted.
    pub fn explain(&self, error: Error) -> Error {
        if error.kind() != footlight::ErrorKind::Interrupted {
            return error;
        }
        let arguments = std::env::args().enumerate().map(|(i, a)| if i == 0 { "footlight".into() } else { quoted(&a) });
        let mut arguments: Vec<String> = arguments.collect();
        if !arguments.iter().any(|argument| argument == "--resume") {
            arguments.push("--resume".into());
        }
        error.help(format!("go on with: {}", arguments.join(" ")))
    }

    /// Removes the checkpoint of a training that is done.
    pub fn remove(&self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// An argument as a shell takes it.
fn quoted(argument: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !argument.is_empty() && argument.chars().all(is_plain) {
        argument.into()
    } else {
        format!("'{}'", argument.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_lie_beside_the_model_or_where_they_are_wanted() {
        let path = |output: &str, folder: Option<&str>| Checkpoint::new(Path::new(output), folder.map(Path::new)).0;
        assert_eq!(path("runs/a.keras", None), Path::new("runs/a.checkpoint.npz"));
        assert_eq!(path("runs/a.keras", Some("/big")), Path::new("/big/a.checkpoint.npz"));
    }

    #[test]
    fn arguments_are_quoted_where_a_shell_needs_it() {
        assert_eq!(["a.keras", "my model", "it's", ""].map(quoted), ["a.keras", "'my model'", r"'it'\''s'", "''"]);
    }
}
