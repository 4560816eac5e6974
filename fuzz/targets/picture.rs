//! A PNG or JPEG file.
#![no_main]

use footlight::data::Picture;
use footlight_fuzz as _;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for shape in [&[7, 5][..], &[3, 11, 3]] {
        let Ok(picture) = Picture::read(bytes, shape) else { return };
        assert_eq!(picture.sample.shape(), shape);
        assert!(picture.sample.to_f32().iter().all(|x| (0.0..=1.0).contains(x)));
        picture.is_dark_on_light();
    }
});
