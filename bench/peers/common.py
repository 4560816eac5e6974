"""What the peer programs share: arguments, MNIST, timing, one JSON line out."""

import argparse
import gzip
import json
import os
import statistics
import time
from pathlib import Path

import numpy as np

PIXELS, HIDDEN, CLASSES, BATCH, EPOCHS = 784, 128, 10, 128, 5
DROPOUT, LEARNING_RATE = 0.2, 1e-3


def arguments(modes):
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=modes)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rows", type=int, default=60_000, help="rows of an epoch when steps are measured")
    parser.add_argument("--epochs", type=int, default=3, help="measured epochs, after one that warms up")
    return parser.parse_args()


def read_idx(path):
    """An idx file of unsigned bytes, gzipped or not."""
    path = Path(path)
    if path.exists():
        raw = path.read_bytes()
    else:
        raw = gzip.decompress(path.with_name(path.name + ".gz").read_bytes())
    if raw[:3] != b"\0\0\x08":
        raise ValueError(f"{path}: not an idx file of unsigned bytes")
    rank = raw[3]
    shape = np.frombuffer(raw, ">u4", rank, 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * rank).reshape(shape)


def mnist():
    """(x, y) for training and (x, y) for testing; x is rows of 784 float32 in [0, 1], y is int32."""
    folder = Path(os.environ["FOOTLIGHT_DATA"]) / "mnist"
    sets = []
    for part in ("train", "t10k"):
        images = read_idx(folder / f"{part}-images-idx3-ubyte")
        labels = read_idx(folder / f"{part}-labels-idx1-ubyte")
        sets.append((images.reshape(len(images), PIXELS).astype(np.float32) / 255, labels.astype(np.int32)))
    return sets


def synthetic(rows):
    rng = np.random.default_rng(0)
    return rng.random((rows, PIXELS), dtype=np.float32), rng.integers(0, CLASSES, rows).astype(np.int32)


def time_calls(call, wait, seconds=1.5, groups=7):
    """Seconds per call of back-to-back calls, one figure per group; `wait` blocks until the last call is done."""
    for _ in range(5):
        call()
    wait()
    start = time.perf_counter()
    for _ in range(5):
        call()
    wait()
    count = max(1, int(seconds / groups * 5 / (time.perf_counter() - start)))
    times = []
    for _ in range(groups):
        start = time.perf_counter()
        for _ in range(count):
            call()
        wait()
        times.append((time.perf_counter() - start) / count)
    return times


def time_epochs(epoch, rows, epochs):
    """Seconds per step of whole epochs; the first epoch warms up and is not counted."""
    epoch()
    steps, times = -(-rows // BATCH), []
    for _ in range(epochs):
        start = time.perf_counter()
        epoch()
        times.append((time.perf_counter() - start) / steps)
    return times


def emit_steps(version, times):
    emit(version=version, step_ms_median=1e3 * statistics.median(times), step_ms_min=1e3 * min(times))


def emit(**record):
    print(json.dumps(record), flush=True)
