"""Metrics on W against values known in closed form, and the identities they obey."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy import ndarray
from numpy.testing import assert_allclose

import theory
from theory.frames.bounds import frame_potential_bound

ROUNDING = 1e-12


@st.composite
def embeddings(draw: st.DrawFn) -> ndarray:
    """Random W with up to 6 dimensions and 10 features, some of them zero: all cases, yet quick."""
    m, n = draw(st.integers(1, 6)), draw(st.integers(1, 10))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    W = rng.normal(size=(m, n))
    W[:, rng.random(n) < draw(st.sampled_from([0.0, 0.3]))] = 0.0
    return W


def random_rotation(m: int, seed: int) -> ndarray:
    Q, R = np.linalg.qr(np.random.default_rng(seed).normal(size=(m, m)))
    return Q * np.sign(np.diag(R))


def polygon(k: int) -> ndarray:
    angle = 2 * np.pi * np.arange(k) / k
    return np.stack([np.cos(angle), np.sin(angle)])


def simplex(d: int) -> ndarray:
    """The basis of d + 1 dimensions, projected off its mean: d + 1 directions with cosine -1/d."""
    centred = np.eye(d + 1) - 1 / (d + 1)
    basis = np.linalg.svd(centred)[0][:, :d]
    W = basis.T @ centred
    return W / np.linalg.norm(W, axis=0)


PER_FEATURE = [theory.feature_norms, theory.superposition, theory.dimensionality]
PER_MATRIX = [theory.dimensions_per_feature, theory.coherence, theory.frame_potential]


@given(embeddings(), st.integers(0, 2**32 - 1))
def test_rotating_hidden_space_changes_nothing(W: ndarray, seed: int) -> None:
    rotated = random_rotation(len(W), seed) @ W
    for metric in (*PER_FEATURE, *PER_MATRIX):
        assert_allclose(metric(rotated), metric(W), rtol=1e-9, atol=ROUNDING)


@given(embeddings(), st.integers(0, 2**32 - 1))
def test_permuting_features_permutes_the_metrics(W: ndarray, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(W.shape[1])
    for metric in PER_FEATURE:
        assert_allclose(metric(W[:, order]), metric(W)[order], rtol=1e-9, atol=ROUNDING)
    for metric in PER_MATRIX:
        assert_allclose(metric(W[:, order]), metric(W), rtol=1e-9, atol=ROUNDING)


@given(embeddings(), st.floats(1e-3, 1e3))
def test_dimensionality_does_not_depend_on_scale(W: ndarray, scale: float) -> None:
    assert_allclose(theory.dimensionality(scale * W), theory.dimensionality(W), rtol=1e-9, atol=ROUNDING)


@given(embeddings())
def test_dimensionality_lies_in_the_unit_interval_and_sums_to_at_most_the_rank(W: ndarray) -> None:
    D = theory.dimensionality(W)
    assert (D >= 0).all()
    assert (D <= 1 + ROUNDING).all()
    assert D.sum() <= np.linalg.matrix_rank(W) + 1e-9


@given(st.integers(1, 6), st.integers(0, 6), st.integers(0, 2**32 - 1))
def test_dimensionality_of_a_tight_frame_sums_to_its_rank(d: int, more: int, seed: int) -> None:
    W = random_rotation(d + more, seed)[:d]  # rows orthonormal: W W^T = 1, so a tight frame of any norms
    assert_allclose(theory.dimensionality(W).sum(), d, rtol=1e-9)


@given(embeddings())
def test_coherence_and_frame_potential_keep_their_bounds(W: ndarray) -> None:
    m, n = W.shape[0], int((theory.feature_norms(W) > 0).sum())
    if n:
        assert theory.coherence(W) >= theory.welch_bound(n, m) - ROUNDING
        assert theory.frame_potential(W) >= frame_potential_bound(n, m) - 1e-9


@pytest.mark.parametrize("k", range(3, 13))
def test_regular_polygons_share_two_dimensions_equally(k: int) -> None:
    W = polygon(k)
    assert_allclose(theory.dimensionality(W), 2 / k, rtol=ROUNDING)
    assert_allclose(theory.superposition(W), k / 2 - 1, rtol=ROUNDING)
    assert_allclose(theory.dimensions_per_feature(3 * W), 2 / k / 9, rtol=ROUNDING)
    assert_allclose(theory.frame_potential(W), frame_potential_bound(k, 2), rtol=ROUNDING)
    nearest = np.cos(np.pi / k) if k % 2 else max(np.cos(2 * np.pi / k), 1.0)  # antipodes if k is even
    assert_allclose(theory.coherence(W), nearest, rtol=ROUNDING)


@pytest.mark.parametrize("d", range(1, 8))
def test_simplices_attain_the_welch_bound(d: int) -> None:
    W = simplex(d)
    assert_allclose(theory.coherence(W), theory.welch_bound(d + 1, d), rtol=ROUNDING)
    assert_allclose(theory.welch_bound(d + 1, d), 1 / d, rtol=ROUNDING)
    assert_allclose(theory.dimensionality(W), d / (d + 1), rtol=ROUNDING)


def test_a_zero_column_has_no_dimension_and_no_superposition() -> None:
    W = np.array([[1.0, 0.0, -0.5]])
    assert_allclose(theory.dimensionality(W), [1 / 1.25, 0, 0.25 / 1.25])
    assert_allclose(theory.superposition(W), [0.25, 0, 1])
    assert theory.dimensions_per_feature(np.zeros((2, 3))) == np.inf
    assert theory.coherence(np.zeros((2, 3))) == 0


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_dimensionality_neither_underflows_nor_overflows(scale: float) -> None:
    assert_allclose(theory.dimensionality(scale * polygon(5)), 0.4, rtol=ROUNDING)


def test_leading_axes_are_a_batch() -> None:
    W = np.random.default_rng(0).normal(size=(3, 4, 2, 5))
    for metric in PER_FEATURE:
        assert metric(W).shape == (3, 4, 5)
        assert_allclose(metric(W)[1, 2], metric(W[1, 2]), rtol=ROUNDING)
    for metric in PER_MATRIX:
        assert np.shape(metric(W)) == (3, 4)
        assert_allclose(metric(W)[1, 2], metric(W[1, 2]), rtol=ROUNDING)


def test_bad_input_is_refused_in_one_line() -> None:
    with pytest.raises(ValueError, match=r"W must have shape \(m, n\) or \(\*batch, m, n\), got shape \(3,\)"):
        theory.dimensionality([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="W must be finite, got NaN or infinity; did the training diverge"):
        theory.coherence([[1.0, np.nan]])
    with pytest.raises(TypeError, match="W must be an array of numbers"):
        theory.feature_norms("pentagon")
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        theory.welch_bound(0, 2)
    with pytest.raises(TypeError, match="n must be a whole number, got True"):
        frame_potential_bound(True, 2)
