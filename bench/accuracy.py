"""Test accuracy on MNIST: Keras beside `footlight train`, the same number of seeds each.

    FOOTLIGHT_DATA=data python bench/accuracy.py [--model mlp|cnn] [path of footlight]

`mlp` is the article's program; `cnn` is examples/runs/mnist_cnn.toml, 6 epochs of two convolutions. Exit status 0 if
Footlight's mean is at least that of the table below and as near to Keras' as it says, 1 if not, 2 if Footlight could
not be run. Keras runs on JAX, or on the backend that KERAS_BACKEND names (a CNN is quickest on tensorflow).
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
from keras import layers

sys.path.insert(0, str(Path(__file__).resolve().parent / "peers"))
from common import BATCHES, EPOCHS, mnist

ROOT = Path(__file__).resolve().parents[1]


def mlp():
    hidden = layers.Dense(128, activation="relu")
    return [layers.Flatten(), hidden, layers.Dropout(0.2), layers.Dense(10, activation="softmax")]


def cnn():
    return [
        layers.Reshape((28, 28, 1)),
        layers.Conv2D(32, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(64, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dropout(0.5),
        layers.Dense(10, activation="softmax"),
    ]


# name -> layers, arguments of fit, arguments of `footlight train`, lowest mean, largest difference
MODELS = {
    "mlp": (mlp, {"epochs": EPOCHS}, ["--data", "mnist"], 0.971, 0.002),
    "cnn": (
        cnn,
        {"epochs": 6, "validation_split": 0.1},
        [str(ROOT / "examples/runs/mnist_cnn.toml"), "--output", "model.keras"],
        0.985,
        0.0015,
    ),
}


def keras_accuracy(seed, made, fit, train, test):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.Input((28, 28)), *made()])
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(*train, batch_size=BATCHES["mlp"], verbose=0, **fit)
    return model.evaluate(*test, batch_size=BATCHES["mlp"], verbose=0, return_dict=True)["accuracy"]


def footlight_accuracy(binary, arguments, seed):
    with tempfile.TemporaryDirectory() as folder:
        command = [binary, "train", *arguments, "--seed", str(seed)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    last = (done.stdout.strip().splitlines() or [""])[-1]
    found = re.fullmatch(r"Accuracy: (\d\.\d+)", last)
    if done.returncode or not found:
        why = done.stderr.strip()[-500:] or f"last line of output: {last!r}"
        raise RuntimeError(f"`footlight train` with seed {seed}: exit status {done.returncode}, no accuracy; {why}")
    return float(found[1])


def report(name, accuracies):
    mean = statistics.mean(accuracies)
    print(f"{name}: {' '.join(f'{a:.4f}' for a in accuracies)}  mean {mean:.4f}", flush=True)
    return mean


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("footlight", nargs="?", default=str(ROOT / "target/release/footlight"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--model", choices=MODELS, default="mlp")
    args = parser.parse_args()
    made, fit, arguments, lowest_mean, largest_difference = MODELS[args.model]
    train, test = (((x.reshape(-1, 28, 28), y)) for x, y in mnist())
    seeds = range(args.seeds)
    theirs = report(
        f"Keras on {keras.backend.backend()}", [keras_accuracy(seed, made, fit, train, test) for seed in seeds]
    )
    binary = Path(args.footlight).resolve()
    if not binary.is_file():
        print(f"Footlight: no program at {args.footlight} (cargo build --release)", file=sys.stderr)
        return 2
    try:
        ours = report("Footlight", [footlight_accuracy(str(binary), arguments, seed) for seed in seeds])
    except RuntimeError as error:
        print(f"Footlight: {error}", file=sys.stderr)
        return 2
    good = ours >= lowest_mean and abs(ours - theirs) <= largest_difference
    verdict = "pass" if good else "FAIL"
    print(f"difference {ours - theirs:+.4f}; mean >= {lowest_mean} and |difference| <= {largest_difference}: {verdict}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
