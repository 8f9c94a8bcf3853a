"""Claims 1 and 2: what linear and ReLU models learn from dense to sparse features."""

from figures.shared.script import Settings

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

from figures.shared.verdicts import HOLDS, PARTLY
from figures.superposition_demo import (
    DENSITIES,
    REPRESENTED,
    SIZES,
    STATED,
    UNTOUCHED,
    compute,
    draw,
    first_pair,
    judge,
    linear_optimum,
    problems,
)
from theory import (
    Problem,
    best_pairing,
    feature_norms,
    pair_pays,
    population_loss,
    population_loss_and_gradient,
    superposition,
)

pytestmark = pytest.mark.usefixtures("at_full_speed")


@pytest.fixture(scope="module")
def data(at_full_speed: None) -> xr.Dataset:
    return compute(Settings(quick=True, workers=1))


def test_the_linear_closed_form_is_stationary_and_has_the_loss_it_says() -> None:
    G, b, loss = linear_optimum("small")
    n, m, _ = SIZES["small"]
    W = np.tile(np.eye(m, n), (len(DENSITIES), 1, 1))
    assert_allclose(W[0].T @ W[0], G)
    exact, dW, db = population_loss_and_gradient(W, b, problems("small"), model="linear")
    assert_allclose(exact, loss, rtol=1e-12)
    assert max(np.abs(dW).max(), np.abs(db).max()) < 1e-12


def test_claim_1_the_linear_model_learns_the_top_features_at_every_density(data: xr.Dataset) -> None:
    G, b, loss = linear_optimum("small")
    W = data["small_linear_W"].values
    assert_allclose(np.swapaxes(W, 1, 2) @ W, np.broadcast_to(G, (len(DENSITIES), *G.shape)), atol=0.03)
    assert_allclose(data["small_linear_b"].values, b, atol=0.005)
    assert_allclose(data["small_linear_loss"], loss, rtol=1e-3)


def test_claim_2_dense_the_relu_model_learns_the_same_top_features(data: xr.Dataset) -> None:
    G, b, loss = linear_optimum("small")
    W = data["small_relu_W"].values[0]
    assert_allclose(W.T @ W, G, atol=0.05)
    assert_allclose(data["small_relu_b"].values[0], b[0], atol=0.03)
    relu = population_loss(
        W, data["small_relu_b"].values[0], Problem(n=20, m=5, density=1.0, importance=0.7 ** np.arange(20))
    )
    assert_allclose(relu, loss[0], rtol=0.01)


def test_claim_2_pairs_come_first_and_the_most_important_features_are_untouched(data: xr.Dataset) -> None:
    W = data["small_relu_W"].values[1]
    overlap, stored = superposition(W), feature_norms(W) > REPRESENTED
    assert (overlap[:2] < UNTOUCHED).all()
    assert 7 <= stored.sum() <= 8
    G = W.T @ W
    partners = (np.abs(G - np.diag(np.diag(G))) > 0.3).sum(1)
    assert set(partners[stored].tolist()) <= {0, 1}, "pairs and nothing else"
    assert G.min() < -0.7


def test_claim_2_sparsest_all_are_in_superposition_with_negative_biases(data: xr.Dataset) -> None:
    W, b = data["small_relu_W"].values[-1], data["small_relu_b"].values[-1]
    stored = feature_norms(W) > REPRESENTED
    assert stored.sum() > 2 * 5, "more than digons hold"
    assert (superposition(W)[stored] > 0.9).all()
    assert (b[stored] < -0.02).mean() > 0.7
    couplings = (W.T @ W)[np.triu_indices(20, 1)]
    assert (couplings > 0.05).sum() > (couplings < -0.05).sum(), "positive interference"
    dense = data["small_relu_W"].values[1]
    assert ((dense.T @ dense)[np.triu_indices(20, 1)] < 0.05).all(), "none while there are pairs only"


def test_claim_1_holds_and_claim_2_but_for_features_left_out(data: xr.Dataset) -> None:
    linear, relu = judge(data)
    assert (linear.claim, linear.outcome) == (1, HOLDS)
    assert relu.claim == 2
    assert relu.outcome.startswith(PARTLY)
    assert [finding.stated for finding in relu.findings if finding.agrees is False] == [
        "all 20 features in superposition"
    ]
    recipes = {choice.label.split(",")[0] for finding in relu.findings for choice in finding.choices}
    assert {"the paper's recipe", "norm above 0.1", "norm above 0.9"} < recipes


@pytest.mark.parametrize(("key", "claim"), [("linear", 0), ("dense", 1)])
def test_another_stated_number_of_top_features_would_not_agree(
    data: xr.Dataset, monkeypatch: pytest.MonkeyPatch, key: str, claim: int
) -> None:
    monkeypatch.setitem(STATED, key, 6)
    assert judge(data)[claim].findings[0].agrees is False


@pytest.mark.parametrize("size", SIZES)
def test_the_first_pair_pays_where_the_criterion_says_so(size: str) -> None:
    n, m, decay = SIZES[size]
    p, weight = first_pair(size), decay ** np.arange(n)
    for density, pays in ((p * 0.999, True), (p * 1.001, False)):
        assert pair_pays(density, weight[m], density, weight[m - 1]) == pays
        pairing = best_pairing(Problem(n=n, m=m, density=density, importance=weight))
        assert pairing.pairs == (((m - 1, m),) if pays else ())


def test_the_picture_has_a_panel_per_density_and_row(data: xr.Dataset) -> None:
    assert len(draw(data).axes) == 5 * len(DENSITIES) + 1 + 3
