//! From op to kernel: one line per op.

use crate::feed::Feed;
use crate::images;
use crate::isa::Isa;
use crate::kernels::conv::{KernelGradient, PooledConv, ScatterInputGradient, ScatterKernelGradient, Sweep};
use crate::kernels::gemm::{self, Left, Right};
use crate::kernels::index::{self, Table};
use crate::kernels::integers::Integers;
use crate::kernels::moving::Moves;
use crate::kernels::pool::{self, Pool};
use crate::kernels::program::Compiled;
use crate::kernels::reduce::{self, Fold, Kind};
use crate::kernels::update::{self, AdamOperands};
use crate::kernels::{layout, lower, softmax, stream};
use crate::target::{is_direct, is_packed, is_streamed};
use footlight_graph::ops::{AdamUpdate, Lower, MatMul};
use footlight_graph::plan::Access;
use footlight_graph::{Graph, Node, Op, Type};
use footlight_tensor::DType;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// One block of one step, as a kernel sees it.
pub(crate) struct Block<'a> {
    pub isa: Isa,
    pub first_row: usize,
    pub rows: usize,
    pub inputs: &'a [*mut u8],
    pub outputs: &'a [*mut u8],
    pub phase_scratch: *mut u8,
    pub block_scratch: *mut u8,
    /// The run in which this worker packed this step's operand last.
    pub packed: Option<&'a AtomicU64>,
    pub run: u64,
    pub feeds: &'a [Feed<'a>],
}

/// What a step runs, with everything known before it runs.
pub(crate) enum Kernel {
    Load { input: usize, dtype: DType, row_len: usize },
    Program(Compiled),
    MatMul { op: MatMul, extents: [usize; 3], pack_slot: usize },
    StreamedMatMul { op: MatMul, extents: [usize; 3] },
    BatchMatMul { op: MatMul, extents: [usize; 3], per_row: usize },
    Conv { sweep: Box<Sweep>, pack_slot: usize },
    ConvKernelGradient(Box<KernelGradient>),
    MaxPool(Box<Pool>),
    ConvMaxPool { pooled: Box<PooledConv>, pack_slot: usize },
    ScatterInputGradient { gradient: Box<ScatterInputGradient>, pack_slot: usize },
    ScatterKernelGradient(Box<ScatterKernelGradient>),
    AveragePool(Box<Pool>),
    AveragePoolGradient(Box<Pool>),
    PoolGather { extents: [usize; 3] },
    PoolScatter { extents: [usize; 3] },
    Fold { kind: Kind, view: Fold, by_rows: bool, row_len: usize },
    FoldAny { kind: Kind, shape: Vec<usize>, axes: Vec<usize> },
    ArgMax { per_row: usize, len: usize },
    Moves(Moves),
    Gather { table: Table, per_row: usize },
    SumRows { row_len: usize, indices: usize },
    Literal { values: Arc<[f32]>, row_len: usize },
    Iota { stride: usize, extent: usize, row_len: usize },
    OneHot { per_row: usize, depth: usize },
    Softmax { per_row: usize, len: usize, height: Option<usize> },
    SparseCrossEntropy { per_row: usize, len: usize },
    Adam { op: AdamUpdate, row_len: usize },
    CastToF32 { row_len: usize },
    CastToI32 { row_len: usize },
    Integers(Integers),
    Copy { row_bytes: usize },
}

fn row_len(ty: &Type) -> usize {
    ty.shape.iter().skip(1).product()
}

