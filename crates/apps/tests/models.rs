//! What every model promises, on the embedded catalogue.

use std::sync::OnceLock;

use footlight_apps::recommend::{
    self, Cost, Counts, Event, EventKind, Fitted, Fitting, Interactions, Kind, NamedEvent, Names, Query, Recommender,
    Settings,
};

/// Short trainings: the laws hold for any weights.
fn settings(kind: Kind) -> Settings {
    let short = match kind {
        Kind::NeuMf => vec![("epochs", 2.0), ("size", 8.0), ("length", 12.0)],
        Kind::TwoTower => vec![("epochs", 2.0), ("size", 16.0), ("length", 12.0)],
        Kind::SasRec => vec![("epochs", 3.0), ("size", 16.0), ("length", 12.0)],
        Kind::Als => vec![("factors", 12.0)],
        Kind::Bpr => vec![("factors", 12.0), ("epochs", 5.0)],
        Kind::Ease | Kind::ItemKnn => vec![("half_life", 5.0), ("rating_weight", 0.3)],
        _ => vec![],
    };
    short.into_iter().fold(Settings::default(), |settings, (name, value)| settings.with(name, value))
}

/// A recommender of each kind, fitted once.
fn all() -> &'static [Recommender] {
    static ALL: OnceLock<Vec<Recommender>> = OnceLock::new();
    ALL.get_or_init(|| {
        let fit = |kind: &Kind| Recommender::fit(recommend::embedded(0), *kind, &settings(*kind), 1, 2).unwrap();
        Kind::ALL.iter().map(fit).collect()
    })
}

fn name(recommender: &Recommender) -> &'static str {
    recommender.model().kind().name()
}

#[test]
fn contributions_sum_to_the_score() {
    for recommender in all() {
        for query in [Query::of_user("3"), Query::of_history(["6", "40", "41"]), Query::of_history(["2"])] {
            for got in recommender.recommend(&query.because(true).k(4)).unwrap() {
                let sum: f32 = got.because.iter().map(|reason| reason.contribution).sum();
                assert!((sum - got.score).abs() <= 1e-4, "{}: {sum} is not {}", name(recommender), got.score);
            }
        }
    }
}

#[test]
fn reasons_are_the_history_and_what_is_without_it() {
    for recommender in all().iter().filter(|recommender| recommender.model().kind() != Kind::Popularity) {
        let got = recommender.recommend(&Query::of_history(["6", "40"]).because(true).k(1)).unwrap();
        let items: Vec<&str> = got[0].because.iter().filter_map(|reason| reason.item.as_deref()).collect();
        assert!(
            !items.is_empty() && items.iter().all(|item| ["6", "40"].contains(item)),
            "{}: {items:?}",
            name(recommender)
        );
    }
}

#[test]
fn seen_excluded_and_other_items_are_left_out() {
    for recommender in all() {
        let query = Query::of_history(["5", "37"]).exclude(["15"]).category("comedy").k(100);
        let got: Vec<String> = recommender.recommend(&query).unwrap().into_iter().map(|got| got.item).collect();
        assert!(!got.is_empty() && ["5", "37", "15"].iter().all(|item| !got.iter().any(|got| got == item)));
        let comedy = |item: &String| {
            let index = recommender.data().items.get(item).unwrap();
            recommender.data().catalogue[index as usize].categories.contains(&"Comedy".to_string())
        };
        assert!(got.iter().all(comedy), "{}", name(recommender));
        let with_seen = recommender.recommend(&Query::of_history(["5", "37"]).filter_seen(false).k(100)).unwrap();
        assert_eq!(with_seen.len(), recommender.data().items.len());
        assert!(with_seen.windows(2).all(|pair| pair[0].score >= pair[1].score), "{}", name(recommender));
    }
}

