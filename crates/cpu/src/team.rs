//! A fixed team of workers that runs one job at a time.
//!
//! Workers spin for a short while after a job, because the next step of training comes within microseconds, and then
//! sleep, because they would take the core from someone else. The caller is worker 0. Nobody waits for a worker that the
//! system has taken off its core, unless it has begun: a job begins without it, and is closed when the caller is done.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

/// How long a worker spins for its next job before it sleeps.
const SPIN: Duration = Duration::from_micros(300);

/// A job: called with the worker's index, once on the caller and at most once on each other worker.
type Job<'a> = dyn Fn(usize) + Sync + 'a;

/// What a job is known by, in one word: its number, whether it is closed, how many workers it may have, and how many have
/// joined the caller.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Ticket(u64);

impl Ticket {
    const CLOSED: u64 = 1 << 31;

    /// An open job that nobody has joined.
    fn open(number: u64, workers: usize) -> Ticket {
        Ticket(number << 32 | (workers as u64) << 16)
    }
    fn number(self) -> u64 {
        self.0 >> 32
    }
    fn joined(self) -> usize {
        self.0 as usize & 0xffff
    }
    /// Whether worker `index` may join job `number`.
    fn admits(self, number: u64, index: usize) -> bool {
        let workers = self.0 as usize >> 16 & 0x7fff;
        self.number() == number && self.0 & Ticket::CLOSED == 0 && index < workers
    }
}

struct Shared {
    ticket: AtomicU64,
    /// Points at the caller's fat pointer to the job while it runs.
    job: AtomicPtr<*const Job<'static>>,
    finished: AtomicUsize,
    stop: AtomicBool,
    asleep: Vec<AtomicBool>,
    panicked: AtomicBool,
    /// Nanoseconds that the caller waited at the end of the last job, as [`Patience::waited`] tells.
    waited: AtomicU64,
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
            waited: AtomicU64::new(0),
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

    /// How long the caller waited at the end of the last job for those who had joined, beyond the moment that always takes.
    pub fn waited(&self) -> Duration {
        Duration::from_nanos(self.shared.waited.load(Ordering::Relaxed))
    }

    /// Runs `job(0)` here, and `job(index)` on each worker below `workers` that comes before that is done; returns when
    /// all who came are done. So a job has to be one that any of them can finish alone.
    ///
    /// A panic of a worker is carried to the caller.
    pub fn run(&mut self, workers: usize, job: &Job<'_>) {
        let workers = workers.clamp(1, self.workers());
        self.shared.waited.store(0, Ordering::Relaxed);
        if workers == 1 {
            return job(0);
        }
        let pointer: *const Job<'_> = job;
        // SAFETY: only the lifetime changes. The pointer is read by workers that have joined this job alone, and this
        // function does not return before they are done, so the job outlives every use.
        let mut pointer: *const Job<'static> = unsafe { std::mem::transmute(pointer) };
        self.shared.finished.store(0, Ordering::Relaxed);
        self.shared.panicked.store(false, Ordering::Relaxed);
        self.shared.job.store(&mut pointer, Ordering::Relaxed);
        let number = Ticket(self.shared.ticket.load(Ordering::Relaxed)).number() + 1;
        self.shared.ticket.store(Ticket::open(number, workers).0, Ordering::SeqCst);
        for index in 1..workers {
            if self.shared.asleep[index].swap(false, Ordering::SeqCst) {
                self.threads[index - 1].unpark();
            }
        }
        let open = OpenJob(&self.shared);
        job(0);
        drop(open);
        if self.shared.panicked.load(Ordering::Relaxed) {
            panic!("a worker of the team panicked");
        }
    }
}

/// Closes the job and waits for those who have joined, also when the caller's own share panics: they hold a pointer to its
/// stack.
struct OpenJob<'a>(&'a Shared);

impl Drop for OpenJob<'_> {
    fn drop(&mut self) {
        let joined = Ticket(self.0.ticket.fetch_or(Ticket::CLOSED, Ordering::AcqRel)).joined();
        let mut patience = Patience::default();
        while self.0.finished.load(Ordering::Acquire) < joined {
            patience.wait();
        }
        self.0.waited.store(patience.waited().as_nanos() as u64, Ordering::Relaxed);
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
struct Patience {
    spins: u32,
    /// When there was no point in spinning any more.
    end: Option<Instant>,
}

impl Patience {
    fn wait(&mut self) {
        if self.spins < 4_000 {
            self.spins += 1;
            std::hint::spin_loop();
        } else {
            self.end.get_or_insert_with(Instant::now);
            std::thread::yield_now();
        }
    }

    /// How long it was in vain to spin.
    fn waited(&self) -> Duration {
        self.end.map_or(Duration::ZERO, |end| end.elapsed())
    }
}

/// The tasks of the phases of a job: each worker claims those of its own share first, then what others have left of
/// theirs; all of a phase are done before the next begins.
#[derive(Debug)]
pub(crate) struct Phases {
    workers: usize,
    /// How many tasks of each worker's share are claimed, phase by phase.
    claimed: Vec<Tally>,
    /// How many tasks of each phase are done.
    done: Vec<Tally>,
    waited: AtomicU64,
    is_broken: AtomicBool,
}

/// A count with a cache line of its own: others are changed by other workers.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Tally(AtomicUsize);

/// A task by its number in the share of a worker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task {
    pub share: usize,
    pub number: usize,
}

