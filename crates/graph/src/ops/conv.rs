//! Convolution and its gradients: three ops of one form that is linear in each of `x`, `w` and `dy`,
//!
//! `T = sum x[n, o s + k d - p, g I + i] w[k, i, g J + j] dy[n, o, g J + j]`
//!
//! over images `n`, output positions `o`, taps `k`, groups `g`, input channels `i` and output channels `j`, with strides
//! `s`, dilation `d`, padding `p`, and `x = 0` outside. The convolution is the gradient of `T` by `dy`, [`ConvInputGradient`]
//! by `x`, [`ConvKernelGradient`] by `w`; so the gradients of each are the two others.

use super::{Backward, Gradient, OpRule, Sample, SampleInput, arity, require_f32};
use crate::Type;
use footlight_tensor::display_shape;

/// How a kernel is laid over an image: one number per spatial axis, of which there are one to three.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvGeometry {
    /// Input positions from one output position to the next.
    pub strides: Vec<usize>,
    /// Input positions from one tap to the next.
    pub dilation: Vec<usize>,
    /// Zeros before and after the input.
    pub padding: Vec<[usize; 2]>,
    /// Groups of channels that do not see each other.
    pub groups: usize,
}

/// `y[n, o, g J + j] = sum_(k, i) x[n, o s + k d - p, g I + i] w[k, i, g J + j]`.
///
/// # Shapes
/// `x`: `[N, spatial..., C]`, `w`: `[window..., C / groups, F]`, output `[N, out..., F]` with
/// `out = (spatial + padding - d (window - 1) - 1) / s + 1`, rounded down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conv {
    /// How the kernel is laid over the image.
    pub geometry: ConvGeometry,
}

/// The gradient of [`Conv`] by its input, also called transposed convolution:
/// `dx[n, q, g I + i] = sum dy[n, o, g J + j] w[k, i, g J + j]` over all `o`, `k`, `j` with `o s + k d - p = q`.
///
/// # Shapes
/// `dy`: `[N, out..., F]`, `w`: `[window..., C / groups, F]`, output `[N, spatial..., C]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvInputGradient {
    /// How the kernel is laid over the image.
    pub geometry: ConvGeometry,
    /// The input's spatial extents: strides make several lead to the same output.
    pub spatial: Vec<usize>,
}

/// The gradient of [`Conv`] by its kernel: `dw[k, i, g J + j] = sum_(n, o) x[n, o s + k d - p, g I + i] dy[n, o, g J + j]`,
/// as a matrix whose rows are taps and channels.
///
/// With several chunks the images are shared out: chunk `c` of `P` sums those from `c N / P` to `(c + 1) N / P`, and the
/// whole is the sum of the chunks. Simplification makes them where the matrix has few rows to share out.
///
/// # Shapes
/// `x`: `[N, spatial..., C]`, `dy`: `[N, out..., F]`, output `[chunks * window... * C / groups, F]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvKernelGradient {
    /// How the kernel is laid over the image.
    pub geometry: ConvGeometry,
    /// The kernel's spatial extents.
    pub window: Vec<usize>,
    /// How many sums there are.
    pub chunks: usize,
}

impl ConvGeometry {
    /// Stride 1 without dilation, padding or groups, on `axes` spatial axes.
    pub fn new(axes: usize) -> ConvGeometry {
        ConvGeometry { strides: vec![1; axes], dilation: vec![1; axes], padding: vec![[0; 2]; axes], groups: 1 }
    }

    /// The number of spatial axes.
    pub fn axes(&self) -> usize {
        self.strides.len()
    }

    /// The output's spatial extents for an input and a kernel of these.
    ///
    /// # Errors
    /// Numbers that fit no convolution, or a kernel that is larger than the padded input, with its axis.
    pub fn output(&self, spatial: &[usize], window: &[usize]) -> Result<Vec<usize>, String> {
        let axes = self.axes();
        let counts = [self.dilation.len(), self.padding.len(), spatial.len(), window.len()];
        if !(1..=3).contains(&axes) || counts != [axes; 4] {
            return Err(format!("takes one to three spatial axes, got {axes} strides and {counts:?} other numbers"));
        }
        if self.strides.iter().chain(&self.dilation).chain(window).chain([&self.groups]).any(|&n| n == 0) {
            return Err("strides, dilation, window and groups are at least 1".into());
        }
        let extent = |axis: usize| {
            let span = self.dilation[axis] * (window[axis] - 1) + 1;
            let padded = spatial[axis] + self.padding[axis].iter().sum::<usize>();
            match padded.checked_sub(span) {
                Some(rest) => Ok(rest / self.strides[axis] + 1),
                None => {
                    Err(format!("the kernel spans {span} on spatial axis {axis}, the padded input {padded} of them"))
                }
            }
        };
        (0..axes).map(extent).collect()
    }

