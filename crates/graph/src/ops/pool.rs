//! Pooling: maxima and means over windows of an image, and their gradients.

use super::{Backward, Gradient, OpRule, Sample, SampleInput, arity, require_f32, require_i32};
use crate::Type;
use footlight_tensor::display_shape;
use std::fmt;
use std::ops::Range;

/// The windows along one spatial axis; parts that lie outside of the input do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Windows {
    /// Of one size, at even distances.
    Even {
        /// Positions in a window.
        size: usize,
        /// Positions from one window to the next.
        stride: usize,
        /// How far windows reach out before and after the input.
        padding: [usize; 2],
    },
    /// As many as asked for, covering the input: window `i` of `n` goes from `floor(i L / n)` to `ceil((i + 1) L / n)`.
    Adaptive(usize),
}

/// The maximum of each window and where it is, as a position among all of one image: `p = (q_1 L_2 + q_2) L_3 + ...`.
///
/// # Shapes
/// `x`: `[N, spatial..., C]`, outputs `[N, out..., C]`: maxima as f32 and positions as i32.
///
/// # Numerics
/// The first of equal maxima is taken; the first NaN of a window wins over all numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaxPool {
    /// The windows of each spatial axis.
    pub windows: Vec<Windows>,
}

/// `y[n, o, c] = x[n, position[n, o, c], c]`, positions as [`MaxPool`] gives them; one outside of the image gives 0.
///
/// # Shapes
/// `x`: `[N, spatial..., C]`, positions `[N, out..., C]`, output of the shape of the positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolGather;

/// `x[n, position[n, o, c], c] += y[n, o, c]` on zeros, in ascending order of `o`; positions outside are left out.
///
/// # Shapes
/// `y` and positions: `[N, out..., C]`, output `[N, spatial..., C]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolScatter {
    /// The output's spatial extents.
    pub spatial: Vec<usize>,
}

/// The mean of each window: the sum of its positions inside the input over their number.
///
/// # Shapes
/// `x`: `[N, spatial..., C]`, output `[N, out..., C]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AveragePool {
    /// The windows of each spatial axis.
    pub windows: Vec<Windows>,
}

/// The gradient of [`AveragePool`]: each position gets `dy / count` of every window it is in.
///
/// # Shapes
/// `dy`: `[N, out..., C]`, output `[N, spatial..., C]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AveragePoolGradient {
    /// The windows of each spatial axis.
    pub windows: Vec<Windows>,
    /// The input's spatial extents.
    pub spatial: Vec<usize>,
}

impl Windows {
    /// The positions of each window on an axis of extent `length`.
    ///
    /// # Errors
    /// Numbers of which some window would have no position.
    pub fn ranges(&self, length: usize) -> Result<Vec<Range<usize>>, String> {
        match *self {
            Windows::Even { size, stride, padding: [low, high] } => {
                if size == 0 || stride == 0 || low >= size || high >= size {
                    return Err(format!(
                        "window {size}, stride {stride} and padding {low}, {high}: sizes and strides are at least 1, padding is less than the window"
                    ));
                }
                let Some(rest) = (length + low + high).checked_sub(size).filter(|_| length > 0) else {
                    return Err(format!(
                        "a window of {size} is larger than the padded input of {}",
                        length + low + high
                    ));
                };
                let range =
                    |i: usize| (i * stride).saturating_sub(low)..(i * stride + size).saturating_sub(low).min(length);
                Ok((0..rest / stride + 1).map(range).collect())
            }
            Windows::Adaptive(count) => {
                if count == 0 || length == 0 {
                    return Err(format!("{count} windows on {length} positions: both are at least 1"));
                }
                Ok((0..count).map(|i| i * length / count..((i + 1) * length).div_ceil(count)).collect())
            }
        }
    }
}

impl fmt::Display for Windows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Windows::Even { size, stride, padding: [0, 0] } => write!(f, "{size}/{stride}"),
            Windows::Even { size, stride, padding: [low, high] } => write!(f, "{size}/{stride}+{low}+{high}"),
            Windows::Adaptive(count) => write!(f, "adaptive {count}"),
        }
    }
}

fn attributes(windows: &[Windows]) -> String {
    let list: Vec<String> = windows.iter().map(Windows::to_string).collect();
    format!("windows=[{}]", list.join(", "))
}

