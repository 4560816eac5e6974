//! How long answers take: the top 10 of somebody new with a history of 50, over 3,400 items, in process and over HTTP; and the
//! acknowledgement of feedback.
//!
//! ```sh
//! cargo build --release -p footlight-apps --example serving_load
//! chrt -f 10 target/release/examples/serving_load [CLIENTS] [REQUESTS] [FILE]
//! ```
//!
//! `FILE` is a recommender; without one EASE is fitted to events that are drawn.

use std::time::{Duration, Instant};

use footlight::Result;
use footlight::tensor::{Philox, RandomKey};
use footlight_apps::recommend::serve::Serving;
use footlight_apps::recommend::{Event, EventKind, Interactions, Kind, Names, Query, Recommender, Settings};

const USERS: u32 = 2_000;
const ITEMS: u32 = 3_400;
const HISTORY: usize = 50;

/// Events of users, of which the first items have the most.
fn drawn() -> Interactions {
    let mut random = Philox::new(RandomKey::new(0));
    let names = |count: u32| (0..count).map(|index| index.to_string()).collect::<Vec<_>>();
    let (users, items) = (names(USERS), names(ITEMS));
    let of = |names: &[String]| Names::from_iter(names.iter().map(String::as_str));
    let mut event = |index: u32| {
        let item = ((f64::from(ITEMS)).powf(random.uniform_f64()) - 1.0) as u32;
        Event { user: index % USERS, item, kind: EventKind::Play, value: 1.0, time: i64::from(index) }
    };
    let events = (0..USERS * HISTORY as u32).map(&mut event).collect();
    Interactions::new(of(&users), of(&items), vec![], events)
}

/// Histories of different items.
fn histories(recommender: &Recommender, count: usize) -> Vec<Vec<String>> {
    let mut random = Philox::new(RandomKey::new(1));
    let items = &recommender.data().items;
    let mut item = || items.name(random.below(items.len() as u32)).to_string();
    (0..count).map(|_| (0..HISTORY).map(|_| item()).collect()).collect()
}

fn tell(what: &str, mut times: Vec<Duration>, whole: Duration) {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    let [p50, p99, max] = [0.5, 0.99, 1.0].map(at);
    let rate = times.len() as f64 / whole.as_secs_f64();
    println!("{what:<34} p50 {p50:>7.3} ms  p99 {p99:>7.3} ms  max {max:>8.3} ms  {rate:>7.0} /s");
}

/// What `clients` see who send all bodies among them, each one after the other.
fn load(what: &str, url: &str, clients: usize, bodies: &[String]) {
    let start = Instant::now();
    let client = |own: Vec<&String>| {
        let agent: ureq::Agent = ureq::Agent::config_builder().proxy(None).build().into();
        let time = |body: &String| {
            let start = Instant::now();
            let answer = agent.post(url).send(body.as_str()).expect("the server answers");
            answer.into_body().read_to_string().expect("the answer is a text");
            start.elapsed()
        };
        own.into_iter().map(time).collect::<Vec<_>>()
    };
    let times = std::thread::scope(|scope| {
        let shares = (0..clients).map(|client| bodies.iter().skip(client).step_by(clients).collect());
        let threads: Vec<_> = shares.map(|own| scope.spawn(|| client(own))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no client panics")).collect()
    });
    tell(what, times, start.elapsed());
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize, default| arguments.get(index).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (clients, requests) = (number(0, 8), number(1, 4_000));
    let recommender = match arguments.get(2) {
        Some(file) => Recommender::load(file)?,
        None => Recommender::fit(drawn(), Kind::Ease, &Settings::default(), 0, 1)?,
    };
    let (kind, items) = (recommender.model().kind().name(), recommender.data().items.len());
    println!("{kind}, {items} items, {requests} histories of {HISTORY}, {clients} clients");

    let histories = histories(&recommender, requests);
    let start = Instant::now();
    let time = |history: &Vec<String>| {
        let start = Instant::now();
        recommender.recommend(&Query::of_history(history.iter().map(String::as_str))).map(|_| start.elapsed())
    };
    let times = histories.iter().map(time).collect::<Result<_>>()?;
    tell("in process", times, start.elapsed());

    let store = std::env::temp_dir().join(format!("footlight-load-{}.feedback", std::process::id()));
    let server = Serving::default().bind(recommender, &store, "127.0.0.1:0")?;
    let (url, stopper) = (format!("http://{}/api", server.address()), server.stopper());
    let serving = std::thread::spawn(move || server.run());
    let bodies: Vec<String> = histories.iter().map(|history| serde_json::json!(history).to_string()).collect();
    load("session over HTTP", &format!("{url}/session/recommend"), clients, &bodies);
    let feedback = |(user, history): (usize, &Vec<String>)| {
        let event = serde_json::json!({ "FeedbackType": "like", "UserId": user.to_string(), "ItemId": history[0] });
        format!("[{event}]")
    };
    let bodies: Vec<String> = histories.iter().enumerate().map(feedback).collect();
    load("feedback over HTTP, on disk", &format!("{url}/feedback"), clients, &bodies);
    stopper.stop();
    serving.join().expect("the server does not panic")?;
    std::fs::remove_file(store).expect("the store was made here");
    Ok(())
}
