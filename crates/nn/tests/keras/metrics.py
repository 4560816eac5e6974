"""Writes metrics.json beside this file: every metric of Keras, streamed over three uneven batches, with and without weights.

    KERAS_BACKEND=jax python crates/nn/tests/keras/metrics.py
"""

import json
import os
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"

import jax
import keras
import numpy as np
from keras import metrics

OUT = Path(__file__).with_name("metrics.json")
BATCHES = [5, 3, 1]
SAMPLES, CLASSES = sum(BATCHES), 4


def data():
    """Targets and predictions of each kind that metrics take."""
    rng = np.random.default_rng(11)
    logits = rng.normal(size=(SAMPLES, CLASSES)).astype(np.float32)
    softmax = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    classes = rng.integers(0, CLASSES, SAMPLES).astype(np.int32)
    # Ties with thresholds and with each other, and the ends of the range.
    probabilities = np.round(rng.uniform(size=(SAMPLES, CLASSES)), 2).astype(np.float32)
    probabilities[0], probabilities[6, :2] = [0.0, 0.5, 1.0, 0.25], 0.75
    labels = (rng.uniform(size=(SAMPLES, CLASSES)) < probabilities * 0.6 + 0.2).astype(np.float32)
    numbers = rng.normal(size=(2, SAMPLES, CLASSES)).astype(np.float32) + 0.5
    rates = rng.uniform(0.2, 3.0, size=(2, SAMPLES, CLASSES)).astype(np.float32)
    regions = rng.integers(0, CLASSES, (2, SAMPLES, 5))
    return {
        "classes": (classes, softmax),
        "one_hot": (np.eye(CLASSES, dtype=np.float32)[classes], softmax),
        "one_hot_logits": (np.eye(CLASSES, dtype=np.float32)[classes], logits),
        "class_logits": (classes, logits),
        "labels": (labels, probabilities),
        "label_logits": (labels, logits),
        "column": (labels[:, :1], probabilities[:, :1]),
        "margins": (labels * 2 - 1, numbers[0]),
        "numbers": tuple(numbers),
        "rates": tuple(rates),
        "equal": (labels, np.round(probabilities)),
        "regions": tuple(regions.astype(np.float32)),
    }


def cases():
    m = metrics
    for make in [m.SparseCategoricalAccuracy, m.SparseCategoricalCrossentropy, lambda: m.SparseTopKCategoricalAccuracy(k=2)]:
        yield "classes", make
    yield "class_logits", lambda: m.SparseCategoricalCrossentropy(from_logits=True)
    yield "one_hot_logits", lambda: m.CategoricalCrossentropy(from_logits=True)
    for make in [
        m.CategoricalAccuracy, m.CategoricalCrossentropy, m.KLDivergence, m.CategoricalHinge, m.TopKCategoricalAccuracy,
        lambda: m.TopKCategoricalAccuracy(k=1), lambda: m.OneHotIoU(CLASSES, [0, 2], dtype="float32"),
        lambda: m.OneHotMeanIoU(CLASSES, dtype="float32"), m.F1Score,
    ]:
        yield "one_hot", make
    for make in [
        m.BinaryAccuracy, lambda: m.BinaryAccuracy(threshold=0.75), m.BinaryCrossentropy, m.Hinge,
        m.TruePositives, m.FalsePositives, m.TrueNegatives, m.FalseNegatives, lambda: m.TruePositives([0.2, 0.5, 0.75]),
        m.Precision, lambda: m.Precision([0.25, 0.5]), lambda: m.Precision(top_k=2), lambda: m.Precision(class_id=1),
        lambda: m.Precision(0.3, top_k=3, class_id=2), m.Recall, lambda: m.Recall([0.0, 0.5, 1.0]),
        lambda: m.Recall(top_k=1), lambda: m.Recall(class_id=3),
        lambda: m.SensitivityAtSpecificity(0.5), lambda: m.SpecificityAtSensitivity(0.6, num_thresholds=50),
        lambda: m.PrecisionAtRecall(0.7), lambda: m.RecallAtPrecision(0.6, class_id=1),
        lambda: m.RecallAtPrecision(0.3, num_thresholds=1),
        m.AUC, lambda: m.AUC(curve="PR"), lambda: m.AUC(curve="PRGAIN"), lambda: m.AUC(num_thresholds=7),
        lambda: m.AUC(summation_method="minoring"), lambda: m.AUC(summation_method="majoring", curve="PR"),
        lambda: m.AUC(thresholds=[0.1, 0.5, 0.55]), lambda: m.AUC(multi_label=True),
        lambda: m.AUC(curve="PR", multi_label=True, label_weights=[1.0, 2.0, 0.5, 0.0]),
        lambda: m.F1Score("micro"), lambda: m.F1Score("macro", threshold=0.5), lambda: m.F1Score("weighted", 0.25),
        lambda: m.FBetaScore(beta=2.0, threshold=0.5), lambda: m.FBetaScore("weighted", 0.5),
        lambda: m.BinaryIoU(dtype="float32"), lambda: m.BinaryIoU([1], 0.75, dtype="float32"),
    ]:
        yield "labels", make
    for make in [lambda: m.BinaryCrossentropy(from_logits=True), lambda: m.AUC(from_logits=True)]:
        yield "label_logits", make
    for make in [m.BinaryAccuracy, m.AUC, m.Precision]:
        yield "column", make
    for make in [m.Hinge, m.SquaredHinge]:
        yield "margins", make
    for make in [
        m.MeanSquaredError, m.RootMeanSquaredError, m.MeanAbsoluteError, m.MeanAbsolutePercentageError,
        m.CosineSimilarity, m.LogCoshError, m.R2Score, lambda: m.R2Score(None),
        lambda: m.R2Score("variance_weighted_average", num_regressors=2),
    ]:
        yield "numbers", make
    for make in [m.MeanSquaredLogarithmicError, m.Poisson]:
        yield "rates", make
    yield "equal", m.Accuracy
    for make in [
        lambda: m.MeanIoU(CLASSES, dtype="float32"), lambda: m.IoU(CLASSES, [1, 3], ignore_class=2, dtype="float32"),
    ]:
        yield "regions", make


