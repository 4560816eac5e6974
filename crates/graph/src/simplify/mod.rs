//! Rewrites a graph into an equal one that is cheaper: fold, merge, drop, fuse.
//!
//! Each rule is a function from graph to graph in a file of its own; the result is verified after each. A rule keeps
//! names, order and types of inputs, states and outputs.

mod drop;
mod fold;
mod fuse;
mod merge;
mod rewrite;

use crate::ops::Constant;
use crate::{Error, Graph, Op};

/// Computes what this crate does not: the value of an op on scalars.
pub trait Fold {
    /// The output of `op` for scalar `inputs`, if the backend can tell.
    fn fold(&self, op: &Op, inputs: &[Constant]) -> Option<Constant>;
}

/// How many nodes there were before and after one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleReport {
    /// The rule.
    pub rule: &'static str,
    /// Nodes before.
    pub before: usize,
    /// Nodes after.
    pub after: usize,
}

/// Applies every rule once, in this order: fold constants, drop what does nothing, merge equal nodes, fuse elementwise
/// ops into programs.
///
/// # Errors
/// A rule that made an illegal graph, by name.
pub fn simplify(graph: &Graph, target: &dyn Fold) -> Result<(Graph, Vec<RuleReport>), Error> {
    type Rule<'a> = (&'static str, Box<dyn Fn(&Graph) -> Result<Graph, Error> + 'a>);
    let rules: Vec<Rule<'_>> = vec![
        ("fold", Box::new(|g| fold::fold(g, target))),
        ("drop", Box::new(drop::drop_idle)),
        ("merge", Box::new(merge::merge_equal)),
        ("fuse", Box::new(fuse::fuse_elementwise)),
    ];
    let mut current = graph.clone();
    let mut reports = Vec::new();
    for (rule, apply) in rules {
        let next = apply(&current)?;
        reports.push(RuleReport { rule, before: current.nodes().len(), after: next.nodes().len() });
        current = next;
    }
    Ok((current, reports))
}
