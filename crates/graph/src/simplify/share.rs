//! Kernel gradients of few rows become sums over chunks of images, so that there is enough to share out.
//!
//! The chunks come from shapes alone and are added in their order, so any number of workers gives the same bytes.

use super::rewrite::Rewrite;
use crate::ops::ConvKernelGradient;
use crate::{Error, Graph, Op};

/// Rows to share out that are enough.
const ROWS: usize = 2048;

/// The most chunks: each is written and read once more.
const MOST: usize = 16;

pub(crate) fn share_kernel_gradients(graph: &Graph) -> Result<Graph, Error> {
    let mut rewrite = Rewrite::new(graph);
    for node in graph.nodes() {
        let Op::ConvKernelGradient(op) = &node.op else {
            rewrite.copy(node);
            continue;
        };
        let output = graph.type_of(node.outputs[0]).shape.clone();
        let images = graph.type_of(node.inputs[0]).shape[0];
        // A power of two is shared out evenly by most numbers of workers.
        let enough = (ROWS / output[0].max(1)).clamp(1, MOST).min(images.max(1));
        let chunks = 1 << enough.ilog2();
        if op.chunks != 1 || chunks == 1 {
            rewrite.copy(node);
            continue;
        }
        let inputs: Vec<_> = node.inputs.iter().map(|v| rewrite.get(*v)).collect();
        rewrite.new.enter(&node.path);
        let sums = rewrite.new.push(ConvKernelGradient { chunks, ..op.clone() }, &inputs)[0];
        let sums = rewrite.new.reshape(sums, [vec![chunks], output].concat());
        let sum = rewrite.new.reduce_sum(sums, &[0], false);
        rewrite.new.leave();
        rewrite.set(node.outputs[0], sum);
    }
    rewrite.finish()
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
        share_kernel_gradients(&g.finish().unwrap()).unwrap()
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
}
