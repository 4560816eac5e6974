//! From a request to a data set: where names are looked for, and in which order.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use footlight_nn::suggest;

use crate::{Error, ErrorKind};

use super::{
    Dataset, Origin, Samples,
    arrays::{self, Arrays},
    dataset::stem,
    digits::{self, Part},
    folder::{self, Parts, Trust},
    known::{DIGITS, KnownSet, SETS, STEMS, canonical},
    table::Table,
    text::{self, KnownText, TextVectorization},
};

/// Where data may be looked for, and what to generate when it is nowhere.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// A folder with one folder for each set, such as `mnist/train-images-idx3-ubyte.gz`; none by default.
    pub data_folder: Option<PathBuf>,
    /// Where downloads are kept, one folder for each set; [`default_cache_folder`] by default.
    pub cache_folder: Option<PathBuf>,
    /// Never to use the network; false by default.
    pub offline: bool,
    /// Whether to draw a progress bar on the standard error stream; false by default.
    pub show_progress: bool,
    /// The seed of generated digits; 0 by default.
    pub seed: u64,
    /// The column of a table that holds the labels; none by default.
    pub label: Option<String>,
    /// The column of a table that holds texts; none by default, all columns but the label are numbers.
    pub text_column: Option<String>,
    /// How texts become numbers, by its vocabulary if it has one, else by one learned from the texts to learn from; Keras'
    /// defaults by default.
    pub text: Option<TextVectorization>,
    /// The fraction of samples, the last ones, that is held out of a file without samples to test with; 0.2 by default, of
    /// a running text 0.1.
    pub test_split: Option<f64>,
    /// How many digits to generate to learn from; 60,000 by default, as in MNIST.
    pub train_count: usize,
    /// How many digits to generate to test with; 10,000 by default, as in MNIST.
    pub test_count: usize,
}

impl Default for LoadOptions {
    fn default() -> LoadOptions {
        LoadOptions {
            data_folder: None,
            cache_folder: default_cache_folder(),
            offline: false,
            show_progress: false,
            seed: 0,
            label: None,
            text_column: None,
            text: None,
            test_split: None,
            train_count: 60_000,
            test_count: 10_000,
        }
    }
}

/// The fraction of samples held out of a file.
const TEST_SPLIT: f64 = 0.2;

impl LoadOptions {
    pub(super) fn test_split(&self) -> f64 {
        self.test_split.unwrap_or(TEST_SPLIT)
    }

    /// The defaults, with the data folder that the environment names in `FOOTLIGHT_DATA`.
    pub fn from_environment() -> LoadOptions {
        let data_folder = env::var_os("FOOTLIGHT_DATA").filter(|folder| !folder.is_empty()).map(PathBuf::from);
        LoadOptions { data_folder, ..LoadOptions::default() }
    }
}

/// MNIST (from the folder `FOOTLIGHT_DATA` names, the cache, or the network), or generated digits where it cannot be had;
/// notices go to standard error. The article's `mnist.load_data()`.
///
/// # Errors
/// As [`load`].
pub fn mnist() -> Result<Dataset, Error> {
    load(None, &LoadOptions::from_environment(), &mut std::io::stderr())
}

/// The user's cache folder with `footlight` behind it, if the environment tells where that is.
pub fn default_cache_folder() -> Option<PathBuf> {
    cache_folder_of(env::consts::OS, |name| env::var_os(name))
}

