//! Sums of products in Einstein's notation: `abc,cd->abd` is `y[a, b, d] = sum over c of x[a, b, c] kernel[c, d]`.

use crate::{Error, ErrorKind};
use footlight_graph::{Builder, Value};
use footlight_tensor::display_shape;

/// An equation for inputs of a known number of axes: each axis of input, kernel and output has a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Equation {
    input: Vec<char>,
    kernel: Vec<char>,
    output: Vec<char>,
    /// How many labels of the output stand for dots, and whether these come last.
    elided: usize,
    is_right: bool,
}

/// An equation and the extent of each of its labels but the first, which is the batch's.
#[derive(Clone, Debug)]
pub(crate) struct Sized {
    equation: Equation,
    extents: Vec<(char, usize)>,
}

impl Equation {
    /// `[X],[Y]->[Z]`, `...[X],[Y]->...[Z]` or `[X]...,[Y]->[Z]...` for samples of `rank` axes and that of the batch.
    pub(crate) fn parse(text: &str, rank: usize) -> Result<Equation, Error> {
        let fault = |what: &str| {
            let message = format!("equation = \"{text}\": {what}");
            Error::config(message).in_key("equation").help("write such as \"abc,cd->abd\" or \"...x,xy->...y\"")
        };
        let parts = text.split_once("->").and_then(|(left, output)| Some((left.split_once(',')?, output)));
        let Some(((input, kernel), output)) = parts else { return Err(fault("it has the form [X],[Y]->[Z]")) };
        let (is_left, is_right) = (input.starts_with("..."), input.ends_with("..."));
        if (is_left, is_right) != (output.starts_with("..."), output.ends_with("...")) || (is_left && is_right) {
            return Err(fault("dots stand at the same end of input and output"));
        }
        let labels = |part: &str| -> Vec<char> { part.trim_matches('.').chars().collect() };
        let (input, kernel, output) = (labels(input), labels(kernel), labels(output));
        let Some(elided) = (rank + 1).checked_sub(input.len()).filter(|n| *n == 0 || is_left || is_right) else {
            return Err(fault(&format!(
                "it does not name the {} axes of the input, that of the batch included",
                rank + 1
            )));
        };
        // No letter is a control character.
        let dots: Vec<char> = (0..elided as u8).map(char::from).collect();
        let with_dots =
            |named: Vec<char>| if is_right { [named, dots.clone()].concat() } else { [dots.clone(), named].concat() };
        let equation = Equation { input: with_dots(input), kernel, output: with_dots(output), elided, is_right };
        equation.check().map_err(|what| fault(&what)).map(|()| equation)
    }

    fn check(&self) -> Result<(), String> {
        for (name, labels) in [("input", &self.input), ("kernel", &self.kernel), ("output", &self.output)] {
            let is_label = |c: &char| c.is_ascii_alphabetic() || c.is_control();
            if labels.is_empty() || !labels.iter().all(is_label) {
                return Err(format!("the axes of the {name} are named by letters"));
            }
            if (1..labels.len()).any(|i| labels[..i].contains(&labels[i])) {
                return Err(format!("an axis of the {name} is named twice"));
            }
        }
        if self.input.first() != self.output.first() || self.kernel.contains(&self.input[0]) {
            return Err("the first axis of input and output is that of the batch".into());
        }
        let alone = |c: &&char| !self.input.contains(c) && !self.output.contains(c);
        if let Some(c) = self.kernel.iter().find(alone) {
            return Err(format!("`{c}` of the kernel is neither in the input nor in the output"));
        }
        let unknown = |c: &&char| !self.input.contains(c) && !self.kernel.contains(c);
        match self.output.iter().find(unknown) {
            Some(c) => Err(format!("`{c}` of the output is neither in the input nor in the kernel")),
            None => Ok(()),
        }
    }

    /// The labels of the output that are written out.
    fn named_output(&self) -> &[char] {
        match self.is_right {
            true => &self.output[..self.output.len() - self.elided],
            false => &self.output[self.elided..],
        }
    }

    /// The equation with all extents: `output_shape` holds those of the output's letters but the batch's, -1 where the
    /// input has it.
    pub(crate) fn sized(self, input: &[usize], output_shape: &[i64]) -> Result<Sized, Error> {
        let mut extents: Vec<(char, usize)> = self.input[1..].iter().copied().zip(input.iter().copied()).collect();
        let named: Vec<char> = self.named_output().iter().copied().filter(|c| *c != self.output[0]).collect();
        let told = format!("output_shape = {output_shape:?}");
        if named.len() != output_shape.len() {
            let message = format!("{told} must have {} extents, those of the output's letters", named.len());
            return Err(Error::config(message).in_key("output_shape"));
        }
        for (label, given) in named.iter().zip(output_shape) {
            let known = extents.iter().find(|(c, _)| c == label).map(|(_, extent)| *extent);
            match (usize::try_from(*given).ok().filter(|extent| *extent > 0), known) {
                (Some(extent), None) => extents.push((*label, extent)),
                (Some(extent), Some(known)) if extent != known => {
                    let shape = display_shape(input);
                    let message = format!("{told} says {extent} for `{label}`, samples {shape} have {known}");
                    return Err(Error::new(ErrorKind::Shape, message).help("write -1 for an extent of the input"));
                }
                (None, None) => {
                    let message = format!("{told} does not say how long `{label}` is, nor does the input");
                    return Err(Error::config(message).in_key("output_shape"));
                }
                _ => {}
            }
        }
        Ok(Sized { equation: self, extents })
    }
}

