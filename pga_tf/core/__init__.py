"""L0: what every layer may lean on: errors, options, noise, players and steps, replicas, gradient routing, files."""

from pga_tf.core import iterators, quiet

quiet.hold_back_noise()  # of TensorFlow, whoever imports it first
iterators.let_go_at_exit()
