//! What a server answers, over the network.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use footlight::Result;
use footlight_apps::recommend::serve::{Serving, Stopper};
use footlight_apps::recommend::{self, Kind, Query, Recommender, Settings};
use serde_json::{Value as Json, json};

fn films() -> Recommender {
    Recommender::fit(recommend::embedded(0), Kind::Ease, &Settings::default(), 0, 1).unwrap()
}

/// A server on a port and with a store of its own.
struct Served {
    address: SocketAddr,
    store: PathBuf,
    stopper: Stopper,
    running: Option<JoinHandle<Result<u64>>>,
}

impl Served {
    fn new(serving: Serving) -> Served {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("footlight-serving-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let store = std::env::temp_dir().join(name);
        let server = serving.bind(films(), &store, "127.0.0.1:0").unwrap();
        let (address, stopper) = (server.address(), server.stopper());
        Served { address, store, stopper, running: Some(std::thread::spawn(move || server.run())) }
    }

    /// Status and body of an answer.
    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let agent: ureq::Agent = ureq::Agent::config_builder().proxy(None).http_status_as_error(false).build().into();
        let answer = agent.run(request.body(body.to_string()).unwrap()).unwrap();
        (answer.status().as_u16(), answer.into_body().read_to_string().unwrap())
    }

    fn get(&self, path: &str) -> Json {
        let (status, body) = self.ask("GET", path, &[], "");
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
    }

    fn post(&self, path: &str, body: &Json) -> Json {
        let (status, answer) = self.ask("POST", path, &[], &body.to_string());
        assert_eq!(status, 200, "{path}: {answer}");
        serde_json::from_str(&answer).unwrap()
    }

    /// Status, kind and message of a refusal.
    fn refused(&self, method: &str, path: &str, body: &str) -> (u16, String, String) {
        let (status, answer) = self.ask(method, path, &[], body);
        let error = &serde_json::from_str::<Json>(&answer).unwrap()["error"];
        let text = |name: &str| error[name].as_str().unwrap_or_else(|| panic!("{path}: {answer}")).to_string();
        (status, text("kind"), text("message"))
    }

    fn stop(&mut self) -> u64 {
        self.stopper.stop();
        self.running.take().map_or(0, |running| running.join().unwrap().unwrap())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop();
        let _ = std::fs::remove_file(&self.store);
    }
}

fn like(user: &str, item: &str) -> Json {
    json!({ "FeedbackType": "like", "UserId": user, "ItemId": item })
}

#[test]
fn lists_are_those_of_the_library_in_the_shape_that_clients_of_gorse_know() {
    let (served, films) = (Served::new(Serving::default()), films());
    let wanted = films.recommend(&Query::of_user("7").k(3).category("Drama").exclude(["24"])).unwrap();
    let wanted: Vec<&str> = wanted.iter().map(|item| item.item.as_str()).collect();
    assert_eq!(served.get("/api/recommend/7?n=3&category=drama&exclude=24"), json!(wanted));
    let scored = |id: &str, score: f32| json!({ "Id": id, "Score": score });
    let wanted = films.similar("6", 10).unwrap();
    let wanted: Vec<Json> = wanted.iter().map(|item| scored(&item.item, item.score)).collect();
    assert_eq!(served.get("/api/item/6/neighbors"), json!(wanted));
    let wanted = films.recommend(&Query::of_history(["6", "40"]).exclude(["5"]).k(4)).unwrap();
    let wanted: Vec<Json> = wanted.iter().map(|item| scored(&item.item, item.score)).collect();
    let history = json!(["6", { "FeedbackType": "dislike", "ItemId": "5" }, "40"]);
    assert_eq!(served.post("/api/session/recommend?n=4", &history), json!(wanted));
}

