"""What decides about work before any node is added: the expected error, and how densities that revive are bounded."""

import numpy as np
import pytest

from theory.loss.engine.activation import leaky_relu
from theory.loss.engine.engine import row_errors
from theory.loss.engine.frame import frame
from theory.loss.engine.moments import expected_error, moments
from theory.loss.engine.revivals import revivals
from theory.loss.engine.rows import Features, Rows
from theory.model.values import BINARY, UNIFORM

pytestmark = pytest.mark.usefixtures("at_full_speed")


@pytest.mark.parametrize("slope", [0.0, 0.2])
@pytest.mark.parametrize("bias", [-0.5, 0.1, 2.0])
def test_the_guess_is_exact_where_nothing_but_normal_noise_is_left(slope: float, bias: float) -> None:
    n = 3
    rows = Rows(np.zeros((1, n)), np.array([bias]), np.array([0]), np.array([0.3]))
    features, error = Features(UNIFORM, np.full(n, 1e-9)), leaky_relu(slope)
    guess = expected_error(rows, moments(rows, features), error)
    np.testing.assert_allclose(guess, row_errors(rows, features, error).value, rtol=1e-6)


def test_the_guess_tells_rare_features_whose_outputs_are_loud() -> None:
    """Nodes that E x^2 asks for, a thousandth of the error, made power laws ten times slower."""
    W = np.random.default_rng(0).normal(size=(30, 400))
    W /= np.linalg.norm(W, axis=0)
    some = np.arange(25, 400, 25)
    rows = Rows(W[:, some].T @ W, np.full(len(some), -0.1), some, np.zeros(len(some)))
    features = Features(UNIFORM, np.arange(1.0, 401) ** -1.5)
    m, found = moments(rows, features), row_errors(rows, features, rtol=1e-3)
    guess = expected_error(rows, m, leaky_relu())
    assert (found.value > 100 * m.square_own).any()
    assert (np.abs(np.log2(guess / found.value)) < 2).all()


def test_revivals_are_bounded_by_sums_over_all_frequencies() -> None:
    """Cosines of every coupling at every frequency give what the transform of their histogram does."""
    rng = np.random.default_rng(1)
    rows = Rows(rng.normal(size=(2, 40)), np.full(2, -0.2), np.arange(2), np.full(2, 1e-12))  # nothing is closed
    features, error = Features(BINARY, rng.uniform(0.05, 0.3, size=40)), leaky_relu()
    f = frame(rows, features, moments(rows, features), error, np.zeros((2, 1)))
    half, spread, octaves = np.full(2, 3.0), np.full(2, 1e9), 16 * 2.0 ** np.arange(5)
    found, _ = revivals(f, half, spread, octaves, np.zeros(2))
    for i in range(2):
        step = 2 * np.pi / (8192 * 2 * np.abs(rows.G[i]).max() * (1 + 1e-9) / 8188)
        k = np.arange(1, 4096)
        lost = (f.p[i] * (1 - f.p[i])) @ (1 - np.cos(np.outer(rows.G[i], step * k)))
        own, square = f.p_own[i], f.moments.square_own[i]
        terms = 2 / np.pi / step * (square + 2 * 0.5 / (step * k) * (1 + own)) / k**2 * np.exp(-0.9 * lost)
        for octave, bound in zip(octaves, found[i], strict=True):
            first = max(int(2 * np.pi / half[i] * octave / step), 1)
            expected = terms[first - 1 :].sum()
            assert 0.98 * expected <= bound
            assert bound <= 1.02 * expected + 1e-9 or first >= 64  # sums of higher ones start at every sixteenth


@pytest.mark.parametrize(("lattice", "allowed", "same"), [(0.0, 1e-5, False), (0.1, 1e-5, True), (0.1, 3e-3, False)])
def test_revivals_too_far_to_matter_are_allowed_for(lattice: float, allowed: float, same: bool) -> None:
    """Couplings that are multiples of 0.1 revive at every 2 pi / 0.1: unless accuracy is rough, all are looked for."""
    rng = np.random.default_rng(2)
    G = rng.uniform(-0.9, 0.9, size=(3, 100))
    G = lattice * np.round(G / lattice) if lattice else G
    rows = Rows(G, np.full(3, -0.2), np.arange(3), np.full(3, 1e-12))
    features, error = Features(BINARY, np.full(100, 0.3)), leaky_relu()
    f = frame(rows, features, moments(rows, features), error, np.zeros((3, 1)))
    arguments = f, np.full(3, 3.0), np.full(3, 1.4), 16 * 2.0 ** np.arange(5)
    (all_seen, least), (rough, unseen) = (revivals(*arguments, np.full(3, part)) for part in (0.0, allowed))
    assert ((rough == all_seen).all(), (unseen == least).all()) == (same, same)
    assert (unseen <= 0.08 * allowed).all()
    assert (all_seen <= rough).all()
    assert (rough <= all_seen + unseen[:, None]).all()
