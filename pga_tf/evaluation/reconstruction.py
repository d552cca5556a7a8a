"""Errors of reconstructions, image by image."""

import numpy as np
import tensorflow as tf

from pga_tf.core import checks

LARGEST_WINDOW = 11  # of SSIM (Wang et al., 2004); images with a shorter side get the largest odd window that fits


def reconstruction_errors(images: np.ndarray, restored: np.ndarray) -> dict[str, float]:
    """Means over images of the mean squared error, PSNR and SSIM.

    Args:
      images, restored: uint8 `[N, H, W, C]`.

    Returns:
      dict: `mse` of pixels in [0, 1]; `psnr` in dB, of that mean, infinite for equal images;
      `ssim` in [-1, 1], with its window's side in `ssim_window`. Raises `InputError` for shapes that differ.
    """
    if images.shape != restored.shape or images.dtype != np.uint8 or restored.dtype != np.uint8:
        checks.refuse(
            "Images and their reconstructions",
            expected="uint8 arrays of one shape",
            received=f"{images.dtype} {images.shape} and {restored.dtype} {restored.shape}",
            remedy="quantise both and pair them up",
        )
    window = min(LARGEST_WINDOW, *images.shape[1:3])
    window -= 1 - window % 2
    squares = ssim = 0.0
    for start in range(0, len(images), 500):
        a, b = images[start : start + 500], restored[start : start + 500]
        squares += np.square((a.astype(np.float64) - b) / 255.0).mean(axis=(1, 2, 3)).sum()
        ssim += float(tf.reduce_sum(tf.image.ssim(a, b, max_val=255, filter_size=window)))
    mse = squares / len(images)
    return {
        "mse": float(mse),
        "psnr": float(-10.0 * np.log10(mse)) if mse else float("inf"),
        "ssim": ssim / len(images),
        "ssim_window": window,
    }