/// The spatial extents of an image `[N, spatial..., C]`.
fn spatial(name: &str, image: &Type) -> Result<Vec<usize>, String> {
    require_f32(name, image)?;
    match image.shape.as_slice() {
        [_, spatial @ .., _] if !spatial.is_empty() => Ok(spatial.to_vec()),
        shape => Err(format!("{name} needs images, spatial axes and channels, got {}", display_shape(shape))),
    }
}

/// `image` with other spatial extents.
fn with_spatial(image: &Type, spatial: &[usize]) -> Vec<usize> {
    let channels = image.shape[image.rank() - 1];
    [&image.shape[..1], spatial, &[channels]].concat()
}

/// The shape of `image` when it is pooled.
fn pooled(windows: &[Windows], image: &Type) -> Result<Vec<usize>, String> {
    let spatial = spatial("x", image)?;
    if spatial.len() != windows.len() {
        return Err(format!("{} axes of windows for an image {}", windows.len(), display_shape(&image.shape)));
    }
    let count = |(axis, (windows, length)): (usize, (&Windows, &usize))| {
        windows.ranges(*length).map(|ranges| ranges.len()).map_err(|message| format!("spatial axis {axis}: {message}"))
    };
    let out: Result<Vec<usize>, String> = windows.iter().zip(&spatial).enumerate().map(count).collect();
    Ok(with_spatial(image, &out?))
}

/// Windows with the input's spatial extents, for samples.
fn cases() -> Vec<(Vec<Windows>, Vec<usize>)> {
    let even = |size, stride, padding| Windows::Even { size, stride, padding };
    vec![
        (vec![even(2, 2, [0, 0])], vec![5]),
        (vec![even(3, 2, [1, 1])], vec![5]),
        (vec![even(2, 2, [0, 0]); 2], vec![4, 5]),
        (vec![even(3, 1, [1, 1]), even(2, 3, [0, 1])], vec![3, 4]),
        (vec![Windows::Adaptive(2), Windows::Adaptive(3)], vec![5, 4]),
        (vec![even(2, 1, [0, 1]), even(1, 2, [0, 0]), even(2, 2, [0, 0])], vec![2, 3, 2]),
    ]
}

impl MaxPool {
    /// One to three axes; windows apart, overlapping, padded and adaptive.
    pub fn samples() -> Vec<Sample> {
        let sample = |(windows, spatial): (Vec<Windows>, Vec<usize>)| Sample {
            op: MaxPool { windows }.into(),
            inputs: vec![SampleInput::Apart([&[2], spatial.as_slice(), &[3]].concat())],
        };
        cases().into_iter().map(sample).collect()
    }
}

impl OpRule for MaxPool {
    fn name(&self) -> &'static str {
        "max_pool"
    }
    fn attributes(&self) -> String {
        attributes(&self.windows)
    }
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, String> {
        let [x] = arity(inputs)?;
        let shape = pooled(&self.windows, x)?;
        Ok(vec![Type::f32(shape.clone()), Type::i32(shape)])
    }
    fn gradient(&self, cx: Backward<'_>) -> Gradient {
        let shape = cx.graph.shape(cx.inputs[0]);
        let spatial = shape.get(1..shape.len().saturating_sub(1)).unwrap_or_default();
        Gradient::Inputs(vec![cx.dy[0].map(|dy| cx.graph.pool_scatter(dy, cx.outputs[1], spatial))])
    }
}

impl PoolGather {
    /// Positions inside and outside of the image.
    pub fn samples() -> Vec<Sample> {
        let inputs = vec![SampleInput::Uniform(vec![2, 3, 2, 3], -2.0, 2.0), SampleInput::Index(vec![2, 2, 2, 3], 8)];
        vec![Sample { op: PoolGather.into(), inputs }]
    }
}

impl OpRule for PoolGather {
    fn name(&self) -> &'static str {
        "pool_gather"
    }
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, String> {
        let [x, positions] = arity(inputs)?;
        spatial("x", x)?;
        require_i32("positions", positions)?;
        let ends = |ty: &Type| (ty.shape.first().copied(), ty.shape.last().copied());
        if ends(x) != ends(positions) || x.rank() != positions.rank() {
            let (x, positions) = (display_shape(&x.shape), display_shape(&positions.shape));
            return Err(format!("positions {positions} are not of the images and channels of {x}"));
        }
        Ok(vec![Type::f32(positions.shape.clone())])
    }
    fn gradient(&self, cx: Backward<'_>) -> Gradient {
        let shape = cx.graph.shape(cx.inputs[0]);
        let spatial = shape.get(1..shape.len().saturating_sub(1)).unwrap_or_default();
        Gradient::Inputs(vec![cx.dy[0].map(|dy| cx.graph.pool_scatter(dy, cx.inputs[1], spatial)), None])
    }
}

