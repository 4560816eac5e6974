//! What the planner asks of this backend: scratch, cost and the sizes of blocks.

use crate::dispatch;
use crate::images;
use crate::isa::Isa;
use crate::kernels::gemm::lies_in_vectors;
use crate::kernels::reduce::Fold;
use crate::kernels::{gemm, program, stream};
use crate::naive::{self, NaiveValue};
use footlight_graph::ops::{Constant, MatMul, convolution_flops};
use footlight_graph::plan::{self, Target};
use footlight_graph::simplify;
use footlight_graph::{Graph, Node, Op, Type, Value};
use footlight_tensor::DType;

/// The CPU as the planner sees it.
#[derive(Clone, Copy, Debug)]
pub struct CpuTarget {
    isa: Isa,
    is_finest: bool,
    keeps_packed: bool,
}

impl CpuTarget {
    /// The target of an instruction set.
    pub fn new(isa: Isa) -> CpuTarget {
        CpuTarget { isa, is_finest: false, keeps_packed: false }
    }

    /// Plans no place for packed states that the plan does not change: they are kept elsewhere.
    pub(crate) fn keep_packed(self, keeps_packed: bool) -> CpuTarget {
        CpuTarget { keeps_packed, ..self }
    }

    /// The state that `node` reads packed, if it is kept so from run to run.
    pub(crate) fn kept_state(&self, graph: &Graph, node: &Node) -> Option<Value> {
        let state = plan::root(graph, *node.inputs.get(1)?);
        let is_changed = || graph.states().iter().any(|s| s.value == state && s.next.is_some_and(|next| next != state));
        let is_packed = matches!(node.op, Op::MatMul(_) | Op::Conv(_) | Op::ConvMaxPool(_));
        let is_state = matches!(graph.producer(state).op, Op::State(_));
        (self.keeps_packed && is_packed && is_state && !is_changed()).then_some(state)
    }

    /// Bytes of the operand that `node` packs before its blocks run.
    fn packed_bytes(&self, graph: &Graph, node: &Node) -> usize {
        match &node.op {
            Op::MatMul(op) if !is_batch(graph, node) => packed_bytes(self.isa, graph, node, op),
            Op::Conv(_) | Op::ConvInputGradient(_) => 4 * images::sweep(graph, node).packed_floats(self.isa),
            Op::ConvMaxPool(op) => 4 * images::pooled_conv(graph, node, op).packed_floats(self.isa),
            Op::ScatterInputGradient(op) => 4 * images::scatter_input_gradient(graph, node, op).packed_floats(self.isa),
            _ => 0,
        }
    }

    /// Asks for the smallest blocks that work, whatever they cost.
    pub(crate) fn cut_finely(self, is_finest: bool) -> CpuTarget {
        CpuTarget { is_finest, ..self }
    }
}

/// The extents `(M, N, K)` of a product.
pub(crate) fn extents(graph: &Graph, node: &Node, op: &MatMul) -> (usize, usize, usize) {
    op.extents(&graph.type_of(node.inputs[0]).shape, &graph.type_of(node.inputs[1]).shape)
}

/// Bytes of the packed right side of one product.
fn packed_bytes(isa: Isa, graph: &Graph, node: &Node, op: &MatMul) -> usize {
    let (m, n, k) = extents(graph, node, op);
    let is_streamed = !is_batch(graph, node) && is_streamed(op, [m, n, k]);
    if is_streamed || !is_packed(isa, op, [m, n, k]) { 0 } else { 4 * gemm::packed_len(isa, k, n) }
}

/// Whether `node` is a batch of products: a block holds whole products, and each packs its own right side.
fn is_batch(graph: &Graph, node: &Node) -> bool {
    graph.type_of(node.outputs[0]).rank() > 2
}

/// Whether a product reads its right side as it lies instead of packing it first: for few rows, packing costs more than
/// it saves.
pub(crate) fn is_direct(op: &MatMul, m: usize) -> bool {
    m <= 4 && !op.transpose_b && op.lower.is_none()
}

/// The most columns of a right side that is read where it lies: rows that are farther apart fall on few places of the L1
/// cache, from which every tile of a block reads them again.
const IN_PLACE: usize = 256;

/// The most rows of a product that packs no right side of whole vectors: so few tiles read it again.
const FEW: usize = 32;

/// Whether a product packs its right side before its blocks run.
pub(crate) fn is_packed(isa: Isa, op: &MatMul, [m, n, _]: [usize; 3]) -> bool {
    !is_direct(op, m) && (op.transpose_b || (n > IN_PLACE && m > FEW) || !lies_in_vectors(isa, n))
}

/// Whether a product reads its right side as it lies, or packs it in pieces as it reads them: a sum over many samples reads
/// each piece in few blocks, and a whole copy for each worker would cost more than it saves.
pub(crate) fn is_streamed(op: &MatMul, [m, n, k]: [usize; 3]) -> bool {
    op.transpose_a && !op.transpose_b && m > 4 && n * k >= 1 << 15
}

/// Rows of a block of such a product: enough that packing is a small part of it, and more where the right side comes from
/// memory again for every block.
fn streamed_rows([_, n, k]: [usize; 3]) -> usize {
    if n * k < 1 << 19 { 64 } else { 128 }
}

impl Target for CpuTarget {
    fn phase_scratch(&self, graph: &Graph, node: &Node) -> usize {
        if self.kept_state(graph, node).is_some() { 0 } else { self.packed_bytes(graph, node) }
    }