impl Phases {
    pub(crate) fn new(count: usize, workers: usize) -> Phases {
        let tallies = |count: usize| (0..count).map(|_| Tally::default()).collect();
        Phases {
            workers,
            claimed: tallies(count * workers),
            done: tallies(count),
            waited: AtomicU64::new(0),
            is_broken: AtomicBool::new(false),
        }
    }

    /// Makes the phases ready for a job; nobody may be at work.
    pub(crate) fn reset(&self) {
        for Tally(count) in self.claimed.iter().chain(&self.done) {
            count.store(0, Ordering::Relaxed);
        }
        self.waited.store(0, Ordering::Relaxed);
        self.is_broken.store(false, Ordering::Relaxed);
    }

    /// Runs every task of a phase that nobody else has claimed, `worker`'s own share before the others; `tasks` are those
    /// of a share.
    pub(crate) fn work(&self, phase: usize, worker: usize, tasks: impl Fn(usize) -> usize, run: impl Fn(Task)) {
        let _breaks = BreaksOnPanic(&self.is_broken);
        let mut own = 0;
        for share in (worker..self.workers).chain(0..worker) {
            let (Tally(claimed), tasks) = (&self.claimed[phase * self.workers + share], tasks(share));
            while claimed.load(Ordering::Relaxed) < tasks {
                let number = claimed.fetch_add(1, Ordering::Relaxed);
                if number < tasks {
                    run(Task { share, number });
                    own += 1;
                }
            }
        }
        if own > 0 {
            self.add_done(phase, own);
        }
    }

    /// Says that `tasks` more of a phase are done.
    pub(crate) fn add_done(&self, phase: usize, tasks: usize) {
        self.done[phase].0.fetch_add(tasks, Ordering::AcqRel);
    }

    /// Waits until `tasks` of a phase are done, and what they wrote can be read; false if a worker panicked, so that they
    /// never will be.
    pub(crate) fn wait(&self, phase: usize, worker: usize, tasks: usize) -> bool {
        let mut patience = Patience::default();
        while self.done[phase].0.load(Ordering::Acquire) < tasks {
            if self.is_broken.load(Ordering::Relaxed) {
                return false;
            }
            patience.wait();
        }
        if worker == 0 && patience.end.is_some() {
            self.waited.fetch_add(patience.waited().as_nanos() as u64, Ordering::Relaxed);
        }
        true
    }

    /// How long the caller has waited in this job for others, beyond the moments that phases always take.
    pub(crate) fn waited(&self) -> Duration {
        Duration::from_nanos(self.waited.load(Ordering::Relaxed))
    }
}

struct BreaksOnPanic<'a>(&'a AtomicBool);

impl Drop for BreaksOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

fn work(shared: &Shared, index: usize) {
    let mut seen = 0;
    while let Some(number) = next_job(shared, index, seen) {
        seen = number;
        let join = |ticket| Ticket(ticket).admits(number, index).then_some(ticket + 1);
        if shared.ticket.fetch_update(Ordering::AcqRel, Ordering::Acquire, join).is_err() {
            continue;
        }
        // SAFETY: this worker has joined before the job was closed, so the caller is inside `run` and waits for it; the
        // pointer it stored before the ticket, and the job behind, are alive.
        let job: &Job<'static> = unsafe { &**shared.job.load(Ordering::Relaxed) };
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job(index))).is_err() {
            shared.panicked.store(true, Ordering::Relaxed);
        }
        shared.finished.fetch_add(1, Ordering::Release);
    }
}

