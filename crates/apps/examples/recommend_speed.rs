//! How fast recommenders are on generated sets: `cargo run --release -p footlight-apps --example recommend_speed -- answer`.
//!
//! `answer`: the top 10 for a history of 50 over 3,400 items, by EASE and SASRec. `ease`: a fit to a million events with 10,000
//! items, and its file; the most memory held is told where the system tells it. `sasrec`: an epoch over 6,000 users and a million events with 3,400 items, of length 200 and full softmax.

use std::time::{Duration, Instant};

use footlight::Result;
use footlight::tensor::{Philox, RandomKey};
use footlight_apps::recommend::{Event, EventKind, Interactions, Kind, Names, Query, Recommender, Settings};

/// Events of users who each like a stretch of the items, and the first of all items better than the last.
fn generated(users: usize, items: usize, events: usize) -> Interactions {
    let names = |count: usize| (0..count).map(|index| index.to_string()).collect::<Vec<_>>();
    let of = |names: &[String]| Names::from_iter(names.iter().map(String::as_str));
    let mut draw = Philox::new(RandomKey::new(0));
    let event = |index: usize| {
        let user = index % users;
        let taste = user * 7919 % items;
        let near = taste + (draw.normal().abs() * 0.05 * items as f64) as usize;
        let famous = (draw.uniform_f64().powi(3) * items as f64) as usize;
        let item = if draw.uniform() < 0.5 { near % items } else { famous };
        Event { user: user as u32, item: item as u32, kind: EventKind::Play, value: 1.0, time: index as i64 }
    };
    Interactions::new(of(&names(users)), of(&names(items)), vec![], (0..events).map(event).collect())
}

fn fit(data: Interactions, kind: Kind, settings: &[(&str, f32)]) -> Result<(Recommender, Duration)> {
    let settings = settings.iter().fold(Settings::default(), |all, (name, value)| all.with(name, *value));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let start = Instant::now();
    Ok((Recommender::fit(data, kind, &settings, 0, threads)?, start.elapsed()))
}

/// The median and the 99th percentile of 1,000 answers.
fn answers(recommender: &Recommender) -> Result<()> {
    let mut draw = Philox::new(RandomKey::new(1));
    let mut times = Vec::new();
    for _ in 0..1000 {
        let history: Vec<String> = (0..50).map(|_| draw.below(3400).to_string()).collect();
        let query = Query::of_history(history.iter().map(String::as_str));
        let start = Instant::now();
        let best = recommender.recommend(&query)?;
        times.push(start.elapsed());
        assert_eq!(best.len(), 10);
    }
    times.sort_unstable();
    println!("{}: median {:?}, p99 {:?}", recommender.model().kind().name(), times[500], times[989]);
    Ok(())
}

/// The most memory that this process has held, as Linux tells it.
fn most_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    most.map_or("memory unknown".into(), |most| format!("{} at the most", most.trim()))
}

fn main() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("ease") => {
            let (recommender, time) = fit(generated(10_000, 10_000, 1_000_000), Kind::Ease, &[])?;
            println!("ease: 1,000,000 events, 10,000 items: {:.1} s, {}", time.as_secs_f64(), most_memory());
            let path = std::env::temp_dir().join(format!("footlight-speed-{}.npz", std::process::id()));
            let start = Instant::now();
            recommender.save(&path)?;
            println!("saved: {:.1} s, {}", start.elapsed().as_secs_f64(), most_memory());
            std::fs::remove_file(path).expect("the file was written here");
        }
        Some("sasrec") => {
            let data = generated(6_000, 3_400, 1_000_000);
            let settings = [("length", 200.0), ("epochs", 1.0), ("dropout", 0.2)];
            let (_, time) = fit(data, Kind::SasRec, &settings)?;
            println!("sasrec: an epoch of 1,000,000 events, 3,400 items, length 200: {:.1} s", time.as_secs_f64());
        }
        _ => {
            let data = generated(2_000, 3_400, 100_000);
            answers(&fit(data.clone(), Kind::Ease, &[])?.0)?;
            answers(&fit(data, Kind::SasRec, &[("epochs", 0.0), ("length", 50.0)])?.0)?;
        }
    }
    Ok(())
}