/// Loads the data set of a name or a folder, writing notices and warnings to `log`.
///
/// `request` is a known name (`mnist`, `fashion-mnist`, `imdb`, `tiny-shakespeare`, or `digits`, which are generated), a
/// folder of four `idx` files, plain or gzip-compressed, or of `.txt` files by class, an `.npz` file of arrays, a `.csv`
/// file with a column of labels or a running text in a `.txt` file. A name is looked for in the data folder, then in the
/// cache, then, but for texts, on the network; a folder of the same name is written `./mnist`. Without a request it is
/// MNIST, and where that cannot be had, generated digits with a warning.
///
/// Texts become numbers by [`LoadOptions::text`]; those of a running text are windows of `T` tokens, `[N, T]`, with the
/// tokens that come next as targets, `[N, T]`.
///
/// # Errors
/// `config` for a request that is neither; `network` or `file` for a named set that is nowhere; `file` and `data` for
/// files that are damaged or do not fit together.
///
/// # Examples
/// ```
/// use footlight::data::{LoadOptions, load};
/// let options = LoadOptions { train_count: 20, test_count: 10, ..LoadOptions::default() };
/// let digits = load(Some("digits"), &options, &mut std::io::sink()).unwrap();
/// assert_eq!(digits.x_train.sample_shape(), [28, 28]);
/// ```
pub fn load(request: Option<&str>, options: &LoadOptions, log: &mut dyn Write) -> Result<Dataset, Error> {
    let mut misses = Vec::new();
    for (what, column) in [("label", &options.label), ("text", &options.text_column)] {
        if let Some(column) = column.as_ref().filter(|_| !request.is_some_and(is_table)) {
            let message = format!("{what} `{column}`: only a table (.csv or .tsv) has a column of {what}s");
            return Err(Error::new(ErrorKind::Config, message).help(format!("leave the {what} out, or give a table")));
        }
    }
    let Some(request) = request else {
        let found = search(&SETS[0], options, &mut misses, log)?;
        return Ok(found.unwrap_or_else(|| {
            warn(&misses, options, log);
            generate(options)
        }));
    };
    if let Some(set) = KnownSet::by_name(request) {
        return search(set, options, &mut misses, log)?.ok_or_else(|| nowhere(set, &misses, options));
    }
    if canonical(request) == DIGITS {
        return Ok(generate(options));
    }
    if let Some(set) = KnownText::by_name(request) {
        return set.load(options);
    }
    let folder = Path::new(request);
    if let Some(set) = file(folder, options)? {
        return Ok(set);
    }
    if !folder.is_dir() {
        return Err(no_folder(request));
    }
    if folder::missing(folder)?.len() == STEMS.len()
        && let Some(set) = text::folder(folder, options)?
    {
        return Ok(set);
    }
    let name = folder.file_name().map_or(request.into(), |name| name.to_string_lossy());
    Ok(dataset(&name, folder::read(folder, None, Trust::User)?, Origin::Folder(folder.to_owned())))
}

fn is_table(request: &str) -> bool {
    Path::new(request).extension().is_some_and(|e| e.eq_ignore_ascii_case("csv") || e.eq_ignore_ascii_case("tsv"))
}

/// The set of one file, if its name says that it is an `npz` or a table.
fn file(path: &Path, options: &LoadOptions) -> Result<Option<Dataset>, Error> {
    let extension = path.extension().map(|extension| extension.to_ascii_lowercase());
    match extension.as_deref().and_then(OsStr::to_str) {
        Some("npz") => {
            let Arrays { x, y, test } = arrays::read(path)?;
            let Some((x_test, y_test)) = test else {
                return Dataset::hold_out(path, x, y, options.test_split()).map(Some);
            };
            let origin = Origin::File { path: path.to_owned(), held_out: None };
            Ok(Some(dataset(&stem(path), [x, y, x_test, y_test], origin)))
        }
        Some("txt") if path.is_file() => text::running(path, options).map(Some),
        Some("csv" | "tsv") => {
            if let Some(column) = &options.text_column {
                return text::table(path, column, options).map(Some);
            }
            let Table { x, y, classes } = Table::open(path, options.label.as_deref())?;
            let set = Dataset::hold_out(path, x, y, options.test_split())?;
            Ok(Some(Dataset { classes, ..set }))
        }
        _ => Ok(None),
    }
}

