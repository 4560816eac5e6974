//! The law of a plan, recomputed from the graph.

use super::{Access, Place, Plan, is_step, root, rows};
use crate::{Error, ErrorKind, Value};
use std::collections::HashMap;

/// Checks a plan against its own law, without trusting what the planner recorded:
///
/// every step is there once; it reads only what an earlier phase made, or its own chain before it by rows; values that
/// are alive together do not overlap in the arena; a state is overwritten after everyone has read it.
///
/// # Errors
/// `ErrorKind::Invalid` with the first breaches found.
pub fn verify(plan: &Plan) -> Result<(), Error> {
    let mut breaches = Vec::new();
    let graph = &plan.graph;
    let mut made: HashMap<Value, (usize, usize, usize)> = HashMap::new();
    let mut clock = 0;
    for (p, phase) in plan.phases.iter().enumerate() {
        for (c, chain) in phase.chains.iter().enumerate() {
            for step in &chain.steps {
                let node = &graph.nodes()[step.node];
                for output in &node.outputs {
                    if made.insert(*output, (p, c, clock)).is_some() {
                        breaches.push(format!("%{} is made twice", output.index()));
                    }
                    if rows(graph, *output) != chain.rows {
                        breaches.push(format!("%{} has not the rows of its chain", output.index()));
                    }
                }
                clock += 1;
            }
        }
    }
    for (p, phase) in plan.phases.iter().enumerate() {
        for (c, chain) in phase.chains.iter().enumerate() {
            for step in &chain.steps {
                let node = &graph.nodes()[step.node];
                for (input, access) in node.inputs.iter().zip(&step.access) {
                    let source = root(graph, *input);
                    if !is_step(&graph.producer(source).op) {
                        continue;
                    }
                    let own = made[&node.outputs[0]];
                    let legal = made.get(&source).is_some_and(|&(sp, sc, when)| {
                        sp < p || (sp == p && sc == c && when < own.2 && *access == Access::Rows)
                    });
                    if !legal {
                        breaches.push(format!("step %{} reads %{} too early", node.outputs[0].index(), input.index()));
                    }
                    if matches!(plan.places[source.index()], Place::Scratch(_)) && (*access == Access::Whole) {
                        breaches.push(format!("%{} is read whole but lies in scratch", input.index()));
                    }
                }
            }
        }
    }
    breaches.extend(overlaps(plan, &made));
    breaches.extend(early_writes(plan, &made));
    if breaches.is_empty() {
        return Ok(());
    }
    breaches.truncate(10);
    Err(Error::single(ErrorKind::Invalid, "plan", breaches.join("\n  ")))
}

fn overlaps(plan: &Plan, made: &HashMap<Value, (usize, usize, usize)>) -> Vec<String> {
    let graph = &plan.graph;
    let mut alive: HashMap<Value, (usize, usize)> = made.iter().map(|(v, (p, ..))| (*v, (*p, *p))).collect();
    for node in graph.nodes().iter().filter(|n| is_step(&n.op)) {
        let Some(&(phase, ..)) = node.outputs.first().and_then(|v| made.get(v)) else { continue };
        for input in &node.inputs {
            if let Some(life) = alive.get_mut(&root(graph, *input)) {
                life.1 = life.1.max(phase);
            }
        }
    }
    for (_, value) in graph.outputs() {
        if let Some(life) = alive.get_mut(&root(graph, *value)) {
            life.1 = usize::MAX;
        }
    }
    let mut placed: Vec<(Value, usize, usize, (usize, usize))> = alive
        .iter()
        .filter_map(|(v, life)| match plan.places[v.index()] {
            Place::Arena(at) => Some((*v, at, at + graph.type_of(*v).size_bytes(), *life)),
            _ => None,
        })
        .collect();
    placed.sort_by_key(|p| p.0);
    let mut breaches = Vec::new();
    for (i, a) in placed.iter().enumerate() {
        if a.2 > plan.arena_bytes {
            breaches.push(format!("%{} ends outside of the arena", a.0.index()));
        }
        for b in &placed[i + 1..] {
            if a.1 < b.2 && b.1 < a.2 && a.3.0 <= b.3.1 && b.3.0 <= a.3.1 {
                breaches.push(format!("%{} and %{} overlap", a.0.index(), b.0.index()));
            }
        }
    }
    breaches
}

fn early_writes(plan: &Plan, made: &HashMap<Value, (usize, usize, usize)>) -> Vec<String> {
    let graph = &plan.graph;
    let mut breaches = Vec::new();
    for state in graph.states() {
        let Some(&(wp, wc, written)) = state.next.and_then(|next| made.get(&next)) else { continue };
        for node in graph.nodes().iter().filter(|n| is_step(&n.op)) {
            if !node.inputs.iter().any(|v| root(graph, *v) == state.value) {
                continue;
            }
            let Some(&(p, c, read)) = made.get(&node.outputs[0]) else { continue };
            if !(p < wp || (p == wp && c == wc && read <= written)) {
                breaches.push(format!("state `{}` is overwritten before %{}", state.name, node.outputs[0].index()));
            }
        }
    }
    breaches
}
