"""Answers of ONNX Runtime to one sample and to a large batch. The graphs are built here, weights are random."""

from common import *

args = arguments(["infer"], workloads=tuple(LARGE_BATCHES))

import onnxruntime
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT32 = TensorProto.FLOAT, TensorProto.INT32


class Graph:
    """Nodes in the order they run, and their weights; a value is its name."""

    def __init__(self):
        self.nodes, self.weights, self.rng = [], [], np.random.default_rng(0)

    def weight(self, *shape):
        return self.constant((0.05 * self.rng.standard_normal(shape)).astype(np.float32))

    def constant(self, values):
        self.weights.append(numpy_helper.from_array(np.asarray(values), f"w{len(self.weights)}"))
        return self.weights[-1].name

    def node(self, op, *inputs, outputs=1, **attributes):
        names = [f"v{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, **attributes))
        return names if outputs > 1 else names[0]

    def dense(self, x, inputs, units):
        return self.node("Add", self.node("MatMul", x, self.weight(inputs, units)), self.weight(units))

    def norm(self, x):
        return self.node("LayerNormalization", x, self.weight(WIDTH), self.weight(WIDTH), axis=-1, epsilon=1e-3)

    def bytes(self, kind, shape, result):
        """The model from "x" of a shape to the softmax of a value."""
        result = self.node("Softmax", result, axis=-1)
        x = helper.make_tensor_value_info("x", kind, ["N", *shape])
        y = helper.make_tensor_value_info(result, FLOAT, None)
        graph = helper.make_graph(self.nodes, args.workload, [x], [y], self.weights)
        return helper.make_model(graph, ir_version=11, opset_imports=[helper.make_opsetid("", 23)]).SerializeToString()


def mlp(g):
    h = g.node("Relu", g.node("Gemm", "x", g.weight(PIXELS, args.units), g.weight(args.units)))
    return FLOAT, [PIXELS], g.node("Gemm", h, g.weight(args.units, CLASSES), g.weight(CLASSES))


def cnn(g):
    x, channels = "x", 1
    for filters in (32, 64):
        y = g.node("Relu", g.node("Conv", x, g.weight(filters, channels, 3, 3), g.weight(filters)))
        x, channels = g.node("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2]), filters
    return FLOAT, [1, 28, 28], g.node("Gemm", g.node("Flatten", x), g.weight(1600, CLASSES), g.weight(CLASSES))


def gpt(g):
    x = g.node("Add", g.node("Gather", g.weight(VOCABULARY, WIDTH), "x"), g.weight(STEPS, WIDTH))
    for _ in range(BLOCKS):
        qkv = g.node("Split", g.dense(g.norm(x), WIDTH, 3 * WIDTH), outputs=3, axis=-1, num_outputs=3)
        attended = g.node("Attention", *qkv, is_causal=1, q_num_heads=HEADS, kv_num_heads=HEADS)
        x = g.node("Add", x, g.dense(attended, WIDTH, WIDTH))
        h = g.node("Gelu", g.dense(g.norm(x), WIDTH, 4 * WIDTH))
        x = g.node("Add", x, g.dense(h, 4 * WIDTH, WIDTH))
    return INT32, [STEPS], g.node("MatMul", g.norm(x), g.weight(WIDTH, VOCABULARY))


graph = Graph()
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = args.threads
model = graph.bytes(*globals()[args.workload](graph))
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
for batch in (1, LARGE_BATCHES[args.workload]):
    (x,), _ = data(args.workload, batch)
    x = x.transpose(0, 3, 1, 2) if x.ndim == 4 else x
    x = np.ascontiguousarray(x)
    emit_times(onnxruntime.__version__, batch, time_answers(lambda: session.run(None, {"x": x}), args.seconds))