    fn attributes(&self) -> String {
        let mut list = vec![format!("strides={}", display_shape(&self.strides))];
        if self.dilation.iter().any(|&d| d != 1) {
            list.push(format!("dilation={}", display_shape(&self.dilation)));
        }
        if self.padding.iter().flatten().any(|&p| p != 0) {
            list.push(format!("padding={:?}", self.padding));
        }
        if self.groups != 1 {
            list.push(format!("groups={}", self.groups));
        }
        list.join(", ")
    }

    /// Requires what is common to all three ops of a float `image` and its channels per group.
    fn image<'a>(&self, name: &str, image: &'a Type) -> Result<Image<'a>, String> {
        require_f32(name, image)?;
        match image.shape.as_slice() {
            [images, spatial @ .., channels] if spatial.len() == self.axes() => {
                if !channels.is_multiple_of(self.groups.max(1)) {
                    return Err(format!("{channels} channels of {name} do not divide into {} groups", self.groups));
                }
                Ok(Image { images: *images, spatial, channels: *channels })
            }
            shape => {
                let want = self.axes();
                Err(format!("{name} needs images, {want} spatial axes and channels, got {}", display_shape(shape)))
            }
        }
    }

    /// Requires a kernel `[window..., C / groups, F]`.
    fn kernel<'a>(&self, kernel: &'a Type) -> Result<(&'a [usize], usize, usize), String> {
        require_f32("kernel", kernel)?;
        match kernel.shape.as_slice() {
            [window @ .., inner, filters] if window.len() == self.axes() => {
                if !filters.is_multiple_of(self.groups.max(1)) {
                    return Err(format!("{filters} filters do not divide into {} groups", self.groups));
                }
                Ok((window, *inner, *filters))
            }
            shape => {
                Err(format!("kernel needs {} spatial axes and two more, got {}", self.axes(), display_shape(shape)))
            }
        }
    }
}

/// Multiplications and additions of a convolution or one of its gradients; `None` for other ops. Terms with a zero beyond
/// the image are counted, those with a gradient that is scattered once for each of its elements.
pub fn convolution_flops(graph: &crate::Graph, node: &crate::Node) -> Option<f64> {
    let shape = |v: crate::Value| graph.type_of(v).shape.as_slice();
    let per_output = |kernel: &[usize]| kernel[..kernel.len() - 1].iter().product::<usize>();
    let (outputs, terms) = match &node.op {
        super::Op::Conv(_) => (node.outputs[0], per_output(shape(node.inputs[1]))),
        super::Op::ConvInputGradient(_) => (node.inputs[0], per_output(shape(node.inputs[1]))),
        super::Op::ConvKernelGradient(op) => (node.inputs[1], shape(node.outputs[0])[0] / op.chunks),
        super::Op::ConvMaxPool(op) => {
            let (x, w) = (graph.type_of(node.inputs[0]), graph.type_of(node.inputs[1]));
            let outputs = op.conv.infer(&[x, w]).map_or(0, |outputs| outputs[0].len());
            return Some(2.0 * outputs as f64 * per_output(&w.shape) as f64);
        }
        super::Op::ScatterInputGradient(_) => (node.inputs[0], per_output(shape(node.inputs[2]))),
        super::Op::ScatterKernelGradient(op) => (node.inputs[1], shape(node.outputs[0])[0] / op.of.chunks),
        _ => return None,
    };
    Some(2.0 * graph.type_of(outputs).len() as f64 * terms as f64)
}

struct Image<'a> {
    images: usize,
    spatial: &'a [usize],
    channels: usize,
}

impl Image<'_> {
    fn of(images: usize, spatial: &[usize], channels: usize) -> Type {
        Type::f32([&[images], spatial, &[channels]].concat())
    }
}

fn expect(what: &str, wanted: usize, got: usize) -> Result<(), String> {
    if wanted == got { Ok(()) } else { Err(format!("{what}: expected {wanted}, got {got}")) }
}

/// The spatial extents of an image or a kernel: all axes but one before and one behind, or two behind.
pub(super) fn spatial_of(shape: &[usize], before: usize) -> Vec<usize> {
    shape.get(before..shape.len().saturating_sub(2 - before)).unwrap_or_default().to_vec()
}

