//! The gradient of a scan is a scan in the other direction.
//!
//! The body is differentiated once. What its backward part reads of the forward values, the forward scan stacks as further
//! results (*residuals*), and the backward scan takes as sequences; so the forward scan of a differentiated graph is the
//! one that was there, with more outputs. The gradient by a constant is a sum over all steps: of products `A_t^T B_t` and
//! of sums over rows the operands are stacked, and one product, one sum, comes after the loop; anything else is added up
//! in a carry.

use super::Scan;
use crate::differentiate::{pull_back, reach_forward};
use crate::ops::{Backward, Binary, Given, Gradient, MatMul, ReduceSum};
use crate::simplify::Rewrite;
use crate::{Builder, Graph, Node, NodeIndex, Op, Type, Value};
use footlight_tensor::DType;
use std::collections::HashMap;
use std::sync::Arc;

pub(super) fn gradient(scan: &Scan, cx: Backward<'_>) -> Gradient {
    let Backward { graph: g, inputs, outputs, dy } = cx;
    let joint = Joint::new(scan, dy);
    if joint.by_given.iter().all(Option::is_none) {
        return Gradient::NotDifferentiable("nothing in its body has a gradient");
    }
    let split = Split::new(scan, &joint);
    let mut stacks = Stacks::new();
    for (i, value) in joint.given.iter().enumerate().filter(|(i, _)| scan.is_sequence(*i)) {
        stacks.insert(*value, inputs[i]);
    }
    stacks.extend(stack_residuals(scan, g, outputs[0], &joint, &split.residuals));
    let mut carried = push_backward(scan, g, inputs, dy, &joint, &split, &mut stacks).into_iter();
    let by_carry: Vec<Option<Value>> =
        joint.seeds[..scan.carries].iter().map(|seed| seed.and_then(|_| carried.next())).collect();
    let by_input = inputs.iter().enumerate().map(|(i, input)| match scan.carry(i) {
        Some(carry) => by_carry[carry],
        None if scan.is_sequence(i) => joint.by_given[i].map(|d| stacks[&d]),
        None => sum_terms(g, *input, &split.terms[i], &mut carried, &stacks),
    });
    Gradient::Inputs(by_input.collect())
}

/// The values of all steps of a value of the body, or of its gradient.
type Stacks = HashMap<Value, Value>;

/// The body, and the gradients by what it is given.
struct Joint {
    g: Builder,
    /// Nodes before this one are the body's, all others its gradient's.
    first: NodeIndex,
    given: Vec<Value>,
    /// For each output of the body the gradient by it.
    seeds: Vec<Option<Value>>,
    /// For each given value the gradient by it.
    by_given: Vec<Option<Value>>,
}

impl Joint {
    /// The gradient by a next carry is always there, that by a result if something depends on it.
    fn new(scan: &Scan, dy: &[Option<Value>]) -> Joint {
        let given: Vec<Value> = scan.body.given().collect();
        let mut g = Builder::extend(Graph { outputs: Vec::new(), ..(*scan.body).clone() });
        let is_float = |v: &Value| scan.body.type_of(*v).dtype == DType::F32;
        let sources: Vec<Value> = given.iter().copied().filter(is_float).collect();
        let needed = reach_forward(&g, &sources);
        let mut gradients: HashMap<Value, Value> = HashMap::new();
        let mut seeds = Vec::new();
        for (j, (_, made)) in scan.body.outputs().iter().enumerate() {
            if !is_float(made) || (j >= scan.carries && dy[j].is_none()) {
                seeds.push(None);
                continue;
            }
            let seed = g.push(Given { index: given.len() + j, ty: scan.body.type_of(*made).clone() }, &[])[0];
            let sum = gradients.get(made).map_or(seed, |before| g.add(*before, seed));
            gradients.insert(*made, sum);
            seeds.push(Some(seed));
        }
        let first = scan.body.nodes().len();
        pull_back(&mut g, first, &mut gradients, &needed, &mut Vec::new());
        let by_given = given.iter().map(|v| gradients.get(v).copied()).collect();
        Joint { g, first, given, seeds, by_given }
    }

    fn type_of(&self, value: Value) -> &Type {
        self.g.graph().type_of(value)
    }

    /// The node that makes `value`, if it is one of the gradient's.
    fn gradient_node(&self, value: Value) -> Option<&Node> {
        let index = self.g.graph().producer_index(value);
        (index >= self.first).then(|| &self.g.graph().nodes()[index])
    }

    fn position(&self, value: Value) -> Option<usize> {
        self.given.iter().position(|v| *v == value)
    }
}

/// One summand of one step of the gradient by a constant.
enum Term {
    /// `a^T b`.
    Product { a: Value, b: Value },
    /// The sum of `x` along axes, the first among them.
    Rows { x: Value, axes: Vec<usize> },
    /// Anything else.
    Carried(Value),
}

