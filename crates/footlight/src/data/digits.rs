//! Generated handwritten-looking digits, for machines that have neither the files nor a network.
//!
//! Every digit is a few pen strokes whose control points wander; the strokes are bent by a smooth random field, turned,
//! sheared, scaled and moved, then drawn with a soft pen on 28 x 28 bytes, background 0, as in MNIST. They are *not*
//! MNIST, and no result on them is one on MNIST; they are about as hard. Trained on 60,000 of them, multinomial
//! logistic regression gets 89 to 90 % of 10,000 others right, a network with one hidden layer of 128 about 97.4 %.
//!
//! A picture is a function of (seed, part, index) alone, and only operations that IEEE 754 rounds exactly are used (no
//! library sine or logarithm), so any number of threads on any machine makes the same bytes.

use std::thread;

use footlight_tensor::{Philox, RandomKey, Tensor};

use super::glyphs::{
    GLYPHS, Point,
    Stroke::{self, Curve, Line},
};

/// The side of a picture in pixels.
pub const SIDE: usize = 28;
/// The number of classes.
pub const NUM_CLASSES: usize = 10;
const PIXELS: usize = SIDE * SIDE;

/// Which of the two disjoint streams of digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Digits to learn from.
    Train,
    /// Digits to test with.
    Test,
}

/// Makes `count` digits: pictures `[count, 28, 28]` and labels `[count]`, both of bytes.
///
/// The result does not depend on `num_threads`; 0 stands for one per core.
///
/// # Examples
/// ```
/// use footlight::data::digits::{Part, generate};
/// let (x, y) = generate(0, Part::Train, 3, 1);
/// assert_eq!((x.shape(), y.shape()), (&[3, 28, 28][..], &[3][..]));
/// ```
pub fn generate(seed: u64, part: Part, count: usize, num_threads: usize) -> (Tensor, Tensor) {
    let name = match part {
        Part::Train => "train",
        Part::Test => "test",
    };
    let key = RandomKey::new(seed).child("digits").child(name);
    let mut pictures = vec![0u8; count * PIXELS];
    let mut labels = vec![0u8; count];
    let num_threads = match num_threads {
        0 => thread::available_parallelism().map_or(1, |n| n.get()),
        n => n,
    };
    let share = count.div_ceil(num_threads).max(1);
    thread::scope(|scope| {
        for (worker, (pictures, labels)) in
            pictures.chunks_mut(share * PIXELS).zip(labels.chunks_mut(share)).enumerate()
        {
            scope.spawn(move || {
                let mut writer = Writer::new();
                for (i, (picture, label)) in pictures.chunks_exact_mut(PIXELS).zip(labels).enumerate() {
                    let mut random = Random(Philox::new(key.at((worker * share + i) as u64)));
                    *label = random.below(NUM_CLASSES) as u8;
                    writer.write(usize::from(*label), &mut random, picture);
                }
            });
        }
    });
    (
        Tensor::new([count, SIDE, SIDE], pictures).expect("as many bytes as pixels"),
        Tensor::new([count], labels).expect("one label each"),
    )
}

/// Pixels from the middle of a glyph to its top.
const HALF_HEIGHT: f32 = 9.3;
/// Standard deviation of each control point, in glyph units.
const WANDER: f32 = 0.06;
/// Standard deviation of the height of the waves that bend, in glyph units.
const BEND: f32 = 0.08;
/// Standard deviation of the turn in radians.
const TURN: f32 = 0.18;
/// Standard deviation of the slant, across per down.
const SHEAR: f32 = 0.2;
/// Standard deviation of the width; the height has half of it.
const STRETCH: f32 = 0.12;
/// Standard deviation of the place in pixels.
const MOVE: f32 = 0.9;
/// Standard deviation of the grain of the ink.
const GRAIN: f32 = 0.1;
/// Segments between two control points of a curve.
const CURVE_STEPS: usize = 4;

/// Draws one digit after another with the same buffers.
struct Writer {
    points: Vec<Point>,
    ink: [f32; PIXELS],
}

impl Writer {
    fn new() -> Writer {
        Writer { points: Vec::with_capacity(128), ink: [0.0; PIXELS] }
    }