/// A geometry with the shapes of an input, a kernel and an output that fit it.
pub(super) struct Case {
    pub geometry: ConvGeometry,
    pub x: Vec<usize>,
    pub w: Vec<usize>,
    pub y: Vec<usize>,
}

impl Case {
    /// Two images of `spatial` positions and a kernel of `window` taps.
    fn new(geometry: ConvGeometry, spatial: &[usize], window: &[usize], [channels, filters]: [usize; 2]) -> Case {
        let out = geometry.output(spatial, window).expect("the cases fit");
        let w = [window, &[channels / geometry.groups, filters]].concat();
        let image = |spatial: &[usize], channels| Image::of(2, spatial, channels).shape;
        Case { x: image(spatial, channels), w, y: image(&out, filters), geometry }
    }
}

/// For the samples of all these ops.
pub(super) fn cases() -> Vec<Case> {
    let plain = ConvGeometry::new;
    let padded = |padding: &[[usize; 2]]| ConvGeometry { padding: padding.to_vec(), ..plain(padding.len()) };
    let strided =
        |strides: &[usize], padding: &[[usize; 2]]| ConvGeometry { strides: strides.to_vec(), ..padded(padding) };
    let grouped = |groups, padding: &[[usize; 2]]| ConvGeometry { groups, ..padded(padding) };
    vec![
        Case::new(plain(1), &[5], &[3], [2, 3]),
        Case::new(padded(&[[1, 2]]), &[4], &[4], [1, 2]),
        Case::new(ConvGeometry { dilation: vec![2], ..strided(&[2], &[[2, 1]]) }, &[6], &[3], [3, 2]),
        Case::new(plain(2), &[3, 4], &[1, 1], [3, 4]),
        Case::new(padded(&[[1, 1], [1, 1]]), &[3, 4], &[3, 3], [2, 2]),
        Case::new(strided(&[2, 3], &[[0, 1], [1, 0]]), &[4, 6], &[3, 2], [2, 1]),
        Case::new(strided(&[3, 2], &[[0, 0], [0, 0]]), &[5, 4], &[2, 1], [1, 2]),
        Case::new(grouped(2, &[[1, 0], [0, 1]]), &[3, 3], &[2, 2], [4, 6]),
        Case::new(grouped(3, &[[1, 1], [1, 1]]), &[3, 3], &[3, 3], [3, 3]),
        Case::new(ConvGeometry { strides: vec![2, 1], ..grouped(2, &[[0, 0], [0, 0]]) }, &[4, 3], &[2, 2], [2, 4]),
        Case::new(strided(&[1, 2, 1], &[[1, 0], [0, 0], [1, 1]]), &[2, 3, 2], &[2, 2, 3], [1, 2]),
    ]
}

fn sample(op: impl Into<super::Op>, shapes: [Vec<usize>; 2]) -> Sample {
    Sample { op: op.into(), inputs: shapes.map(|shape| SampleInput::Uniform(shape, -2.0, 2.0)).to_vec() }
}

impl Conv {
    /// One to three axes, strides, dilation, uneven padding, groups, depthwise, pointwise.
    pub fn samples() -> Vec<Sample> {
        cases().into_iter().map(|c| sample(Conv { geometry: c.geometry }, [c.x, c.w])).collect()
    }
}

impl OpRule for Conv {
    fn name(&self) -> &'static str {
        "conv"
    }
    fn attributes(&self) -> String {
        self.geometry.attributes()
    }
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, String> {
        let [x, w] = arity(inputs)?;
        let image = self.geometry.image("x", x)?;
        let (window, inner, filters) = self.geometry.kernel(w)?;
        let out = self.geometry.output(image.spatial, window)?;
        expect("input channels of a group", inner, image.channels / self.geometry.groups)?;
        Ok(vec![Image::of(image.images, &out, filters)])
    }
    fn gradient(&self, cx: Backward<'_>) -> Gradient {
        let Some(dy) = cx.dy[0] else { return Gradient::Inputs(vec![None, None]) };
        let (g, x, w) = (cx.graph, cx.inputs[0], cx.inputs[1]);
        let (spatial, kernel) = (spatial_of(&g.shape(x), 1), g.shape(w));
        let dx = g.conv_input_gradient(dy, w, self.geometry.clone(), spatial);
        Gradient::Inputs(vec![Some(dx), Some(g.conv_kernel_gradient(x, dy, self.geometry.clone(), kernel))])
    }
}

