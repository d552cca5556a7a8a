"""L3: what a run is, on disk and in memory: configuration, directory, checkpoints, model, priors, draws, scores.

Nothing here moves a run on; that is `pga_tf.training`.
"""
