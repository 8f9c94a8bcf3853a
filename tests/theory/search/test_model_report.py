"""The report on given models: its numbers against other routes, for few and many features, and its files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

import numerics
import theory
from theory import Problem, Terms, report
from theory.search.report_parts import loss_parts
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


def test_a_report_says_which_features_should_share_a_factor_and_when_nothing_does() -> None:
    problem = Problem(m=2, features=theory.FeatureDistribution([[0, 1], [2, 3]], 0.2, "partial:0.7"))
    models = [theory.optimise(problem, "2 digon", order=order) for order in ([0, 3, 1, 2], [0, 1, 2, 3])]
    found = report(np.array([one.W for one in models]), np.array([one.b for one in models]), problem)
    assert found.data.arrangement.values.tolist() == ["as the best", "other features"]
    assert str(found).endswith("geometry 2 digon of other features: 0-1, 2-3 instead of 0-2, 1-3")
    perfect = report(np.eye(2), np.zeros(2), Problem(n=2, m=2, density=0.5))
    assert perfect.data.arrangement.values.tolist() == ["not determined"]
    assert "of the zero model's loss against the optimum, which is zero" in str(perfect)


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
    parts = found.own_error + found.interference + found.collective
    assert_allclose(parts, found.loss, atol=float(found.loss_error), rtol=1e-12)
    assert_allclose(report(W, b, FIVE, W_out=W.T).data.loss, theory.population_loss(W, b, FIVE), rtol=1e-6)


def test_two_features_have_no_collective_part_whatever_the_decoder() -> None:
    """With two features the pair's interference is all there is: own errors and it are the loss by themselves."""
    problem = Problem(n=2, m=2, density=[0.3, 0.6], importance=[1, 0.4])
    W, b = model(2, 2)
    found = report(W, b, problem, W_out=model(2, 2, seed=1)[0].T + 0.3).data.isel(instance=0)
    assert_allclose(found.own_error + found.interference, found.loss, atol=float(found.loss_error), rtol=1e-12)
    assert_allclose(found.collective, 0, atol=1e-14)


TERMS = Terms(noise=0.2, decay=0.03, l1=0.05)


@pytest.mark.parametrize("decoder", ["tied", "untied"])
@pytest.mark.parametrize("values", ["uniform", "exponential"])
def test_parts_of_a_problem_with_terms_sum_to_its_loss(decoder: str, values: str) -> None:
    terms = replace(TERMS, decoder=decoder)
    problem = Problem(n=4, m=2, density=[0.3, 0.1, 0.5, 0.2], importance=[1, 0.4, 2, 1], values=values, terms=terms)
    W, b = model(4, 2)
    W_out = None if decoder == "tied" else model(4, 2, seed=1)[0].T
    loss = theory.loss_estimate(W, b, problem, W_out=W_out).value
    parts = loss_parts(W, b, problem, W_out, loss)
    assert_allclose(parts.feature_loss.sum(), loss, rtol=1e-7)
    # each by another route: samples for noise and penalty, the squares for the decay
    V = W.T if W_out is None else W_out
    x = numerics.sample(problem.features, 200_000, 5)
    hidden = x @ W.T
    assert_allclose(parts.l1.sum(), 0.05 * np.abs(hidden).sum(1).mean(), rtol=0.02)
    assert_allclose(parts.decay.sum(), 0.015 * ((W**2).sum() + (0 if W_out is None else (V**2).sum())), rtol=1e-12)
    shaken = hidden + 0.2 * np.random.default_rng(6).standard_normal(hidden.shape)
    errors = [problem.importance * (x - np.maximum(h @ V.T + b, 0)) ** 2 for h in (shaken, hidden)]
    added = errors[0] - errors[1]
    sure = 4 * added.std(0) / np.sqrt(len(x))
    assert (np.abs(parts.noise - added.mean(0)) < sure).all()
    assert sure.sum() < 0.3 * parts.noise.sum()
    for i in range(4):
        W_, b_, V_ = W.copy(), b.copy(), V.copy()
        W_[:, i], b_[i], V_[i] = 0, problem.features.mean[i], 0
        decoders = {} if W_out is None else {"W_out": V_}
        assert_allclose(parts.worth[i], theory.population_loss(W_, b_, problem, **decoders) - loss, atol=1e-7)


