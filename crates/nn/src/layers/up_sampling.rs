//! Axes made longer, by repetition or interpolation.

use crate::config::{Config, Reader, config};
use crate::layer::{Call, Common, Layer, Masked, common_methods, layer_basics};
use crate::layers::along::along;
use crate::layers::spatial::{channels_last, spatial};
use crate::{Error, suggest};
use footlight_graph::{Builder, Value};

/// How values between those of a picture are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Interpolation {
    /// That of the nearest: each is repeated.
    #[default]
    Nearest,
    /// Linear along each axis between the centres of neighbours; beyond the outermost centres it stays.
    Bilinear,
    /// By Keys' cubic of the four nearest centres along each axis; beyond the outermost ones the weights that are left are
    /// made to sum to 1.
    Bicubic,
    /// As bicubic, by Lanczos' window of three centres on each side.
    Lanczos3,
    /// By Lanczos' window of five centres on each side.
    Lanczos5,
}

impl Interpolation {
    const NAMES: [(&str, Interpolation); 5] = [
        ("nearest", Interpolation::Nearest),
        ("bilinear", Interpolation::Bilinear),
        ("bicubic", Interpolation::Bicubic),
        ("lanczos3", Interpolation::Lanczos3),
        ("lanczos5", Interpolation::Lanczos5),
    ];

    fn name(self) -> &'static str {
        Interpolation::NAMES.iter().find(|(_, kind)| *kind == self).map_or("nearest", |(name, _)| name)
    }

    fn read(read: &mut Reader<'_>) -> Result<Interpolation, Error> {
        let name = read.string_or("interpolation", "nearest")?;
        let found = Interpolation::NAMES.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind);
        found.ok_or_else(|| suggest::unknown("interpolation", &name, &Interpolation::NAMES.map(|(known, _)| known)))
    }

    /// `x` with `size` times the extent along `axis`.
    fn lower(self, g: &mut Builder, x: Value, axis: usize, size: usize) -> Value {
        let shape = g.shape(x);
        if size == 1 || axis >= shape.len() {
            return x;
        }
        // Each position becomes a group of `size`.
        let (before, after) = (&shape[..=axis], &shape[axis + 1..]);
        let single = [before, &[1], after].concat();
        let groups = match self {
            Interpolation::Nearest => {
                let x = g.reshape(x, single);
                g.broadcast(x, [before, &[size], after].concat())
            }
            Interpolation::Bilinear => {
                let last = shape[axis] - 1;
                let (first, most) = (g.slice_axis(x, axis, 0..1), g.slice_axis(x, axis, 0..last));
                let previous = if last == 0 { x } else { g.concat(&[first, most], axis) };
                let (rest, end) = (g.slice_axis(x, axis, 1..last + 1), g.slice_axis(x, axis, last..last + 1));
                let next = if last == 0 { x } else { g.concat(&[rest, end], axis) };
                let parts: Vec<Value> = (0..size)
                    .map(|i| {
                        // The distance of centre `i` of the group from the centre of the position itself.
                        let distance = (i as f32 + 0.5) / size as f32 - 0.5;
                        let own = g.mul_scalar(x, 1.0 - distance.abs());
                        let other = g.mul_scalar(if distance < 0.0 { previous } else { next }, distance.abs());
                        let part = g.add(own, other);
                        g.reshape(part, single.clone())
                    })
                    .collect();
                g.concat(&parts, axis + 1)
            }
            Interpolation::Bicubic => return weighed(g, x, axis, size, cubic),
            Interpolation::Lanczos3 => return weighed(g, x, axis, size, |x| lanczos(x, 3.0)),
            Interpolation::Lanczos5 => return weighed(g, x, axis, size, |x| lanczos(x, 5.0)),
        };
        let mut longer = shape;
        longer[axis] *= size;
        g.reshape(groups, longer)
    }
}

/// `x` with `size` times the extent along `axis`, each value a sum of all along it by their distances.
fn weighed(g: &mut Builder, x: Value, axis: usize, size: usize, weight: impl Fn(f64) -> f64) -> Value {
    let count = g.shape(x)[axis];
    let row = |to: usize| {
        let centre = (to as f64 + 0.5) / size as f64 - 0.5;
        let weights: Vec<f64> = (0..count).map(|from| weight((centre - from as f64).abs())).collect();
        let sum: f64 = weights.iter().sum();
        weights.into_iter().map(move |weight| (weight / sum) as f32)
    };
    let weights: Vec<f32> = (0..count * size).flat_map(row).collect();
    let weights = g.literal([count * size, count], weights);
    along(g, x, &[axis], |g, x| g.matmul_broadcast(x, weights, false, true))
}

/// Keys' cubic with `a = -1/2`.
///
/// # References
/// Keys (1981), "Cubic convolution interpolation for digital image processing", equation 15.
fn cubic(x: f64) -> f64 {
    match x {
        x if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
        x if x < 2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
        _ => 0.0,
    }
}

/// `sinc(x) sinc(x / radius)` within the radius.
fn lanczos(x: f64, radius: f64) -> f64 {
    let sinc = |x: f64| if x == 0.0 { 1.0 } else { (std::f64::consts::PI * x).sin() / (std::f64::consts::PI * x) };
    if x < radius { sinc(x) * sinc(x / radius) } else { 0.0 }
}