impl Kernel {
    /// The kernel of `node`, whose inputs are read as `access` tells; products take the next of `pack_slots`.
    pub(crate) fn new(graph: &Graph, node: &Node, access: &[Access], pack_slots: &mut usize) -> Kernel {
        let input = |i: usize| graph.type_of(node.inputs[i]);
        let output = graph.type_of(node.outputs[0]);
        match &node.op {
            Op::Input(op) => Kernel::Load {
                input: graph.inputs().position(|(name, _)| name == op.name).expect("the node is an input"),
                dtype: op.ty.dtype,
                row_len: row_len(&op.ty),
            },
            Op::Program(op) => Kernel::Program(compiled(graph, node, op)),
            Op::Binary(kind) if output.dtype == DType::I32 => {
                Kernel::Integers(Integers::new(*kind, [input(0), input(1)], output, access))
            }
            Op::Unary(_) if output.dtype == DType::I32 => Kernel::Copy { row_bytes: 4 * row_len(output) },
            Op::Unary(_) | Op::Binary(_) | Op::Select(_) | Op::RandomUniform(_) => {
                Kernel::Program(compiled(graph, node, &alone(&node.op, output)))
            }
            Op::Cast(op) => match (input(0).dtype, op.dtype) {
                (DType::I32, DType::F32) => Kernel::CastToF32 { row_len: row_len(output) },
                (DType::F32, DType::I32) => Kernel::CastToI32 { row_len: row_len(output) },
                _ => Kernel::Copy { row_bytes: 4 * row_len(output) },
            },
            Op::ReduceSum(op) => fold(Kind::Sum, input(0), &op.axes, output),
            Op::ReduceMax(op) => fold(Kind::Max, input(0), &op.axes, output),
            Op::ArgMax(_) => Kernel::ArgMax { per_row: row_len(output), len: last(input(0)) },
            Op::MatMul(op) => {
                let (m, n, k) = op.extents(&input(0).shape, &input(1).shape);
                if output.rank() > 2 {
                    let per_row = output.shape[1..output.rank() - 2].iter().product();
                    return Kernel::BatchMatMul { op: *op, extents: [m, n, k], per_row };
                }
                if is_streamed(op, [m, n, k]) {
                    return Kernel::StreamedMatMul { op: *op, extents: [m, n, k] };
                }
                *pack_slots += 1;
                Kernel::MatMul { op: *op, extents: [m, n, k], pack_slot: *pack_slots - 1 }
            }
            Op::Conv(_) | Op::ConvInputGradient(_) => {
                *pack_slots += 1;
                Kernel::Conv { sweep: Box::new(images::sweep(graph, node)), pack_slot: *pack_slots - 1 }
            }
            Op::ConvKernelGradient(op) => {
                Kernel::ConvKernelGradient(Box::new(images::kernel_gradient(graph, node, op)))
            }
            Op::MaxPool(op) => Kernel::MaxPool(Box::new(Pool::new(&op.windows, &input(0).shape))),
            Op::ConvMaxPool(op) => {
                *pack_slots += 1;
                Kernel::ConvMaxPool {
                    pooled: Box::new(images::pooled_conv(graph, node, op)),
                    pack_slot: *pack_slots - 1,
                }
            }
            Op::ScatterInputGradient(op) => {
                *pack_slots += 1;
                let gradient = Box::new(images::scatter_input_gradient(graph, node, op));
                Kernel::ScatterInputGradient { gradient, pack_slot: *pack_slots - 1 }
            }
            Op::ScatterKernelGradient(op) => {
                Kernel::ScatterKernelGradient(Box::new(images::scatter_kernel_gradient(graph, node, op)))
            }
            Op::AveragePool(op) => Kernel::AveragePool(Box::new(Pool::new(&op.windows, &input(0).shape))),
            Op::AveragePoolGradient(op) => Kernel::AveragePoolGradient(Box::new(Pool::new(&op.windows, &output.shape))),
            Op::PoolGather(_) => Kernel::PoolGather { extents: images::pool_extents(input(0), output) },
            Op::PoolScatter(_) => Kernel::PoolScatter { extents: images::pool_extents(output, input(0)) },
            Op::Transpose(_) | Op::Broadcast(_) | Op::Slice(_) | Op::Pad(_) | Op::Concat(_) | Op::Reverse(_) => {
                let inputs: Vec<&Type> = node.inputs.iter().map(|v| graph.type_of(*v)).collect();
                Kernel::Moves(Moves::new(&node.op, &inputs, output, access))
            }
            Op::Gather(_) => {
                let nothing = if output.dtype == DType::I32 { i32::MIN as u32 } else { f32::NAN.to_bits() };
                let table = Table { rows: input(0).shape[0], row_len: row_len(input(0)), nothing };
                Kernel::Gather { table, per_row: row_len(input(1)) }
            }
            Op::SumRows(_) => Kernel::SumRows { row_len: row_len(output), indices: input(1).len() },
            Op::Literal(op) => Kernel::Literal { values: op.values.clone(), row_len: row_len(output) },
            Op::Iota(op) => Kernel::Iota {
                stride: op.shape[op.axis + 1..].iter().product(),
                extent: op.shape[op.axis],
                row_len: row_len(output),
            },
            Op::OneHot(op) => Kernel::OneHot { per_row: row_len(input(0)), depth: op.depth },
            Op::Softmax(op) => Kernel::Softmax {
                per_row: row_len(output) / last(output).max(1),
                len: last(output),
                height: op.causal.then(|| output.shape[output.rank() - 2]),
            },
            Op::SparseSoftmaxCrossEntropy(_) => {
                Kernel::SparseCrossEntropy { per_row: row_len(output), len: last(input(0)) }
            }
            Op::AdamUpdate(op) => Kernel::Adam { op: *op, row_len: row_len(output) },
            Op::State(_) | Op::Constant(_) | Op::Given(_) | Op::Reshape(_) => unreachable!("not a step"),
            Op::Scan(_) => unreachable!("a scan runs the kernels of its body"),
        }
    }

