"""Arrays that tensors share instead of copying: rows are held once."""

import numpy as np
import tensorflow as tf


def empty(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An array that a tensor can share: TensorFlow wants them to begin at a multiple of 64 bytes."""
    size = int(np.prod(shape)) * dtype.itemsize
    memory = np.empty(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + size].view(dtype).reshape(shape)


def as_tensor(values: np.ndarray) -> tf.Tensor:
    """A tensor of the same values, in the same memory where that can be: `tf.constant` would hold them twice."""
    if not values.flags.c_contiguous or values.ctypes.data % 64:
        aligned = empty(values.shape, values.dtype)
        aligned[...] = values
        values = aligned
    return tf.experimental.dlpack.from_dlpack(values.__dlpack__())