#[test]
fn a_file_answers_as_what_was_saved() {
    for recommender in all() {
        let path =
            std::env::temp_dir().join(format!("footlight-apps-{}-{}.npz", std::process::id(), name(recommender)));
        recommender.save(&path).unwrap();
        let loaded = Recommender::load(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(loaded.data(), recommender.data());
        let query = Query::of_user("9").because(true);
        assert_eq!(loaded.recommend(&query).unwrap(), recommender.recommend(&query).unwrap(), "{}", name(recommender));
    }
}

/// Files come from strangers: whatever a byte is changed to, the answer is an error or a recommender that answers.
#[test]
fn no_damaged_file_does_harm() {
    let path = std::env::temp_dir().join(format!("footlight-apps-{}-damaged.npz", std::process::id()));
    let mut draw = footlight::tensor::Philox::new(footlight::tensor::RandomKey::new(5));
    for recommender in
        all().iter().filter(|r| [Kind::Popularity, Kind::ItemKnn, Kind::Blend].contains(&r.model().kind()))
    {
        recommender.save(&path).unwrap();
        let tensors = footlight::tensor::npz::read(&std::fs::read(&path).unwrap()).unwrap();
        for _ in 0..60 {
            let mut damaged = tensors.clone();
            let index = draw.below(damaged.len() as u32) as usize;
            match draw.below(3) {
                0 => drop(damaged.remove(index)),
                1 => damaged[index].1 = damage(&damaged[index].1, &mut draw),
                _ => damaged[index].1 = footlight::tensor::Tensor::new([0], Vec::<f32>::new()).unwrap(),
            }
            let named = damaged.iter().map(|(name, tensor)| (name.as_str(), tensor));
            std::fs::write(&path, footlight::tensor::npz::write(named).unwrap()).unwrap();
            if let Ok(loaded) = Recommender::load(&path) {
                let name = loaded.data().users.iter().next().map(str::to_string);
                let _ = name.map(|name| loaded.recommend(&Query::of_user(&name).because(true)));
            }
        }
    }
    std::fs::remove_file(&path).unwrap();
}

/// The same tensor with one element changed.
fn damage(tensor: &footlight::tensor::Tensor, draw: &mut footlight::tensor::Philox) -> footlight::tensor::Tensor {
    use footlight::tensor::Data;
    let (shape, at) = (tensor.shape().to_vec(), draw.below(tensor.len().max(1) as u32) as usize);
    let mut data = tensor.data().clone();
    match &mut data {
        Data::F32(v) => v[at] = f32::NAN,
        Data::F64(v) => v[at] = f64::INFINITY,
        Data::I32(v) => v[at] = [-1, i32::MAX][draw.below(2) as usize],
        Data::I64(v) => v[at] = i64::MIN,
        Data::U8(v) => v[at] = draw.below(256) as u8,
    }
    footlight::tensor::Tensor::new(shape, data).unwrap()
}

#[test]
fn what_a_fit_needs_is_told_as_a_range_and_grows_with_the_data() {
    let few = Counts { users: 1_000, items: 1_000, events: 100_000, pairs: 10_000_000 };
    let many = Counts { users: 2_000, items: 2_000, events: 200_000, pairs: 20_000_000 };
    for kind in Kind::ALL {
        let [few, many] = [few, many].map(|counts| kind.cost(counts, &Settings::default()));
        let [least, most] = few.seconds();
        assert!(0.0 < least && least < most, "{}: {least} {most}", kind.name());
        assert!(few.operations < many.operations && few.bytes < many.bytes, "{}: {few:?} {many:?}", kind.name());
    }
    let fit = |bytes| Cost { bytes, operations: 0.0 };
    assert_eq!((few.memory(fit(0.0)), few.memory(fit(1e9))), (27e6, 1.013e9));
    assert!(few.memory(fit(0.0)) < many.memory(fit(0.0)));
}

#[test]
fn the_same_seed_fits_the_same_for_any_number_of_threads() {
    for recommender in all() {
        let kind = recommender.model().kind();
        let alone = Recommender::fit(recommend::embedded(0), kind, &settings(kind), 1, 1).unwrap();
        assert_eq!(alone.model().tensors(), recommender.model().tensors(), "{}", kind.name());
    }
}

#[test]
fn what_somebody_does_counts_in_the_next_answer_as_if_it_had_been_there() {
    let films = recommend::embedded(0);
    let event = |user: &str, item: &str, kind, time| NamedEvent {
        user: user.into(),
        item: item.into(),
        kind,
        value: 4.0,
        time,
    };
    let later = [
        event("new", "6", EventKind::Like, 20),
        event("new", "40", EventKind::Play, 10),
        event("new", "no such film", EventKind::Play, 30),
        event("new", "41", EventKind::Dislike, 40),
        event("7", "40", EventKind::Complete, 1_000_001),
    ];
    let mut users: Vec<&str> = films.users.iter().collect();
    users.push("new");
    let users = Names::from_iter(users);
    let known = later.iter().filter_map(|event| {
        let (user, item) = (users.get(&event.user)?, films.items.get(&event.item)?);
        Some(Event { user, item, kind: event.kind, value: event.value, time: event.time })
    });
    let events = films.events().copied().chain(known).collect();
    let whole = Interactions::new(users.clone(), films.items.clone(), films.catalogue.clone(), events);
    for kind in Kind::ALL {
        let fitted = || Fitted::new(*kind, &settings(*kind), Fitting { data: &films, threads: 1, seed: 1 }).unwrap();
        let mut updated = Recommender::new(fitted(), films.clone());
        assert!(updated.recommend(&Query::of_user("new")).is_err());
        let update = updated.update(&later);
        assert_eq!((update.added, update.new_users), (4, 1));
        assert_eq!(update.unknown_items, [("no such film".to_string(), 1)]);
        let there = Recommender::new(fitted(), whole.clone());
        for user in ["new", "7"] {
            let query = Query::of_user(user).k(100).because(true);
            let got = updated.recommend(&query).unwrap();
            assert_eq!(got, there.recommend(&query).unwrap(), "{}", kind.name());
            assert!(got.iter().all(|got| got.item != "40"), "{}", kind.name());
        }
    }
}

#[test]
fn what_was_disliked_is_left_out_and_what_was_only_shown_is_not() {
    let event = |item: &str, kind| NamedEvent { user: "new".into(), item: item.into(), kind, value: 1.0, time: 0 };
    let mut recommender = Recommender::fit(recommend::embedded(0), Kind::Ease, &Settings::default(), 0, 1).unwrap();
    recommender.update(&[
        event("6", EventKind::Like),
        event("40", EventKind::Dislike),
        event("3", EventKind::Impression),
    ]);
    let got: Vec<String> =
        recommender.recommend(&Query::of_user("new").k(100)).unwrap().into_iter().map(|r| r.item).collect();
    assert!(!got.contains(&"40".to_string()) && got.contains(&"3".to_string()));
}

#[test]
fn an_answer_is_quick_and_from_any_thread() {
    fn shared<T: Send + Sync>(_: &T) {}
    for recommender in all() {
        shared(recommender);
        std::thread::scope(|scope| {
            let ask = || recommender.recommend(&Query::of_user("3")).unwrap();
            let (left, right) = (scope.spawn(ask), scope.spawn(ask));
            assert_eq!(left.join().unwrap(), right.join().unwrap(), "{}", name(recommender));
        });
    }
}

#[test]
fn likeness_and_taste_follow_what_users_did() {
    for recommender in all().iter().filter(|r| ![Kind::Popularity, Kind::Bpr].contains(&r.model().kind())) {
        let similar = recommender.similar("6", 5).unwrap();
        assert!(similar.len() == 5 && similar.iter().all(|similar| similar.item != "6" && similar.score.is_finite()));
    }
    assert!(all()[0].similar("6", 5).is_err());
}

#[test]
fn names_that_are_not_known_are_told() {
    let recommender = &all()[0];
    let told = |query: Query| recommender.recommend(&query).unwrap_err().to_string();
    assert!(told(Query::of_user("nobody")).contains("user `nobody` is not known among 300"));
    assert!(told(Query::of_history(["Nosferatu"])).contains("`6` is Nosferatu (1922)"));
    assert!(told(Query::of_user("1").category("Comdy")).contains("did you mean `Comedy`?"));
}

#[test]
fn an_empty_history_is_answered() {
    for recommender in all() {
        let got = recommender.recommend(&Query::of_history([]).because(true)).unwrap();
        assert!(got.len() == 10 && got.iter().all(|got| got.score.is_finite()), "{}", name(recommender));
    }
}
