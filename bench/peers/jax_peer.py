"""The workloads in JAX and optax. step: one jitted step on a fixed batch; fit: epochs of shuffled NumPy batches; infer:
answers to one sample and to a large batch; job: MNIST, five epochs, evaluate. Compiled: an epoch is one loop."""

from common import *

args = arguments(["step", "fit", "infer", "job"])
if args.threads == 1:
    os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"

import jax
import jax.numpy as jnp
import optax
from jax.nn import relu, sigmoid, softmax


class Weights:
    """The weights of a network in the order it asks for them, and the moving statistics it replaces. Without a list to
    take from, it notes what is asked for."""

    def __init__(self, taken=None, statistics=()):
        self.taken, self.asked, self.statistics, self.moved = taken, [], list(statistics), []

    def __call__(self, *shape, scale=0.05, mean=0.0):
        self.asked.append((shape, scale, mean))
        return jnp.zeros(shape) if self.taken is None else self.taken[len(self.asked) - 1]

    def moving(self, *now):
        """Moves the next pair of mean and variance a tenth of the way."""
        old = self.statistics[len(self.moved)] if self.statistics else [jnp.zeros_like(v) for v in now]
        self.moved.append([0.9 * o + 0.1 * n for o, n in zip(old, now)])


def dense(w, x, units, use_bias=True):
    y = x @ w(x.shape[-1], units)
    return y + w(units, scale=0) if use_bias else y


def conv(w, x, filters, size, stride=1, padding="SAME"):
    kernel, layout = w(size, size, x.shape[-1], filters), ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, kernel, (stride, stride), padding, dimension_numbers=layout)


def dropout(x, rate, key):
    return x if key is None else jnp.where(jax.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0)


