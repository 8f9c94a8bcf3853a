"""The figure of correlated and anticorrelated features: what holds within the sets, by numbers."""

from figures.shared.script import Settings

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

import theory
from figures.correlated_features import CASES, DENSITIES, DRAWN, compute, draw, judge, side_by_side
from figures.parts.correlated_findings import STATED_ANGLE, off
from figures.shared.verdicts import DEPENDS, HOLDS, PARTLY
from theory import Anticorrelated, Problem

pytestmark = pytest.mark.usefixtures("at_full_speed")


@pytest.fixture(scope="module")
def data(at_full_speed: None) -> xr.Dataset:
    return compute(Settings(quick=True, workers=1))


def drawn(data: xr.Dataset, claim: int) -> xr.Dataset:
    return data.sel(claim=claim, density=DRAWN)


def test_claim_12_correlated_pairs_are_orthogonal_but_for_a_small_turn(data: xr.Dataset) -> None:
    best = drawn(data, 12)
    assert_allclose(best["best_value"], 0.006189, atol=1e-5)
    digons = 2 * theory.optimise_polytope("digon", DRAWN).loss / (4 * DRAWN / 3)
    # Turning the digons away from the right angle gains a little.
    assert_allclose(best["best_loss"] / digons, 0.998701, atol=1e-5)


def test_claim_12_ends_where_collapsed_sets_take_over(data: xr.Dataset) -> None:
    assert_allclose(data.attrs["collapse_of_two_pairs"], 0.25787068, atol=1e-7)
    assert_allclose(data.attrs["collapse_closed_form"], 0.25426873, atol=1e-7)


def test_claim_13_anticorrelated_pairs_are_opposite_and_cost_nothing(data: xr.Dataset) -> None:
    best = drawn(data, 13)
    assert_allclose(best["best_value"], -1, atol=1e-6)
    assert best["best_loss"] < 1e-10
    problem = Problem(m=2, features=Anticorrelated([[0, 1], [2, 3]], density=DRAWN))
    W = np.array([[1.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.0, -1.0]])
    assert theory.population_loss(W, np.zeros(4), problem) < 1e-15


def test_claim_14_sets_lie_side_by_side_and_none_collapses_at_the_optimum(data: xr.Dataset) -> None:
    best = drawn(data, 14)
    assert best["best_side_by_side"] == 3
    assert best["best_collapsed"] == 0
    assert_allclose(best["best_value"], 0.431797, atol=1e-4)
    collapsed = best["run_collapsed"].values > 0
    assert np.nanmin(best["run_loss"].values[collapsed]) > 1.03 * best["best_loss"], "a collapsed set is a failure"


def test_claim_15_every_set_has_an_orthogonal_basis(data: xr.Dataset) -> None:
    best = drawn(data, 15)
    assert best["best_value"] < 0.03
    assert np.nanmedian(best["run_value"]) < 0.1
    assert np.linalg.norm(data["best_W_15"].values[0], axis=0).min() > 0.9, "all twenty features are stored"


def test_claims_12_to_15_are_judged_over_angles_recipes_and_densities(data: xr.Dataset) -> None:
    verdicts = {verdict.claim: verdict for verdict in judge(data)}
    # Best solutions are exact, and hold to every angle.
    assert all(verdicts[claim].findings[0].agrees for claim in (12, 13, 14, 15))
    # Runs are few here and the paper's recipe is cut short: what they do is stated only where all choices agree.
    for claim in (12, 13, 15):
        agreeing = {choice.agrees for choice in verdicts[claim].findings[1].choices}
        assert verdicts[claim].findings[1].agrees is (agreeing.pop() if len(agreeing) == 1 else None)
    assert verdicts[13].outcome == f"{PARTLY}1 of 2 comparisons, 1 depends on a choice"
    # The quick version has one density; but opposite features are asked about at two more.
    trained = {choice.label: choice.agrees for choice in verdicts[13].findings[1].choices}
    assert trained["density 1, to 5 degrees, most runs"]
    assert trained["the paper's recipe, density 1, to 5 degrees, more than by chance"]


def test_angles_off_the_stated_ones() -> None:
    angle = np.deg2rad([0.0, 80.0, 200.0, 20.0])
    W = np.array([np.cos(angle), np.sin(angle)])
    assert_allclose(off(CASES[0], W), [10, 90])
    assert_allclose(off(CASES[1], W), [100, 0], atol=1e-5)


@pytest.mark.parametrize(("claim", "place"), [(12, 0), (13, 1), (15, 3)])
def test_another_stated_angle_would_not_agree(
    data: xr.Dataset, monkeypatch: pytest.MonkeyPatch, claim: int, place: int
) -> None:
    monkeypatch.setitem(STATED_ANGLE, claim, 120.0)
    assert judge(data)[place].findings[0].agrees is False


@pytest.mark.slow
def test_the_verdicts_over_all_densities() -> None:
    data = compute(Settings(workers=2))
    assert_allclose(data["best_value"].sel(claim=12), [0.002116, 0.006189, 0.018874], atol=1e-5)
    assert_allclose(data["best_value"].sel(claim=13), -1, atol=1e-6)
    assert (data["share_at_optimum"].sel(claim=13) < 0.75).all(), "descent often pairs features of different sets"
    assert data["best_collapsed"].sel(claim=14).values.tolist() == [0, 0, 1], "at 0.1 a collapsed set is the optimum"
    assert (data["best_side_by_side"].sel(claim=14) == 3).all()
    assert (data["best_value"].sel(claim=15) < 0.1).all()
    assert data["density"].values.tolist() == list(DENSITIES)
    assert [verdict.outcome for verdict in judge(data)] == [
        HOLDS,
        f"{PARTLY}1 of 2 comparisons, 1 depends on a choice",
        f"{PARTLY}3 of 4 comparisons, 1 depends on a choice",
        DEPENDS,
    ]


def test_what_is_learned_of_three_sets_is_judged_too(data: xr.Dataset) -> None:
    learned = "training: models prefer all 3 sets side by side"
    found = {finding.stated: finding for finding in judge(data)[2].findings}
    assert {choice.label.startswith("the paper") for choice in found[learned].choices} == {True, False}
    hexagon = np.deg2rad([0, 120, 60, 240, 180, 300])  # no set side by side
    changed = data.copy(deep=True)
    for name in ("run_W_14", "paper_W_14"):
        changed[name][:] = np.array([np.cos(hexagon), np.sin(hexagon)])
    found = {finding.stated: finding for finding in judge(changed)[2].findings}
    assert found[learned].agrees is False
    assert found["all 3 sets side by side at the best solution"].agrees is True


def test_a_feature_between_two_of_a_set_separates_them() -> None:
    angle = np.deg2rad([0, 60, 120, 180, 240, 300])
    W = np.array([np.cos(angle), np.sin(angle)])
    assert side_by_side(W, [[0, 1], [2, 3], [4, 5]]) == 3
    assert side_by_side(W, [[0, 2], [1, 4], [3, 5]]) == 0


def test_the_picture_has_three_rows_for_every_claim(data: xr.Dataset) -> None:
    titles = [axes.get_title() for axes in draw(data).axes]
    assert [f"claim {case.claim}" for case in CASES] == [t[:8] for t in titles if t.startswith("claim")]
