//! `npz` bytes: as they are, or two members to be put in an archive with the right checksums.
#![no_main]

use footlight::tensor::npz;
use footlight_fuzz::{cut, zipped};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let archive = match bytes.starts_with(b"PK") {
        true => Some(bytes.to_vec()),
        false => {
            let [name, x, y] = cut(bytes);
            let name = String::from_utf8_lossy(name);
            zipped(&[(&name, x), ("y.npy", y)])
        }
    };
    let Some(archive) = archive else { return };
    let Ok(tensors) = npz::read(&archive) else { return };
    let named = || tensors.iter().map(|(name, tensor)| (name.as_str(), tensor));
    // Two members of one name are read, and refused only when they are written.
    let Ok(written) = npz::write(named()) else { return };
    assert_eq!(npz::read(&written).expect("what is written can be read").len(), tensors.len());
});
