//! `idx` bytes, plain or gzip-compressed.
#![no_main]

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use footlight::tensor::idx;
use footlight_fuzz as _;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let plain = idx::read(bytes);
    let _ = idx::read_sized(bytes, bytes.len() as u64);
    let Ok(tensor) = plain else { return };
    // Short integers become longer ones, so bytes need not come back as they were, but tensors do.
    let written = idx::write(&tensor).expect("what idx holds can be written as idx");
    assert_eq!(bits(&idx::read(&written).expect("what is written can be read")), bits(&tensor));
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&written).expect("memory takes all");
    let zipped = encoder.finish().expect("memory takes all");
    assert_eq!(bits(&idx::read_stream(&zipped[..]).expect("compression changes nothing")), bits(&tensor));
});

/// Shape and numbers, NaN equal to itself.
fn bits(tensor: &footlight::tensor::Tensor) -> (Vec<usize>, Vec<u64>) {
    (tensor.shape().to_vec(), tensor.to_f64().into_iter().map(f64::to_bits).collect())
}
