//! States that stay packed from run to run: products and convolutions of answers read their kernels so.

use crate::buffer::Buffer;
use crate::dispatch::Kernel;
use crate::engine::Engine;
use crate::isa::Isa;
use crate::ready::{Ready, ReadyPlan, Work};
use crate::target::CpuTarget;
use footlight_graph::plan::Plan;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A state as some kernels read it.
struct Packed {
    /// The state's place in the store.
    state: usize,
    packing: String,
    buffer: Buffer,
    /// The version of the state that is packed; none if there was none yet.
    version: Option<u64>,
}

/// What stays packed for the sessions of an engine.
#[derive(Default)]
pub(crate) struct Kept {
    all: Vec<Packed>,
}

/// A packed operand of a plan that is kept.
pub(crate) struct Keeps {
    /// Its number among the operands that the session packs.
    pub slot: usize,
    /// Its place among those that are [`Kept`].
    at: usize,
    /// Phase, chain and step of the kernel.
    step: [usize; 3],
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.all.iter().map(|p| (p.state, &p.packing))).finish()
    }
}

impl Kept {
    /// Makes room for what the steps of a plan keep; `states` are the places of its states in the store.
    pub(crate) fn add(
        &mut self,
        target: CpuTarget,
        plan: &Plan,
        ready: &ReadyPlan,
        states: &[usize],
        isa: Isa,
    ) -> Vec<Keeps> {
        let mut keeps = Vec::new();
        for (p, phase) in ready.phases.iter().enumerate() {
            for (c, chain) in phase.chains.iter().enumerate() {
                for (s, step) in chain.steps.iter().enumerate() {
                    let state = target.kept_state(&plan.graph, &plan.graph.nodes()[step.node]);
                    let (Some(state), Work::Kernel(kernel)) = (state, &step.work) else { continue };
                    let (Some(slot), floats @ 1..) = (kernel.pack_slot(), kernel.packed_floats(isa)) else { continue };
                    let position = plan.graph.states().iter().position(|s| s.value == state).expect("it is a state");
                    let at = self.place(states[position], kernel.packing(), floats);
                    keeps.push(Keeps { slot, at, step: [p, c, s] });
                }
            }
        }
        keeps
    }

    fn place(&mut self, state: usize, packing: String, floats: usize) -> usize {
        let is_same = |p: &Packed| p.state == state && p.packing == packing;
        self.all.iter().position(is_same).unwrap_or_else(|| {
            self.all.push(Packed { state, packing, buffer: Buffer::new(4 * floats), version: None });
            self.all.len() - 1
        })
    }

    /// Where an operand lies.
    pub(crate) fn pointer(&self, keep: &Keeps) -> *mut u8 {
        self.all[keep.at].buffer.pointer()
    }

    /// Bytes of all that is kept.
    pub(crate) fn bytes(&self) -> usize {
        self.all.iter().map(|packed| packed.buffer.bytes()).sum()
    }
}

impl Engine {
    /// Packs those operands of a session whose states have changed, shared out among its workers.
    pub(crate) fn refresh(&mut self, workers: usize, ready: &ReadyPlan, keeps: &[Keeps]) {
        let Engine { team, isa, store, kept: Kept { all }, .. } = self;
        let version = |packed: &Packed| Some(store.slots[packed.state].version);
        let mut stale: Vec<&Keeps> = keeps.iter().filter(|k| all[k.at].version != version(&all[k.at])).collect();
        if stale.is_empty() {
            return;
        }
        stale.sort_unstable_by_key(|keep| keep.at);
        stale.dedup_by_key(|keep| keep.at);
        let next = AtomicUsize::new(0);
        team.run(workers, &|_| {
            while let Some(keep) = stale.get(next.fetch_add(1, Ordering::Relaxed)) {
                let packed = &all[keep.at];
                let w = store.slots[packed.state].buffer.pointer().cast::<f32>();
                // SAFETY: the state is what the kernel reads, the buffer has room for its packed form, and each is packed
                // by one worker.
                unsafe { kernel_of(ready, keep).pack(*isa, w, packed.buffer.pointer().cast()) };
            }
        });
        for keep in stale {
            all[keep.at].version = version(&all[keep.at]);
        }
    }
}

