"""The article's MLP in JAX and optax. step: one jitted step on a fixed batch; fit: epochs of shuffled NumPy batches;
job: MNIST, five epochs, evaluate; job_scan: the same with the epoch as one compiled loop."""

from common import *

args = arguments(["step", "fit", "job", "job_scan"])

import jax
import jax.numpy as jnp
import optax

optimizer = optax.adam(LEARNING_RATE)


def dense(rng, fan_in, fan_out):
    limit = (6 / (fan_in + fan_out)) ** 0.5
    return jnp.asarray(rng.uniform(-limit, limit, (fan_in, fan_out)).astype(np.float32)), jnp.zeros(fan_out)


def new_state():
    rng = np.random.default_rng(0)
    parameters = [dense(rng, PIXELS, HIDDEN), dense(rng, HIDDEN, CLASSES)]
    return parameters, optimizer.init(parameters), jax.random.key(0)


def logits(parameters, x, key=None):
    (w1, b1), (w2, b2) = parameters
    h = jax.nn.relu(x @ w1 + b1)
    if key is not None:
        keep = jax.random.bernoulli(key, 1 - DROPOUT, h.shape)
        h = jnp.where(keep, h / (1 - DROPOUT), 0)
    return h @ w2 + b2


def mean_loss(parameters, x, y, key):
    return optax.softmax_cross_entropy_with_integer_labels(logits(parameters, x, key), y).mean()


def update(state, x, y):
    parameters, slots, key = state
    key, dropout_key = jax.random.split(key)
    value, gradient = jax.value_and_grad(mean_loss)(parameters, x, y, dropout_key)
    changes, slots = optimizer.update(gradient, slots, parameters)
    return (optax.apply_updates(parameters, changes), slots, key), value


step = jax.jit(update, donate_argnums=0)


def epoch_of_batches(state, x, y, rng):
    order = rng.permutation(len(x))
    total = jnp.zeros(())
    for start in range(0, len(x), BATCH):
        rows = order[start : start + BATCH]
        state, value = step(state, x[rows], y[rows])
        total = total + value
    jax.block_until_ready((state, total))
    return state


@jax.jit
def scan_epoch(state, x, y, order):
    """All full batches in one loop, then the short one."""
    full = len(order) // BATCH * BATCH
    batches = order[:full].reshape(-1, BATCH)
    state, _ = jax.lax.scan(lambda s, rows: update(s, x[rows], y[rows]), state, batches)
    return update(state, x[order[full:]], y[order[full:]])[0] if full < len(order) else state


def measure_step():
    x, y = (jnp.asarray(a) for a in synthetic(BATCH))
    state = [new_state()]

    def call():
        state[0], _ = step(state[0], x, y)

    emit_steps(jax.__version__, time_calls(call, lambda: jax.block_until_ready(state[0])))


def measure_fit():
    x, y = synthetic(args.rows)
    rng, state = np.random.default_rng(0), [new_state()]

    def epoch():
        state[0] = epoch_of_batches(state[0], x, y, rng)

    emit_steps(jax.__version__, time_epochs(epoch, args.rows, args.epochs))


def job(scan):
    (x, y), (x_test, y_test) = mnist()
    rng, state = np.random.default_rng(0), new_state()
    if scan:
        x, y = jnp.asarray(x), jnp.asarray(y)
    for _ in range(EPOCHS):
        state = scan_epoch(state, x, y, rng.permutation(len(x))) if scan else epoch_of_batches(state, x, y, rng)
    predicted = np.asarray(jax.jit(lambda p, x: logits(p, x).argmax(1))(state[0], x_test))
    emit(version=jax.__version__, accuracy=float((predicted == y_test).mean()))


if args.mode == "step":
    measure_step()
elif args.mode == "fit":
    measure_fit()
else:
    job(args.mode == "job_scan")
