//! A fixed team of workers that runs one job at a time.
//!
//! Workers spin for a short while after a job, because the next step of training comes within microseconds, and then
//! sleep, because a spinning thread that the system has taken off its core stalls everyone. The caller is worker 0.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

/// How long a worker spins for its next job before it sleeps.
const SPIN: Duration = Duration::from_micros(300);

/// A job: called once on each worker with the worker's index.
type Job<'a> = dyn Fn(usize) + Sync + 'a;

/// The low bits of the ticket hold the number of workers of the job; the others count the jobs.
const WORKER_BITS: u32 = 16;

struct Shared {
    ticket: AtomicU64,
    /// Points at the caller's fat pointer to the job while it runs.
    job: AtomicPtr<*const Job<'static>>,
    finished: AtomicUsize,
    stop: AtomicBool,
    asleep: Vec<AtomicBool>,
    panicked: AtomicBool,
}

/// A fixed team of workers.
pub struct Team {
    shared: Arc<Shared>,
    threads: Vec<Thread>,
    handles: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for Team {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Team").field("workers", &self.workers()).finish()
    }
}

impl Team {
    /// No team is larger.
    pub const MOST_WORKERS: usize = 1 << 10;

    /// A team of `workers`, the caller included: at least 1, at most [`Team::MOST_WORKERS`], and no more than the system
    /// gives threads for.
    pub fn new(workers: usize) -> Team {
        let workers = workers.clamp(1, Team::MOST_WORKERS);
        let shared = Arc::new(Shared {
            ticket: AtomicU64::new(0),
            job: AtomicPtr::new(std::ptr::null_mut()),
            finished: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            asleep: (0..workers).map(|_| AtomicBool::new(false)).collect(),
            panicked: AtomicBool::new(false),
        });
        let handles: Vec<JoinHandle<()>> = (1..workers)
            .map_while(|index| {
                let shared = shared.clone();
                let builder = std::thread::Builder::new().name(format!("footlight-{index}"));
                builder.spawn(move || work(&shared, index)).ok()
            })
            .collect();
        let threads = handles.iter().map(|h| h.thread().clone()).collect();
        Team { shared, threads, handles }
    }

    /// The number of workers, the caller included.
    pub fn workers(&self) -> usize {
        self.handles.len() + 1
    }

    /// Runs `job(index)` once for each index below `workers`, and returns when all are done.
    ///
    /// A panic of a worker is carried to the caller.
    pub fn run(&mut self, workers: usize, job: &Job<'_>) {
        let workers = workers.clamp(1, self.workers());
        if workers == 1 {
            return job(0);
        }
        let pointer: *const Job<'_> = job;
        // SAFETY: only the lifetime changes. The pointer is read by workers of this job alone, and this function does not
        // return before they are done, so the job outlives every use.
        let mut pointer: *const Job<'static> = unsafe { std::mem::transmute(pointer) };
        self.shared.finished.store(0, Ordering::Relaxed);
        self.shared.panicked.store(false, Ordering::Relaxed);
        self.shared.job.store(&mut pointer, Ordering::Relaxed);
        let count = (self.shared.ticket.load(Ordering::Relaxed) >> WORKER_BITS) + 1;
        self.shared.ticket.store(count << WORKER_BITS | workers as u64, Ordering::SeqCst);
        for index in 1..workers {
            if self.shared.asleep[index].swap(false, Ordering::SeqCst) {
                self.threads[index - 1].unpark();
            }
        }
        let waits = WaitForAll { shared: &self.shared, others: workers - 1 };
        job(0);
        drop(waits);
        if self.shared.panicked.load(Ordering::Relaxed) {
            panic!("a worker of the team panicked");
        }
    }
}

/// Waits for the other workers also when the caller's own share panics: they hold a pointer to its stack.
struct WaitForAll<'a> {
    shared: &'a Shared,
    others: usize,
}

