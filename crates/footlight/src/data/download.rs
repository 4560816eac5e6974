//! Fetching the files of a known set into the cache.
//!
//! A file appears in the cache whole and checked or not at all: its checksum is compared while it is in memory, then it
//! is written under a temporary name, synced and renamed.

use std::{
    fs,
    io::{Read, Write},
    path::Path,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use footlight_nn::file::write_atomically;
use footlight_tensor::idx;
use indicatif::{ProgressBar, ProgressStyle};
use ureq::{Agent, Body, http::Response};

use super::{
    folder,
    known::{KnownFile, KnownSet},
};

/// How long nothing may happen.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    /// The time that servers may take to answer, as long as none has: over all files and mirrors.
    pub(super) answer: Duration,
    /// A transfer that says nothing for so long has failed.
    pub(super) silence: Duration,
}

pub(super) const PATIENCE: Patience =
    Patience { answer: Duration::from_millis(4_500), silence: Duration::from_secs(10) };
/// A file that takes longer than this is not coming.
const LONGEST: Duration = Duration::from_secs(30 * 60);
/// No compressed file of a known set comes near to this.
const LIMIT_BYTES: u64 = 64 << 20;

/// Why a set could not be downloaded.
#[derive(Debug)]
pub(super) struct Failure {
    /// What became of each mirror.
    pub(super) attempts: Vec<String>,
    /// Whether no mirror answered at all.
    pub(super) is_unreachable: bool,
}

/// Downloads what `cache` lacks of `set` from the first of `mirrors` that has it.
///
/// Gives the address of the last mirror used, or what every attempt ended with.
pub(super) fn download(
    set: &KnownSet,
    mirrors: &[&str],
    cache: &Path,
    mut patience: Patience,
    show_progress: bool,
    log: &mut dyn Write,
) -> Result<String, Failure> {
    let mut best = 0;
    for file in set.files.iter().filter(|file| folder::find(cache, file.stem).is_none()) {
        let mut failure = Failure { attempts: Vec::new(), is_unreachable: true };
        let fetched = (0..mirrors.len()).map(|attempt| (best + attempt) % mirrors.len()).find(|&mirror| {
            // A first mirror that swallows packets leaves time to try the second.
            let is_last = failure.attempts.len() + 1 == mirrors.len();
            let answer = if is_last { patience.answer } else { patience.answer * 3 / 5 };
            let url = format!("{}{}.gz", mirrors[mirror], file.stem);
            let start = Instant::now();
            let fault = match fetch(&url, file, cache, Patience { answer, ..patience }, show_progress, log) {
                Ok(()) => return true,
                Err(Fault::Unreachable(fault)) => {
                    patience.answer = patience.answer.saturating_sub(start.elapsed());
                    fault
                }
                Err(Fault::Other(fault)) => {
                    failure.is_unreachable = false;
                    fault
                }
            };
            failure.attempts.push(format!("{}: {fault}", mirrors[mirror]));
            false
        });
        best = fetched.ok_or(failure)?;
    }
    Ok(mirrors[best].to_owned())
}

/// Why a file did not come.
enum Fault {
    /// There was no answer.
    Unreachable(String),
    /// There was one, and something else went wrong.
    Other(String),
}

fn fetch(
    url: &str,
    file: &KnownFile,
    cache: &Path,
    patience: Patience,
    show_progress: bool,
    log: &mut dyn Write,
) -> Result<(), Fault> {
    let body = ask(url, patience)?.into_body();
    let _ = writeln!(log, "downloading {url}");
    let bytes = receive(body, show_progress).map_err(Fault::Other)?;
    check(&bytes, file).map_err(Fault::Other)?;
    keep(&bytes, file, cache).map_err(Fault::Other)
}

