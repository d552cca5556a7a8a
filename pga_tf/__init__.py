"""Generative autoencoders on TensorFlow and Keras: methods, priors, scores and serving."""

import os

__version__ = "0.1.0"

# Training runs at less than half its speed without oneDNN's kernels, which TensorFlow turns on by itself on some
# processors only. It reads this once, when it is imported; what the user has set stays.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
