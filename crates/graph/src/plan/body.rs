//! The plan of a scan's body.

use super::{Access, Phase, Plan, Target, access, memory, root, schedule};
use crate::ops::Scan;
use crate::{Op, Value};

/// A body with its plan, and what each worker needs to run it: first the carries, each at two places, read and written in
/// turn, then the arena and the scratch of the body.
#[derive(Clone, Debug)]
pub struct Body {
    /// The plan of one step.
    pub plan: Plan,
    /// The rows of every carry and every output, if the body is one chain that reads of the carries only the rows it
    /// writes: then blocks of rows go through all steps alone. Otherwise one task runs all phases step by step.
    pub rows: Option<usize>,
    /// Where the two places of each carry begin.
    pub carries: Vec<[usize; 2]>,
    /// Where the body's arena begins.
    pub arena: usize,
    /// Where the body's scratch begins.
    pub scratch: usize,
    /// The bytes of all these.
    pub bytes: usize,
}

impl Body {
    pub(crate) fn new(scan: &Scan, target: &dyn Target) -> Body {
        let scheduled = schedule::schedule_body(&scan.body, target, scan.length);
        let rows = independent_rows(scan, &scheduled.phases);
        let plan = memory::place((*scan.body).clone(), scheduled, target, true);
        let mut body = Body { plan, rows, carries: Vec::new(), arena: 0, scratch: 0, bytes: 0 };
        let mut take = |bytes: usize| {
            let begin = body.bytes;
            body.bytes += bytes.next_multiple_of(target.alignment());
            begin
        };
        for (_, value) in scan.body.outputs().iter().take(scan.carries) {
            let bytes = bytes_at_a_time(&body.plan, rows, *value);
            body.carries.push([take(bytes), take(bytes)]);
        }
        body.arena = take(body.plan.arena_bytes);
        body.scratch = take(body.plan.scratch_bytes);
        body
    }

    /// The bytes of a carry, or another value of the body, that are there at a time: those of a block, if rows are
    /// independent.
    pub fn carry_bytes(&self, value: Value) -> usize {
        bytes_at_a_time(&self.plan, self.rows, value)
    }

    /// The rows that are shared out, and how many a block has.
    pub(crate) fn cut(&self) -> (usize, usize) {
        self.rows.map_or((1, 1), |rows| (rows, self.plan.phases[0].chains[0].block_rows))
    }
}

fn bytes_at_a_time(plan: &Plan, rows: Option<usize>, value: Value) -> usize {
    match rows {
        Some(_) => plan.phases[0].chains[0].block_bytes(&plan.graph, value),
        None => plan.graph.type_of(value).size_bytes(),
    }
}

/// The rows that do not depend on each other from step to step, if there are any, see [`Body::rows`].
pub(crate) fn independent_rows(scan: &Scan, phases: &[Phase]) -> Option<usize> {
    let [Phase { chains }] = phases else { return None };
    let [chain] = &chains[..] else { return None };
    let graph = &*scan.body;
    let carries: Vec<Value> = graph.given().skip(scan.constants).take(scan.carries).collect();
    let has_rows = |v: Value| graph.type_of(v).shape.first() == Some(&chain.rows);
    let is_cut = chain.steps.iter().map(|step| &graph.nodes()[step.node]).all(|node| {
        let reads_carry = |i: &usize| carries.contains(&root(graph, node.inputs[*i]));
        let by_rows = |i: usize| access(graph, node, i) == Access::Rows;
        !matches!(node.op, Op::Scan(_)) && (0..node.inputs.len()).filter(reads_carry).all(by_rows)
    });
    let all_rows = carries.iter().copied().chain(graph.outputs().iter().map(|(_, v)| *v)).all(has_rows);
    (is_cut && all_rows).then_some(chain.rows)
}
