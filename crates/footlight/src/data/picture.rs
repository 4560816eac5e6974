//! Pictures as samples: a PNG or JPEG file, brought to the size and the channels a model is given.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Seek};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use footlight_tensor::{Tensor, display_shape};
use image::imageops::{FilterType, resize, thumbnail};
use image::{DynamicImage, GrayImage, ImageDecoder, ImageReader, Limits, RgbImage};

use crate::{Error, ErrorKind, Result};

/// Beyond this a picture is refused before it is decoded.
pub(super) const LARGEST_EXTENT: u32 = 16_384;
/// A kilobyte can say it is white all over; each pixel takes up to 12 bytes on its way.
const LARGEST_PIXELS: u64 = 1 << 26;
const LARGEST_BYTES: u64 = 1 << 30;

/// A picture as one sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// Numbers from 0 (black) to 1 (white), of the shape asked for.
    pub sample: Tensor,
    /// Width and height in the file.
    pub size: (u32, u32),
    /// Width and height after it was brought to the model's size.
    pub scaled_to: (u32, u32),
}

impl Picture {
    /// Reads the picture at `path` as one sample of `shape`, as [`Picture::read`] does.
    ///
    /// # Errors
    /// As [`Picture::read`], with the path; also when the file cannot be read.
    pub fn open(path: impl AsRef<Path>, shape: &[usize]) -> Result<Picture> {
        let path = path.as_ref();
        layout(shape)?;
        let unreadable = |error: io::Error| Error::new(ErrorKind::File, format!("cannot read it: {error}"));
        let file = File::open(path).map_err(unreadable);
        let read = file.and_then(|file| Picture::decoded(BufReader::new(file), shape));
        read.map_err(|error| error.at(format!("`{}`", path.display())))
    }

    /// Reads the bytes of a picture as one sample of `shape`: `[H, W]`, `[H, W, 1]`, `[H, W, 3]`, or `[H * W]` if that is
    /// a square.
    ///
    /// Where colours are not wanted a pixel is its luma (ITU-R BT.709); what is transparent is laid on white. Another size
    /// is scaled by averaging areas when it shrinks and bilinearly when it grows; proportions are not kept.
    ///
    /// # Errors
    /// `ErrorKind::File` for bytes that are damaged, neither PNG nor JPEG, or more than 16,384 pixels a side or 2^26 in
    /// all; `ErrorKind::Shape` for samples that no picture fills.
    pub fn read(bytes: &[u8], shape: &[usize]) -> Result<Picture> {
        Picture::decoded(Cursor::new(bytes), shape)
    }

    fn decoded(reader: impl BufRead + Seek, shape: &[usize]) -> Result<Picture> {
        let (width, height, channels) = layout(shape)?;
        let decoded = decode(reader)?;
        let size = (decoded.width(), decoded.height());
        let on_white = on_white(decoded);
        let values: Vec<f32> = match channels {
            1 => to_floats(&scaled_gray(&image::imageops::grayscale(&on_white), width, height)),
            _ => to_floats(&scaled_rgb(&on_white, width, height)),
        };
        Ok(Picture { sample: Tensor::new(shape, values)?, size, scaled_to: (width, height) })
    }

    /// Whether there is nothing to be seen: all numbers are about the same.
    pub fn is_blank(&self) -> bool {
        let values = self.sample.to_f32();
        let (low, high) = values.iter().fold((1.0f32, 0.0f32), |(low, high), x| (low.min(*x), high.max(*x)));
        high - low < 0.05
    }

    /// Whether the rim is brighter than the middle: dark strokes on a light ground, where MNIST has light on dark.
    pub fn is_dark_on_light(&self) -> bool {
        let (width, height) = (self.scaled_to.0 as usize, self.scaled_to.1 as usize);
        let values = self.sample.to_f32();
        let channels = values.len() / (width * height).max(1);
        let is_rim = |pixel: usize| {
            let (x, y) = (pixel % width, pixel / width);
            x == 0 || y == 0 || x + 1 == width || y + 1 == height
        };
        let mean = |rim: bool| {
            let chosen = values.iter().enumerate().filter(|(i, _)| is_rim(i / channels.max(1)) == rim);
            let (sum, count) = chosen.fold((0.0f64, 0usize), |(sum, count), (_, x)| (sum + f64::from(*x), count + 1));
            sum / count.max(1) as f64
        };
        mean(true) > 0.5 && mean(true) > mean(false)
    }