impl ConvInputGradient {
    /// As of [`Conv`].
    pub fn samples() -> Vec<Sample> {
        let op = |c: &Case| ConvInputGradient { geometry: c.geometry.clone(), spatial: spatial_of(&c.x, 1) };
        cases().into_iter().map(|c| sample(op(&c), [c.y, c.w])).collect()
    }
}

impl OpRule for ConvInputGradient {
    fn name(&self) -> &'static str {
        "conv_input_gradient"
    }
    fn attributes(&self) -> String {
        format!("spatial={}, {}", display_shape(&self.spatial), self.geometry.attributes())
    }
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, String> {
        let [dy, w] = arity(inputs)?;
        let image = self.geometry.image("dy", dy)?;
        let (window, inner, filters) = self.geometry.kernel(w)?;
        let out = self.geometry.output(&self.spatial, window)?;
        if out != image.spatial {
            let (out, got) = (display_shape(&out), display_shape(image.spatial));
            return Err(format!("an input of {} gives an output of {out}, not {got}", display_shape(&self.spatial)));
        }
        expect("output channels", filters, image.channels)?;
        Ok(vec![Image::of(image.images, &self.spatial, inner * self.geometry.groups)])
    }
    fn gradient(&self, cx: Backward<'_>) -> Gradient {
        let Some(dx) = cx.dy[0] else { return Gradient::Inputs(vec![None, None]) };
        let (g, dy, w) = (cx.graph, cx.inputs[0], cx.inputs[1]);
        let kernel = g.shape(w);
        let by_dy = g.conv(dx, w, self.geometry.clone());
        Gradient::Inputs(vec![Some(by_dy), Some(g.conv_kernel_gradient(dx, dy, self.geometry.clone(), kernel))])
    }
}

impl ConvKernelGradient {
    /// As of [`Conv`], in one sum and in two.
    pub fn samples() -> Vec<Sample> {
        let op =
            |c: &Case, chunks| ConvKernelGradient { geometry: c.geometry.clone(), window: spatial_of(&c.w, 0), chunks };
        let both = |c: Case| [1, 2].map(|chunks| sample(op(&c, chunks), [c.x.clone(), c.y.clone()]));
        cases().into_iter().flat_map(both).collect()
    }

    /// The rows of one sum: taps and the input channels of a group.
    pub fn rows(&self, channels: usize) -> usize {
        self.window.iter().product::<usize>() * (channels / self.geometry.groups)
    }
}

impl OpRule for ConvKernelGradient {
    fn name(&self) -> &'static str {
        "conv_kernel_gradient"
    }
    fn attributes(&self) -> String {
        let window = display_shape(&self.window);
        let chunks = if self.chunks == 1 { String::new() } else { format!(", chunks={}", self.chunks) };
        format!("window={window}, {}{chunks}", self.geometry.attributes())
    }
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, String> {
        let [x, dy] = arity(inputs)?;
        let (image, output) = (self.geometry.image("x", x)?, self.geometry.image("dy", dy)?);
        let out = self.geometry.output(image.spatial, &self.window)?;
        expect("images", image.images, output.images)?;
        if out != output.spatial {
            let (out, got) = (display_shape(&out), display_shape(output.spatial));
            return Err(format!("an input of {} gives an output of {out}, not {got}", display_shape(image.spatial)));
        }
        if self.chunks == 0 {
            return Err("there is at least one sum".into());
        }
        Ok(vec![Type::f32([self.chunks * self.rows(image.channels), output.channels])])
    }
    fn gradient(&self, cx: Backward<'_>) -> Gradient {
        if self.chunks != 1 {
            return Gradient::NotDifferentiable("chunks are made after gradients are taken");
        }
        let Some(dw) = cx.dy[0] else { return Gradient::Inputs(vec![None, None]) };
        let (g, x, dy) = (cx.graph, cx.inputs[0], cx.inputs[1]);
        let (image, output) = (g.shape(x), g.shape(dy));
        let (Some(channels), Some(filters)) = (image.last(), output.last()) else {
            return Gradient::Inputs(vec![None, None]);
        };
        let kernel = [self.window.as_slice(), &[channels / self.geometry.groups, *filters]].concat();
        let dw = g.reshape(dw, kernel);
        let by_x = g.conv_input_gradient(dy, dw, self.geometry.clone(), spatial_of(&image, 1));
        Gradient::Inputs(vec![Some(by_x), Some(g.conv(x, dw, self.geometry.clone()))])
    }
}
