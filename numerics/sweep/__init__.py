"""Grids of problems, trained piece by piece and resumable."""

import lazy_loader as _lazy

# Names and the modules they come from stand in __init__.pyi; they are imported at first use (SPEC 1).
__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