VALUES = [metrics.Mean, metrics.Sum]


def stream(metric, columns, weight):
    """What the metric comes to after each batch."""
    results, start = [], 0
    for size in BATCHES:
        rows = slice(start, start + size)
        w = None if weight is None else weight[rows]
        if "IoU" in type(metric).__name__ and w is not None and columns[-1].ndim > 1:
            w = np.repeat(w, columns[-1][0].size if not_one_hot(metric) else 1)
        metric.update_state(*(column[rows] for column in columns), sample_weight=w)
        results.append([float(str(np.float32(x))) for x in np.asarray(metric.result()).ravel()])
        start += size
    return results


def not_one_hot(metric):
    return metric.sparse_y_pred


def trainings():
    """Short trainings with weights, for the loop: order as given, weights that begin at zero."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(11, 2)).astype(np.float32)
    y = (x.sum(axis=1, keepdims=True) > 0.1).astype(np.float32)
    weight = rng.uniform(0, 3, 11).astype(np.float32)
    for name, how in [
        ("sample_weight", {"sample_weight": weight[:7]}),
        ("class_weight", {"class_weight": {0: 0.5, 1: 4.0}}),
    ]:
        keras.backend.clear_session()
        model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1, "sigmoid", kernel_initializer="zeros")])
        model.compile(
            keras.optimizers.SGD(0.5), "binary_crossentropy", metrics=["accuracy", "mse"],
            weighted_metrics=[metrics.AUC(name="auc"), metrics.BinaryAccuracy(name="weighted_accuracy")],
        )
        history = model.fit(
            x[:7], y[:7], epochs=3, batch_size=3, shuffle=False, verbose=0,
            validation_data=(x[7:], y[7:], weight[7:]), **how,
        )
        yield {
            "name": name, "x": numbers(x), "y": numbers(y), "weight": numbers(weight), "history": history.history,
            "kernel": numbers(np.asarray(model.layers[0].kernel)), "bias": numbers(np.asarray(model.layers[0].bias)),
        }


def numbers(array):
    kind = int if array.dtype == np.int32 else float
    values = [kind(str(x)) if kind is int else float(str(np.float32(x))) for x in array.ravel()]
    return {"shape": list(array.shape), "data": values}


def main():
    columns = data()
    weight = np.array([1.0, 0.5, 2.0, 0.0, 1.5, 3.0, 0.25, 1.0, 0.75], np.float32)
    records = []
    for kind, make in [*cases(), *(("numbers", make) for make in VALUES)]:
        given = columns[kind][1:] if make in VALUES else columns[kind]
        keras.backend.clear_session()
        metric = make()
        config = keras.saving.serialize_keras_object(metric)
        # Array objects of Keras are no JSON; label_weights is the only one.
        if config["config"].get("label_weights") is not None:
            config["config"]["label_weights"] = np.asarray(metric.label_weights).tolist()
        direction = getattr(metric, "_direction", None)
        records.append({
            "data": kind, "config": config, "direction": direction,
            "plain": stream(metric, given, None), "weighted": stream(make(), given, weight),
        })
    head = {
        "generator": "crates/nn/tests/keras/metrics.py",
        "versions": {"keras": keras.__version__, "jax": jax.__version__, "numpy": np.__version__},
        "tolerance": {"absolute": 2e-6, "relative": 1e-5, "reason": "float32 sums in another order, results in float64"},
        "batches": BATCHES,
        "weight": numbers(weight),
    }
    lines = [f" {json.dumps(k)}: {json.dumps(v)}" for k, v in head.items()]
    arrays = ",\n".join(
        f'  {json.dumps(k)}: {json.dumps({"y_true": numbers(y), "y_pred": numbers(p)})}' for k, (y, p) in columns.items()
    )
    lines.append(f' "data": {{\n{arrays}\n }}')
    body = ",\n".join(f"  {json.dumps(case, allow_nan=False)}" for case in records)
    lines.append(f' "metrics": [\n{body}\n ]')
    body = ",\n".join(f"  {json.dumps(case, allow_nan=False)}" for case in trainings())
    lines.append(f' "trainings": [\n{body}\n ]')
    OUT.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{OUT.name}: {OUT.stat().st_size} bytes, {len(records)} metrics")


if __name__ == "__main__":
    main()
