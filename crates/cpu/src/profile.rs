//! Where the time of a run goes.

use crate::Ceilings;
use footlight_graph::{Graph, Node, OpRule, cost};
use std::fmt;

/// The time of one node.
#[derive(Clone, Debug)]
pub struct NodeTime {
    /// The op, with the instructions of a program.
    pub op: String,
    /// The type of its first output.
    pub output: String,
    /// The layer that asked for it.
    pub path: String,
    /// Seconds of all its blocks in one run, the median over all runs.
    pub seconds: f64,
    /// Floating-point operations in one run, see [`cost::flops`].
    pub flops: f64,
    /// Bytes of its inputs and outputs in one run, wherever they lie.
    pub bytes: f64,
}

impl NodeTime {
    /// Of a node that a run does `turns` times.
    pub(crate) fn new(graph: &Graph, node: &Node, seconds: f64, turns: f64) -> NodeTime {
        NodeTime {
            op: if node.op.name() == "program" { node.op.attributes() } else { node.op.name().to_string() },
            output: graph.type_of(node.outputs[0]).to_string(),
            path: node.path.clone(),
            seconds,
            flops: turns * cost::flops(graph, node),
            bytes: turns * cost::bytes(graph, node),
        }
    }
}

/// The time of each node of a plan on one thread, the slowest first.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The nodes that are steps of the plan.
    pub nodes: Vec<NodeTime>,
    /// What the thread could do at best, if that is known; shares are told of it.
    pub ceilings: Option<Ceilings>,
}

impl Profile {
    /// Of all nodes that took time; those of a body stand beside the others.
    pub(crate) fn new(times: Vec<NodeTime>) -> Profile {
        let mut nodes: Vec<NodeTime> = times.into_iter().filter(|node| node.seconds > 0.0).collect();
        nodes.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        Profile { nodes, ceilings: None }
    }

    /// Seconds of all nodes.
    pub fn seconds(&self) -> f64 {
        self.nodes.iter().map(|n| n.seconds).sum()
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.seconds();
        let share = |rate: f64, ceiling: fn(&Ceilings) -> f64| match &self.ceilings {
            Some(ceilings) => format!("{:.0}", 100.0 * rate / ceiling(ceilings)),
            None => "-".into(),
        };
        let line = |node: &NodeTime, f: &mut fmt::Formatter<'_>| {
            let (flops, bytes) = (node.flops / node.seconds, node.bytes / node.seconds);
            write!(f, "{:>10.2} {:>6.1} ", node.seconds * 1e6, 100.0 * node.seconds / total)?;
            write!(f, "{:>10.3} {:>8.1} {:>6} ", node.flops / 1e6, flops / 1e9, share(flops, |c| c.flops))?;
            write!(f, "{:>10.3} {:>7.1} {:>6}  ", node.bytes / 1e6, bytes / 1e9, share(bytes, |c| c.bandwidth))?;
            writeln!(f, "{:<20} {:<28} {}", node.output, node.path, node.op)
        };
        write!(f, "{:>10} {:>6} {:>10} {:>8} {:>6} ", "us", "%", "MFLOP", "GFLOP/s", "% peak")?;
        writeln!(f, "{:>10} {:>7} {:>6}  {:<20} {:<28} Op", "MB", "GB/s", "% mem", "Output", "Layer")?;
        self.nodes.iter().try_for_each(|node| line(node, f))?;
        let sum = |of: fn(&NodeTime) -> f64| self.nodes.iter().map(of).sum();
        let all = NodeTime {
            op: "in all, on one thread".into(),
            output: String::new(),
            path: String::new(),
            seconds: total,
            flops: sum(|n| n.flops),
            bytes: sum(|n| n.bytes),
        };
        line(&all, f)
    }
}
