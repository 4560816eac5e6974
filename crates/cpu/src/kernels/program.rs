//! Runs a program of elementwise instructions tile by tile: a tile of every register stays in the L1 cache, and each
//! instruction is one vectorised loop over it.
//!
//! Tiles are whole rows of the output, as many as fit, or pieces of one row where a row is longer, of a length that what
//! repeats within a row divides. So what repeats looks the same in every tile and is spread out once, and what is
//! one number per row is one number per piece.

use super::elementwise::{Argument, binary, select, unary};
use super::layout::gather_strided;
use super::random::uniform;
use crate::isa::Isa;
use footlight_graph::Type;
use footlight_graph::ops::{Binary, Instruction, Operand, Program, Unary};
use footlight_tensor::{DType, RandomKey};

/// Elements of a tile.
const TILE: usize = 1024;

/// Floats from tile to tile: not a multiple of a page, whose lines would all share the same places of the L1 cache.
const STRIDE: usize = TILE + 16;

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
    /// An input read where it lies: elements, or one number for the whole tile.
    Input(usize),
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
    /// Inputs that are spread out into a tile before the instructions run: input, tile, and whether once is enough.
    spread: Vec<(usize, usize, bool)>,
    /// Inputs of the output's shape that the last instruction reads.
    read_last: Vec<usize>,
    tiles: usize,
    row_len: usize,
    /// Elements of a whole tile.
    piece: usize,
}

impl Compiled {
    /// Resolves operands and gives registers tiles by their lifetimes.
    pub(crate) fn new(program: &Program, inputs: &[Type]) -> Compiled {
        let row_len: usize = program.shape.iter().skip(1).product();
        let layouts: Vec<Layout> = inputs.iter().map(|ty| layout(ty, &program.shape)).collect();
        let is_short = row_len <= TILE;
        let piece = piece(row_len, &layouts);
        let mut spread = Vec::new();
        for (input, layout) in layouts.iter().enumerate() {
            let needs_tile = match layout {
                Layout::PerRow => is_short,
                Layout::Repeated { period } => is_short || *period != row_len,
                Layout::Strided { .. } => true,
                Layout::Same | Layout::Scalar | Layout::Step => false,
            };
            if needs_tile {
                let is_alike = matches!(layout, Layout::Repeated { period } if piece.is_multiple_of(*period));
                spread.push((input, spread.len(), is_alike));
            }
        }
        let mut last_use = vec![0; program.instructions.len()];
        for (index, instruction) in program.instructions.iter().enumerate() {
            for operand in instruction.operands() {
                if let Operand::Register(register) = operand {
                    last_use[register] = index;
                }
            }
        }
        let mut tiles = spread.len();
        let mut free: Vec<usize> = Vec::new();
        let mut tile_of: Vec<usize> = Vec::new();
        let mut work = Vec::new();
        for (index, instruction) in program.instructions.iter().enumerate() {
            let source = |operand: Operand| match operand {
                Operand::Constant(c) => Source::Constant(c),
                Operand::Register(register) => Source::Tile(tile_of[register]),
                Operand::Input(input) => match spread.iter().find(|(i, ..)| *i == input) {
                    Some((_, tile, _)) => Source::Tile(*tile),
                    None => Source::Input(input),
                },
            };
            let what = match *instruction {
                Instruction::Unary(kind, a) => Work::Unary(kind, source(a)),
                Instruction::Binary(kind, a, b) => Work::Binary(kind, source(a), source(b)),
                Instruction::Select(c, a, b) => Work::Select(source(c), source(a), source(b)),
                Instruction::Uniform { key, step } => Work::Uniform(key, step),
            };
            // The result takes a free tile; those read here for the last time are free only for the next instruction,
            // so that no loop writes what it reads.
            let tile = free.pop().unwrap_or_else(|| {
                tiles += 1;
                tiles - 1
            });
            tile_of.push(tile);
            work.push((what, tile));
            for operand in instruction.operands() {
                if let Operand::Register(register) = operand
                    && last_use[register] == index
                    && !free.contains(&tile_of[register])
                {
                    free.push(tile_of[register]);
                }
            }
        }
        let last = program.instructions.last().into_iter().flat_map(Instruction::operands);
        let read_last = last
            .filter_map(|operand| match operand {
                Operand::Input(input) if layouts[input] == Layout::Same => Some(input),
                _ => None,
            })
            .collect();
        Compiled { work, layouts, spread, read_last, tiles, row_len, piece }
    }

