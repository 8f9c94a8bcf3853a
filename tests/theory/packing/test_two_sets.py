"""Two sets of three correlated features: closed forms of the stages, and the octahedron's angles."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from theory import population_loss, population_loss_and_gradient
from theory.packing.two_sets import STAGES, angles, ideal_stages, is_octahedron, two_sets


@pytest.mark.parametrize("density", [0.02, 0.3, 1.0])
@pytest.mark.parametrize("stage", STAGES)
def test_losses_are_those_of_the_exact_enumeration(stage: str, density: float) -> None:
    W, b, loss = ideal_stages(density)[stage]
    assert_allclose(population_loss(W, b, two_sets(density)), loss, rtol=1e-9)


@pytest.mark.parametrize("stage", ["nothing", "one set collapsed", "sets collapsed"])
def test_collapsed_stages_are_stationary_as_they_are(stage: str) -> None:
    W, b, _ = ideal_stages(0.1)[stage]
    _, dW, db = population_loss_and_gradient(W, b, two_sets(0.1))
    assert_allclose([np.abs(dW).max(), np.abs(db).max()], 0, atol=1e-12)


def test_the_octahedron_gains_by_turning() -> None:
    W, b, _ = ideal_stages(0.1)["octahedron"]
    _, dW, _ = population_loss_and_gradient(W, b, two_sets(0.1))
    assert np.abs(dW).max() > 1e-4


def test_an_octahedron_needs_partners_from_different_sets() -> None:
    W, _, _ = ideal_stages(0.1)["octahedron"]
    assert_allclose(angles(W), [180, 0], atol=1e-5)
    assert is_octahedron(W)
    assert not is_octahedron(W[:, [0, 3, 1, 4, 2, 5]])
    assert not is_octahedron(0.4 * W)
    assert not any(is_octahedron(ideal_stages(0.1)[stage][0]) for stage in STAGES[:-1])
