"""TensorFlow 1's ResizeBicubic in float64 NumPy, line by line after its kernel (resize_bicubic_op.cc)."""

import numpy as np

TABLE_SIZE = 1 << 10
A = -0.75


def _coefficients():
    table = np.zeros(2 * (TABLE_SIZE + 1))
    for i in range(TABLE_SIZE + 1):
        x = i / TABLE_SIZE
        table[i * 2] = ((A + 2) * x - (A + 3)) * x * x + 1
        x += 1.0
        table[i * 2 + 1] = ((A * x - 5 * A) * x + 8 * A) * x - 4 * A
    return table


TABLE = _coefficients()


def _weights_and_indices(scale, out_location, limit):
    place = np.float32(out_location) * scale  # the legacy scaler: no half pixels
    location = int(np.floor(place))
    offset = int(np.rint((place - location) * TABLE_SIZE))
    weights = TABLE[offset * 2 + 1], TABLE[offset * 2], TABLE[(TABLE_SIZE - offset) * 2]
    weights += (TABLE[(TABLE_SIZE - offset) * 2 + 1],)
    return weights, [min(max(location + k, 0), limit - 1) for k in (-1, 0, 1, 2)]


def tf1_bicubic(image, height, width):
    """`[H, W, C]` to float64 `[height, width, C]`, with align_corners false."""
    image = np.asarray(image, np.float64)
    down, across = np.float32(image.shape[0] / height), np.float32(image.shape[1] / width)
    out = np.zeros((height, width, image.shape[2]))
    for y in range(height):
        y_weights, rows = _weights_and_indices(down, y, image.shape[0])
        for x in range(width):
            x_weights, columns = _weights_and_indices(across, x, image.shape[1])
            for row, v in zip(rows, y_weights, strict=True):
                for column, w in zip(columns, x_weights, strict=True):
                    out[y, x] += v * w * image[row, column]
    return out


def as_bytes(image, side):
    """What a source is to hold of a uint8 image: `[side, side, C]` uint8."""
    return np.rint(np.clip(tf1_bicubic(image, side, side), 0, 255)).astype(np.uint8)