    /// Floats of scratch that [`Compiled::run`] needs.
    pub(crate) fn scratch_floats(&self) -> usize {
        self.tiles * STRIDE
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
        if count == 0 {
            return;
        }
        // The last instruction may not write where it reads; then its result goes through its tile.
        let is_in_place = self.read_last.iter().any(|input| inputs[*input].cast() == out);
        let mut begin = 0;
        while begin < count {
            let row_left = self.row_len - begin % self.row_len;
            let len = self.piece.min(if self.row_len <= TILE { count - begin } else { row_left });
            let at = Place { first_row, begin, len, row_len: self.row_len };
            for &(input, tile, once) in &self.spread {
                if begin == 0 || !once {
                    // SAFETY: tile `tile` is inside scratch; the input holds what its layout says.
                    unsafe {
                        let to = std::slice::from_raw_parts_mut(scratch.add(tile * STRIDE), len);
                        at.spread(&self.layouts[input], inputs[input].cast(), to);
                    }
                }
            }
            for (index, &(work, tile)) in self.work.iter().enumerate() {
                let is_last = index + 1 == self.work.len();
                // SAFETY: `len` elements from `begin` of every same-shaped operand are inside the block, tiles inside
                // scratch; no instruction writes to a tile that it reads, nor to an input.
                unsafe {
                    let tile = scratch.add(tile * STRIDE);
                    let to = if is_last && !is_in_place { out.add(begin) } else { tile };
                    self.step(isa, work, at, inputs, scratch, to);
                    if is_last && is_in_place {
                        std::ptr::copy_nonoverlapping(tile, out.add(begin), len);
                    }
                }
            }
            begin += len;
        }
    }

    /// One instruction on one tile.
    #[inline]
    unsafe fn step(&self, isa: Isa, work: Work, at: Place, inputs: &[*mut u8], scratch: *mut f32, to: *mut f32) {
        let Place { first_row, begin, len, row_len } = at;
        // SAFETY: the caller's contract; where an input lies is what its layout says.
        unsafe {
            let get = |source: Source| match source {
                Source::Constant(c) => Argument::One(c),
                Source::Tile(tile) => Argument::Many(scratch.add(tile * STRIDE)),
                Source::Input(input) => {
                    let pointer = inputs[input].cast::<f32>();
                    match self.layouts[input] {
                        Layout::Scalar => Argument::One(*pointer),
                        Layout::PerRow => Argument::One(*pointer.add(begin / row_len)),
                        Layout::Repeated { .. } => Argument::Many(pointer.add(begin % row_len)),
                        _ => Argument::Many(pointer.add(begin)),
                    }
                }
            };
            match work {
                Work::Unary(kind, a) => unary(isa, kind, get(a), to, len),
                Work::Binary(kind, a, b) => binary(isa, kind, get(a), get(b), to, len),
                Work::Select(c, a, b) => select(isa, [get(c), get(a), get(b)], to, len),
                Work::Uniform(key, step) => {
                    let step = inputs[step].cast::<i32>().read() as u32;
                    uniform(isa, key, step, (first_row * row_len + begin) as u64, to, len);
                }
            }
        }
    }
}

/// Where a tile is: elements `begin..begin + len` of the block that begins at row `first_row`.
#[derive(Clone, Copy)]
struct Place {
    first_row: usize,
    begin: usize,
    len: usize,
    row_len: usize,
}

impl Place {
    /// Writes the tile's elements, as the output sees the input, to `to`.
    unsafe fn spread(self, layout: &Layout, from: *const f32, to: &mut [f32]) {
        let Place { first_row, begin, len, row_len } = self;
        match layout {
            Layout::PerRow => {
                for (row, to) in to.chunks_mut(row_len).enumerate() {
                    // SAFETY: rows count from the block's first row, where the input's pointer is.
                    to.fill(unsafe { *from.add(begin / row_len + row) });
                }
            }
            Layout::Repeated { period } => {
                let mut done = 0;
                while done < len {
                    let within = (begin + done) % period;
                    let run = (period - within).min(len - done);
                    // SAFETY: the input has `period` elements.
                    unsafe { std::ptr::copy_nonoverlapping(from.add(within), to[done..].as_mut_ptr(), run) };
                    done += run;
                }
            }
            Layout::Strided { extents, strides, by_rows } => {
                let first = begin + if *by_rows { 0 } else { first_row * row_len };
                // SAFETY: every index is below its extent, so what is read lies inside the input.
                unsafe { gather_strided(extents, strides, from.cast(), [first, len], to.as_mut_ptr().cast()) };
            }
            Layout::Same | Layout::Scalar | Layout::Step => {}
        }
    }
}

