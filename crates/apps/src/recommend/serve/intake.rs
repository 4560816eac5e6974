//! Feedback on its way: durable first, then visible, then acknowledged.
//!
//! One thread writes. What arrives while it waits for the disk goes into the next commit together.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use footlight::Result;
use tokio::sync::{mpsc, oneshot};

use super::super::{NamedEvent, Recommender, Update};
use super::metrics::Metrics;
use super::refusal::{Refusal, Why};
use super::store::Store;

/// Requests that wait for the disk at most.
const WAITING: usize = 1024;
/// Events of one commit, after which no further request joins it.
const TOGETHER: usize = 16_384;

/// The events of one request, and who waits for them.
struct Batch {
    events: Vec<NamedEvent>,
    done: oneshot::Sender<Result<Update, Refusal>>,
}

/// Where feedback is handed in.
#[derive(Debug)]
pub(super) struct Intake {
    batches: mpsc::Sender<Batch>,
    is_broken: Arc<AtomicBool>,
}

impl Intake {
    /// Begins to write to `store`; the thread ends when the intake is gone and all is written.
    pub fn start(
        path: PathBuf,
        store: Store,
        recommender: Arc<RwLock<Recommender>>,
        metrics: Arc<Metrics>,
    ) -> (Intake, JoinHandle<()>) {
        let (batches, arriving) = mpsc::channel(WAITING);
        let is_broken = Arc::new(AtomicBool::new(false));
        let writer = Writer { path, store: Some(store), recommender, metrics, is_broken: Arc::clone(&is_broken) };
        (Intake { batches, is_broken }, thread::spawn(move || writer.run(arriving)))
    }

    /// Whether the last events could not be written.
    pub fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::Relaxed)
    }

    /// Waits until the events are on disk and count in the next answer.
    pub async fn take(&self, events: Vec<NamedEvent>) -> Result<Update, Refusal> {
        let (done, acknowledged) = oneshot::channel();
        let busy = |_| {
            let message = format!("{WAITING} requests wait for the disk");
            Refusal::new(Why::Busy, message).help("try again in a moment")
        };
        self.batches.try_send(Batch { events, done }).map_err(busy)?;
        let ended = |_| Refusal::new(Why::Store, "the store of feedback has ended");
        acknowledged.await.map_err(ended)?
    }
}

/// The thread that writes.
struct Writer {
    path: PathBuf,
    /// None after a fault, until it is opened anew.
    store: Option<Store>,
    recommender: Arc<RwLock<Recommender>>,
    metrics: Arc<Metrics>,
    is_broken: Arc<AtomicBool>,
}

impl Writer {
    fn run(mut self, mut arriving: mpsc::Receiver<Batch>) {
        while let Some(first) = arriving.blocking_recv() {
            let mut count = first.events.len();
            let mut together = vec![first];
            while count < TOGETHER
                && let Ok(batch) = arriving.try_recv()
            {
                count += batch.events.len();
                together.push(batch);
            }
            let written = self.write(&together);
            self.is_broken.store(written.is_err(), Ordering::Relaxed);
            for Batch { events, done } in together {
                let update = match &written {
                    Ok(()) => Ok(self.recommender.write().expect("no update panics").update(&events)),
                    Err(refusal) => Err(refusal.clone()),
                };
                // Who asked may have gone away; the events count all the same.
                let _ = done.send(update);
            }
        }
    }

    fn write(&mut self, together: &[Batch]) -> Result<(), Refusal> {
        let start = Instant::now();
        let opened = || Store::open(&self.path).map(|(store, _)| store);
        let written = self.store.take().map_or_else(opened, Ok).and_then(|mut store| {
            store.append(together.iter().flat_map(|batch| &batch.events))?;
            Ok(store)
        });
        let refused = |error: footlight::Error| {
            Refusal::new(Why::Store, format!("nothing was written: {}", error.message()))
                .help("see that the disk has room, then send it again")
        };
        self.store = Some(written.map_err(refused)?);
        self.metrics.committed(together.iter().map(|batch| batch.events.len()).sum(), start.elapsed());
        Ok(())
    }
}
