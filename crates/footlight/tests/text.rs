//! Texts as data: by Keras' rules, from where they lie, with the model, and one that goes on by itself.

use common::{check, told};
use footlight::data::{Dataset, End, LoadOptions, Split, Standardize, TextVectorization, load};
use footlight::description::Description;
use footlight::prelude::*;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

mod common;

fn recorded() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/text.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

/// A vectorization as Keras' arguments say it.
fn of(settings: &Value) -> TextVectorization {
    let end = |name: &Value| if name == "pre" { End::Pre } else { End::Post };
    let mut made = TextVectorization::new().padding(end(&settings["padding"])).truncating(end(&settings["truncating"]));
    if let Some(tokens) = settings["max_tokens"].as_u64() {
        made = made.max_tokens(tokens as usize);
    }
    if let Some(length) = settings["output_sequence_length"].as_u64() {
        made = made.output_sequence_length(length as usize);
    }
    if settings["split"] == "character" {
        made = made.split(Split::Character);
    }
    let all = [Standardize::LowerAndStripPunctuation, Standardize::Lower, Standardize::StripPunctuation];
    match settings.get("standardize") {
        None => made,
        Some(Value::Null) => made.standardize(Standardize::None),
        Some(name) => made.standardize(all.into_iter().find(|known| known.name() == name).unwrap()),
    }
}

#[test]
fn texts_become_the_numbers_of_keras() {
    let recorded = recorded();
    let (learned, asked) = (texts(&recorded["learned"]), texts(&recorded["asked"]));
    let rows = |tensor: &Tensor| {
        let numbers: Vec<i64> = tensor.to_f64().iter().map(|x| *x as i64).collect();
        numbers.chunks(tensor.shape()[1]).map(<[i64]>::to_vec).collect::<Vec<_>>()
    };
    for case in recorded["cases"].as_array().unwrap() {
        let mut made = of(&case["settings"]);
        made.adapt(&learned).unwrap();
        assert_eq!(made.vocabulary(), texts(&case["vocabulary"]), "{}", case["settings"]);
        let got = rows(&made.call(&asked).unwrap());
        assert_eq!(serde_json::json!(got), case["sequences"], "{}", case["settings"]);
    }
    for case in recorded["padded"].as_array().unwrap() {
        let mut made = of(&case["settings"]).output_sequence_length(4);
        made.adapt(&learned).unwrap();
        let got = rows(&made.call(&asked).unwrap());
        assert_eq!(serde_json::json!(got), case["sequences"], "{}", case["settings"]);
    }
}

#[test]
fn numbers_become_the_text_again() {
    let text = "To be, or not to be:\nthat is the question — 日本";
    let mut characters = TextVectorization::new().split(Split::Character);
    characters.adapt([text]).unwrap();
    assert_eq!(characters.decode(&characters.encode(text).unwrap()), text);
    let mut words = TextVectorization::new();
    words.adapt([text]).unwrap();
    assert_eq!(words.decode(&words.encode("To be: or,\nTOBE").unwrap()), "to be or [UNK]");
    assert_eq!(words.decode(&[0, 99, -1]), "");
    assert_eq!(words.unknown("to see or not to see him").unwrap(), ["see", "him"]);
}

