//! A plan as a table.

use super::{Chain, Place, Plan, Step};
use crate::OpRule;
use std::fmt;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = ["Phase", "Step", "Layer", "Blocks", "Place", "Offset", "Bytes"];
        writeln!(
            f,
            "{:>5}  {:<44} {:<28} {:>9}  {:<8} {:>10} {:>10}",
            header[0], header[1], header[2], header[3], header[4], header[5], header[6]
        )?;
        self.write_steps(f, "")?;
        writeln!(f, "States {} bytes, arena {} bytes", self.state_bytes, self.arena_bytes)?;
        writeln!(f, "Scratch {} bytes for each worker", self.scratch_bytes)
    }
}

impl Plan {
    /// The steps, each after `indent`, those of a scan's body below it.
    fn write_steps(&self, f: &mut fmt::Formatter<'_>, indent: &str) -> fmt::Result {
        for (p, phase) in self.phases.iter().enumerate() {
            for chain in &phase.chains {
                for step in &chain.steps {
                    self.write_step(f, indent, p, chain, step)?;
                    if let Some(body) = &step.body {
                        body.plan.write_steps(f, &format!("{indent}  "))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// A line for each output of a step.
    fn write_step(
        &self,
        f: &mut fmt::Formatter<'_>,
        indent: &str,
        phase: usize,
        chain: &Chain,
        step: &Step,
    ) -> fmt::Result {
        let node = &self.graph.nodes()[step.node];
        for output in &node.outputs {
            let ty = self.graph.type_of(*output);
            let (place, offset) = match self.places[output.index()] {
                Place::Nowhere => ("-", String::new()),
                Place::State(_) => ("state", String::new()),
                Place::Constant(_) => ("constant", String::new()),
                Place::Arena(at) => ("arena", at.to_string()),
                Place::Scratch(at) => ("scratch", at.to_string()),
                Place::Given(at) => ("given", at.to_string()),
                Place::Output(at) => ("output", at.to_string()),
            };
            let attributes = if node.op.name() == "program" { node.op.attributes() } else { String::new() };
            let what = format!("{indent}{} {ty} {attributes}", node.op.name());
            let blocks = format!("{}x{}", chain.blocks(), chain.block_rows);
            writeln!(
                f,
                "{phase:>5}  {:<44} {:<28} {blocks:>9}  {place:<8} {offset:>10} {:>10}",
                shorten(what.trim_end(), 44),
                shorten(&node.path, 28),
                ty.size_bytes()
            )?;
        }
        Ok(())
    }
}

fn shorten(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_string();
    }
    text.chars().take(width - 1).chain(['…']).collect()
}
