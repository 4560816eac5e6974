//! One step of training: gradients in, the next parameters and states out, in Keras' order.

use crate::Constraint;

use super::{Common, Optimizer, Parameter, Update};
use footlight_graph::ops::{Binary, Unary};
use footlight_graph::{Builder, Role, Type, Value};
use footlight_tensor::{DType, Tensor};

/// A state of an optimizer.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Such as `optimizer/dense/kernel/momentum`.
    pub name: String,
    /// Shape and element type.
    pub ty: Type,
    /// The value of every element before the first step.
    pub initial: f32,
}

impl State {
    fn new(name: impl Into<String>, shape: &[usize], initial: f32) -> State {
        State { name: name.into(), ty: Type::f32(shape), initial }
    }

    /// Name and first value, if that is not zero.
    pub fn first_value(self) -> Option<(String, Tensor)> {
        let full = |ty: Type| Tensor::new(ty.shape.clone(), vec![self.initial; ty.len()]);
        (self.initial != 0.0).then(|| (self.name, full(self.ty).expect("as many as the shape has")))
    }
}

/// The scope of the states of a model's own optimizer.
pub(crate) const SCOPE: &str = "optimizer";
pub(crate) const LEARNING_RATE: &str = "optimizer/learning_rate";
const RATE: &str = "learning_rate";
const AVERAGE: &str = "average";
const ACCUMULATOR: &str = "gradient_accumulator";

/// The state of one parameter.
fn of(scope: &str, path: &str, slot: &str) -> String {
    format!("{scope}/{path}/{slot}")
}

/// A state of all parameters together.
fn of_all(scope: &str, name: &str) -> String {
    format!("{scope}/{name}")
}

/// The state of the running mean of a parameter of a model's own optimizer.
pub(crate) fn average_of(path: &str) -> String {
    of(SCOPE, path, AVERAGE)
}

/// The state that counts the steps of the optimizer of `scope`.
pub fn iteration(g: &mut Builder, scope: &str) -> Value {
    g.state(&of_all(scope, "iteration"), Type::i32([]), Role::Slot)
}

/// The states for parameters of these paths and shapes, in the order of Keras' files: iteration, learning rate (unless it
/// follows a schedule), means, sums of gradients, slots, and what all parameters share; `scope` begins their names and is
/// `optimizer` for the one that a model was compiled with.
pub fn states(optimizer: &dyn Optimizer, scope: &str, parameters: &[(&str, &[usize])]) -> Vec<State> {
    let common = optimizer.common();
    let of_all = |name: &str| of_all(scope, name);
    let of = |path: &str, slot: &str| of(scope, path, slot);
    let mut states = vec![State { name: of_all("iteration"), ty: Type::i32([]), initial: 0.0 }];
    states.extend(common.learning_rate.constant().map(|rate| State::new(of_all(RATE), &[], rate)));
    let kept = [(AVERAGE, common.use_ema), (ACCUMULATOR, common.gradient_accumulation_steps.is_some())];
    for (slot, _) in kept.iter().filter(|(_, is_kept)| *is_kept) {
        states.extend(parameters.iter().map(|(path, shape)| State::new(of(path, slot), shape, 0.0)));
    }
    for group in optimizer.slot_groups() {
        for (path, shape) in parameters {
            states.extend(group.iter().map(|slot| {
                let (shape, initial) = optimizer.slot(slot, shape);
                State::new(of(path, slot), &shape, initial)
            }));
        }
    }
    states.extend(optimizer.shared().into_iter().map(|(name, initial)| State::new(of_all(name), &[], initial)));
    states
}

/// A parameter with its gradient.
#[derive(Clone, Copy, Debug)]
pub struct Trained<'a> {
    /// Layer and weight, such as `dense/kernel`.
    pub path: &'a str,
    /// The state.
    pub value: Value,
    /// The gradient of the loss by it, times the loss scale factor.
    pub gradient: Value,
    /// What the next value is brought back to.
    pub constraint: Option<&'a Constraint>,
}