@pytest.mark.slow
def test_a_report_with_terms_names_its_parts(tmp_path: Path) -> None:
    problem = Problem(n=2, m=1, density=0.3, terms=replace(TERMS, decoder="untied"))
    found = report([[0.9, -1.0]], [-0.1, 0.0], problem, W_out=[[1.0], [-0.7]])
    one = found.data.isel(instance=0)
    parts = ("own_error", "interference", "collective", "noise", "decay", "l1")
    assert_allclose(sum(float(one[name]) for name in parts), one.loss, rtol=1e-6)
    assert float(one.gap) > 0
    found.save(tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert all(f"<th>{name}</th>" in page for name in ("noise", "decay", "l1"))
    assert_allclose(load_result(tmp_path / "report.nc").W_out, [[[1.0], [-0.7]]])


def test_missing_biases_of_a_problem_with_noise_are_the_best_and_given_ones_are_kept() -> None:
    noisy = Problem(n=3, m=2, density=0.3, terms=Terms(noise=0.3))
    W, _ = model(3, 2)
    b = theory.best_bias(W, noisy)
    least = theory.population_loss(W, b, noisy)
    for i in range(3):
        for step in (-0.01, 0.01):
            assert theory.population_loss(W, b + step * np.eye(3)[i], noisy) > least
    assert_allclose(theory.best_bias(W, replace(noisy, terms=Terms(bias=[0.1, 0, -0.1]))), [0.1, 0, -0.1])
    with pytest.raises(ValueError, match="untied: give W_out"):
        theory.best_bias(W, replace(noisy, terms=Terms(decoder="untied")))


@pytest.mark.slow
def test_many_features_with_terms_are_reported_without_a_search(tmp_path: Path) -> None:
    problem = Problem(n=60, m=10, density=0.05, terms=Terms(noise=0.1, decay=1e-3, l1=0.01))
    W, b = model(60, 10)
    found = report(0.8 * W, b, problem)
    one = found.data.isel(instance=0)
    assert str(one.status.values) == "not searched"
    assert_allclose(one.feature_loss.sum(), one.loss, rtol=1e-5)
    parts = ("own_error", "interference", "collective", "noise", "decay", "l1")
    assert_allclose(sum(float(one[name]) for name in parts), one.loss, rtol=1e-5)
    W_, b_ = 0.8 * W, b.copy()
    W_[:, 7], b_[7] = 0, 0.025
    assert_allclose(one.worth[7], theory.population_loss(W_, b_, problem) - one.loss, rtol=0.5)
    found.save(tmp_path)
    assert "no optimum was searched for" in str(found)
    assert "<th>l1</th>" in (tmp_path / "report.html").read_text()


def test_files_are_whole_and_the_page_needs_no_other(tmp_path: Path) -> None:
    W, b = model(5, 2)
    paths = report(W, b, FIVE).save(tmp_path / "new" / "folder")
    tmp_path = tmp_path / "new" / "folder"
    assert {path.suffix for path in paths} == {".html", ".png", ".svg", ".csv", ".nc"}
    page = (tmp_path / "report.html").read_text()
    assert "http" not in page.replace("http-equiv", "")
    assert "data:image/png;base64," in page
    assert len((tmp_path / "report.csv").read_text().splitlines()) == 6
    assert_allclose(load_result(tmp_path / "report.nc").loss, theory.population_loss(W, b, FIVE))


def test_refusals_name_what_does_not_fit_and_what_would(tmp_path: Path) -> None:
    W, b = model(5, 2)
    with pytest.raises(ValueError, match=r"b must have shape \(n,\), or \(k, n\) with one for each of the 1 model"):
        report(W, np.stack([b, b, b]), FIVE)
    with pytest.raises(ValueError, match=r"W_out must have shape \(n, m\), or \(k, n, m\)"):
        report(W, b, FIVE, W_out=b)
    with pytest.raises(TypeError, match=r"array of numbers, got .*; models of a file are judged by"):
        report([["model.npz"]], b, FIVE)
    with pytest.raises(TypeError, match="real numbers"):
        report(W + 0j, b, FIVE)
    with pytest.raises(ValueError, match=r"\(m, n\) or \(k, m, n\), got shape \(1, 1, 2, 5\)"):
        report(W[None, None], b, FIVE)
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OSError, match="cannot write to"):
        report(W, b, FIVE).save(tmp_path / "file" / "folder")


@pytest.mark.slow
def test_four_hundred_features_are_reported(tmp_path: Path) -> None:
    problem = Problem(n=400, m=30, density=0.05)
    W, b = model(400, 30)
    found = report(0.8 * W, b, problem)
    one = found.data.isel(instance=0)
    assert str(one.status.values) == "best known"
    assert "frame" in str(one.best_geometry.values), "even frames beat products here"
    assert one.best_loss < 0.995 * theory.best_tegum_product(400, 30, 0.05).loss
    assert_allclose(one.own_error + one.interference + one.collective, one.loss, rtol=1e-6)
    # Put together from pairs, against the loss without the feature.
    W_, b_ = 0.8 * W, b.copy()
    W_[:, 7], b_[7] = 0, 0.025
    assert_allclose(one.worth[7], theory.population_loss(W_, b_, problem) - one.loss, rtol=0.5)
    assert len(found.save(tmp_path)) == 5