impl Sized {
    fn extent(&self, label: char) -> usize {
        self.extents.iter().find(|(c, _)| *c == label).map_or(1, |(_, extent)| *extent)
    }

    fn extents(&self, labels: &[char]) -> Vec<usize> {
        labels.iter().map(|label| self.extent(*label)).collect()
    }

    /// The output's shape without the batch.
    pub(crate) fn output_shape(&self) -> Vec<usize> {
        self.extents(&self.equation.output[1..])
    }

    /// The kernel's shape.
    pub(crate) fn kernel_shape(&self) -> Vec<usize> {
        self.extents(&self.equation.kernel)
    }

    /// The inputs and outputs of a unit: the kernel's axes that are summed over, and those that the output has.
    pub(crate) fn fans(&self) -> [f64; 2] {
        let kernel = &self.equation.kernel;
        let product = |is_output: bool| {
            let of_kind = kernel.iter().filter(|c| self.equation.output.contains(c) == is_output);
            of_kind.map(|label| self.extent(*label) as f64).product()
        };
        [product(false), product(true)]
    }

    /// The shape of a bias along `axes` of the output.
    pub(crate) fn bias_shape(&self, axes: &str) -> Result<Vec<usize>, Error> {
        let named = self.equation.named_output();
        let fault = |what: String| Error::config(format!("bias_axes = \"{axes}\": {what}")).in_key("bias_axes");
        if let Some(c) = axes.chars().find(|c| !named.contains(c) || *c == self.equation.output[0]) {
            return Err(fault(format!("`{c}` is no axis of the output beside that of the batch")));
        }
        let Some(first) = named.iter().position(|c| axes.contains(*c)) else {
            return Err(fault("name at least one axis of the output".into()));
        };
        let extent = |c: &char| if axes.contains(*c) { self.extent(*c) } else { 1 };
        let after = if self.equation.is_right { self.equation.elided } else { 0 };
        Ok(named[first..].iter().map(extent).chain(vec![1; after]).collect())
    }

    /// Records the product of `x` and `kernel`.
    ///
    /// The axes that both and the output have make a batch of products, those summed over are the inner ones.
    pub(crate) fn lower(&self, g: &mut Builder, x: Value, kernel: Value) -> Value {
        let Equation { input, kernel: weights, output, .. } = &self.equation;
        let batch = g.shape(x).first().copied().unwrap_or(1);
        let extents = |labels: &[char]| -> Vec<usize> {
            labels.iter().map(|c| if *c == input[0] { batch } else { self.extent(*c) }).collect()
        };
        let size = |labels: &[char]| extents(labels).iter().product::<usize>();
        let is_lost = |c: &char| !weights.contains(c) && !output.contains(c);
        let lost: Vec<usize> = (0..input.len()).filter(|axis| is_lost(&input[*axis])).collect();
        let x = lost.iter().rev().fold(x, |x, axis| g.reduce_sum(x, &[*axis], false));
        let left: Vec<char> = input.iter().copied().filter(|c| !is_lost(c)).collect();
        let of_output = |in_input: bool, in_kernel: bool| -> Vec<char> {
            let is_meant = |c: &&char| (input.contains(c), weights.contains(c)) == (in_input, in_kernel);
            output.iter().filter(is_meant).copied().collect()
        };
        let (shared, free, own) = (of_output(true, true), of_output(true, false), of_output(false, true));
        let inner: Vec<char> = weights.iter().copied().filter(|c| !output.contains(c)).collect();
        let x = ordered(g, x, &left, &[&shared[..], &free, &inner].concat());
        let kernel = ordered(g, kernel, weights, &[&shared[..], &inner, &own].concat());
        let lead = if shared.is_empty() { vec![] } else { vec![size(&shared)] };
        let x = g.reshape(x, [&lead[..], &[size(&free), size(&inner)]].concat());
        let kernel = g.reshape(kernel, [&lead[..], &[size(&inner), size(&own)]].concat());
        let y = g.matmul(x, kernel);
        let labels = [shared, free, own].concat();
        let y = g.reshape(y, extents(&labels));
        ordered(g, y, &labels, output)
    }
}

/// `x`, whose axes are `from`, with its axes in the order of `to`.
fn ordered(g: &mut Builder, x: Value, from: &[char], to: &[char]) -> Value {
    if from == to {
        return x;
    }
    let order: Vec<usize> = to.iter().filter_map(|label| from.iter().position(|c| c == label)).collect();
    g.transpose(x, order)
}
