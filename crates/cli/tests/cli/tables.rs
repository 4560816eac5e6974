//! `--data` from `.npz` files and from tables.

use crate::support::*;
use footlight::tensor::{Tensor, npz};
use serde_json::Value;

/// Three kinds of flowers that differ in length and width, in turn.
fn flowers() -> String {
    let kinds = [("setosa", 1.5, 0.2), ("versicolor", 4.3, 1.3), ("virginica", 5.6, 2.1)];
    let row = |i: usize| {
        let (kind, length, width) = kinds[i % 3];
        let wander = (i * 7 % 10) as f64 / 20.0;
        format!("{:.2},{kind},{:.2}\n", length + wander, width + wander / 2.0)
    };
    format!("length,species,width\n{}", (0..150).map(row).collect::<String>())
}

fn folder() -> Folder {
    let folder = Folder::new();
    std::fs::write(folder.path("flowers.csv"), flowers()).unwrap();
    folder
}

const FLOWERS: &str = "--data flowers.csv --label species";

#[test]
fn a_table_is_learned_and_its_classes_are_told() {
    let folder = folder();
    let run = folder.run(&format!("train {FLOWERS} --epochs 40 --batch-size 16 --learning-rate 0.01")).done();
    assert!(
        run.out.starts_with("Data: flowers (file flowers.csv, the last 30 of 150 samples held out for the test)\n")
    );
    assert!(run.out.contains("\nClasses: 0 setosa, 1 versicolor, 2 virginica\n"), "{}", run.out);
    let accuracy: f64 = run.last_line().strip_prefix("Accuracy: ").unwrap().parse().unwrap();
    assert!(accuracy > 0.9, "{accuracy}");
    let json = folder.run(&format!("evaluate model.keras {FLOWERS} --json")).done().out;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["samples"], 30);
    assert!((json["accuracy"].as_f64().unwrap() - accuracy).abs() < 1e-3);
}

/// The rows without those of `kind`, and with other names for the others.
fn without(kind: &str, renamed: &[(&str, &str)]) -> String {
    let text: String = flowers().split_inclusive('\n').filter(|row| !row.contains(kind)).collect();
    renamed.iter().fold(text, |text, (old, new)| text.replace(old, new))
}

/// The labels of another table are numbered anew, by which they would be other classes.
#[test]
fn classes_are_known_by_their_names_whatever_their_numbers() {
    let folder = folder();
    folder.run(&format!("train {FLOWERS} --epochs 40 --batch-size 16 --learning-rate 0.01")).done();
    std::fs::write(folder.path("two.csv"), without("setosa", &[])).unwrap();
    let two = "--data two.csv --label species";
    let json = folder.run(&format!("evaluate model.keras {two} --json")).done().out;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert!(json["accuracy"].as_f64().unwrap() > 0.8, "{json}");
    assert_eq!(json["confusion_matrix"][0], serde_json::json!([0, 0, 0]), "there is no setosa");
    let run = folder.run(&format!("train model.keras {two} --epochs 1 --output more.keras")).done();
    assert!(run.out.contains("\nClasses: 0 setosa, 1 versicolor, 2 virginica\n"), "{}", run.out);
    let accuracy: f64 = run.last_line().strip_prefix("Accuracy: ").unwrap().parse().unwrap();
    assert!(accuracy > 0.8, "{accuracy}");
}

#[test]
fn a_description_names_the_label_and_a_loss_of_numbers() {
    let folder = folder();
    let description = "[data]\nset = 'flowers.csv'\nlabel = 'width'\nscale = 2\ntest_split = 0.1\n\n[compile]\n\
        optimizer = { class = 'Adam', learning_rate = 0.05 }\nloss = 'mse'\nmetrics = ['mae']\n\n\
        [model]\nlayers = [{ class = 'Dense', units = 1 }]\n\n[fit]\nepochs = 60\n";
    std::fs::write(folder.path("run.toml"), description).unwrap();
    let numbers = flowers().replace(",setosa,", ",0,").replace(",versicolor,", ",1,").replace(",virginica,", ",2,");
    std::fs::write(folder.path("flowers.csv"), numbers).unwrap();
    let run = folder.run("train run.toml").done();
    assert!(run.out.contains("the last 15 of 150 samples held out for the test"), "{}", run.out);
    let loss: f64 = run.last_line().strip_prefix("Loss: ").unwrap().parse().unwrap();
    assert!(loss < 0.1, "{loss}");
}

