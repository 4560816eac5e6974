use super::*;
use footlight_tensor::Tensor;
use std::time::Duration;

fn small() -> Archive {
    let mut weights = Group::default();
    weights.group_mut("layers/dense/vars").unwrap().insert("0", Tensor::new([2], vec![1.0f32, 2.0]).unwrap());
    Archive::new(json!({ "class_name": "Sequential" }), weights, UNIX_EPOCH + Duration::from_secs(1_709_210_096))
}

/// A zip of these members, deflated or stored.
fn zipped(method: CompressionMethod, members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        zip.start_file(*name, SimpleFileOptions::DEFAULT.compression_method(method)).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn message(bytes: &[u8]) -> String {
    let error = Archive::read(bytes).expect_err("it must be refused");
    assert!(error.help_text().is_some(), "{error}");
    error.message().to_string()
}

#[test]
fn what_is_written_is_read_again_and_the_same_archive_gives_the_same_bytes() {
    let bytes = small().write().unwrap();
    assert_eq!(Archive::read(&bytes).unwrap(), small());
    assert_eq!(small().write().unwrap(), bytes);
    assert_eq!(small().metadata["date_saved"], "2024-02-29@12:34:56");
}

#[test]
fn what_keras_has_no_place_for_is_a_member_of_its_own_where_there_is_any() {
    let own = Archive { footlight: br#"{"classes":["no","yes"]}"#.to_vec(), ..small() };
    let bytes = own.write().unwrap();
    assert_eq!(Archive::read(&bytes).unwrap(), own);
    let members = |bytes: &[u8]| ZipArchive::new(Cursor::new(bytes.to_vec())).unwrap().len();
    assert_eq!((members(&small().write().unwrap()), members(&bytes)), (3, 4));
}

#[test]
fn dates_are_those_of_the_calendar() {
    for (day, want) in [
        (0, (1970, 1, 1)),
        (59, (1970, 3, 1)),
        (11_016, (2000, 2, 29)),
        (20_781, (2026, 11, 24)),
        (47_540, (2100, 2, 28)),
    ] {
        assert_eq!(date(day), want, "day {day}");
    }
    assert_eq!(date(47_541), (2100, 3, 1), "a century without a leap day");
}

#[test]
fn every_cut_is_refused_and_no_changed_byte_goes_unnoticed_or_panics() {
    let bytes = small().write().unwrap();
    for len in (0..bytes.len()).step_by(7) {
        assert!(message(&bytes[..len]).contains("no zip archive, or one that is cut short"), "cut at {len}");
    }
    for at in (0..bytes.len()).step_by(5) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x55;
        // A byte that means nothing (a time stamp) may change, and metadata may be absent; the model must be what it was.
        if let Ok(read) = Archive::read(&damaged) {
            assert_eq!((read.config, read.weights), (small().config, small().weights), "byte {at}");
            assert!(read.metadata.is_null() || read.metadata == small().metadata, "byte {at}");
        }
    }
}

#[test]
fn a_changed_byte_is_told_by_the_checksum_before_anything_that_is_found_in_it() {
    let mut bytes = small().write().unwrap();
    let weights = bytes.windows(4).position(|signature| signature == b"\x89HDF").unwrap();
    // The version of the superblock: nothing is found behind another one.
    bytes[weights + 8] ^= 0xff;
    let told = message(&bytes);
    let (start, len) = (weights, hdf5::write(&small().weights).unwrap().len());
    let expected =
        format!("`model.weights.h5`: Invalid checksum; {len} of {len} bytes were read, from byte {start} on");
    assert_eq!(told, expected);
    let path = std::env::temp_dir().join(format!("footlight-changed-{}.keras", std::process::id()));
    fs::write(&path, &bytes).unwrap();
    let error = Archive::open(&path).unwrap_err();
    assert_eq!(error.message(), format!("`{}`: {expected}", path.display()));
    fs::write(&path, small().write().unwrap()).unwrap();
    assert_eq!(Archive::open(&path).unwrap(), small());
    fs::remove_file(&path).unwrap();
}

#[test]
fn what_only_training_needs_is_passed_over_unread() {
    let mut trained = small();
    trained.config["compile_config"] = json!({ "optimizer": "adam" });
    let optimizer = trained.weights.group_mut("optimizer/vars").unwrap();
    optimizer.insert("0", Tensor::new([3], vec![1.0f32, 2.0, 3.0]).unwrap());
    // A layer may be called like the optimizer: only the top of the tree counts.
    let layer = trained.weights.group_mut("layers/optimizer/vars").unwrap();
    layer.insert("0", Tensor::scalar(4.0));
    let bytes = Bytes::from(trained.write().unwrap());
    assert_eq!(Archive::of_bytes(&bytes, Scope::Whole).unwrap(), trained);
    let read = Archive::of_bytes(&bytes, Scope::Uncompiled).unwrap();
    assert_eq!(read.config, small().config);
    trained.weights.entries.remove("optimizer");
    assert_eq!(read.weights, trained.weights);
}

#[test]
fn deflated_members_are_read_and_a_folder_too() {
    let weights = hdf5::write(&small().weights).unwrap();
    let config = small().config.to_string();
    let members: [(&str, &[u8]); 2] = [("config.json", config.as_bytes()), ("model.weights.h5", &weights)];
    let read = Archive::read(&zipped(CompressionMethod::Deflated, &members)).unwrap();
    assert_eq!((read.weights, read.metadata), (small().weights, Value::Null));
    let folder = std::env::temp_dir().join(format!("footlight-unpacked-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    members.iter().for_each(|(name, bytes)| fs::write(folder.join(name), bytes).unwrap());
    assert_eq!(Archive::open(&folder).unwrap().config, small().config);
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn members_that_are_missing_or_no_json_are_named() {
    let stored = CompressionMethod::Stored;
    assert!(message(&zipped(stored, &[("metadata.json", b"{}")])).contains("`config.json` is missing"));
    assert!(message(&zipped(stored, &[("config.json", b"{}")])).contains("`model.weights.h5` is missing"));
    assert!(message(&zipped(stored, &[("config.json", b"{\"a\":")])).contains("`config.json` (5 bytes): EOF"));
    let npz: [(&str, &[u8]); 2] = [("config.json", b"{}"), ("model.weights.npz", b"pickles")];
    assert!(message(&zipped(stored, &npz)).contains("holds pickles, which are programs and never run"));
    let text: [(&str, &[u8]); 2] = [("config.json", b"{}"), ("model.weights.h5", b"not hdf5 at all")];
    assert!(message(&zipped(stored, &text)).starts_with("model.weights.h5: hdf5: "));
    assert!(message(b"plain text").contains("its 10 bytes cannot be read: they are no zip archive"));
}

#[test]
fn configurations_beyond_all_measure_are_refused_before_they_are_unpacked() {
    let large = vec![b' '; JSON_LIMIT_BYTES as usize + 1];
    let message = message(&zipped(CompressionMethod::Deflated, &[("config.json", &large)]));
    assert!(message.contains("`config.json` has 4194305 bytes, more than 4194304"), "{message}");
}

#[test]
fn weights_made_to_fill_the_memory_are_refused_before_they_are_unpacked() {
    // The uncompressed size stands in the central directory, 24 bytes after its signature.
    let mut bytes =
        zipped(CompressionMethod::Stored, &[("config.json", b"{}"), ("model.weights.h5", b"a small member")]);
    let directory = bytes.windows(4).rposition(|window| window == b"PK\x01\x02").unwrap();
    bytes[directory + 24..directory + 28].copy_from_slice(&(300u32 << 20).to_le_bytes());
    let message = message(&bytes);
    assert!(message.contains("314572800 bytes are declared out of 14 stored, more than 100 times"), "{message}");
}

#[cfg(unix)]
#[test]
fn a_folder_with_a_device_in_place_of_a_file_is_refused_unread() {
    let folder = std::env::temp_dir().join(format!("footlight-device-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink("/dev/zero", folder.join("config.json")).unwrap();
    let error = Archive::open(&folder).unwrap_err();
    fs::remove_dir_all(&folder).unwrap();
    assert!(error.message().ends_with("`config.json` is no file"), "{error}");
    assert!(error.help_text().is_some());
}