/// The number of the next job after `seen`, or `None` when the team is dissolved.
fn next_job(shared: &Shared, index: usize, seen: u64) -> Option<u64> {
    let number = |order| Ticket(shared.ticket.load(order)).number();
    loop {
        let begin = Instant::now();
        while begin.elapsed() < SPIN {
            for _ in 0..64 {
                let number = number(Ordering::Acquire);
                if number != seen {
                    return Some(number);
                }
                std::hint::spin_loop();
            }
            if shared.stop.load(Ordering::Relaxed) {
                return None;
            }
        }
        // Said again before each look at the ticket: a caller that stored the last ticket may have been taken off its
        // core before it took the flag away, and then a worker that has done that job would park unnoticed for the next.
        loop {
            shared.asleep[index].store(true, Ordering::SeqCst);
            if number(Ordering::SeqCst) != seen || shared.stop.load(Ordering::SeqCst) {
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

    /// A job that is done only when as many as `workers` have come; answers how often each was called.
    fn gather(team: &mut Team, workers: usize) -> Vec<usize> {
        let calls: Vec<AtomicUsize> = (0..team.workers()).map(|_| AtomicUsize::new(0)).collect();
        let come = AtomicUsize::new(0);
        team.run(workers, &|index| {
            calls[index].fetch_add(1, Ordering::Relaxed);
            come.fetch_add(1, Ordering::Relaxed);
            let mut patience = Patience::default();
            while come.load(Ordering::Relaxed) < workers {
                patience.wait();
            }
        });
        calls.into_iter().map(AtomicUsize::into_inner).collect()
    }

    #[test]
    fn every_worker_comes_to_a_job_that_waits_for_all_of_them() {
        let mut team = Team::new(4);
        for round in 0..2_000 {
            let workers = 1 + round % 4;
            assert_eq!(gather(&mut team, workers), [0, 1, 2, 3].map(|i| usize::from(i < workers)));
            if round % 500 == 0 {
                std::thread::sleep(SPIN * 3);
            }
        }
    }

    /// Jobs so short that they are often over before the others come: nobody may enter one that is closed.
    #[test]
    fn nobody_enters_a_job_that_is_over() {
        let mut team = Team::new(4);
        for _ in 0..20_000 {
            let is_over = AtomicBool::new(false);
            let calls = AtomicUsize::new(0);
            team.run(4, &|_| {
                assert!(!is_over.load(Ordering::Relaxed));
                calls.fetch_add(1, Ordering::Relaxed);
            });
            is_over.store(true, Ordering::Relaxed);
            assert!((1..=4).contains(&calls.into_inner()));
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
            assert_eq!(gather(&mut team, 2), [1, 1]);
        }
    }

    /// Tasks of each phase write what those of the next read, by any number of workers.
    #[test]
    fn a_phase_begins_when_the_last_is_done() {
        for workers in [1, 2, 5, 64] {
            let (mut team, phases) = (Team::new(workers), Phases::new(10, workers));
            let tasks = |share: usize| (share + 1) * 7 / workers - share * 7 / workers;
            for _ in 0..50 {
                let written: Vec<AtomicUsize> = (0..11).map(|_| AtomicUsize::new(0)).collect();
                written[0].store(7, Ordering::Relaxed);
                phases.reset();
                team.run(workers, &|worker| {
                    for phase in 0..10 {
                        phases.work(phase, worker, tasks, |_| {
                            assert_eq!(written[phase].load(Ordering::Relaxed), 7);
                            written[phase + 1].fetch_add(1, Ordering::Relaxed);
                        });
                        assert!(phases.wait(phase, worker, 7));
                    }
                });
                assert!(written.iter().all(|w| w.load(Ordering::Relaxed) == 7));
            }
        }
    }

    fn panics(job: impl FnOnce()) -> bool {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(job)).is_err()
    }

    /// Whoever fails, nobody waits for ever, and the next job finds everything in order.
    #[test]
    fn a_panic_reaches_the_caller_and_the_team_goes_on() {
        let (mut team, phases) = (Team::new(4), Phases::new(10, 4));
        let mut job = |failing: Option<usize>| {
            let done = AtomicUsize::new(0);
            phases.reset();
            let has_panicked = panics(|| {
                team.run(4, &|worker| {
                    for phase in 0..10 {
                        phases.work(
                            phase,
                            worker,
                            |_| 2,
                            |Task { share, number }| {
                                assert!(failing != Some(8 * phase + 2 * share + number), "a task fails");
                                done.fetch_add(1, Ordering::Relaxed);
                            },
                        );
                        if !phases.wait(phase, worker, 8) {
                            return;
                        }
                    }
                });
            });
            (has_panicked, done.into_inner())
        };
        for failing in [0, 7, 44, 79] {
            let (has_panicked, done) = job(Some(failing));
            assert!(has_panicked && done < failing / 8 * 8 + 8, "task {failing} fails: {done} done");
            assert_eq!(job(None), (false, 80));
        }
    }

    #[test]
    fn a_team_has_a_largest_size() {
        assert_eq!(Team::new(0).workers(), 1);
        let mut team = Team::new(usize::MAX);
        assert!((1..=Team::MOST_WORKERS).contains(&team.workers()));
        let workers = team.workers();
        assert!(gather(&mut team, workers).iter().all(|calls| *calls == 1));
    }
}
