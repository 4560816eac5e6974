//! A convolution that only a pooling reads, and its gradients: each is two ops in one, so that what no window takes is
//! not written, and what would be multiplied by zero is not computed.
//!
//! # Numerics
//! The same sums in another order. A term that is left out is a product with zero: where its other factor is not finite,
//! the two ops would answer NaN. That factor is an input, so the op that made it is the first to be reported.

use super::conv::{Case, cases, spatial_of};
use super::{
    Backward, Conv, ConvGeometry, ConvInputGradient, ConvKernelGradient, Gradient, MaxPool, OpRule, PoolScatter,
    Sample, SampleInput, Windows, arity,
};
use crate::{Type, Value};

/// [`MaxPool`] of [`Conv`]: the maxima of windows of a convolution, and where they are among its positions.
///
/// # Shapes
/// `x`: `[N, spatial..., C]`, `w`: `[window..., C / groups, F]`, outputs `[N, out..., F]`: maxima as f32 and positions as i32.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvMaxPool {
    /// The convolution.
    pub conv: Conv,
    /// The windows.
    pub pool: MaxPool,
}

/// [`ConvInputGradient`] of [`PoolScatter`]: the gradient by the input where that by the output is `dy` at `positions` and 0
/// elsewhere.
///
/// # Shapes
/// `dy` and positions: `[N, out..., F]`, `w`: `[window..., C / groups, F]`, output `[N, spatial..., C]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScatterInputGradient {
    /// The gradient of the convolution.
    pub of: ConvInputGradient,
}

/// [`ConvKernelGradient`] of [`PoolScatter`]: the gradient by the kernel where that by the output is `dy` at `positions` and
/// 0 elsewhere.
///
/// # Shapes
/// `x`: `[N, spatial..., C]`, `dy` and positions: `[N, out..., F]`, output `[chunks * window... * C / groups, F]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScatterKernelGradient {
    /// The gradient of the convolution.
    pub of: ConvKernelGradient,
}

/// The type of `dy` at `positions`, where a kernel is laid over images of these extents.
fn scattered(
    [dy, positions]: [&Type; 2],
    geometry: &ConvGeometry,
    spatial: &[usize],
    window: &[usize],
) -> Result<Type, String> {
    let spatial = geometry.output(spatial, window)?;
    Ok(PoolScatter { spatial }.infer(&[dy, positions])?.remove(0))
}

/// Windows of `axes` axes: apart and beyond an edge, with positions between them, overlapping, over all.
fn windows(axes: usize, which: usize) -> Vec<Windows> {
    let even = |size, stride, padding| Windows::Even { size, stride, padding };
    let all = [even(2, 2, [1, 0]), even(1, 2, [0, 0]), even(2, 1, [1, 0]), Windows::Adaptive(1)];
    (0..axes).map(|axis| all[(which + axis) % all.len()]).collect()
}

fn uniform(shape: Vec<usize>) -> SampleInput {
    SampleInput::Uniform(shape, -2.0, 2.0)
}

/// A gradient of two outputs for each image, and their positions: inside, outside and twice the same.
fn of_outputs(case: &Case) -> [SampleInput; 2] {
    let axes = case.geometry.axes();
    let shape = [&[2, 2], vec![1; axes - 1].as_slice(), &case.y[axes + 1..]].concat();
    let places: usize = case.y[1..=axes].iter().product();
    [uniform(shape.clone()), SampleInput::Index(shape, places as i32 + 1)]
}

impl ConvMaxPool {
    /// The convolutions of [`Conv`] under several windows.
    pub fn samples() -> Vec<Sample> {
        let sample = |(i, c): (usize, Case)| {
            let pool = MaxPool { windows: windows(c.geometry.axes(), i) };
            let op = ConvMaxPool { conv: Conv { geometry: c.geometry }, pool };
            Sample { op: op.into(), inputs: vec![uniform(c.x), uniform(c.w)] }
        };
        cases().into_iter().enumerate().map(sample).collect()
    }
}

impl OpRule for ConvMaxPool {
    fn name(&self) -> &'static str {
        "conv_max_pool"
    }
    fn attributes(&self) -> String {
        format!("{}, {}", self.conv.attributes(), self.pool.attributes())
    }
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, String> {
        self.pool.infer(&[&self.conv.infer(inputs)?[0]])
    }
    fn gradient(&self, cx: Backward<'_>) -> Gradient {
        let Some(dy) = cx.dy[0] else { return Gradient::Inputs(vec![None, None]) };
        let (g, geometry, x, w) = (cx.graph, &self.conv.geometry, cx.inputs[0], cx.inputs[1]);
        let (spatial, kernel) = (spatial_of(&g.shape(x), 1), g.shape(w));
        let Ok(places) = geometry.output(&spatial, &spatial_of(&kernel, 0)) else {
            return Gradient::Inputs(vec![None, None]);
        };
        let dy = g.pool_scatter(dy, cx.outputs[1], &places);
        let dx = g.conv_input_gradient(dy, w, geometry.clone(), spatial);
        Gradient::Inputs(vec![Some(dx), Some(g.conv_kernel_gradient(x, dy, geometry.clone(), kernel))])
    }
}