/// Records what one step makes of parameters and of the states of `scope`; `iteration` is the state that counts steps.
///
/// The order is Keras': gradients are divided by the loss scale, accumulated, clipped; parameters decay, are updated,
/// enter their means, and are constrained.
pub fn step(g: &mut Builder, optimizer: &dyn Optimizer, scope: &str, iteration: Value, trained: &[Trained<'_>]) {
    let common = optimizer.common();
    let number = |g: &mut Builder, name: &str| g.state(&of_all(scope, name), Type::f32([]), Role::Slot);
    let constant = common.learning_rate.constant().map(|_| number(g, RATE));
    let one = g.constant_i32(1);
    let next = g.add(iteration, one);
    g.set_next(iteration, next);
    // From the count before this step, so that nothing waits for the count to be overwritten.
    let before = g.cast(iteration, DType::F32);
    let learning_rate = constant.unwrap_or_else(|| common.learning_rate.lower(g, before));
    let clock = Clock::new(g, common, before);
    let mut gradients: Vec<Value> = trained.iter().map(|t| unscaled(g, common, t.gradient)).collect();
    if let Some((steps, due)) = common.gradient_accumulation_steps.zip(clock.is_due) {
        for (t, gradient) in trained.iter().zip(&mut gradients) {
            *gradient = accumulated(g, scope, t, *gradient, steps, due);
        }
    }
    clip(g, common, &mut gradients);
    let names = optimizer.shared();
    let shared = names.iter().map(|(name, _)| number(g, name)).collect();
    let mut cx = Update { graph: g, learning_rate, step: clock.update, shared, next_shared: vec![] };
    let factors = optimizer.prepare(&mut cx);
    for (state, next) in cx.shared.clone().into_iter().zip(std::mem::take(&mut cx.next_shared)) {
        clock.set_next(cx.graph, state, next);
    }
    for (t, gradient) in trained.iter().zip(gradients) {
        let shape = cx.graph.shape(t.value);
        let slot = |g: &mut Builder, name: &str| {
            g.state(&of(scope, t.path, name), Type::f32(optimizer.slot(name, &shape).0), Role::Slot)
        };
        let slots: Vec<Value> = optimizer.slots().iter().map(|name| slot(cx.graph, name)).collect();
        let value = decayed(cx.graph, common, learning_rate, t.value);
        let parameter = Parameter { value, gradient, slots };
        let (next, next_slots) = optimizer.update(&mut cx, &factors, &parameter);
        let next = clock.choose(cx.graph, next, t.value);
        let next = averaged(cx.graph, scope, common, &clock, t, next);
        let next = t.constraint.map_or(next, |constraint| constraint.lower(cx.graph, next));
        cx.graph.set_next(t.value, next);
        for (slot, next) in parameter.slots.iter().zip(next_slots).filter(|(slot, next)| *slot != next) {
            clock.set_next(cx.graph, *slot, next);
        }
    }
}

/// Which update this is, and whether it takes place.
struct Clock {
    /// Updates before this one, if it is asked for.
    updates: Value,
    /// The number of this update, counted from 1.
    update: Value,
    /// 1 on steps that update, 0 on those that only accumulate; `None` if all do.
    is_due: Option<Value>,
}

impl Clock {
    fn new(g: &mut Builder, common: &Common, before: Value) -> Clock {
        let Some(steps) = common.gradient_accumulation_steps else {
            return Clock { updates: before, update: g.add_scalar(before, 1.0), is_due: None };
        };
        let steps = g.constant(steps as f32);
        let share = g.div(before, steps);
        let updates = g.unary(Unary::Floor, share);
        let after = g.add_scalar(before, 1.0);
        let is_due = Some(is_multiple(g, after, steps));
        Clock { updates, update: g.add_scalar(updates, 1.0), is_due }
    }

    fn choose(&self, g: &mut Builder, new: Value, old: Value) -> Value {
        self.is_due.map_or(new, |due| g.select(due, new, old))
    }

    fn set_next(&self, g: &mut Builder, state: Value, next: Value) {
        let next = self.choose(g, next, state);
        g.set_next(state, next);
    }
}

/// 1 if `x` is a multiple of `n`, else 0; both whole.
fn is_multiple(g: &mut Builder, x: Value, n: Value) -> Value {
    let share = g.div(x, n);
    let whole = g.unary(Unary::Floor, share);
    let product = g.mul(whole, n);
    g.binary(Binary::Equal, product, x)
}

fn unscaled(g: &mut Builder, common: &Common, gradient: Value) -> Value {
    let Some(scale) = common.loss_scale_factor else { return gradient };
    let scale = g.constant(scale);
    g.div(gradient, scale)
}

/// The mean of the gradients since the last update; on other steps of no meaning, for then only their sum is kept.
fn accumulated(g: &mut Builder, scope: &str, t: &Trained<'_>, gradient: Value, steps: usize, due: Value) -> Value {
    let shape = g.shape(t.value);
    let before = g.state(&of(scope, t.path, ACCUMULATOR), Type::f32(shape), Role::Slot);
    let sum = g.add(gradient, before);
    let zero = g.constant(0.0);
    let kept = g.select(due, zero, sum);
    g.set_next(before, kept);
    let steps = g.constant(steps as f32);
    g.div(sum, steps)
}

fn clip(g: &mut Builder, common: &Common, gradients: &mut [Value]) {
    if let Some(limit) = common.clipnorm {
        gradients.iter_mut().for_each(|gradient| *gradient = clipped_by_norm(g, *gradient, limit));
    } else if let Some(limit) = common.global_clipnorm {
        let scale = global_scale(g, gradients, limit);
        gradients.iter_mut().for_each(|gradient| *gradient = g.mul(*gradient, scale));
    } else if let Some(limit) = common.clipvalue {
        for gradient in gradients {
            let low = g.maximum_scalar(*gradient, -limit);
            *gradient = g.minimum_scalar(low, limit);
        }
    }
}

pub(super) fn sum_of_squares(g: &mut Builder, x: Value) -> Value {
    let square = g.mul(x, x);
    g.sum_all(square)
}

/// `x limit / max(|x|, limit)`.
fn clipped_by_norm(g: &mut Builder, x: Value, limit: f32) -> Value {
    let sum = sum_of_squares(g, x);
    let norm = g.unary(Unary::Sqrt, sum);
    let scaled = g.mul_scalar(x, limit);
    let divisor = g.maximum_scalar(norm, limit);
    g.div(scaled, divisor)
}

/// `limit min(1 / norm, 1 / limit)` of all gradients together; NaN where the norm is not finite.
fn global_scale(g: &mut Builder, gradients: &[Value], limit: f32) -> Value {
    let zero = g.constant(0.0);
    let sum = gradients.iter().fold(zero, |sum, gradient| {
        let part = sum_of_squares(g, *gradient);
        g.add(sum, part)
    });
    let norm = g.unary(Unary::Sqrt, sum);
    let one = g.constant(1.0);
    let inverse = g.div(one, norm);
    let factor = g.minimum_scalar(inverse, 1.0 / limit);
    let scale = g.mul_scalar(factor, limit);
    let nothing = g.sub(norm, norm);
    g.add(scale, nothing)
}

/// `w - lr weight_decay w`.
fn decayed(g: &mut Builder, common: &Common, learning_rate: Value, value: Value) -> Value {
    let Some(decay) = common.weight_decay else { return value };
    let rate = g.mul_scalar(learning_rate, decay);
    let part = g.mul(value, rate);
    g.sub(value, part)
}

/// Lets a parameter into its mean, and answers what it becomes: itself, or the mean when that is due.
fn averaged(g: &mut Builder, scope: &str, common: &Common, clock: &Clock, t: &Trained<'_>, value: Value) -> Value {
    if !common.use_ema {
        return value;
    }
    let shape = g.shape(t.value);
    let before = g.state(&of(scope, t.path, AVERAGE), Type::f32(shape), Role::Slot);
    let zero = g.constant(0.0);
    let is_first = g.binary(Binary::Equal, clock.updates, zero);
    let kept = g.constant(common.ema_momentum);
    let momentum = g.select(is_first, zero, kept);
    let rest = g.scalar_sub(1.0, momentum);
    let (old, new) = (g.mul(momentum, before), g.mul(rest, value));
    let mean = g.add(old, new);
    g.set_next(before, mean);
    let Some(frequency) = common.ema_overwrite_frequency else { return value };
    let frequency = g.constant(frequency as f32);
    let is_due = is_multiple(g, clock.update, frequency);
    g.select(is_due, mean, value)
}