    /// The number of this kernel among those that pack an operand.
    pub(crate) fn pack_slot(&self) -> Option<usize> {
        match self {
            Kernel::MatMul { pack_slot, .. } | Kernel::Conv { pack_slot, .. } => Some(*pack_slot),
            Kernel::ConvMaxPool { pack_slot, .. } | Kernel::ScatterInputGradient { pack_slot, .. } => Some(*pack_slot),
            _ => None,
        }
    }

    /// Floats of the packed operand; 0 where it is read as it lies.
    pub(crate) fn packed_floats(&self, isa: Isa) -> usize {
        match self {
            Kernel::MatMul { op, extents, .. } if is_packed(isa, op, *extents) => {
                gemm::packed_len(isa, extents[2], extents[1])
            }
            Kernel::Conv { sweep, .. } => sweep.packed_floats(isa),
            Kernel::ConvMaxPool { pooled, .. } => pooled.packed_floats(isa),
            Kernel::ScatterInputGradient { gradient, .. } => gradient.packed_floats(isa),
            _ => 0,
        }
    }

    /// How the packed operand lies: equal where the bytes are.
    pub(crate) fn packing(&self) -> String {
        match self {
            Kernel::MatMul { op, extents: [_, n, k], .. } => format!("{} {n} {k}", op.transpose_b),
            Kernel::Conv { sweep, .. } => sweep.packing(),
            Kernel::ConvMaxPool { pooled, .. } => pooled.packing(),
            _ => String::new(),
        }
    }

    /// Packs the operand `w`, of a kernel that [has one](Kernel::packed_floats).
    ///
    /// # Safety
    /// `w` holds the operand, `to` has room for [`Kernel::packed_floats`].
    pub(crate) unsafe fn pack(&self, isa: Isa, w: *const f32, to: *mut f32) {
        // SAFETY: the caller's contract.
        unsafe {
            match self {
                Kernel::MatMul { op, extents: [_, n, k], .. } => pack_right(isa, *op, w, [*k, *n], to),
                Kernel::Conv { sweep, .. } => sweep.pack(isa, w, to),
                Kernel::ConvMaxPool { pooled, .. } => pooled.pack(isa, w, to),
                Kernel::ScatterInputGradient { gradient, .. } => gradient.pack(isa, w, to),
                _ => unreachable!("the kernel packs nothing"),
            }
        }
    }

    /// The operand `w` as the kernel reads it: packed in this run, or earlier, or as it lies.
    ///
    /// # Safety
    /// As of [`Kernel::run`].
    unsafe fn packed(&self, block: &Block<'_>, w: *const f32) -> *const f32 {
        if self.packed_floats(block.isa) == 0 {
            return w;
        }
        let (mark, to) = (block.packed.expect("the kernel has a place to pack"), block.phase_scratch.cast::<f32>());
        if mark.load(Ordering::Relaxed) != block.run {
            // SAFETY: the operand is there, and the phase's scratch has room for its packed form.
            unsafe { self.pack(block.isa, w, to) };
            mark.store(block.run, Ordering::Relaxed);
        }
        to
    }

