//! The law of a plan, recomputed from the graph.

use super::body::independent_rows;
use super::{Access, Body, Chain, Place, Plan, Step, access, follows, is_step, root, rows};
use crate::ops::Scan;
use crate::{Error, ErrorKind, Node, Op, Value};
use std::collections::HashMap;
use std::ops::Range;

/// Checks a plan against its own law, without trusting what the planner recorded:
///
/// every step is there once; it reads only what an earlier phase made, or its own chain before it by rows; what is read
/// has a place, and a state's place has its next value alone; values that are alive together do not overlap, neither in
/// the arena nor in scratch; a state is overwritten after everyone has read it.
///
/// # Errors
/// `ErrorKind::Invalid` with the first breaches found.
pub fn verify(plan: &Plan) -> Result<(), Error> {
    let mut breaches = breaches(plan, false);
    if breaches.is_empty() {
        return Ok(());
    }
    breaches.truncate(10);
    Err(Error::single(ErrorKind::Invalid, "plan", breaches.join("\n  ")))
}

fn breaches(plan: &Plan, is_body: bool) -> Vec<String> {
    let mut law = Law { plan, is_body, made: HashMap::new(), breaches: Vec::new() };
    law.steps_are_there_once();
    law.reads_come_after_writes();
    law.states_have_places_of_their_own();
    law.arena_is_shared_in_time();
    law.scratch_is_shared_in_time();
    law.states_are_overwritten_last();
    law.bodies_are_legal();
    law.outputs_have_their_own_places();
    law.breaches
}

/// When a value is made: phase, chain, and a count of all steps.
#[derive(Clone, Copy)]
struct Moment {
    phase: usize,
    chain: usize,
    clock: usize,
}

struct Law<'a> {
    plan: &'a Plan,
    is_body: bool,
    made: HashMap<Value, Moment>,
    breaches: Vec<String>,
}

/// A value, or what a kernel keeps, with its time and its bytes.
struct Taken {
    name: String,
    time: Range<usize>,
    bytes: Range<usize>,
}

impl<'a> Law<'a> {
    fn chains(&self) -> impl Iterator<Item = (usize, usize, &'a Chain)> + use<'a> {
        let phases = self.plan.phases.iter().enumerate();
        phases.flat_map(|(p, phase)| phase.chains.iter().enumerate().map(move |(c, chain)| (p, c, chain)))
    }

    fn node(&self, index: usize) -> &'a Node {
        &self.plan.graph.nodes()[index]
    }

    fn steps_are_there_once(&mut self) {
        let graph = &self.plan.graph;
        let mut clock = 0;
        for (phase, c, chain) in self.chains() {
            for step in &chain.steps {
                for output in &self.node(step.node).outputs {
                    if self.made.insert(*output, Moment { phase, chain: c, clock }).is_some() {
                        self.breaches.push(format!("%{} is made twice", output.index()));
                    }
                    if step.body.is_none() && rows(graph, *output) != chain.rows {
                        self.breaches.push(format!("%{} has not the rows of its chain", output.index()));
                    }
                }
                clock += 1;
            }
        }
        let outputs = graph.nodes().iter().filter(|n| is_step(&n.op)).flat_map(|n| &n.outputs);
        let missing = outputs.filter(|v| !self.made.contains_key(v));
        self.breaches.extend(missing.map(|v| format!("%{} is never made", v.index())));
    }

    fn reads_come_after_writes(&mut self) {
        let graph = &self.plan.graph;
        for (phase, c, chain) in self.chains() {
            for step in &chain.steps {
                let node = self.node(step.node);
                let (reader, own) = (node.outputs[0].index(), self.made[&node.outputs[0]]);
                for (i, (input, recorded)) in node.inputs.iter().zip(&step.access).enumerate() {
                    let by_rows = *recorded == Access::Rows && follows(graph, node, i);
                    if *recorded != access(graph, node, i) {
                        self.breaches.push(format!("step %{reader} reads %{} otherwise than its op", input.index()));
                    }
                    let source = root(graph, *input);
                    if !is_step(&graph.producer(source).op) {
                        continue;
                    }
                    if self.plan.places[source.index()] == Place::Nowhere {
                        self.breaches.push(format!("step %{reader} reads %{} from nowhere", input.index()));
                    }
                    let made = self.made.get(&source);
                    let is_of_own_rows =
                        |m: &Moment| m.phase == phase && m.chain == c && m.clock < own.clock && by_rows;
                    if !made.is_some_and(|m| m.phase < phase || is_of_own_rows(m)) {
                        self.breaches.push(format!("step %{reader} reads %{} too early", input.index()));
                    }
                    let is_local = matches!(self.plan.places[source.index()], Place::Scratch(_));
                    if is_local && !made.is_some_and(is_of_own_rows) {
                        self.breaches.push(format!("step %{reader} reads %{} of another's scratch", input.index()));
                    }
                }
            }
        }
    }

