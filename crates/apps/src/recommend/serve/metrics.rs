//! What a server counts, as Prometheus reads it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The upper bounds of the buckets, in seconds.
const BOUNDS: [f64; 11] = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

/// How many took how long.
#[derive(Clone, Copy, Debug, Default)]
struct Histogram {
    /// Those of each bucket alone.
    counts: [u64; BOUNDS.len()],
    count: u64,
    sum: f64,
}

impl Histogram {
    fn add(&mut self, time: Duration) {
        let seconds = time.as_secs_f64();
        if let Some(bucket) = BOUNDS.iter().position(|bound| seconds <= *bound) {
            self.counts[bucket] += 1;
        }
        self.count += 1;
        self.sum += seconds;
    }

    /// The lines of a histogram; `label` is empty or ends in a comma.
    fn print(&self, name: &str, label: &str, text: &mut String) {
        let mut below = 0;
        for (bound, count) in BOUNDS.iter().zip(self.counts) {
            below += count;
            line(text, &format!("{name}_bucket{{{label}le=\"{bound}\"}}"), below);
        }
        line(text, &format!("{name}_bucket{{{label}le=\"+Inf\"}}"), self.count);
        let label = if label.is_empty() { String::new() } else { format!("{{{}}}", label.trim_end_matches(',')) };
        line(text, &format!("{name}_sum{label}"), self.sum);
        line(text, &format!("{name}_count{label}"), self.count);
    }
}

fn line(text: &mut String, name: &str, value: impl std::fmt::Display) {
    writeln!(text, "{name} {value}").expect("a text can be written to");
}

fn head(text: &mut String, name: &str, kind: &str, about: &str) {
    writeln!(text, "# HELP {name} {about}\n# TYPE {name} {kind}").expect("a text can be written to");
}

#[derive(Debug, Default)]
struct Counted {
    requests: BTreeMap<(&'static str, u16), u64>,
    seconds: BTreeMap<&'static str, Histogram>,
    commits: Histogram,
    events: u64,
}

/// What was counted since the start.
#[derive(Debug)]
pub(super) struct Metrics {
    start: Instant,
    counted: Mutex<Counted>,
}

impl Metrics {
    pub fn new() -> Metrics {
        Metrics { start: Instant::now(), counted: Mutex::default() }
    }

    /// A request by the path of its route, which is one of few.
    pub fn answered(&self, route: &'static str, status: u16, time: Duration) {
        let mut counted = self.counted.lock().expect("no count panics");
        *counted.requests.entry((route, status)).or_default() += 1;
        counted.seconds.entry(route).or_default().add(time);
    }

    /// Events that are on disk.
    pub fn committed(&self, events: usize, time: Duration) {
        let mut counted = self.counted.lock().expect("no count panics");
        counted.events += events as u64;
        counted.commits.add(time);
    }

    /// The number of requests.
    pub fn num_requests(&self) -> u64 {
        self.counted.lock().expect("no count panics").requests.values().sum()
    }

    /// The text format of Prometheus, with `gauges` of name, meaning and value.
    pub fn print(&self, gauges: &[(&str, &str, usize)]) -> String {
        let mut text = String::new();
        let counted = self.counted.lock().expect("no count panics");
        head(&mut text, "footlight_requests_total", "counter", "Requests by route and status.");
        for ((route, status), count) in &counted.requests {
            line(&mut text, &format!("footlight_requests_total{{route=\"{route}\",status=\"{status}\"}}"), count);
        }
        head(&mut text, "footlight_request_seconds", "histogram", "From the whole request to the answer, by route.");
        for (route, seconds) in &counted.seconds {
            seconds.print("footlight_request_seconds", &format!("route=\"{route}\","), &mut text);
        }
        head(&mut text, "footlight_feedback_events_total", "counter", "Events that were written to the store.");
        line(&mut text, "footlight_feedback_events_total", counted.events);
        head(
            &mut text,
            "footlight_feedback_commit_seconds",
            "histogram",
            "Writes to the store, until they are on disk.",
        );
        counted.commits.print("footlight_feedback_commit_seconds", "", &mut text);
        for (name, about, value) in gauges {
            head(&mut text, name, "gauge", about);
            line(&mut text, name, value);
        }
        head(&mut text, "footlight_uptime_seconds", "gauge", "Since the start.");
        line(&mut text, "footlight_uptime_seconds", self.start.elapsed().as_secs_f64());
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_count_all_that_are_not_slower() {
        let metrics = Metrics::new();
        for millis in [0, 1, 4, 9000] {
            metrics.answered("/api/x", 200, Duration::from_millis(millis));
        }
        let text = metrics.print(&[("footlight_items", "Items.", 3)]);
        for wanted in [
            "footlight_requests_total{route=\"/api/x\",status=\"200\"} 4\n",
            "footlight_request_seconds_bucket{route=\"/api/x\",le=\"0.0005\"} 1\n",
            "footlight_request_seconds_bucket{route=\"/api/x\",le=\"0.005\"} 3\n",
            "footlight_request_seconds_bucket{route=\"/api/x\",le=\"5\"} 3\n",
            "footlight_request_seconds_bucket{route=\"/api/x\",le=\"+Inf\"} 4\n",
            "footlight_request_seconds_sum{route=\"/api/x\"} 9.005\n",
            "footlight_feedback_commit_seconds_count 0\n",
            "footlight_items 3\n",
        ] {
            assert!(text.contains(wanted), "{wanted}{text}");
        }
    }
}
