"""Regimes of a training, on courses whose regimes are known."""

import numpy as np

from numerics.training.regimes import coincidence, rests


def test_a_loss_that_falls_evenly_never_rests() -> None:
    assert rests(np.exp(-np.linspace(0, 3, 101))[None]) == []


def test_two_falls_leave_three_rests() -> None:
    steps = np.arange(301)
    height = np.clip((steps - 50) / 20, 0, 1) + np.clip((steps - 200) / 20, 0, 1)
    assert rests(np.exp(-height)[None]) == [(0, 0, 50), (0, 70, 200), (0, 220, 300)]


def test_falls_coincide_with_the_changes_that_make_them() -> None:
    steps = np.arange(200)
    size = 1 / (1 + np.exp(-(steps - 80) / 5)) + 1e-3
    loss = (1.01 - size) ** 2 + 0.1
    together, apart = coincidence(loss[None], np.sqrt(size)[None, :, None, None])
    assert together > 0.9 > apart
    late, _ = coincidence(loss[None], np.sqrt(np.roll(size, 60))[None, :, None, None])
    assert late < 0.5
