"""Claim 38: the blog post's experiment on a fixed data set."""

from figures.shared.script import Settings

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose
from scipy.optimize import minimize

from figures.finite_data import compute, draw, excess, judge, sizes
from figures.parts.finite_training import FRESH, IMPORTANCE, M, N, empirical_loss, learn, make_data
from figures.shared.verdicts import Finding
from numerics import Parameters, loss_and_gradient


@pytest.fixture(scope="module")
def data(at_full_speed: None) -> xr.Dataset:
    return compute(Settings(quick=True, workers=1))


def found(data: xr.Dataset, start: str) -> Finding:
    (verdict,) = judge(data)
    assert verdict.claim == 38
    return next(finding for finding in verdict.findings if finding.stated.startswith(start))


def test_data_sets_are_those_of_the_post() -> None:
    x = make_data(20_000, 0.9, 1, 0)[0]
    assert x.shape == (20_000, N)
    assert (x > 0).mean() == pytest.approx(0.1, abs=0.002)
    assert x[x > 0].mean() == pytest.approx(0.5, abs=0.005)
    assert (make_data(50, 0.9, 2, 0)[0] != make_data(50, 0.9, 2, 0)[1]).any()


@pytest.mark.parametrize("model", ["linear", "relu"])
def test_training_ends_near_a_minimum_of_the_loss_on_the_data(model: str, at_full_speed: None) -> None:
    data = make_data(300, 0.5, 1, 3)
    W, b = learn(data, model, 0)

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        parameters = Parameters(theta[: M * N].reshape(1, M, N), theta[M * N :].reshape(1, N))
        value, slope = loss_and_gradient(parameters, data.astype(float), IMPORTANCE[None], model)
        return float(value[0]), np.concatenate([slope.W.ravel(), slope.b.ravel()])

    lower = minimize(loss, np.concatenate([W.ravel(), b.ravel()]), jac=True, method="L-BFGS-B", options={"maxiter": 50})
    assert lower.fun > 0.99 * empirical_loss(W, b, data, model)[0]


def test_the_exact_loss_is_that_of_other_samples(data: xr.Dataset) -> None:
    others = make_data(100_000, 0.9, 1, 99)[0]
    run = data.sel(model="relu", sparsity=0.9, samples=100).isel(run=0)
    assert_allclose(empirical_loss(run["W"].values[None], run["b"].values[None], others, "relu")[0],
                    run["true_loss"], rtol=0.01)  # fmt: skip


def test_few_samples_look_better_than_they_are(data: xr.Dataset) -> None:
    few = data.sel(samples=sizes(data)[0]).mean("run")
    fresh = data["true_loss"].sel(samples=FRESH).mean("run")
    for model in ("linear", "relu"):
        assert (few["seen_loss"].sel(model=model) < fresh.sel(model=model)).all()
        assert (few["true_loss"].sel(model=model) > fresh.sel(model=model)).all()
    assert excess(data)[1, 2, 0] > 0.3, "ReLU model, S = 0.9, 100 samples"
    assert (excess(data)[:2, :, 1] < excess(data)[:2, :, 0]).all()


def test_whether_the_relu_compresses_better_hangs_on_the_data(data: xr.Dataset) -> None:
    sparse = found(data, "S = 0.9: ReLU models compress")
    assert sparse.depends
    agrees = {choice.label: choice.agrees for choice in sparse.choices}
    assert agrees["100 samples on its own data, better by 10%"]
    assert not agrees["100 samples on all data, better by 1%"]
    assert agrees["1000 samples on all data, better by 10%"]


def test_other_numbers_would_be_judged_otherwise(data: xr.Dataset) -> None:
    changed = data.copy(deep=True)
    for recipe in ("", "paper_"):
        for name in (f"{recipe}true_loss", f"{recipe}seen_loss"):
            changed[name].loc[{"model": ["relu", "relu_hidden"]}] = 0.5 * changed[name].sel(model="linear").values
        changed[f"{recipe}W"].loc[{"model": "relu", "sparsity": 0.1}] = 0
        changed[f"{recipe}b"].loc[{"model": ["relu", "relu_hidden"]}] = 0
    assert found(changed, "S = 0.9: ReLU models compress").agrees
    assert found(changed, "ReLU output: W^T W").agrees
    assert found(changed, "ReLU: biases are generally").agrees


def test_six_panels_with_a_finding_as_the_title(data: xr.Dataset) -> None:
    figure = draw(data)
    assert len(figure.axes) == 6
    assert "fresh" in figure.get_suptitle()
