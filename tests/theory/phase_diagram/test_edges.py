"""Solutions compared along the edges between cells."""

import numpy as np
import pytest

from theory.loss.objective import losses
from theory.model.extra_feature import extra_feature_problem
from theory.optimum.local_minima import LocalMinima
from theory.phase_diagram import edges
from theory.phase_diagram.edges import Edges


def _along(axis: int) -> tuple[Edges, LocalMinima]:
    """Three edges along the density or the importance, and models of seven features on them."""
    rng = np.random.default_rng(axis)
    W, b = 0.6 * rng.normal(size=(3, 2, 7)), rng.uniform(-0.3, 0.1, (3, 7))
    start = np.log([[0.05, 0.5], [0.2, 2.0], [0.6, 1.0]])
    end, zero, inverse = start.copy(), np.zeros(3, dtype=int), np.tile(np.eye(21), (3, 1, 1))
    end[:, axis] += 0.4
    some = Edges(zero, zero, start, end, zero, zero, (W, b, inverse), (W, b, inverse))
    return some, LocalMinima(W, b, np.zeros(3), np.full(3, True), np.zeros(3), inverse)


@pytest.mark.parametrize("axis", [0, 1])
def test_slopes_are_those_of_accurate_losses(axis: int, monkeypatch: pytest.MonkeyPatch) -> None:
    some, model = _along(axis)
    half, step = np.full(3, 0.5), 1e-2
    exact = []
    for fraction in (half - step, half + step):
        problem = extra_feature_problem(7, 2, *some.point(fraction))
        exact.append(losses(problem, model.W, model.b, rtol=1e-10))
    monkeypatch.setattr(edges, "losses", None)  # accurate losses take ten times as long
    for slope in some._slopes(half, model, model):
        np.testing.assert_allclose(slope, (exact[1] - exact[0]) / (2 * step), rtol=1e-4)