/// Asks for `url` and waits for an answer, however the time is spent: on names, connections or a server's silence.
fn ask(url: &str, patience: Patience) -> Result<Response<Body>, Fault> {
    if patience.answer < Duration::from_millis(10) {
        return Err(Fault::Unreachable("not tried, no time left".into()));
    }
    let agent: Agent = Agent::config_builder()
        .timeout_resolve(Some(patience.answer))
        .timeout_connect(Some(patience.answer))
        .timeout_recv_response(Some(patience.answer))
        .timeout_recv_body(Some(LONGEST))
        .timeout_per_read(Some(patience.silence))
        .build()
        .into();
    let (sender, receiver) = mpsc::channel();
    let request = agent.get(url);
    // The thread outlives a patience that has ended by its own timeouts at most.
    thread::spawn(move || {
        let _ = sender.send(request.call());
    });
    match receiver.recv_timeout(patience.answer) {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(ureq::Error::StatusCode(code))) => Err(Fault::Other(format!("the server answers {code}"))),
        Ok(Err(ureq::Error::Io(error))) => Err(Fault::Unreachable(error.to_string())),
        Ok(Err(ureq::Error::Timeout(_))) | Err(_) => {
            Err(Fault::Unreachable(format!("no answer in {:.1} s", patience.answer.as_secs_f32())))
        }
        Ok(Err(error)) => Err(Fault::Unreachable(error.to_string())),
    }
}

fn receive(body: Body, show_progress: bool) -> Result<Vec<u8>, String> {
    let length = body.content_length();
    let bar = progress_bar(show_progress, length);
    let mut bytes = Vec::new();
    let received =
        bar.wrap_read(body.into_with_config().limit(LIMIT_BYTES).reader()).read_to_end(&mut bytes).map_err(|error| {
            let announced = length.map_or("an unknown number".into(), |length| length.to_string());
            format!("the transfer broke off after {} of {announced} bytes: {error}", bytes.len())
        });
    bar.finish_and_clear();
    received.map(|_| bytes)
}

fn check(bytes: &[u8], file: &KnownFile) -> Result<(), String> {
    let sum = idx::Plain::new(bytes).and_then(|plain| folder::checksum(plain, file.size_bytes + 1));
    match sum {
        Ok(sum) if sum == file.sha256 => Ok(()),
        Ok(sum) => Err(format!("not the published file: {} bytes, SHA-256 {sum} once decompressed", bytes.len())),
        Err(error) => Err(format!("not the published file: {} bytes, {error}", bytes.len())),
    }
}

