//! Runs a program of elementwise instructions tile by tile: a tile of every register stays in the L1 cache, and each
//! instruction is one vectorised loop over it.

use super::math;
use crate::isa::{Isa, multiversion};
use footlight_graph::Type;
use footlight_graph::ops::{Binary, Instruction, Operand, Program, Unary};
use footlight_tensor::{DType, RandomKey};

/// Elements of a tile.
const TILE: usize = 512;

/// How an input's elements are found from the output's.
#[derive(Clone, Debug, PartialEq)]
enum Layout {
    /// The same shape: element `e` is element `e`.
    Same,
    /// One number.
    Scalar,
    /// One number per row of the output.
    PerRow,
    /// The trailing axes of the output, `period` elements that repeat.
    Repeated { period: usize },
    /// Anything else: the element of the output's index, by strides of the input (0 where it broadcasts); `by_rows` tells
    /// whether the pointer is at the block's first row.
    Strided { extents: Vec<usize>, strides: Vec<usize>, by_rows: bool },
    /// An i32 step, read by random instructions only.
    Step,
}

/// Where an instruction's operand is when it runs.
#[derive(Clone, Copy, Debug)]
enum Source {
    /// A tile of scratch.
    Tile(usize),
    /// An input read where it lies.
    Input(usize),
    /// A number of an input.
    Scalar(usize),
    /// A number of the program.
    Constant(f32),
}

#[derive(Clone, Copy, Debug)]
enum Work {
    Unary(Unary, Source),
    Binary(Binary, Source, Source),
    Select(Source, Source, Source),
    Uniform(RandomKey, usize),
}

/// A program made ready for inputs of known types.
#[derive(Clone, Debug)]
pub(crate) struct Compiled {
    work: Vec<(Work, usize)>,
    layouts: Vec<Layout>,
    /// Inputs that are expanded into a tile before the instructions run: input, tile.
    expanded: Vec<(usize, usize)>,
    tiles: usize,
    row_len: usize,
}

impl Compiled {
    /// Resolves operands and gives registers tiles by their lifetimes.
    pub(crate) fn new(program: &Program, inputs: &[Type]) -> Compiled {
        let layouts: Vec<Layout> = inputs.iter().map(|ty| layout(ty, &program.shape)).collect();
        let mut last_use = vec![0; program.instructions.len()];
        for (index, instruction) in program.instructions.iter().enumerate() {
            for operand in instruction.operands() {
                if let Operand::Register(register) = operand {
                    last_use[register] = index;
                }
            }
        }
        let mut expanded = Vec::new();
        for (input, layout) in layouts.iter().enumerate() {
            if matches!(layout, Layout::PerRow | Layout::Repeated { .. } | Layout::Strided { .. }) {
                expanded.push((input, expanded.len()));
            }
        }
        let mut tiles = expanded.len();
        let mut free: Vec<usize> = Vec::new();
        let mut tile_of = vec![0; program.instructions.len()];
        let mut work = Vec::new();
        for (index, instruction) in program.instructions.iter().enumerate() {
            let source = |operand: Operand| match operand {
                Operand::Constant(c) => Source::Constant(c),
                Operand::Register(register) => Source::Tile(tile_of[register]),
                Operand::Input(input) => match layouts[input] {
                    Layout::Same => Source::Input(input),
                    Layout::Scalar => Source::Scalar(input),
                    _ => Source::Tile(expanded.iter().find(|(i, _)| *i == input).map_or(0, |(_, tile)| *tile)),
                },
            };
            let what = match *instruction {
                Instruction::Unary(kind, a) => Work::Unary(kind, source(a)),
                Instruction::Binary(kind, a, b) => Work::Binary(kind, source(a), source(b)),
                Instruction::Select(c, a, b) => Work::Select(source(c), source(a), source(b)),
                Instruction::Uniform { key, step } => Work::Uniform(key, step),
            };
            // A register whose last reader is this instruction may be overwritten by it: each element is read first.
            for operand in instruction.operands() {
                if let Operand::Register(register) = operand
                    && last_use[register] == index
                    && !free.contains(&tile_of[register])
                {
                    free.push(tile_of[register]);
                }
            }
            tile_of[index] = free.pop().unwrap_or_else(|| {
                tiles += 1;
                tiles - 1
            });
            work.push((what, tile_of[index]));
        }
        let row_len = program.shape.iter().skip(1).product();
        Compiled { work, layouts, expanded, tiles, row_len }
    }

