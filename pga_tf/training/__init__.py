"""L4: what moves a run on: the loop and what happens around its steps, the plan before them, the fitting of priors."""
