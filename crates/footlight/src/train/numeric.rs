//! Finds where a loss stopped being a number.
//!
//! A run is deterministic, so the epoch is run again from its beginning up to the step in question, and that step is run
//! op by op, looking at every number.

use crate::{Error, ErrorKind};
use footlight_cpu::{Feed, Session};
use footlight_graph::{Op, OpRule};

/// The first number that is not finite in one step, and the op that wrote it.
pub(crate) fn first_fault(
    engine: &mut footlight_cpu::Engine,
    session: &mut Session,
    feeds: &[Feed<'_>],
) -> Option<String> {
    let mut found: Option<String> = None;
    let inspected = session.run_inspected(engine, feeds, &mut |step| {
        if let (None, Some(number)) = (&found, step.non_finite) {
            let ranges: Vec<String> =
                step.input_ranges.iter().map(|(low, high)| format!("{low:.4e} to {high:.4e}")).collect();
            found = Some(format!(
                "first: {number} from op `{}` in `{}`\n  its inputs ranged over: {}",
                spoken(&step.node.op),
                step.node.path,
                ranges.join("; ")
            ));
        }
    });
    inspected.ok().and(found)
}

/// What an op does, in words: fused ops by what they are made of.
fn spoken(op: &Op) -> String {
    match op {
        Op::Program(program) => program.attributes(),
        other => other.name().into(),
    }
}

/// The error for a loss that is not finite.
pub(crate) fn error(epoch: usize, step: usize, loss: f32, fault: Option<String>) -> Error {
    let first = fault.map(|f| format!("\n  {f}")).unwrap_or_default();
    let message = format!("the loss became {loss} at epoch {}, step {step}{first}", epoch + 1);
    Error::new(ErrorKind::Numeric, message).help("lower the learning rate, or scale the inputs to about -1 to 1")
}

#[cfg(test)]
mod tests {
    use crate::ErrorKind;
    use crate::prelude::*;

    /// Steps of `w -= rate dw` that overshoot by a factor of ten thousand: the loss overflows after some epochs.
    #[test]
    fn a_loss_that_is_no_number_is_traced_to_its_step_and_op() {
        let numbers = |count: usize| Samples::from(Tensor::new([count, 1], vec![1.0f32; count]).unwrap());
        let mut model = Sequential::new(layers![Dense::new(1)]).unwrap();
        model.compile(SGD::new().learning_rate(5e3), "mean_squared_error", []).unwrap();
        let fit = Fit::new().epochs(20).batch_size(3).progress(Progress::None);
        let error = model.fit(&numbers(8), &numbers(8), fit).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Numeric);
        let text = error.to_string();
        assert!(text.contains("the loss became inf at epoch 2, step 3"), "{text}");
        assert!(text.contains("first: inf from op `mul` in `loss`"), "{text}");
    }
}