/// How many times as long each of `D` axes becomes: one factor for all, or one for each.
///
/// # Examples
/// ```
/// use footlight_nn::Factors;
/// assert_eq!(Factors::<2>::from(3), Factors::from([3, 3]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Factors<const D: usize>([usize; D]);

impl<const D: usize> From<usize> for Factors<D> {
    fn from(all: usize) -> Factors<D> {
        Factors([all; D])
    }
}

impl<const D: usize> From<[usize; D]> for Factors<D> {
    fn from(axes: [usize; D]) -> Factors<D> {
        Factors(axes)
    }
}

impl<const D: usize> Factors<D> {
    fn read(read: &mut Reader<'_>) -> Result<Factors<D>, Error> {
        match read.extents("size")?.as_deref() {
            None => Ok(Factors([2; D])),
            Some([size]) => Ok(Factors([*size; D])),
            Some(sizes) => sizes.try_into().map(Factors).map_err(|_| {
                Error::config(format!("size = {sizes:?} must be one factor or {D} of them")).in_key("size")
            }),
        }
    }

    fn check(&self) -> Result<(), Error> {
        if self.0.contains(&0) {
            return Err(Error::config(format!("size = {:?}: each factor must be at least 1", self.0)).in_key("size"));
        }
        Ok(())
    }
}

macro_rules! up_sampling {
    ($(#[$doc:meta])* $layer:ident, $class:literal, $axes:literal $(, $interpolation:ident)?) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $layer {
            common: Common,
            size: Factors<$axes>,
            $($interpolation: Interpolation,)?
        }

        common_methods!($layer);

        impl $layer {
            /// A layer that makes the axes longer by the factors of `size`.
            pub fn new(size: impl Into<Factors<$axes>>) -> $layer {
                $layer { common: Common::default(), size: size.into(), $($interpolation: Interpolation::Nearest)? }
            }

            $(
                /// How values between are found; default nearest.
                pub fn $interpolation(mut self, $interpolation: Interpolation) -> $layer {
                    self.$interpolation = $interpolation;
                    self
                }
            )?

            pub(crate) fn from_config(read: &mut Reader<'_>) -> Result<$layer, Error> {
                if $axes > 1 {
                    channels_last(read)?;
                }
                let layer = $layer::new(Factors::read(read)?);
                $(let layer = layer.$interpolation(Interpolation::read(read)?);)?
                Ok(layer)
            }

            fn kind(&self) -> Interpolation {
                #[allow(unused_variables)]
                let kind = Interpolation::Nearest;
                $(let kind = self.$interpolation;)?
                kind
            }
        }

        impl Layer for $layer {
            layer_basics!($class);

            fn config(&self) -> Config {
                let mut config = match self.size.0.as_slice() {
                    [size] => config! { "size": size },
                    sizes => config! { "size": sizes, "data_format": "channels_last" },
                };
                let _ = &mut config;
                $(config.insert("interpolation".into(), self.$interpolation.name().into());)?
                config
            }

            fn check(&self) -> Result<(), Error> {
                self.size.check()
            }

            fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, Error> {
                let (extents, channels) = spatial::<$axes>(input)?;
                let longer = extents.iter().zip(&self.size.0).map(|(extent, size)| extent.saturating_mul(*size));
                Ok(longer.chain([channels]).collect())
            }

            fn call(&self, cx: &mut Call<'_>, input: Masked) -> Masked {
                let sizes = (1..).zip(self.size.0).collect::<Vec<_>>().into_iter().rev();
                let lower = |x, (axis, size)| self.kind().lower(cx.graph, x, axis, size);
                Masked::new(sizes.fold(input.value, lower))
            }
        }
    };
}

up_sampling! {
    /// Repeats each step of a sequence `size` times.
    ///
    /// # Shapes
    /// Input `[N, T, C]`, output `[N, T size, C]`.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Layer, UpSampling1D};
    /// assert_eq!(UpSampling1D::new(2).output_shape(&[10, 4]).unwrap(), [20, 4]);
    /// ```
    UpSampling1D, "UpSampling1D", 1
}

up_sampling! {
    /// Makes pictures `size` times as high and wide.
    ///
    /// # Shapes
    /// Input `[N, H, W, C]`, output `[N, H size[0], W size[1], C]`.
    ///
    /// # Arguments
    /// `size`: at least 1 each; Keras' default is 2. `interpolation`: nearest by default.
    ///
    /// # Differences
    /// Bicubic and Lanczos are those of Keras on JAX; its other backends differ at the edges.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Layer, UpSampling2D};
    /// assert_eq!(UpSampling2D::new([2, 3]).output_shape(&[10, 10, 3]).unwrap(), [20, 30, 3]);
    /// ```
    UpSampling2D, "UpSampling2D", 2, interpolation
}

up_sampling! {
    /// Repeats along three axes, such as those of films.
    ///
    /// # Shapes
    /// Input `[N, D, H, W, C]`, output longer along `D`, `H` and `W` by the factors of `size`.
    ///
    /// # Examples
    /// ```
    /// use footlight_nn::{Layer, UpSampling3D};
    /// assert_eq!(UpSampling3D::new([1, 2, 2]).output_shape(&[4, 5, 6, 3]).unwrap(), [4, 10, 12, 3]);
    /// ```
    UpSampling3D, "UpSampling3D", 3
}
