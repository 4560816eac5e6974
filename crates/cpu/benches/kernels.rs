//! How fast the kernels are on one thread: `cargo bench -p footlight-cpu --bench kernels`.
//!
//! Products are given as a share of the multiply-add peak that is measured first, on the same core in the same minute; the
//! other kernels as bytes moved and elements done in a second. Each line is the best of many short runs, because other
//! programs only ever make a run slower.

// Kernels are private to the crate, so their sources are compiled into this program.
#![allow(dead_code, unused_imports)]
#[path = "../src/isa.rs"]
mod isa;
#[path = "../src/kernels/mod.rs"]
mod kernels;
#[path = "../src/naive.rs"]
mod naive;

use footlight_graph::ops::{
    AdamUpdate, Binary, Broadcast, Concat, Instruction, Operand, Program, Reverse, Transpose, Unary,
};
use footlight_graph::plan::Access;
use footlight_graph::{Op, Type};
use footlight_tensor::{Philox, RandomKey};
use isa::Isa;
use kernels::gemm::{self, Left, Right};
use kernels::moving::Moves;
use kernels::program::Compiled;
use kernels::reduce::{self, Fold, Kind};
use kernels::{softmax, update};
use std::hint::black_box;
use std::time::Instant;

/// The shortest time of `work` in seconds, of batches that take about a millisecond each.
fn seconds(mut work: impl FnMut()) -> f64 {
    let begin = Instant::now();
    work();
    let once = begin.elapsed().as_secs_f64().max(1e-8);
    let batch = (1e-3 / once).clamp(1.0, 1e5) as usize;
    let mut best = f64::INFINITY;
    for _ in 0..60 {
        let begin = Instant::now();
        (0..batch).for_each(|_| work());
        best = best.min(begin.elapsed().as_secs_f64() / batch as f64);
    }
    best
}

fn random(seed: u64, count: usize) -> Vec<f32> {
    let mut rng = Philox::new(RandomKey::new(seed));
    (0..count).map(|_| rng.uniform() - 0.5).collect()
}

/// The first cache line of a buffer that has 16 floats to spare.
fn aligned(buffer: &mut [f32]) -> *mut f32 {
    let skip = buffer.as_ptr().align_offset(64);
    buffer[skip..].as_mut_ptr()
}

macro_rules! peak {
    ($name:ident, $features:literal, $lanes:literal, $zero:ident, $set1:ident, $fma:ident, $add:ident, $first:ident) => {
        /// The end of `steps` multiply-adds on registers alone, in twelve independent chains.
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = $features)]
        fn $name(steps: usize) -> f32 {
            use std::arch::x86_64::*;
            let (x, y) = ($set1(black_box(0.999)), $set1(black_box(1e-3)));
            let mut sums = [$zero(); 12];
            for _ in 0..steps {
                for sum in &mut sums {
                    *sum = $fma(*sum, x, y);
                }
            }
            $first(sums.into_iter().fold($zero(), |a, b| $add(a, b)))
        }
    };
}
peak!(chains_avx2, "avx2,fma", 8, _mm256_setzero_ps, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_add_ps, _mm256_cvtss_f32);
peak!(
    chains_avx512,
    "avx512f",
    16,
    _mm512_setzero_ps,
    _mm512_set1_ps,
    _mm512_fmadd_ps,
    _mm512_add_ps,
    _mm512_cvtss_f32
);

/// Multiplications and additions that one core can do in a second.
fn peak(isa: Isa) -> f64 {
    const STEPS: usize = 10_000;
    let rate = |lanes: usize, time: f64| 2.0 * (lanes * 12 * STEPS) as f64 / time;
    match isa {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the set is available.
        Isa::Avx512 => rate(16, seconds(|| _ = black_box(unsafe { chains_avx512(STEPS) }))),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the set is available.
        Isa::Avx2 => rate(8, seconds(|| _ = black_box(unsafe { chains_avx2(STEPS) }))),
        _ => f64::NAN,
    }
}

