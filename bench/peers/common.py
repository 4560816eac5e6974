"""What the peers' programs share: arguments, data, MNIST, timing, one JSON line out."""

import argparse
import gzip
import json
import os
import statistics
import time
from pathlib import Path

import numpy as np

from sizes import *


def arguments(modes, workloads=tuple(BATCHES)):
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=modes)
    parser.add_argument("workload", choices=workloads)
    parser.add_argument("--compiled", action="store_true", help="the peer's compiled form, where it has two")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=2, help="how long steps and answers are measured")
    parser.add_argument("--rows", type=int, default=60_000, help="rows of an epoch of fit")
    parser.add_argument("--epochs", type=int, default=3, help="measured epochs of fit, after one that warms up")
    parser.add_argument("--batch", type=int, help="another batch than the workload's")
    parser.add_argument("--units", type=int, default=128, help="the width of the mlp")
    args = parser.parse_args()
    args.batch = args.batch or BATCHES[args.workload]
    return args


def is_binary(workload):
    """Whether the last layer is a sigmoid of one unit."""
    return workload in ("lstm", "lstm-128", "recommender")


def data(workload, count):
    """Random inputs, a list, and labels; pictures are channels last."""
    rng = np.random.default_rng(0)

    def pictures(*shape):
        return [rng.random((count, *shape), dtype=np.float32)]

    def indices(limit, *shape):
        return rng.integers(0, limit, (count, *shape), dtype=np.int32)

    if workload == "gpt":
        return [indices(VOCABULARY, STEPS)], indices(VOCABULARY, STEPS)
    if is_binary(workload):
        x = [indices(USERS), indices(ITEMS)] if workload == "recommender" else [indices(WORDS, 80)]
        return x, indices(2, 1).astype(np.float32)
    shape = {"mlp": (PIXELS,), "cnn": (28, 28, 1), "resnet20": (32, 32, 3)}[workload]
    return pictures(*shape), indices(CLASSES)


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


def time_steps(call, wait, seconds):
    """Seconds per call of back-to-back calls, one figure per group; `wait` blocks until the last call is done."""

    def group(count):
        start = time.perf_counter()
        for _ in range(count):
            call()
        wait()
        return (time.perf_counter() - start) / count

    group(1)
    count = max(1, int(seconds / 7 / group(3)))
    times, end = [], time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        times.append(group(count))
    return times


def time_epochs(epoch, args):
    """Seconds per step of whole epochs; the first epoch warms up and is not counted."""
    epoch()
    steps, times = -(-args.rows // args.batch), []
    for _ in range(args.epochs):
        start = time.perf_counter()
        epoch()
        times.append((time.perf_counter() - start) / steps)
    return times


def time_answers(answer, seconds):
    """Seconds of each call, which returns when its result is there; at least five calls."""
    for _ in range(3):
        answer()
    times, end = [], time.perf_counter() + seconds
    while len(times) < 5 or time.perf_counter() < end:
        start = time.perf_counter()
        answer()
        times.append(time.perf_counter() - start)
    return times


def emit_times(version, batch, times):
    emit(version=version, batch=batch, step_ms_median=1e3 * statistics.median(times), step_ms_min=1e3 * min(times))


def emit(**record):
    print(json.dumps(record), flush=True)
