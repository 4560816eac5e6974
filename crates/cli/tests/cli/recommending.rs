//! `footlight recommend`: from events to answers.

use crate::support::*;

/// 40 users of two tastes, 12 items.
fn plays(folder: &Folder) {
    let mut text = String::from("user,item,value,time\n");
    for user in 0..40 {
        for play in 0..6 {
            let item = (user + play) % 6 + 6 * (user % 2);
            text += &format!("u{user},i{item},{},{}\n", 3 + (user + play) % 3, 100 * user + play);
        }
    }
    std::fs::write(folder.path("plays.csv"), text).unwrap();
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn a_fresh_clone_recommends() {
    let out = Folder::new().run("recommend quickstart").done().out;
    assert!(out.contains("48 films") && out.contains("For user 7, and why:") && out.contains("you, who liked The Kid"));
}

#[test]
fn what_is_trained_answers_explains_and_takes_in_what_comes() {
    let folder = Folder::new();
    plays(&folder);
    let out = folder.run("recommend train --data plays.csv --output r.npz --set regularization=5").done().out;
    assert!(
        out.contains("40 users, 12 items, 240 events") && out.contains("ease (regularization=5): less than 1 s"),
        "{out}"
    );
    let first = folder.run("recommend for new r.npz --history i1,i2 -k 3 --because --json").done().out;
    let first = json(&first);
    for item in first["items"].as_array().unwrap() {
        let number = item["item"].as_str().unwrap()[1..].parse::<usize>().unwrap();
        assert!(number < 6, "those of the same taste come first: {item}");
        let sum: f64 = item["because"].as_array().unwrap().iter().map(|r| r["contribution"].as_f64().unwrap()).sum();
        assert!((sum - item["score"].as_f64().unwrap()).abs() < 1e-4);
    }
    assert_eq!(folder.run("recommend for new r.npz").code, Some(2));
    std::fs::write(folder.path("more.csv"), "user,item,kind\nnew,i7,play\nnew,i8,like\nnew,i99,play\nnew,,play\n")
        .unwrap();
    let run = folder.run("recommend update r.npz --events more.csv").done();
    assert_eq!(run.out, "Added: 2 events, 1 new users\n");
    assert!(
        run.err.contains("1 malformed") && run.err.contains("the item is empty") && run.err.contains("`i99`"),
        "{}",
        run.err
    );
    let after = json(&folder.run("recommend for new r.npz -k 2 --json").done().out);
    let numbers =
        after["items"].as_array().unwrap().iter().map(|i| i["item"].as_str().unwrap()[1..].parse::<usize>().unwrap());
    assert!(numbers.clone().all(|number| number >= 6 && number != 7 && number != 8), "{after}");
    let similar = json(&folder.run("recommend similar i1 r.npz -k 2 --json").done().out);
    assert_eq!(similar["items"].as_array().unwrap().len(), 2);
}

#[test]
fn an_evaluation_tells_a_line_for_each_protocol_and_model() {
    let folder = Folder::new();
    let arguments =
        "recommend evaluate --protocol per-user,leave-one-out --models popularity,item-knn,ease --splits 2 --json";
    let one = folder.run(&format!("{arguments} --threads 1")).done().out;
    let lines: Vec<serde_json::Value> = one.lines().map(json).collect();
    let told: Vec<(&str, &str)> =
        lines.iter().map(|line| (line["protocol"].as_str().unwrap(), line["model"].as_str().unwrap())).collect();
    let models = ["popularity", "item-knn", "ease"];
    let wanted = ["per-user", "leave-one-out"].into_iter().flat_map(|protocol| models.map(|model| (protocol, model)));
    assert_eq!(told, wanted.collect::<Vec<_>>());
    let ndcg = |line: &serde_json::Value| line["ndcg@10"].as_f64().unwrap();
    assert!(ndcg(&lines[2]) > 1.1 * ndcg(&lines[0]), "users have tastes: {one}");
    for line in &lines {
        let interval = &line["ndcg@10_interval"];
        assert!(interval[0].as_f64().unwrap() < ndcg(line) && ndcg(line) < interval[1].as_f64().unwrap());
    }
    let without_times = |text: &str| {
        let mut lines: Vec<serde_json::Value> = text.lines().map(json).collect();
        lines.iter_mut().for_each(|line| line["seconds"] = 0.into());
        lines
    };
    assert_eq!(without_times(&folder.run(&format!("{arguments} --threads 3")).done().out), without_times(&one));
}

#[test]
fn bad_use_and_bad_files_are_told() {
    let folder = Folder::new();
    plays(&folder);
    folder.run("recommend train --data plays.csv --output r.npz").done();
    let file = std::fs::read(folder.path("r.npz")).unwrap();
    std::fs::write(folder.path("half.npz"), &file[..file.len() / 2]).unwrap();
    let with_about = |name: &str, change: &dyn Fn(&mut serde_json::Value)| {
        let mut tensors = footlight::tensor::npz::read(&file).unwrap();
        for (name, tensor) in &mut tensors {
            if let ("about", footlight::tensor::Data::U8(text)) = (name.as_str(), tensor.data()) {
                let mut about = serde_json::from_slice(text).unwrap();
                change(&mut about);
                let text = about.to_string().into_bytes();
                *tensor = footlight::tensor::Tensor::new([text.len()], text).unwrap();
            }
        }
        let bytes =
            footlight::tensor::npz::write(tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))).unwrap();
        std::fs::write(folder.path(name), bytes).unwrap();
    };
    with_about("newer.npz", &|about| about["footlight_recommender"] = 7.into());
    with_about("fewer.npz", &|about| drop(about["items"].as_array_mut().unwrap().pop()));
    with_about("other.npz", &|about| about["model"]["kind"] = "als".into());
    with_about("wild.npz", &|about| about["model"]["settings"]["regularization"] = (-1).into());
    std::fs::write(folder.path("none.csv"), "user,item\n").unwrap();
    let text: String = [
        ("an unknown model", "recommend train --model eas"),
        ("an unknown setting", "recommend train --set regularisation=3"),
        ("a setting out of range", "recommend train --set regularization=-3"),
        ("filters that leave nothing", "recommend train --data plays.csv --k-core 99"),
        ("a file without events", "recommend train --data none.csv"),
        ("data that are not there", "recommend train --data nothing"),
        ("columns of other names", "recommend train --data plays.csv --user-column listener"),
        ("an unknown user", "recommend for u99 r.npz"),
        ("an unknown item", "recommend similar i99 r.npz"),
        ("an unknown category", "recommend for u1 r.npz --category Comedy"),
        ("popularity asked for likeness", "recommend similar i1 popular.npz"),
        ("a recommender that is not there", "recommend for u1 nothing.npz"),
        ("half a recommender", "recommend for u1 half.npz"),
        ("a recommender of another version", "recommend for u1 newer.npz"),
        ("a recommender with fewer items", "recommend for u1 fewer.npz"),
        ("a recommender of another model", "recommend for u1 other.npz"),
        ("a recommender with settings out of range", "recommend for u1 wild.npz"),
        ("a table taken for a recommender", "recommend for u1 plays.csv"),
        ("an unknown protocol", "recommend evaluate --protocol leave-one"),
    ]
    .map(|(what, arguments)| {
        if arguments.contains("popular.npz") {
            folder.run("recommend train --data plays.csv --model popularity --output popular.npz").done();
        }
        told(&folder, what, arguments)
    })
    .concat();
    reviewed("recommending.txt", &text);
}
