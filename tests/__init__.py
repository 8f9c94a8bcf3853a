"""Tests of theory, numerics and figures, mirroring the packages."""

from tests import (
    typecheck as typecheck,  # named in pyproject.toml, where pytest expects to find it as an attribute
)
