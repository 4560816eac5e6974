//! What holds the guide together; its programs are run as documentation tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// More than this is too much for a picture on a page.
const MOST_BYTES: u64 = 40_000;

fn guide() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide")
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

/// Every page: its language, its name and its text.
fn pages() -> Vec<(&'static str, String, String)> {
    let of_language = |language| {
        let folder = guide().join(language);
        let page = move |name: String| (language, name.clone(), fs::read_to_string(folder.join(name)).unwrap());
        names(&guide().join(language)).into_iter().map(page)
    };
    ["en", "zh"].into_iter().flat_map(of_language).collect()
}

/// The lines of a page with the language of the code they are in; prose is in none.
fn lines(text: &str) -> Vec<(Option<&str>, &str)> {
    let (mut fence, mut lines) = (None, Vec::new());
    for line in text.lines() {
        match (line.strip_prefix("```"), fence) {
            (Some(language), None) => fence = Some(language),
            (Some(_), Some(_)) => fence = None,
            (None, _) => lines.push((fence, line)),
        }
    }
    lines
}

/// Where the links in the prose lead, without those to other sites.
fn links(text: &str) -> Vec<&str> {
    let prose = lines(text).into_iter().filter(|(language, _)| language.is_none());
    let targets = prose.flat_map(|(_, line)| line.split("](").skip(1)).filter_map(|rest| rest.split_once(')'));
    targets.map(|(link, _)| link).filter(|link| !link.contains("://")).collect()
}

/// Programs and commands, without comments.
fn code(text: &str) -> Vec<&str> {
    let is_code = |language: Option<&str>| matches!(language, Some("rust" | "sh" | "python"));
    let code = lines(text).into_iter().filter(|(language, _)| is_code(*language));
    code.map(|(_, line)| line).filter(|line| !line.trim_start().starts_with("//")).collect()
}

#[test]
fn both_languages_have_the_same_chapters_with_the_same_code_and_figures() {
    assert_eq!(names(&guide().join("en")), names(&guide().join("zh")));
    let pages = pages();
    let (english, chinese) = pages.split_at(pages.len() / 2);
    for ((_, name, english), (_, _, chinese)) in english.iter().zip(chinese) {
        if name != "README.md" {
            assert!(english.contains("```rust"), "{name} has no program");
            assert!(english.contains("../figures/"), "{name} has no figure");
            assert_eq!(code(english), code(chinese), "{name}");
            assert_eq!(links(english), links(chinese), "{name}");
        }
    }
}

#[test]
fn every_program_is_run() {
    let listed = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/guide.rs")).unwrap();
    for name in names(&guide().join("en")).iter().filter(|name| *name != "README.md") {
        assert!(listed.contains(&format!("{name:?}")), "{name} is not in src/guide.rs");
    }
}

#[test]
fn every_link_leads_somewhere_and_every_figure_is_shown() {
    let mut shown = BTreeSet::new();
    for (language, name, text) in pages() {
        for link in links(&text) {
            let path = guide().join(language).join(link.split('#').next().unwrap_or_default());
            assert!(path.exists(), "{language}/{name}: {link}");
            shown.extend(link.strip_prefix("../figures/").map(str::to_string));
        }
    }
    assert_eq!(shown, names(&guide().join("figures")));
}

#[test]
fn figures_are_small() {
    for name in names(&guide().join("figures")) {
        let bytes = fs::metadata(guide().join("figures").join(&name)).unwrap().len();
        assert!(bytes < MOST_BYTES, "{name} has {bytes} bytes");
    }
}