fn keep(bytes: &[u8], file: &KnownFile, cache: &Path) -> Result<(), String> {
    // Only now: a machine without a network is left without empty folders.
    fs::create_dir_all(cache).map_err(|error| format!("`{}`: {error}", cache.display()))?;
    write_atomically(cache.join(format!("{}.gz", file.stem)), bytes).map_err(|error| error.message().to_owned())
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
        io::{self, BufRead, BufReader},
        net::{TcpListener, TcpStream},
    };

    use super::*;
    use crate::data::{
        folder::tests::{Scratch, labels, pictures},
        known::STEMS,
    };

    /// Enough for a busy machine to answer itself, and little to lose where it does not.
    const LOCAL: Patience = Patience { answer: PATIENCE.answer, silence: Duration::from_millis(500) };

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

    /// Has `answer(path, connection)` speak to everyone who asks on a port of its own.
    fn serve(answer: impl Fn(&str, &mut TcpStream) -> io::Result<()> + Send + 'static) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let lines: Vec<String> =
                    BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
                let path = lines.first().and_then(|line| line.split(' ').nth(1)).unwrap_or("/").to_owned();
                let _ = answer(&path[1..], &mut stream);
            }
        });
        address
    }

    fn head(status: &str, length: usize) -> Vec<u8> {
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n").into_bytes()
    }

    fn not_found(_: &str, stream: &mut TcpStream) -> io::Result<()> {
        stream.write_all(&head("404 Not Found", 0))
    }

    /// Serves these files, of which each is sent up to its byte `end`, after which nothing comes for `silence`.
    fn files(contents: Vec<Vec<u8>>, end: usize, silence: Duration) -> String {
        serve(move |path, stream| {
            let body = &contents[STEMS.iter().position(|stem| path == format!("{stem}.gz")).unwrap()];
            stream.write_all(&head("200 OK", body.len()))?;
            stream.write_all(&body[..body.len().min(end)])?;
            thread::sleep(silence);
            Ok(())
        })
    }

    fn whole(contents: Vec<Vec<u8>>) -> String {
        files(contents, usize::MAX, Duration::ZERO)
    }

    fn attempt(set: &KnownSet, mirrors: &[&str], cache: &Path) -> Result<String, Failure> {
        download(set, mirrors, cache, LOCAL, false, &mut Vec::new())
    }

    #[test]
    fn files_come_from_the_first_mirror_that_has_the_right_ones() {
        let scratch = Scratch::new();
        let (set, contents) = small_set();
        let mut wrong = contents.clone();
        wrong[1][9] ^= 1;
        let mirrors = [serve(not_found), whole(wrong), whole(contents)];
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
    fn a_file_that_is_wrong_cut_or_stuck_never_reaches_the_cache() {
        let (set, contents) = small_set();
        let mut longer = contents.clone();
        longer[0].push(0);
        let cases = [
            (whole(longer), "not the published file: 2369 bytes, SHA-256 "),
            (serve(not_found), "the server answers 404"),
            (files(contents.clone(), 100, Duration::ZERO), "the transfer broke off after 100 of 2368 bytes: "),
            (files(contents, 100, Duration::from_secs(60)), "the transfer broke off after 100 of 2368 bytes: "),
        ];
        for (mirror, fault) in cases {
            let scratch = Scratch::new();
            let start = Instant::now();
            let failure = attempt(&set, &[&mirror], &scratch.0).unwrap_err();
            assert_eq!(failure.attempts.len(), 1);
            assert!(failure.attempts[0].contains(fault), "{failure:?}");
            assert!(!failure.is_unreachable, "{failure:?}");
            assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 0);
            assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
        }
    }

    #[test]
    fn what_came_before_a_failure_is_kept_and_not_fetched_again() {
        let scratch = Scratch::new();
        let (set, contents) = small_set();
        let mut wrong = contents.clone();
        wrong[2].pop();
        assert!(attempt(&set, &[&whole(wrong)], &scratch.0).is_err());
        assert_eq!(folder::missing(&scratch.0).unwrap(), STEMS[2..]);
        let only_the_rest = vec![vec![], vec![], contents[2].clone(), contents[3].clone()];
        attempt(&set, &[&whole(only_the_rest)], &scratch.0).unwrap();
        assert!(folder::missing(&scratch.0).unwrap().is_empty());
    }

    #[test]
    fn a_cache_that_cannot_be_written_is_named() {
        let scratch = Scratch::new();
        let (set, contents) = small_set();
        let cache = scratch.0.join("taken");
        fs::write(&cache, b"a file where the folder should be").unwrap();
        let failure = attempt(&set, &[&whole(contents)], &cache).unwrap_err();
        assert!(failure.attempts[0].contains(&format!("`{}`: ", cache.display())), "{failure:?}");
    }

    /// Nothing listens on the first; the second is an address kept for documentation, where nothing answers; the third
    /// takes the connection and is silent.
    #[test]
    fn without_an_answer_patience_ends() {
        let scratch = Scratch::new();
        let (set, _) = small_set();
        let silent = serve(|_, _| {
            thread::sleep(Duration::from_secs(60));
            Ok(())
        });
        let mirrors = ["http://127.0.0.1:9/", "http://192.0.2.1/", &silent];
        let patience = Patience { answer: Duration::from_millis(500), ..LOCAL };
        let start = Instant::now();
        let failure = download(&set, &mirrors, &scratch.0, patience, false, &mut Vec::new()).unwrap_err();
        assert_eq!(failure.attempts.len(), 3, "{failure:?}");
        assert!(failure.is_unreachable);
        assert!(failure.attempts[2].contains(": no answer in "), "{failure:?}");
        assert!(start.elapsed() < 3 * patience.answer, "{:?}", start.elapsed());
    }

    /// The real files, from a mirror on this machine.
    #[test]
    fn mnist_is_downloaded_checked_and_read() {
        let Some(data) = std::env::var_os("FOOTLIGHT_DATA") else {
            println!("skipped: FOOTLIGHT_DATA names no folder with mnist in it");
            return;
        };
        let folder = Path::new(&data).join("mnist");
        let contents = STEMS.map(|stem| fs::read(folder.join(format!("{stem}.gz"))));
        let contents: Vec<Vec<u8>> = contents.into_iter().map(Result::unwrap).collect();
        let (scratch, set) = (Scratch::new(), KnownSet::by_name("mnist").unwrap());
        attempt(set, &[&whole(contents)], &scratch.0).unwrap();
        let [x_train, .., y_test] = folder::read(&scratch.0, Some(set), folder::Trust::Checksums).unwrap();
        assert_eq!((x_train.len(), y_test.len(), y_test.label(0)), (60_000, 10_000, 7));
    }
}