#[test]
fn reasons_sum_to_the_score() {
    let served = Served::new(Serving::default());
    for items in [
        served.get("/api/recommend/7?because=true"),
        served.post("/api/session/recommend?because=true", &json!(["6", "40"])),
        served.post("/api/session/recommend?because=true", &json!([])),
    ] {
        assert_eq!(items.as_array().unwrap().len(), 10);
        for item in items.as_array().unwrap() {
            let sum: f64 =
                item["because"].as_array().unwrap().iter().map(|r| r["contribution"].as_f64().unwrap()).sum();
            assert!((sum - item["score"].as_f64().unwrap()).abs() < 1e-4, "{item}");
            assert!(item["title"].as_str().unwrap().contains("(19"), "{item}");
        }
    }
}

#[test]
fn feedback_counts_in_the_next_answer_and_after_a_stop() {
    let mut served = Served::new(Serving::default());
    assert_eq!(served.refused("GET", "/api/recommend/you", "").1, "unknown_user");
    let body = json!([like("you", "6"), like("you", "40"), like("you", "unheard of")]);
    let wanted = json!({ "RowAffected": 3, "UnknownItems": [{ "ItemId": "unheard of", "Events": 1 }] });
    assert_eq!(served.post("/api/feedback", &body), wanted);
    let first = served.get("/api/recommend/you?n=5");
    let top = first[0].as_str().unwrap();
    assert!(films().recommend(&Query::of_history(["6", "40"]).k(1)).unwrap()[0].item == top, "{first}");
    assert_eq!(served.ask("PUT", "/api/feedback", &[], &json!([like("you", top)]).to_string()).0, 200);
    let second = served.get("/api/recommend/you?n=5");
    assert!(!second.as_array().unwrap().contains(&json!(top)), "{second}");
    assert!(served.stop() >= 5);
    let again = Serving::default().bind(films(), &served.store, "127.0.0.1:0").unwrap();
    assert_eq!((again.replayed().added, again.replayed().unknown_items.len()), (3, 1));
}

#[test]
fn feedback_of_many_at_once_is_all_taken() {
    let served = Served::new(Serving::default());
    std::thread::scope(|scope| {
        for client in 0..6 {
            let served = &served;
            scope.spawn(move || {
                for number in 0..10 {
                    let user = format!("u{client}-{number}");
                    served.post("/api/feedback", &json!([like(&user, "6")]));
                    assert!(!served.get(&format!("/api/recommend/{user}")).as_array().unwrap().contains(&json!("6")));
                }
            });
        }
    });
    let text = served.ask("GET", "/metrics", &[], "").1;
    assert!(
        text.contains("\nfootlight_feedback_events_total 60\n") && text.contains("\nfootlight_users 360\n"),
        "{text}"
    );
    assert!(text.contains("footlight_requests_total{route=\"/api/recommend/{user}\",status=\"200\"} 60\n"), "{text}");
}

#[test]
fn the_catalogue_is_searched() {
    let served = Served::new(Serving::default());
    let found = served.get("/api/items?search=the%20w&n=1");
    assert_eq!(found, json!([{ "ItemId": "32", "Title": "The Wind (1928)", "Categories": ["Western", "Drama"] }]));
    assert_eq!(served.get("/api/item/32"), found[0]);
    assert!(served.get("/api/categories").as_array().unwrap().contains(&json!("Western")));
    assert_eq!(served.get("/api/items").as_array().unwrap().len(), 10);
}