    /// Black for white and white for black.
    pub fn inverted(self) -> Result<Picture> {
        let values: Vec<f32> = self.sample.to_f32().into_iter().map(|x| 1.0 - x).collect();
        Ok(Picture { sample: Tensor::new(self.sample.shape(), values)?, ..self })
    }
}

/// Width, height and channels of samples of `shape`.
pub(super) fn layout(shape: &[usize]) -> Result<(u32, u32, u32)> {
    let square = |count: usize| {
        let side = count.isqrt();
        (side * side == count).then_some((side, side, 1))
    };
    let found = match *shape {
        [count] => square(count),
        [height, width] => Some((width, height, 1)),
        [height, width, channels @ (1 | 3)] => Some((width, height, channels)),
        _ => None,
    };
    let found = found.filter(|(width, height, _)| *width > 0 && *height > 0);
    let sides = found.and_then(|(w, h, c)| Some((u32::try_from(w).ok()?, u32::try_from(h).ok()?, c as u32)));
    let is_small = |w: u32, h: u32| w.max(h) <= LARGEST_EXTENT && u64::from(w) * u64::from(h) <= LARGEST_PIXELS;
    sides.filter(|(w, h, _)| is_small(*w, *h)).ok_or_else(|| {
        let message = format!("the model's samples have shape {}, which no picture fills", display_shape(shape));
        Error::new(ErrorKind::Shape, message)
            .help("a picture fills [H, W], [H, W, 1] or [H, W, 3]; give an .npy file instead")
    })
}

fn decode(reader: impl BufRead + Seek) -> Result<DynamicImage> {
    let refused = |why: &dyn std::fmt::Display| {
        Error::new(ErrorKind::File, format!("it is no picture that can be read: {why}"))
            .help("give a PNG or JPEG file, of at most 16,384 pixels a side and 67 million in all")
    };
    let reader = ImageReader::new(reader).with_guessed_format();
    let mut reader = reader.map_err(|error| Error::new(ErrorKind::File, format!("cannot read it: {error}")))?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(LARGEST_EXTENT);
    limits.max_image_height = Some(LARGEST_EXTENT);
    limits.max_alloc = Some(LARGEST_BYTES);
    reader.limits(limits.clone());
    let decoded = catch_unwind(AssertUnwindSafe(|| {
        let mut decoder = reader.into_decoder()?;
        let (width, height) = decoder.dimensions();
        if u64::from(width) * u64::from(height) > LARGEST_PIXELS {
            return Ok(Err((width, height)));
        }
        limits.reserve(decoder.total_bytes())?;
        decoder.set_limits(limits)?;
        DynamicImage::from_decoder(decoder).map(Ok)
    }));
    match decoded {
        Ok(Ok(Ok(picture))) => Ok(picture),
        Ok(Ok(Err((width, height)))) => Err(refused(&format!("it has {width} x {height} pixels"))),
        Ok(Err(error)) => Err(refused(&error)),
        Err(_) => Err(refused(&"the library gave up on it")),
    }
}

fn on_white(picture: DynamicImage) -> RgbImage {
    let rgba = picture.into_rgba8();
    RgbImage::from_fn(rgba.width(), rgba.height(), |x, y| {
        let [r, g, b, a] = rgba.get_pixel(x, y).0.map(u32::from);
        image::Rgb([r, g, b].map(|c| ((c * a + 255 * (255 - a) + 127) / 255) as u8))
    })
}

macro_rules! scaled {
    ($name:ident, $picture:ty) => {
        fn $name(picture: &$picture, width: u32, height: u32) -> $picture {
            if picture.dimensions() == (width, height) {
                picture.clone()
            } else if picture.width() >= width && picture.height() >= height {
                thumbnail(picture, width, height)
            } else {
                resize(picture, width, height, FilterType::Triangle)
            }
        }
    };
}
scaled!(scaled_gray, GrayImage);
scaled!(scaled_rgb, RgbImage);

