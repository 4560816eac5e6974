"""Writes keras.json beside this file: configurations, summaries, names and optimizer trajectories as Keras has them.

    KERAS_BACKEND=jax python crates/nn/tests/keras/fixtures.py

Values and gradients of layers, losses and short trainings are recorded in /fixtures; here is what they leave out.
"""

import json
import os
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"

import jax
import keras
import numpy as np
from keras import constraints, initializers, layers, losses, metrics, optimizers, regularizers
from keras.optimizers import schedules

OUT = Path(__file__).with_name("keras.json")
STEPS = 20
serialize = keras.saving.serialize_keras_object


def float32(values):
    """The shortest decimals that read back to the same float32."""
    return [float(str(v)) for v in np.asarray(values, np.float32).ravel()]


def stacks():
    """Every layer, with and without arguments; the second model has no shape of its own."""
    yield "defaults", [
        layers.Input((4, 3)),
        layers.Flatten(),
        layers.Dense(8),
        layers.Activation("gelu"),
        layers.Reshape((2, -1)),
        layers.BatchNormalization(),
        layers.LayerNormalization(),
        layers.Dropout(0.2),
        layers.Flatten(),
        layers.Dense(3, activation="softmax"),
    ]
    regular = {"kernel_regularizer": regularizers.L2(0.02), "bias_regularizer": regularizers.L1L2(0.01, 0.03)}
    yield "arguments", [
        layers.Input((6, 5), name="samples"),
        layers.Dense(7, "relu", kernel_initializer="he_normal", bias_initializer=initializers.Constant(0.5), **regular),
        layers.Dense(4, use_bias=False, trainable=False),
        layers.BatchNormalization(momentum=0.9, epsilon=1e-5, center=False, gamma_regularizer=regularizers.L1(0.1)),
        layers.BatchNormalization(scale=False, name="norm"),
        layers.LayerNormalization(epsilon=1e-6, scale=False),
        layers.Dropout(0.25, seed=3),
        layers.Activation("leaky_relu"),
        layers.Flatten(),
        layers.Dense(2, name="head"),
    ]
    kept = {"kernel_constraint": constraints.MaxNorm(3.0), "bias_constraint": constraints.NonNeg()}
    unit = {"gamma_constraint": constraints.MinMaxNorm(0.5, 2.0, rate=0.5), "beta_constraint": constraints.UnitNorm()}
    yield "activations", [
        layers.Input((6, 4)),
        layers.Dense(4, activation=layers.LeakyReLU(0.1), **kept),
        layers.ReLU(),
        layers.ReLU(max_value=6.0, negative_slope=0.1, threshold=0.5),
        layers.LeakyReLU(),
        layers.LeakyReLU(0.2),
        layers.PReLU(),
        layers.PReLU("ones", regularizers.L2(0.1), constraints.NonNeg(), shared_axes=[1]),
        layers.ELU(),
        layers.ELU(0.5),
        layers.Activation("log_softmax"),
        layers.BatchNormalization(**unit),
        layers.LayerNormalization(**unit),
        layers.Dense(3, kernel_constraint=constraints.MaxNorm(axis=[0, 1])),
        layers.Softmax(),
    ]
    yield "article", [
        layers.Input((28, 28)),
        layers.Flatten(),
        layers.Dense(128, activation="relu"),
        layers.Dropout(0.2),
        layers.Dense(10, activation="softmax"),
    ]
    yield "unbuilt", [layers.Flatten(), layers.Dense(3)]
    yield "wide", [
        layers.Input((3,)),
        layers.Dense(1_000_000, name="a_name_that_is_longer_than_its_column_is_wide"),
    ]


def summary(model):
    lines = []
    model.summary(print_fn=lambda text, line_break=False: lines.append(text))
    return "\n".join(lines)


def models():
    for name, stack in stacks():
        keras.backend.clear_session()
        keras.utils.set_random_seed(1)
        model = keras.Sequential(stack, name="sequential")
        weights = [[w.path.removeprefix("sequential/"), list(w.shape), w.trainable] for w in model.weights]
        config = serialize(model)
        text = summary(model)
        model.compile(optimizer="adam", loss="mse")
        if model.built:
            model.optimizer.build(model.trainable_variables)
        yield {"name": name, "config": config, "weights": weights, "summary": text, "summary_compiled": summary(model)}


