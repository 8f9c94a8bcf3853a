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
    """Let arguments of the wrong kind reach the package's own refusals, as they do outside of pytest."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
