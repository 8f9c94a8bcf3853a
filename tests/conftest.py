"""Settings for every test: hypothesis profiles, and no window for matplotlib."""

import os
from collections.abc import Iterator

import jaxtyping
import matplotlib
import pytest
from hypothesis import settings

matplotlib.use("Agg")

settings.register_profile("dev", max_examples=25, deadline=None)
settings.register_profile("ci", max_examples=200, deadline=None, derandomize=True)
settings.register_profile("nightly", max_examples=2000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


@pytest.fixture
def without_type_checks() -> Iterator[None]:
    """
    Switch off the checking of types and shapes.

    Arguments of the wrong kind reach the package's own refusals, as they do outside of pytest; and searches, which
    call small functions many thousand times, run at their usual speed.
    """
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="module")
def at_full_speed() -> Iterator[None]:
    """Switch off the checking of types and shapes for a whole module."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
