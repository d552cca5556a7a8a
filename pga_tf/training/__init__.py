"""L3: from a configuration to a trained run directory. build makes the parts, loop trains them."""