def max_pool(x, key):
    """Windows of 2; as a maximum over two axes its gradient is much quicker, its value is slower."""
    n, height, width, channels = x.shape
    if key is None:
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    x = x[:, : height // 2 * 2, : width // 2 * 2]
    return x.reshape(n, height // 2, 2, width // 2, 2, channels).max((2, 4))


def batch_norm(w, x):
    mean, square = x.mean((0, 1, 2)), (x * x).mean((0, 1, 2))
    variance = square - mean * mean
    w.moving(mean, variance)
    return (x - mean) * (jax.lax.rsqrt(variance + 1e-3) * w(x.shape[-1], scale=0, mean=1)) + w(x.shape[-1], scale=0)


def layer_norm(w, x):
    return jax.nn.standardize(x, epsilon=1e-3) * w(x.shape[-1], scale=0, mean=1) + w(x.shape[-1], scale=0)


def mlp(w, key, x):
    return dense(w, dropout(relu(dense(w, x, args.units)), 0.2, key), CLASSES)


def cnn(w, key, x):
    for filters in (32, 64):
        x = max_pool(relu(conv(w, x, filters, 3, padding="VALID") + w(filters, scale=0)), key)
    return dense(w, dropout(x.reshape(len(x), -1), 0.5, key), CLASSES)


def lstm(w, key, x):
    units = 128
    x = dense(w, w(WORDS, units)[x.T], 4 * units)
    recurrent_kernel = w(units, 4 * units)

    def cell(carry, x):
        h, c = carry
        i, f, g, o = jnp.split(x + h @ recurrent_kernel, 4, axis=-1)
        c = sigmoid(f) * c + sigmoid(i) * jnp.tanh(g)
        return (sigmoid(o) * jnp.tanh(c), c), None

    zeros = jnp.zeros((x.shape[1], units))
    (h, _), _ = jax.lax.scan(cell, (zeros, zeros), x)
    return dense(w, h, 1)


def gpt(w, key, x):
    x = w(VOCABULARY, WIDTH)[x] + w(STEPS, WIDTH)
    for _ in range(BLOCKS):
        qkv = dense(w, layer_norm(w, x), 3 * WIDTH).reshape(len(x), STEPS, 3, HEADS, WIDTH // HEADS)
        attended = jax.nn.dot_product_attention(qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2], is_causal=True)
        x = x + dense(w, attended.reshape(x.shape), WIDTH)
        x = x + dense(w, jax.nn.gelu(dense(w, layer_norm(w, x), 4 * WIDTH), approximate=False), WIDTH)
    return dense(w, layer_norm(w, x), VOCABULARY, use_bias=False)


def recommender(w, key, user, item):
    x = jnp.concatenate([w(USERS, 64)[user], w(ITEMS, 64)[item]], axis=-1)
    return dense(w, relu(dense(w, relu(dense(w, x, 128)), 64)), 1)


def resnet20(w, key, x):
    x = relu(batch_norm(w, conv(w, x, 16, 3)))
    for filters, stride in RESIDUAL_BLOCKS:
        y = relu(batch_norm(w, conv(w, x, filters, 3, stride)))
        y = batch_norm(w, conv(w, y, filters, 3))
        kept = x if stride == 1 else batch_norm(w, conv(w, x, filters, 1, stride))
        x = relu(y + kept)
    return dense(w, x.mean((1, 2)), CLASSES)


network = globals()[args.workload.removesuffix("-128")]
optimizer = {"gpt": optax.adamw(3e-4), "resnet20": optax.sgd(0.1, momentum=0.9)}.get(
    args.workload, optax.adam(LEARNING_RATE)
)


def mean_loss(weights, statistics, x, y, key):
    w = Weights(weights, statistics)
    logits = network(w, key, *x)
    if is_binary(args.workload):
        return optax.sigmoid_binary_cross_entropy(logits, y).mean(), w.moved
    return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean(), w.moved


def new_state():
    """Weights, statistics, the optimizer's slots, and the key of dropout."""
    noted, rng, key = Weights(), np.random.default_rng(0), jax.random.key(0)
    sample, _ = data(args.workload, 1)
    statistics = jax.eval_shape(lambda x: (network(noted, key, *x), noted.moved)[1], sample)
    statistics = [[jnp.zeros(mean.shape), jnp.ones(mean.shape)] for mean, _ in statistics]
    weights = [jnp.asarray(mean + scale * rng.standard_normal(shape, np.float32)) for shape, scale, mean in noted.asked]
    return weights, statistics, optimizer.init(weights), key


def update(state, x, y):
    weights, statistics, slots, key = state
    key, dropout_key = jax.random.split(key)
    (value, statistics), gradient = jax.value_and_grad(mean_loss, has_aux=True)(weights, statistics, x, y, dropout_key)
    changes, slots = optimizer.update(gradient, slots, weights)
    return (optax.apply_updates(weights, changes), statistics, slots, key), value


step = jax.jit(update, donate_argnums=0)


def epoch_of_batches(state, x, y, rng):
    order = rng.permutation(len(y))
    total = jnp.zeros(())
    for start in range(0, len(y), args.batch):
        rows = order[start : start + args.batch]
        state, value = step(state, [part[rows] for part in x], y[rows])
        total = total + value
    return jax.block_until_ready((state, total))[0]


@jax.jit
def scan_epoch(state, x, y, order):
    """All full batches in one loop, then the short one."""
    one = lambda state, rows: update(state, [part[rows] for part in x], y[rows])
    full = len(order) // args.batch * args.batch
    state, _ = jax.lax.scan(one, state, order[:full].reshape(-1, args.batch))
    return one(state, order[full:])[0] if full < len(order) else state


def epochs_of(x, y):
    """A function from state to state that trains one epoch."""
    rng = np.random.default_rng(0)
    if args.compiled:
        x, y = [jnp.asarray(part) for part in x], jnp.asarray(y)
        return lambda state: jax.block_until_ready(scan_epoch(state, x, y, rng.permutation(len(y))))
    return lambda state: epoch_of_batches(state, x, y, rng)


def measure_step():
    x, y = jax.tree.map(jnp.asarray, data(args.workload, args.batch))
    state = [new_state()]

    def call():
        state[0], _ = step(state[0], x, y)

    times = time_steps(call, lambda: jax.block_until_ready(state[0]), args.seconds)
    emit_times(jax.__version__, args.batch, times)


def measure_fit():
    train, state = epochs_of(*data(args.workload, args.rows)), [new_state()]

    def epoch():
        state[0] = train(state[0])

    emit_times(jax.__version__, args.batch, time_epochs(epoch, args))


def measure_answers():
    weights, answer = new_state()[0], jax.jit(lambda weights, x: softmax(network(Weights(weights), None, *x)))
    for batch in (1, LARGE_BATCHES[args.workload]):
        x, _ = data(args.workload, batch)
        times = time_answers(lambda: answer(weights, x).block_until_ready(), args.seconds)
        emit_times(jax.__version__, batch, times)


def job():
    (x, y), (x_test, y_test) = mnist()
    train, state = epochs_of([x], y), new_state()
    for _ in range(EPOCHS):
        state = train(state)
    predicted = np.asarray(jax.jit(lambda weights, x: network(Weights(weights), None, x).argmax(1))(state[0], x_test))
    emit(version=jax.__version__, accuracy=float((predicted == y_test).mean()))


{"step": measure_step, "fit": measure_fit, "infer": measure_answers, "job": job}[args.mode]()