/// Times `[m, k] x [k, n]`, packing apart; `lead` is the extent of the whole `A` of which `m` rows are a block.
fn product(isa: Isa, peak: f64, [m, k, n]: [usize; 3], lead: usize, transposed: [bool; 2]) {
    let (a, b) = (random(1, lead * k), random(2, k * n));
    let (mut c, mut packed) = (vec![0f32; m * n], vec![0f32; gemm::packed_len(isa, k, n) + 16]);
    let packed = aligned(&mut packed);
    let (row_stride, column_stride) = if transposed[0] { (1, lead) } else { (k, 1) };
    let left = Left { pointer: a.as_ptr(), row_stride, column_stride };
    let (b_rows, b_columns) = if transposed[1] { (1, k) } else { (n, 1) };
    // SAFETY: the vectors hold what the extents say.
    let (pack, multiply) = unsafe {
        (
            seconds(|| gemm::pack_b(isa, black_box(b.as_ptr()), b_rows, b_columns, [k, n], packed)),
            seconds(|| gemm::gemm(isa, [m, n, k], black_box(left), Right::packed(isa, k, packed), c.as_mut_ptr(), n)),
        )
    };
    let rate = 2.0 * (m * n * k) as f64 / multiply;
    println!(
        "| {:<8} | {:<34} | {:>9.2} us | {:>6.1} GFLOP/s | {:>5.1} % | pack {:>7.2} us |",
        isa.name(),
        format!("{}({m}, {k}) x {}({k}, {n})", mark(transposed[0]), mark(transposed[1])),
        multiply * 1e6,
        rate / 1e9,
        100.0 * rate / peak,
        pack * 1e6
    );
}

fn mark(is_transposed: bool) -> &'static str {
    if is_transposed { "T" } else { "" }
}

fn direct(isa: Isa, [m, k, n]: [usize; 3]) {
    let (a, b, mut c) = (random(1, m * k), random(2, k * n), vec![0f32; m * n]);
    let left = Left { pointer: a.as_ptr(), row_stride: k, column_stride: 1 };
    // SAFETY: the vectors hold what the extents say.
    let time = seconds(|| unsafe {
        gemm::gemm_direct(isa, [m, n, k], black_box(left), b.as_ptr(), n, c.as_mut_ptr(), n);
    });
    line(isa, &format!("direct ({m}, {k}) x ({k}, {n})"), time, k * n, 4 * (k * n + m * (k + n)));
}

fn line(isa: Isa, what: &str, time: f64, elements: usize, bytes: usize) {
    println!(
        "| {:<8} | {:<34} | {:>9.2} us | {:>6.2} G elements/s | {:>6.1} GB/s |",
        isa.name(),
        what,
        time * 1e6,
        elements as f64 / time / 1e9,
        bytes as f64 / time / 1e9
    );
}

fn run_program(isa: Isa, name: &str, instructions: Vec<Instruction>, inputs: &[Type]) {
    let shape = vec![64, 128];
    let program = Program { instructions, shape };
    let compiled = Compiled::new(&program, inputs);
    let data: Vec<Vec<f32>> = inputs.iter().map(|ty| random(3, ty.len())).collect();
    let pointers: Vec<*mut u8> = data.iter().map(|v| v.as_ptr().cast_mut().cast()).collect();
    let (mut out, mut scratch) = (vec![0f32; 64 * 128], vec![0f32; compiled.scratch_floats() + 16]);
    let scratch = aligned(&mut scratch);
    // SAFETY: buffers are of the types' sizes.
    let time = seconds(|| unsafe { compiled.run(isa, [0, 64], black_box(&pointers), out.as_mut_ptr(), scratch) });
    line(isa, name, time, 64 * 128, 4 * (64 * 128 + inputs.iter().map(Type::len).sum::<usize>()));
}

fn programs(isa: Isa) {
    use Operand::{Constant, Input, Register};
    let full = Type::f32([64, 128]);
    for kind in [Unary::Exp, Unary::Log, Unary::Tanh, Unary::Sigmoid, Unary::Erf, Unary::Expm1, Unary::Log1p] {
        run_program(isa, kind.kind_name(), vec![Instruction::Unary(kind, Input(0))], std::slice::from_ref(&full));
    }
    let uniform = Instruction::Uniform { key: RandomKey::new(5), step: 0 };
    run_program(isa, "random_uniform", vec![uniform], &[Type::i32([])]);
    let dropout = vec![
        Instruction::Binary(Binary::Add, Input(0), Input(1)),
        Instruction::Binary(Binary::Maximum, Register(0), Constant(0.0)),
        Instruction::Uniform { key: RandomKey::new(5), step: 2 },
        Instruction::Binary(Binary::GreaterEqual, Register(2), Constant(0.2)),
        Instruction::Binary(Binary::Mul, Register(1), Register(3)),
        Instruction::Binary(Binary::Mul, Register(4), Constant(1.25)),
    ];
    run_program(isa, "bias, relu, dropout", dropout, &[full.clone(), Type::f32([128]), Type::i32([])]);
    let bias = vec![
        Instruction::Binary(Binary::Add, Input(0), Input(1)),
        Instruction::Binary(Binary::Maximum, Register(0), Constant(0.0)),
    ];
    run_program(isa, "bias, relu", bias, &[full.clone(), Type::f32([128])]);
    let column = vec![
        Instruction::Binary(Binary::Sub, Input(0), Input(1)),
        Instruction::Binary(Binary::Mul, Register(0), Input(2)),
        Instruction::Binary(Binary::Add, Register(1), Input(3)),
    ];
    let types = [full, Type::f32([64, 1]), Type::f32([1, 128]), Type::f32([128])];
    run_program(isa, "x - column, * row, + row", column, &types);
}

