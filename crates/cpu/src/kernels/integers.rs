//! Elementwise functions of integers, which are few: indices, positions and masks.

use super::layout::strided;
use footlight_graph::Type;
use footlight_graph::ops::Binary;
use footlight_graph::plan::Access;

/// A function of two broadcast integers.
#[derive(Clone, Debug)]
pub(crate) struct Integers {
    kind: Binary,
    extents: Vec<usize>,
    row_len: usize,
    operands: [Operand; 2],
}

/// How an operand's elements are found from the output's: by strides, 0 where it broadcasts.
#[derive(Clone, Debug)]
struct Operand {
    strides: Vec<usize>,
    by_rows: bool,
}

impl Operand {
    fn new(ty: &Type, output: &Type, access: Access) -> Operand {
        let lead = output.rank() - ty.rank();
        let stride = |axis: usize| match axis.checked_sub(lead) {
            Some(axis) if ty.shape[axis] != 1 => ty.shape[axis + 1..].iter().product(),
            _ => 0,
        };
        Operand { strides: (0..output.rank()).map(stride).collect(), by_rows: access != Access::Whole }
    }
}

impl Integers {
    /// `kind` of two inputs that are read as `access` tells.
    pub(crate) fn new(kind: Binary, [a, b]: [&Type; 2], output: &Type, access: &[Access]) -> Integers {
        let operands = [Operand::new(a, output, access[0]), Operand::new(b, output, access[1])];
        let row_len = output.shape.iter().skip(1).product();
        Integers { kind, extents: output.shape.clone(), row_len, operands }
    }

    /// Rows `first_row..first_row + rows` of the output.
    ///
    /// # Safety
    /// The inputs hold what their types say, or the block's rows of it; `out` has room for the rows.
    pub(crate) unsafe fn run(&self, [first_row, rows]: [usize; 2], inputs: &[*mut u8], out: *mut i32) {
        let begin = first_row * self.row_len;
        let at = |input: usize, i: usize| {
            let Operand { strides, by_rows } = &self.operands[input];
            let element = strided(&self.extents, strides, i + if *by_rows { 0 } else { begin });
            // SAFETY: strides lead to elements of the input, or of its rows.
            unsafe { *inputs[input].cast::<i32>().add(element) }
        };
        for i in 0..rows * self.row_len {
            let (a, b) = (at(0, i), at(1, i));
            let y = match self.kind {
                Binary::Add => a.wrapping_add(b),
                Binary::Sub => a.wrapping_sub(b),
                Binary::Mul => a.wrapping_mul(b),
                Binary::Maximum => a.max(b),
                Binary::Minimum => a.min(b),
                Binary::Equal => i32::from(a == b),
                Binary::Greater => i32::from(a > b),
                Binary::GreaterEqual => i32::from(a >= b),
                Binary::Div | Binary::Pow => unreachable!("refused by the shape rule"),
            };
            // SAFETY: the output has room for the rows.
            unsafe { *out.add(i) = y };
        }
    }
}
