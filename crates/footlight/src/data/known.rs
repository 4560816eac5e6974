//! The sets known by name: their files, their checksums, the places that serve them.

/// One file of a known set.
#[derive(Debug)]
#[cfg_attr(not(feature = "download"), allow(dead_code))]
pub(super) struct KnownFile {
    /// The name without `.gz`.
    pub(super) stem: &'static str,
    /// The size of the decompressed bytes.
    pub(super) size_bytes: u64,
    /// SHA-256 of the decompressed bytes: mirrors compress differently.
    pub(super) sha256: &'static str,
}

/// A set that can be asked for by name.
#[derive(Debug)]
pub(super) struct KnownSet {
    pub(super) name: &'static str,
    /// In the order of [`STEMS`].
    pub(super) files: [KnownFile; 4],
    /// Addresses that file names are put behind, the best first.
    #[cfg_attr(not(feature = "download"), allow(dead_code))]
    pub(super) mirrors: &'static [&'static str],
}

/// The files of a set: pictures and labels to learn from, pictures and labels to test with.
pub(super) const STEMS: [&str; 4] =
    ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

const SIZES_BYTES: [u64; 4] = [47_040_016, 60_008, 7_840_016, 10_008];

/// All known sets; `digits`, which has no files, is the other name.
pub(super) const SETS: [KnownSet; 2] = [
    KnownSet {
        name: "mnist",
        files: files([
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ]),
        mirrors: &[
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ],
    },
    KnownSet {
        name: "fashion-mnist",
        files: files([
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ]),
        mirrors: &[
            // The bucket's web address speaks only plain HTTP; the checksums guard what it sends.
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://fashion-mnist.s3.eu-central-1.amazonaws.com/",
        ],
    },
];

/// The name of the generated digits.
pub(super) const DIGITS: &str = "digits";

impl KnownSet {
    /// The set of this name, however it is spelled: `fashion-mnist` and `Fashion_MNIST` are the same.
    pub(super) fn by_name(name: &str) -> Option<&'static KnownSet> {
        const TABLE: &[KnownSet] = &SETS;
        let name = canonical(name);
        TABLE.iter().find(|set| set.name == name)
    }
}

/// `name` in lower case with hyphens.
pub(super) fn canonical(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

const fn files(sums: [&'static str; 4]) -> [KnownFile; 4] {
    [file(0, sums[0]), file(1, sums[1]), file(2, sums[2]), file(3, sums[3])]
}

const fn file(index: usize, sha256: &'static str) -> KnownFile {
    KnownFile { stem: STEMS[index], size_bytes: SIZES_BYTES[index], sha256 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_however_they_are_spelled() {
        for name in ["fashion-mnist", "fashion_mnist", "Fashion-MNIST"] {
            assert_eq!(KnownSet::by_name(name).unwrap().name, "fashion-mnist");
        }
        assert!(KnownSet::by_name("cifar10").is_none());
    }
}