impl PoolScatter {
    /// Positions inside and outside of the image.
    pub fn samples() -> Vec<Sample> {
        let inputs = vec![SampleInput::Uniform(vec![2, 2, 2, 3], -2.0, 2.0), SampleInput::Index(vec![2, 2, 2, 3], 8)];
        vec![Sample { op: PoolScatter { spatial: vec![3, 2] }.into(), inputs }]
    }
}

impl OpRule for PoolScatter {
    fn name(&self) -> &'static str {
        "pool_scatter"
    }
    fn attributes(&self) -> String {
        format!("spatial={}", display_shape(&self.spatial))
    }
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, String> {
        let [y, positions] = arity(inputs)?;
        require_i32("positions", positions)?;
        let out = spatial("y", y)?;
        if y.shape != positions.shape || out.len() != self.spatial.len() {
            let (y, positions) = (display_shape(&y.shape), display_shape(&positions.shape));
            return Err(format!("{y} at positions {positions} does not fill {}", display_shape(&self.spatial)));
        }
        Ok(vec![Type::f32(with_spatial(y, &self.spatial))])
    }
    fn gradient(&self, cx: Backward<'_>) -> Gradient {
        Gradient::Inputs(vec![cx.dy[0].map(|dx| cx.graph.pool_gather(dx, cx.inputs[1])), None])
    }
}

impl AveragePool {
    /// As of [`MaxPool`].
    pub fn samples() -> Vec<Sample> {
        let sample = |(windows, spatial): (Vec<Windows>, Vec<usize>)| Sample {
            op: AveragePool { windows }.into(),
            inputs: vec![SampleInput::Uniform([&[2], spatial.as_slice(), &[3]].concat(), -2.0, 2.0)],
        };
        cases().into_iter().map(sample).collect()
    }
}

impl OpRule for AveragePool {
    fn name(&self) -> &'static str {
        "average_pool"
    }
    fn attributes(&self) -> String {
        attributes(&self.windows)
    }
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, String> {
        let [x] = arity(inputs)?;
        Ok(vec![Type::f32(pooled(&self.windows, x)?)])
    }
    fn gradient(&self, cx: Backward<'_>) -> Gradient {
        let shape = cx.graph.shape(cx.inputs[0]);
        let spatial = shape.get(1..shape.len().saturating_sub(1)).unwrap_or_default();
        Gradient::Inputs(vec![cx.dy[0].map(|dy| cx.graph.average_pool_gradient(dy, &self.windows, spatial))])
    }
}

impl AveragePoolGradient {
    /// As of [`MaxPool`].
    pub fn samples() -> Vec<Sample> {
        let sample = |(windows, spatial): (Vec<Windows>, Vec<usize>)| {
            let image = Type::f32([&[2], spatial.as_slice(), &[3]].concat());
            let dy = pooled(&windows, &image).expect("the cases fit");
            let op = AveragePoolGradient { windows, spatial };
            Sample { op: op.into(), inputs: vec![SampleInput::Uniform(dy, -2.0, 2.0)] }
        };
        cases().into_iter().map(sample).collect()
    }
}

impl OpRule for AveragePoolGradient {
    fn name(&self) -> &'static str {
        "average_pool_gradient"
    }
    fn attributes(&self) -> String {
        format!("spatial={}, {}", display_shape(&self.spatial), attributes(&self.windows))
    }
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, String> {
        let [dy] = arity(inputs)?;
        spatial("dy", dy)?;
        let image = Type::f32(with_spatial(dy, &self.spatial));
        let expected = pooled(&self.windows, &image)?;
        if expected != dy.shape {
            return Err(format!("dy must be {}, got {}", display_shape(&expected), display_shape(&dy.shape)));
        }
        Ok(vec![image])
    }
    fn gradient(&self, cx: Backward<'_>) -> Gradient {
        Gradient::Inputs(vec![cx.dy[0].map(|dx| cx.graph.average_pool(dx, &self.windows))])
    }
}
