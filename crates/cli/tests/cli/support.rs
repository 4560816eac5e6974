//! Folders that vanish, small data, and runs of the command.

use footlight::tensor::{Tensor, idx};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder of its own for a test, removed at its end.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("footlight-cli-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    /// A folder with the small set in `data`.
    pub fn with_data() -> Folder {
        let folder = Folder::new();
        small_set(&folder.path("data"));
        folder
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).unwrap();
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Runs the command in this folder, without a cache, a data folder, colours or a way out to the network.
    pub fn run(&self, arguments: &str) -> Run {
        Run::of(self.command(arguments).output().unwrap())
    }

    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_footlight"));
        command.args(arguments.split_whitespace()).current_dir(&self.0);
        for name in ["FOOTLIGHT_DATA", "NO_COLOR", "XDG_CACHE_HOME", "LOCALAPPDATA"] {
            command.env_remove(name);
        }
        command.env("HOME", &self.0).env("ALL_PROXY", "http://127.0.0.1:9").env("HTTPS_PROXY", "http://127.0.0.1:9");
        command
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What a run left.
pub struct Run {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Run {
    pub fn of(output: Output) -> Run {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the command speaks UTF-8");
        Run { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// The run, which has to have gone well.
    pub fn done(self) -> Run {
        assert_eq!(self.code, Some(0), "{}{}", self.out, self.err);
        self
    }

    pub fn last_line(&self) -> &str {
        self.out.lines().last().unwrap_or_default()
    }
}

/// A run that has to fail, as a person sees it; whatever differs from machine to machine is cut out.
pub fn told(folder: &Folder, what: &str, arguments: &str) -> String {
    let run = folder.run(arguments);
    assert!(run.code == Some(1) || run.code == Some(2), "{what}: {:?} {}", run.code, run.err);
    assert!(!run.err.contains("panicked"), "{what}: {}", run.err);
    let here = folder.0.display().to_string();
    format!("# {what}\n$ footlight {arguments}\n{}exit code {}\n\n", run.err.replace(&here, "~"), run.code.unwrap())
}

/// Compares messages with the reviewed ones in `name` beside this file.
///
/// `FOOTLIGHT_UPDATE=1 cargo test -p footlight-cli` writes the file anew, to be reviewed as prose.
pub fn reviewed(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli").join(name);
    if std::env::var_os("FOOTLIGHT_UPDATE").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    for (got, want) in text.split("\n# ").zip(known.split("\n# ")) {
        assert_eq!(got, want, "review it, then FOOTLIGHT_UPDATE=1");
    }
    assert_eq!(text.len(), known.len(), "review it, then FOOTLIGHT_UPDATE=1");
}

/// The bytes of `model.weights.h5` in a model's file.
pub fn weights(path: &Path) -> Vec<u8> {
    let mut zip = zip::ZipArchive::new(std::fs::File::open(path).unwrap()).unwrap();
    let mut bytes = Vec::new();
    std::io::copy(&mut zip.by_name("model.weights.h5").unwrap(), &mut bytes).unwrap();
    bytes
}

/// Three classes of 6 x 5 pictures, told apart by the rows that are bright: 90 to learn from, 30 to test with.
pub fn small_set(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    for (stem, count) in [("train", 90), ("t10k", 30)] {
        let pixel = |i: usize| {
            let (sample, row) = (i / 30, i % 30 / 5);
            if row / 2 == sample % 3 { 200 + (i % 50) as u8 } else { (i * 7 % 60) as u8 }
        };
        let pictures = Tensor::new([count, 6, 5], (0..count * 30).map(pixel).collect::<Vec<u8>>()).unwrap();
        let labels = Tensor::new([count], (0..count).map(|i| (i % 3) as u8).collect::<Vec<u8>>()).unwrap();
        std::fs::write(folder.join(format!("{stem}-images-idx3-ubyte")), idx::write(&pictures).unwrap()).unwrap();
        std::fs::write(folder.join(format!("{stem}-labels-idx1-ubyte")), idx::write(&labels).unwrap()).unwrap();
    }
}