/// What is computed in the backward scan, and what it reads.
#[derive(Default)]
struct Split {
    /// For each given value that is a constant the gradient's terms.
    terms: Vec<Vec<Term>>,
    /// What the backward scan makes in each step, to be stacked.
    results: Vec<Value>,
    /// Which nodes of the gradient the backward scan holds, and which numbers of the body.
    nodes: Vec<NodeIndex>,
    /// Positions of constants that it reads.
    constants: Vec<usize>,
    /// Values of the body that it reads step by step.
    reads: Vec<Value>,
    /// Values of the body that the forward scan has to stack.
    residuals: Vec<Value>,
}

impl Split {
    fn new(scan: &Scan, joint: &Joint) -> Split {
        let mut split = Split::default();
        for (i, d) in joint.by_given.iter().enumerate() {
            let mut terms = Vec::new();
            match d {
                Some(d) if scan.is_constant(i) => decompose(scan, joint, *d, &mut terms),
                Some(d) if scan.is_sequence(i) => split.results.push(*d),
                _ => {}
            }
            split.terms.push(terms);
        }
        for term in split.terms.iter().flatten() {
            match term {
                Term::Product { a, b } => split.results.extend([*a, *b]),
                Term::Rows { x, .. } => split.results.push(*x),
                Term::Carried(_) => {}
            }
        }
        // Operands that the body itself makes are stacked by the forward scan.
        let (own, bodys) = split.results.iter().partition(|v| joint.gradient_node(**v).is_some());
        (split.results, split.residuals) = (own, bodys);
        split.collect(scan, joint);
        split.residuals.extend(&split.reads);
        split.residuals.retain(|v| !joint.position(*v).is_some_and(|i| scan.is_sequence(i)));
        for list in [&mut split.results, &mut split.residuals] {
            list.sort_unstable();
            list.dedup();
        }
        split
    }

    /// Walks back from all that the backward scan makes.
    fn collect(&mut self, scan: &Scan, joint: &Joint) {
        let carried = self.terms.iter().flatten().filter_map(|term| match term {
            Term::Carried(v) => Some(*v),
            _ => None,
        });
        let next = (0..scan.carries).filter_map(|carry| joint.by_given[scan.constants + carry]);
        let mut open: Vec<Value> = self.results.iter().copied().chain(carried).chain(next).collect();
        let mut seen = std::collections::BTreeSet::new();
        while let Some(value) = open.pop() {
            if !seen.insert(value) {
                continue;
            }
            let graph = joint.g.graph();
            let index = graph.producer_index(value);
            match (&graph.nodes()[index].op, joint.position(value)) {
                (Op::Given(_), None) => {}
                (Op::Constant(_), _) => self.nodes.push(index),
                (_, Some(i)) if scan.is_constant(i) => self.constants.push(i),
                _ if index < joint.first => self.reads.push(value),
                _ => {
                    self.nodes.push(index);
                    open.extend(&graph.nodes()[index].inputs);
                }
            }
        }
        self.nodes.sort_unstable();
        self.nodes.dedup();
        self.constants.sort_unstable();
        self.reads.sort_unstable();
    }
}

/// The summands of `d`, which come together in additions.
fn decompose(scan: &Scan, joint: &Joint, d: Value, terms: &mut Vec<Term>) {
    let graph = joint.g.graph();
    if let Some(node) = joint.gradient_node(d)
        && node.op == Op::Binary(Binary::Add)
        && node.inputs.iter().all(|v| graph.type_of(*v) == graph.type_of(d))
    {
        return node.inputs.iter().for_each(|v| decompose(scan, joint, *v, terms));
    }
    let mut inner = d;
    while let Some(Node { op: Op::Reshape(_), inputs, .. }) = joint.gradient_node(inner) {
        inner = inputs[0];
    }
    let varies = |v: &Value| {
        let is_number = matches!(graph.producer(*v).op, Op::Constant(_));
        !is_number && !joint.position(*v).is_some_and(|i| scan.is_constant(i))
    };
    terms.push(match joint.gradient_node(inner).map(|node| (&node.op, node.inputs.as_slice())) {
        Some((Op::MatMul(MatMul { transpose_a: true, transpose_b: false, lower: None }), &[a, b]))
            if varies(&a) && varies(&b) && graph.type_of(a).rank() == 2 =>
        {
            Term::Product { a, b }
        }
        Some((Op::ReduceSum(ReduceSum { axes, .. }), &[x])) if axes.first() == Some(&0) && varies(&x) => {
            Term::Rows { x, axes: axes.clone() }
        }
        _ => Term::Carried(d),
    });
}

/// Lets the forward scan, which makes `output`, stack `residuals` too; those it stacks already are found.
///
/// The body is the one of the joint graph: a scan within it has got more outputs there.
fn stack_residuals(
    scan: &Scan,
    g: &mut Builder,
    output: Value,
    joint: &Joint,
    residuals: &[Value],
) -> Vec<(Value, Value)> {
    let index = g.graph().producer_index(output);
    let mut made: Vec<Value> = scan.body.outputs().iter().map(|(_, v)| *v).collect();
    let before = made.len();
    made.extend(residuals.iter().filter(|v| !scan.body.outputs()[scan.carries..].iter().any(|(_, o)| o == *v)));
    let mut body = Rewrite::new(joint.g.graph());
    joint.g.graph().nodes()[..joint.first].iter().for_each(|node| body.copy(node));
    for (j, value) in made.iter().enumerate() {
        let value = body.get(*value);
        body.new.output(&j.to_string(), value);
    }
    let types = made[before..].iter().map(|v| scan.stacked(joint.type_of(*v))).collect();
    let outputs = g.amend(index, Scan { body: Arc::new(body.new.graph().clone()), ..scan.clone() }, types);
    made.into_iter().zip(outputs).skip(scan.carries).collect()
}