fn to_floats(bytes: &[u8]) -> Vec<f32> {
    bytes.iter().map(|byte| f32::from(*byte) / 255.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Rgba, RgbaImage};

    fn saved(name: &str, picture: &RgbaImage) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("footlight-{}-{name}.png", std::process::id()));
        picture.save(&path).unwrap();
        path
    }

    #[test]
    fn bytes_become_numbers_from_0_to_1_and_clear_pixels_are_white() {
        let mut picture = RgbaImage::from_pixel(2, 2, Rgba([0, 0, 0, 255]));
        picture.put_pixel(1, 0, Rgba([255, 255, 255, 255]));
        picture.put_pixel(0, 1, Rgba([0, 0, 0, 0]));
        let path = saved("plain", &picture);
        for shape in [&[2, 2][..], &[2, 2, 1], &[4]] {
            let read = Picture::open(&path, shape).unwrap();
            assert_eq!((read.sample.shape(), read.sample.to_f32()), (shape, vec![0.0, 1.0, 1.0, 0.0]));
        }
        assert_eq!(Picture::open(&path, &[2, 2, 3]).unwrap().sample.len(), 12);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn larger_pictures_shrink_to_the_means_of_their_areas() {
        let picture = RgbaImage::from_fn(40, 40, |x, _| if x < 20 { Rgba([0, 0, 0, 255]) } else { Rgba([255; 4]) });
        let path = saved("large", &picture);
        let read = Picture::open(&path, &[4, 4]).unwrap();
        assert_eq!((read.size, read.scaled_to), ((40, 40), (4, 4)));
        assert_eq!(&read.sample.to_f32()[..4], [0.0, 0.0, 1.0, 1.0]);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn ink_on_paper_is_seen_and_can_be_inverted() {
        let ink = |x: u32, y: u32| (3..5).contains(&x) && (2..6).contains(&y);
        let picture = RgbaImage::from_fn(8, 8, |x, y| if ink(x, y) { Rgba([0, 0, 0, 255]) } else { Rgba([255; 4]) });
        let path = saved("ink", &picture);
        let read = Picture::open(&path, &[8, 8]).unwrap();
        assert!(read.is_dark_on_light() && !read.is_blank());
        assert!(!read.inverted().unwrap().is_dark_on_light());
        std::fs::remove_file(path).unwrap();
    }

    /// A picture of so many pixels takes a kilobyte as a file and gigabytes in memory.
    #[test]
    fn pictures_beyond_all_measure_are_refused_before_they_are_decoded() {
        let chunk = |kind: &[u8], data: &[u8]| {
            let mut crc = flate2::Crc::new();
            let named = [kind, data].concat();
            crc.update(&named);
            [&(data.len() as u32).to_be_bytes(), &named[..], &crc.sum().to_be_bytes()].concat()
        };
        for (extent, why) in [(16_384u32, "it has 16384 x 16384 pixels"), (16_385, "")] {
            let header = [&extent.to_be_bytes()[..], &extent.to_be_bytes(), &[8, 0, 0, 0, 0]].concat();
            let bytes = [&b"\x89PNG\r\n\x1a\n"[..], &chunk(b"IHDR", &header), &chunk(b"IDAT", &[0x78, 0x9c, 1])];
            let error = Picture::read(&bytes.concat(), &[28, 28]).unwrap_err();
            assert!(error.message().starts_with("it is no picture that can be read: "), "{error}");
            assert!(error.message().ends_with(why), "{error}");
        }
        assert_eq!(layout(&[16_384, 16_384, 3]).unwrap_err().kind(), ErrorKind::Shape);
    }

    #[test]
    fn what_is_no_picture_is_named() {
        let path = std::env::temp_dir().join(format!("footlight-{}-text.png", std::process::id()));
        std::fs::write(&path, "P3 not a picture").unwrap();
        let error = Picture::open(&path, &[28, 28]).unwrap_err();
        assert!(error.message().starts_with(&format!("`{}`: it is no picture", path.display())), "{error}");
        std::fs::remove_file(&path).unwrap();
        assert!(Picture::open(&path, &[28, 28]).unwrap_err().message().contains("cannot read it"));
        assert_eq!(Picture::open(&path, &[3, 4, 5]).unwrap_err().kind(), ErrorKind::Shape);
        assert_eq!(Picture::open(&path, &[5]).unwrap_err().kind(), ErrorKind::Shape);
    }
}
