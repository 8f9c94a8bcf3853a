"""The report on given models: its numbers against other routes, for few and many features, and its files."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

import theory
from theory import Problem, report
from theory.tools.storage import load_result

FIVE = Problem(n=5, m=2, density=0.05)


def model(n: int, m: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((m, n)) / np.sqrt(m), -0.1 * rng.random(n)


def test_parts_sum_to_the_loss_and_worth_is_the_loss_without_the_feature() -> None:
    problem = Problem(n=5, m=2, density=[0.05, 0.1, 0.2, 0.05, 0.4], importance=[1, 0.5, 2, 1, 0.3])
    W, b = model(5, 2)
    one = report(W, b, problem).data.isel(instance=0)
    assert_allclose(one.own_error + one.interference + one.collective, one.loss, rtol=1e-12)
    assert_allclose(one.feature_loss.sum(), theory.population_loss(W, b, problem), rtol=1e-12)
    for i in range(5):
        W_, b_ = W.copy(), b.copy()
        W_[:, i], b_[i] = 0, problem.density[i] / 2
        assert_allclose(one.worth[i], theory.population_loss(W_, b_, problem) - one.loss, atol=1e-13)
    assert_allclose(one.dimensionality, theory.dimensionality(W))


def test_an_optimum_has_no_gap_and_its_neighbour_has_one() -> None:
    pentagon, digons = (theory.optimise(FIVE, name) for name in ("pentagon", "2 digon"))
    found = report(np.array([pentagon.W, digons.W]), np.array([pentagon.b, digons.b]), FIVE)
    assert_allclose(found.data.gap, [0, digons.loss / pentagon.loss - 1], atol=1e-9)
    assert found.data.status.values.tolist() == ["repeated", "repeated"]
    assert found.data.polytope.values[0].tolist() == ["pentagon"] * 5
    assert found.data.polytope.values[1].tolist() == ["digon"] * 4 + ["unrepresented"]
    assert "+98.86% against the optimum (pentagon, repeated)" in str(found)


def test_instances_have_their_own_problems_and_missing_biases_are_the_best() -> None:
    problems = [Problem(n=2, m=1, density=p) for p in (0.05, 0.4)]
    optima = [theory.optimise(problem, "digon") for problem in problems]
    found = report(np.array([o.W for o in optima]), None, problems)
    assert_allclose(found.data.loss, [o.loss for o in optima], rtol=1e-9)
    assert found.data.attrs["best_bias"] == 1
    batch = report(np.array([o.W for o in optima]), None, Problem(m=1, density=[[0.05, 0.05], [0.4, 0.4]]))
    assert_allclose(batch.data.loss, found.data.loss)
    with pytest.raises(ValueError, match=r"1 problems for 2 model"):
        report(np.array([o.W for o in optima]), None, problems[:1])


def test_problems_that_differ_in_their_law_alone_have_optima_of_their_own() -> None:
    problems = [Problem(n=2, m=1, density=0.1, values=values) for values in ("uniform", "binary")]
    data = report([[[1.0, -1.0]]] * 2, [0.0, 0.0], problems).data
    assert_allclose(data.best_loss, [theory.global_optimum(problem).loss for problem in problems], rtol=1e-9)
    assert data.best_loss[0] != data.best_loss[1]
    assert problems[0].key == Problem(n=2, m=1, density=0.1).key != problems[1].key


def test_a_decoder_of_its_own_has_its_exact_loss() -> None:
    W, b = model(5, 2)
    found = report(W, b, FIVE, W_out=0.9 * W.T).data.isel(instance=0)
    assert_allclose(found.loss, theory.loss_estimate(W, b, FIVE, W_out=0.9 * W.T).value)
    assert np.isnan(found.own_error)
    assert_allclose(report(W, b, FIVE, W_out=W.T).data.loss, theory.population_loss(W, b, FIVE), rtol=1e-6)


def test_files_are_whole_and_the_page_needs_no_other(tmp_path: Path) -> None:
    W, b = model(5, 2)
    paths = report(W, b, FIVE).save(tmp_path)
    assert {path.suffix for path in paths} == {".html", ".png", ".svg", ".csv", ".nc"}
    page = (tmp_path / "report.html").read_text()
    assert "http" not in page.replace("http-equiv", "")
    assert "data:image/png;base64," in page
    assert len((tmp_path / "report.csv").read_text().splitlines()) == 6
    assert_allclose(load_result(tmp_path / "report.nc").loss, theory.population_loss(W, b, FIVE))


@pytest.mark.slow
def test_four_hundred_features_are_reported(tmp_path: Path) -> None:
    problem = Problem(n=400, m=30, density=0.05)
    W, b = model(400, 30)
    found = report(0.8 * W, b, problem)
    one = found.data.isel(instance=0)
    assert str(one.status.values) == "best known"
    assert_allclose(one.own_error + one.interference + one.collective, one.loss, rtol=1e-6)
    # Put together from pairs, against the loss without the feature.
    W_, b_ = 0.8 * W, b.copy()
    W_[:, 7], b_[7] = 0, 0.025
    assert_allclose(one.worth[7], theory.population_loss(W_, b_, problem) - one.loss, rtol=0.5)
    assert len(found.save(tmp_path)) == 5
