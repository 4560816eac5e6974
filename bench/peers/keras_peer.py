"""The workloads in Keras on TensorFlow. step: steps on a fixed batch, without what `fit` adds around them; fit: epochs
of model.fit; job: MNIST, five epochs, evaluate. Compiled: jit_compile, which is XLA. Where steps are short several run
in one call of the graph (steps_per_execution), which is quicker than Keras' default of one."""

from common import *

args = arguments(["step", "fit", "job"])
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import tensorflow

tensorflow.config.threading.set_intra_op_parallelism_threads(args.threads)
tensorflow.config.threading.set_inter_op_parallelism_threads(args.threads)

import keras
from keras import layers

VERSION = f"{keras.__version__} / TensorFlow {tensorflow.__version__}"


def mlp():
    hidden = layers.Dense(args.units, activation="relu")
    return [keras.Input((PIXELS,)), hidden, layers.Dropout(0.2), layers.Dense(CLASSES, activation="softmax")]


def cnn():
    first = [layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(2)]
    second = [layers.Conv2D(64, 3, activation="relu"), layers.MaxPooling2D(2)]
    top = [layers.Flatten(), layers.Dropout(0.5), layers.Dense(CLASSES, activation="softmax")]
    return [keras.Input((28, 28, 1)), *first, *second, *top]


def lstm():
    words = layers.Embedding(WORDS, 128)
    return [keras.Input((80,), dtype="int32"), words, layers.LSTM(128), layers.Dense(1, activation="sigmoid")]


class Positions(layers.Layer):
    def build(self, shape):
        self.positions = self.add_weight(shape=shape[1:], name="positions")

    def call(self, x):
        return x + self.positions


def gpt():
    tokens = keras.Input((STEPS,), dtype="int32")
    x = Positions()(layers.Embedding(VOCABULARY, WIDTH)(tokens))
    for _ in range(BLOCKS):
        h = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(HEADS, WIDTH // HEADS)(h, h, use_causal_mask=True)
        h = layers.Dense(4 * WIDTH, activation="gelu")(layers.LayerNormalization()(x))
        x = x + layers.Dense(WIDTH)(h)
    x = layers.Dense(VOCABULARY, use_bias=False, activation="softmax")(layers.LayerNormalization()(x))
    return keras.Model(tokens, x)


def recommender():
    user, item = keras.Input((), dtype="int32"), keras.Input((), dtype="int32")
    x = layers.Concatenate()([layers.Embedding(USERS, 64)(user), layers.Embedding(ITEMS, 64)(item)])
    x = layers.Dense(64, activation="relu")(layers.Dense(128, activation="relu")(x))
    return keras.Model([user, item], layers.Dense(1, activation="sigmoid")(x))


def resnet20():
    def convolved(x, filters, size, stride):
        y = layers.Conv2D(filters, size, strides=stride, padding="same", use_bias=False)(x)
        return layers.BatchNormalization()(y)

    pictures = keras.Input((32, 32, 3))
    x = layers.ReLU()(convolved(pictures, 16, 3, 1))
    for filters, stride in RESIDUAL_BLOCKS:
        y = convolved(layers.ReLU()(convolved(x, filters, 3, stride)), filters, 3, 1)
        x = layers.ReLU()(y + (x if stride == 1 else convolved(x, filters, 1, stride)))
    x = layers.Dense(CLASSES, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    return keras.Model(pictures, x)


keras.utils.set_random_seed(0)
model = globals()[args.workload.removesuffix("-128")]()
if isinstance(model, list):
    model = keras.Sequential(model)
AT_ONCE = 32 if args.workload in ("mlp", "recommender") else 1
if args.workload == "gpt":
    optimizer = keras.optimizers.AdamW(3e-4)
elif args.workload == "resnet20":
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
else:
    optimizer = keras.optimizers.Adam(LEARNING_RATE)
model.compile(
    optimizer=optimizer,
    loss="binary_crossentropy" if is_binary(args.workload) else "sparse_categorical_crossentropy",
    metrics=[] if args.mode == "step" else ["accuracy"],
    steps_per_execution=AT_ONCE,
    jit_compile=args.compiled,
)


def one_or_all(x):
    return tuple(x) if len(x) > 1 else x[0]


def measure_step():
    x, y = data(args.workload, args.batch)
    batches = iter(tensorflow.data.Dataset.from_tensors((one_or_all(x), y)).repeat())
    optimizer.build(model.trainable_variables)
    model.make_train_function()
    logs = [None]

    def call():
        logs[0] = model.train_function(batches)

    times = time_steps(call, lambda: keras.tree.map_structure(np.asarray, logs[0]), args.seconds)
    emit_times(VERSION, args.batch, [seconds / AT_ONCE for seconds in times])


def measure_fit():
    x, y = data(args.workload, args.rows)
    epoch = lambda: model.fit(one_or_all(x), y, batch_size=args.batch, epochs=1, verbose=0)
    emit_times(VERSION, args.batch, time_epochs(epoch, args))


def job():
    (x, y), (x_test, y_test) = mnist()
    model.fit(x, y, batch_size=args.batch, epochs=EPOCHS, verbose=0)
    accuracy = model.evaluate(x_test, y_test, batch_size=args.batch, verbose=0, return_dict=True)["accuracy"]
    emit(version=VERSION, accuracy=accuracy)


{"step": measure_step, "fit": measure_fit, "job": job}[args.mode]()
