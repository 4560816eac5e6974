//! The page of a server as a person uses it, in headless Chromium where one is installed.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use footlight_apps::recommend::serve::Serving;
use footlight_apps::recommend::{self, Kind, Query, Recommender, Settings};
use serde_json::{Value as Json, json};

/// A browser without a window, spoken to in its DevTools protocol over two pipes.
struct Browser {
    child: Child,
    folder: PathBuf,
    requests: std::fs::File,
    answers: BufReader<std::fs::File>,
    session: Option<String>,
    count: u64,
    /// What the page complained about.
    faults: Vec<String>,
}

impl Browser {
    /// None where no Chromium is installed.
    fn start() -> Option<Browser> {
        let is_there = |name: &&str| {
            std::env::split_paths(&std::env::var_os("PATH")?).any(|path| path.join(name).exists()).then_some(())
        };
        let name =
            ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| is_there(name).is_some())?;
        let folder = std::env::temp_dir().join(format!("footlight-page-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let pipe = |name: &str| folder.join(name);
        assert!(Command::new("mkfifo").args([pipe("in"), pipe("out")]).status().unwrap().success());
        let line = "exec \"$0\" --headless --no-sandbox --disable-gpu --remote-debugging-pipe --user-data-dir=profile 3<in 4>out";
        let mut shell = Command::new("sh");
        let child = shell.args(["-c", line, name]).current_dir(&folder).stderr(Stdio::null()).spawn().unwrap();
        let requests = std::fs::File::options().write(true).open(pipe("in")).unwrap();
        let answers = BufReader::new(std::fs::File::open(pipe("out")).unwrap());
        Some(Browser { child, folder, requests, answers, session: None, count: 0, faults: Vec::new() })
    }

    fn call(&mut self, method: &str, parameters: &Json) -> Json {
        self.count += 1;
        let mut request = json!({ "id": self.count, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            request["sessionId"] = json!(session);
        }
        self.requests.write_all(format!("{request}\0").as_bytes()).unwrap();
        loop {
            let mut answer = Vec::new();
            self.answers.read_until(0, &mut answer).unwrap();
            let answer: Json = serde_json::from_slice(answer.strip_suffix(&[0]).expect("the browser runs")).unwrap();
            if answer["id"] == self.count {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
            let is_fault =
                answer["method"] == "Runtime.exceptionThrown" || answer["params"]["entry"]["level"] == "error";
            self.faults.extend(is_fault.then(|| answer.to_string()));
        }
    }

    fn open(&mut self, url: &str) {
        let target = self.call("Target.createTarget", &json!({ "url": "about:blank" }))["targetId"].clone();
        let session = self.call("Target.attachToTarget", &json!({ "targetId": target, "flatten": true }));
        self.session = session["sessionId"].as_str().map(str::to_string);
        for domain in ["Runtime.enable", "Log.enable", "Page.enable"] {
            self.call(domain, &json!({}));
        }
        self.call("Page.navigate", &json!({ "url": url }));
    }

    /// The value of an expression, once it is neither null nor false; a promise is waited for.
    fn wait(&mut self, expression: &str) -> Json {
        let patient = format!(
            "(async () => {{ for (let i = 0; i < 600; i++) {{ const value = await ({expression}); \
             if (value) return value; await new Promise((later) => setTimeout(later, 50)); }} }})()"
        );
        let call = json!({ "expression": patient, "awaitPromise": true, "returnByValue": true });
        let value = self.call("Runtime.evaluate", &call)["result"]["value"].clone();
        assert!(!value.is_null(), "`{expression}` never came: {:?}", self.faults);
        value
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The titles that are recommended, once the first reason is the title of `because`.
fn recommended(browser: &mut Browser, because: &str) -> Vec<String> {
    let titles = browser.wait(&format!(
        "document.querySelector('#recommended')?.innerText.includes('Because you like {because}') && \
         [...document.querySelectorAll('#recommended .title span')].map((title) => title.textContent)"
    ));
    titles.as_array().unwrap().iter().map(|title| title.as_str().unwrap().to_string()).collect()
}

fn search(browser: &mut Browser, text: &str, title: &str) {
    browser.wait(&format!(
        "document.querySelector('#search').value = '{text}', document.querySelector('#search').oninput(), true"
    ));
    let first = "document.querySelector('#found button')";
    browser.wait(&format!("{first}?.innerText.startsWith('{title}') && ({first}.click(), true)"));
}

fn films() -> Recommender {
    Recommender::fit(recommend::embedded(0), Kind::Ease, &Settings::default(), 0, 1).unwrap()
}

fn titles(films: &Recommender, history: &[&str]) -> Vec<String> {
    let items = films.recommend(&Query::of_history(history.iter().copied())).unwrap();
    items.iter().map(|item| films.title(&item.item).to_string()).collect()
}

#[test]
fn what_is_clicked_changes_what_is_recommended_and_why() {
    let Some(mut browser) = Browser::start() else {
        return eprintln!("passed over: no Chromium is installed");
    };
    let store: &Path = &browser.folder.join("films.feedback");
    let server = Serving::default().bind(films(), store, "127.0.0.1:0").unwrap();
    let (url, stopper) = (format!("http://{}/", server.address()), server.stopper());
    let serving = std::thread::spawn(move || server.run());

    browser.open(&url);
    assert_eq!(browser.wait("document.querySelectorAll('#found button').length === 12 && 12"), 12);
    search(&mut browser, "nosf", "Nosferatu");
    assert_eq!(recommended(&mut browser, "Nosferatu"), titles(&films(), &["6"]));
    search(&mut browser, "city l", "City Lights");
    assert_eq!(recommended(&mut browser, "City Lights"), titles(&films(), &["6", "37"]));
    browser.wait("document.querySelector('#liked button').click(), true");
    browser.wait("!document.querySelector('#recommended').innerText.includes('Nosferatu (1922)\\u00a0(')");
    assert_eq!(recommended(&mut browser, "City Lights"), titles(&films(), &["37"]));

    browser.open(&format!("{url}api/docs"));
    browser.wait("document.querySelectorAll('details').length > 10");
    browser.wait(
        "(() => { const tried = [...document.querySelectorAll('details')].find((d) => d.innerText.includes('/api/health/ready')); \
         tried.open = true; tried.querySelector('button').click(); return true; })()",
    );
    browser.wait("document.body.innerText.includes('200 /api/health/ready')");
    assert_eq!(browser.faults, Vec::<String>::new());
    stopper.stop();
    serving.join().unwrap().unwrap();
}
