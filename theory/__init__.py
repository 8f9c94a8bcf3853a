"""Exact theory of superposition in toy models: closed forms, optima, geometries, transitions."""

import lazy_loader as _lazy

# Names and the modules they come from stand in __init__.pyi; they are imported at first use (SPEC 1).
_lazily, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    """Import a name at its first use; the version is looked up when somebody asks."""
    if name == "__version__":
        from importlib.metadata import version

        return version("superposition-theory")
    return _lazily(name)