    /// Floats of scratch that [`Compiled::run`] needs.
    pub(crate) fn scratch_floats(&self) -> usize {
        self.tiles * TILE
    }

    /// Computes rows `first_row..first_row + rows` of the output. `out` may be an input of the same shape.
    ///
    /// # Safety
    /// Inputs and `out` hold what the types say (see the module of kernels for where they point), `scratch` has
    /// [`Compiled::scratch_floats`] floats that nothing else uses.
    pub(crate) unsafe fn run(
        &self,
        isa: Isa,
        [first_row, rows]: [usize; 2],
        inputs: &[*mut u8],
        out: *mut f32,
        scratch: *mut f32,
    ) {
        let count = rows * self.row_len;
        for begin in (0..count).step_by(TILE) {
            let len = TILE.min(count - begin);
            for &(input, tile) in &self.expanded {
                // SAFETY: tile `tile` is inside scratch; the input holds what its layout says.
                unsafe {
                    let to = std::slice::from_raw_parts_mut(scratch.add(tile * TILE), len);
                    self.expand(&self.layouts[input], inputs[input].cast(), first_row, begin, to);
                }
            }
            for (index, (work, tile)) in self.work.iter().enumerate() {
                let is_last = index + 1 == self.work.len();
                // SAFETY: `begin + len` elements of every same-shaped operand are inside the block.
                unsafe {
                    let to = if is_last { out.add(begin) } else { scratch.add(tile * TILE) };
                    let get = |source: Source| match source {
                        Source::Tile(tile) => Argument::Many(scratch.add(tile * TILE)),
                        Source::Input(input) => Argument::Many(inputs[input].cast::<f32>().add(begin)),
                        Source::Scalar(input) => Argument::One(inputs[input].cast::<f32>().read()),
                        Source::Constant(c) => Argument::One(c),
                    };
                    match *work {
                        Work::Unary(kind, a) => unary(isa, kind, get(a), to, len),
                        Work::Binary(kind, a, b) => binary(isa, kind, get(a), get(b), to, len),
                        Work::Select(c, a, b) => select(isa, [get(c), get(a), get(b)], to, len),
                        Work::Uniform(key, step) => {
                            let step = inputs[step].cast::<i32>().read() as u32;
                            let first = first_row * self.row_len + begin;
                            uniform(isa, key, step, first as u64, to, len);
                        }
                    }
                }
            }
        }
    }

    /// Writes elements `begin..` of the block, as the output sees the input, to a tile.
    unsafe fn expand(&self, layout: &Layout, from: *const f32, first_row: usize, begin: usize, to: &mut [f32]) {
        match layout {
            Layout::PerRow => {
                let mut done = 0;
                while done < to.len() {
                    let (row, within) = ((begin + done) / self.row_len, (begin + done) % self.row_len);
                    let run = (self.row_len - within).min(to.len() - done);
                    // SAFETY: `row` counts from the block's first row, where the input's pointer is.
                    to[done..done + run].fill(unsafe { *from.add(row) });
                    done += run;
                }
            }
            Layout::Repeated { period } => {
                let mut done = 0;
                while done < to.len() {
                    let within = (begin + done) % period;
                    let run = (period - within).min(to.len() - done);
                    // SAFETY: the input has `period` elements.
                    unsafe { std::ptr::copy_nonoverlapping(from.add(within), to[done..].as_mut_ptr(), run) };
                    done += run;
                }
            }
            Layout::Strided { extents, strides, by_rows } => {
                let first = if *by_rows { 0 } else { first_row * self.row_len };
                for (i, x) in to.iter_mut().enumerate() {
                    let (mut rest, mut at) = (first + begin + i, 0);
                    for (extent, stride) in extents.iter().zip(strides).rev() {
                        at += rest % extent * stride;
                        rest /= extent;
                    }
                    // SAFETY: every index is below its extent, so `at` lies inside the input.
                    *x = unsafe { *from.add(at) };
                }
            }
            Layout::Same | Layout::Scalar | Layout::Step => {}
        }
    }
}