fn kernel_of<'a>(ready: &'a ReadyPlan, keep: &Keeps) -> &'a Kernel {
    let [phase, chain, step] = keep.step;
    match &ready.phases[phase].chains[chain].steps[step] {
        Ready { work: Work::Kernel(kernel), .. } => kernel,
        _ => unreachable!("a scan keeps nothing"),
    }
}

#[cfg(test)]
mod tests {
    use crate::{Engine, Feed};
    use footlight_graph::{Builder, Graph, Role, Type};
    use footlight_tensor::Tensor;

    /// `rows` rows of `x w w'`, where the same state is read turned the second time.
    fn answers(rows: usize) -> Graph {
        let mut g = Builder::new();
        let x = g.input("x", Type::f32([rows, 40]));
        let w = g.state("w", Type::f32([40, 40]), Role::Parameter);
        let turned = g.transpose(w, [1, 0]);
        let y = g.matmul(x, w);
        let z = g.matmul(y, turned);
        g.output("z", z);
        g.finish().unwrap()
    }

    fn weights(seed: usize) -> Tensor {
        Tensor::new([40, 40], (0..1600).map(|i| ((i * 7 + seed) % 11) as f32 - 5.0).collect::<Vec<f32>>()).unwrap()
    }

    /// Answers with kept operands are those of a session that packs anew; what is packed follows every change of the state,
    /// and sessions of other batches share it.
    #[test]
    fn what_is_kept_follows_the_state() {
        let x: Vec<f32> = (0..70 * 40).map(|i| (i % 13) as f32 - 6.0).collect();
        let mut engine = Engine::new(2);
        engine.cut_finely(true);
        let mut plain = engine.compile(&answers(70)).unwrap();
        let mut kept = engine.compile_answers(&answers(70)).unwrap();
        let bytes = engine.kept.bytes();
        let mut fewer = engine.compile_answers(&answers(50)).unwrap();
        assert!(bytes > 0 && engine.kept.bytes() == bytes);
        for seed in 0..3 {
            engine.store_mut().set("w", Role::Parameter, &weights(seed)).unwrap();
            for _ in 0..2 {
                plain.run(&mut engine, &[Feed::F32(&x)]).unwrap();
                let want = plain.output_f32(&engine, "z").unwrap().to_vec();
                assert!(want.iter().any(|z| *z != 0.0));
                kept.run(&mut engine, &[Feed::F32(&x)]).unwrap();
                assert!(kept.output_f32(&engine, "z").unwrap() == want);
                fewer.run(&mut engine, &[Feed::F32(&x[..50 * 40])]).unwrap();
                assert!(fewer.output_f32(&engine, "z").unwrap() == &want[..50 * 40]);
            }
        }
        engine.store_mut().f32_mut("w").unwrap().fill(0.0);
        kept.run(&mut engine, &[Feed::F32(&x)]).unwrap();
        assert!(kept.output_f32(&engine, "z").unwrap().iter().all(|z| *z == 0.0));
    }

    /// A state that the graph itself changes is packed anew in every run.
    #[test]
    fn a_state_that_changes_is_not_kept() {
        let mut g = Builder::new();
        let x = g.input("x", Type::f32([40, 40]));
        let w = g.state("w", Type::f32([40, 40]), Role::Parameter);
        let y = g.matmul(x, w);
        let next = g.mul_scalar(w, 2.0);
        g.set_next(w, next);
        g.output("y", y);
        let mut engine = Engine::new(2);
        let mut session = engine.compile_answers(&g.finish().unwrap()).unwrap();
        assert_eq!(engine.kept.bytes(), 0);
        engine.store_mut().set("w", Role::Parameter, &weights(1)).unwrap();
        let mut run = || {
            session.run(&mut engine, &[Feed::F32(&[1.0; 1600])]).unwrap();
            session.output_f32(&engine, "y").unwrap().to_vec()
        };
        let (first, second) = (run(), run());
        assert!(first.iter().zip(second).all(|(a, b)| 2.0 * a == b));
    }
}
