"""Bounds of transforms: true wherever they are looked up, and close."""

import numpy as np
import pytest

from theory.loss.engine.envelope import cells, clipped, decay
from theory.model.values import value_law

# Turns of values of the unit's size take less than a window.
LAWS = ["uniform", "uniform:0,40", "uniform:-0.01,0.01", "exponential", "half-normal", "gamma:0.5", "laplace:0,1"]


@pytest.mark.parametrize("name", LAWS)
def test_no_transform_is_above_its_bound(name: str) -> None:
    """Between the windows that are sampled too, at any place of a cell, whatever the values' unit."""
    law = value_law(name)
    table = decay(law)
    a = 2.0 ** np.random.default_rng(len(name)).uniform(-6, 15, 200_000)
    cell, e = clipped(cells(a)), [law.transform(a, k) for k in range(3)]
    for x, bound in zip(e, (table.modulus, table.first, table.second), strict=True):
        part = np.abs(x) / bound[cell]
        assert part.max() <= 1 + 1e-12
        turning = a * np.sqrt(law.square) > 100
        assert part[turning].max() > 0.99  # as close as samples can be trusted
    assert (e[0].real <= table.real[cell] + 1e-12).all()
