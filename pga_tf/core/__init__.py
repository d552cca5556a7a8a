"""L0: what every layer may lean on. Registry, input errors, options, replicas, gradient routing, interfaces."""
