"""The map from noise to codes that a method trains itself, as a prior. Interface: Samples."""

from pga_tf.core import streams
from pga_tf.core.interfaces import MapsPrior
from pga_tf.priors import draws


class Own:
    """`model.map_noise(u)`, u ~ N(0, I), of a method with `PRIOR = "own"`."""

    DECODED_AS = "prior"

    def __init__(self, model: MapsPrior):
        self.latent_dim = model.latent_dim
        self._map, self._noise = model.map_noise, model.NOISE_PARTS * model.latent_dim
        self.sample = draws.sampler(self._draw)

    def _draw(self, seeds):
        """int64 seeds `[B]` to float32 codes `[B, H_dim]`; code i depends on seed i alone, whatever the batch."""
        return self._map(streams.normals_of(seeds, self._noise, "sample/code"))

    def state(self) -> dict:
        """No variable: they are the model's."""
        return {}
