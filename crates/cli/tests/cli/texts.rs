//! Models of texts: trained on tables, folders and a running text, asked, and writing by themselves.

use crate::support::*;
use serde_json::Value;
use std::process::Stdio;

const REVIEWS: &str = "\
[data]
set = 'reviews.csv'
label = 'stars'

[data.text]
column = 'review'
max_tokens = 12
output_sequence_length = 6
padding = 'pre'

[model]
layers = [
    { class = 'Embedding', input_dim = 12, output_dim = 4 },
    { class = 'GlobalAveragePooling1D' },
    { class = 'Dense', units = 2, activation = 'softmax' },
]

[compile]
optimizer = { class = 'Adam', learning_rate = 0.05 }
loss = 'sparse_categorical_crossentropy'
metrics = ['accuracy']

[fit]
epochs = 12
batch_size = 8
validation_data = 'test'
";

const SONG: &str = "\
output = 'song.keras'

[data]
set = 'song.txt'

[data.text]
split = 'character'
output_sequence_length = 16

[model]
layers = [
    { class = 'Embedding', input_dim = 13, output_dim = 8 },
    { class = 'GRU', units = 32, return_sequences = true },
    { class = 'Dense', units = 13, activation = 'softmax' },
]

[compile]
optimizer = { class = 'Adam', learning_rate = 0.02 }
loss = 'sparse_categorical_crossentropy'

[fit]
epochs = 12
batch_size = 8
";

/// Reviews whose stars follow from one word, and a song of one line.
fn folder() -> Folder {
    let folder = Folder::new();
    let words = [("good", "a good film"), ("bad", "a bad film, sadly"), ("good", "good music"), ("bad", "Bad!")];
    let rows: String = (0..80).map(|i| words[i % 4]).map(|(stars, text)| format!("{stars},\"{text}\"\n")).collect();
    std::fs::write(folder.path("reviews.csv"), format!("stars,review\n{rows}")).unwrap();
    std::fs::write(folder.path("song.txt"), "row, row, row your boat\n".repeat(60)).unwrap();
    for (name, text) in [("reviews.toml", REVIEWS), ("song.toml", SONG)] {
        std::fs::write(folder.path(name), text).unwrap();
    }
    folder
}

/// A folder with the model of the song.
fn trained() -> Folder {
    let folder = folder();
    folder.run("train song.toml --progress none").done();
    folder
}

#[test]
fn reviews_are_learned_and_texts_are_answered_with_the_names_of_classes() {
    let folder = folder();
    let run = folder.run("train reviews.toml --progress plain").done();
    let about =
        "\nClasses: 0 bad, 1 good\nVocabulary: 8 tokens (words, padding and the unknown one), 6 in a sequence\n";
    assert!(run.out.contains(about), "{}", run.out);
    assert!(run.err.contains("val_accuracy: 1.0000") && run.last_line() == "Accuracy: 1.0000", "{}", run.err);
    // The vocabulary is the model's: another order of the rows would give other numbers.
    let rows = std::fs::read_to_string(folder.path("reviews.csv")).unwrap();
    let turned: Vec<&str> = rows.lines().skip(1).collect::<Vec<_>>().into_iter().rev().collect();
    let unseen = format!("stars,review\n{}\ngood,music music music music good\n", turned.join("\n"));
    std::fs::write(folder.path("turned.csv"), unseen).unwrap();
    let columns = "--label stars --text-column review";
    let json = folder.run(&format!("evaluate model.keras --data turned.csv {columns} --json")).done().out;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["samples"], &json["accuracy"]), (&16.into(), &1.0.into()));
    let run = folder.run("predict model.keras --text bad").done();
    assert!(run.out.starts_with("bad   0."), "{}", run.out);
    let run = folder.run("predict model.keras --text bad --text good").done();
    let lines: Vec<&str> = run.out.lines().collect();
    assert!(lines[0].starts_with("sample 0: bad, p") && lines[1].starts_with("sample 1: good, p"), "{}", run.out);
    folder.run(&format!("train model.keras --data turned.csv {columns} --epochs 1 --progress none")).done();
    assert!(folder.run("predict model.keras --text bad").done().out.starts_with("bad   0."));
}

