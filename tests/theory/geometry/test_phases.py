"""The idealised candidates: which there are, that they fit, and their losses."""

from itertools import product

import numpy as np
import pytest

from theory import Problem, ideal_candidates, population_loss

SIZES = [(n, m) for n, m in product(range(1, 9), repeat=2) if m <= n]


def test_two_features_in_one_dimension_have_the_three_published_candidates():
    found = {name: candidate.embedding.tolist() for name, candidate in ideal_candidates(2, 1).items()}
    assert found == {"not represented": [[1, 0]], "dedicated": [[0, 1]], "antipodal": [[1, -1]]}


def test_three_features_in_two_dimensions_have_the_four_published_candidates():
    found = {name: candidate.embedding.tolist() for name, candidate in ideal_candidates(3, 2).items()}
    assert found == {
        "not represented": [[1, 0, 0], [0, 1, 0]],
        "dedicated": [[1, 0, 0], [0, 0, 1]],
        "dedicated, others antipodal": [[1, -1, 0], [0, 0, 1]],
        "antipodal": [[1, 0, 0], [0, 1, -1]],
    }


def test_several_antipodal_pairs_are_counted_in_the_name():
    assert list(ideal_candidates(5, 2)) == [
        "not represented",
        "not represented, 2 others antipodal",
        "not represented, others antipodal",
        "dedicated",
        "dedicated, 2 others antipodal",
        "antipodal",
        "antipodal, 2 others antipodal",
    ]


@pytest.mark.parametrize(("n", "m"), SIZES)
def test_every_candidate_fills_its_dimensions_with_one_feature_or_an_opposite_pair(n, m):
    for candidate in ideal_candidates(n, m).values():
        W = candidate.embedding
        assert W.shape == (m, n)
        assert np.linalg.matrix_rank(W) == m
        assert set(np.abs(W).sum(axis=0)) <= {0.0, 1.0}
        for row in W:
            assert sorted(row[row != 0]) in ([1.0], [-1.0, 1.0])


@pytest.mark.parametrize(("n", "m"), SIZES)
def test_the_phase_is_that_of_the_last_feature(n, m):
    for candidate in ideal_candidates(n, m).values():
        gram = candidate.embedding.T @ candidate.embedding
        expected = "not represented"
        if gram[-1, -1] > 0:
            expected = "superposition" if gram[-1, :-1].any() else "dedicated"
        assert candidate.phase == expected


def _kinds_by_brute_force(n, m):
    """Assign features to dimensions in every way; keep what differs for equal others."""
    kinds = set()
    for places in product(range(m + 1), repeat=n):  # m means: not represented
        sizes = [places.count(k) for k in range(m)]
        if all(size in (1, 2) for size in sizes):
            extra = sizes[places[-1]] if places[-1] < m else 0
            kinds.add((extra, sizes.count(2)))
    return kinds


@pytest.mark.parametrize(("n", "m"), [(n, m) for n, m in SIZES if n <= 5])
def test_no_way_is_missing_and_none_is_listed_twice(n, m):
    found = []
    for candidate in ideal_candidates(n, m).values():
        sizes = np.abs(candidate.embedding).sum(axis=1)
        own = np.abs(candidate.embedding[:, -1])
        found.append((int(own @ sizes), int((sizes == 2).sum())))
    assert len(found) == len(set(found))
    assert set(found) == _kinds_by_brute_force(n, m)


@pytest.mark.parametrize("values", ["uniform", "binary"])
def test_the_bias_is_zero_for_stored_features_and_the_mean_for_the_rest(values):
    density = np.array([[0.1, 0.2, 0.3], [1.0, 0.5, 0.4]])
    mean = density / 2 if values == "uniform" else density
    bias = ideal_candidates(3, 2)["not represented"].bias(density, values=values)
    assert np.array_equal(bias, mean * [0, 0, 1])


def test_a_scalar_density_holds_for_every_feature():
    assert np.array_equal(ideal_candidates(2, 1)["dedicated"].bias(0.3), [0.15, 0.0])


@pytest.mark.parametrize("p", [0.01, 0.3, 1.0])
@pytest.mark.parametrize("r", [0.1, 1.0, 7.0])
def test_the_losses_are_the_published_ones(p, r):
    problem = Problem(n=2, m=1, density=p, importance=[1.0, r])
    unstored = p / 3 - p**2 / 4
    expected = {"not represented": r * unstored, "dedicated": unstored, "antipodal": (1 + r) * p**2 / 6}
    for name, candidate in ideal_candidates(2, 1).items():
        loss = population_loss(candidate.embedding, candidate.bias(p), problem)
        assert loss == pytest.approx(expected[name], rel=1e-12)


def test_embeddings_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        ideal_candidates(2, 1)["antipodal"].embedding[0, 0] = 2.0


@pytest.mark.parametrize(
    ("n", "m", "error", "message"),
    [
        (0, 1, ValueError, r"^n must be at least 1, got 0$"),
        (2, 0, ValueError, r"^m must be at least 1, got 0$"),
        (2.0, 1, TypeError, r"^n must be a whole number, got 2\.0$"),
        (2, 3, ValueError, r"^m must not exceed n: 3 dimensions hold 2 features without a choice to make$"),
    ],
)
def test_impossible_sizes_are_refused(n, m, error, message, without_type_checks):
    with pytest.raises(error, match=message):
        ideal_candidates(n, m)


def test_a_bias_for_the_wrong_number_of_features_is_refused():
    message = r"^density must be a scalar or have shape \(2,\), one number per feature, got shape \(3,\)$"
    with pytest.raises(ValueError, match=message):
        ideal_candidates(2, 1)["antipodal"].bias([0.1, 0.2, 0.3])


def test_a_sparsity_of_zero_is_refused_as_density():
    message = r"^density must lie in \(0, 1\], got 0\.0; did you pass the sparsity S = 1 - p\?$"
    with pytest.raises(ValueError, match=message):
        ideal_candidates(2, 1)["antipodal"].bias(0.0)