/// A folder of this test's own, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("footlight-text-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    }

    fn options(&self) -> LoadOptions {
        LoadOptions { data_folder: Some(self.0.clone()), cache_folder: None, offline: true, ..LoadOptions::default() }
    }

    fn load(&self, request: &str, options: LoadOptions) -> Result<Dataset> {
        load(Some(request), &options, &mut Vec::new())
    }

    /// What is said when `request` is loaded, with the scratch folder called ROOT.
    fn told(&self, request: &str, options: LoadOptions) -> String {
        let said =
            self.load(request, options).map_or_else(|error| told(&error), |set| format!("loaded {}", set.origin));
        said.replace(&self.0.display().to_string(), "ROOT").replace('\\', "/")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// `1 TAB 0_9 TAB A good film.` and `0 TAB 1_2 TAB A bad TAB film.`, compressed by `xz`.
const REVIEWS_XZ: [u8; 96] = [
    0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x04, 0xe6, 0xd6, 0xb4, 0x46, 0x02, 0x00, 0x21, 0x01, 0x1c, 0x00, 0x00,
    0x00, 0x10, 0xcf, 0x58, 0xcc, 0x01, 0x00, 0x24, 0x31, 0x09, 0x30, 0x5f, 0x39, 0x09, 0x41, 0x20, 0x67, 0x6f, 0x6f,
    0x64, 0x20, 0x66, 0x69, 0x6c, 0x6d, 0x2e, 0x0a, 0x30, 0x09, 0x31, 0x5f, 0x32, 0x09, 0x41, 0x20, 0x62, 0x61, 0x64,
    0x09, 0x66, 0x69, 0x6c, 0x6d, 0x2e, 0x0a, 0x00, 0x00, 0x00, 0x00, 0x10, 0x4a, 0x81, 0xf2, 0xdd, 0x69, 0xeb, 0xb2,
    0x00, 0x01, 0x3d, 0x25, 0xd2, 0x29, 0x6a, 0x01, 0x1f, 0xb6, 0xf3, 0x7d, 0x01, 0x00, 0x00, 0x00, 0x00, 0x04, 0x59,
    0x5a,
];

/// Each text that is trained on with its label.
fn labelled(set: &Dataset) -> Vec<(String, i64)> {
    let text = set.text.as_ref().unwrap();
    let numbers: Vec<i32> = set.x_train.to_tensor().to_f32().iter().map(|x| *x as i32).collect();
    let texts = numbers.chunks(set.x_train.sample_len()).map(|row| text.decode(row));
    let mut all: Vec<(String, i64)> = texts.enumerate().map(|(i, text)| (text, set.y_train.label(i))).collect();
    all.sort();
    all
}

#[test]
fn reviews_are_read_plain_and_compressed() {
    let scratch = Scratch::new();
    scratch.write("imdb/imdb-train.tsv.xz", REVIEWS_XZ);
    scratch.write("imdb/imdb-test.tsv", "1\t0_8\tA good one.\n");
    let set = scratch.load("IMDB", scratch.options()).unwrap();
    assert_eq!(set.name, "imdb");
    assert_eq!(set.classes, ["negative", "positive"]);
    assert_eq!(labelled(&set), [("a bad film".to_string(), 0), ("a good film".to_string(), 1)]);
    // The vocabulary is that of the training texts, so `one` is unknown.
    assert_eq!(set.text.unwrap().vocabulary(), ["", "[UNK]", "film", "a", "good", "bad"]);
    assert_eq!(set.x_test.to_tensor().to_f32(), [3.0, 4.0, 1.0]);
}

#[test]
fn folders_by_class_are_read_with_and_without_a_part_to_test_with() {
    let scratch = Scratch::new();
    for (name, text) in [("a/neg/1.txt", "bad"), ("a/pos/1.txt", "good"), ("a/pos/2.txt", "fine"), ("a/pos/x.md", "x")]
    {
        scratch.write(&name.replace("a/", "parts/train/"), text);
        scratch.write(&name.replace("a/", "parts/test/"), text);
        scratch.write(&name.replace("a/", "whole/"), text);
    }
    let path = |name: &str| scratch.0.join(name).display().to_string();
    let set = scratch.load(&path("parts"), scratch.options()).unwrap();
    let want = [("bad".to_string(), 0), ("fine".to_string(), 1), ("good".to_string(), 1)];
    assert_eq!((labelled(&set), set.x_test.len(), set.classes), (want.to_vec(), 3, vec!["neg".into(), "pos".into()]));
    let set = scratch.load(&path("whole"), LoadOptions { test_split: Some(0.4), ..scratch.options() }).unwrap();
    assert_eq!((set.name.as_str(), set.x_train.len(), set.x_test.len()), ("whole", 2, 1));
}

#[test]
fn tables_have_a_column_of_texts() {
    let scratch = Scratch::new();
    let rows = "stars,who,review\n5,me,\"Good, good film\"\n1,you,Bad\n4,me,Good\n2,you,Bad film\n3,me,Film\n";
    let path = scratch.write("reviews.csv", rows);
    let options = LoadOptions {
        label: Some("stars".into()),
        text_column: Some("review".into()),
        text: Some(TextVectorization::new().output_sequence_length(2).padding(End::Pre).truncating(End::Pre)),
        ..scratch.options()
    };
    let set = scratch.load(&path, options).unwrap();
    assert_eq!(set.text.as_ref().unwrap().vocabulary(), ["", "[UNK]", "good", "film", "bad"]);
    assert_eq!(set.x_train.to_tensor().to_f32(), [2.0, 3.0, 0.0, 4.0, 0.0, 2.0, 4.0, 3.0]);
    assert_eq!((set.y_train.label(0), set.y_test.label(0), set.x_test.len()), (5, 3, 1));
}

#[test]
fn a_running_text_is_cut_into_windows_and_its_last_tenth_is_held_out() {
    let scratch = Scratch::new();
    let text: String = ('a'..='t').collect();
    let path = scratch.write("letters.txt", format!("\u{feff}{text}"));
    let characters = TextVectorization::new().split(Split::Character).output_sequence_length(4);
    let options = LoadOptions { text: Some(characters), test_split: Some(0.25), ..scratch.options() };
    let set = scratch.load(&path, options).unwrap();
    let vocabulary = set.text.as_ref().unwrap().clone();
    let decoded = |x: &Samples| {
        let numbers: Vec<i32> = x.to_tensor().to_f32().iter().map(|x| *x as i32).collect();
        vocabulary.decode(&numbers)
    };
    assert_eq!((decoded(&set.x_train), decoded(&set.y_train)), ("abcdefghijkl".into(), "bcdefghijklm".into()));
    assert_eq!(set.x_train.sample_shape(), [4]);
    assert_eq!((vocabulary.vocabulary().len(), set.x_test.len()), (2 + 15, 1));
    // None of the letters that are held out is known.
    assert_eq!(set.x_test.to_tensor().to_f32(), [1.0; 4]);
}

const DESCRIPTION: &str =
    "[model]\nlayers = [{ class = 'Dense', units = 1 }]\n[compile]\noptimizer = 'sgd'\nloss = 'mse'\n";

#[test]
fn descriptions_say_how_texts_become_numbers() {
    let text = "[data.text]\ncolumn = 'review'\nmax_tokens = 9\noutput_sequence_length = 5\nsplit = 'character'\n\
        standardize = 'lower'\npadding = 'pre'\ntruncating = 'pre'\n[fit]\nvalidation_data = 'test'\n";
    let read = Description::parse("run.toml", &format!("{text}{DESCRIPTION}"), &[]).unwrap();
    let want = TextVectorization::new()
        .max_tokens(9)
        .output_sequence_length(5)
        .split(Split::Character)
        .standardize(Standardize::Lower)
        .padding(End::Pre)
        .truncating(End::Pre);
    assert_eq!((read.data.text.column.as_deref(), read.data.text.vectorization), (Some("review"), Some(want)));
    assert!(read.fit.validates_on_test);
}

#[test]
fn what_is_wrong_is_told() {
    let scratch = Scratch::new();
    let options = || scratch.options();
    let characters = || TextVectorization::new().split(Split::Character).output_sequence_length(8);
    let running = |name: &str, bytes: &[u8], text: Option<TextVectorization>| {
        scratch.told(&scratch.write(name, bytes), LoadOptions { text, ..options() })
    };
    let table = |text: &str, column: &str| {
        let path = scratch.write("reviews.csv", text);
        let (label, text_column) = (Some("stars".into()), Some(column.into()));
        scratch.told(&path, LoadOptions { label, text_column, ..options() })
    };
    let described = |text: &str| {
        let error = Description::parse("run.toml", &format!("{text}\n{DESCRIPTION}"), &[]).err().unwrap();
        told(&error)
    };
    for (class, part) in [("neg", "train"), ("pos", "train"), ("unsup", "train"), ("neg", "test"), ("pos", "test")] {
        scratch.write(&format!("reviews/{part}/{class}/1.txt"), "text");
    }
    let cases = [
        ("a set that is nowhere", scratch.told("imdb", options())),
        ("a set that is nowhere, without a data folder", {
            scratch.told("tiny-shakespeare", LoadOptions { data_folder: None, ..options() })
        }),
        ("a review without a label", {
            scratch.write("imdb/imdb-train.tsv", "1\t0_9\tGood.\n7\t1_9\tGood.\n");
            scratch.write("imdb/imdb-test.tsv", "");
            scratch.told("imdb", options())
        }),
        ("a compressed text that is none", {
            std::fs::remove_file(scratch.0.join("imdb/imdb-train.tsv")).unwrap();
            scratch.write("imdb/imdb-train.tsv.xz", "1\t0_9\tGood.\n");
            scratch.told("imdb", options())
        }),
        ("a compressed text that is cut short", {
            scratch.write("imdb/imdb-train.tsv.xz", &REVIEWS_XZ[..60]);
            scratch.told("imdb", options())
        }),
        ("a text that is no UTF-8", running("latin.txt", b"To be\nor caf\xe9 to be", Some(characters()))),
        ("an empty text", running("empty.txt", b"", Some(characters()))),
        (
            "a text without words",
            running("blank.txt", b" \n ", Some(TextVectorization::new().output_sequence_length(2))),
        ),
        ("a text shorter than a window", running("short.txt", b"To be", Some(characters()))),
        (
            "a tenth shorter than a window",
            running("tenth.txt", b"To be, or not to be, that is it.", Some(characters())),
        ),
        ("no window", running("window.txt", b"To be", None)),
        ("a text that is not there", scratch.told("nothing.txt", options())),
        ("an unknown column", table("stars,review\n5,Good\n", "reviews")),
        ("a row without a text", table("stars,review\n5,Good\n1,\n,Bad\n3\n", "review")),
        ("a column of a set", scratch.told("mnist", LoadOptions { text_column: Some("review".into()), ..options() })),
        ("a class of one part", scratch.told(&scratch.0.join("reviews").display().to_string(), options())),
        ("settings out of range", {
            described("[data.text]\nmax_tokens = 2\noutput_sequence_length = 0\nsplit = 'words'\nstandardise = 'lower'")
        }),
        ("settings that are none", described("[data]\ntext = 'review'\n[fit]\nvalidation_data = 'train'")),
    ];
    check(&cases, TOLD);
}

const TOLD: &str = r#"
a set that is nowhere
error[file]: data set `imdb` is in none of the places it was looked for
  no `ROOT/imdb/imdb-train.tsv`
  help: put imdb-train.tsv and imdb-test.tsv (plain or .xz) into `ROOT/imdb`; or unpack aclImdb_v1.tar.gz of https://ai.stanford.edu/~amaas/data/sentiment/, remove train/unsup and give the folder's path

a set that is nowhere, without a data folder
error[file]: data set `tiny-shakespeare` is in none of the places it was looked for
  help: put input.txt (plain or .xz) into a folder `tiny-shakespeare` of the folder that FOOTLIGHT_DATA names; it is data/tinyshakespeare/input.txt of https://github.com/karpathy/char-rnn

a review without a label
error[data]: `ROOT/imdb/imdb-train.tsv`: line 2 is no label 0 or 1, name and text
  help: three columns with tabs between are expected in each line

a compressed text that is none
error[file]: `ROOT/imdb/imdb-train.tsv.xz`: its 12 bytes cannot be decompressed: invalid XZ magic bytes
  help: copy the file again; it has to be one of xz

a compressed text that is cut short
error[file]: `ROOT/imdb/imdb-train.tsv.xz`: its 60 bytes cannot be decompressed: they are cut short
  help: copy the file again; it has to be one of xz

a text that is no UTF-8
error[file]: `ROOT/latin.txt`: byte 12 (0xe9, in line 2) is not UTF-8
  help: save the text in UTF-8

an empty text
error[data]: `ROOT/empty.txt`: there are no characters in the texts to learn a vocabulary from
  help: check where the texts come from

a text without words
error[data]: `ROOT/blank.txt`: there are no words in the texts to learn a vocabulary from
  help: check where the texts come from

a text shorter than a window
error[data]: `ROOT/short.txt`: what is trained on has 4 characters, a window takes 9 (8 and the one that comes next)
  help: give a longer text, or a shorter output_sequence_length

a tenth shorter than a window
error[data]: `ROOT/tenth.txt`: what is held out for the test (0.1 of the text) has 4 characters, a window takes 9 (8 and the one that comes next)
  help: give a longer text, or a shorter output_sequence_length

no window
error[config]: `ROOT/window.txt`: how many tokens has a window of the text?
  help: say it in a run description: [data.text] split = "character", output_sequence_length = 128

a text that is not there
error[config]: `nothing.txt` is neither a folder nor a known data set
  known: mnist, fashion-mnist, digits, imdb, tiny-shakespeare
  help: give a known set or a folder with train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte (plain or .gz)

an unknown column
error[config]: `ROOT/reviews.csv`: unknown column `reviews`
  known: stars, review
  help: did you mean `review`?

a row without a text
error[data]: `ROOT/reviews.csv`: 3 cells cannot be used
  line 3, column `review`: no value
  line 4, column `stars`: no value
  line 5: 1 cells, the first line names 2 columns
  help: fill the gaps, leave out rows and columns that are no numbers, and name the column of texts if there is one

a column of a set
error[config]: text `review`: only a table (.csv or .tsv) has a column of texts
  help: leave the text out, or give a table

a class of one part
error[data]: `ROOT/reviews`: the classes of both parts differ
  train: neg, pos, unsup
  test:  neg, pos
  help: give both parts the same folders of .txt files

settings out of range
error[config]: run.toml:2: [data.text]: max_tokens = 2, at least 3 are needed
  help: padding and the unknown token are two of them, as in Keras
run.toml:3: [data.text]: output_sequence_length = 0 must be in [1, 16777216)
run.toml:4: [data.text]: unknown split `words`
  known: whitespace, character
run.toml:5: [data.text]: unknown key `standardise`
  known: column, max_tokens, standardize, split, output_sequence_length, padding, truncating
  help: did you mean `standardize`?

settings that are none
error[config]: run.toml:2: [data.text]: expected a table of keys
run.toml:4: [fit]: unknown validation_data `train`
  known: test
"#;

/// A model of four letters; a last layer that changes nothing keeps it from being asked step by step.
fn letters(length: usize, in_windows: bool) -> Model {
    let mut layers = layers![
        Embedding::new(6, 8).input_shape([length]),
        LSTM::new(12).return_sequences(true),
        LayerNormalization::new(),
        GRU::new(9).return_sequences(true),
        Dense::new(6).activation("softmax").kernel_initializer(Initializer::random_normal()),
    ];
    if in_windows {
        layers.push(Box::new(ZeroPadding1D::new(0)));
    }
    with_vocabulary(Sequential::new(layers).unwrap().seed(5), length)
}

fn attending(length: usize) -> Model {
    let x = Input::new([length]).symbol();
    let h = Embedding::new(6, 8).embeddings_initializer("random_normal").on(&x);
    let h = MultiHeadAttention::new(2, 4).use_causal_mask(true).on([&h, &h]);
    with_vocabulary(Functional::new([&x], [&Dense::new(6).on(&h)]).unwrap(), length)
}

fn with_vocabulary(mut model: Model, length: usize) -> Model {
    let mut text = TextVectorization::new().split(Split::Character).output_sequence_length(length);
    text.adapt(["abcd"]).unwrap();
    model.set_text(Some(text));
    model
}

#[test]
fn carried_states_and_windows_write_the_same_text() {
    for seed in 0..4 {
        let options = || Generate::new().length(28).seed(seed);
        let (mut steps, mut windows) = (letters(32, false), letters(32, true));
        let text = steps.generate("abca", options()).unwrap();
        assert_eq!(text, windows.generate("abca", options()).unwrap());
        assert!(text.len() == 28 && text.chars().all(|c| "abcd".contains(c)), "{text}");
    }
    // The states reach further back than a window of one.
    let probe = |prompt: &str| letters(1, false).generate(prompt, Generate::new().length(40)).unwrap();
    assert_ne!(probe("aaaaaaaad"), probe("bcbcbcbcd"));
}

/// A window says all that counts, also where layers carry states, and a model of open length takes that of its texts.
#[test]
fn every_window_begins_anew_and_open_lengths_are_those_of_the_texts() {
    let causal = |stateful: bool| {
        let layers = layers![
            Embedding::new(6, 8).input_shape([8]),
            LSTM::new(12).return_sequences(true).stateful(stateful),
            ZeroPadding1D::new(0),
            Dense::new(6),
        ];
        with_vocabulary(Sequential::new(layers).unwrap().seed(5), 8)
    };
    let options = || Generate::new().length(20);
    assert_eq!(causal(true).generate("abc", options()).unwrap(), causal(false).generate("abc", options()).unwrap());
    let tokens = Input::new([None]).symbol();
    let h = LSTM::new(4).return_sequences(true).on(&Embedding::new(6, 8).on(&tokens));
    let mut open = with_vocabulary(Functional::new(&tokens, &Dense::new(6).on(&h)).unwrap(), 8);
    assert_eq!(open.generate("abc", options()).unwrap().len(), 20);
}

#[test]
fn the_text_goes_on_past_a_window() {
    let text = attending(4).generate("abcdabcd", Generate::new().length(30)).unwrap();
    assert_eq!(text.len(), 30);
    // What lies before the window does not count.
    let ask = |prompt: &str| attending(4).generate(prompt, Generate::new().length(30)).unwrap();
    assert_eq!(ask("dcbabcd"), ask("abcd"));
    assert_ne!(ask("abcd"), ask("dcba"));
}

#[test]
fn the_seed_decides_and_the_number_of_threads_does_not() {
    for model in [|| letters(16, false), || letters(16, true), || attending(16)] {
        let mut texts: Vec<String> = Vec::new();
        for threads in 1..=4 {
            let options = Generate::new().length(50).temperature(0.8).top_k(3).seed(9);
            texts.push(model().threads(threads).generate("ab", options).unwrap());
        }
        assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
        assert_ne!(model().generate("ab", Generate::new().length(50).seed(1)).unwrap(), texts[0]);
        let greedy = || model().generate("ab", Generate::new().length(50).temperature(0.0)).unwrap();
        assert_eq!(greedy(), greedy());
    }
}

#[test]
fn tokens_are_told_as_they_are_drawn_until_a_flag_ends_them() {
    let (mut told, flag) = (String::new(), AtomicBool::new(false));
    let mut each = |piece: &str| {
        told += piece;
        flag.store(told.len() == 7, Ordering::Relaxed);
        Ok(())
    };
    let text = letters(8, false).generate("a", Generate::new().each(&mut each).interrupt(&flag)).unwrap();
    assert_eq!((text.len(), &text), (7, &told));
}

#[test]
fn texts_that_cannot_be_written_are_told() {
    let ask =
        |mut model: Model, prompt: &str, options: Generate<'_>| told(&model.generate(prompt, options).err().unwrap());
    let mut mute = letters(8, false);
    mute.set_text(None);
    let of = |layers| with_vocabulary(Sequential::new(layers).unwrap(), 8);
    let cases = [
        ("no vocabulary", ask(mute, "a", Generate::new())),
        ("an empty prompt", ask(letters(8, false), "", Generate::new())),
        ("a temperature below 0", ask(letters(8, false), "a", Generate::new().temperature(-1.0))),
        ("nothing to draw from", ask(letters(8, false), "a", Generate::new().top_k(0))),
        ("nothing to write", ask(letters(8, false), "a", Generate::new().length(0))),
        ("one answer for all steps", {
            ask(of(layers![Embedding::new(6, 8).input_shape([8]), LSTM::new(12), Dense::new(6)]), "a", Generate::new())
        }),
        ("too few scores", ask(of(layers![Embedding::new(6, 5).input_shape([8])]), "a", Generate::new())),
        ("weights that are no numbers", {
            let mut model = letters(8, false);
            model.set_state("dense/bias", &Tensor::new([6], vec![f32::NAN; 6]).unwrap()).unwrap();
            ask(model, "a", Generate::new())
        }),
    ];
    check(&cases, UNWRITTEN);
}

const UNWRITTEN: &str = r#"
no vocabulary
error[config]: the model has no vocabulary, so it reads no texts
  help: train it on texts with Footlight, which keeps the vocabulary in the model's file

an empty prompt
error[data]: the prompt holds nothing to go on from
  help: begin the text with what the model was trained on: a word, or a character such as a newline

a temperature below 0
error[config]: temperature = -1 must be in [0, ∞)
  help: 0 takes the likeliest token each time, 1 draws as the model has learned

nothing to draw from
error[config]: top_k = 0, there is nothing to draw from
  help: leave it out to draw from all

nothing to write
error[config]: length = 0, nothing would be generated
  help: 500 is the default

one answer for all steps
error[shape]: the model answers no scores of the next token after each step
  input:  `input_layer` [N, 8]
  output: `dense` [N, 6]
  expected: [N, T] and [N, T, 6], a score for each token of the vocabulary
  help: let recurrent layers return sequences, and end with a Dense layer of 6 units

too few scores
error[shape]: the model answers no scores of the next token after each step
  input:  `input_layer` [N, 8]
  output: `embedding` [N, 8, 5]
  expected: [N, T] and [N, T, 6], a score for each token of the vocabulary
  help: let recurrent layers return sequences, and end with a Dense layer of 6 units

weights that are no numbers
error[numeric]: the model answers numbers that are not finite
  help: it was trained to no end; train it again with a smaller learning rate
"#;

#[test]
fn the_vocabulary_travels_with_the_model() {
    let scratch = Scratch::new();
    let path = scratch.0.join("model.keras");
    let mut model = letters(8, false);
    model.set_classes(["no", "yes"]);
    model.save(&path).unwrap();
    let again = Model::load(&path).unwrap();
    assert_eq!((again.text(), again.classes()), (model.text(), model.classes()));
    assert!(again.text().unwrap().is_adapted());
    let text = |config: &str| format!(r#"{{"text":{{"class_name":"TextVectorization","config":{{{config}}}}}}}"#);
    for own in [
        text(r#""vocabulary":["a","b"]"#),
        text(r#""vocabulary":["","[UNK]","a","a"]"#),
        text(r#""vocabulary":["","[UNK]",3]"#),
        text(r#""vocabulary":["","[UNK]"],"output_sequence_length":99999999999"#),
        text(r#""vocabulary":["","[UNK]"],"ngrams":2"#),
        text(r#""vocabulary":{"a":1}"#),
        text(&format!(r#""split":"{}""#, "a".repeat(2_000))),
        text("").replace("TextVectorization", "StringLookup"),
        text("").replace("config", "settings"),
        "[".repeat(100_000),
        r#"{"text":3}"#.into(),
        r#"{"classes":[3]}"#.into(),
        r#"{"klasses":["a"]}"#.into(),
        "3".into(),
    ] {
        let mut archive = footlight::nn::file::Archive::open(&path).unwrap();
        archive.footlight = own.clone().into_bytes();
        let damaged = scratch.write("damaged.keras", archive.write().unwrap());
        let error = Model::load(damaged).expect_err(&own);
        assert!(
            error.kind() == footlight::ErrorKind::File && error.message().contains("`footlight.json`: "),
            "{error}"
        );
    }
}

#[test]
fn a_vectorization_without_a_vocabulary_travels_too() {
    let mut model = letters(8, false);
    let text = TextVectorization::new().standardize(Standardize::Lower).output_sequence_length(8).max_tokens(20);
    model.set_text(Some(text.clone()));
    let again = Model::from_bytes(model.to_bytes().unwrap()).unwrap();
    assert!(again.text() == Some(&text) && !again.text().unwrap().is_adapted());
    let error = again.read_texts(["a"]).unwrap_err();
    assert!(error.message().contains("has no vocabulary yet"), "{error}");
}

/// Settings may change after the vocabulary was learned.
#[test]
fn a_sequence_of_no_token_is_refused_wherever_texts_become_numbers() {
    let scratch = Scratch::new();
    let mut text = TextVectorization::new().split(Split::Character);
    text.adapt(["row your boat"]).unwrap();
    for length in [0, 1 << 40] {
        let text = text.clone().output_sequence_length(length);
        let path = scratch.write("song.txt", "row your boat\n".repeat(20));
        let options = LoadOptions { text: Some(text.clone()), ..LoadOptions::default() };
        let windows = load(Some(&path), &options, &mut Vec::new()).map(drop);
        for told in [text.encode("row").map(drop), text.call(["row"]).map(drop), windows] {
            let message = told.unwrap_err().to_string();
            assert!(message.contains(&format!("output_sequence_length = {length} must be in [1, ")), "{message}");
        }
    }
}
