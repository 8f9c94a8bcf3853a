"""Whether the predicted features share a factor: other pairs, losses that tie, and a loss of zero."""

import numpy as np
import pytest

import theory
from numerics.agreement.tables import describe_runs
from numerics.agreement.verdicts import ARRANGEMENTS, VERDICTS, _arrangements, judge
from theory import Problem

pytestmark = pytest.mark.usefixtures("at_full_speed")


def test_a_model_with_other_pairs_is_not_as_predicted() -> None:
    """Features that come together should not share a dimension: the name of the geometry is the same, not the loss."""
    features = theory.FeatureDistribution([[0, 1], [2, 3]], 0.2, "partial:0.7")
    problem = Problem(m=2, features=features)
    orders = ([0, 2, 1, 3], [0, 3, 1, 2], [0, 1, 2, 3])
    models = [theory.optimise(problem, "2 digon", order=order) for order in orders]
    data = judge(problem, np.array([one.W for one in models]), np.array([one.b for one in models]))
    assert data.geometry.values.tolist() == ["2 digon"] * 3
    assert data.sharing.values.tolist() == ["0-2, 1-3", "0-3, 1-2", "0-1, 2-3"]
    assert [ARRANGEMENTS[k] for k in data.arrangement.values] == ["as predicted"] * 2 + ["another"]
    assert float(data.optimum_gap[2]) > 3
    text = describe_runs(data)
    assert "or a relabelling of it, at its loss: 66.7% of the models" in text
    assert "2 digon with other features in its factors, or at another loss: 33.3%" in text


def test_the_loss_decides_where_the_same_features_share_a_factor() -> None:
    """Vertices of one polygon that were exchanged are seen by the loss alone."""
    same, gap = np.array([True, True, False, False]), np.array([0.0, 0.01, 1e-8, 0.01])
    assert _arrangements(same, gap, rounding=1e-7).tolist() == [0, 2, 1, 2]


def test_pairs_of_unequal_features_count_although_their_losses_are_near() -> None:
    problem = Problem(n=4, m=2, density=0.1, importance=0.7 ** np.arange(4))
    best, near = (theory.optimise(problem, "2 digon", order=order) for order in ([0, 3, 1, 2], [0, 2, 1, 3]))
    data = judge(problem, np.array([best.W, near.W]), np.array([best.b, near.b]))
    assert 0 < float(data.local_optimum_gap[1]) < 1e-3
    assert [ARRANGEMENTS[k] for k in data.arrangement.values] == ["as predicted", "another"]


def test_a_loss_of_zero_predicts_no_geometry() -> None:
    problem = Problem(m=2, features=theory.FeatureDistribution([[0, 1, 2]], 0.6, "exactly-one"))
    W = np.array([theory.parse_geometry(name).embedding(m=2) for name in ("triangle", "digon + dedicated")])
    data = judge(problem, W, np.zeros((2, 3)))
    assert set(data.geometry.values) == {"triangle", "digon + dedicated"}
    assert [ARRANGEMENTS[k] for k in data.arrangement.values] == ["not determined"] * 2
    assert [VERDICTS[k] for k in data.verdict.values] == ["optimum"] * 2
    text = describe_runs(data)
    assert "zero to rounding" in text
    assert "a loss of zero need not determine a geometry" in text
    assert "its local minimum's loss to 0.1% of the zero model's loss" in text
    assert "predicted" not in text
    assert "arranged as" not in text


def test_losses_where_nothing_is_worth_storing_are_tied() -> None:
    """Negative values cannot be reconstructed: every model whose outputs are 0 is an optimum."""
    problem = Problem(n=2, m=1, density=0.2, values="constant:-1")
    data = judge(problem, [[[0.0, 0.0]], [[1.0, 1.0]]], np.zeros((2, 2)))
    assert [ARRANGEMENTS[k] for k in data.arrangement.values] == ["as predicted", "another of the same loss"]
    assert "another arrangement of the same loss: 50.0% of the models" in describe_runs(data)
