"""L0, above core: what a user can set, and within which bounds; frozen dataclasses of options.

Nothing here loads TensorFlow, so that help and refusals come at once; what is configured takes its options from here.
"""