impl Drop for WaitForAll<'_> {
    fn drop(&mut self) {
        let mut patience = Patience::default();
        while self.shared.finished.load(Ordering::Acquire) < self.others {
            patience.wait();
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.threads.iter().for_each(Thread::unpark);
        for handle in self.handles.drain(..) {
            let _ = handle.join();
        }
    }
}

/// Spins at first, then gives the core away: whoever is awaited may need it.
#[derive(Default)]
struct Patience(u32);

impl Patience {
    fn wait(&mut self) {
        self.0 = self.0.saturating_add(1);
        if self.0 < 4_000 { std::hint::spin_loop() } else { std::thread::yield_now() }
    }
}

/// Where the workers of a job wait for each other between phases.
#[derive(Default)]
pub(crate) struct Barrier {
    arrived: AtomicUsize,
    is_broken: AtomicBool,
}

impl Barrier {
    /// Makes the barrier ready for a job; nobody may be at it.
    pub(crate) fn reset(&self) {
        self.arrived.store(0, Ordering::Relaxed);
        self.is_broken.store(false, Ordering::Relaxed);
    }

    /// The place of one of `workers` at the barrier; each enters once per job.
    pub(crate) fn enter(&self, workers: usize) -> Place<'_> {
        Place { barrier: self, workers, awaited: 0 }
    }
}

/// The place of one worker at a barrier; a worker that panics breaks the barrier, so that nobody waits for it for ever.
pub(crate) struct Place<'a> {
    barrier: &'a Barrier,
    workers: usize,
    awaited: usize,
}

impl Place<'_> {
    /// Waits until all workers have come here as often as this one; false if one of them never will.
    pub(crate) fn meet(&mut self) -> bool {
        if self.workers == 1 {
            return true;
        }
        self.awaited += self.workers;
        self.barrier.arrived.fetch_add(1, Ordering::AcqRel);
        let mut patience = Patience::default();
        while self.barrier.arrived.load(Ordering::Acquire) < self.awaited {
            if self.barrier.is_broken.load(Ordering::Relaxed) {
                return false;
            }
            patience.wait();
        }
        true
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.barrier.is_broken.store(true, Ordering::Relaxed);
        }
    }
}

fn work(shared: &Shared, index: usize) {
    let mut seen = 0;
    loop {
        let ticket = next_ticket(shared, index, seen);
        let Some(ticket) = ticket else { return };
        seen = ticket;
        if index >= (ticket & ((1 << WORKER_BITS) - 1)) as usize {
            continue;
        }
        // SAFETY: the ticket names this worker, so the caller is inside `run` and waits for it; the pointer it stored
        // before the ticket, and the job behind, are alive.
        let job: &Job<'static> = unsafe { &**shared.job.load(Ordering::Relaxed) };
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job(index))).is_err() {
            shared.panicked.store(true, Ordering::Relaxed);
        }
        shared.finished.fetch_add(1, Ordering::Release);
    }
}

