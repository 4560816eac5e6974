//! The settings every optimizer has.

use super::schedules::LearningRate;
use super::settings::{AT_LEAST_ONE, FRACTION, NOT_NEGATIVE};
use crate::Error;
use crate::config::{Config, POSITIVE, Reader, config, within};

/// The settings every optimizer has, in the order in which they act; defaults as in Keras: none.
#[derive(Clone, Debug, PartialEq)]
pub struct Common {
    /// The size of a step: a number or a schedule.
    pub learning_rate: LearningRate,
    /// `w -= lr weight_decay w` before each update.
    pub weight_decay: Option<f32>,
    /// The largest norm of each gradient.
    pub clipnorm: Option<f32>,
    /// The largest norm of all gradients together.
    pub global_clipnorm: Option<f32>,
    /// The largest magnitude of each element of a gradient.
    pub clipvalue: Option<f32>,
    /// Whether a running mean of each parameter is kept.
    pub use_ema: bool,
    /// How much of that mean stays.
    pub ema_momentum: f32,
    /// After how many updates parameters become their means.
    pub ema_overwrite_frequency: Option<usize>,
    /// Multiplies the loss before gradients are taken, and divides them afterwards.
    pub loss_scale_factor: Option<f32>,
    /// Steps whose gradients are averaged before an update.
    pub gradient_accumulation_steps: Option<usize>,
}

impl Common {
    /// A learning rate, and nothing else.
    pub fn new(learning_rate: f32) -> Common {
        Common {
            learning_rate: LearningRate::Constant(learning_rate),
            weight_decay: None,
            clipnorm: None,
            global_clipnorm: None,
            clipvalue: None,
            use_ema: false,
            ema_momentum: 0.99,
            ema_overwrite_frequency: None,
            loss_scale_factor: None,
            gradient_accumulation_steps: None,
        }
    }