#[test]
fn a_song_is_learned_and_goes_on_as_it_does() {
    let folder = trained();
    let loss = folder.run("evaluate song.keras --data song.txt").done();
    let loss: f64 = loss.out.lines().find_map(|line| line.strip_prefix("loss: ")).unwrap().parse().unwrap();
    assert!(loss < 0.2, "{loss}");
    let run = folder.run("generate song.keras --prompt ro --length 40 --temperature 0").done();
    assert_eq!(run.out, "row, row, row your boat\nrow, row, row your\n");
    let ask = |options: &str| folder.run(&format!("generate song.keras --prompt b {options}")).done().out;
    let wild = ask("--temperature 3 --seed 4");
    assert_eq!(wild.chars().count(), 1 + 500 + 1);
    assert_eq!(wild, ask("--temperature 3 --seed 4 --threads 1"));
    assert_ne!(wild, ask("--temperature 3 --seed 5"));
    assert_eq!(ask("--temperature 3 --seed 4 --top-k 1"), ask("--temperature 0"));
    let run = folder.run("generate song.keras --length 5 --prompt xrow").done();
    assert_eq!(run.err, "note: the model does not know `x` of the prompt\n");
    assert!(folder.run("generate song.keras --length 3").done().out.starts_with("\nrow"));
}

/// States that are carried are those of so many samples: what is tested in other batches is refused, after the training.
#[test]
fn a_stateful_model_is_saved_before_it_is_tested() {
    let folder = folder();
    let stateful = "train song.toml --set model.layers.1.stateful=true --epochs 2 --progress none";
    folder.run(&format!("{stateful} --batch-size 8")).done();
    std::fs::remove_file(folder.path("song.keras")).unwrap();
    let run = folder.run(&format!("{stateful} --batch-size 16"));
    assert!(run.code == Some(1) && run.err.contains("gru/rnn_state_0"), "{:?} {}", run.code, run.err);
    folder.run("generate song.keras --prompt ro --length 3").done();
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_a_text() {
    use std::io::Read;
    let folder = trained();
    let mut command = folder.command("generate song.keras --prompt row --length 100000000");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Characters come as they are drawn.
    let mut first = [0; 20];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    assert!(first.starts_with(b"row, row"));
    let interrupt = format!("kill -INT {}", child.id());
    assert!(std::process::Command::new("sh").args(["-c", &interrupt]).status().unwrap().success());
    let run = Run::of(child.wait_with_output().unwrap());
    assert_eq!((run.code, run.out.ends_with('\n')), (Some(0), true), "{}", run.err);
    assert_eq!(run.err, "note: finishing the token; Ctrl-C again ends at once\n");
}

#[cfg(target_os = "linux")]
#[test]
fn messages_are_as_reviewed() {
    let folder = folder();
    folder.run("train song.toml --epochs 1 --progress none").done();
    folder.run("train reviews.toml --epochs 1 --progress none").done();
    std::fs::write(folder.path("short.txt"), "row").unwrap();
    std::fs::write(folder.path("latin.txt"), b"row\nr\xf6w").unwrap();
    std::fs::write(
        folder.path("digits.toml"),
        SONG.replace("input_dim = 13", "input_dim = 9").replace("units = 13", "units = 9"),
    )
    .unwrap();
    let text = [
        ("a text for the article's network", "train --data reviews.csv --label stars --text-column review"),
        ("texts without a vocabulary's length", "train --data song.txt"),
        ("a text shorter than a window", "train song.toml --data short.txt"),
        ("a text that is no UTF-8", "train song.toml --data latin.txt"),
        ("a vocabulary larger than the model", "train digits.toml --progress none"),
        ("a column for both", "train reviews.toml --data reviews.csv --set data.text.column=stars"),
        ("a table of texts as numbers", "train --data reviews.csv --label stars"),
        ("a prompt for a model of labels", "generate model.keras --prompt good"),
        ("a prompt of nothing", "generate song.keras --prompt="),
        ("a temperature below 0", "generate song.keras --temperature -1"),
        ("nothing to draw from", "generate song.keras --top-k 0"),
        ("a text and a file", "predict model.keras --text good --input x.npy"),
        ("neither of them", "predict model.keras"),
    ];
    reviewed("texts.txt", &text.map(|(what, arguments)| told(&folder, what, arguments)).concat());
}
