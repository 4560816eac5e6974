//! Ops between products keep the products' rows.
//!
//! A product takes samples of several leading axes, such as `[N, T, F]`, as rows `[N T, F]`, and what comes of it is seen
//! under its axes again. Ops that work on each row alone do so on the rows themselves where they stand between two such
//! views: then products and the ops between them are one chain of a plan, and one number for each row is what it looks
//! like.
//!
//! A batch of products of one sample, `[1, H, M, K]`, has one row, so one worker would do it: it and the ops by rows around
//! it take the axis behind as their rows.

use super::drop::remove_dead;
use super::rewrite::Rewrite;
use crate::ops::{Broadcast, RandomUniform, ReduceMax, ReduceSum, Reshape};
use crate::{Error, Graph, Node, NodeIndex, Op, Value};
use std::collections::HashMap;

pub(crate) fn flatten_rows(graph: &Graph) -> Result<Graph, Error> {
    let mut leads: Vec<Vec<usize>> = Vec::new();
    for node in graph.nodes().iter().filter(|node| matches!(node.op, Op::Reshape(_))) {
        let [rows, axes] = [node.inputs[0], node.outputs[0]].map(|v| graph.type_of(v).shape.as_slice());
        let count = (axes.len() + 1).saturating_sub(rows.len());
        if count > 1 && !leads.iter().any(|lead| axes.starts_with(lead)) && is_view(rows, axes, count) {
            leads.push(axes[..count].to_vec());
        }
    }
    for node in graph.nodes().iter().filter(|node| matches!(node.op, Op::MatMul(_))) {
        if let [1, rows, _, _, ..] = graph.type_of(node.outputs[0]).shape[..]
            && !leads.contains(&vec![1, rows])
        {
            leads.push(vec![1, rows]);
        }
    }
    leads.iter().try_fold(graph.clone(), |graph, lead| View { graph: &graph, lead }.flatten())
}

/// Whether `rows` are the `axes` with the first `count` of them as one.
fn is_view(rows: &[usize], axes: &[usize], count: usize) -> bool {
    let Some((first, rest)) = rows.split_first() else { return false };
    axes.len() >= count && *first == axes[..count].iter().product::<usize>() && rest == &axes[count..]
}

/// A graph, and leading axes that are taken as one.
struct View<'a> {
    graph: &'a Graph,
    lead: &'a [usize],
}

/// What a component of ops by rows touches.
#[derive(Clone, Copy, Default)]
struct Ends {
    from_rows: bool,
    to_rows: bool,
    has_product: bool,
}

