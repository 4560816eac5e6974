//! `footlight recommend serve`: servers that are killed and stopped, and start again.

use crate::support::*;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// A server that is killed at the end.
struct Server {
    child: Child,
    out: BufReader<ChildStdout>,
    feedback: String,
    url: String,
}

impl Server {
    fn start(folder: &Folder) -> Server {
        let mut command = folder.command("recommend serve --address 127.0.0.1:0");
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = || {
            let mut line = String::new();
            out.read_line(&mut line).unwrap();
            line.trim_end().to_string()
        };
        let (_, feedback, listening) = (line(), line(), line());
        let url = listening.strip_prefix("Listening: ").unwrap_or_else(|| panic!("{feedback}{listening}")).to_string();
        Server { child, out, feedback, url }
    }

    fn agent() -> ureq::Agent {
        ureq::Agent::config_builder().proxy(None).build().into()
    }

    fn like(&self, user: &str, item: usize) -> Result<(), ureq::Error> {
        let body = format!(r#"[{{"FeedbackType": "like", "UserId": "{user}", "ItemId": "{item}"}}]"#);
        Server::agent().post(format!("{}/api/feedback", self.url)).send(body).map(drop)
    }

    fn recommended(&self, user: &str) -> Vec<String> {
        let answer = Server::agent().get(format!("{}/api/recommend/{user}?n=48", self.url)).call().unwrap();
        serde_json::from_str(&answer.into_body().read_to_string().unwrap()).unwrap()
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn trained() -> Folder {
    let folder = Folder::new();
    folder.run("recommend train").done();
    folder
}

#[test]
fn what_was_acknowledged_counts_after_a_kill_at_the_next_line() {
    let folder = trained();
    for round in 0..8 {
        let mut server = Server::start(&folder);
        assert!(server.feedback.ends_with(&format!("recommender.feedback: {round} events")), "{}", server.feedback);
        server.like(&format!("new-{round}"), round + 1).unwrap();
        server.kill();
    }
    let server = Server::start(&folder);
    for round in 0..8 {
        let recommended = server.recommended(&format!("new-{round}"));
        assert!(recommended.len() == 47 && !recommended.contains(&(round + 1).to_string()), "{round}: {recommended:?}");
    }
}

#[test]
fn a_kill_under_load_loses_nothing_that_was_acknowledged() {
    let folder = trained();
    let mut sent = 0;
    for _ in 0..4 {
        let mut server = Server::start(&folder);
        let (acknowledged, is_over) = (AtomicUsize::new(sent), AtomicBool::new(false));
        std::thread::scope(|scope| {
            for client in 0..4 {
                let (server, acknowledged, is_over) = (&server.url, &acknowledged, &is_over);
                scope.spawn(move || {
                    let body = format!(
                        r#"[{{"FeedbackType": "play", "UserId": "client-{client}", "ItemId": "{}"}}]"#,
                        client + 1
                    );
                    let agent = Server::agent();
                    while !is_over.load(Ordering::SeqCst) {
                        match agent.post(format!("{server}/api/feedback")).send(&body) {
                            Ok(_) => acknowledged.fetch_add(1, Ordering::SeqCst),
                            Err(_) => break,
                        };
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(400));
            server.child.kill().unwrap();
            is_over.store(true, Ordering::SeqCst);
        });
        server.kill();
        let acknowledged = acknowledged.into_inner();
        let again = Server::start(&folder);
        let kept: usize = again.feedback.rsplit(' ').nth(1).unwrap().parse().unwrap();
        // What was written but not acknowledged any more may be there, one request of each client.
        assert!((acknowledged..=acknowledged + 4).contains(&kept), "{acknowledged} acknowledged, {kept} kept");
        assert!(acknowledged > sent, "nothing was acknowledged");
        sent = kept;
    }
}

#[cfg(unix)]
#[test]
fn a_server_that_is_asked_to_stop_ends_well() {
    let folder = trained();
    for (round, signal) in ["INT", "TERM"].into_iter().enumerate() {
        let mut server = Server::start(&folder);
        server.like("you", round + 1).unwrap();
        let stop = format!("kill -{signal} {}", server.child.id());
        assert!(std::process::Command::new("sh").args(["-c", &stop]).status().unwrap().success());
        assert_eq!(server.child.wait().unwrap().code(), Some(0));
        let mut rest = String::new();
        server.out.read_line(&mut rest).unwrap();
        assert_eq!(rest, "Stopped after 1 requests\n");
    }
    assert!(Server::start(&folder).feedback.ends_with(": 2 events"));
}

#[test]
fn what_a_server_was_told_is_trained_on_once_it_holds_its_store_no_more() {
    let folder = trained();
    let mut server = Server::start(&folder);
    server.like("new", 1).unwrap();
    server.like("new", 999).unwrap();
    let arguments = "recommend train --feedback recommender.feedback --output newer.npz";
    let run = folder.run(arguments);
    assert!(run.code == Some(1) && run.err.contains("another process holds it"), "{}", run.err);
    assert!(run.err.contains("help: stop the server that holds it"), "{}", run.err);
    server.kill();
    let out = folder.run(arguments).done().out;
    assert!(out.contains("and 2 events of recommender.feedback: 301 users, 49 items"), "{out}");
    let seen = folder.run("recommend for new newer.npz -k 50 --json").done().out;
    let seen: serde_json::Value = serde_json::from_str(&seen).unwrap();
    assert_eq!(seen["items"].as_array().unwrap().len(), 47, "both of the 49 items that were liked are left out");
    let run = folder.run("recommend train --feedback nothing.feedback");
    assert!(
        run.code == Some(1) && run.err.contains("`nothing.feedback`: there is no store of feedback"),
        "{}",
        run.err
    );
    assert!(!folder.path("nothing.feedback").exists());
}

#[test]
fn what_cannot_be_served_is_told() {
    let folder = Folder::new();
    assert!(folder.run("recommend serve").err.starts_with("error[file]: `recommender.npz`: cannot read it"));
    folder.run("recommend train").done();
    std::fs::write(folder.path("notes.txt"), "no store").unwrap();
    let run = folder.run("recommend serve --store notes.txt");
    assert!(
        run.code == Some(1) && run.err.contains("`notes.txt`: it is no store of feedback, or is damaged"),
        "{}",
        run.err
    );
    let run = folder.run("recommend serve --address nowhere");
    assert!(run.code == Some(1) && run.err.contains("cannot listen at `nowhere`"), "{}", run.err);
    let run = folder.run("recommend serve --token-file none");
    assert!(run.code == Some(1) && run.err.contains("`none`: cannot read it"), "{}", run.err);
    let _held = Server::start(&folder);
    let run = folder.run("recommend serve --address 127.0.0.1:0");
    assert!(run.code == Some(1) && run.err.contains("`recommender.feedback`: another process holds it"), "{}", run.err);
}