fn others(isa: Isa) {
    let len = 784 * 128;
    let (mut w, g, mut m, mut v) = (random(1, len), random(2, len), random(3, len), vec![0.1f32; len]);
    let op = AdamUpdate { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7, lazy: false };
    let (w, m, v) = (w.as_mut_ptr(), m.as_mut_ptr(), v.as_mut_ptr());
    let operands = update::AdamOperands { w, g: g.as_ptr(), m, v, alpha: 1e-6 };
    // SAFETY: every operand has `len` elements.
    let time = seconds(|| unsafe { update::adam(isa, op, operands, [1, len]) });
    line(isa, "adam (784, 128)", time, len, 28 * len);
    let mut y = vec![0f32; len];
    for (rows, len) in [(128, 10), (128, 784)] {
        // SAFETY: rows and length fit.
        let time = seconds(|| unsafe { softmax::softmax(isa, g.as_ptr(), y.as_mut_ptr(), [0, rows], len, None) });
        line(isa, &format!("softmax ({rows}, {len})"), time, rows * len, 8 * rows * len);
    }
    for (shape, axes) in [([128, 784], vec![0]), ([128, 784], vec![1]), ([128, 784], vec![0, 1]), ([128, 10], vec![0])]
    {
        let Some(view) = Fold::new(&shape, &axes) else { continue };
        let (rows, count) = (shape[0] * shape[1], view.outer * view.inner);
        for kind in [Kind::Sum, Kind::Max] {
            // SAFETY: the shape fits.
            let time = seconds(|| unsafe { reduce::fold(isa, kind, view, g.as_ptr(), 0, count, y.as_mut_ptr()) });
            line(isa, &format!("{kind:?} {shape:?} along {axes:?}"), time, rows, 4 * rows);
        }
    }
    let moves: [(&str, Op, Type, [usize; 2]); 4] = [
        ("transpose (128, 784)", Transpose { order: vec![1, 0] }.into(), Type::f32([128, 784]), [784, 128]),
        ("broadcast (128) to (784, 128)", Broadcast { shape: vec![784, 128] }.into(), Type::f32([128]), [784, 128]),
        ("reverse (784, 128)", Reverse { axes: vec![1] }.into(), Type::f32([784, 128]), [784, 128]),
        ("concat twice (784, 64)", Concat { axis: 1 }.into(), Type::f32([784, 64]), [784, 128]),
    ];
    for (name, op, from, to) in moves {
        let (x, mut out) = (g.as_ptr().cast::<u8>().cast_mut(), vec![0u32; len]);
        let inputs = if matches!(op, Op::Concat(_)) { vec![&from; 2] } else { vec![&from] };
        let moves = Moves::new(&op, &inputs, &Type::f32(to), &[Access::Whole; 2]);
        // SAFETY: inputs and output hold what the types say.
        let time = seconds(|| unsafe { moves.run(isa, [0, to[0]], black_box(&[x; 2]), out.as_mut_ptr()) });
        black_box(&out);
        line(isa, name, time, len, 8 * len);
    }
}

fn main() {
    for isa in Isa::available() {
        let peak = peak(isa);
        println!("\n{}: peak {:.1} GFLOP/s\n", isa.name(), peak / 1e9);
        for rows in [16, 64, 784] {
            product(isa, peak, [rows, 784, 128], rows, [false, false]);
        }
        for rows in [16, 49, 98] {
            product(isa, peak, [rows, 128, 128], 784, [true, false]);
        }
        for shape in [[16, 128, 10], [16, 10, 128], [128, 512, 512], [16, 512, 512], [5, 784, 128]] {
            product(isa, peak, shape, shape[0], [false, false]);
        }
        product(isa, peak, [16, 10, 128], 16, [false, true]);
        product(isa, peak, [128, 512, 512], 128, [false, true]);
        for shape in [[1, 784, 128], [1, 128, 10], [4, 784, 128], [1, 512, 512]] {
            direct(isa, shape);
        }
        programs(isa);
        others(isa);
    }
}