/// A place where a set was not.
struct Miss {
    /// In two or three words.
    short: &'static str,
    /// With path or address and reason.
    long: String,
    /// Whether the network was asked.
    is_network: bool,
}

/// Looks for `set` in the data folder, the cache and on the network, noting where it is not.
fn search(
    set: &KnownSet,
    options: &LoadOptions,
    misses: &mut Vec<Miss>,
    log: &mut dyn Write,
) -> Result<Option<Dataset>, Error> {
    let mut miss = |short, long| misses.push(Miss { short, long, is_network: false });
    match &options.data_folder {
        None => miss("no data folder", "data folder: none is set".into()),
        Some(parent) => {
            let folder = parent.join(set.name);
            if folder::missing(&folder)?.len() < STEMS.len() {
                let parts = folder::read(&folder, Some(set), Trust::User)?;
                return Ok(Some(dataset(set.name, parts, Origin::Folder(folder))));
            }
            miss("not in the data folder", format!("data folder: no idx files in `{}`", folder.display()));
        }
    }
    let Some(parent) = &options.cache_folder else {
        miss("no cache", "cache: the environment names no folder for it".into());
        return Ok(None);
    };
    let cache = parent.join(set.name);
    let state = match folder::missing(&cache) {
        Ok(missing) if missing.is_empty() => {
            let parts = folder::read(&cache, Some(set), Trust::Checksums)?;
            return Ok(Some(dataset(set.name, parts, Origin::Cache(cache))));
        }
        Ok(missing) if missing.len() == STEMS.len() => format!("`{}` has no idx files", cache.display()),
        Ok(missing) => format!("`{}` lacks {}", cache.display(), missing.join(", ")),
        Err(error) => error.message().to_owned(),
    };
    miss("no cache", format!("cache: {state}"));
    if options.offline {
        miss("no download", "download: switched off".into());
        return Ok(None);
    }
    let Some(url) = fetch(set, &cache, options, misses, log) else { return Ok(None) };
    let parts = folder::read(&cache, Some(set), Trust::Checksums)?;
    Ok(Some(dataset(set.name, parts, Origin::Downloaded(url))))
}

#[cfg(feature = "download")]
fn fetch(
    set: &KnownSet,
    cache: &Path,
    options: &LoadOptions,
    misses: &mut Vec<Miss>,
    log: &mut dyn Write,
) -> Option<String> {
    use super::download::{PATIENCE, download};
    match download(set, set.mirrors, cache, PATIENCE, options.show_progress, log) {
        Ok(url) => Some(url),
        Err(failure) => {
            let short = if failure.is_unreachable { "no network" } else { "no download" };
            let long = format!("download: {}", failure.attempts.join("; "));
            misses.push(Miss { short, long, is_network: true });
            None
        }
    }
}

#[cfg(not(feature = "download"))]
fn fetch(_: &KnownSet, _: &Path, _: &LoadOptions, misses: &mut Vec<Miss>, _: &mut dyn Write) -> Option<String> {
    let long = "download: this build has no feature `download`".into();
    misses.push(Miss { short: "no download", long, is_network: false });
    None
}

fn dataset(name: &str, [x_train, y_train, x_test, y_test]: Parts, origin: Origin) -> Dataset {
    Dataset { name: name.to_owned(), x_train, y_train, x_test, y_test, classes: Vec::new(), text: None, origin }
}

fn generate(options: &LoadOptions) -> Dataset {
    let (x_train, y_train) = digits::generate(options.seed, Part::Train, options.train_count, 0);
    let (x_test, y_test) = digits::generate(options.seed, Part::Test, options.test_count, 0);
    let parts = [x_train, y_train, x_test, y_test].map(Samples::from);
    dataset(DIGITS, parts, Origin::Generated { seed: options.seed })
}