    fn clips(&self) -> [(&'static str, Option<f32>); 3] {
        [("clipnorm", self.clipnorm), ("global_clipnorm", self.global_clipnorm), ("clipvalue", self.clipvalue)]
    }

    /// Complains of a setting out of range.
    ///
    /// # Errors
    /// `ErrorKind::Config` that names the key, its value and its range, or two ways of clipping at once.
    pub fn check(&self) -> Result<(), Error> {
        self.learning_rate.check()?;
        self.weight_decay.map_or(Ok(()), |decay| within("weight_decay", decay, NOT_NEGATIVE))?;
        for (key, value) in self.clips().into_iter().chain([("loss_scale_factor", self.loss_scale_factor)]) {
            value.map_or(Ok(()), |value| within(key, value, POSITIVE))?;
        }
        within("ema_momentum", self.ema_momentum, FRACTION)?;
        let frequency = self.ema_overwrite_frequency;
        frequency.map_or(Ok(()), |steps| within("ema_overwrite_frequency", steps as f32, AT_LEAST_ONE))?;
        let steps = self.gradient_accumulation_steps;
        steps.map_or(Ok(()), |steps| within("gradient_accumulation_steps", steps as f32, 2.0..f32::INFINITY))?;
        match self.clips().iter().filter_map(|(key, value)| value.map(|value| (*key, value))).collect::<Vec<_>>()[..] {
            [(first, x), (second, y), ..] => {
                Err(Error::config(format!("{first} = {x} and {second} = {y}: gradients are clipped in one way"))
                    .help("keep one of clipnorm, global_clipnorm and clipvalue"))
            }
            _ => Ok(()),
        }
    }

    /// As Keras writes it, for an optimizer of this class.
    pub(super) fn to_config(&self, class: &str) -> Config {
        config! {
            "name": crate::to_snake_case(class),
            "learning_rate": self.learning_rate.to_config(),
            "weight_decay": self.weight_decay,
            "clipnorm": self.clipnorm,
            "global_clipnorm": self.global_clipnorm,
            "clipvalue": self.clipvalue,
            "use_ema": self.use_ema,
            "ema_momentum": self.ema_momentum,
            "ema_overwrite_frequency": self.ema_overwrite_frequency,
            "loss_scale_factor": self.loss_scale_factor,
            "gradient_accumulation_steps": self.gradient_accumulation_steps,
        }
    }

    /// Takes over what a configuration says.
    pub(super) fn read(&mut self, read: &mut Reader<'_>) -> Result<(), Error> {
        read.ignore(&["name", "is_legacy_optimizer", "jit_compile"]);
        if let Some(rate) = read.rate("learning_rate", LearningRate::from_config)? {
            self.learning_rate = rate;
        }
        self.weight_decay = read.maybe_f32("weight_decay")?.or(self.weight_decay);
        self.clipnorm = read.maybe_f32("clipnorm")?;
        self.global_clipnorm = read.maybe_f32("global_clipnorm")?;
        self.clipvalue = read.maybe_f32("clipvalue")?;
        self.use_ema = read.bool("use_ema", false)?;
        self.ema_momentum = read.f32("ema_momentum", self.ema_momentum)?;
        self.ema_overwrite_frequency = read.count("ema_overwrite_frequency")?;
        self.loss_scale_factor = read.maybe_f32("loss_scale_factor")?;
        self.gradient_accumulation_steps = read.count("gradient_accumulation_steps")?;
        Ok(())
    }
}

/// The settings every optimizer has, as builder methods.
macro_rules! common_methods {
    ($name:ident) => {
        impl $name {
            /// The size of a step, in `[0, ∞)`: a number, or a schedule such as [`CosineDecay`](crate::CosineDecay).
            pub fn learning_rate(
                mut self,
                learning_rate: impl Into<$crate::optimizers::schedules::LearningRate>,
            ) -> $name {
                self.common.learning_rate = learning_rate.into();
                self
            }

            /// `w -= lr weight_decay w` before each update, of every parameter including biases; in `[0, ∞)`.
            pub fn weight_decay(mut self, weight_decay: f32) -> $name {
                self.common.weight_decay = Some(weight_decay);
                self
            }

            /// Scales the gradient of each parameter down to this norm: `g clipnorm / max(|g|, clipnorm)`; in `(0, ∞)`.
            pub fn clipnorm(mut self, clipnorm: f32) -> $name {
                self.common.clipnorm = Some(clipnorm);
                self
            }

            /// Scales all gradients by one factor, so that their norm together is at most this; in `(0, ∞)`.
            pub fn global_clipnorm(mut self, global_clipnorm: f32) -> $name {
                self.common.global_clipnorm = Some(global_clipnorm);
                self
            }

            /// Cuts each element of a gradient to `[-clipvalue, clipvalue]`; in `(0, ∞)`.
            pub fn clipvalue(mut self, clipvalue: f32) -> $name {
                self.common.clipvalue = Some(clipvalue);
                self
            }

            /// Whether a running mean of each parameter is kept, `a = ema_momentum a + (1 - ema_momentum) w` after each
            /// step; parameters become their means when `fit` ends. Default false.
            pub fn use_ema(mut self, use_ema: bool) -> $name {
                self.common.use_ema = use_ema;
                self
            }

            /// How much of the mean of a parameter stays, in `[0, 1]`; default 0.99.
            pub fn ema_momentum(mut self, ema_momentum: f32) -> $name {
                self.common.ema_momentum = ema_momentum;
                self
            }

            /// Parameters become their means after every so many updates too, at least 1; default only when `fit` ends.
            pub fn ema_overwrite_frequency(mut self, updates: usize) -> $name {
                self.common.ema_overwrite_frequency = Some(updates);
                self
            }

            /// Multiplies the loss before gradients are taken, and divides them afterwards; in `(0, ∞)`.
            pub fn loss_scale_factor(mut self, loss_scale_factor: f32) -> $name {
                self.common.loss_scale_factor = Some(loss_scale_factor);
                self
            }

            /// Updates on every so many steps, at least 2, by the mean of their gradients. Schedules count steps, bias
            /// corrections count updates.
            pub fn gradient_accumulation_steps(mut self, steps: usize) -> $name {
                self.common.gradient_accumulation_steps = Some(steps);
                self
            }
        }
    };
}
pub(super) use common_methods;