    /// Computes one block.
    ///
    /// # Safety
    /// Every operand of the block holds what the node's types say, in the places [`crate::kernels`] describes; nothing
    /// else writes to the outputs or this worker's scratch meanwhile.
    pub(crate) unsafe fn run(&self, block: &Block<'_>) {
        let Block { isa, first_row, rows, inputs, outputs, .. } = *block;
        let f32_in = |i: usize| inputs[i].cast::<f32>().cast_const();
        let f32_out = |i: usize| outputs[i].cast::<f32>();
        // SAFETY: the caller's contract, operand by operand.
        unsafe {
            match self {
                Kernel::Load { input, dtype, row_len } => load(block, *input, *dtype, *row_len),
                Kernel::Program(program) => {
                    program.run(isa, [first_row, rows], inputs, f32_out(0), block.block_scratch.cast());
                }
                Kernel::MatMul { op, extents: [m, n, k], .. } => {
                    let (left, extents) = (left_of_block(block, *op, [*m, *k]), [rows, *n, *k]);
                    if is_direct(op, *m) {
                        gemm::gemm_direct(isa, extents, left, f32_in(1), *n, f32_out(0), *n);
                    } else {
                        let right = right_of(isa, op, [*m, *n, *k], self.packed(block, f32_in(1)));
                        gemm::gemm(isa, extents, left, right, f32_out(0), *n);
                    }
                }
                Kernel::StreamedMatMul { op, extents: [m, n, k] } => {
                    let left = left_of_block(block, *op, [*m, *k]);
                    let scratch = block.block_scratch.cast();
                    stream::gemm_streamed(isa, [rows, *n, *k], left, f32_in(1), f32_out(0), scratch);
                }
                Kernel::BatchMatMul { op, extents, per_row } => batch_matmul(block, *op, *extents, rows * per_row),
                Kernel::Conv { sweep, .. } => {
                    let kernel = self.packed(block, f32_in(1));
                    sweep.run(isa, rows, f32_in(0), kernel, f32_out(0), block.block_scratch.cast());
                }
                Kernel::ConvKernelGradient(gradient) => {
                    let scratch = block.block_scratch.cast();
                    gradient.run(isa, [f32_in(0), f32_in(1)], [first_row, rows], f32_out(0), scratch);
                }
                Kernel::MaxPool(windows) => {
                    pool::max_of_images(isa, windows, rows, f32_in(0), f32_out(0), outputs[1].cast());
                }
                Kernel::ConvMaxPool { pooled, .. } => {
                    let kernel = self.packed(block, f32_in(1));
                    let scratch = block.block_scratch.cast();
                    pooled.run(isa, rows, [f32_in(0), kernel], f32_out(0), outputs[1].cast(), scratch);
                }
                Kernel::ScatterInputGradient { gradient, .. } => {
                    let kernel = self.packed(block, f32_in(2));
                    let scratch = block.block_scratch.cast();
                    gradient.run(isa, rows, [f32_in(0), kernel], inputs[1].cast(), f32_out(0), scratch);
                }
                Kernel::ScatterKernelGradient(gradient) => {
                    let (images, scratch) = ([f32_in(0), f32_in(1)], block.block_scratch.cast());
                    gradient.run(isa, images, inputs[2].cast(), [first_row, rows], f32_out(0), scratch);
                }
                Kernel::AveragePool(windows) => pool::average(isa, windows, rows, f32_in(0), f32_out(0)),
                Kernel::AveragePoolGradient(windows) => {
                    pool::average_gradient(isa, windows, rows, f32_in(0), f32_out(0));
                }
                Kernel::PoolGather { extents } => {
                    pool::gather(*extents, rows, f32_in(0), inputs[1].cast(), f32_out(0));
                }
                Kernel::PoolScatter { extents } => {
                    pool::scatter(*extents, rows, f32_in(0), inputs[1].cast(), f32_out(0));
                }
                Kernel::Fold { kind, view, by_rows, row_len } => {
                    let begin = if *by_rows { 0 } else { first_row * row_len };
                    reduce::fold(isa, *kind, *view, f32_in(0), begin, rows * row_len, f32_out(0));
                }
                Kernel::FoldAny { kind, shape, axes } => reduce::fold_any(*kind, shape, axes, f32_in(0), f32_out(0)),
                Kernel::ArgMax { per_row, len } => {
                    reduce::argmax(f32_in(0), rows * per_row, *len, outputs[0].cast());
                }
                Kernel::Moves(moves) => moves.run(isa, [first_row, rows], inputs, outputs[0].cast()),
                Kernel::Gather { table, per_row } => {
                    let indices = inputs[1].cast::<i32>().cast_const();
                    index::gather(*table, inputs[0].cast(), indices, rows * per_row, outputs[0].cast());
                }
                Kernel::SumRows { row_len, indices } => {
                    let indices = std::slice::from_raw_parts(inputs[1].cast::<i32>(), *indices);
                    index::sum_rows(isa, f32_in(0), indices, *row_len, [first_row, rows], f32_out(0));
                }
                Kernel::Literal { values, row_len } => {
                    let values = &values[first_row * row_len..][..rows * row_len];
                    std::ptr::copy_nonoverlapping(values.as_ptr(), f32_out(0), values.len());
                }
                Kernel::Iota { stride, extent, row_len } => {
                    let out = std::slice::from_raw_parts_mut(outputs[0].cast::<i32>(), rows * row_len);
                    index::iota(*stride, *extent, first_row * row_len, out);
                }
                Kernel::OneHot { per_row, depth } => {
                    layout::one_hot(inputs[0].cast(), rows * per_row, *depth, f32_out(0));
                }
                Kernel::Softmax { per_row, len, height } => {
                    let rows = [first_row, rows].map(|rows| rows * per_row);
                    softmax::softmax(isa, f32_in(0), f32_out(0), rows, *len, *height);
                }
                Kernel::SparseCrossEntropy { per_row, len } => {
                    let labels = inputs[1].cast::<i32>().cast_const();
                    let rows = rows * per_row;
                    softmax::sparse_cross_entropy(isa, f32_in(0), labels, f32_out(0), f32_out(1), rows, *len);
                }
                Kernel::Adam { op, row_len } => adam(block, *op, [rows, *row_len]),
                Kernel::CastToF32 { row_len } => {
                    let from = std::slice::from_raw_parts(inputs[0].cast::<i32>(), rows * row_len);
                    (0..from.len()).for_each(|i| *f32_out(0).add(i) = from[i] as f32);
                }
                Kernel::CastToI32 { row_len } => {
                    let from = std::slice::from_raw_parts(f32_in(0), rows * row_len);
                    (0..from.len()).for_each(|i| *outputs[0].cast::<i32>().add(i) = from[i] as i32);
                }
                Kernel::Integers(integers) => integers.run([first_row, rows], inputs, outputs[0].cast()),
                Kernel::Copy { row_bytes } => std::ptr::copy(inputs[0], outputs[0], rows * row_bytes),
            }
        }
    }
}

