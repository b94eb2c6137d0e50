"""The base network in Keras; runs in the environment that ``training`` makes for it."""

import json
import sys
import time

import keras
import numpy as np
import tensorflow as tf
from keras import layers

STEPS = 12
BATCH, THREADS = (int(text) for text in sys.argv[1:3])
PARAMETERS = 44_397_122


class Instants(keras.callbacks.Callback):
    """Notes when each step ended."""

    def __init__(self):
        super().__init__()
        self.found = []

    def on_train_begin(self, logs=None):
        del logs
        self._note()

    def on_train_batch_end(self, batch, logs=None):
        del batch, logs
        self._note()

    def _note(self):
        self.found.append((time.perf_counter(), time.process_time()))


tf.config.threading.set_intra_op_parallelism_threads(THREADS)
tf.config.threading.set_inter_op_parallelism_threads(THREADS)
network = keras.Sequential(
    [
        keras.Input((224, 224, 3)),
        layers.Conv2D(32, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(64, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(128, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dense(512, activation="relu"),
        layers.Dense(2, activation="softmax"),
    ]
)
assert network.count_params() == PARAMETERS
network.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
count = BATCH * STEPS
images = np.random.default_rng(0).random((count, 224, 224, 3), np.float32)
instants = Instants()
network.fit(
    images, np.arange(count) % 2, batch_size=BATCH, epochs=1, verbose=0, callbacks=[instants]
)
print(json.dumps(instants.found))
