//! `npy` bytes.
#![no_main]

use footlight::tensor::npy;
use footlight_fuzz as _;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = npy::read_stream(bytes);
    let Ok(tensor) = npy::read(bytes) else { return };
    let written = npy::write(&tensor).expect("what npy holds can be written as npy");
    let again = npy::read(&written).expect("what is written can be read");
    assert_eq!((again.shape(), again.dtype()), (tensor.shape(), tensor.dtype()));
    assert_eq!(npy::write(&again).expect("as before"), written);
});
