"""The ranges of pixels in training that a method may offer."""

PIXEL_RANGES = {"symmetric": ((-1.0, 1.0), "tanh"), "unit": ((0.0, 1.0), "sigmoid")}
"""What `--pixel_range` stands for where a method has it: the range in training, and the decoder's last function."""
