//! Formats, and lines that are not as they should be.

use std::path::{Path, PathBuf};

use footlight_apps::recommend::{self, Columns, EventKind, Interactions, Reading};

/// A name and what is in the file.
type File<'a> = (&'a str, &'a [u8]);

/// A folder with these files, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, files: &[File]) -> Folder {
        let path = std::env::temp_dir().join(format!("footlight-apps-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        files.iter().for_each(|(name, bytes)| std::fs::write(path.join(name), bytes).unwrap());
        Folder(path)
    }

    fn open(&self) -> (Interactions, Reading) {
        recommend::open(&self.0, &Columns::default()).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Users, items and values of all events, in order.
fn told(all: &Interactions) -> Vec<String> {
    all.events()
        .map(|e| format!("{} {} {} {}", all.users.name(e.user), all.items.name(e.item), e.value, e.time))
        .collect()
}

#[test]
fn every_format_says_the_same() {
    let latin = b"10|Caf\xe9 (1999)||x|y|0|1|0\n20|B|||z|0|0|1\n";
    let sets: [(&str, Vec<File>); 5] = [
        ("hundred", vec![
            ("u.data", b"1\t10\t5\t100\n1\t20\t3\t50\n2\t10\t4\t70\n"),
            ("u.item", latin),
            ("u.genre", b"unknown|0\nAction|1\nDrama|2\n"),
        ]),
        ("million", vec![
            ("ratings.dat", b"1::10::5::100\n1::20::3::50\n2::10::4::70\n"),
            ("movies.dat", b"10::Caf\xe9 (1999)::Action\n20::B::Drama\n"),
        ]),
        ("later", vec![
            ("ratings.csv", b"userId,movieId,rating,timestamp\n1,10,5.0,100\n1,20,3.0,50\n2,10,4.0,70\n"),
            ("movies.csv", "movieId,title,genres\n10,\"Caf\u{e9} (1999)\",Action\n20,B,Drama\n".as_bytes()),
        ]),
        ("recbole", vec![
            ("set.inter", b"user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t10\t5\t100\n1\t20\t3\t50\n2\t10\t4\t70\n"),
            ("set.item", "item_id:token\tmovie_title:token_seq\tclass:token_seq\n10\tCaf\u{e9} (1999)\tAction\n20\tB\tDrama\n".as_bytes()),
        ]),
        ("lines", vec![
            ("events.jsonl", b"{\"user\":1,\"item\":\"10\",\"rating\":5,\"time\":100}\n{\"time\":50,\"user\":\"1\",\"item\":20,\"value\":3}\n{\"user\":2,\"item\":10,\"value\":4.0,\"time\":70}\n"),
            ("items.jsonl", "{\"item\":10,\"title\":\"Caf\u{e9} (1999)\",\"genres\":[\"Action\"]}\n{\"item\":20,\"title\":\"B\",\"genres\":\"Drama\"}\n".as_bytes()),
        ]),
    ];
    for (name, files) in sets {
        let (all, reading) = Folder::new(name, &files).open();
        assert_eq!(reading.malformed, 0, "{name}: {reading}");
        assert_eq!(told(&all), ["1 20 3 50", "1 10 5 100", "2 10 4 70"], "{name}");
        let known: Vec<(&str, &[String])> =
            all.catalogue.iter().map(|i| (i.title.as_str(), i.categories.as_slice())).collect();
        assert_eq!(
            known,
            [("Caf\u{e9} (1999)", &["Action".to_string()][..]), ("B", &["Drama".to_string()][..])],
            "{name}"
        );
        assert!(all.events().all(|event| event.kind == EventKind::Rating), "{name}");
    }
}

#[test]
fn malformed_lines_are_counted_and_shown() {
    let events = b"user,item,value,time,kind\nann,x,1,5,play\nann,y,many,6,play\n,x,1,7,play\nbob,y,1,8,stare\nbob\nbob,y,nan,9,\nbob,z,,,\n";
    let (all, reading) = Folder::new("malformed", &[("events.csv", events)]).open();
    assert_eq!(told(&all), ["ann x 1 5", "bob z 1 0"]);
    assert_eq!((reading.events, reading.malformed), (2, 5));
    let faults: Vec<String> = reading.shown.iter().map(|shown| format!("{}: {}", shown.line, shown.fault)).collect();
    assert_eq!(
        faults,
        [
            "3: the value is no number",
            "4: the user is empty",
            "5: the kind is none of impression, click, play, complete, like, dislike, skip, rating",
            "6: expected 2 cells, got 1",
            "7: the value is no number",
        ]
    );
}

#[test]
fn times_may_be_seconds_milliseconds_dates_and_those_of_rfc_3339() {
    let table = b"user,item,time\na,x,86400\na,y,172800000000\na,z,1970-01-02\nb,x,1970-01-02T01:00:00+01:00\nb,y,1970-01-02 00:00:01\nb,z,soon\nb,z,1970-02-30\n";
    let lines = b"{\"user\":\"a\",\"item\":\"x\",\"time\":\"1970-01-02T00:00:00Z\"}\n{\"user\":\"a\",\"item\":\"y\",\"time\":172800000000}\n{\"user\":\"a\",\"item\":\"z\",\"time\":true}\n";
    let tabs = String::from_utf8_lossy(table).replace(',', "\t").into_bytes();
    for (name, bytes) in [("events.csv", &table[..]), ("events.tsv", &tabs)] {
        let (all, reading) = Folder::new(&format!("times-{name}"), &[(name, bytes)]).open();
        assert_eq!(
            told(&all),
            ["a x 1 86400", "a z 1 86400", "a y 1 172800000", "b x 1 86400", "b y 1 86401"],
            "{name}: {reading}"
        );
        let fault = "the time is neither seconds since 1970 nor such as 2026-11-26T12:00:00Z";
        assert_eq!(
            (reading.malformed, reading.shown[0].line, reading.shown[0].fault.as_str()),
            (2, 7, fault),
            "{name}"
        );
    }
    let (all, reading) = Folder::new("times-lines", &[("events.jsonl", lines)]).open();
    assert_eq!((told(&all), reading.malformed), (vec!["a x 1 86400".into(), "a y 1 172800000".into()], 1));
}

#[test]
fn an_item_that_is_described_twice_is_told() {
    let files: [File; 2] = [("events.csv", b"user,item\nann,x\n"), ("items.csv", b"item,title\nx,One\nx,Two\ny\n")];
    let (all, reading) = Folder::new("twice", &files).open();
    assert_eq!((all.catalogue[0].title.as_str(), reading.malformed), ("Two", 2));
    assert!(reading.to_string().contains("items.csv:3: the item is there twice"), "{reading}");
}

#[test]
fn columns_may_have_other_names_and_missing_ones_are_told() {
    let folder = Folder::new("columns", &[("plays.csv", b"listener;song;when\nann;x;7\n")]);
    let path = folder.0.join("plays.csv");
    let error = recommend::open(&path, &Columns::default()).unwrap_err().to_string();
    assert!(error.contains("unknown column `user`") && error.contains("--user-column"), "{error}");
    let named = |name: &str| Some(name.to_string());
    let columns = Columns { user: named("listener"), item: named("song"), time: named("when"), ..Columns::default() };
    let (all, _) = recommend::open(&path, &columns).unwrap();
    assert_eq!(told(&all), ["ann x 1 7"]);
    assert!(all.events().all(|event| event.kind == EventKind::Play));
}

#[test]
fn what_holds_no_events_is_refused() {
    let error = |path: &Path| recommend::open(path, &Columns::default()).unwrap_err().to_string();
    let folder = Folder::new("empty", &[("events.csv", b"user,item\n"), ("u.zip", b"no zip")]);
    assert!(error(&folder.0).contains("no event could be read"));
    assert!(error(&folder.0.join("nothing.csv")).contains("cannot read it"));
    assert!(error(&folder.0.join("u.zip")).contains("cannot read it"));
    let bare = Folder::new("bare", &[("readme.txt", b"hello")]);
    assert!(error(&bare.0).contains("no events were found"));
}
