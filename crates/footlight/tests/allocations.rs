//! What is allocated, and when: counted for the whole process, so there is one test in this file.

use footlight::cpu::{Engine, Feed};
use footlight::graph::Graph;
use footlight::nn::{Compile, Loss, Metric, optimizers};
use footlight::prelude::*;
use footlight::tensor::{Philox, RandomKey};
use footlight::train::{Callback, Logs, Training};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// Allocations of any kind so far.
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
/// Arenas, scratch and states so far: nothing else starts at a cache line.
static BUFFERS: AtomicUsize = AtomicUsize::new(0);
/// The bytes of those that are alive.
static BUFFER_BYTES: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: every call is handed on unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout);
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout);
        // SAFETY: the caller's contract.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, start: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count(layout);
        // SAFETY: the caller's contract.
        unsafe { System.realloc(start, layout, bytes) }
    }
    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        if layout.align() >= 64 {
            BUFFER_BYTES.fetch_sub(layout.size(), Relaxed);
        }
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(start, layout) }
    }
}

fn count(layout: Layout) {
    ALLOCATIONS.fetch_add(1, Relaxed);
    if layout.align() >= 64 {
        BUFFERS.fetch_add(1, Relaxed);
        BUFFER_BYTES.fetch_add(layout.size(), Relaxed);
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SAMPLES: usize = 700;

fn article() -> Model {
    let mut model = Sequential::new(layers![
        Flatten::new().input_shape([28, 28]),
        Dense::new(128).activation(Relu),
        Dropout::new(0.2),
        Dense::new(10).activation(Softmax),
    ])
    .unwrap();
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"]).unwrap();
    model
}

fn pictures() -> (Tensor, Tensor) {
    let mut rng = Philox::new(RandomKey::new(1));
    let pixels: Vec<u8> = (0..SAMPLES * 784).map(|_| rng.below(256) as u8).collect();
    let labels: Vec<u8> = (0..SAMPLES).map(|_| rng.below(10) as u8).collect();
    (Tensor::new([SAMPLES, 28, 28], pixels).unwrap(), Tensor::new([SAMPLES], labels).unwrap())
}

/// A recurrent model on the rows of the pictures.
fn recurrent() -> Model {
    let mut model = Sequential::new(layers![
        LSTM::new(24).input_shape([28, 28]).return_sequences(true).dropout(0.1),
        GRU::new(16).recurrent_dropout(0.1),
        Dense::new(10).activation(Softmax),
    ])
    .unwrap();
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"]).unwrap();
    model
}

/// The training step of a model.
fn step(model: fn() -> Model, batch: usize) -> Graph {
    let optimizer = optimizers::from_name("adam").unwrap();
    let loss = Loss::from("sparse_categorical_crossentropy");
    let compile = Compile::new(optimizer, loss, vec![Metric::from("accuracy")]).unwrap();
    compile.lower_train(model().architecture(), batch, 7).unwrap()
}

/// Allocations of all threads while sessions run: some steps in a row, then some after the workers went to sleep.
fn of_sessions(model: fn() -> Model, threads: usize, (x, y): &(Tensor, Tensor)) -> usize {
    let mut engine = Engine::new(threads);
    let (whole, short) = (step(model, 128), step(model, 60));
    let mut sessions = [engine.compile(&whole).unwrap(), engine.compile(&short).unwrap()];
    assert_eq!(sessions[0].workers(), threads);
    let rows: Vec<u32> = (0..SAMPLES as u32).rev().collect();
    let feed = |table, rows| Feed::Gather { table, first: 0, rows, scale: 1.0 / 255.0, offset: 0.0 };
    let mut run = |steps: usize| {
        for step in 0..steps {
            for (session, batch) in sessions.iter_mut().zip([128, 60]) {
                let rows = &rows[step % 5 * 100..][..batch];
                session.run(&mut engine, &[feed(x, rows), feed(y, rows)]).unwrap();
            }
        }
    };
    run(3);
    let before = ALLOCATIONS.load(Relaxed);
    run(20);
    std::thread::sleep(Duration::from_millis(5));
    run(20);
    ALLOCATIONS.load(Relaxed) - before
}

/// Counts as training goes on, without allocating.
#[derive(Default)]
struct Watch {
    promised: usize,
    held: usize,
    epoch: usize,
    at_last_step: usize,
    within_epochs: usize,
    buffers_at_second_epoch: usize,
}

impl Callback for Watch {
    fn on_train_begin(&mut self, training: &mut Training<'_>) -> Result<()> {
        self.promised = training.plan.total_bytes();
        Ok(())
    }
    fn on_epoch_end(&mut self, _: &mut Training<'_>, _: &mut Logs) -> Result<()> {
        self.held = BUFFER_BYTES.load(Relaxed);
        Ok(())
    }
    fn on_epoch_begin(&mut self, training: &mut Training<'_>) -> Result<()> {
        self.epoch = training.epoch;
        if self.epoch == 1 {
            self.buffers_at_second_epoch = BUFFERS.load(Relaxed);
        }
        Ok(())
    }
    fn on_batch_end(&mut self, training: &mut Training<'_>) -> Result<()> {
        let now = ALLOCATIONS.load(Relaxed);
        if self.epoch > 0 && training.step > 1 {
            self.within_epochs += now - self.at_last_step;
        }
        self.at_last_step = now;
        Ok(())
    }
}

#[test]
fn after_its_first_epoch_training_allocates_nothing_and_memory_is_what_was_promised() {
    let data = pictures();
    for threads in 1..=4 {
        assert_eq!(of_sessions(article, threads, &data), 0, "{threads} threads");
        assert_eq!(of_sessions(recurrent, threads, &data), 0, "{threads} threads, recurrent");
    }
    let (x, y) = (Samples::from(data.0) / 255.0, Samples::from(data.1));
    for threads in 1..=4 {
        let before = BUFFER_BYTES.load(Relaxed);
        let mut model = article().threads(threads);
        // A thread allocates when it is run for the first time, which a busy system may put off.
        std::thread::sleep(Duration::from_millis(200));
        let mut watch = Watch::default();
        // 630 samples to train on, 70 to validate with: both end with a short batch.
        let fit = Fit::new().epochs(4).batch_size(128).validation_split(0.1).progress(Progress::None);
        model.fit(&x, &y, fit.callback(&mut watch)).unwrap();
        assert_eq!(watch.within_epochs, 0, "{threads} threads: from one step to the next");
        let sessions = BUFFERS.load(Relaxed) - watch.buffers_at_second_epoch;
        assert_eq!(sessions, 0, "{threads} threads: sessions made after the first epoch");
        let held = (watch.held - before) as f64;
        let ratio = held / watch.promised as f64;
        assert!((1.0..1.01).contains(&ratio), "{threads} threads: {held} bytes held, {} promised", watch.promised);
    }
    let mut model = article();
    let (sample, mut answer) = ([0.5; 784], [0.0; 10]);
    model.predict_one(&sample, &mut answer).unwrap();
    let before = ALLOCATIONS.load(Relaxed);
    model.predict_one(&sample, &mut answer).unwrap();
    assert_eq!(ALLOCATIONS.load(Relaxed), before, "one answer");
}
