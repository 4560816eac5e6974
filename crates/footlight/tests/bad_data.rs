//! Data sets that cannot be had: what is said of each, word for word.

use common::{check, told};
use flate2::{Compression, write::GzEncoder};
use footlight::data::{LoadOptions, Origin, load};
use footlight::tensor::{Data, Tensor, idx};
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

mod common;

const TRAIN_X: &str = "train-images-idx3-ubyte";
const TRAIN_Y: &str = "train-labels-idx1-ubyte";
const TEST_X: &str = "t10k-images-idx3-ubyte";
const TEST_Y: &str = "t10k-labels-idx1-ubyte";

/// A folder of this test's own with one for data and one as cache, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("footlight-bad-data-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    /// Three pictures to learn from and two to test with, in the data folder under `name`.
    fn set(&self, name: &str) -> PathBuf {
        let folder = self.0.join(name);
        fs::create_dir_all(&folder).unwrap();
        for (stem, bytes) in [
            (TRAIN_X, pictures(3, 28)),
            (TRAIN_Y, labels(&[0, 1, 2])),
            (TEST_X, pictures(2, 28)),
            (TEST_Y, labels(&[0, 1])),
        ] {
            fs::write(folder.join(stem), bytes).unwrap();
        }
        folder
    }

    fn options(&self) -> LoadOptions {
        LoadOptions {
            data_folder: Some(self.0.clone()),
            cache_folder: Some(self.0.join("cache")),
            offline: true,
            train_count: 12,
            test_count: 5,
            ..LoadOptions::default()
        }
    }

    /// What is said when `request` is loaded, with the scratch folder called ROOT.
    fn told(&self, request: Option<&str>) -> String {
        match load(request, &self.options(), &mut Vec::new()) {
            Ok(set) => format!("loaded from {}", set.origin),
            Err(error) => told(&error),
        }
        .replace(&self.0.display().to_string(), "ROOT")
        .replace('\\', "/")
    }

    /// What is said of a folder whose file `stem` holds `bytes`.
    fn with_file(&self, stem: &str, bytes: &[u8]) -> String {
        let folder = self.set("digits");
        fs::write(folder.join(stem), bytes).unwrap();
        self.told(folder.to_str())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn idx_of(shape: &[usize], data: impl Into<Data>) -> Vec<u8> {
    idx::write(&Tensor::new(shape, data).unwrap()).unwrap()
}

fn pictures(count: usize, side: usize) -> Vec<u8> {
    idx_of(&[count, side, side], vec![9u8; count * side * side])
}

fn labels(values: &[u8]) -> Vec<u8> {
    idx_of(&[values.len()], values.to_vec())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// `bytes` with byte `at` replaced.
fn changed(mut bytes: Vec<u8>, at: usize, byte: u8) -> Vec<u8> {
    bytes[at] = byte;
    bytes
}

#[test]
fn files_that_are_damaged() {
    let scratch = Scratch::new();
    let cases = [
        ("a file cut short", scratch.with_file(TRAIN_X, &pictures(3, 28)[..100])),
        ("an empty file", scratch.with_file(TRAIN_Y, b"")),
        ("bytes that go on", scratch.with_file(TEST_Y, &[&labels(&[0, 1])[..], b"!"].concat())),
        ("a file of another format", scratch.with_file(TRAIN_X, b"\x89PNG\r\n\x1a\n")),
        ("an element type that idx lacks", scratch.with_file(TRAIN_X, &changed(pictures(3, 28), 2, 7))),
        ("a shape beyond all memory", scratch.with_file(TRAIN_X, &[&[0, 0, 8, 3][..], &[255; 12]].concat())),
        ("a shape beyond all reason", scratch.with_file(TRAIN_X, &[0, 0, 8, 2, 255, 255, 255, 255, 0, 0, 1, 0])),
        ("gzip cut short", scratch.with_file(TRAIN_X, &gzip(&pictures(3, 28))[..30])),
        ("gzip with a wrong checksum", {
            let bytes = gzip(&labels(&[0, 1, 2]));
            let at = bytes.len() - 8;
            scratch.with_file(TRAIN_Y, &changed(bytes.clone(), at, !bytes[at]))
        }),
        ("gzip that unpacks to far more than the header says", {
            let mut bytes = labels(&[0, 1, 2]);
            bytes.resize(10_000_000, 0);
            scratch.with_file(TRAIN_Y, &gzip(&bytes))
        }),
    ];
    check(&cases, DAMAGED);
}

const DAMAGED: &str = r"
a file cut short
error[file]: `ROOT/digits/train-images-idx3-ubyte`: idx: the bytes end at byte 100, the data ends at byte 2368
  help: the file is cut short; copy or download it again

an empty file
error[file]: `ROOT/digits/train-labels-idx1-ubyte`: idx: the bytes end at byte 0, the header ends at byte 4
  help: the file is cut short; copy or download it again

bytes that go on
error[file]: `ROOT/digits/t10k-labels-idx1-ubyte`: idx: bytes follow byte 10, where the shape in the header says the data ends
  help: the header and the data do not belong together; make the file again

a file of another format
error[file]: `ROOT/digits/train-images-idx3-ubyte`: idx: the file starts with bytes 0x89 0x50, an idx file starts with 0x00 0x00
  help: give a file such as train-images-idx3-ubyte.gz

an element type that idx lacks
error[file]: `ROOT/digits/train-images-idx3-ubyte`: idx: byte 2 gives element type 0x07, idx has 0x08, 0x09, 0x0b, 0x0c, 0x0d, 0x0e
  help: give a file such as train-images-idx3-ubyte.gz

a shape beyond all memory
error[file]: `ROOT/digits/train-images-idx3-ubyte`: idx: shape [4294967295, 4294967295, 4294967295] of 1-byte elements cannot be addressed
  help: the file is damaged; copy or download it again

a shape beyond all reason
error[file]: `ROOT/digits/train-images-idx3-ubyte`: idx: 1099511627532 bytes are declared out of 12 stored, more than 100 times
  help: the file is damaged; copy or download it again

gzip cut short
error[file]: `ROOT/digits/train-images-idx3-ubyte`: idx: cannot read past byte 533: incomplete deflate stream
  help: the file is damaged; copy or download it again

gzip with a wrong checksum
error[file]: `ROOT/digits/train-labels-idx1-ubyte`: idx: cannot read past byte 11: corrupt gzip stream does not have a matching checksum
  help: the file is damaged; copy or download it again

gzip that unpacks to far more than the header says
error[file]: `ROOT/digits/train-labels-idx1-ubyte`: idx: bytes follow byte 11, where the shape in the header says the data ends
  help: the header and the data do not belong together; make the file again
";

#[test]
fn files_that_do_not_fit_together() {
    let scratch = Scratch::new();
    let cases = [
        ("labels where pictures should be", scratch.with_file(TRAIN_X, &labels(&[0, 1, 2]))),
        ("pictures where labels should be", scratch.with_file(TEST_Y, &pictures(2, 28))),
        ("no pictures", scratch.with_file(TRAIN_X, &pictures(0, 28))),
        ("no labels", scratch.with_file(TRAIN_Y, &labels(&[]))),
        ("fewer labels than pictures", scratch.with_file(TRAIN_Y, &labels(&[0, 1]))),
        ("labels that are fractions", scratch.with_file(TRAIN_Y, &idx_of(&[3], vec![0.0f32, 0.5, 1.0]))),
        ("a negative label", scratch.with_file(TRAIN_Y, &idx_of(&[3], vec![0i32, -1, 1]))),
        ("a label that is tested but never trained", scratch.with_file(TEST_Y, &labels(&[0, 7]))),
        ("pictures of two sizes", scratch.with_file(TEST_X, &pictures(2, 20))),
        ("pictures of another size than the named set has", {
            fs::write(scratch.set("mnist").join(TRAIN_X), pictures(3, 20)).unwrap();
            scratch.told(Some("mnist"))
        }),
        ("pictures of floats in place of the named set", {
            fs::write(scratch.set("mnist").join(TRAIN_X), idx_of(&[3, 28, 28], vec![0.5f32; 2352])).unwrap();
            scratch.told(Some("mnist"))
        }),
        ("a label that the named set does not have", {
            fs::write(scratch.set("mnist").join(TRAIN_Y), labels(&[0, 1, 10])).unwrap();
            scratch.told(None)
        }),
    ];
    check(&cases, UNFIT);
}

const UNFIT: &str = r"
labels where pictures should be
error[data]: `ROOT/digits/train-images-idx3-ubyte`: not pictures
  expected: [N, ...], N at least 1
  arrived:  uint8 [3]
  help: this looks like labels; perhaps two files were swapped

pictures where labels should be
error[data]: `ROOT/digits/t10k-labels-idx1-ubyte`: not labels
  expected: whole numbers [N], N at least 1
  arrived:  uint8 [2, 28, 28]
  help: this looks like pictures; perhaps two files were swapped

no pictures
error[data]: `ROOT/digits/train-images-idx3-ubyte`: no pictures in it
  expected: [N, ...], N at least 1
  arrived:  uint8 [0, 28, 28]
  help: give pictures of at least one pixel each

no labels
error[data]: `ROOT/digits/train-labels-idx1-ubyte`: no labels in it
  expected: whole numbers [N], N at least 1
  arrived:  uint8 [0]
  help: give one label for each picture

fewer labels than pictures
error[data]: `ROOT/digits/train-images-idx3-ubyte`: 3 pictures, but 2 labels in `ROOT/digits/train-labels-idx1-ubyte`
  help: every picture needs one label; perhaps files of train and t10k were mixed

labels that are fractions
error[data]: `ROOT/digits/train-labels-idx1-ubyte`: not labels
  expected: whole numbers [N], N at least 1
  arrived:  float32 [3]
  help: labels are numbers of classes; save them as uint8 or int32

a negative label
error[data]: `ROOT/digits/train-labels-idx1-ubyte`: labels go from -1 to 1, legal are 0 and above
  help: number the classes from 0, and check that the labels belong to these pictures

a label that is tested but never trained
error[data]: `ROOT/digits/t10k-labels-idx1-ubyte`: label 7 has no sample in `ROOT/digits/train-labels-idx1-ubyte`, whose highest label is 2
  help: what is not trained cannot be tested; split the samples anew

pictures of two sizes
error[data]: `ROOT/digits/t10k-images-idx3-ubyte`: a picture has shape [20, 20], one of `ROOT/digits/train-images-idx3-ubyte` has [28, 28]
  help: both files have to hold pictures of one size

pictures of another size than the named set has
error[data]: `ROOT/mnist/train-images-idx3-ubyte`: not pictures of mnist
  expected: uint8 [N, 28, 28], N at least 1
  arrived:  uint8 [3, 20, 20]
  help: for other pictures give the folder's path in place of the name `mnist`

pictures of floats in place of the named set
error[data]: `ROOT/mnist/train-images-idx3-ubyte`: not pictures of mnist
  expected: uint8 [N, 28, 28], N at least 1
  arrived:  float32 [3, 28, 28]
  help: for other pictures give the folder's path in place of the name `mnist`

a label that the named set does not have
error[data]: `ROOT/mnist/train-labels-idx1-ubyte`: labels go from 0 to 10, legal in mnist are 0 to 9
  help: number the classes from 0, and check that the labels belong to these pictures
";

#[test]
fn requests_that_lead_nowhere() {
    let scratch = Scratch::new();
    let path = |name: &str| scratch.0.join(name).display().to_string();
    let partial = scratch.set("partial");
    fs::remove_file(partial.join(TRAIN_Y)).unwrap();
    fs::remove_file(partial.join(TEST_X)).unwrap();
    fs::create_dir(scratch.0.join("empty")).unwrap();
    fs::write(scratch.0.join("mnist.npz"), b"PK").unwrap();
    fs::write(scratch.0.join("notes.md"), b"hello").unwrap();
    let cases = [
        ("a name with a slip", scratch.told(Some("mnits"))),
        ("a name that nothing has", scratch.told(Some("imagenet"))),
        ("a folder that is not there", scratch.told(Some(&path("nowhere")))),
        ("an empty folder", scratch.told(Some(&path("empty")))),
        ("a folder without two of the files", scratch.told(Some(&path("partial")))),
        ("an npz file", scratch.told(Some(&path("mnist.npz")))),
        ("a file", scratch.told(Some(&path("notes.md")))),
        ("a known set that is nowhere", scratch.told(Some("fashion-mnist"))),
        ("no request, and the data folder has part of MNIST", {
            fs::remove_file(scratch.set("mnist").join(TEST_Y)).unwrap();
            scratch.told(None)
        }),
        ("no request, and a file is in the way of MNIST", {
            fs::remove_dir_all(scratch.0.join("mnist")).unwrap();
            fs::write(scratch.0.join("mnist"), b"hello").unwrap();
            scratch.told(None)
        }),
    ];
    check(&cases, NOWHERE);
}

const NOWHERE: &str = r"
a name with a slip
error[config]: `mnits` is neither a folder nor a known data set
  known: mnist, fashion-mnist, digits, imdb, tiny-shakespeare
  help: did you mean `mnist`?

a name that nothing has
error[config]: `imagenet` is neither a folder nor a known data set
  known: mnist, fashion-mnist, digits, imdb, tiny-shakespeare
  help: give a known set or a folder with train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte (plain or .gz)

a folder that is not there
error[config]: `ROOT/nowhere` is neither a folder nor a known data set
  known: mnist, fashion-mnist, digits, imdb, tiny-shakespeare
  help: give a known set or a folder with train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte (plain or .gz)

an empty folder
error[file]: `ROOT/empty` lacks train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte (plain or .gz)
  help: it needs the four files train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte

a folder without two of the files
error[file]: `ROOT/partial` lacks train-labels-idx1-ubyte, t10k-images-idx3-ubyte (plain or .gz)
  help: it needs the four files train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte

an npz file
error[file]: `ROOT/mnist.npz`: npz: its 2 bytes are no zip archive, or one that is cut short
  help: copy or download the file again; it has to be one made by numpy.savez

a file
error[config]: `ROOT/notes.md` is a file of unknown kind
  expected: a folder of idx files, .npz, .csv, .tsv, .txt, or one of mnist, fashion-mnist, digits, imdb, tiny-shakespeare
  help: give a folder with train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte (plain or .gz)

a known set that is nowhere
error[file]: data set `fashion-mnist` is in none of the places it was looked for
  data folder: no idx files in `ROOT/fashion-mnist`
  cache: `ROOT/cache/fashion-mnist` has no idx files
  download: switched off
  help: put train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz, t10k-labels-idx1-ubyte.gz into `ROOT/fashion-mnist`

no request, and the data folder has part of MNIST
error[file]: `ROOT/mnist` lacks t10k-labels-idx1-ubyte (plain or .gz)
  help: it needs the four files train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte

no request, and a file is in the way of MNIST
error[file]: `ROOT/mnist` is a file
  help: it has to be a folder that you may read
";

#[test]
fn a_compressed_file_is_preferred_to_a_plain_one() {
    let scratch = Scratch::new();
    let folder = scratch.set("both");
    fs::write(folder.join(format!("{TRAIN_Y}.gz")), gzip(&labels(&[2, 1, 0]))).unwrap();
    let set = load(folder.to_str(), &scratch.options(), &mut Vec::new()).unwrap();
    assert_eq!((set.y_train.label(0), set.origin), (2, Origin::Folder(folder)));
}

#[test]
fn only_the_default_falls_back_and_says_so() {
    let scratch = Scratch::new();
    let mut log = Vec::new();
    let set = load(None, &scratch.options(), &mut log).unwrap();
    assert_eq!(set.origin, Origin::Generated { seed: 0 });
    let log = String::from_utf8(log).unwrap();
    assert!(log.starts_with("warning: this is NOT MNIST: "), "{log}");
    assert!(load(Some("mnist"), &scratch.options(), &mut Vec::new()).is_err());
}

#[test]
fn a_cache_that_is_no_folder_is_passed_over_with_its_reason() {
    let scratch = Scratch::new();
    fs::write(scratch.0.join("cache"), b"a file").unwrap();
    let mut log = Vec::new();
    let set = load(None, &scratch.options(), &mut log).unwrap();
    assert_eq!(set.origin, Origin::Generated { seed: 0 });
    let log = String::from_utf8(log).unwrap();
    let cache = scratch.0.join("cache").join("mnist").display().to_string();
    assert!(log.contains(&format!("  cache: `{cache}` ")), "{log}");
}

#[cfg(unix)]
#[test]
fn folders_and_files_that_may_not_be_read_are_named() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new();
    let folder = scratch.set("secret");
    let forbid = |path: &PathBuf, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    forbid(&folder.join(TRAIN_Y), 0o000);
    if fs::read(folder.join(TRAIN_Y)).is_ok() {
        println!("skipped: this user may read everything");
        return;
    }
    let file = scratch.told(folder.to_str());
    forbid(&folder, 0o000);
    let outside = scratch.told(folder.to_str());
    let inside = scratch.told(folder.join("inner").to_str());
    forbid(&folder, 0o700);
    check(&[("a file", file), ("a folder", outside), ("a folder in it", inside)], FORBIDDEN);
}

#[cfg(unix)]
const FORBIDDEN: &str = r"
a file
error[file]: `ROOT/secret/train-labels-idx1-ubyte`: cannot be read: Permission denied (os error 13)
  help: check the file's permissions

a folder
error[file]: `ROOT/secret` cannot be read: Permission denied (os error 13)
  help: it has to be a folder that you may read

a folder in it
error[file]: `ROOT/secret/inner` cannot be read: Permission denied (os error 13)
  help: it has to be a folder that you may read
";