    fn write(&mut self, digit: usize, random: &mut Random, picture: &mut [u8]) {
        let variants = GLYPHS[digit];
        let strokes = variants[random.below(variants.len())];
        let field = Field::new(random);
        let place = Place::new(random);
        let pen = Pen::new(random);
        self.ink.fill(0.0);
        for stroke in strokes {
            self.trace(stroke, random);
            for point in &mut self.points {
                *point = place.apply(field.bend(*point));
            }
            for pair in self.points.windows(2) {
                pen.draw(pair[0], pair[1], &mut self.ink);
            }
        }
        for (pixel, &ink) in picture.iter_mut().zip(&self.ink) {
            let shade = if ink > 0.0 { ink * pen.strength + GRAIN * ink * random.bell() } else { 0.0 };
            *pixel = (shade.clamp(0.0, 1.0) * 255.0 + 0.5) as u8;
        }
    }

    /// Puts the wandering path of `stroke` into `points`, fine enough to be drawn straight.
    fn trace(&mut self, stroke: &Stroke, random: &mut Random) {
        let (Line(controls) | Curve(controls)) = stroke;
        let mut wandering = [[0.0; 2]; 16];
        for (point, control) in wandering.iter_mut().zip(*controls) {
            *point = [control[0] + WANDER * random.bell(), control[1] + WANDER * random.bell()];
        }
        let controls = &wandering[..controls.len()];
        self.points.clear();
        self.points.push(controls[0]);
        for i in 0..controls.len() - 1 {
            let (from, to) = (controls[i], controls[i + 1]);
            let before = controls[i.saturating_sub(1)];
            let after = controls[(i + 2).min(controls.len() - 1)];
            for step in 1..=CURVE_STEPS {
                let t = step as f32 / CURVE_STEPS as f32;
                self.points.push(match stroke {
                    Line(_) => [0, 1].map(|k| from[k] + t * (to[k] - from[k])),
                    Curve(_) => [0, 1].map(|k| catmull_rom(before[k], from[k], to[k], after[k], t)),
                });
            }
        }
    }
}

/// The Catmull-Rom spline from `p1` at `t = 0` to `p2` at `t = 1`.
fn catmull_rom(p0: f32, p1: f32, p2: f32, p3: f32, t: f32) -> f32 {
    let (a, b) = (2.0 * p0 - 5.0 * p1 + 4.0 * p2 - p3, 3.0 * (p1 - p2) + p3 - p0);
    p1 + 0.5 * t * (p2 - p0 + t * (a + t * b))
}

/// A smooth random displacement: two plane waves for each axis.
struct Field {
    waves: [[f32; 4]; 4],
}

impl Field {
    fn new(random: &mut Random) -> Field {
        let waves = std::array::from_fn(|_| {
            [BEND * random.bell(), 0.35 * random.bell(), 0.35 * random.bell(), random.0.uniform()]
        });
        Field { waves }
    }

    fn bend(&self, [x, y]: Point) -> Point {
        let wave = |[height, along_x, along_y, phase]: [f32; 4]| height * sine(along_x * x + along_y * y + phase);
        [x + wave(self.waves[0]) + wave(self.waves[1]), y + wave(self.waves[2]) + wave(self.waves[3])]
    }
}

/// A wave of period 1 and height 1 made of parabolas, close to a sine.
fn sine(turns: f32) -> f32 {
    let u = turns - turns.floor();
    if u < 0.5 { 16.0 * u * (0.5 - u) } else { -16.0 * (u - 0.5) * (1.0 - u) }
}

/// Where on the paper: turned, sheared, stretched, moved.
struct Place {
    matrix: [[f32; 2]; 2],
    middle: Point,
}

impl Place {
    fn new(random: &mut Random) -> Place {
        let turn = TURN * random.bell();
        // Taylor's polynomials are a rotation to four digits for turns below one radian.
        let square = turn * turn;
        let (sin, cos) =
            (turn * (1.0 - square / 6.0 + square * square / 120.0), 1.0 - square / 2.0 + square * square / 24.0);
        let shear = SHEAR * random.bell();
        let size = HALF_HEIGHT * (1.0 + 0.5 * STRETCH * random.bell());
        let width = size * (1.0 + STRETCH * random.bell());
        let (x_from_x, x_from_y) = (width, -shear * width);
        let matrix = [[cos * x_from_x, cos * x_from_y - sin * size], [sin * x_from_x, sin * x_from_y + cos * size]];
        let middle = [0, 1].map(|_| (SIDE as f32 - 1.0) / 2.0 + MOVE * random.bell());
        Place { matrix, middle }
    }

    fn apply(&self, [x, y]: Point) -> Point {
        [0, 1].map(|k| self.middle[k] + self.matrix[k][0] * x + self.matrix[k][1] * y)
    }
}

