"""Arrays that tensors can share without a copy, so that rows are in memory only once."""

import numpy as np
import tensorflow as tf


def empty(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Return an array that a tensor can share: TensorFlow requires an address that is a multiple of 64 bytes."""
    size = int(np.prod(shape)) * dtype.itemsize
    memory = np.empty(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + size].view(dtype).reshape(shape)


def as_tensor(values: np.ndarray) -> tf.Tensor:
    """Return a tensor that shares the memory of an array if possible; `tf.constant` would make a copy."""
    if not values.flags.c_contiguous or values.ctypes.data % 64:
        aligned = empty(values.shape, values.dtype)
        aligned[...] = values
        values = aligned
    if values.dtype == tf.bfloat16.as_numpy_dtype:  # which NumPy's DLPack does not know
        return tf.bitcast(as_tensor(values.view(np.uint16)), tf.bfloat16)
    return tf.experimental.dlpack.from_dlpack(values.__dlpack__())
