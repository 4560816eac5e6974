//! How many workers a session asks for: all of them, but alone for a while where that is faster, because another process
//! uses the core of one. Results do not depend on it.

use std::time::{Duration, Instant};

/// The first time alone, and the longest; each is twice the one before.
const SHORTEST: Duration = Duration::from_millis(5);
const LONGEST: Duration = Duration::from_millis(500);

/// After so long together without being kept waiting, all is forgotten.
const FORGOTTEN: Duration = Duration::from_millis(100);

/// What a session has learned of its runs.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Alone until then.
    until: Option<Instant>,
    /// How long the last time alone was.
    pause: Duration,
    /// The last run in which the caller was kept waiting.
    late: Option<Instant>,
    /// A run alone, averaged over the last few; zero if there was none.
    alone: Duration,
}

impl Pace {
    /// The workers of a run that begins at `now`, of `all`.
    pub(crate) fn workers(&mut self, all: usize, now: Instant) -> usize {
        match self.until {
            Some(until) if now < until => 1,
            _ => all,
        }
    }

    /// Learns of a run of so many workers that took `total`, of which the caller waited for `waited`.
    pub(crate) fn learn(&mut self, workers: usize, total: Duration, waited: Duration, now: Instant) {
        if workers == 1 {
            self.alone = if self.alone.is_zero() { total } else { (3 * self.alone + total) / 4 };
        } else if 2 * waited > total && total > self.alone {
            self.pause = (2 * self.pause).clamp(SHORTEST, LONGEST);
            (self.late, self.until) = (Some(now), Some(now + self.pause));
        } else if self.late.is_some_and(|late| now > late + self.pause + FORGOTTEN) {
            *self = Pace { alone: self.alone, ..Pace::default() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// What a session does whose runs take 1 ms alone and `together` with others, `waited` of it waiting: the runs alone, of
    /// 10,000.
    fn alone(pace: &mut Pace, now: &mut Instant, together: Duration, waited: Duration) -> usize {
        let mut count = 0;
        for _ in 0..10_000 {
            let workers = pace.workers(2, *now);
            let (total, waited) = if workers == 1 { (MS, Duration::ZERO) } else { (together, waited) };
            *now += total;
            pace.learn(workers, total, waited, *now);
            count += usize::from(workers == 1);
        }
        count
    }

    #[test]
    fn who_is_kept_waiting_goes_on_alone_and_looks_again_now_and_then() {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        assert_eq!(alone(&mut pace, &mut now, MS / 2, MS / 10), 0);
        let kept_waiting = alone(&mut pace, &mut now, 5 * MS, 4 * MS);
        assert!((9_900..9_990).contains(&kept_waiting), "{kept_waiting}");
        // The other process is gone: within half a second all are back, and forget.
        let back = alone(&mut pace, &mut now, MS / 2, MS / 10);
        assert!(back <= 500, "{back}");
        assert_eq!(pace.pause, Duration::ZERO);
    }

    /// One long task that another worker took: to wait for it is no loss.
    #[test]
    fn who_waits_and_is_faster_so_stays_with_the_others() {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        let count = alone(&mut pace, &mut now, MS * 9 / 10, MS * 8 / 10);
        assert!((1..10).contains(&count), "{count}");
    }
}