#[test]
fn arrays_are_learned_with_and_without_samples_to_test_with() {
    let folder = Folder::new();
    let pictures = |count: usize| {
        let pixel = |i: usize| if i % 12 / 4 == i / 12 % 3 { 220u8 } else { 20 };
        Tensor::new([count, 3, 4], (0..count * 12).map(pixel).collect::<Vec<u8>>()).unwrap()
    };
    let labels = |count: usize| Tensor::new([count], (0..count as i64).map(|i| i % 3).collect::<Vec<i64>>()).unwrap();
    let (x, y, x_test, y_test) = (pictures(60), labels(60), pictures(9), labels(9));
    let whole = npz::write([("x", &x), ("y", &y)]).unwrap();
    std::fs::write(folder.path("whole.npz"), whole).unwrap();
    let parts = npz::write([("x_train", &x), ("y_train", &y), ("x_test", &x_test), ("y_test", &y_test)]).unwrap();
    std::fs::write(folder.path("parts.npz"), parts).unwrap();
    for (name, told) in [("whole.npz", "the last 12 of 60 samples held out"), ("parts.npz", "parts (file parts.npz)")] {
        let run = folder.run(&format!("train --data {name} --epochs 20 --batch-size 8")).done();
        assert!(run.out.contains(told) && run.last_line() == "Accuracy: 1.0000", "{}", run.out);
    }
    let run = folder.run("evaluate model.keras --data parts.npz").done();
    assert!(run.out.starts_with("9 test samples of parts (file parts.npz)"), "{}", run.out);
}

#[cfg(target_os = "linux")]
#[test]
fn messages_are_as_reviewed() {
    let folder = folder();
    let write = |name: &str, text: &str| std::fs::write(folder.path(name), text).unwrap();
    write("gaps.csv", "length,width,species\n1.5,,a\nlong,0.2,b\n1.4,0.1\n1.2,inf,\n");
    write("mixed.csv", "length,size\n1,2.5\n2,n/a\n3,1.5\n");
    write("short.csv", "length,species\n1,a\n");
    write("numbers.csv", "length,size\n1,2.5\n2,0.5\n3,1.5\n4,2\n5,1\n");
    write("only.csv", "species\na\nb\n");
    write("many.csv", &format!("length,species\n{}", ",a\n".repeat(12)));
    std::fs::write(folder.path("latin.csv"), b"length,species\n1,caf\xe9\n").unwrap();
    let x = Tensor::new([4, 2], vec![0.0f32; 8]).unwrap();
    let y = Tensor::new([3], vec![0i64; 3]).unwrap();
    std::fs::write(folder.path("names.npz"), npz::write([("inputs", &x), ("labels", &y)]).unwrap()).unwrap();
    std::fs::write(folder.path("lengths.npz"), npz::write([("x", &x), ("y", &y)]).unwrap()).unwrap();
    write("text.npz", "x y");
    write("others.csv", &without("setosa", &[("virginica", "iris virginica")]));
    let text = [
        ("cells that cannot be used", "train --data gaps.csv --label species"),
        ("more than ten of them", "train --data many.csv --label species"),
        ("texts among numbers", "train --data mixed.csv --label size"),
        ("no label", "train --data flowers.csv"),
        ("an unknown label", "train --data flowers.csv --label specis"),
        ("a label of a set", "train --data mnist --label species"),
        ("too few rows to test with", "train --data short.csv --label species"),
        ("numbers for a loss of classes", "train --data numbers.csv --label size --progress none"),
        ("nothing but labels", "train --data only.csv --label species"),
        ("a table that is no UTF-8", "train --data latin.csv --label species"),
        ("a table that is not there", "train --data nothing.csv --label species"),
        ("arrays of other names", "train --data names.npz"),
        ("arrays of other lengths", "train --data lengths.npz"),
        ("a text for arrays", "evaluate model.keras --data text.npz"),
        ("classes that the model does not know", "evaluate model.keras --data others.csv --label species"),
        ("classes that the model was not trained on", "train model.keras --data others.csv --label species"),
    ];
    folder.run(&format!("train {FLOWERS} --epochs 1 --progress none")).done();
    reviewed("tables.txt", &text.map(|(what, arguments)| told(&folder, what, arguments)).concat());
}