fn last(ty: &Type) -> usize {
    ty.shape.last().copied().unwrap_or(1)
}

fn compiled(graph: &Graph, node: &Node, program: &footlight_graph::ops::Program) -> Compiled {
    let types: Vec<Type> = node.inputs.iter().map(|v| graph.type_of(*v).clone()).collect();
    Compiled::new(program, &types)
}

/// A program of one elementwise op, for graphs that were not fused.
pub(crate) fn alone(op: &Op, output: &Type) -> footlight_graph::ops::Program {
    use footlight_graph::ops::{Instruction, Operand::Input, Program};
    let instruction = match op {
        Op::Unary(kind) => Instruction::Unary(*kind, Input(0)),
        Op::Binary(kind) => Instruction::Binary(*kind, Input(0), Input(1)),
        Op::Select(_) => Instruction::Select(Input(0), Input(1), Input(2)),
        Op::RandomUniform(random) => Instruction::Uniform { key: random.key, step: 0 },
        op => unreachable!("{op} is not elementwise"),
    };
    Program { instructions: vec![instruction], shape: output.shape.clone() }
}

fn fold(kind: Kind, input: &Type, axes: &[usize], output: &Type) -> Kernel {
    match Fold::new(&input.shape, axes) {
        Some(view) => Kernel::Fold { kind, view, by_rows: !axes.contains(&0), row_len: row_len(output) },
        None => Kernel::FoldAny { kind, shape: input.shape.clone(), axes: axes.to_vec() },
    }
}