/// Records the backward scan: its results go to `stacks`, its last carries are answered, those of the forward carries
/// first, then one for each carried term.
fn push_backward(
    scan: &Scan,
    g: &mut Builder,
    inputs: &[Value],
    dy: &[Option<Value>],
    joint: &Joint,
    split: &Split,
    stacks: &mut Stacks,
) -> Vec<Value> {
    let carries: Vec<usize> = (0..scan.carries).filter(|carry| joint.seeds[*carry].is_some()).collect();
    let terms = split.terms.iter().flatten();
    let carried: Vec<Value> = terms.filter_map(|t| if let Term::Carried(v) = t { Some(*v) } else { None }).collect();
    let mut body = Rewrite::new(joint.g.graph());
    let mut operands: Vec<Value> = Vec::new();
    let mut give = |body: &mut Rewrite<'_>, ty: &Type, operand: Value| {
        operands.push(operand);
        body.new.push(Given { index: operands.len() - 1, ty: ty.clone() }, &[])[0]
    };
    for &i in &split.constants {
        let given = give(&mut body, joint.type_of(joint.given[i]), inputs[i]);
        body.set(joint.given[i], given);
    }
    for &carry in &carries {
        let seed = joint.seeds[carry].expect("these carries have one");
        let ty = joint.type_of(seed);
        let first = dy[carry].unwrap_or_else(|| zeros(g, ty));
        let given = give(&mut body, ty, first);
        body.set(seed, given);
    }
    let mut sums = Vec::new();
    for value in &carried {
        let ty = joint.type_of(*value);
        let first = zeros(g, ty);
        sums.push(give(&mut body, ty, first));
    }
    for value in &split.reads {
        let given = give(&mut body, joint.type_of(*value), stacks[value]);
        body.set(*value, given);
    }
    for (seed, dy) in joint.seeds.iter().zip(dy).skip(scan.carries) {
        if let (Some(seed), Some(dy)) = (seed, dy) {
            let given = give(&mut body, joint.type_of(*seed), *dy);
            body.set(*seed, given);
        }
    }
    for index in &split.nodes {
        body.copy(&joint.g.graph().nodes()[*index]);
    }
    for &carry in &carries {
        let next = match joint.by_given[scan.constants + carry] {
            Some(d) => body.get(d),
            None => zeros(&mut body.new, scan.body.type_of(joint.given[scan.constants + carry])),
        };
        body.new.output("carry", next);
    }
    for (value, sum) in carried.iter().zip(&sums) {
        let value = body.get(*value);
        let sum = body.new.add(*sum, value);
        body.new.output("sum", sum);
    }
    for value in &split.results {
        let result = body.get(*value);
        body.new.output("result", result);
    }
    let num_carries = carries.len() + carried.len();
    let backward = Scan {
        body: Arc::new(body.new.graph().clone()),
        length: scan.length,
        reverse: !scan.reverse,
        constants: split.constants.len(),
        carries: num_carries,
    };
    let mut outputs = g.push(backward, &operands);
    stacks.extend(split.results.iter().copied().zip(outputs.split_off(num_carries)));
    outputs
}

fn zeros(g: &mut Builder, ty: &Type) -> Value {
    let zero = g.constant(0.0);
    g.broadcast(zero, ty.shape.clone())
}

/// The sum over all steps of the gradient by constant `input`.
fn sum_terms(
    g: &mut Builder,
    input: Value,
    terms: &[Term],
    carried: &mut impl Iterator<Item = Value>,
    stacks: &Stacks,
) -> Option<Value> {
    let shape = g.shape(input);
    let mut sum = None;
    for term in terms {
        let value = match term {
            Term::Product { a, b } => {
                let [a, b] = [a, b].map(|v| rows_of_all_steps(g, stacks[v]));
                g.matmul_with(a, b, true, false)
            }
            Term::Rows { x, axes } => {
                let axes: Vec<usize> = [0].into_iter().chain(axes.iter().map(|a| a + 1)).collect();
                g.reduce_sum(stacks[x], &axes, false)
            }
            Term::Carried(_) => carried.next()?,
        };
        let value = g.reshape(value, shape.clone());
        sum = Some(sum.map_or(value, |before| g.add(before, value)));
    }
    sum
}

/// `[T, N, F]` as `[T N, F]`.
fn rows_of_all_steps(g: &mut Builder, stack: Value) -> Value {
    let shape = g.shape(stack);
    g.reshape(stack, [shape[0] * shape[1], shape[2]])
}
