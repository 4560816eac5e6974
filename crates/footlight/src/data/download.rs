//! Fetching the files of a known set into the cache.
//!
//! A file appears in the cache whole and checked or not at all: it is written under a temporary name, its checksum is
//! compared, it is synced, then renamed.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process,
    time::{Duration, Instant},
};

use footlight_tensor::idx;
use indicatif::{ProgressBar, ProgressStyle};
use ureq::Agent;

use super::{
    folder,
    known::{KnownFile, KnownSet},
};

/// The time that failed connections may take, over all files and mirrors.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// A transfer that says nothing for so long has failed.
const SILENCE: Duration = Duration::from_secs(15);
/// No compressed file of a known set comes near to this.
const LIMIT_BYTES: u64 = 64 << 20;

/// Downloads what `cache` lacks of `set` from the first of `mirrors` that has it.
///
/// Gives the address of the last mirror used, or what every attempt ended with.
pub(super) fn download(
    set: &KnownSet,
    mirrors: &[&str],
    cache: &Path,
    patience: Duration,
    show_progress: bool,
    log: &mut dyn Write,
) -> Result<String, Vec<String>> {
    let mut left = patience;
    let mut best = 0;
    for file in set.files.iter().filter(|file| folder::find(cache, file.stem).is_none()) {
        let mut faults = Vec::new();
        let fetched = (0..mirrors.len()).find(|attempt| {
            let mirror = (best + attempt) % mirrors.len();
            let is_last = attempt + 1 == mirrors.len();
            let url = format!("{}{}.gz", mirrors[mirror], file.stem);
            // A first mirror that swallows packets leaves time to try the second.
            let share = if is_last { left } else { left * 3 / 5 };
            let start = Instant::now();
            match fetch(&url, file, cache, share, show_progress, log) {
                Ok(()) => {
                    best = mirror;
                    return true;
                }
                Err(Fault::Unreachable(fault)) => {
                    left = left.saturating_sub(start.elapsed());
                    faults.push(format!("{}: {fault}", mirrors[mirror]));
                }
                Err(Fault::Other(fault)) => faults.push(format!("{}: {fault}", mirrors[mirror])),
            }
            false
        });
        if fetched.is_none() {
            return Err(faults);
        }
    }
    Ok(mirrors[best].to_owned())
}

/// Why a file did not come.
enum Fault {
    /// There was no connection.
    Unreachable(String),
    /// There was one, and something else went wrong.
    Other(String),
}

fn fetch(
    url: &str,
    file: &KnownFile,
    cache: &Path,
    patience: Duration,
    show_progress: bool,
    log: &mut dyn Write,
) -> Result<(), Fault> {
    if patience < Duration::from_millis(10) {
        return Err(Fault::Unreachable("not tried, no time left".into()));
    }
    let agent: Agent = Agent::config_builder()
        .timeout_resolve(Some(patience * 2 / 5))
        .timeout_connect(Some(patience * 3 / 5))
        .timeout_recv_response(Some(SILENCE))
        .timeout_per_read(Some(SILENCE))
        .build()
        .into();
    let response = agent.get(url).call().map_err(|error| match error {
        ureq::Error::StatusCode(code) => Fault::Other(format!("the server answers {code}")),
        error => Fault::Unreachable(error.to_string()),
    })?;
    let _ = writeln!(log, "downloading {url}");
    let body = response.into_body();
    let bar = progress_bar(show_progress, body.content_length());
    let reader = bar.wrap_read(body.into_with_config().limit(LIMIT_BYTES).reader());
    // Only now: a machine without a network is left without empty folders.
    fs::create_dir_all(cache).map_err(|error| Fault::Other(format!("`{}`: {error}", cache.display())))?;
    let partial = Partial(cache.join(format!(".{}.{}.part", file.stem, process::id())));
    let stored = store(reader, file, &partial.0, &cache.join(format!("{}.gz", file.stem)));
    bar.finish_and_clear();
    stored.map_err(Fault::Other)
}

