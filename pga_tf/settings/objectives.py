"""Names of the objectives of which a method lets a user choose one."""

PIXEL_LOSSES = ("l2", "l1", "huber")
ADVERSARIAL_LOSSES = ("minimax", "non_saturating", "least_squares", "wasserstein", "hinge")
