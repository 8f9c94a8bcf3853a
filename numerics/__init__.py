"""Gradient descent on toy models of superposition: sampling, training, sweeps, agreement with the theory."""

import theory as _theory  # noqa: F401  # guards commands against signals, imports included

# isort: split
import lazy_loader as _lazy

# Names and the modules they come from stand in __init__.pyi; they are imported at first use (SPEC 1).
__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
