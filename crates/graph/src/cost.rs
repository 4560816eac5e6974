//! What ops cost by their definition: floating-point operations and bytes.

use crate::ops::convolution_flops;
use crate::{Graph, Node, Op, Value};
use footlight_tensor::DType;

/// Floating-point operations of an op: two per term of a product, one per element of an elementwise instruction or of a
/// reduction, 5 per element of a softmax, 12 per element of Adam; of a scan those of its body at every step.
pub fn flops(graph: &Graph, node: &Node) -> f64 {
    let len = |v: Value| graph.type_of(v).len() as f64;
    if let Some(flops) = convolution_flops(graph, node) {
        return flops;
    }
    match &node.op {
        Op::MatMul(op) => op.flops(&graph.type_of(node.inputs[0]).shape, &graph.type_of(node.inputs[1]).shape),
        Op::Program(op) => len(node.outputs[0]) * op.instructions.len() as f64,
        Op::AdamUpdate(_) => 12.0 * len(node.outputs[0]),
        Op::Softmax(_) | Op::SparseSoftmaxCrossEntropy(_) => 5.0 * len(node.inputs[0]),
        Op::ReduceSum(_) | Op::ReduceMax(_) | Op::ArgMax(_) => len(node.inputs[0]),
        Op::Scan(scan) => scan.length as f64 * flops_of(&scan.body),
        op if op.is_elementwise() && graph.type_of(node.outputs[0]).dtype == DType::F32 => len(node.outputs[0]),
        _ => 0.0,
    }
}

/// Floating-point operations of all ops of a graph.
pub fn flops_of(graph: &Graph) -> f64 {
    graph.nodes().iter().map(|node| flops(graph, node)).sum()
}

/// Bytes of an op's inputs and outputs, each counted once, wherever they lie.
pub fn bytes(graph: &Graph, node: &Node) -> f64 {
    node.inputs.iter().chain(&node.outputs).map(|v| graph.type_of(*v).size_bytes() as f64).sum()
}
