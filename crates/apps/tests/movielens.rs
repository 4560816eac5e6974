//! Figures on MovieLens 100K, where `FOOTLIGHT_DATA` has it.

use std::path::PathBuf;

use footlight_apps::recommend::evaluate::{Evaluation, Protocol, Report};
use footlight_apps::recommend::{self, Columns, Interactions, Kind, Settings};

fn movielens() -> Option<Interactions> {
    let folder = std::env::var_os("FOOTLIGHT_DATA").map(PathBuf::from)?.join("movielens-100k");
    if !folder.exists() {
        return None;
    }
    let (all, reading) = recommend::open(&folder, &Columns::default()).unwrap();
    assert_eq!((all.users.len(), all.items.len(), reading.events, reading.malformed), (943, 1682, 100_000, 0));
    Some(all)
}

/// The report of a model whose settings are all given.
fn report(data: &Interactions, protocol: Protocol, kind: Kind, settings: &[(&str, f32)]) -> Report {
    let all = kind.settings().iter().fold(Settings::default(), |all, setting| all.with(setting.name, setting.default));
    let settings = settings.iter().fold(all, |all, (name, value)| all.with(name, *value));
    let evaluation = Evaluation { protocol, kinds: vec![kind], splits: 2, settings, threads: 2 };
    let mut reports = Vec::new();
    let mut keep = |report| {
        reports.push(report);
        Ok(())
    };
    evaluation.run(data, &mut keep).unwrap();
    reports.swap_remove(0)
}

#[test]
fn models_rank_as_well_as_they_are_known_to() {
    let Some(data) = movielens() else {
        return eprintln!("skipped: FOOTLIGHT_DATA has no movielens-100k");
    };
    let first = &data.catalogue[data.items.get("1").unwrap() as usize];
    assert_eq!((first.title.as_str(), first.categories.len()), ("Toy Story (1995)", 3));
    let plain = [("window", 0.0), ("regularization", 400.0), ("rating_weight", 0.0)];
    let figures = [
        (Protocol::PerUser, Kind::Ease, &plain[..], 0.473..0.489),
        (Protocol::PerUser, Kind::Ease, &[][..], 0.484..0.500),
        (Protocol::PerUser, Kind::Bpr, &[][..], 0.44..0.47),
        (Protocol::LeaveOneOut, Kind::Popularity, &[][..], 0.043..0.047),
        (Protocol::SampledNegatives, Kind::Popularity, &[][..], 0.20..0.32),
    ];
    for (protocol, kind, settings, range) in figures {
        let report = report(&data, protocol, kind, settings);
        let ndcg = report.metrics[0].mean;
        assert!(range.contains(&ndcg), "{} {} {settings:?}: {ndcg}", protocol.name(), kind.name());
    }
}
