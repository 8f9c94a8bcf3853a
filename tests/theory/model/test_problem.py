"""Problems and feature distributions: what they say, and what they refuse."""

import dataclasses
import re

import numpy as np
import pytest
from hypothesis import given
from numpy.testing import assert_allclose

import theory
from tests.strategies import distributions
from theory import Anticorrelated, Correlated, FeatureDistribution, Independent, Problem
from theory.loss.enumeration import active_patterns
from theory.model.values import BINARY, UNIFORM

ROUNDING = 1e-12


@given(distributions())
def test_probabilities_of_all_patterns_give_the_moments(features: FeatureDistribution) -> None:
    active = active_patterns(features.n).astype(float)
    probability = features.pattern_probability(active.astype(bool))
    assert_allclose(probability.sum(), 1, rtol=ROUNDING)
    assert_allclose(probability @ active, features.feature_density, rtol=ROUNDING)
    assert_allclose(active.T * probability @ active, features.pair_activity(), rtol=ROUNDING, atol=1e-15)


@given(distributions())
def test_moments_are_those_of_the_value_law(features: FeatureDistribution) -> None:
    p, pair = features.feature_density, features.pair_activity()
    mean, square = (1 / 2, 1 / 3) if features.values == UNIFORM else (1.0, 1.0)
    assert_allclose(features.mean, mean * p)
    expected = mean**2 * pair
    np.fill_diagonal(expected, square * p)
    assert_allclose(features.second_moment, expected)


def test_scalars_broadcast_and_n_is_read_off_any_array() -> None:
    assert_allclose(Problem(n=3, m=2, density=0.1).density, [0.1, 0.1, 0.1])
    assert Problem(m=2, density=[0.1, 0.2]).n == 2
    assert Problem(m=2, density=0.1, importance=[1, 2, 3]).n == 3
    assert Problem(m=2, features=Correlated([[0, 1], [2]], 0.1)).n == 3


def test_leading_axes_are_a_batch() -> None:
    problem = Problem(m=1, density=np.full((4, 1, 2), 0.1), importance=np.ones((5, 2)))
    assert problem.batch_shape == (4, 5)
    assert problem.n == 2


def test_values_are_immutable_copies() -> None:
    density = np.array([0.1, 0.2])
    problem = Problem(m=1, density=density)
    density[0] = 0.9
    assert problem.density[0] == 0.1
    with pytest.raises(ValueError, match="read-only"):
        problem.density[0] = 0.5
    with pytest.raises(ValueError, match="read-only"):
        problem.importance[0] = 0.5
    with pytest.raises(dataclasses.FrozenInstanceError):
        problem.m = 3  # type: ignore[misc]


def test_replacing_a_part_keeps_the_rest() -> None:
    problem = Problem(m=2, features=Anticorrelated([[0, 1], [2, 3]], 0.2, "binary"), importance=[1, 2, 3, 4])
    other = problem.with_density(0.4)
    assert isinstance(other.features, Anticorrelated)
    assert other.features.values == BINARY
    assert_allclose(other.density, 0.2)
    assert_allclose(other.importance, problem.importance)
    assert_allclose(problem.with_importance(2).importance, 2)
    assert dataclasses.replace(problem, m=1).m == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"n": 2, "m": 1, "density": 0},
            "density must lie in (0, 1], got 0.0; did you pass the sparsity S = 1 - p?",
        ),
        ({"n": 2, "m": 1, "density": 1.5}, "density must lie in (0, 1], got 1.5"),
        ({"n": 2, "m": 1, "density": float("nan")}, "density must lie in (0, 1], got nan"),
        ({"n": 2, "m": 1, "density": [0.1, 0.2, 0.3]}, "density must be a scalar or have shape (2,)"),
        ({"n": 2, "m": 1, "density": 0.1, "importance": -1}, "importance must be finite and >= 0, got -1.0"),
        (
            {"n": 2, "m": 1, "density": 0.1, "importance": np.inf},
            "importance must be finite and >= 0, got inf",
        ),
        (
            {"n": 2, "m": 1, "density": 0.1, "importance": [1, 1, 1]},
            "importance must be a scalar or have shape (2,)",
        ),
        ({"n": 0, "m": 1, "density": 0.1}, "n must be at least 1, got 0"),
        ({"n": 2, "m": 0, "density": 0.1}, "m must be at least 1, got 0"),
        ({"n": 3, "m": 1, "features": Correlated([[0, 1]], 0.1)}, "n = 3, but the features are 2 in number"),
        ({"m": 1, "density": np.full((3, 2), 0.1), "importance": np.ones((4, 2))}, "do not broadcast"),
    ],
)
def test_what_is_out_of_range_is_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Problem(**arguments)  # type: ignore[arg-type]


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 2.5, "m": 1, "density": 0.1}, "n must be a whole number, got 2.5"),
        ({"n": 2, "m": True, "density": 0.1}, "m must be a whole number, got True"),
        (
            {"n": 2, "m": 1, "density": "dense"},
            "density must be a number or an array of numbers, got 'dense'",
        ),
        ({"n": 2, "m": 1, "density": 0.1, "importance": "high"}, "importance must be a number"),
        ({"m": 1, "density": 0.1}, "Problem needs n, the number of features"),
        ({"n": 2, "density": 0.1}, "Problem needs m"),
        ({"n": 2, "m": 1}, "give either density (independent features) or features"),
        ({"m": 1, "density": 0.1, "features": Independent([0.1])}, "give either density"),
        ({"m": 1, "features": "correlated"}, "features must be a feature distribution"),
    ],
)
def test_what_is_of_the_wrong_kind_is_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(TypeError, match=re.escape(message)):
        Problem(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ([[0, 1], [1, 2]], "sets must not overlap, but feature 1 is listed more than once"),
        ([[0, 1], [3]], "sets must cover the features 0 ... n-1 without gaps, got the features [0, 1, 3]"),
        ([[0], []], "sets must not be empty"),
        ([], "sets must not be empty"),
    ],
)
@pytest.mark.parametrize("kind", [theory.Correlated, theory.Anticorrelated])
def test_ill_formed_sets_are_refused(kind: type, sets: list[list[int]], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        kind(sets, 0.1)


@pytest.mark.usefixtures("without_type_checks")
def test_distributions_refuse_what_they_cannot_be() -> None:
    with pytest.raises(TypeError, match="sets must be a list of lists"):
        Correlated(3, 0.1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=re.escape("density must be a scalar or have shape (2,), one number per set")):
        Correlated([[0], [1]], [0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match=r"values must be uniform.*; got 'normals'"):
        Independent([0.1], "normals")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Independent needs one density per feature"):
        Independent(0.1)


def test_values_beside_features_are_refused() -> None:
    """They were ignored: the features have values of their own."""
    with pytest.raises(TypeError, match="features have values of their own"):
        Problem(m=2, values="exponential", features=Correlated([[0, 1], [2]], 0.2))