OPTIMIZERS = [
    optimizers.SGD,
    lambda: optimizers.SGD(0.1, momentum=0.9),
    lambda: optimizers.SGD(0.1, momentum=0.8, nesterov=True),
    optimizers.RMSprop,
    lambda: optimizers.RMSprop(0.01, rho=0.8, momentum=0.9, epsilon=1e-3, centered=True),
    lambda: optimizers.RMSprop(0.01, centered=True),
    optimizers.Adam,
    lambda: optimizers.Adam(0.1, beta_1=0.8, beta_2=0.95, epsilon=1e-4, amsgrad=True),
    lambda: optimizers.Adam(0.1),
    optimizers.AdamW,
    lambda: optimizers.AdamW(0.1, weight_decay=0.1, amsgrad=True),
    optimizers.Adadelta,
    lambda: optimizers.Adadelta(1.0, rho=0.9, epsilon=1e-4),
    optimizers.Adagrad,
    lambda: optimizers.Adagrad(0.1, initial_accumulator_value=0.0, epsilon=1e-3),
    optimizers.Adamax,
    lambda: optimizers.Adamax(0.1, beta_1=0.8, beta_2=0.95, epsilon=1e-3),
    optimizers.Adafactor,
    lambda: optimizers.Adafactor(0.1, beta_2_decay=-0.5, epsilon_2=0.1, clip_threshold=0.5, relative_step=False),
    optimizers.Nadam,
    lambda: optimizers.Nadam(0.1, beta_1=0.8, beta_2=0.95, epsilon=1e-4),
    optimizers.Ftrl,
    lambda: optimizers.Ftrl(
        0.1,
        learning_rate_power=-0.4,
        initial_accumulator_value=0.2,
        l1_regularization_strength=0.05,
        l2_regularization_strength=0.02,
        l2_shrinkage_regularization_strength=0.01,
        beta=0.3,
    ),
    optimizers.Lion,
    lambda: optimizers.Lion(0.01, beta_1=0.8, beta_2=0.95),
    optimizers.Lamb,
    lambda: optimizers.Lamb(0.1, beta_1=0.8, beta_2=0.95, epsilon=1e-4, weight_decay=0.1),
    lambda: optimizers.SGD(0.1, clipnorm=0.5),
    lambda: optimizers.SGD(0.1, global_clipnorm=0.5),
    lambda: optimizers.SGD(0.1, clipvalue=0.1),
    lambda: optimizers.SGD(0.1, weight_decay=0.1, loss_scale_factor=4.0),
    lambda: optimizers.SGD(0.1, use_ema=True, ema_momentum=0.7),
    lambda: optimizers.SGD(0.1, use_ema=True, ema_overwrite_frequency=3),
    lambda: optimizers.SGD(0.1, momentum=0.9, gradient_accumulation_steps=3),
    lambda: optimizers.Nadam(
        schedules.ExponentialDecay(0.1, 4, 0.8),
        weight_decay=0.1,
        global_clipnorm=0.5,
        use_ema=True,
        ema_overwrite_frequency=3,
        gradient_accumulation_steps=2,
    ),
]

SCHEDULES = [
    schedules.ExponentialDecay(0.1, 10, 0.5),
    schedules.ExponentialDecay(0.1, 4, 0.9, staircase=True),
    schedules.InverseTimeDecay(0.1, 10, 0.5),
    schedules.InverseTimeDecay(0.1, 4, 2.0, staircase=True),
    schedules.PiecewiseConstantDecay([2], [0.5, 0.25]),
    schedules.PiecewiseConstantDecay([2, 7, 11], [0.5, 0.25, 0.125, 0.0]),
    schedules.PolynomialDecay(0.1, 10),
    schedules.PolynomialDecay(0.1, 7, end_learning_rate=0.01, power=2.0),
    schedules.PolynomialDecay(0.1, 7, power=0.5, cycle=True),
    schedules.CosineDecay(0.1, 10),
    schedules.CosineDecay(0.1, 12, alpha=0.2),
    schedules.CosineDecay(0.01, 10, warmup_target=0.1, warmup_steps=5),
    schedules.CosineDecay(0.0, 10, alpha=0.1, warmup_target=0.1),
    schedules.CosineDecayRestarts(0.1, 10),
    schedules.CosineDecayRestarts(0.1, 7, t_mul=1.5, m_mul=0.8, alpha=0.1),
    schedules.CosineDecayRestarts(0.1, 6, t_mul=1.0, m_mul=0.5),
]


