"""A sample of activations as a law: its mean, its values, files, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats

from theory import Problem, loss_estimate, sample_law
from theory.model.values import value_law


@given(st.lists(st.floats(-1e3, 1e3).filter(lambda v: abs(v) > 1e-3), min_size=1, max_size=60), st.integers(1, 70))
def test_a_table_has_the_mean_of_the_sample_and_no_more_values_than_groups(sample: list[float], groups: int) -> None:
    try:
        law = sample_law([*sample, 0.0], groups)
    except ValueError as refused:  # all in one group whose mean is 0
        assert "the only value" in str(refused)  # noqa: PT017
        return
    assert len(law.values) <= groups
    assert law.mean == pytest.approx(np.mean(sample), abs=1e-9)
    assert law.moment(2) <= np.mean(np.square(sample)) * (1 + 1e-12)  # Jensen
    if len(set(sample)) <= groups:
        values, counts = np.unique(sample, return_counts=True)
        assert law.values == tuple(values)
        assert_allclose(law.probabilities, counts / len(sample), rtol=1e-14)


@given(st.integers(0, 10**6), st.integers(2, 12))
def test_every_number_is_in_the_group_whose_mean_is_nearest(seed: int, groups: int) -> None:
    sample = np.random.default_rng(seed).lognormal(size=200)
    law = sample_law(sample, groups)
    means = np.array(law.values)
    nearest = np.abs(sample[:, None] - means).argmin(1)
    assert_allclose(np.bincount(nearest, minlength=len(means)) / len(sample), law.probabilities)
    assert_allclose([sample[nearest == k].mean() for k in range(len(means))], means)


@pytest.mark.parametrize(
    "law", [stats.gamma(0.7), stats.norm(), stats.lognorm(1)], ids=["gamma", "normal", "lognormal"]
)
def test_a_sample_keeps_its_second_moment_to_a_hundredth(law: object) -> None:
    sample = law.rvs(100_000, random_state=0)  # type: ignore[attr-defined]
    missing = 1 - sample_law(sample).square / np.mean(sample**2)
    assert 0 < missing < 0.01  # groups of equal size miss a fifth of a lognormal one


def test_more_groups_come_closer_to_the_law_that_was_sampled() -> None:
    sample = np.random.default_rng(0).uniform(size=100_000)
    W, b = np.array([[1.0, -1.0, 0.4]]), np.full(3, -0.1)
    losses = [loss_estimate(W, b, Problem(n=3, m=1, density=0.3, values=sample_law(sample, k))).value for k in (5, 20)]
    exact = loss_estimate(W, b, Problem(n=3, m=1, density=0.3)).value
    coarse, fine = np.abs(np.array(losses) - exact)
    assert fine < 3e-3 * exact
    assert fine < 0.3 * coarse


def test_the_laws_name_says_all_of_it() -> None:
    law = sample_law(np.random.default_rng(1).exponential(size=500))
    assert value_law(law.name) == law


def test_commands_read_samples_off_files(tmp_path: Path) -> None:
    sample = np.array([[0.0, 1.0, 2.0], [2.0, 0.0, 5.0]])
    np.save(tmp_path / "a,b.npy", sample)
    (tmp_path / "rows.csv").write_text("0, 1, 2\n2,0\t5e0\n")
    law = sample_law(sample)
    assert law == value_law("discrete:1@0.25,2@0.5,5@0.25")
    for name in ("a,b.npy", "rows.csv", "rows.csv,20"):
        assert value_law(f"sample:{tmp_path / name}") == law
    assert value_law(f"sample:{tmp_path / 'a,b.npy'},2") == sample_law(sample, 2)
    assert_allclose(sample_law(sample, 2).atoms, [(5 / 3, 3 / 4), (5, 1 / 4)])
    assert value_law(f"signed:sample:{tmp_path / 'rows.csv'}").support == (-5.0, 5.0)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("0 0\n0", "needs numbers other than 0, got 3 without one"),
        ("", "got 0 without one"),
        ("1 nan inf", "must be finite numbers, but 2 are not"),
        ("height\n1\n2", "is neither"),
        (None, "cannot read the sample of values: .*: No such file"),
    ],
)
def test_what_is_no_sample_is_refused(tmp_path: Path, content: str | None, complaint: str) -> None:
    path = tmp_path / "sample.txt"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match=complaint):
        value_law(f"sample:{path}")


def test_other_arrays_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object))
    (tmp_path / "broken.npy").write_bytes(b"\x93NUMPY")
    for name in ("objects.npy", "broken.npy"):
        with pytest.raises(ValueError, match="is neither"):
            value_law(f"sample:{tmp_path / name}")
    with pytest.raises(ValueError, match="must be real numbers, got an array of complex128"):
        sample_law(np.array([1j]))
    for groups in (0, 257):
        with pytest.raises(ValueError, match=f"1 to 256 groups, got {groups}"):
            sample_law([1.0], groups)
    with pytest.raises(ValueError, match="cannot read"):
        value_law(f"sample:{tmp_path}")
