//! How the command speaks: errors with their exit codes, and lines that survive a closed pipe.

use footlight::{Error, ErrorKind};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// Writes to standard output. A reader who has gone away is no fault, and what is being trained is trained on.
///
/// # Errors
/// When the text cannot be written otherwise, such as to a full disk.
pub fn print(text: &str) -> Result<(), Error> {
    let mut out = std::io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::new(ErrorKind::File, format!("standard output cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}

/// Tells of something that is no error, on standard error.
pub fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "note: {text}");
}

/// Tells of an error; the exit code is 2 for bad use and 1 for what could not be done.
pub fn report(error: &Error) -> ExitCode {
    let mut text = format!("error[{}]: {}\n", error.kind().name(), error.message());
    if let Some(help) = error.help_text() {
        text += &format!("  help: {help}\n");
    }
    let _ = std::io::stderr().write_all(text.as_bytes());
    if error.kind() == ErrorKind::Config { ExitCode::from(2) } else { ExitCode::from(1) }
}

/// Makes sure, before hours are spent, that a file can be written where it is wanted.
pub fn check_writable(path: &Path) -> Result<(), Error> {
    let fault = |message: String, help| Err(Error::new(ErrorKind::File, message).help(help));
    if path.is_dir() {
        return fault(format!("`{}` is a folder", path.display()), "name a file in it, such as model.keras");
    }
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let probe = folder.join(format!(".footlight-{}", std::process::id()));
    let result = std::fs::write(&probe, b"");
    let _ = std::fs::remove_file(&probe);
    let Err(error) = result else { return Ok(()) };
    let help = match error.kind() {
        std::io::ErrorKind::NotFound => "make the folder first",
        _ => "choose another folder, or make room there",
    };
    fault(format!("`{}`: cannot be written: {error}", path.display()), help)
}

/// Refuses a file whose name does not end as what is written to it.
pub fn check_ending(flag: &str, path: &Path, ending: &str) -> Result<(), Error> {
    if path.extension().is_some_and(|found| found.eq_ignore_ascii_case(ending)) || path.is_dir() {
        return Ok(());
    }
    let message = format!("{flag} `{}`: what is written is a .{ending} file", path.display());
    Err(Error::new(ErrorKind::Config, message).help(format!("let the name end in .{ending}")))
}