    fn block_scratch(&self, graph: &Graph, node: &Node, rows: usize) -> usize {
        let program = match &node.op {
            Op::Program(op) => op.clone(),
            Op::MatMul(op) if is_batch(graph, node) => return packed_bytes(self.isa, graph, node, op),
            Op::MatMul(op) => {
                let (m, n, k) = extents(graph, node, op);
                let floats = if is_streamed(op, [m, n, k]) { stream::scratch_floats(self.isa, rows, k) } else { 0 };
                return 4 * floats;
            }
            Op::Conv(_) | Op::ConvInputGradient(_) => return 4 * images::sweep(graph, node).scratch_floats(self.isa),
            Op::ConvKernelGradient(op) => {
                return 4 * images::kernel_gradient(graph, node, op).scratch_floats(self.isa);
            }
            Op::ConvMaxPool(op) => return 4 * images::pooled_conv(graph, node, op).scratch_floats(self.isa),
            Op::ScatterInputGradient(op) => {
                return 4 * images::scatter_input_gradient(graph, node, op).scratch_floats(self.isa);
            }
            Op::ScatterKernelGradient(op) => {
                return 4 * images::scatter_kernel_gradient(graph, node, op).scratch_floats(self.isa, rows);
            }
            op if op.is_elementwise() && graph.type_of(node.outputs[0]).dtype == DType::F32 => {
                dispatch::alone(op, graph.type_of(node.outputs[0]))
            }
            _ => return 0,
        };
        let types: Vec<Type> = node.inputs.iter().map(|v| graph.type_of(*v).clone()).collect();
        4 * program::Compiled::new(&program, &types).scratch_floats()
    }

    fn cost(&self, graph: &Graph, node: &Node) -> f64 {
        let elements = |v: footlight_graph::Value| graph.type_of(v).len() as f64;
        let moved: f64 = node.inputs.iter().chain(&node.outputs).map(|v| elements(*v)).sum();
        if let Some(flops) = convolution_flops(graph, node) {
            // What is scattered is looked up one by one; and a block that holds parts of two chunks would look it up twice.
            return if matches!(node.op, Op::ScatterKernelGradient(_)) { 4.0 * flops } else { flops };
        }
        match &node.op {
            Op::MatMul(op) => op.flops(&graph.type_of(node.inputs[0]).shape, &graph.type_of(node.inputs[1]).shape),
            Op::Program(op) => 8.0 * elements(node.outputs[0]) * op.instructions.len() as f64,
            Op::AdamUpdate(_) => 40.0 * elements(node.outputs[0]),
            Op::Softmax(_) | Op::SparseSoftmaxCrossEntropy(_) => 60.0 * elements(node.inputs[0]),
            Op::Gather(_) => 8.0 * elements(node.outputs[0]),
            _ => 4.0 * moved,
        }
    }

    fn rows_wanted(&self, graph: &Graph, node: &Node) -> usize {
        let is_split = |axes: &[usize]| Fold::new(&graph.type_of(node.inputs[0]).shape, axes).is_some();
        match &node.op {
            // A reduction along axes that are no neighbours is worked in one block.
            Op::ReduceSum(op) if !is_split(&op.axes) => usize::MAX,
            Op::ReduceMax(op) if !is_split(&op.axes) => usize::MAX,
            _ if self.is_finest => 1,
            Op::MatMul(_) if is_batch(graph, node) => 1,
            Op::MatMul(op) => {
                let (m, n, k) = extents(graph, node, op);
                match is_streamed(op, [m, n, k]) {
                    true => streamed_rows([m, n, k]),
                    // Few rows are shared out by tiles.
                    false if m < FEW => 8,
                    false => 16,
                }
            }
            Op::ConvKernelGradient(op) => images::kernel_gradient(graph, node, op).rows_wanted(),
            Op::ScatterKernelGradient(op) => images::scatter_kernel_gradient(graph, node, op).rows_wanted(),
            // Narrow rows in whole cache lines, so that two workers do not write into the same one.
            _ => {
                let ty = graph.type_of(node.outputs[0]);
                let row = ty.len() / ty.shape.first().copied().unwrap_or(1).max(1);
                16usize.div_ceil(row.max(1))
            }
        }
    }

    fn block_cost(&self) -> f64 {
        if self.is_finest { 1.0 } else { 1.5e6 }
    }
}

impl simplify::Fold for CpuTarget {
    fn fold(&self, op: &Op, inputs: &[Constant]) -> Option<Constant> {
        let values: Vec<NaiveValue<f32>> = inputs
            .iter()
            .map(|c| match c {
                Constant::F32(x) => NaiveValue::float(vec![], vec![*x]),
                Constant::I32(x) => NaiveValue::int(vec![], vec![*x]),
            })
            .collect();
        let output = naive::evaluate(op, &values.iter().collect::<Vec<_>>()).pop()?;
        match (output.as_float(), output.as_int()) {
            (Some([x]), _) => Some(Constant::F32(*x)),
            (_, Some([x])) => Some(Constant::I32(*x)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use footlight_graph::{Builder, Type};

    /// Attention over 16 samples, and a sum over the places of each, as for the gradient of a bias.
    #[test]
    fn a_sum_within_samples_does_not_hold_them_in_one_block() {
        let mut g = Builder::new();
        let x = g.input("x", Type::f32([16, 128, 64]));
        let scores = g.matmul_with(x, x, false, true);
        let weights = g.softmax(scores);
        let y = g.matmul(weights, x);
        let sums = g.reduce_sum(y, &[1], false);
        g.output("sums", sums);
        let target = CpuTarget::new(Isa::detect());
        let simple = simplify::simplify(&g.finish().unwrap(), &target).unwrap();
        let plan = plan::plan(&simple.graph, &target).unwrap();
        let chain =
            plan.phases.iter().flat_map(|phase| &phase.chains).max_by(|a, b| a.cost.total_cmp(&b.cost)).unwrap();
        assert!(chain.steps.len() > 3 && chain.blocks() == 16, "{plan}");
    }
}
