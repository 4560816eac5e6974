//! Points and digits that the figures learn from.

use footlight::data::digits::{Part, generate};
use footlight::prelude::*;
use footlight::tensor::{Philox, RandomKey};

/// Inputs and targets.
pub type Pair = (Samples, Samples);

/// Rows of `width` numbers as samples.
pub fn rows(width: usize, numbers: Vec<f32>) -> Result<Samples> {
    Ok(Samples::from(Tensor::new([numbers.len() / width, width], numbers)?))
}

/// The same generated digits as the command's `digits` set, the first `count` of a part, pixels from 0 to 1.
pub fn digits(part: Part, count: usize) -> Pair {
    let (x, y) = generate(0, part, count, 0);
    (Samples::from(x) / 255.0, Samples::from(y))
}

/// Points in the square of side 2: class 1 where both coordinates have the same sign.
pub fn checkers(count: usize) -> Vec<([f32; 2], f32)> {
    let mut random = Philox::new(RandomKey::new(1).child("checkers"));
    let mut number = || 2.0 * random.uniform() - 1.0;
    let points = std::iter::repeat_with(|| [number(), number()]).filter(|[x, y]| x.abs().min(y.abs()) > 0.08);
    points.take(count).map(|[x, y]| ([x, y], f32::from(u8::from(x * y > 0.0)))).collect()
}

/// Two spirals, one per class, one and a quarter turns each.
pub fn spirals(count: usize) -> Vec<([f32; 2], f32)> {
    let mut random = Philox::new(RandomKey::new(2).child("spirals"));
    let point = |index: usize| {
        let class = (index % 2) as f64;
        let along = (index / 2) as f64 / (count / 2) as f64;
        let (radius, angle) = (0.12 + 0.82 * along, std::f64::consts::PI * (2.5 * along + class));
        let mut place = |at: f64| (at + 0.02 * random.normal()) as f32;
        ([place(radius * angle.cos()), place(radius * angle.sin())], class as f32)
    };
    (0..count).map(point).collect()
}

/// Points and classes as samples.
pub fn samples(points: &[([f32; 2], f32)]) -> Result<Pair> {
    let x = points.iter().flat_map(|(point, _)| *point).collect();
    Ok((rows(2, x)?, rows(1, points.iter().map(|(_, class)| *class).collect())?))
}

/// 64 points near the line `y = 2 x - 1`, `x` from 0 to 2.
pub fn noisy_line() -> Result<Pair> {
    let mut random = Philox::new(RandomKey::new(3).child("line"));
    let x: Vec<f32> = (0..64).map(|_| 2.0 * random.uniform()).collect();
    let y = x.iter().map(|x| 2.0 * x - 1.0 + 0.2 * random.normal() as f32).collect();
    Ok((rows(1, x)?, rows(1, y)?))
}