impl ScatterInputGradient {
    /// As of [`ConvInputGradient`].
    pub fn samples() -> Vec<Sample> {
        let sample = |c: Case| {
            let [dy, positions] = of_outputs(&c);
            let of = ConvInputGradient { spatial: spatial_of(&c.x, 1), geometry: c.geometry };
            Sample { op: ScatterInputGradient { of }.into(), inputs: vec![dy, positions, uniform(c.w)] }
        };
        cases().into_iter().map(sample).collect()
    }
}

impl OpRule for ScatterInputGradient {
    fn name(&self) -> &'static str {
        "scatter_input_gradient"
    }
    fn attributes(&self) -> String {
        self.of.attributes()
    }
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, String> {
        let [dy, positions, w] = arity(inputs)?;
        let dy = scattered([dy, positions], &self.of.geometry, &self.of.spatial, &spatial_of(&w.shape, 0))?;
        self.of.infer(&[&dy, w])
    }
    fn gradient(&self, cx: Backward<'_>) -> Gradient {
        let Some(dx) = cx.dy[0] else { return Gradient::Inputs(vec![None; 3]) };
        let (g, geometry, [dy, positions, w]) = (cx.graph, &self.of.geometry, [0, 1, 2].map(|i: usize| cx.inputs[i]));
        let by_dy = g.conv(dx, w, geometry.clone());
        let (places, kernel) = (spatial_of(&g.shape(by_dy), 1), g.shape(w));
        let dy = g.pool_scatter(dy, positions, &places);
        let by_w = g.conv_kernel_gradient(dx, dy, geometry.clone(), kernel);
        Gradient::Inputs(vec![Some(g.pool_gather(by_dy, positions)), None, Some(by_w)])
    }
}

impl ScatterKernelGradient {
    /// As of [`ConvKernelGradient`], in one sum and in two.
    pub fn samples() -> Vec<Sample> {
        let sample = |c: &Case, chunks: usize| {
            let [dy, positions] = of_outputs(c);
            let of = ConvKernelGradient { geometry: c.geometry.clone(), window: spatial_of(&c.w, 0), chunks };
            Sample { op: ScatterKernelGradient { of }.into(), inputs: vec![uniform(c.x.clone()), dy, positions] }
        };
        cases().into_iter().flat_map(|c| [1, 2].map(|chunks| sample(&c, chunks))).collect()
    }
}

impl OpRule for ScatterKernelGradient {
    fn name(&self) -> &'static str {
        "scatter_kernel_gradient"
    }
    fn attributes(&self) -> String {
        self.of.attributes()
    }
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, String> {
        let [x, dy, positions] = arity(inputs)?;
        let dy = scattered([dy, positions], &self.of.geometry, &spatial_of(&x.shape, 1), &self.of.window)?;
        self.of.infer(&[x, &dy])
    }
    fn gradient(&self, cx: Backward<'_>) -> Gradient {
        if self.of.chunks != 1 {
            return Gradient::NotDifferentiable("chunks are made after gradients are taken");
        }
        let Some(dw) = cx.dy[0] else { return Gradient::Inputs(vec![None; 3]) };
        let (g, geometry, [x, dy, positions]) = (cx.graph, &self.of.geometry, [0, 1, 2].map(|i: usize| cx.inputs[i]));
        let (image, output) = (g.shape(x), g.shape(dy));
        let (Some(channels), Some(filters)) = (image.last(), output.last()) else {
            return Gradient::Inputs(vec![None; 3]);
        };
        let kernel: Vec<usize> = [self.of.window.as_slice(), &[channels / geometry.groups, *filters]].concat();
        let dw = g.reshape(dw, kernel);
        let by_dy: Value = g.conv(x, dw, geometry.clone());
        let places = spatial_of(&g.shape(by_dy), 1);
        let dy = g.pool_scatter(dy, positions, &places);
        let by_x = g.conv_input_gradient(dy, dw, geometry.clone(), spatial_of(&image, 1));
        Gradient::Inputs(vec![Some(by_x), Some(g.pool_gather(by_dy, positions)), None])
    }
}