/// Writes, checks, syncs, renames.
fn store(mut reader: impl Read, file: &KnownFile, partial: &Path, place: &Path) -> Result<(), String> {
    let text = |error: io::Error| error.to_string();
    let mut output = File::create(partial).map_err(text)?;
    io::copy(&mut reader, &mut output).map_err(text)?;
    output.sync_all().map_err(text)?;
    drop(output);
    let plain = idx::Plain::new(File::open(partial).map_err(text)?).map_err(text)?;
    let sum = folder::checksum(plain, file.size_bytes + 1).map_err(text)?;
    if sum != file.sha256 {
        return Err(format!("not the published file (SHA-256 {sum})"));
    }
    fs::rename(partial, place).map_err(text)
}

/// A file that is removed unless it was renamed.
struct Partial(PathBuf);

impl Drop for Partial {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A bar on the standard error stream, hidden where that is not a terminal.
fn progress_bar(show_progress: bool, length: Option<u64>) -> ProgressBar {
    if !show_progress {
        return ProgressBar::hidden();
    }
    let bar = length.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    match ProgressStyle::with_template("  {bar:40} {bytes}/{total_bytes} {bytes_per_sec}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader},
        net::TcpListener,
        thread,
    };

    use super::*;
    use crate::data::{
        folder::tests::{Scratch, labels, pictures},
        known::STEMS,
    };

    /// A set of four small files and its bytes.
    fn small_set() -> (KnownSet, Vec<Vec<u8>>) {
        let contents = vec![pictures(3, 28), labels(&[0, 1, 2]), pictures(2, 28), labels(&[0, 1])];
        let file = |index: usize| KnownFile {
            stem: STEMS[index],
            size_bytes: contents[index].len() as u64,
            sha256: folder::checksum(&contents[index][..], u64::MAX).unwrap().leak(),
        };
        let set = KnownSet { name: "small", files: [0, 1, 2, 3].map(file), mirrors: &[] };
        (set, contents)
    }

    /// Serves `answer(path)` (404 where there is none) on a port of its own.
    fn serve(answer: impl Fn(&str) -> Option<Vec<u8>> + Send + 'static) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let lines: Vec<String> =
                    BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
                let path = lines.first().and_then(|line| line.split(' ').nth(1)).unwrap_or("/").to_owned();
                let (status, body) = match answer(&path[1..]) {
                    Some(body) => ("200 OK", body),
                    None => ("404 Not Found", vec![]),
                };
                let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
            }
        });
        address
    }

    fn by_stem(contents: Vec<Vec<u8>>) -> impl Fn(&str) -> Option<Vec<u8>> + Send + 'static {
        move |path| STEMS.iter().position(|stem| path == format!("{stem}.gz")).map(|index| contents[index].clone())
    }

    #[test]
    fn files_come_from_the_first_mirror_that_has_the_right_ones() {
        let scratch = Scratch::new();
        let (set, contents) = small_set();
        let mut wrong = contents.clone();
        wrong[1][9] ^= 1;
        let mirrors = [serve(|_| None), serve(by_stem(wrong)), serve(by_stem(contents))];
        let mirrors: Vec<&str> = mirrors.iter().map(String::as_str).collect();
        let cache = scratch.0.join("small");
        let mut log = Vec::new();
        let used = download(&set, &mirrors, &cache, PATIENCE, false, &mut log).unwrap();
        assert_eq!(used, mirrors[2]);
        assert!(folder::read(&cache, Some(&set), folder::Trust::Checksums).is_ok());
        assert_eq!(fs::read_dir(&cache).unwrap().count(), 4, "no partial file is left");
        assert!(String::from_utf8(log).unwrap().contains("downloading http://127.0.0.1"));
    }

    #[test]
    fn a_wrong_file_never_reaches_the_cache() {
        let scratch = Scratch::new();
        let (set, mut contents) = small_set();
        contents[0].push(0);
        let mirror = serve(by_stem(contents));
        let faults = download(&set, &[&mirror], &scratch.0, PATIENCE, false, &mut Vec::new()).unwrap_err();
        assert!(faults[0].contains("not the published file"), "{faults:?}");
        assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 0);
    }

    #[test]
    fn without_a_connection_patience_ends() {
        let scratch = Scratch::new();
        let (set, _) = small_set();
        let patience = Duration::from_millis(500);
        let start = Instant::now();
        // Nothing listens on the first; the second is an address kept for documentation, where nothing answers.
        let mirrors = ["http://127.0.0.1:9/", "http://192.0.2.1/"];
        let faults = download(&set, &mirrors, &scratch.0, patience, false, &mut Vec::new()).unwrap_err();
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    }
}
