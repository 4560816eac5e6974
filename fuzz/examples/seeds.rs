//! Writes the seeds of all targets into `corpus/`, from the fixtures and from what the writers write.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::{Compression, write::GzEncoder};
use footlight::data::{End, Split, TextVectorization};
use footlight::nn::file::Archive;
use footlight::prelude::{Flatten, Sequential, layers};
use footlight::tensor::{Data, Tensor, idx, npy, npz};
use footlight_fuzz::{paste, training::train};
use hdf5_pure::{AttrValue, FileBuilder, LibVer, MaxExtent};
use image::{DynamicImage, ImageFormat, RgbaImage};
use serde_json::Value;

type Done<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Done {
    tensors()?;
    hdf5()?;
    fixtures()?;
    pictures()?;
    texts()?;
    reading()?;
    checkpoint()
}

/// Puts a seed into the corpus of a target.
fn seed(target: &str, name: &str, bytes: &[u8]) -> Done {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder)?;
    Ok(fs::write(folder.join(name), bytes)?)
}

fn tensors() -> Done {
    let tensors = [
        ("bytes", Tensor::new([2, 3], vec![0u8, 1, 2, 253, 254, 255])?),
        ("ints", Tensor::new([4], vec![i32::MIN, -1, 0, i32::MAX])?),
        ("longs", Tensor::new([1, 2], vec![i64::MIN, i64::MAX])?),
        ("floats", Tensor::new([1, 2, 2], vec![0.5f32, -1.0, f32::MAX, 1e-40])?),
        ("doubles", Tensor::new([0, 5], Data::F64(vec![]))?),
        ("scalar", Tensor::scalar(3.0)),
    ];
    for (name, tensor) in &tensors {
        if let Ok(bytes) = idx::write(tensor) {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&bytes)?;
            seed("idx", &format!("{name}.gz"), &encoder.finish()?)?;
            seed("idx", name, &bytes)?;
        }
        let bytes = npy::write(tensor)?;
        seed("npy", name, &bytes)?;
        seed("npz", &format!("{name}-parts"), &paste(&[format!("{name}.npy").as_bytes(), &bytes, &bytes]))?;
        seed("npz", name, &npz::write([("x", tensor), (*name, tensor)])?)?;
    }
    for (name, header, data) in [
        ("fortran", "{'descr': '>i2', 'fortran_order': True, 'shape': (2, 3), }", 12),
        ("bool", "{'descr': '|b1', 'fortran_order': False, 'shape': (3,), }", 3),
        ("objects", "{'descr': '|O', 'fortran_order': False, 'shape': (3,), }", 3),
        ("record", "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,), }", 12),
    ] {
        let mut bytes = b"\x93NUMPY\x02\x00".to_vec();
        bytes.extend(u32::try_from(header.len())?.to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend((0..data).map(|byte| byte as u8));
        seed("npy", name, &bytes)?;
    }
    Ok(())
}

/// Files as Footlight never writes them: other versions of the format, chunks, filters, many attributes and links.
fn hdf5() -> Done {
    let versions = [("v18", LibVer::Earliest, LibVer::V18), ("v110", LibVer::V110, LibVer::V110)];
    for (version, low, high) in versions {
        // Chunks came with version 1.10 of this writer.
        let kinds = if version == "v18" { 1 } else { 5 };
        for (name, filters) in
            [("plain", 0), ("deflate", 1), ("lzf", 2), ("fletcher", 3), ("unlimited", 4)].into_iter().take(kinds)
        {
            let mut file = FileBuilder::new();
            file.with_libver_bounds(low, high);
            let numbers: Vec<f32> = (0..24u8).map(f32::from).collect();
            let dataset = file.create_dataset("x").with_f32_data(&numbers).with_shape(&[4, 6]);
            let dataset = if filters == 0 { dataset } else { dataset.with_chunks(&[2, 3]) };
            match filters {
                1 => dataset.with_shuffle().with_deflate(6),
                2 => dataset.with_lzf(),
                3 => dataset.with_fletcher32(),
                4 => dataset.with_maxshape(&[MaxExtent::Unlimited, MaxExtent::Fixed(6)]),
                _ => dataset,
            };
            let mut group = file.create_group("layers");
            for index in 0..12u8 {
                group.create_dataset(&index.to_string()).with_u8_data(&[index]).with_shape(&[]);
                group.set_attr(&format!("attribute {index}"), AttrValue::VarLenString(format!("text {index}")));
            }
            group.set_attr("name", AttrValue::VarLenString("layers".into()));
            file.add_group(group.finish());
            seed("hdf5", &format!("{version}-{name}"), &file.finish()?)?;
        }
    }
    Ok(())
}

