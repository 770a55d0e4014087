"""Weight updates: how the kept weights compensate. A new one is a file here and an import below."""

from engine.pruning.updates import admm, alps, mrp, none, obs, thanos

__all__ = ["admm", "alps", "mrp", "none", "obs", "thanos"]