impl View<'_> {
    fn flatten(&self) -> Result<Graph, Error> {
        let components = self.components();
        let mut rewrite = Rewrite::new(self.graph);
        let mut flat: HashMap<Value, Value> = HashMap::new();
        for (index, node) in self.graph.nodes().iter().enumerate() {
            if components[index] {
                let inputs: Vec<Value> = (0..node.inputs.len())
                    .map(|i| match self.has_lead(node, i) {
                        true => self.rows_of(&mut rewrite, &mut flat, node.inputs[i]),
                        false => rewrite.get(node.inputs[i]),
                    })
                    .collect();
                rewrite.new.enter(&node.path);
                let outputs = rewrite.new.push(self.op(node), &inputs);
                for (old, new) in node.outputs.iter().zip(outputs) {
                    flat.insert(*old, new);
                    let axes = rewrite.new.reshape(new, self.shape(*old).to_vec());
                    rewrite.set(*old, axes);
                }
                rewrite.new.leave();
            } else if let Some(rows) = flat.get(&node.inputs.first().copied().unwrap_or(node.outputs[0]))
                && self.is_to_rows(node)
            {
                rewrite.set(node.outputs[0], *rows);
            } else {
                rewrite.copy(node);
            }
        }
        remove_dead(&rewrite.finish()?)
    }

    /// The rows of an old value with these leading axes.
    fn rows_of(&self, rewrite: &mut Rewrite<'_>, flat: &mut HashMap<Value, Value>, value: Value) -> Value {
        let producer = self.graph.producer(value);
        *flat.entry(value).or_insert_with(|| {
            if self.is_from_rows(producer) {
                return rewrite.get(producer.inputs[0]);
            }
            let axes = rewrite.get(value);
            rewrite.new.reshape(axes, self.flat(self.shape(value)))
        })
    }

    /// For each node whether it works on rows: it and others of its kind stand between views of rows.
    fn components(&self) -> Vec<bool> {
        let nodes = self.graph.nodes();
        let is_member: Vec<bool> = nodes.iter().map(|node| self.works_by_rows(node)).collect();
        let mut parent: Vec<NodeIndex> = (0..nodes.len()).collect();
        fn root(parent: &mut [NodeIndex], mut node: NodeIndex) -> NodeIndex {
            while parent[node] != node {
                parent[node] = parent[parent[node]];
                node = parent[node];
            }
            node
        }
        let with_lead = |index: NodeIndex| {
            let node: &Node = &nodes[index];
            (0..node.inputs.len())
                .filter(|i| self.has_lead(node, *i))
                .map(|i| self.graph.producer_index(node.inputs[i]))
        };
        let members = || (0..nodes.len()).filter(|index| is_member[*index]);
        for index in members() {
            for other in with_lead(index).filter(|other| is_member[*other]) {
                let (a, b) = (root(&mut parent, index), root(&mut parent, other));
                parent[a] = b;
            }
        }
        let mut ends = vec![Ends::default(); nodes.len()];
        for index in members() {
            let own = root(&mut parent, index);
            ends[own].from_rows |= with_lead(index).any(|other| self.is_from_rows(&nodes[other]));
            ends[own].has_product |= matches!(nodes[index].op, Op::MatMul(_));
        }
        for node in nodes.iter().filter(|node| self.is_to_rows(node)) {
            let before = self.graph.producer_index(node.inputs[0]);
            if is_member[before] {
                ends[root(&mut parent, before)].to_rows = true;
            }
        }
        let mut stands_between = |index| {
            let ends = ends[root(&mut parent, index)];
            (ends.from_rows && ends.to_rows) || ends.has_product
        };
        (0..nodes.len()).map(|index| is_member[index] && stands_between(index)).collect()
    }

    fn shape(&self, value: Value) -> &[usize] {
        &self.graph.type_of(value).shape
    }

    /// A shape with these leading axes as one.
    fn flat(&self, shape: &[usize]) -> Vec<usize> {
        [&[self.lead.iter().product()], &shape[self.lead.len()..]].concat()
    }

    fn is_from_rows(&self, node: &Node) -> bool {
        matches!(node.op, Op::Reshape(_)) && {
            let axes = self.shape(node.outputs[0]);
            axes.starts_with(self.lead) && is_view(self.shape(node.inputs[0]), axes, self.lead.len())
        }
    }

    fn is_to_rows(&self, node: &Node) -> bool {
        matches!(node.op, Op::Reshape(_)) && {
            let axes = self.shape(node.inputs[0]);
            axes.starts_with(self.lead) && is_view(self.shape(node.outputs[0]), axes, self.lead.len())
        }
    }

    /// Whether input number `i` of a node by rows has the leading axes; others are the same for all rows.
    fn has_lead(&self, node: &Node, i: usize) -> bool {
        let input = self.shape(node.inputs[i]);
        match node.op {
            Op::Gather(_) => i == 1,
            _ if node.op.is_elementwise() || matches!(node.op, Op::Broadcast(_)) => {
                input.starts_with(self.lead) && input.len() == self.shape(node.outputs[0]).len()
            }
            _ => true,
        }
    }

    /// Whether a node makes every row from the same row of its inputs with the leading axes.
    fn works_by_rows(&self, node: &Node) -> bool {
        let count = self.lead.len();
        let has_lead = |v: &Value| self.shape(*v).starts_with(self.lead);
        if !node.outputs.iter().all(has_lead) {
            return false;
        }
        let rank = self.shape(node.outputs[0]).len();
        let input = |i: usize| self.shape(node.inputs[i]);
        match &node.op {
            op if op.is_elementwise() || matches!(op, Op::Broadcast(_)) => {
                (0..node.inputs.len()).all(|i| self.has_lead(node, i) || input(i).len() <= rank - count)
            }
            Op::ReduceSum(ReduceSum { axes, .. }) | Op::ReduceMax(ReduceMax { axes, .. }) => {
                has_lead(&node.inputs[0]) && axes.iter().all(|axis| *axis >= count)
            }
            Op::Softmax(op) if op.causal => has_lead(&node.inputs[0]) && input(0).len() > count + 1,
            Op::Softmax(_) | Op::ArgMax(_) | Op::SparseSoftmaxCrossEntropy(_) => {
                node.inputs.iter().all(has_lead) && input(0).len() > count
            }
            Op::MatMul(_) => self.lead[0] == 1 && rank > count + 1 && node.inputs.iter().all(has_lead),
            Op::OneHot(_) | Op::Reshape(_) => has_lead(&node.inputs[0]),
            Op::Gather(_) => has_lead(&node.inputs[1]),
            _ => false,
        }
    }

    /// The op of a node by rows on rows.
    fn op(&self, node: &Node) -> Op {
        let fewer = |axes: &[usize]| axes.iter().map(|axis| axis + 1 - self.lead.len()).collect();
        match &node.op {
            Op::ReduceSum(op) => ReduceSum { axes: fewer(&op.axes), ..op.clone() }.into(),
            Op::ReduceMax(op) => ReduceMax { axes: fewer(&op.axes), ..op.clone() }.into(),
            Op::Broadcast(op) => Broadcast { shape: self.flat(&op.shape) }.into(),
            Op::Reshape(op) => Reshape { shape: self.flat(&op.shape) }.into(),
            Op::RandomUniform(op) => RandomUniform { shape: self.flat(&op.shape), ..op.clone() }.into(),
            op => op.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Builder, Type};

    /// Two products with what `between` records of the first, seen as `[2, 3, 4]`.
    fn products(between: impl Fn(&mut Builder, Value) -> Value) -> Graph {
        let mut g = Builder::new();
        let (x, w) = (g.input("x", Type::f32([6, 4])), g.input("w", Type::f32([4, 4])));
        let y = g.matmul(x, w);
        let y = g.reshape(y, [2, 3, 4]);
        let y = between(&mut g, y);
        let y = g.reshape(y, [6, 4]);
        let y = g.matmul(y, w);
        g.output("y", y);
        flatten_rows(&g.finish().unwrap()).unwrap()
    }

    fn reshapes(graph: &Graph) -> usize {
        graph.nodes().iter().filter(|node| matches!(node.op, Op::Reshape(_))).count()
    }

    #[test]
    fn ops_on_single_rows_between_products_keep_their_rows() {
        let graph = products(|g, y| {
            let bias = g.input("bias", Type::f32([4]));
            let y = g.add(y, bias);
            let sum = g.reduce_sum(y, &[2], true);
            let wide = g.broadcast(sum, [2, 3, 4]);
            let y = g.sub(y, wide);
            g.softmax(y)
        });
        assert_eq!(reshapes(&graph), 0, "{graph}");
    }

    #[test]
    fn an_op_on_several_rows_sees_the_axes() {
        let graph = products(|g, y| {
            let sum = g.reduce_sum(y, &[1], true);
            g.sub(y, sum)
        });
        assert_eq!(reshapes(&graph), 2, "{graph}");
        let graph = products(|g, y| {
            let positions = g.input("positions", Type::f32([3, 4]));
            g.add(y, positions)
        });
        assert_eq!(reshapes(&graph), 2, "{graph}");
    }

    #[test]
    fn the_products_of_one_sample_have_its_matrices_as_rows() {
        let attention = |samples: usize| {
            let mut g = Builder::new();
            let [q, k, v] = ["q", "k", "v"].map(|name| g.input(name, Type::f32([samples, 8, 5, 3])));
            let mask = g.input("mask", Type::f32([5, 5]));
            let scores = g.matmul_with(q, k, false, true);
            let scores = g.add(scores, mask);
            let shares = g.softmax(scores);
            let y = g.matmul(shares, v);
            g.output("y", y);
            flatten_rows(&g.finish().unwrap()).unwrap()
        };
        let rows = |graph: &Graph| -> Vec<usize> {
            let steps = graph.nodes().iter().filter(|node| matches!(node.op, Op::MatMul(_) | Op::Softmax(_)));
            steps.map(|node| graph.type_of(node.outputs[0]).shape[0]).collect()
        };
        assert_eq!(rows(&attention(1)), [8, 8, 8]);
        assert_eq!(rows(&attention(2)), [2, 2, 2]);
    }

    #[test]
    fn a_value_that_is_also_read_under_its_axes_is_seen_so_again() {
        let graph = products(|g, y| {
            let y = g.neg(y);
            g.output("axes", y);
            y
        });
        assert_eq!(reshapes(&graph), 1, "{graph}");
        assert_eq!(graph.type_of(graph.output("axes").unwrap()).shape, [2, 3, 4]);
    }
}