/// The files that Keras wrote, archives also in parts, and the words of their configurations as a dictionary.
fn fixtures() -> Done {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/keras");
    let mut words = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let bytes = fs::read(&path)?;
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("keras") => {}
            Some("h5") => {
                let tree = footlight::nn::file::hdf5::read(&bytes[..])?;
                for (key, text) in tree.attributes.iter().filter_map(|(key, texts)| Some((key, texts.first()?))) {
                    if let Ok(value) = serde_json::from_str(text) {
                        collect_words(&value, &mut words);
                        seed("config", &format!("{name}-{key}"), text.as_bytes())?;
                    }
                }
                seed("hdf5", &name, &bytes)?;
                seed("keras", &name, &bytes)?;
                continue;
            }
            _ => continue,
        }
        let mut zip = zip::ZipArchive::new(Cursor::new(&bytes[..]))?;
        let mut member = |name: &str| -> Done<Vec<u8>> {
            let mut bytes = Vec::new();
            zip.by_name(name)?.read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let (config, weights) = (member("config.json")?, member("model.weights.h5")?);
        collect_words(&serde_json::from_slice(&config)?, &mut words);
        seed("config", &name, &config)?;
        seed("hdf5", &name, &weights)?;
        seed("keras", &format!("{name}-parts"), &paste(&[&config, &weights]))?;
        seed("keras", &name, &bytes)?;
    }
    let numbers = ["null", "1e400", "-1", "9223372036854775807", "18446744073709551615"];
    let words = words.into_iter().map(|word| format!("\"{word}\""));
    dictionary("config", words.chain(numbers.map(str::to_string)))
}

fn collect_words(value: &Value, words: &mut BTreeSet<String>) {
    let is_plain = |word: &str| word.len() < 40 && word.chars().all(|c| c.is_ascii_alphanumeric() || "_.>".contains(c));
    match value {
        Value::String(word) => words.extend(Some(word.clone()).filter(|word| is_plain(word))),
        Value::Array(list) => list.iter().for_each(|value| collect_words(value, words)),
        Value::Object(object) => object.iter().for_each(|(key, value)| {
            words.extend(Some(key.clone()).filter(|word| is_plain(word)));
            collect_words(value, words);
        }),
        _ => {}
    }
}

fn pictures() -> Done {
    let picture = RgbaImage::from_fn(9, 6, |x, y| image::Rgba([x as u8 * 25, y as u8 * 40, 7, 200]));
    let picture = DynamicImage::ImageRgba8(picture);
    let kinds = [
        ("gray", picture.to_luma8().into()),
        ("gray-alpha", picture.to_luma_alpha8().into()),
        ("gray16", picture.to_luma16().into()),
        ("rgb", picture.to_rgb8().into()),
        ("rgba16", picture.to_rgba16().into()),
        ("rgba", picture),
    ];
    for (name, picture) in kinds {
        let (mut png, mut jpeg) = (Cursor::new(Vec::new()), Cursor::new(Vec::new()));
        picture.write_to(&mut png, ImageFormat::Png)?;
        seed("picture", &format!("{name}.png"), png.get_ref())?;
        if picture.write_to(&mut jpeg, ImageFormat::Jpeg).is_ok() {
            seed("picture", &format!("{name}.jpeg"), jpeg.get_ref())?;
        }
    }
    Ok(())
}