unsafe fn load(block: &Block<'_>, input: usize, dtype: DType, row_len: usize) {
    let count = block.rows * row_len;
    let feed = &block.feeds[input];
    // SAFETY: the output has room for the block's rows.
    unsafe {
        if dtype == DType::I32 {
            let out = std::slice::from_raw_parts_mut(block.outputs[0].cast(), count);
            feed.write_i32(block.first_row, row_len, out);
        } else {
            let out = std::slice::from_raw_parts_mut(block.outputs[0].cast(), count);
            feed.write_f32(block.isa, block.first_row, row_len, out);
        }
    }
}

/// `count` products one after another, each of its own matrices.
unsafe fn batch_matmul(block: &Block<'_>, op: MatMul, [m, n, k]: [usize; 3], count: usize) {
    let packed = block.block_scratch.cast::<f32>();
    for i in 0..count {
        // SAFETY: the block holds `count` matrices of each operand; its scratch has room for a packed right side.
        unsafe {
            let left = left_of(op, block.inputs[0].cast::<f32>().add(i * m * k), [m, k]);
            let b = block.inputs[1].cast::<f32>().add(i * k * n).cast_const();
            let c = block.outputs[0].cast::<f32>().add(i * m * n);
            if is_direct(&op, m) {
                gemm::gemm_direct(block.isa, [m, n, k], left, b, n, c, n);
                continue;
            }
            let b = if is_packed(block.isa, &op, [m, n, k]) {
                pack_right(block.isa, op, b, [k, n], packed);
                packed.cast_const()
            } else {
                b
            };
            let (isa, right) = (block.isa, right_of(block.isa, &op, [m, n, k], b));
            match op.lower {
                None => gemm::gemm(isa, [m, n, k], left, right, c, n),
                Some(Lower::A) => lower::gemm_lower_a(isa, [m, n, k], left, op.transpose_a, right, c),
                Some(Lower::Output) => lower::gemm_lower_output(isa, [m, n, k], left, right, c),
            }
        }
    }
}

/// The right side, packed where it [has to be](is_packed).
fn right_of(isa: Isa, op: &MatMul, [m, n, k]: [usize; 3], b: *const f32) -> Right {
    if is_packed(isa, op, [m, n, k]) { Right::packed(isa, k, b) } else { Right::in_place(n, b) }
}

/// The left side of a block of rows.
unsafe fn left_of_block(block: &Block<'_>, op: MatMul, extents: [usize; 2]) -> Left {
    let pointer = block.inputs[0].cast::<f32>().cast_const();
    // A transposed A is read whole: the block's rows are its columns.
    // SAFETY: the block's first row is a column of A.
    left_of(op, if op.transpose_a { unsafe { pointer.add(block.first_row) } } else { pointer }, extents)
}

fn left_of(op: MatMul, pointer: *const f32, [m, k]: [usize; 2]) -> Left {
    let (row_stride, column_stride) = if op.transpose_a { (1, m) } else { (k, 1) };
    Left { pointer, row_stride, column_stride }
}

unsafe fn pack_right(isa: Isa, op: MatMul, b: *const f32, [k, n]: [usize; 2], packed: *mut f32) {
    let (row_stride, column_stride) = if op.transpose_b { (1, k) } else { (n, 1) };
    // SAFETY: the caller vouches for the matrix and for room for its packed form.
    unsafe { gemm::pack_b(isa, b, row_stride, column_stride, [k, n], packed) }
}

unsafe fn adam(block: &Block<'_>, op: AdamUpdate, [rows, row_len]: [usize; 2]) {
    let [w, g, m, v, alpha] = [0, 1, 2, 3, 4].map(|i: usize| block.inputs[i].cast::<f32>());
    // The plan updates states in place; a raw plan of a graph without states does not.
    for (from, to) in [(w, block.outputs[0]), (m, block.outputs[1]), (v, block.outputs[2])] {
        if from.cast::<u8>() != to {
            // SAFETY: input and output both hold the block's elements and do not overlap.
            unsafe { std::ptr::copy_nonoverlapping(from, to.cast::<f32>(), rows * row_len) };
        }
    }
    let [w, m, v] = [0, 1, 2].map(|i: usize| block.outputs[i].cast::<f32>());
    // SAFETY: every operand holds the block's elements; alpha is a scalar.
    unsafe { update::adam(block.isa, op, AdamOperands { w, g, m, v, alpha: *alpha }, [rows, row_len]) }
}