/// A round pen with a soft edge.
struct Pen {
    radius: f32,
    /// Over how many pixels the ink fades out.
    softness: f32,
    strength: f32,
}

impl Pen {
    fn new(random: &mut Random) -> Pen {
        Pen {
            radius: 0.55 + 0.9 * random.0.uniform(),
            softness: 0.9 + 0.7 * random.0.uniform(),
            strength: 0.75 + 0.3 * random.0.uniform(),
        }
    }

    /// Inks the pixels near the segment; where strokes cross the darker one stays.
    fn draw(&self, from: Point, to: Point, ink: &mut [f32; PIXELS]) {
        let reach = self.radius + self.softness;
        let span = |a: f32, b: f32| {
            let (first, last) = (a.min(b) - reach, a.max(b) + reach);
            first.max(0.0).ceil() as usize..(last.min(SIDE as f32 - 1.0).floor() + 1.0).max(0.0) as usize
        };
        let along = [to[0] - from[0], to[1] - from[1]];
        let length_squared = along[0] * along[0] + along[1] * along[1];
        let inverse = if length_squared > 0.0 { 1.0 / length_squared } else { 0.0 };
        let columns = span(from[0], to[0]);
        for row in span(from[1], to[1]) {
            let dy = row as f32 - from[1];
            for column in columns.clone() {
                let dx = column as f32 - from[0];
                let t = ((dx * along[0] + dy * along[1]) * inverse).clamp(0.0, 1.0);
                let (off_x, off_y) = (dx - t * along[0], dy - t * along[1]);
                let distance = (off_x * off_x + off_y * off_y).sqrt();
                let shade = ((reach - distance) / self.softness).min(1.0);
                let pixel = &mut ink[row * SIDE + column];
                *pixel = pixel.max(shade);
            }
        }
    }
}

/// Draws for one picture.
struct Random(Philox);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0.below(bound as u32) as usize
    }

    /// A bell of mean 0, standard deviation 1 and nothing beyond 3.5: the sum of four uniform numbers.
    fn bell(&mut self) -> f32 {
        let sum: f32 = (0..4).map(|_| self.0.uniform()).sum();
        (sum - 2.0) * 1.732_050_8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_bytes_for_any_number_of_threads() {
        let one = generate(5, Part::Train, 101, 1);
        for num_threads in [2, 3, 7, 200] {
            assert_eq!(generate(5, Part::Train, 101, num_threads), one, "{num_threads} threads");
        }
        assert_eq!(generate(5, Part::Train, 0, 2).0.shape(), [0, 28, 28]);
    }

    #[test]
    fn a_longer_run_begins_with_the_shorter_one() {
        let (short, long) = (generate(5, Part::Test, 10, 2).0.to_f32(), generate(5, Part::Test, 30, 2).0.to_f32());
        assert_eq!(long[..short.len()], short);
    }

    /// Results on generated digits are compared across versions, so a change of these bytes belongs in the changelog.
    #[test]
    fn the_bytes_stay_as_they_are() {
        let (x, y) = generate(0, Part::Train, 100, 2);
        let bytes = [x.to_f32(), y.to_f32()].concat();
        let hash = bytes.iter().fold(0u64, |hash, &byte| hash.wrapping_mul(0x100_0000_01b3) ^ byte as u64);
        assert_eq!(hash, 0x8b7d_089a_e8e8_6901);
    }

    #[test]
    fn seeds_and_parts_differ() {
        let base = generate(0, Part::Train, 20, 1);
        assert_ne!(generate(1, Part::Train, 20, 1), base);
        assert_ne!(generate(0, Part::Test, 20, 1), base);
    }

    #[test]
    fn pictures_have_ink_in_the_middle_an_empty_border_and_all_ten_labels() {
        let (x, y) = generate(0, Part::Train, 2_000, 2);
        let (x, y) = (x.to_f32(), y.to_f32());
        let mut counts = [0; NUM_CLASSES];
        y.iter().for_each(|&label| counts[label as usize] += 1);
        assert!(counts.iter().all(|&count| (140..260).contains(&count)), "{counts:?}");
        let mean = x.iter().sum::<f32>() / x.len() as f32 / 255.0;
        assert!((0.08..0.20).contains(&mean), "{mean}");
        let zeros = x.iter().filter(|&&pixel| pixel == 0.0).count() as f32 / x.len() as f32;
        assert!((0.6..0.9).contains(&zeros), "{zeros}");
        assert!(x.chunks(PIXELS).all(|picture| picture.iter().any(|&pixel| pixel > 150.0)));
    }
}