/// Says loudly that what follows is not MNIST.
fn warn(misses: &[Miss], options: &LoadOptions, log: &mut dyn Write) {
    let short: Vec<&str> = misses.iter().map(|miss| miss.short).collect();
    let count = thousands(options.train_count);
    let mut text =
        format!("warning: this is NOT MNIST: {}; training on {count} generated digits instead\n", short.join(", "));
    for miss in misses {
        text += &format!("  {}\n", miss.long);
    }
    text += &format!("  help: {}", advice(&SETS[0], options));
    let _ = writeln!(log, "{text}");
}

fn nowhere(set: &KnownSet, misses: &[Miss], options: &LoadOptions) -> Error {
    let mut message = format!("data set `{}` is in none of the places it was looked for", set.name);
    for miss in misses {
        message += &format!("\n  {}", miss.long);
    }
    let kind = if misses.iter().any(|miss| miss.is_network) { ErrorKind::Network } else { ErrorKind::File };
    Error::new(kind, message).help(advice(set, options))
}

/// How to get the files of `set` where they are looked for.
fn advice(set: &KnownSet, options: &LoadOptions) -> String {
    let files = format!("{}.gz", STEMS.join(".gz, "));
    match options.data_folder.as_ref().or(options.cache_folder.as_ref()) {
        Some(parent) => format!("put {files} into `{}`", parent.join(set.name).display()),
        None => format!("put {files} into a folder and give its path"),
    }
}

/// Says what a request is that is neither a name nor a folder.
fn no_folder(request: &str) -> Error {
    let names: Vec<&str> = SETS.iter().map(|set| set.name).chain([DIGITS]).chain(KnownText::names()).collect();
    let known = names.join(", ");
    let files = format!("a folder with {} (plain or .gz)", STEMS.join(", "));
    match fs::metadata(request) {
        Ok(_) => {
            let message = format!(
                "`{request}` is a file of unknown kind\n  expected: a folder of idx files, .npz, .csv, .tsv, .txt, or one of {known}"
            );
            Error::new(ErrorKind::Config, message).help(format!("give {files}"))
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Error::new(ErrorKind::File, format!("`{request}` cannot be read: {error}"))
                .help("it has to be a folder that you may read")
        }
        Err(_) => {
            let help = match suggest::nearest(&canonical(request), &names) {
                Some(name) => format!("did you mean `{name}`?"),
                None => format!("give a known set or {files}"),
            };
            let message = format!("`{request}` is neither a folder nor a known data set\n  known: {known}");
            Error::new(ErrorKind::Config, message).help(help)
        }
    }
}