/// How an input of type `ty` lies to an output of `shape`.
fn layout(ty: &Type, shape: &[usize]) -> Layout {
    if ty.dtype == DType::I32 {
        return Layout::Step;
    }
    if ty.len() == 1 {
        return Layout::Scalar;
    }
    if ty.shape == shape {
        return Layout::Same;
    }
    let by_rows = ty.rank() == shape.len() && ty.shape[0] == shape[0];
    if by_rows && ty.len() == ty.shape[0] {
        return Layout::PerRow;
    }
    let trailing: Vec<usize> = ty.shape.iter().copied().skip_while(|&d| d == 1).collect();
    if shape.ends_with(&trailing) && trailing.len() < shape.len() {
        return Layout::Repeated { period: ty.len() };
    }
    let mut strides = vec![0; shape.len()];
    let mut stride = 1;
    for (axis, &extent) in ty.shape.iter().enumerate().rev() {
        strides[axis + shape.len() - ty.rank()] = if extent == 1 { 0 } else { stride };
        stride *= extent;
    }
    Layout::Strided { extents: shape.to_vec(), strides, by_rows }
}

/// An operand of one loop.
#[derive(Clone, Copy)]
enum Argument {
    Many(*const f32),
    One(f32),
}

/// `out[i] = f(a[i])`; `out` may be `a`.
#[inline(always)]
unsafe fn map(a: Argument, out: *mut f32, len: usize, f: impl Fn(f32) -> f32) {
    // SAFETY: the caller vouches for `len` elements of each.
    unsafe {
        match a {
            Argument::Many(a) => (0..len).for_each(|i| *out.add(i) = f(*a.add(i))),
            Argument::One(a) => {
                let y = f(a);
                (0..len).for_each(|i| *out.add(i) = y);
            }
        }
    }
}

/// `out[i] = f(a[i], b[i])`; `out` may be either.
#[inline(always)]
unsafe fn zip(a: Argument, b: Argument, out: *mut f32, len: usize, f: impl Fn(f32, f32) -> f32) {
    // SAFETY: the caller vouches for `len` elements of each.
    unsafe {
        match (a, b) {
            (Argument::Many(a), Argument::Many(b)) => (0..len).for_each(|i| *out.add(i) = f(*a.add(i), *b.add(i))),
            (Argument::Many(a), Argument::One(b)) => (0..len).for_each(|i| *out.add(i) = f(*a.add(i), b)),
            (Argument::One(a), Argument::Many(b)) => (0..len).for_each(|i| *out.add(i) = f(a, *b.add(i))),
            (Argument::One(a), Argument::One(b)) => {
                let y = f(a, b);
                (0..len).for_each(|i| *out.add(i) = y);
            }
        }
    }
}

fn truth(is: bool) -> f32 {
    if is { 1.0 } else { 0.0 }
}

multiversion! {
    /// One function over a tile.
    ///
    /// # Safety
    /// `a` and `out` hold `len` elements.
    unsafe fn unary(kind: Unary, a: Argument, out: *mut f32, len: usize) {
        // SAFETY: the caller's contract.
        unsafe {
            match kind {
                Unary::Identity => map(a, out, len, |x| x),
                Unary::Neg => map(a, out, len, |x| -x),
                Unary::Abs => map(a, out, len, f32::abs),
                Unary::Sign => map(a, out, len, |x| if x.is_nan() { x } else { truth(x > 0.0) - truth(x < 0.0) }),
                Unary::Exp => map(a, out, len, math::exp::<FMA>),
                Unary::Log => map(a, out, len, math::log::<FMA>),
                Unary::Log1p => map(a, out, len, math::log1p::<FMA>),
                Unary::Expm1 => map(a, out, len, math::expm1::<FMA>),
                Unary::Sqrt => map(a, out, len, f32::sqrt),
                Unary::Tanh => map(a, out, len, math::tanh::<FMA>),
                Unary::Sigmoid => map(a, out, len, math::sigmoid::<FMA>),
                Unary::Erf => map(a, out, len, math::erf::<FMA>),
                Unary::Floor => map(a, out, len, f32::floor),
            }
        }
    }
}