/// The next ticket after `seen`, or `None` when the team is dissolved.
fn next_ticket(shared: &Shared, index: usize, seen: u64) -> Option<u64> {
    loop {
        let begin = Instant::now();
        while begin.elapsed() < SPIN {
            for _ in 0..64 {
                let ticket = shared.ticket.load(Ordering::Acquire);
                if ticket != seen {
                    return Some(ticket);
                }
                std::hint::spin_loop();
            }
            if shared.stop.load(Ordering::Relaxed) {
                return None;
            }
        }
        // Said again before each look at the ticket: a caller that stored the last ticket may have been taken off its
        // core before it took the flag away, and then a worker that has done that job would park unnoticed.
        loop {
            shared.asleep[index].store(true, Ordering::SeqCst);
            if shared.ticket.load(Ordering::SeqCst) != seen || shared.stop.load(Ordering::SeqCst) {
                break;
            }
            std::thread::park();
        }
        shared.asleep[index].store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_worker_is_called_once_for_each_job() {
        let mut team = Team::new(4);
        for round in 0..2_000 {
            let calls: Vec<AtomicUsize> = (0..4).map(|_| AtomicUsize::new(0)).collect();
            let workers = 1 + round % 4;
            team.run(workers, &|index| {
                calls[index].fetch_add(1, Ordering::Relaxed);
            });
            let counts: Vec<usize> = calls.iter().map(|c| c.load(Ordering::Relaxed)).collect();
            assert_eq!(counts, (0..4).map(|i| usize::from(i < workers)).collect::<Vec<_>>());
            if round % 500 == 0 {
                std::thread::sleep(SPIN * 3);
            }
        }
    }

    /// A wake-up that comes late, for a job that is already done, must not make a worker deaf for the next one.
    #[test]
    fn a_late_wake_up_leaves_a_worker_that_still_hears() {
        let mut team = Team::new(2);
        for _ in 0..5 {
            std::thread::sleep(SPIN * 4);
            // What a caller does that was stopped between its ticket and its wake-up.
            if team.shared.asleep[1].swap(false, Ordering::SeqCst) {
                team.threads[0].unpark();
            }
            std::thread::sleep(SPIN * 4);
            let calls = AtomicUsize::new(0);
            team.run(2, &|_| {
                calls.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(calls.into_inner(), 2);
        }
    }

    #[test]
    fn a_panic_of_a_worker_reaches_the_caller_and_the_team_goes_on() {
        let mut team = Team::new(3);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            team.run(3, &|index| assert!(index != 2, "worker 2 fails"));
        }));
        assert!(result.is_err());
        team.run(3, &|_| {});
    }

    fn panics(job: impl FnOnce()) -> bool {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(job)).is_err()
    }

    /// Whoever fails, the others do not wait at the barrier for ever, and the next job finds everything in order.
    #[test]
    fn a_panic_breaks_the_barrier() {
        let (mut team, barrier) = (Team::new(4), Barrier::default());
        let mut job = |failing: &[usize]| {
            let meetings = AtomicUsize::new(0);
            barrier.reset();
            let result = panics(|| {
                team.run(4, &|index| {
                    let mut place = barrier.enter(4);
                    for meeting in 0..10 {
                        assert!(meeting < 5 || !failing.contains(&index), "worker {index} fails");
                        if !place.meet() {
                            return;
                        }
                        meetings.fetch_add(1, Ordering::Relaxed);
                    }
                });
            });
            (result, meetings.into_inner())
        };
        for failing in [&[0][..], &[2], &[0, 3], &[0, 1, 2, 3]] {
            let (has_panicked, meetings) = job(failing);
            assert!(has_panicked && meetings <= 20, "{failing:?}: {meetings}");
            assert_eq!(job(&[]), (false, 40));
        }
    }

    /// Workers that spin give the core to those that are awaited.
    #[test]
    fn a_team_may_be_larger_than_the_machine() {
        let (mut team, barrier) = (Team::new(64), Barrier::default());
        let calls = AtomicUsize::new(0);
        for round in 0..20 {
            let workers = 64 - round;
            barrier.reset();
            team.run(workers, &|_| {
                let mut place = barrier.enter(workers);
                assert!((0..5).all(|_| place.meet()));
                calls.fetch_add(1, Ordering::Relaxed);
            });
        }
        assert_eq!(calls.into_inner(), (0..20).map(|round| 64 - round).sum());
    }

    #[test]
    fn a_team_has_a_largest_size() {
        assert_eq!(Team::new(0).workers(), 1);
        let mut team = Team::new(usize::MAX);
        assert!((1..=Team::MOST_WORKERS).contains(&team.workers()));
        let calls = AtomicUsize::new(0);
        team.run(usize::MAX, &|_| {
            calls.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(calls.into_inner(), team.workers());
    }
}
