"""Generative autoencoders on TensorFlow and Keras: methods, priors, scores and serving."""

__version__ = "0.1.0"