    fn states_have_places_of_their_own(&mut self) {
        let next_of = |index: usize| self.plan.graph.states().get(index).and_then(|state| state.next);
        for value in self.made.keys() {
            match self.plan.places[value.index()] {
                Place::State(index) if next_of(index) != Some(*value) => {
                    self.breaches.push(format!("%{} lies in the place of a state", value.index()));
                }
                Place::Constant(_) => self.breaches.push(format!("%{} lies in a constant", value.index())),
                _ => {}
            }
        }
        for (index, state) in self.plan.graph.states().iter().enumerate() {
            let lies_elsewhere = |value: &Value| self.plan.places[value.index()] != Place::State(index);
            if [Some(state.value), state.next].iter().flatten().any(lies_elsewhere) {
                self.breaches.push(format!("state `{}` does not lie in its place", state.name));
            }
        }
    }

    /// The phases from the making of each value to its last reading.
    fn phases_alive(&self) -> Vec<(Value, Range<usize>)> {
        let graph = &self.plan.graph;
        let mut alive: HashMap<Value, Range<usize>> =
            self.made.iter().map(|(v, m)| (*v, m.phase..m.phase + 1)).collect();
        for node in graph.nodes().iter().filter(|n| is_step(&n.op)) {
            let Some(reader) = self.made.get(&node.outputs[0]) else { continue };
            for input in &node.inputs {
                if let Some(life) = alive.get_mut(&root(graph, *input)) {
                    life.end = life.end.max(reader.phase + 1);
                }
            }
        }
        for (_, value) in graph.outputs() {
            if let Some(life) = alive.get_mut(&root(graph, *value)) {
                life.end = usize::MAX;
            }
        }
        let mut alive: Vec<_> = alive.into_iter().collect();
        alive.sort_by_key(|(value, _)| *value);
        alive
    }

    fn arena_is_shared_in_time(&mut self) {
        let in_arena = |(value, time): (Value, Range<usize>)| match self.plan.places[value.index()] {
            Place::Arena(at) => {
                let bytes = at..at + self.plan.graph.type_of(value).size_bytes();
                Some(Taken { name: format!("%{}", value.index()), time, bytes })
            }
            _ => None,
        };
        let taken: Vec<Taken> = self.phases_alive().into_iter().filter_map(in_arena).collect();
        self.check_space("the arena", self.plan.arena_bytes, &taken);
    }

    /// In scratch, what a kernel keeps for a phase lies beside everything of that phase; a chain has the rest to itself. What
    /// is kept in a body lies apart, all of it beside each other.
    fn scratch_is_shared_in_time(&mut self) {
        if self.is_body {
            let steps = self.chains().flat_map(|(.., chain)| &chain.steps);
            let kept = |s: &Step| Taken { name: what_is_kept(s), time: 0..1, bytes: s.phase_scratch.clone() };
            let kept: Vec<Taken> = steps.map(kept).filter(|taken| !taken.bytes.is_empty()).collect();
            self.check_space("what the body keeps", self.plan.kept_bytes, &kept);
        }
        for phase in &self.plan.phases {
            let steps = phase.chains.iter().flat_map(|c| &c.steps);
            let kept: Vec<(String, Range<usize>)> = steps
                .map(|s| (what_is_kept(s), s.phase_scratch.clone()))
                .filter(|(_, bytes)| !bytes.is_empty() && !self.is_body)
                .collect();
            for chain in &phase.chains {
                let always = 0..chain.steps.len();
                let mut taken = self.scratch_of(chain);
                taken.extend(kept.iter().map(|(name, bytes)| Taken {
                    name: name.clone(),
                    time: always.clone(),
                    bytes: bytes.clone(),
                }));
                self.check_space("scratch", self.plan.scratch_bytes, &taken);
            }
        }
    }

    /// What one chain has in scratch, by the positions of its steps.
    fn scratch_of(&self, chain: &Chain) -> Vec<Taken> {
        let last_read = |value: Value| {
            let reads = |node: &Node| node.inputs.iter().any(|v| root(&self.plan.graph, *v) == value);
            chain.steps.iter().rposition(|s| reads(self.node(s.node)))
        };
        let taken = self.plan.scratch_of(chain).into_iter().map(|(first, value, bytes)| {
            let last = value.and_then(last_read).unwrap_or(first);
            let name = match value {
                Some(value) => format!("%{}", value.index()),
                None => format!("what step {} works in", chain.steps[first].node),
            };
            Taken { name, time: first..last + 1, bytes }
        });
        taken.collect()
    }

