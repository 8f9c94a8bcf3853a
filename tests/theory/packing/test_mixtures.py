"""Polytopes, codes and frames in orthogonal subspaces: one knapsack, and losses that add."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose

import theory
from theory.frames.descent import descend_frame
from theory.optimum.polytope import unrepresented_loss
from theory.packing.knapsack import Factor, pack_factors
from theory.packing.mixtures import best_mixture, frames_of_parts


def test_the_choice_is_the_best_of_all_choices() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        factors = [Factor(str(k), int(d), int(v), float(v) * x) for k, (d, v, x) in enumerate(
            zip(rng.integers(1, 4, 4), rng.integers(1, 6, 4), rng.uniform(0.1, 1.1, 4), strict=True))]  # fmt: skip
        n, m = int(rng.integers(4, 10)), int(rng.integers(2, 6))
        chosen = pack_factors(n, m, factors, 1.0)
        saved = sum(count * (factors[int(name)].v - factors[int(name)].loss) for name, count in chosen.items())
        best = max(
            sum(c * (f.v - f.loss) for c, f in zip(counts, factors, strict=True))
            for counts in product(range(m + 1), repeat=4)
            if sum(c * f.d for c, f in zip(counts, factors, strict=True)) <= m
            and sum(c * f.v for c, f in zip(counts, factors, strict=True)) <= n
        )
        assert_allclose(saved, best, atol=1e-7)


@pytest.mark.slow
def test_the_loss_of_a_mixture_is_the_exact_loss_of_its_embedding() -> None:
    """A frame of 20 in 4 beside a pentagon: built, and evaluated as a whole."""
    n, p = 30, 0.05
    frame = descend_frame(20, 4, p, steps=60)
    optimum = theory.optimise_polytope("pentagon", p)
    losses = {"unrepresented": unrepresented_loss(p), "pentagon": optimum.loss}
    mixture = best_mixture(n, 6, p, [frame], losses)
    assert mixture.factors == {"frame 20 in 4": 1, "pentagon": 1, "unrepresented": 5}
    assert mixture.name == "frame 20 in 4 + pentagon + 5 unrepresented"
    W, b = np.zeros((6, n)), np.full(n, p / 2)
    W[:4, :20], b[:20] = frame.W, frame.b
    W[4:, 20:25], b[20:25] = optimum.W, optimum.b
    assert_allclose(mixture.loss, theory.population_loss(W, b, theory.Problem(n=n, m=6, density=p)), rtol=1e-5)
    assert_allclose(mixture.dimensions_per_feature, theory.dimensions_per_feature(W))
    assert_allclose(np.sort(mixture.dimensionality), np.sort(theory.dimensionality(W)), atol=1e-9)


@pytest.mark.slow
def test_a_frame_is_used_only_where_it_costs_less() -> None:
    n, m, p = 40, 4, 0.05
    frames = frames_of_parts(n, m, p)
    losses = {name: theory.optimise_polytope(name, p).loss for name in ("unrepresented", "digon", "pentagon")}
    with_frames, without = (best_mixture(n, m, p, some, losses) for some in (frames, []))
    assert with_frames.loss < without.loss
    assert any("frame" in name for name in with_frames.factors)
    dear = [replace(frame, loss=n * losses["unrepresented"]) for frame in frames]
    assert best_mixture(n, m, p, dear, losses).factors == without.factors


def test_no_frame_is_descended_where_pairs_are_predicted() -> None:
    assert frames_of_parts(40, 4, 0.4, stored=8) == []


def test_the_loss_of_features_left_out_is_needed() -> None:
    with pytest.raises(ValueError, match="'unrepresented'"):
        best_mixture(4, 2, 0.1, losses={"digon": 0.1})
