//! Where the time of a run goes.

use footlight_graph::{Graph, Node, OpRule};
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
    /// Seconds of all its blocks in one run, the mean over all runs.
    pub seconds: f64,
}

/// The time of each node of a plan on one thread, the slowest first.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The nodes that are steps of the plan.
    pub nodes: Vec<NodeTime>,
}

impl Profile {
    /// From the sums over `runs` of each node's time; those of a body stand with the graph that it is.
    pub(crate) fn new(times: Vec<(&Graph, &Node, f64)>, runs: usize) -> Profile {
        let time = |(graph, node, seconds): (&Graph, &Node, f64)| NodeTime {
            op: if node.op.name() == "program" { node.op.attributes() } else { node.op.name().to_string() },
            output: graph.type_of(node.outputs[0]).to_string(),
            path: node.path.clone(),
            seconds: seconds / runs.max(1) as f64,
        };
        let ran = times.into_iter().filter(|(.., seconds)| *seconds > 0.0);
        let mut nodes: Vec<NodeTime> = ran.map(time).collect();
        nodes.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        Profile { nodes }
    }

    /// Seconds of all nodes.
    pub fn seconds(&self) -> f64 {
        self.nodes.iter().map(|n| n.seconds).sum()
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.seconds();
        writeln!(f, "{:>10} {:>6}  {:<16} {:<28} Op", "us", "%", "Output", "Layer")?;
        for NodeTime { op, output, path, seconds } in &self.nodes {
            let share = 100.0 * seconds / total;
            writeln!(f, "{:>10.2} {share:>6.1}  {output:<16} {path:<28} {op}", seconds * 1e6)?;
        }
        writeln!(f, "{:>10.2} {:>6.1}  in all, on one thread", total * 1e6, 100.0)
    }
}
