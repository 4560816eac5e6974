//! Rewrites a graph into an equal one that is cheaper: fold, drop, merge, tighten, fuse.
//!
//! Each rule is a function from graph to graph in a file of its own; the result is verified after each. A rule keeps
//! names, order and types of inputs, states and outputs.

mod drop;
mod flatten;
mod fold;
mod fuse;
mod merge;
mod pool;
mod recompute;
mod rewrite;
mod scan;
mod share;

pub(crate) use rewrite::Rewrite;

use crate::ops::Constant;
use crate::{Error, Graph, Op};
use std::fmt;

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

impl fmt::Display for RuleReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<5} {:>5} -> {:>5} nodes", self.rule, self.before, self.after)
    }
}

/// A simplified graph, and what each rule did to it.
#[derive(Clone, Debug)]
pub struct Simplified {
    /// The graph.
    pub graph: Graph,
    /// The rules in the order they were applied.
    pub rules: Vec<RuleReport>,
}

impl fmt::Display for Simplified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rules.iter().try_for_each(|rule| writeln!(f, "{rule}"))?;
        write!(f, "{}", self.graph)
    }
}

/// Applies every rule once, in this order: fold constants, drop what does nothing, keep the rows of products, merge equal nodes, pool early, tighten scans and
/// simplify their bodies, share out sums over samples, compute again what is cheaper than to keep, fuse elementwise ops into programs.
///
/// # Errors
/// `ErrorKind::Invalid` when a rule made an illegal graph.
pub fn simplify(graph: &Graph, target: &dyn Fold) -> Result<Simplified, Error> {
    type Rule<'a> = (&'static str, Box<dyn Fn(&Graph) -> Result<Graph, Error> + 'a>);
    let rules: Vec<Rule<'_>> = vec![
        ("fold", Box::new(|g| fold::fold(g, target))),
        ("drop", Box::new(drop::drop_idle)),
        ("rows", Box::new(flatten::flatten_rows)),
        ("merge", Box::new(merge::merge_equal)),
        ("pool", Box::new(pool::pool_early)),
        ("scan", Box::new(|g| scan::tighten_scans(g, target))),
        ("share", Box::new(share::share_sums)),
        ("again", Box::new(recompute::recompute_cheap)),
        ("fuse", Box::new(fuse::fuse_elementwise)),
    ];
    let mut simplified = Simplified { graph: graph.clone(), rules: Vec::new() };
    for (rule, apply) in rules {
        let before = simplified.graph.nodes().len();
        simplified.graph = apply(&simplified.graph)?;
        simplified.rules.push(RuleReport { rule, before, after: simplified.graph.nodes().len() });
    }
    Ok(simplified)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Unary;
    use crate::{Builder, Type};

    struct Nothing;

    impl Fold for Nothing {
        fn fold(&self, _: &Op, _: &[Constant]) -> Option<Constant> {
            None
        }
    }

    #[test]
    fn a_simplified_graph_tells_what_each_rule_did() {
        let mut g = Builder::new();
        let x = g.input("x", Type::f32([4]));
        let (a, b) = (g.unary(Unary::Exp, x), g.unary(Unary::Exp, x));
        let y = g.add(a, b);
        g.mul_scalar(x, 3.0);
        g.output("y", y);
        let simplified = simplify(&g.finish().unwrap(), &Nothing).unwrap();
        simplified.graph.verify().unwrap();
        let text = simplified.to_string();
        let want = [
            "fold      6 ->     6 nodes",
            "drop      6 ->     4 nodes",
            "rows      4 ->     4 nodes",
            "merge     4 ->     3 nodes",
            "pool      3 ->     3 nodes",
            "scan      3 ->     3 nodes",
            "share     3 ->     3 nodes",
            "again     3 ->     3 nodes",
            "fuse      3 ->     2 nodes",
            "%0 = input[x]: f32[4]",
            "%1 = program[exp add](%0): f32[4]",
            "output y = %1",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), want);
    }
}