/// Elements of a whole tile: rows, or a part of a row that each period divides if it is not longer than a tile.
fn piece(row_len: usize, layouts: &[Layout]) -> usize {
    if row_len <= TILE {
        return TILE / row_len.max(1) * row_len;
    }
    let periods = layouts.iter().filter_map(|layout| match layout {
        Layout::Repeated { period } if *period <= TILE => Some(*period),
        _ => None,
    });
    // Each is the length of the last axes of one shape, so the longest is a multiple of the others.
    let longest = periods.max().unwrap_or(1);
    TILE / longest * longest
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::naive::{self, NaiveValue};
    use footlight_graph::Op;
    use footlight_tensor::Philox;

    /// The program over blocks of `block` rows, with `out` in the place of input 0 if asked.
    fn run(isa: Isa, program: &Program, inputs: &[NaiveValue<f32>], block: usize, in_place: bool) -> Vec<f32> {
        let types: Vec<Type> = inputs
            .iter()
            .map(|v| if v.as_int().is_some() { Type::i32(v.shape.clone()) } else { Type::f32(v.shape.clone()) })
            .collect();
        let compiled = Compiled::new(program, &types);
        let row_len: usize = program.shape.iter().skip(1).product();
        let all_rows = program.shape.first().copied().unwrap_or(1);
        let mut data: Vec<Vec<f32>> = inputs
            .iter()
            .map(|v| v.as_float().map_or_else(|| vec![f32::from_bits(v.as_int().unwrap()[0] as u32)], <[f32]>::to_vec))
            .collect();
        let (mut out, mut scratch) = (vec![f32::NAN; all_rows * row_len], vec![f32::NAN; compiled.scratch_floats()]);
        for first in (0..all_rows).step_by(block) {
            let by_rows = |ty: &Type| ty.rank() == program.shape.len() && ty.rank() > 0 && ty.shape[0] == all_rows;
            let pointers: Vec<*mut u8> = data
                .iter_mut()
                .zip(&types)
                .map(
                    |(v, ty)| {
                        if by_rows(ty) { v[first * (ty.len() / all_rows)..].as_mut_ptr() } else { v.as_mut_ptr() }
                    },
                )
                .map(|pointer| pointer.cast())
                .collect();
            let to = if in_place { pointers[0].cast() } else { out[first * row_len..].as_mut_ptr() };
            // SAFETY: buffers are of the types' sizes, and aligned inputs point at the block's first row.
            unsafe { compiled.run(isa, [first, block.min(all_rows - first)], &pointers, to, scratch.as_mut_ptr()) };
        }
        if in_place { data.swap_remove(0) } else { out }
    }

    #[test]
    fn programs_match_the_specification_for_any_shape_split_and_place() {
        use Operand::{Constant, Input, Register};
        let instructions = vec![
            Instruction::Binary(Binary::Add, Input(0), Input(1)),
            Instruction::Binary(Binary::Mul, Register(0), Input(2)),
            Instruction::Uniform { key: RandomKey::new(8), step: 4 },
            Instruction::Binary(Binary::Greater, Register(2), Constant(0.3)),
            Instruction::Select(Register(3), Register(1), Input(3)),
            Instruction::Unary(Unary::Abs, Register(4)),
            Instruction::Binary(Binary::Sub, Register(5), Register(0)),
            Instruction::Binary(Binary::Maximum, Input(0), Register(6)),
        ];
        let shapes: [[&[usize]; 4]; 8] = [
            [&[7, 5], &[5], &[7, 1], &[]],
            [&[3, 2500], &[2500], &[3, 1], &[1, 1]],
            [&[200], &[1], &[200], &[]],
            [&[6, 3, 5], &[3, 5], &[6, 3, 1], &[6, 1, 5]],
            [&[4, 30, 70], &[70], &[30, 1], &[4, 1, 1]],
            [&[5, 1024], &[1, 1024], &[5, 1], &[5, 1024]],
            [&[], &[], &[], &[]],
            [&[1, 9], &[9], &[1, 1], &[9]],
        ];
        let mut rng = Philox::new(RandomKey::new(21));
        for [a, b, c, d] in shapes {
            let mut inputs: Vec<NaiveValue<f32>> = [a, b, c, d]
                .iter()
                .map(|shape| {
                    let data = (0..shape.iter().product()).map(|_| rng.uniform() - 0.5).collect();
                    NaiveValue::float(shape.to_vec(), data)
                })
                .collect();
            inputs.push(NaiveValue::int([], vec![77]));
            let program = Program { instructions: instructions.clone(), shape: a.to_vec() };
            let references: Vec<&NaiveValue<f32>> = inputs.iter().collect();
            let want = naive::evaluate(&Op::Program(program.clone()), &references).remove(0);
            for isa in Isa::available() {
                for (block, in_place) in [(1, false), (2, false), (3, true), (1 << 20, false), (1 << 20, true)] {
                    let got = run(isa, &program, &inputs, block, in_place);
                    assert_eq!(want.as_float().unwrap(), got, "{isa:?} {a:?} blocks of {block}, in place: {in_place}");
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
