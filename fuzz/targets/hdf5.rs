//! HDF5 bytes, the tree of weights in a `.keras` file.
#![no_main]

use footlight::nn::file::hdf5;
use footlight_fuzz as _;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(tree) = hdf5::read(bytes) else { return };
    let Ok(written) = hdf5::write(&tree) else { return };
    let again = hdf5::read(written.clone()).expect("what is written can be read");
    assert_eq!(hdf5::write(&again).expect("as before"), written);
});