/// Tables and run descriptions, and their words as dictionaries.
fn texts() -> Done {
    for (name, text) in [
        ("classes", "a,y,b\n1.5,cat,-2\n1e3,\"dog, \"\"big\"\"\",0\n"),
        ("semicolons", "y;a\n4;1\n2;1\n"),
        ("tabs", "\u{feff}a\ty\r\n1\t0.5\r\n2\t1\r\n"),
        ("faults", "a, b, y\n1,,0\nred,2,1\n1,nan,one\n1,2\n"),
    ] {
        seed("csv", name, text.as_bytes())?;
    }
    let words = ["y", ",", ";", "\t", "\r\n", "nan", "inf", "1e39", "-0", "\"", "\"\"", "\u{feff}"];
    dictionary("csv", words.map(str::to_string))?;
    let head = "seed = 3\noutput = 'a.keras'\n[data]\nset = 'flowers.csv'\nlabel = 'kind'\nscale = 2.0\n";
    let rate = "{ class = 'CosineDecay', initial_learning_rate = 0.1, decay_steps = 9 }";
    let compile = format!(
        "[compile]\noptimizer = {{ class = 'Adam', learning_rate = {rate} }}\nloss = 'mse'\n\
         metrics = ['mae', {{ class = 'TopKCategoricalAccuracy', k = 2 }}]\n"
    );
    let fit = "[fit]\nepochs = 0x2\ncallbacks = [{ class = 'EarlyStopping', monitor = 'loss' }, 'TerminateOnNaN']\n";
    for (class, keys) in [
        ("Dense", "units = 4\nactivation = 'relu'\nkernel_regularizer = { class = 'L2', l2 = 0.1 }\n"),
        ("Dropout", "rate = 0.25\n"),
        ("BatchNormalization", "momentum = 0.9\n"),
        ("Reshape", "target_shape = [2, -1]\n"),
    ] {
        let text = format!("{head}[[model.layers]]\nclass = '{class}'\n{keys}{compile}{fit}");
        seed("toml", class, text.as_bytes())?;
        seed("toml", &format!("{class}-set"), format!("model.layers.0.rate = 0.5\0{text}").as_bytes())?;
    }
    let mut words = BTreeSet::new();
    collect_words(&footlight::description::schema(), &mut words);
    let marks = ["[[", "]]", "{ ", "\"\"\"", "'''", "0x", "1979-05-27T07:32:00Z", "nan", "-inf", "\0"];
    dictionary("toml", words.into_iter().chain(marks.map(str::to_string)))
}

/// What a model of texts keeps beside what Keras knows, and its words as a dictionary.
fn reading() -> Done {
    let mut model = Sequential::new(layers![Flatten::new().input_shape([2])])?;
    let mut words = BTreeSet::new();
    let plain = TextVectorization::new().max_tokens(9);
    let mut characters = TextVectorization::new().split(Split::Character).padding(End::Pre).output_sequence_length(4);
    characters.adapt(["row your boat"])?;
    for (name, text) in [("plain", plain), ("characters", characters)] {
        model.set_text(Some(text));
        let own = Archive::read(&model.to_bytes()?)?.footlight;
        collect_words(&serde_json::from_slice(&own)?, &mut words);
        seed("reading", name, &own)?;
        model.set_classes(["no", "yes"]);
    }
    dictionary("reading", words.into_iter().map(|word| format!("\"{word}\"")))
}

/// Writes the words that a fuzzer may put into the inputs of a target.
fn dictionary(target: &str, words: impl IntoIterator<Item = String>) -> Done {
    let byte = |byte: u8| match byte {
        b'"' | b'\\' => format!("\\{}", char::from(byte)),
        b' '..=b'~' => char::from(byte).to_string(),
        _ => format!("\\x{byte:02X}"),
    };
    let line = |word: String| format!("\"{}\"\n", word.bytes().map(byte).collect::<String>());
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("corpus/{target}.dict"));
    Ok(fs::write(place, words.into_iter().map(line).collect::<String>())?)
}

fn checkpoint() -> Done {
    let path: PathBuf = std::env::temp_dir().join(format!("footlight-seeds-{}.npz", std::process::id()));
    train(&path, 2, Duration::ZERO)?;
    let bytes = fs::read(&path)?;
    fs::remove_file(&path)?;
    seed("checkpoint", "whole", &paste(&[b"", b"", b"", &bytes]))?;
    let arrays = npz::read(&bytes)?;
    for (index, (name, tensor)) in arrays.iter().enumerate() {
        let (name, array) = (name.replace('/', "-"), npy::write(tensor)?);
        match tensor.data() {
            Data::U8(progress) => seed("checkpoint", "honest", &paste(&[progress, b"", b"", b""]))?,
            _ => seed("checkpoint", &name, &paste(&[progress(&arrays), &[index as u8 - 1, 1], &array, b""]))?,
        }
    }
    Ok(())
}

fn progress(arrays: &[(String, Tensor)]) -> &[u8] {
    match arrays.first().map(|(_, tensor)| tensor.data()) {
        Some(Data::U8(text)) => text,
        _ => b"",
    }
}