    fn check_space(&mut self, place: &str, size: usize, taken: &[Taken]) {
        let meet = |a: &Range<usize>, b: &Range<usize>| a.start < b.end && b.start < a.end;
        for (i, a) in taken.iter().enumerate() {
            if a.bytes.end > size {
                self.breaches.push(format!("{} ends outside of {place}", a.name));
            }
            for b in taken[i + 1..].iter().filter(|b| meet(&a.time, &b.time) && meet(&a.bytes, &b.bytes)) {
                self.breaches.push(format!("{} and {} overlap in {place}", a.name, b.name));
            }
        }
    }

    /// A scan has a chain of its own that is cut as its body allows; the body's plan is legal, and what it needs fits in
    /// the step's scratch without overlap.
    fn bodies_are_legal(&mut self) {
        for (.., chain) in self.chains() {
            for step in &chain.steps {
                match (&self.node(step.node).op, &step.body) {
                    (Op::Scan(scan), Some(body)) => self.body_is_legal(chain, step, scan, body),
                    (Op::Scan(_), None) => self.breaches.push(format!("scan {} has no plan of its body", step.node)),
                    (_, Some(_)) => self.breaches.push(format!("step {} has a body and is no scan", step.node)),
                    (_, None) => {}
                }
            }
        }
    }

    fn body_is_legal(&mut self, chain: &Chain, step: &Step, scan: &Scan, body: &Body) {
        let told = breaches(&body.plan, true);
        self.breaches.extend(told.into_iter().map(|breach| format!("in the body of scan {}: {breach}", step.node)));
        let rows = independent_rows(scan, &body.plan.phases);
        if chain.steps.len() != 1
            || body.rows.is_some_and(|_| rows != body.rows)
            || (chain.rows, chain.block_rows) != body.cut()
        {
            self.breaches.push(format!("scan {} is not cut as its body allows", step.node));
        }
        let mut taken = vec![
            Taken { name: "its arena".into(), time: 0..1, bytes: body.arena..body.arena + body.plan.arena_bytes },
            Taken {
                name: "its scratch".into(),
                time: 0..1,
                bytes: body.scratch..body.scratch + body.plan.scratch_bytes,
            },
        ];
        for (carry, (_, value)) in scan.body.outputs().iter().take(scan.carries).enumerate() {
            let bytes = body.carry_bytes(*value);
            let places = body.carries.get(carry).copied().unwrap_or([usize::MAX - bytes; 2]);
            taken.extend(places.map(|at| Taken { name: format!("carry {carry}"), time: 0..1, bytes: at..at + bytes }));
        }
        taken.retain(|t| !t.bytes.is_empty());
        self.check_space("a body's scratch", step.block_scratch.len(), &taken);
        if body.plan.kept_bytes > step.phase_scratch.len() {
            self.breaches.push(format!("what the body of scan {} keeps has no room", step.node));
        }
    }

    /// In a body, a value in the place of an output is that output, and no other is there.
    fn outputs_have_their_own_places(&mut self) {
        let graph = &self.plan.graph;
        let mut seen = vec![false; graph.outputs().len()];
        for value in self.made.keys() {
            if let Place::Output(j) = self.plan.places[value.index()] {
                let is_output = self.is_body && graph.outputs().get(j).is_some_and(|(_, v)| root(graph, *v) == *value);
                if !is_output || std::mem::replace(&mut seen[j], true) {
                    self.breaches.push(format!("%{} is in the place of output {j}", value.index()));
                }
            }
        }
    }

    fn states_are_overwritten_last(&mut self) {
        let graph = &self.plan.graph;
        for state in graph.states() {
            let Some(&written) = state.next.and_then(|next| self.made.get(&next)) else { continue };
            if graph.outputs().iter().any(|(_, value)| root(graph, *value) == state.value) {
                self.breaches.push(format!("state `{}` is overwritten before it is put out", state.name));
            }
            for node in graph.nodes().iter().filter(|n| is_step(&n.op)) {
                let Some(&read) = self.made.get(&node.outputs[0]) else { continue };
                for (i, _) in node.inputs.iter().enumerate().filter(|(_, v)| root(graph, **v) == state.value) {
                    let is_in_step = (read.phase, read.chain) == (written.phase, written.chain)
                        && read.clock <= written.clock
                        && access(graph, node, i) == Access::Rows;
                    if read.phase >= written.phase && !is_in_step {
                        let reader = node.outputs[0].index();
                        self.breaches.push(format!("state `{}` is overwritten before %{reader} reads it", state.name));
                    }
                }
            }
        }
    }
}

