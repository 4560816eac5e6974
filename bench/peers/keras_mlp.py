"""The article's MLP in Keras on TensorFlow. fit: epochs of model.fit; job: MNIST, five epochs, evaluate.
steps_per_execution runs several steps in one call of the graph, which is quicker than Keras' default of one."""

import os

from common import *

args = arguments(["fit", "job"])
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import tensorflow

tensorflow.config.threading.set_intra_op_parallelism_threads(args.threads)
tensorflow.config.threading.set_inter_op_parallelism_threads(args.threads)

import keras
from keras import layers

VERSION = f"{keras.__version__} / TensorFlow {tensorflow.__version__}"
keras.utils.set_random_seed(0)
model = keras.Sequential(
    [
        keras.Input((PIXELS,)),
        layers.Dense(HIDDEN, activation="relu"),
        layers.Dropout(DROPOUT),
        layers.Dense(CLASSES, activation="softmax"),
    ]
)
STEPS = 32
model.compile(
    optimizer=keras.optimizers.Adam(LEARNING_RATE),
    loss="sparse_categorical_crossentropy",
    metrics=["accuracy"],
    steps_per_execution=STEPS,
)

if args.mode == "job":
    (x, y), (x_test, y_test) = mnist()
    model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, verbose=0)
    accuracy = model.evaluate(x_test, y_test, batch_size=BATCH, verbose=0, return_dict=True)["accuracy"]
    emit(version=VERSION, accuracy=accuracy)
else:
    x, y = synthetic(args.rows)
    epoch = lambda: model.fit(x, y, batch_size=BATCH, epochs=1, verbose=0)
    emit_steps(VERSION, time_epochs(epoch, args.rows, args.epochs))
