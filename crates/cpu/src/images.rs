//! The kernels of convolutions and poolings, made from their nodes.

use crate::kernels::conv::{KernelGradient, PooledConv, ScatterInputGradient, ScatterKernelGradient, Sweep};
use footlight_graph::ops::{self, ConvGeometry, ConvKernelGradient};
use footlight_graph::{Graph, Node, Op, Type, Value};

fn shape(graph: &Graph, value: Value) -> &[usize] {
    &graph.type_of(value).shape
}

/// The convolution or transposed convolution of `node`, by images.
pub(crate) fn sweep(graph: &Graph, node: &Node) -> Sweep {
    let [from, kernel] = [0, 1].map(|i: usize| shape(graph, node.inputs[i]));
    let (to, window) = (shape(graph, node.outputs[0]), &kernel[..kernel.len() - 2]);
    match &node.op {
        Op::Conv(op) => Sweep::forward(&op.geometry, from, window, to),
        Op::ConvInputGradient(op) => Sweep::turned(&op.geometry, from, window, to),
        op => unreachable!("{op} is not a convolution"),
    }
}

/// The kernel gradient of `node`.
pub(crate) fn kernel_gradient(graph: &Graph, node: &Node, op: &ConvKernelGradient) -> KernelGradient {
    let [x, dy] = [0, 1].map(|i: usize| shape(graph, node.inputs[i]));
    let sweep = Sweep::of_kernel(&op.geometry, x, &op.window, dy);
    KernelGradient { sweep, images: x[0], chunks: op.chunks }
}

/// The shape of a convolution of images `x`.
fn conv_shape(geometry: &ConvGeometry, x: &[usize], window: &[usize], filters: usize) -> Vec<usize> {
    let spatial = geometry.output(&x[1..x.len() - 1], window).expect("shape rules have checked this");
    [&x[..1], &spatial, &[filters]].concat()
}

/// The convolution of `node` and its windows.
pub(crate) fn pooled_conv(graph: &Graph, node: &Node, op: &ops::ConvMaxPool) -> PooledConv {
    let [x, w] = [0, 1].map(|i: usize| shape(graph, node.inputs[i]));
    let (window, geometry) = (&w[..w.len() - 2], &op.conv.geometry);
    let y = conv_shape(geometry, x, window, w[w.len() - 1]);
    PooledConv::new(geometry, x, window, &y, &op.pool.windows)
}

/// The input gradient of `node`, of scattered outputs.
pub(crate) fn scatter_input_gradient(
    graph: &Graph,
    node: &Node,
    op: &ops::ScatterInputGradient,
) -> ScatterInputGradient {
    let [dy, w] = [0, 2].map(|i: usize| shape(graph, node.inputs[i]));
    let (window, dx) = (&w[..w.len() - 2], shape(graph, node.outputs[0]));
    let y = conv_shape(&op.of.geometry, dx, window, w[w.len() - 1]);
    ScatterInputGradient::new(&op.of, dy, &y, window, dx)
}

/// The kernel gradient of `node`, of scattered outputs.
pub(crate) fn scatter_kernel_gradient(
    graph: &Graph,
    node: &Node,
    op: &ops::ScatterKernelGradient,
) -> ScatterKernelGradient {
    let [x, dy] = [0, 1].map(|i: usize| shape(graph, node.inputs[i]));
    let y = conv_shape(&op.of.geometry, x, &op.of.window, dy[dy.len() - 1]);
    ScatterKernelGradient::new(&op.of, x, &y, dy)
}

/// Positions of an image, positions of an output, channels.
pub(crate) fn pool_extents(image: &Type, output: &Type) -> [usize; 3] {
    let positions = |ty: &Type| ty.shape[1..ty.rank() - 1].iter().product();
    [positions(image), positions(output), output.shape[output.rank() - 1]]
}