#[test]
fn what_cannot_be_answered_is_told_with_kind_and_message() {
    let served = Served::new(Serving::default());
    let large = format!("[\"{}\"]", "6".repeat(1 << 20));
    for (method, path, body, status, kind, message) in [
        ("GET", "/api/nothing", "", 404, "not_found", "nothing is at `/api/nothing`"),
        ("DELETE", "/api/feedback", "", 405, "method_not_allowed", "`/api/feedback` takes POST and PUT"),
        ("GET", "/api/recommend/nobody", "", 404, "unknown_user", "user `nobody` is not known among 300"),
        ("GET", "/api/item/99/neighbors", "", 404, "unknown_item", "item `99` is not known among 48"),
        ("GET", "/api/recommend/7?exclude=99", "", 404, "unknown_item", "item `99` is not known among 48"),
        ("POST", "/api/session/recommend", "[\"99\"]", 404, "unknown_item", "item `99` is not known among 48"),
        (
            "GET",
            "/api/recommend/7?category=Opera",
            "",
            404,
            "unknown_category",
            "unknown category `Opera`\n  known: Adv",
        ),
        ("GET", "/api/recommend/7?n=0", "", 400, "bad_request", "`n=0`: a whole number from 1 to 1000 is needed"),
        (
            "GET",
            "/api/recommend/7?n=101&because=true",
            "",
            400,
            "bad_request",
            "`n=101`: with because=true 100 at most",
        ),
        ("GET", "/api/recommend/7?m=1", "", 400, "bad_request", "unknown parameter `m`\n  known: n, category"),
        ("POST", "/api/feedback", "{", 400, "bad_request", "the body is no JSON"),
        ("POST", "/api/feedback", "[{}]", 400, "bad_request", "[0]: `FeedbackType` is missing"),
        ("POST", "/api/session/recommend", &large, 413, "too_large", "the body has more than 1048576 bytes"),
    ] {
        let got = served.refused(method, path, body);
        assert!((got.0, got.1.as_str()) == (status, kind) && got.2.starts_with(message), "{method} {path}: {got:?}");
    }
}

#[test]
fn a_token_is_needed_where_one_is_set_but_for_pages_and_health() {
    let served = Served::new(Serving::default().token("sesame"));
    for path in ["/", "/api/docs", "/api/openapi.json", "/api/health/live", "/api/health/ready"] {
        assert_eq!(served.ask("GET", path, &[], "").0, 200, "{path}");
    }
    for path in ["/api/recommend/7", "/api/items", "/metrics"] {
        let status = |header: &str| served.ask("GET", path, &[("Authorization", header)], "").0;
        assert_eq!(served.refused("GET", path, "").1, "unauthorized");
        assert_eq!(
            [status("Bearer sesame"), status("Bearer sesamf"), status("Bearer sesam"), status("sesame")],
            [200, 401, 401, 401]
        );
    }
    assert_eq!(served.ask("GET", "/api/items", &[("X-API-Key", "sesame")], "").0, 200);
    assert_eq!(served.refused("POST", "/api/feedback", "[]").0, 401);
    for token in ["", "two words", "caf\u{e9}"] {
        let error = Serving::default().token(token).bind(films(), &served.store, "127.0.0.1:0").unwrap_err();
        assert_eq!(error.kind(), footlight::ErrorKind::Config);
    }
}

#[test]
fn pages_of_other_sites_may_not_send_feedback() {
    let served = Served::new(Serving::default());
    let send = |site| served.ask("POST", "/api/feedback", &[("Sec-Fetch-Site", site)], "[]").0;
    assert_eq!([send("cross-site"), send("same-origin")], [403, 200]);
}

#[test]
fn pages_need_nothing_from_elsewhere() {
    let served = Served::new(Serving::default());
    for path in ["/", "/api/docs"] {
        let (status, html) = served.ask("GET", path, &[], "");
        assert!(status == 200 && html.starts_with("<!DOCTYPE html>"));
        assert!(!html.contains("http:") && !html.contains("https:") && !html.contains("src="), "{path}");
    }
}

#[test]
fn a_connection_that_sends_nothing_keeps_nobody_waiting_and_a_stop_waits_for_none() {
    let mut served = Served::new(Serving::default());
    let mut silent = TcpStream::connect(served.address).unwrap();
    let mut slow = TcpStream::connect(served.address).unwrap();
    slow.write_all(b"POST /api/feedback HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n[").unwrap();
    assert_eq!(served.get("/api/health/live"), json!({ "Live": true }));
    let start = std::time::Instant::now();
    served.stop();
    assert!(start.elapsed() < Duration::from_secs(9), "{:?}", start.elapsed());
    assert_eq!(silent.read(&mut [0; 8]).unwrap(), 0);
}

#[test]
fn an_address_in_use_is_told() {
    let served = Served::new(Serving::default());
    let store = served.store.with_extension("other");
    let error = Serving::default().bind(films(), &store, &served.address.to_string()).unwrap_err();
    assert!(error.message().starts_with(&format!("cannot listen at `{}`", served.address)), "{error:?}");
    std::fs::remove_file(store).unwrap();
}
