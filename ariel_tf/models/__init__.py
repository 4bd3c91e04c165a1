"""Models in Keras 3: transforms, families, losses, and how a configuration becomes one."""

from ariel_tf.core.tf_startup import import_keras

import_keras()  # before any model file imports it, so that the user's keras.json does not change models