def trajectories():
    rng = np.random.default_rng(5)
    start = rng.normal(size=(2, 3)).astype(np.float32)
    # Gradients of changing scale: a bias correction or an epsilon in the wrong place shows.
    gradients = (rng.normal(size=(STEPS, 2, 3)) * 10.0 ** rng.integers(-3, 1, (STEPS, 1, 1))).astype(np.float32)
    for make in OPTIMIZERS:
        keras.backend.clear_session()
        optimizer, w = make(), keras.Variable(start, name="kernel")
        optimizer.build([w])
        path = []
        for gradient in gradients:
            optimizer.apply([jax.numpy.asarray(gradient)], [w])
            path.append(float32(w.value))
        slots = [v for v in optimizer.variables if v.shape == w.shape]
        yield {
            "config": serialize(optimizer),
            "start": float32(start),
            "gradients": [float32(g) for g in gradients],
            "weights": path,
            "slots": [{"name": v.name, "data": float32(v.value)} for v in slots],
        }


def rates():
    """The learning rate of the first steps under each schedule."""
    for schedule in SCHEDULES:
        yield {"config": serialize(schedule), "rates": float32([schedule(step) for step in range(40)])}


def tensor(variable):
    return {"shape": list(variable.shape), "data": float32(variable)}


def penalized():
    """Models with penalties and constraints that all bite within three steps."""
    orthogonal = {"kernel_regularizer": regularizers.OrthogonalRegularizer(0.3)}
    yield "activity", optimizers.SGD(0.1), [
        layers.Dense(4, "tanh", activity_regularizer=regularizers.L1L2(0.05, 0.1)),
        layers.Activation("softplus", activity_regularizer="l2"),
        layers.Dense(2, activity_regularizer=regularizers.L1(0.1)),
    ]
    yield "max norm", optimizers.Adam(0.1, epsilon=1e-3), [
        layers.Dense(4, "tanh", kernel_constraint=constraints.MaxNorm(0.9), bias_constraint="non_neg"),
        layers.Dense(2, kernel_constraint=constraints.UnitNorm(axis=1), bias_constraint=constraints.MaxNorm(0.05)),
    ]
    yield "all", optimizers.SGD(0.1), [
        layers.Dense(4, use_bias=False, kernel_constraint=constraints.MinMaxNorm(0.5, 0.8, 0.7), **orthogonal),
        layers.BatchNormalization(gamma_constraint=constraints.MaxNorm(0.9), beta_constraint="non_neg"),
        layers.PReLU(alpha_constraint=constraints.MinMaxNorm(0.2, 0.3), alpha_regularizer="l1"),
        layers.LayerNormalization(beta_constraint=constraints.MaxNorm(0.1)),
        layers.Dense(3, kernel_regularizer=regularizers.OrthogonalRegularizer(0.2, mode="columns")),
        layers.ReLU(negative_slope=0.1, activity_regularizer=regularizers.L2(0.02)),
        layers.Dense(2, kernel_constraint=constraints.MaxNorm(0.7, axis=[0, 1])),
    ]


def trainings():
    for name, optimizer, stack in penalized():
        keras.backend.clear_session()
        rng = np.random.default_rng(9)
        model = keras.Sequential([layers.Input((3,)), *stack])
        model.compile(optimizer, "mse")
        x, y = (rng.normal(size=(6, width)).astype(np.float32) for width in (3, 2))
        weights = [w for layer in model.layers for w in layer.weights]
        for w in weights:
            low = 0.5 if w.name in ("gamma", "moving_variance") else -0.7
            w.assign(rng.uniform(low, low + 1.4, w.shape))
        before = [tensor(w.numpy()) for w in weights]
        steps = []
        for _ in range(3):
            model.reset_metrics()
            steps += float32(model.train_on_batch(x, y))
        model.reset_metrics()
        yield {
            "name": name,
            "model": serialize(model),
            "optimizer": serialize(model.optimizer),
            "x": tensor(x),
            "y": tensor(y),
            "before": before,
            "losses": steps,
            "after": [tensor(w.numpy()) for w in weights],
            "evaluation": float32(model.test_on_batch(x, y))[0],
        }


