//! Samples as a picture: tiles side by side.

use std::io::Cursor;
use std::path::Path;

use footlight_nn::file::write_atomically;
use footlight_tensor::Tensor;
use image::{ImageFormat, Rgb, RgbImage};

use super::picture::layout;
use crate::{Error, ErrorKind, Result};

/// Pixels between two tiles.
const GAP: u32 = 2;

/// Writes samples as one PNG of `columns` tiles a row, filled row by row.
///
/// `samples` is `[N, H, W]`, `[N, H, W, 1]`, `[N, H, W, 3]`, or `[N, H * W]` if that is a square; numbers go from 0 (black)
/// to 1 (white), those outside are brought inside. The file is there whole or not at all.
///
/// # Errors
/// `ErrorKind::Shape` for samples that fill no picture, none at all, or a grid of more than 16,384 pixels a side;
/// `ErrorKind::File` when it cannot be written.
///
/// # Examples
/// ```
/// use footlight::{data, tensor::Tensor};
/// let path = std::env::temp_dir().join(format!("footlight-doc-{}.png", std::process::id()));
/// data::write_grid(&path, &Tensor::new([6, 8, 8], vec![0.5f32; 6 * 64])?, 3)?;
/// assert_eq!(data::Picture::open(&path, &[18, 28])?.size, (28, 18));
/// # std::fs::remove_file(&path).unwrap();
/// # Ok::<(), footlight::Error>(())
/// ```
pub fn write_grid(path: impl AsRef<Path>, samples: &Tensor, columns: usize) -> Result<()> {
    let path = path.as_ref();
    let fault = |message: &str| Error::new(ErrorKind::Shape, format!("`{}`: {message}", path.display()));
    let (&count, sample) = samples.shape().split_first().ok_or_else(|| fault("one number is no picture"))?;
    let (width, height, channels) = layout(sample)?;
    let columns = columns.clamp(1, count.max(1));
    let side = |tiles: usize, extent: u32| {
        let pixels = (extent + GAP).checked_mul(u32::try_from(tiles).ok()?)?.checked_sub(GAP)?;
        (pixels <= super::picture::LARGEST_EXTENT).then_some(pixels)
    };
    let sides = side(columns, width).zip(side(count.div_ceil(columns), height));
    let (full_width, full_height) = sides.ok_or_else(|| fault("no tiles, or more than fit 16,384 pixels a side"))?;
    let mut grid = RgbImage::from_pixel(full_width, full_height, Rgb([128; 3]));
    let values = samples.to_f32();
    let pixels = values.chunks_exact(channels as usize).enumerate();
    for (index, pixel) in pixels {
        let (tile, within) = (index / (width * height) as usize, index as u32 % (width * height));
        let x = (tile % columns) as u32 * (width + GAP) + within % width;
        let y = (tile / columns) as u32 * (height + GAP) + within / width;
        let level = |channel: u32| (pixel[channel.min(channels - 1) as usize].clamp(0.0, 1.0) * 255.0).round() as u8;
        grid.put_pixel(x, y, Rgb([0, 1, 2].map(level)));
    }
    let mut bytes = Cursor::new(Vec::new());
    let encoded = grid.write_to(&mut bytes, ImageFormat::Png);
    encoded.map_err(|error| Error::new(ErrorKind::File, format!("`{}`: {error}", path.display())))?;
    Ok(write_atomically(path, bytes.get_ref())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_lie_row_by_row_with_gaps_between() {
        let path = std::env::temp_dir().join(format!("footlight-grid-{}.png", std::process::id()));
        let tile = |level: f32| [level; 4];
        let samples = [tile(0.0), tile(1.0), tile(2.0)].concat();
        write_grid(&path, &Tensor::new([3, 2, 2], samples).unwrap(), 2).unwrap();
        let picture = image::open(&path).unwrap().into_luma8();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(picture.dimensions(), (6, 6));
        let at = |x, y| picture.get_pixel(x, y).0[0];
        assert_eq!([at(0, 0), at(1, 1), at(2, 0), at(4, 0), at(0, 4), at(4, 4)], [0, 0, 128, 255, 255, 128]);
    }

    #[test]
    fn what_fills_no_grid_is_refused() {
        let path = std::env::temp_dir().join("footlight-no-grid.png");
        for shape in [vec![], vec![0, 4], vec![2, 3], vec![70_000, 4]] {
            let tensor = Tensor::new(shape.clone(), vec![0.0f32; shape.iter().product()]).unwrap();
            assert_eq!(write_grid(&path, &tensor, 1).unwrap_err().kind(), ErrorKind::Shape, "{shape:?}");
        }
        assert!(!path.exists());
    }
}
