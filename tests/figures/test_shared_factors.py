"""Claim 35: likeness to principal components, and the factors that anticorrelated features share."""

from figures.shared.script import Settings

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

from figures.parts.factor_measures import CASES, SetCase, likeness, pairs_problem, pca_loss, shared, straight
from figures.shared.verdicts import Finding
from figures.shared_factors import compute, draw, judge
from numerics import sample
from theory import global_optimum, population_loss
from theory.optimum.local_minima import random_starts, refine


@pytest.fixture(scope="module")
def data(at_full_speed: None) -> xr.Dataset:
    return compute(Settings(quick=True, workers=1))


def found(data: xr.Dataset, start: str) -> Finding:
    (verdict,) = judge(data)
    assert verdict.claim == 35
    return next(finding for finding in verdict.findings if finding.stated.startswith(start))


def principal_projection(turn: float) -> np.ndarray:
    """A projection on two directions in the span of the three sums, as an embedding of two dimensions."""
    sums = np.kron(np.eye(3), np.ones((1, 2))) / np.sqrt(2)
    a = np.array([np.cos(turn), np.sin(turn), 0.0])
    b = np.array([-np.sin(turn), np.cos(turn), 1.0]) / np.sqrt(2)
    return np.array([a, b]) @ sums


@pytest.mark.parametrize("p", [0.05, 0.4, 0.9])
def test_pca_is_the_best_linear_model_and_like_itself(p: float) -> None:
    problem, W = pairs_problem(p), principal_projection(0.7)
    mean = np.full(6, p / 2)
    assert_allclose(population_loss(W, mean - W.T @ W @ mean, problem, "linear"), pca_loss(p), rtol=1e-12)
    assert_allclose(likeness(W, p), (1, 0), atol=1e-12)
    rng = np.random.default_rng(0)
    for other in np.linalg.qr(rng.standard_normal((20, 6, 2)))[0].swapaxes(1, 2):
        assert population_loss(other, mean - other.T @ other @ mean, problem, "linear") > pca_loss(p)
        assert likeness(other, p)[0] < 1
        assert likeness(other, p)[1] > 0.1


def test_the_covariance_behind_it_is_that_of_samples() -> None:
    p = 0.4
    x = sample(pairs_problem(p).features, 400_000, np.random.default_rng(1)).reshape(-1, 6)
    eigenvalues = np.linalg.eigvalsh(np.cov(x.T.astype(float)))
    assert_allclose(eigenvalues.sum() - eigenvalues[-2:].sum(), pca_loss(p), rtol=0.01)


def test_solutions_become_more_like_pca_with_density(data: xr.Dataset) -> None:
    apart = data["optimum"].sel(measure="W^T W against the projection").values
    assert (np.diff(apart) < 0).all()
    W, b = random_starts(pairs_problem(0.8), 12, np.random.default_rng(5))
    other = refine(pairs_problem(0.8).repeated(12), W, b).loss.min() / pca_loss(0.8)
    assert_allclose(data["optimum"].sel(pca_density=0.8, measure="loss against PCA's"), other, rtol=1e-5)
    assert found(data, "solutions are most PCA-like").agrees


def test_pairs_are_counted_by_set() -> None:
    case = SetCase(2, 2, 2)
    own, crossed = np.array([[1.0, -1, 0, 0], [0, 0, 1, -1]]), np.array([[1.0, 0, -1, 0], [0, 1, 0, -1]])
    assert shared(case, own) == straight(case, own, 3.0) == (1.0, 0.0)
    assert shared(case, crossed) == straight(case, crossed, 3.0) == (0.0, 0.5)
    turned = np.array([[1.0, -np.cos(0.1), 0, 0], [0, np.sin(0.1), 1, -1]])
    assert straight(case, turned, 3.0)[0] == 0.5
    assert straight(case, turned, 10.0)[0] == 1.0
    left_out = own * np.array([1, 1, 1, 0.01])
    assert straight(case, left_out, 10.0)[0] == shared(case, left_out)[0] == 0.5


def test_sets_of_two_share_a_factor_at_no_cost_and_a_third_feature_finds_no_opposite(data: xr.Dataset) -> None:
    first, second, third = (case.label for case in CASES[:3])
    for label in (first, second):
        assert data["together"].sel(case=label).values.ravel().tolist() == [1, 0]
        assert data["best_loss"].sel(case=label).max() < 1e-9
    assert_allclose(data["together"].sel(case=third).values.ravel(), [1 / 3, 1 / 9])
    assert_allclose(data["best_loss"].sel(case=third), 0.0055492, rtol=1e-4)


def test_in_the_plane_the_antipodes_of_sets_of_three_are_in_the_other_set() -> None:
    case = CASES[4]
    problem = case.problem(0.1)
    angle = np.deg2rad([0, 120, 240, 60, 180, 300])
    W, b = random_starts(problem, 12, np.random.default_rng(0))
    W = np.concatenate([[[np.cos(angle), np.sin(angle)]], W])
    found = refine(problem.repeated(13), W, np.concatenate([np.zeros((1, 6)), b]))
    assert found.loss.argmin() == 0
    assert straight(case, found.W[0], 3.0) == (0.0, pytest.approx(1 / 3))
    assert_allclose(found.loss[0] / problem.zero_loss, 0.1764662, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("case", [CASES[2], CASES[4]], ids=lambda case: case.label)
def test_the_search_for_the_global_optimum_finds_nothing_better(case: SetCase, at_full_speed: None) -> None:
    known = {CASES[2]: 0.005549191512, CASES[4]: 0.1764662081}[case]
    problem = case.problem(0.1)
    assert_allclose(global_optimum(problem, seed=1, starts=16).loss / problem.zero_loss, known, rtol=1e-8)


def test_other_numbers_would_be_judged_otherwise(data: xr.Dataset) -> None:
    changed = data.copy(deep=True)
    changed["optimum"][:] = changed["optimum"].values[::-1]
    changed["learned"][:] = changed["learned"].values[:, ::-1]
    changed["together"][:] = changed["together"].values[..., ::-1]
    changed["opposite"][:] = changed["opposite"].values[..., ::-1]
    assert found(changed, "solutions are most PCA-like").agrees is False
    assert found(changed, "anticorrelated features share").agrees is False
    assert found(changed, "anticorrelated features are antipodal").agrees is False


def test_one_problem_against_it_makes_the_verdict_depend_on_the_problem(data: xr.Dataset) -> None:
    changed = data.copy(deep=True)
    changed["opposite"].loc[{"case": CASES[1].label}] = data["opposite"].sel(case=CASES[1].label).values[..., ::-1]
    assert found(data, "anticorrelated features are antipodal").agrees is True
    assert found(changed, "anticorrelated features are antipodal").depends


def test_the_picture_has_columns_and_cosines(data: xr.Dataset) -> None:
    figure = draw(data)
    assert len(figure.axes) == 2 + 3 + 3
    assert "PCA" in figure.get_suptitle()