multiversion! {
    /// One function of two operands over a tile.
    ///
    /// # Safety
    /// `a`, `b` and `out` hold `len` elements.
    unsafe fn binary(kind: Binary, a: Argument, b: Argument, out: *mut f32, len: usize) {
        // SAFETY: the caller's contract.
        unsafe {
            match kind {
                Binary::Add => zip(a, b, out, len, |x, y| x + y),
                Binary::Sub => zip(a, b, out, len, |x, y| x - y),
                Binary::Mul => zip(a, b, out, len, |x, y| x * y),
                Binary::Div => zip(a, b, out, len, |x, y| x / y),
                // A NaN on either side comes through.
                Binary::Maximum => zip(a, b, out, len, |x, y| if x >= y || x.is_nan() { x } else { y }),
                Binary::Minimum => zip(a, b, out, len, |x, y| if x <= y || x.is_nan() { x } else { y }),
                Binary::Pow => zip(a, b, out, len, f32::powf),
                Binary::Equal => zip(a, b, out, len, |x, y| truth(x == y)),
                Binary::Greater => zip(a, b, out, len, |x, y| truth(x > y)),
                Binary::GreaterEqual => zip(a, b, out, len, |x, y| truth(x >= y)),
            }
        }
    }
}

multiversion! {
    /// `out = a` where the condition is not 0, else `b`.
    ///
    /// # Safety
    /// All operands and `out` hold `len` elements.
    unsafe fn select(operands: [Argument; 3], out: *mut f32, len: usize) {
        let [condition, a, b] = operands;
        let get = |argument: Argument, i: usize| match argument {
            // SAFETY: `i < len`.
            Argument::Many(pointer) => unsafe { *pointer.add(i) },
            Argument::One(x) => x,
        };
        for i in 0..len {
            let chosen = if get(condition, i) != 0.0 { get(a, i) } else { get(b, i) };
            // SAFETY: `i < len`.
            unsafe { *out.add(i) = chosen };
        }
    }
}

multiversion! {
    /// Elements `first..first + len` of the uniform numbers of `key` at `step`.
    ///
    /// # Safety
    /// `out` has room for `len` elements.
    unsafe fn uniform(key: RandomKey, step: u32, first: u64, out: *mut f32, len: usize) {
        /// Philox blocks worked on side by side.
        const BLOCKS: usize = 8;
        // SAFETY: `out` has room for `len` elements.
        let out = unsafe { std::slice::from_raw_parts_mut(out, len) };
        let mut words = [0u32; 4 * BLOCKS];
        let mut at = 0;
        while at < len {
            let element = first + at as u64;
            let block = element / 4;
            for i in 0..BLOCKS {
                let four = key.words(block + i as u64, step);
                words[4 * i..4 * i + 4].copy_from_slice(&four);
            }
            let skip = (element % 4) as usize;
            let run = (words.len() - skip).min(len - at);
            for (x, word) in out[at..at + run].iter_mut().zip(&words[skip..]) {
                *x = (word >> 8) as f32 * (1.0 / 16_777_216.0);
            }
            at += run;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_numbers_are_those_of_their_elements_for_any_split() {
        let key = RandomKey::new(9).child("dropout");
        for isa in Isa::available() {
            for first in [0u64, 1, 3, 8, 1001] {
                let mut out = vec![f32::NAN; 300];
                // SAFETY: the vector has this length.
                unsafe { uniform(isa, key, 5, first, out.as_mut_ptr(), out.len()) };
                for (i, x) in out.iter().enumerate() {
                    let element = first + i as u64;
                    let word = key.words(element / 4, 5)[(element % 4) as usize];
                    assert_eq!(*x, (word >> 8) as f32 / 16_777_216.0, "{isa:?} {first} {i}");
                }
            }
        }
    }

    #[test]
    fn inputs_are_told_apart_by_shape() {
        let shape = [4, 3, 5];
        assert_eq!(layout(&Type::f32([4, 3, 5]), &shape), Layout::Same);
        assert_eq!(layout(&Type::f32([]), &shape), Layout::Scalar);
        assert_eq!(layout(&Type::f32([4, 1, 1]), &shape), Layout::PerRow);
        assert_eq!(layout(&Type::f32([5]), &shape), Layout::Repeated { period: 5 });
        assert_eq!(layout(&Type::f32([1, 3, 5]), &shape), Layout::Repeated { period: 15 });
        assert!(matches!(layout(&Type::f32([4, 3, 1]), &shape), Layout::Strided { by_rows: true, .. }));
        assert!(matches!(layout(&Type::f32([3, 1]), &shape), Layout::Strided { by_rows: false, .. }));
    }
}
