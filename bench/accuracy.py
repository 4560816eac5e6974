"""Test accuracy of the article's program: Keras on JAX beside `footlight train`, the same number of seeds each.

    FOOTLIGHT_DATA=data python bench/accuracy.py [path of footlight]

Exit status 0 if Footlight's mean is at least 0.971 and within 0.002 of that of Keras, 1 if not, 2 if Footlight
could not be run.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"

import keras
from keras import layers

sys.path.insert(0, str(Path(__file__).resolve().parent / "peers"))
from common import BATCH, EPOCHS, mnist

ROOT = Path(__file__).resolve().parents[1]
LOWEST_MEAN, LARGEST_DIFFERENCE = 0.971, 0.002


def keras_accuracy(seed, train, test):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((28, 28)),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(*train, epochs=EPOCHS, batch_size=BATCH, verbose=0)
    return model.evaluate(*test, batch_size=BATCH, verbose=0, return_dict=True)["accuracy"]


def footlight_accuracy(binary, seed):
    with tempfile.TemporaryDirectory() as folder:
        command = [binary, "train", "--seed", str(seed), "--data", "mnist"]
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
    args = parser.parse_args()
    train, test = (((x.reshape(-1, 28, 28), y)) for x, y in mnist())
    seeds = range(args.seeds)
    theirs = report("Keras on JAX", [keras_accuracy(seed, train, test) for seed in seeds])
    binary = Path(args.footlight).resolve()
    if not binary.is_file():
        print(f"Footlight: no program at {args.footlight} (cargo build --release)", file=sys.stderr)
        return 2
    try:
        ours = report("Footlight", [footlight_accuracy(str(binary), seed) for seed in seeds])
    except RuntimeError as error:
        print(f"Footlight: {error}", file=sys.stderr)
        return 2
    good = ours >= LOWEST_MEAN and abs(ours - theirs) <= LARGEST_DIFFERENCE
    verdict = "pass" if good else "FAIL"
    print(f"difference {ours - theirs:+.4f}; mean >= {LOWEST_MEAN} and |difference| <= {LARGEST_DIFFERENCE}: {verdict}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