fn what_is_kept(step: &Step) -> String {
    format!("what step {} keeps", step.node)
}

#[cfg(test)]
mod tests {
    use super::super::{Target, plan};
    use super::*;
    use crate::ops::Unary;
    use crate::{Builder, Graph, Role, Type};

    /// A backend whose every step needs scratch.
    struct Small;

    impl Target for Small {
        fn phase_scratch(&self, _: &Graph, _: &Node) -> usize {
            64
        }
        fn block_scratch(&self, _: &Graph, _: &Node, _: usize) -> usize {
            32
        }
        fn cost(&self, _: &Graph, _: &Node) -> f64 {
            1.0
        }
        fn rows_wanted(&self, _: &Graph, _: &Node) -> usize {
            2
        }
        fn block_cost(&self) -> f64 {
            1.0
        }
    }

    /// Values that live in scratch and in the arena, and a state that is read and overwritten.
    fn example() -> Plan {
        let mut g = Builder::new();
        let x = g.input("x", Type::f32([8, 8]));
        let w = g.state("w", Type::f32([8, 8]), Role::Parameter);
        let a = g.unary(Unary::Exp, x);
        let b = g.unary(Unary::Tanh, a);
        let c = g.add(a, b);
        let y = g.matmul(w, c);
        let z = g.matmul(c, y);
        let next = g.add(w, z);
        g.set_next(w, next);
        g.output("z", z);
        plan(&g.finish().unwrap(), &Small).unwrap()
    }

    /// Breaks the plan and expects to be told.
    fn caught(told: &str, breaks: impl FnOnce(&mut Plan)) {
        let mut plan = example();
        verify(&plan).unwrap();
        breaks(&mut plan);
        let message = verify(&plan).expect_err(told).to_string();
        assert!(message.contains(told), "expected `{told}` in:\n{message}\n{plan}");
    }

    fn scratch(plan: &Plan) -> Vec<usize> {
        (0..plan.places.len()).filter(|v| matches!(plan.places[*v], Place::Scratch(_))).collect()
    }

    fn arena(plan: &Plan) -> Vec<usize> {
        (0..plan.places.len()).filter(|v| matches!(plan.places[*v], Place::Arena(_))).collect()
    }

    #[test]
    fn every_breach_of_the_law_is_told() {
        caught("is never made", |plan| drop(plan.phases[0].chains[0].steps.pop()));
        caught("is made twice", |plan| {
            let step = plan.phases[0].chains[0].steps[0].clone();
            plan.phases[0].chains[0].steps.push(step);
        });
        caught("too early", |plan| plan.phases.swap(0, 1));
        caught("too early", |plan| plan.phases[0].chains[0].steps.reverse());
        caught("has not the rows", |plan| plan.phases[0].chains[0].rows = 4);
        caught("otherwise than its op", |plan| {
            let steps = plan.phases.iter_mut().flat_map(|p| &mut p.chains).flat_map(|c| &mut c.steps);
            steps.for_each(|s| s.access.fill(Access::Rows));
        });
        caught("overlap in the arena", |plan| {
            arena(plan).into_iter().for_each(|v| plan.places[v] = Place::Arena(0));
        });
        caught("outside of the arena", |plan| plan.arena_bytes = 64);
        caught("overlap in scratch", |plan| {
            let values = scratch(plan);
            let place = plan.places[values[0]];
            values.into_iter().for_each(|v| plan.places[v] = place);
        });
        caught("works in and", |plan| plan.phases[0].chains[0].steps[0].block_scratch = 0..32);
        caught("outside of scratch", |plan| plan.scratch_bytes = 0);
        caught("of another's scratch", |plan| {
            arena(plan).into_iter().for_each(|v| plan.places[v] = Place::Scratch(1 << 20));
        });
        caught("from nowhere", |plan| {
            scratch(plan).into_iter().for_each(|v| plan.places[v] = Place::Nowhere);
        });
        caught("lies in the place of a state", |plan| {
            arena(plan).into_iter().for_each(|v| plan.places[v] = Place::State(0));
        });
        caught("lies in a constant", |plan| {
            arena(plan).into_iter().for_each(|v| plan.places[v] = Place::Constant(0));
        });
        caught("state `w` does not lie in its place", |plan| {
            let next = plan.graph.states()[0].next.unwrap();
            plan.places[next.index()] = Place::Arena(0);
        });
        caught("state `w` is overwritten before it is put out", |plan| {
            let value = plan.graph.states()[0].value;
            plan.graph.outputs.push(("old".into(), value));
        });
        caught("state `w` is overwritten before", |plan| {
            let last = plan.phases.pop().unwrap();
            plan.phases.insert(0, last);
        });
    }
}
