//! Memory stays as it is, however long a model trains.
#![cfg(target_os = "linux")]

use footlight::prelude::*;
use footlight::tensor::{Philox, RandomKey};
use footlight::train::{Callback, Logs, Training};

/// Kilobytes of its own that the process has in memory: pages of the program's file come and go as the system likes.
/// `statm` is kept in batches for each core, so it is asked only where the system gives no exact sum.
fn resident_kb() -> usize {
    let word = |text: &str, index: usize| -> Option<usize> { text.split_whitespace().nth(index)?.parse().ok() };
    let exact = std::fs::read_to_string("/proc/self/smaps_rollup").ok();
    let exact = exact.and_then(|text| text.lines().find(|l| l.starts_with("Anonymous:")).and_then(|l| word(l, 1)));
    exact.unwrap_or_else(|| {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        4 * (word(&statm, 1).unwrap() - word(&statm, 2).unwrap())
    })
}

/// What is resident after epoch 50, and the most after it.
#[derive(Default)]
struct Resident {
    settled: usize,
    most: usize,
}

impl Callback for Resident {
    fn on_epoch_end(&mut self, training: &mut Training<'_>, _: &mut Logs) -> Result<()> {
        match training.epoch + 1 {
            50 => self.settled = resident_kb(),
            51.. => self.most = self.most.max(resident_kb()),
            _ => {}
        }
        Ok(())
    }
}

#[test]
fn memory_does_not_grow_over_a_thousand_epochs() {
    let mut rng = Philox::new(RandomKey::new(1));
    let x: Vec<u8> = (0..150 * 784).map(|_| rng.below(256) as u8).collect();
    let y: Vec<u8> = (0..150).map(|_| rng.below(10) as u8).collect();
    let x = Samples::from(Tensor::new([150, 28, 28], x).unwrap()) / 255.0;
    let y = Samples::from(Tensor::new([150], y).unwrap());
    let layers = layers![
        Flatten::new(),
        Dense::new(64).activation(Relu),
        BatchNormalization::new(),
        Dropout::new(0.2),
        Dense::new(10).activation(Softmax),
    ];
    // One thread, because another may come late and touch its scratch for the first time long after epoch 50.
    let mut model = Sequential::new(layers).unwrap().threads(1);
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"]).unwrap();
    let mut resident = Resident::default();
    let fit = Fit::new().epochs(1_000).batch_size(64).validation_split(0.2).progress(Progress::None);
    model.fit(&x, &y, fit.callback(&mut resident)).unwrap();
    assert!(resident.settled > 0);
    println!("{} kB after epoch 50, then up to {}", resident.settled, resident.most);
    let growth = resident.most as f64 / resident.settled as f64 - 1.0;
    assert!(growth < 0.01, "{} kB after epoch 50, then up to {}", resident.settled, resident.most);
}
