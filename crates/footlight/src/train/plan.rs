//! What a training needs, known before its first step.

/// What is known before the first step.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingPlan {
    /// Bytes of parameters and statistics.
    pub parameter_bytes: usize,
    /// Bytes of the arena and of all workers' scratch: activations, gradients, packed operands.
    pub activation_bytes: usize,
    /// Bytes of the optimizer's state.
    pub optimizer_bytes: usize,
    /// Bytes of the copy of all states that each epoch begins with: from it the epoch is run again to find the op whose
    /// result is the first NaN or infinity.
    pub copy_bytes: usize,
    /// Workers.
    pub threads: usize,
    /// Floating-point operations of a training step.
    pub flops_per_step: f64,
    /// The seed of weights, order and dropout.
    pub seed: u64,
    /// Steps of an epoch.
    pub steps: usize,
    /// Epochs in all.
    pub epochs: usize,
    /// Whether epochs end with validation.
    pub has_validation: bool,
}

impl TrainingPlan {
    /// All that training takes beside its data.
    pub fn total_bytes(&self) -> usize {
        self.parameter_bytes + self.activation_bytes + self.optimizer_bytes + self.copy_bytes
    }

    /// The lines printed before training.
    pub fn to_text(&self) -> String {
        let mb = |bytes: usize| format!("{:.2} MB", bytes as f64 / 1e6);
        format!(
            "Plan: parameters {}, activations {}, optimizer {}, copy of the states {}, {} thread{}, {:.1} MFLOP per step, seed {}",
            mb(self.parameter_bytes),
            mb(self.activation_bytes),
            mb(self.optimizer_bytes),
            mb(self.copy_bytes),
            self.threads,
            if self.threads == 1 { "" } else { "s" },
            self.flops_per_step / 1e6,
            self.seed
        )
    }
}
