//! Sums over samples are taken in parts, so that there is enough to share out: kernel gradients of few rows over chunks of
//! images, other sums within each sample, which the steps around them take along while it is in cache.
//!
//! The parts come from shapes alone and are added in their order, so any number of workers gives the same bytes.

use super::rewrite::Rewrite;
use crate::ops::{ConvKernelGradient, ScatterKernelGradient};
use crate::{Error, Graph, Op};

/// Rows to share out that are enough.
const ROWS: usize = 2304;

/// The most chunks: each is written and read once more.
const MOST: usize = 16;

/// Sums of fewer elements of a sample are not worth a part of their own.
const WITHIN: usize = 16;

pub(crate) fn share_sums(graph: &Graph) -> Result<Graph, Error> {
    let mut rewrite = Rewrite::new(graph);
    for node in graph.nodes() {
        let output = graph.type_of(node.outputs[0]).shape.clone();
        let x = node.inputs.first().map_or(&[][..], |x| &graph.type_of(*x).shape);
        rewrite.new.enter(&node.path);
        let sum = match &node.op {
            Op::ConvKernelGradient(op) | Op::ScatterKernelGradient(ScatterKernelGradient { of: op })
                if op.chunks == 1 && chunks(x[0], output[0]) > 1 =>
            {
                let inputs: Vec<_> = node.inputs.iter().map(|v| rewrite.get(*v)).collect();
                let chunks = chunks(x[0], output[0]);
                let of = ConvKernelGradient { chunks, ..op.clone() };
                let op: Op = match &node.op {
                    Op::ScatterKernelGradient(_) => ScatterKernelGradient { of }.into(),
                    _ => of.into(),
                };
                let sums = rewrite.new.push(op, &inputs)[0];
                let sums = rewrite.new.reshape(sums, [vec![chunks], output].concat());
                Some(rewrite.new.reduce_sum(sums, &[0], false))
            }
            Op::ReduceSum(op) if is_shared(x, &op.axes) => {
                let x = rewrite.get(node.inputs[0]);
                let within = rewrite.new.reduce_sum(x, &op.axes[1..], true);
                let sum = rewrite.new.reduce_sum(within, &[0], true);
                Some(rewrite.new.reshape(sum, output))
            }
            _ => None,
        };
        rewrite.new.leave();
        match sum {
            Some(sum) => rewrite.set(node.outputs[0], sum),
            None => rewrite.copy(node),
        }
    }
    rewrite.finish()
}

/// The chunks of images that a kernel gradient of so many rows is summed over: a power of two, which most numbers of
/// workers share out evenly.
fn chunks(images: usize, rows: usize) -> usize {
    let enough = (ROWS / rows.max(1)).clamp(1, MOST).min(images.max(1));
    1 << enough.ilog2()
}

/// Whether a sum along `axes` goes over samples and over enough of each.
fn is_shared(x: &[usize], axes: &[usize]) -> bool {
    let within = || axes[1..].iter().map(|axis| x[*axis]).product::<usize>();
    axes.first() == Some(&0) && x[0] > 1 && within() >= WITHIN
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::ConvGeometry;
    use crate::{Builder, Type};

    fn shared(images: usize, channels: usize) -> Graph {
        let mut g = Builder::new();
        let x = g.input("x", Type::f32([images, 5, channels]));
        let dy = g.input("dy", Type::f32([images, 3, 4]));
        let dw = g.conv_kernel_gradient(x, dy, ConvGeometry::new(1), vec![3, channels, 4]);
        g.output("dw", dw);
        share_sums(&g.finish().unwrap()).unwrap()
    }

    #[test]
    fn few_rows_are_shared_out_by_images_and_many_are_not() {
        let chunks = |graph: &Graph| {
            let found = graph.nodes().iter().find_map(|n| match &n.op {
                Op::ConvKernelGradient(op) => Some(op.chunks),
                _ => None,
            });
            (found, graph.nodes().iter().any(|n| matches!(n.op, Op::ReduceSum(_))))
        };
        assert_eq!(chunks(&shared(100, 1)), (Some(MOST), true));
        assert_eq!(chunks(&shared(3, 1)), (Some(2), true));
        assert_eq!(chunks(&shared(100, 50)), (Some(8), true));
        assert_eq!(chunks(&shared(100, 400)), (Some(1), false));
    }

    #[test]
    fn sums_over_samples_and_more_are_taken_within_each_first() {
        let sums = |shape: &[usize], axes: &[usize]| {
            let mut g = Builder::new();
            let x = g.input("x", Type::f32(shape));
            let y = g.reduce_sum(x, axes, false);
            g.output("y", y);
            let graph = share_sums(&g.finish().unwrap()).unwrap();
            let sums = graph.nodes().iter().filter(|n| matches!(n.op, Op::ReduceSum(_)));
            sums.map(|n| graph.type_of(n.outputs[0]).shape.clone()).collect::<Vec<_>>()
        };
        assert_eq!(sums(&[8, 4, 4, 3], &[0, 1, 2]), [vec![8, 1, 1, 3], vec![1, 1, 1, 3]]);
        assert_eq!(sums(&[8, 16], &[0, 1]), [[8, 1], [1, 1]]);
        assert_eq!(sums(&[8, 16], &[0]), [[16]]);
        assert_eq!(sums(&[8, 3, 5], &[0, 1]), [[5]]);
        assert_eq!(sums(&[1, 4, 4, 3], &[0, 1, 2]), [[3]]);
        assert_eq!(sums(&[8, 16, 4], &[1]), [[8, 4]]);
    }
}
