"""Seeds: what SciPy takes is taken everywhere, and the number that results keep repeats them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import numerics
import theory
from theory.tools.seeds import generator, seed_number
from theory.tools.storage import load_result, save_result

PAIR = theory.Problem(n=2, m=1, density=0.1)


def test_numbers_stand_for_themselves_and_so_do_their_sequences() -> None:
    assert [seed_number(k) for k in (0, 7, 2**70, np.int64(5))] == [0, 7, 2**70, 5]
    assert seed_number(np.random.SeedSequence(7)) == 7
    assert generator(7).random() == np.random.default_rng(np.random.SeedSequence(7)).random()


@pytest.mark.parametrize("kind", [np.random.default_rng, np.random.PCG64, np.random.MT19937, np.random.RandomState])
def test_generators_give_a_number_and_move_on(kind: Any) -> None:
    one, two = kind(3), kind(3)
    first, second = seed_number(one), seed_number(one)
    assert first != second
    assert [first, second] == [seed_number(two), seed_number(two)]
    assert 0 <= min(first, second) <= max(first, second) < 2**31


def test_sequences_and_children_have_numbers_of_their_own() -> None:
    children = np.random.SeedSequence(3).spawn(3)
    several = [*map(seed_number, children), seed_number([3, 1]), seed_number(np.random.SeedSequence([3, 1])), 3]
    assert len(set(several)) >= 5
    assert seed_number(np.random.SeedSequence(3).spawn(1)[0]) == several[0]
    assert len({seed_number(None) for _ in range(5)}) == 5


@pytest.mark.parametrize(
    ("wrong", "error"),
    [(-1, ValueError), ([-1, 2], ValueError), (1.5, TypeError), ("3", TypeError), (True, TypeError)],
)
def test_what_numpy_does_not_take_is_refused_in_one_line(wrong: Any, error: type[Exception]) -> None:
    for take in (seed_number, generator):
        with pytest.raises(error, match=r"seed must be (at least 0|None, a whole number >= 0, or)") as refusal:
            take(wrong)
        assert "\n" not in str(refusal.value)


ENTRIES: dict[str, Any] = {
    "train": lambda seed: numerics.train(PAIR, instances=2, steps=3, seed=seed),
    "train_exactly": lambda seed: numerics.train_exactly(PAIR, instances=2, steps=3, seed=seed),
    "report": lambda seed: theory.report([[1.0, -1.0]], [0.0, 0.0], PAIR, seed=seed).data,
    "judge": lambda seed: numerics.judge(PAIR, [[1.0, -1.0]], [0.0, 0.0], seed),
    "exact_phase_diagram": lambda seed: theory.exact_phase_diagram(2, 1, resolution=2, seed=seed),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ENTRIES)
def test_results_keep_the_number_that_repeats_them(name: str) -> None:
    first = ENTRIES[name](np.random.default_rng(5))
    kept = int(first.attrs["seed"])
    assert kept == seed_number(np.random.default_rng(5))
    assert ENTRIES[name](kept).identical(first)


def test_an_optimum_keeps_the_number_that_repeats_it() -> None:
    best = theory.global_optimum(PAIR, None, starts=2)
    assert theory.global_optimum(PAIR, best.seed, starts=2).loss == best.loss
    assert theory.global_optimum(PAIR, np.random.SeedSequence(4), starts=2).seed == 4


def test_training_again_with_a_generator_is_another_training() -> None:
    rng = np.random.default_rng(0)
    first, second = (numerics.train(PAIR, instances=1, steps=1, seed=rng) for _ in range(2))
    assert first.attrs["seed"] != second.attrs["seed"]
    assert (first["W"].values != second["W"].values).any()


def test_samples_and_estimates_take_every_kind(tmp_path: Path) -> None:
    for draw in (numerics.sample, numerics.sample_sparse):
        first = draw(PAIR.features, 50, 3)
        for same in (np.random.default_rng(3), np.random.PCG64(3), np.random.SeedSequence(3)):
            assert_array_equal(draw(PAIR.features, 50, same), first)
    parameters = np.array([[1.0, -1.0]]), np.zeros(2)
    assert numerics.stratified_loss(*parameters, PAIR, seed=np.random.default_rng(3)) == numerics.stratified_loss(
        *parameters, PAIR, seed=3
    )
    swept = numerics.run_sweep(PAIR, tmp_path / "s.nc", seeds=[np.random.SeedSequence(3)], instances=1, steps=1)
    assert set(swept["seed"].values.tolist()) == {3}


def test_a_large_number_is_stored(tmp_path: Path) -> None:
    data = theory.report([[1.0, -1.0]], [0.0, 0.0], PAIR, seed=2**40).data
    save_result(data, tmp_path / "d.nc")
    assert int(load_result(tmp_path / "d.nc").attrs["seed"]) == 2**40
