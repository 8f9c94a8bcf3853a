"""Second derivatives of correlated features' errors against differences of gradients that are enumerated."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from theory import Anticorrelated, Correlated, FeatureDistribution, Problem
from theory.loss.outputs import output_errors
from theory.loss.set_curvature import set_curvatures
from theory.model.set_families import Hierarchy, PartialCorrelation
from theory.model.set_laws import ALL_OR_NONE, EXACTLY_ONE, SetLaw
from theory.optimum.landscape import Landscape

STEP = 1e-6
# Few nodes give a few digits (at worst 4e-3 in 1000 problems like these), many converge.
ROUGH, FINE = 2e-2, 1e-5
LAWS = [ALL_OR_NONE, EXACTLY_ONE, PartialCorrelation(0.4), Hierarchy((-1, 0, 0, 1), (1.0, 0.6, 0.7, 0.8))]


def differences(c: np.ndarray, b: float, own: int, features: FeatureDistribution) -> np.ndarray:
    """Central differences of one output's gradient, enumerated to rounding."""
    n, problem = len(c), Problem(m=1, features=features)

    def gradient(x: np.ndarray) -> np.ndarray:
        G, bias = np.zeros((1, n, n)), np.zeros((1, n))
        G[0, own], bias[0, own] = x[:n], x[n]
        errors = output_errors(G, bias, problem)
        return np.r_[errors.dG[0, own], errors.db[0, own]]

    x = np.r_[c, b]
    return np.array([(gradient(x + s) - gradient(x - s)) / (2 * STEP) for s in STEP * np.eye(n + 1)])


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
@pytest.mark.parametrize("seed", range(6))
def test_curvatures_are_differences_of_the_enumerated_gradient(law: SetLaw, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sets = ((3, 0, 5, 1), (2,), (4,))
    features = FeatureDistribution(sets, rng.uniform(0.05, 0.95, 3), (law, ALL_OR_NONE, EXACTLY_ONE))
    own = (3, 2, 0, 1, 5, 4)[seed]
    # Kinks lie where a sum of couplings cancels the bias; couplings on a grid off the biases keep their distance.
    c = rng.choice([-0.73, -0.31, 0.37, 0.83], size=6) * rng.uniform(0.9, 1.1, 6)
    c[own], b = 0.95, rng.choice([-0.4, -0.13, 0.22])
    expected = differences(c, b, own, features)
    for nodes, tolerance in ((48, ROUGH), (1024, FINE)):
        found = set_curvatures(c[None], np.array([b]), np.array([own]), features, nodes)[0]
        assert_allclose(found, expected, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("made", [Correlated, Anticorrelated])
def test_hessians_of_correlated_features_lead_to_where_gradients_go(made: type[FeatureDistribution]) -> None:
    rng = np.random.default_rng(0)
    problem = Problem(m=3, features=made([[0, 4, 6], [1, 2], [3], [5]], 0.2), importance=rng.uniform(0.5, 1, 7))
    landscape = Landscape(problem, 1e-9)
    x = 0.4 * rng.standard_normal((2, 28)) + 0.1
    memory = landscape.slopes(x)[2]
    found = landscape.hessians(x, memory)
    step = 1e-5 * rng.standard_normal(28)
    change = (landscape.slopes(x + step)[1] - landscape.slopes(x - step)[1]) / 2
    assert_allclose(found @ step, change, atol=ROUGH * np.abs(change).max())
