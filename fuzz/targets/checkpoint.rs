//! A checkpoint: how far a training has come, and its states, put in an `npz` with the right checksums.
//!
//! The parts are the JSON of `progress`, in which the target itself writes which training it is; which array is another
//! than it was; that array as `npy`; and, in place of all this, the bytes of a whole file.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use footlight::tensor::{Data, Tensor, npy, npz};
use footlight_fuzz::{cut, training::train, zipped};
use libfuzzer_sys::fuzz_target;

/// A training that can be taken up: `progress`, and the other arrays as `npy` files.
struct Honest {
    path: PathBuf,
    training: serde_json::Value,
    arrays: Vec<(String, Vec<u8>)>,
}

static HONEST: LazyLock<Honest> = LazyLock::new(|| {
    let path = std::env::temp_dir().join(format!("footlight-fuzz-{}.npz", std::process::id()));
    let _ = std::fs::remove_file(&path);
    train(&path, 2, Duration::ZERO).expect("nothing is wrong yet");
    let bytes = std::fs::read(&path).expect("a checkpoint was written");
    let arrays = npz::read(&bytes).expect("it can be read");
    let (_, progress) = arrays.iter().find(|(name, _)| name == "progress").expect("it has one");
    let Data::U8(text) = progress.data() else { panic!("it is text") };
    let progress: serde_json::Value = serde_json::from_slice(text).expect("it is JSON");
    let training = progress["training"].clone();
    let arrays = arrays.into_iter().filter(|(name, _)| name != "progress");
    let arrays = arrays.map(|(name, tensor)| (format!("{name}.npy"), npy::write(&tensor).expect("it is one")));
    Honest { path, training, arrays: arrays.collect() }
});

fuzz_target!(|bytes: &[u8]| {
    let honest = &*HONEST;
    let [progress, which, array, rest] = cut(bytes);
    let text = match serde_json::from_slice::<serde_json::Value>(progress) {
        Ok(serde_json::Value::Object(mut progress)) => {
            progress.insert("training".into(), honest.training.clone());
            serde_json::Value::Object(progress).to_string().into_bytes()
        }
        _ => progress.to_vec(),
    };
    let text = Tensor::new([text.len()], text).and_then(|text| npy::write(&text)).expect("it is text");
    let mut members: Vec<(&str, &[u8])> = vec![("progress.npy", &text)];
    members.extend(honest.arrays.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())));
    // One array is another, or missing, or there is one more.
    match which {
        [index, is_kept, ..] => {
            let index = 1 + usize::from(*index) % (members.len() - 1);
            match is_kept % 2 {
                0 => drop(members.remove(index)),
                _ => members[index].1 = array,
            }
        }
        [_] => members.push(("callback/0/dense/kernel2.npy", array)),
        [] => {}
    }
    let archive = match rest.is_empty() {
        true => zipped(&members),
        false => Some(rest.to_vec()),
    };
    let Some(archive) = archive else { return };
    std::fs::write(&honest.path, archive).expect("a scratch file can be written");
    // Writing waits for the disk, and is not what is tried here.
    let _ = train(&honest.path, 3, Duration::from_secs(3600));
});
