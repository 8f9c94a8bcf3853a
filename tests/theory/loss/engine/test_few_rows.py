"""Rows of few features, whose unlike numbers of nodes are added together, strip by strip."""

from dataclasses import fields

import numpy as np
import pytest

from theory.loss.engine import work
from theory.loss.engine.engine import row_errors
from theory.loss.engine.estimate import RowEstimate
from theory.loss.engine.laws import SetLaw
from theory.loss.engine.nodes import NodeSums
from theory.loss.engine.rows import Features, Rows
from theory.loss.engine.tails import FIRST_NODES, OCTAVES, Tails
from theory.model.set_laws import ALL_OR_NONE
from theory.model.values import UNIFORM

# Sums of the same terms in another order: rounding of some hundred terms that fall like 1/t^2.
_SAME = 1e-13


def _single_model(noise: float = 0.0) -> Rows:
    """Rows of a model of seven features in two dimensions that need unlike numbers of nodes."""
    rng = np.random.default_rng(0)
    W = rng.normal(size=(2, 7))
    W *= rng.uniform(0.7, 1.1, 7) / np.linalg.norm(W, axis=0)
    return Rows(W.T @ W, rng.uniform(-0.4, 0.1, 7), np.arange(7), np.full(7, noise))


def assert_agree(found: RowEstimate, other: RowEstimate) -> None:
    for name in ("value", "dG", "db", "dnoise"):
        np.testing.assert_allclose(getattr(found, name), getattr(other, name), rtol=_SAME, atol=_SAME, err_msg=name)
    np.testing.assert_array_equal(found.nodes, other.nodes)
    np.testing.assert_allclose(found.error, other.error, rtol=1e-6)


def test_rows_with_unlike_numbers_of_nodes_are_added_in_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, original = [], work.node_sums

    def counting(*arguments: object) -> NodeSums:
        calls.append(1)
        return original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(work, "node_sums", counting)
    found = row_errors(_single_model(), Features(UNIFORM, np.full(7, 0.03)))
    assert len(set(found.nodes.tolist())) >= 3
    assert len(calls) <= 2  # a round of nodes, and those that some rows need beside


@pytest.mark.parametrize("noise", [0.0, 0.01])
@pytest.mark.parametrize("sets", [(), (SetLaw((1, 4), 0.3, ALL_OR_NONE),)])
def test_strips_of_any_length_add_up_to_the_same(
    monkeypatch: pytest.MonkeyPatch, sets: tuple[SetLaw, ...], noise: float
) -> None:
    rows, features = _single_model(noise), Features(UNIFORM, np.full(7, 0.2), sets)
    found = row_errors(rows, features)
    for together, strip, block in ((0, 16, 48_000), (0, 16, 500), (10**6, 5, 48_000), (10**6, 100, 900)):
        monkeypatch.setattr(work, "_TOGETHER", together)
        monkeypatch.setattr(work, "_STRIP", strip)
        monkeypatch.setattr(work, "_BLOCK_ELEMENTS", block)
        assert_agree(row_errors(rows, features), found)


def test_a_row_beside_others_is_what_it_is_alone() -> None:
    rows, features = _single_model(), Features(UNIFORM, np.full(7, 0.3))
    together = row_errors(rows, features)
    for i in range(7):
        alone = row_errors(rows.take(np.array([i])), features)
        kept = [getattr(together, part.name) for part in fields(RowEstimate) if part.name != "parts"]
        assert_agree(alone, RowEstimate(*(array[i : i + 1] for array in kept), parts=alone.parts))


def test_bounds_beyond_many_numbers_are_those_beyond_each() -> None:
    rng = np.random.default_rng(0)
    kinds = {part.name: rng.uniform(size=(4, OCTAVES)) for part in fields(Tails) if part.name != "unseen"}
    bound = Tails(**kinds, unseen=np.zeros(4))
    left = {"value": 1 / 3, "curved": 1 / 3, "gradient": 1 - np.log2(1.5), "noise": 1.0}  # of an octave, halfway on
    for kind, bounds in kinds.items():
        starts = FIRST_NODES * 2 ** np.arange(OCTAVES)
        expected = np.array([bounds[:, octave:].sum(1) for octave in range(OCTAVES)])
        np.testing.assert_allclose(bound.beyond(starts[:, None], kind), expected)
        np.testing.assert_allclose(bound.beyond(24, kind), left[kind] * bounds[:, 0] + bounds[:, 1:].sum(1))
        np.testing.assert_allclose(bound.beyond(8, kind), 2 * bounds[:, 0] + bounds[:, 1:].sum(1))
        some = np.array([3, 0])
        np.testing.assert_allclose(bound.beyond(starts[[2, 5]], kind, some), expected[[2, 5], some])
