use super::super::Entry;
use super::*;
use footlight_tensor::{Data, Tensor};

fn tree() -> Group {
    let mut root = Group::named("model");
    let vars = root.group_mut("layers/dense/vars").unwrap();
    *vars = Group::named("head");
    vars.attributes.insert("weight_names".into(), vec!["kernel".into(), "bias".into()]);
    vars.insert("0", Tensor::new([2, 3], vec![1.0f32, -0.0, f32::MIN_POSITIVE, 4.0, 5.0, f32::MAX]).unwrap());
    vars.insert("1", Tensor::new([3], Data::F64(vec![0.1, 0.2, 0.3])).unwrap());
    root.group_mut("layers/flatten/vars").unwrap();
    let optimizer = root.group_mut("optimizer/vars").unwrap();
    optimizer.insert("0", Tensor::new([], Data::I32(vec![7])).unwrap());
    optimizer.insert("1", Tensor::new([], Data::I64(vec![1 << 40])).unwrap());
    optimizer.insert("2", Tensor::new([2], Data::U8(vec![0, 255])).unwrap());
    root
}

fn without_texts(mut group: Group) -> Group {
    group.attributes.clear();
    for entry in group.entries.values_mut() {
        if let Entry::Group(below) = entry {
            *below = without_texts(std::mem::take(below));
        }
    }
    group
}

#[test]
fn every_type_scalars_empty_groups_and_texts_survive() {
    let bytes = write(&tree()).unwrap();
    assert_eq!(read(bytes.clone()).unwrap(), tree());
    assert_eq!(write(&tree()).unwrap(), bytes, "the same tree gives the same bytes");
}

#[test]
fn bytes_that_are_cut_are_refused() {
    let bytes = write(&tree()).unwrap();
    // Texts lie in a heap behind the last tensor.
    let tensors_end = bytes.windows(4).position(|signature| signature == b"GCOL").unwrap();
    for len in (0..tensors_end).step_by(7).chain([tensors_end - 1]) {
        assert!(read(&bytes[..len]).is_err(), "cut at {len}");
    }
    for len in (tensors_end..bytes.len()).step_by(1009) {
        assert_eq!(without_texts(read(&bytes[..len]).unwrap()), without_texts(tree()), "cut at {len}");
    }
}

#[test]
fn changed_bytes_end_in_a_tree_or_an_error_but_never_in_a_panic() {
    let bytes = write(&tree()).unwrap();
    for at in (0..bytes.len()).step_by(17) {
        for mask in [0xff, 0x80, 1] {
            let mut damaged = bytes.clone();
            damaged[at] ^= mask;
            // A panic of the library would come as an error.
            let told = read(damaged).err().map_or(String::new(), |error| error.message().to_string());
            assert!(!told.contains("gave up"), "byte {at}, mask {mask}: {told}");
        }
    }
}

#[test]
fn a_panic_in_the_library_is_an_error() {
    let error = isolated::<()>(|| panic!("index out of range"), || ()).unwrap_err();
    assert!(error.message().contains("gave up on this file: index out of range"), "{error}");
}

#[test]
fn keys_that_hdf5_cannot_hold_are_refused() {
    for key in ["", ".", "..", "a/b"] {
        let mut root = Group::default();
        root.insert(key, Tensor::scalar(1.0));
        assert!(write(&root).unwrap_err().message().contains("cannot be the key of an entry"), "{key}");
    }
}

#[test]
fn trees_without_end_are_refused() {
    let mut root = Group::default();
    root.group_mut(&"a/".repeat(40)).unwrap();
    assert!(write(&root).unwrap_err().message().contains("nested beyond 32"));
}

#[test]
fn promises_are_held_against_the_bytes_that_are_there() {
    let mut budget = Budget::new(1_000);
    assert!(budget.data(100 << 20, 500).is_ok());
    assert!(budget.data(300 << 20, 500).is_err(), "one dataset of 300 MB out of 500 bytes");
    let mut budget = Budget::new(1_000);
    assert!(budget.data(200 << 20, 500).is_ok());
    assert!(budget.data(200 << 20, 500).is_err(), "many datasets together");
    let mut budget = Budget::new(1_000);
    assert!((0..LINK_LIMIT).all(|_| budget.link(1).is_ok()));
    assert!(budget.link(1).is_err());
}

/// A file of the oldest version, whose root has one attribute of this type, with nothing behind it.
fn with_attribute(datatype: &[u8]) -> Vec<u8> {
    let pad = |mut bytes: Vec<u8>| {
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    };
    let scalar = vec![1, 0, 0, 0, 0, 0, 0, 0];
    let mut attribute = vec![1, 0, 5, 0];
    attribute.extend((datatype.len() as u16).to_le_bytes());
    attribute.extend((scalar.len() as u16).to_le_bytes());
    attribute.extend([pad(b"name\0".to_vec()), pad(datatype.to_vec()), scalar, vec![0; 16]].concat());
    // Links lie in the header itself, and there are none.
    let links = [vec![2, 0, 24, 0, 0, 0, 0, 0, 0, 0], vec![0xff; 16], vec![0; 6]].concat();
    let mut header = vec![1, 0, 2, 0, 1, 0, 0, 0];
    header.extend((links.len() as u32 + attribute.len() as u32 + 8).to_le_bytes());
    header.extend([0, 0, 0, 0]);
    header.extend(links);
    header.extend([0x0c, 0]);
    header.extend((attribute.len() as u16).to_le_bytes());
    header.extend([0, 0, 0, 0]);
    header.extend(attribute);
    let mut file = b"\x89HDF\r\n\x1a\n\0\0\0\0\0\x08\x08\0\x04\0\x10\0\0\0\0\0".to_vec();
    for word in [0, u64::MAX, 96 + header.len() as u64, u64::MAX, 0, 96, 0, 0, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend(header);
    file
}

/// Parsers descend by recursion, and a stack that overflows ends the process.
#[test]
fn types_nested_as_deep_as_a_header_can_hold_do_not_end_the_process() {
    let levels: [(&str, &[u8]); 5] = [
        ("compound", &[0x36, 1, 0, 0, 4, 0, 0, 0, 0, 0]),
        ("compound of many", &[0x36, 0xff, 0xff, 0, 4, 0, 0, 0, 0, 0]),
        ("enumeration", &[0x38, 0, 0, 0, 4, 0, 0, 0]),
        ("list", &[0x39, 0, 0, 0, 16, 0, 0, 0]),
        ("array", &[0x3a, 0, 0, 0, 4, 0, 0, 0, 1, 1, 0, 0, 0]),
    ];
    let float = [0x11, 0x20, 0x1f, 0, 4, 0, 0, 0, 0, 0, 32, 0, 23, 8, 0, 23, 127, 0, 0, 0];
    assert_eq!(read(with_attribute(&float)).unwrap(), Group::default());
    for (kind, level) in levels {
        for count in [1, 2, 30, 65_000 / level.len()] {
            let deep = [level.repeat(count), float.to_vec()].concat();
            let tree = read(with_attribute(&deep));
            assert_eq!(tree.is_ok(), !kind.ends_with("many"), "{count} times {kind}: {tree:?}");
        }
    }
}