def slot_orders():
    """All variables of optimizers of two weights, in the order in which they stand in a file."""
    for make in OPTIMIZERS:
        keras.backend.clear_session()
        optimizer = make()
        optimizer.build([keras.Variable(np.zeros(2), name="a"), keras.Variable(np.zeros(3), name="b")])
        yield {"config": serialize(optimizer), "names": [v.name for v in optimizer.variables]}


def compile_configs():
    scce = losses.SparseCategoricalCrossentropy
    for optimizer, loss, metric in [
        ("adam", "sparse_categorical_crossentropy", ["accuracy"]),
        (lambda: optimizers.SGD(0.1, momentum=0.9), "mse", ["mae", "mse"]),
        (optimizers.RMSprop, scce(from_logits=True), [metrics.SparseCategoricalAccuracy()]),
        (optimizers.AdamW, losses.BinaryCrossentropy(), [metrics.BinaryAccuracy(name="right"), "binary_crossentropy"]),
        ("adam", losses.CategoricalCrossentropy(), [metrics.CategoricalCrossentropy(from_logits=True)]),
        ("sgd", "mae", None),
    ]:
        keras.backend.clear_session()
        model = keras.Sequential([layers.Input((3,)), layers.Dense(2)])
        model.compile(optimizer=optimizer if isinstance(optimizer, str) else optimizer(), loss=loss, metrics=metric)
        yield model.get_compile_config()


def initializer_objects():
    for name in (
        "Zeros Ones Constant Identity RandomUniform RandomNormal TruncatedNormal VarianceScaling GlorotUniform "
        "GlorotNormal HeUniform HeNormal LecunUniform LecunNormal Orthogonal"
    ).split():
        yield getattr(initializers, name)()
    yield initializers.Constant(0.5)
    yield initializers.RandomUniform(-0.5, 0.25, seed=4)
    yield initializers.RandomNormal(1.0, 2.0)
    yield initializers.VarianceScaling(3.0, "fan_out", "uniform")
    yield initializers.Orthogonal(gain=2.0)
    yield initializers.Identity(gain=0.5)


def regularizer_objects():
    yield regularizers.L1()
    yield regularizers.L2(0.5)
    yield regularizers.L1L2(0.25, 0.5)
    yield regularizers.OrthogonalRegularizer()
    yield regularizers.OrthogonalRegularizer(0.5, mode="columns")


def main():
    snake_case = keras.src.utils.naming.to_snake_case
    classes = sorted(n for n in dir(layers) if isinstance(getattr(layers, n), type))
    sections = {
        "models": list(models()),
        "trajectories": list(trajectories()),
        "schedules": list(rates()),
        "trainings": list(trainings()),
        "slot_orders": list(slot_orders()),
        "compile_configs": list(compile_configs()),
        "initializers": [serialize(i) for i in initializer_objects()],
        "regularizers": [serialize(r) for r in regularizer_objects()],
        "layer_names": [[name, snake_case(getattr(layers, name).__name__)] for name in classes],
    }
    head = {
        "generator": "crates/nn/tests/keras/fixtures.py",
        "versions": {"keras": keras.__version__, "jax": jax.__version__, "numpy": np.__version__},
        "tolerance": {
            "absolute": 1e-6,
            "relative": 1e-5,
            "reason": "float32 rounding over twenty updates, in another order of operations",
        },
    }
    lines = [f" {json.dumps(k)}: {json.dumps(v)}" for k, v in head.items()]
    for key, cases in sections.items():
        body = ",\n".join(f"  {json.dumps(case, allow_nan=False)}" for case in cases)
        lines.append(f" {json.dumps(key)}: [\n{body}\n ]")
    OUT.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{OUT.name}: {OUT.stat().st_size} bytes, " + ", ".join(f"{len(v)} {k}" for k, v in sections.items()))


if __name__ == "__main__":
    main()
