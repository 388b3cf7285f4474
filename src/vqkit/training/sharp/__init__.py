"""Sharp reconstructions: the adversary of a run under a guard that keeps it from making the model worse."""
