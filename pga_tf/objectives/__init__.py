"""L1: the papers' equations as pure functions. Tensors in, one value per example `[B]` out, no Keras objects."""
