"""The article's MLP in ONNX Runtime: the latency of one predict call. The graph is built here, weights are random."""

import statistics
import time

from common import *

args = arguments(["infer"])

import onnxruntime
from onnx import TensorProto, helper, numpy_helper


def model_bytes():
    rng = np.random.default_rng(0)
    shapes = {"w1": (PIXELS, HIDDEN), "b1": (HIDDEN,), "w2": (HIDDEN, CLASSES), "b2": (CLASSES,)}
    weights = [numpy_helper.from_array(rng.normal(0, 0.05, s).astype(np.float32), n) for n, s in shapes.items()]
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["z1"]),
        helper.make_node("Relu", ["z1"], ["h"]),
        helper.make_node("Gemm", ["h", "w2", "b2"], ["z2"]),
        helper.make_node("Softmax", ["z2"], ["p"], axis=-1),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", PIXELS])
    p = helper.make_tensor_value_info("p", TensorProto.FLOAT, ["N", CLASSES])
    graph = helper.make_graph(nodes, "mlp", [x], [p], weights)
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 21)]).SerializeToString()


options = onnxruntime.SessionOptions()
options.intra_op_num_threads = args.threads
session = onnxruntime.InferenceSession(model_bytes(), options, providers=["CPUExecutionProvider"])
row = {"x": synthetic(1)[0]}
for _ in range(200):
    session.run(None, row)
times = []
for _ in range(5000):
    start = time.perf_counter()
    session.run(None, row)
    times.append(time.perf_counter() - start)
emit(version=onnxruntime.__version__, batch=1, p50_us=1e6 * statistics.median(times), min_us=1e6 * min(times))