/// `60000` as `60,000`.
fn thousands(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn cache_folder_of(os: &str, variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    // A relative path would mean another folder in every working directory.
    let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.has_root());
    let cache = match os {
        "windows" => absolute("LOCALAPPDATA"),
        "macos" => absolute("HOME").map(|home| home.join("Library").join("Caches")),
        _ => absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache"))),
    };
    cache.map(|cache| cache.join("footlight"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::folder::tests::Scratch;

    fn options(scratch: &Scratch) -> LoadOptions {
        LoadOptions {
            data_folder: Some(scratch.0.join("data")),
            cache_folder: Some(scratch.0.join("cache")),
            offline: true,
            train_count: 12,
            test_count: 5,
            ..LoadOptions::default()
        }
    }

    #[test]
    fn the_data_folder_comes_before_the_cache() {
        let scratch = Scratch::new();
        let options = options(&scratch);
        scratch.set("cache/mnist", None);
        // The cache alone is asked for checksums, which these small files do not have.
        assert_eq!(load(Some("mnist"), &options, &mut Vec::new()).unwrap_err().kind(), ErrorKind::File);
        let folder = scratch.set("data/mnist", None);
        for request in [None, Some("mnist"), Some("MNIST")] {
            let set = load(request, &options, &mut Vec::new()).unwrap();
            assert_eq!((set.name.as_str(), set.x_train.len(), set.x_test.len()), ("mnist", 3, 2));
            assert_eq!(set.origin, Origin::Folder(folder.clone()));
        }
    }

    #[test]
    fn a_folder_is_loaded_by_its_path() {
        let scratch = Scratch::new();
        let folder = scratch.set("letters", None);
        let set = load(folder.to_str(), &options(&scratch), &mut Vec::new()).unwrap();
        assert_eq!((set.name.as_str(), set.y_test.label(1)), ("letters", 1));
        assert_eq!(set.origin.to_string(), format!("folder {}", folder.display()));
    }

    #[test]
    fn a_named_set_that_is_nowhere_is_an_error_that_lists_the_places() {
        let scratch = Scratch::new();
        let error = load(Some("fashion_mnist"), &options(&scratch), &mut Vec::new()).unwrap_err();
        let root = scratch.0.display().to_string();
        assert_eq!(
            error.to_string().replace(&root, "ROOT").replace('\\', "/"),
            "data set `fashion-mnist` is in none of the places it was looked for\n  \
             data folder: no idx files in `ROOT/data/fashion-mnist`\n  \
             cache: `ROOT/cache/fashion-mnist` has no idx files\n  \
             download: switched off\n  \
             help: put train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz, \
             t10k-labels-idx1-ubyte.gz into `ROOT/data/fashion-mnist`"
        );
    }

    #[test]
    fn without_a_request_generated_digits_stand_in_with_a_warning() {
        let scratch = Scratch::new();
        let mut options = options(&scratch);
        options.data_folder = None;
        let mut log = Vec::new();
        let set = load(None, &options, &mut log).unwrap();
        assert_eq!((set.name.as_str(), set.x_train.len(), set.x_test.len()), ("digits", 12, 5));
        assert_eq!(set.origin.to_string(), "generated digits, seed 0 (not MNIST)");
        let log = String::from_utf8(log).unwrap();
        let first = "warning: this is NOT MNIST: no data folder, no cache, no download; \
                     training on 12 generated digits instead\n";
        assert!(log.starts_with(first), "{log}");
        assert!(log.contains("help: put train-images-idx3-ubyte.gz, "), "{log}");
    }

    #[test]
    fn digits_asked_for_by_name_come_without_a_warning() {
        let scratch = Scratch::new();
        let mut log = Vec::new();
        assert_eq!(load(Some("digits"), &options(&scratch), &mut log).unwrap().name, "digits");
        assert!(log.is_empty());
    }

    #[test]
    fn an_unknown_name_suggests_the_nearest() {
        let scratch = Scratch::new();
        let error = load(Some("mnits"), &options(&scratch), &mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert_eq!(error.help_text(), Some("did you mean `mnist`?"));
        let error = load(Some("no/such/folder"), &options(&scratch), &mut Vec::new()).unwrap_err();
        assert!(error.message().contains("known: mnist, fashion-mnist, digits, imdb, tiny-shakespeare"), "{error}");
    }

    #[test]
    fn the_cache_folder_follows_the_system() {
        let variables = |name: &str| match name {
            "HOME" => Some("/home/user".into()),
            "LOCALAPPDATA" => Some("/local".into()),
            _ => None,
        };
        for (os, folder) in [
            ("linux", "/home/user/.cache/footlight"),
            ("macos", "/home/user/Library/Caches/footlight"),
            ("windows", "/local/footlight"),
        ] {
            assert_eq!(cache_folder_of(os, variables), Some(folder.into()), "{os}");
        }
        let xdg = |name: &str| (name == "XDG_CACHE_HOME").then(|| "/fast".into());
        assert_eq!(cache_folder_of("linux", xdg), Some("/fast/footlight".into()));
        assert_eq!(cache_folder_of("linux", |_| Some("relative".into())), None);
    }

    #[test]
    fn counts_have_commas() {
        assert_eq!([0, 999, 1_000, 60_000, 1_234_567].map(thousands).join(" "), "0 999 1,000 60,000 1,234,567");
    }
}
