"""Bounds of transforms: true wherever they are looked up, and close."""

import numpy as np
import pytest
import scipy.stats

from theory.loss.engine.envelope import cells, clipped, decay
from theory.model.histogram_values import Histogram
from theory.model.values import value_law

_SAMPLE = np.random.default_rng(1).gamma(2, size=4000)
LAWS = {
    name: name
    for name in (
        "uniform",
        "uniform:0,40",
        "uniform:-0.01,0.01",
        "exponential",
        "half-normal",
        "gamma:0.5",
        "laplace:0,1",
    )
} | {
    # waves that beat, the slower the thinner their bins, or the less their deviation is beside their mean
    "triangle": scipy.stats.triang(0.3),
    "trapezoid": scipy.stats.trapezoid(0.1, 0.15),
    "thin and thick bins": Histogram((0.0, 0.01, 0.3, 0.305, 1.0), (0.1, 0.2, 0.3, 0.4)),
    "fifty bins": scipy.stats.rv_histogram(np.histogram(_SAMPLE, 50)),
    "far from 0": "uniform:5,6",
    "two strips": "signed:uniform:1,1.1",
}


@pytest.mark.parametrize("name", LAWS)
def test_no_transform_is_above_its_bound(name: str) -> None:
    """At any place of a cell, whatever the values' unit."""
    law = value_law(LAWS[name])
    table = decay(law)
    a = 2.0 ** np.random.default_rng(len(name)).uniform(-6, 15, 200_000)
    cell, e = clipped(cells(a)), [law.transform(a, k) for k in range(3)]
    for x, bound in zip(e, (table.modulus, table.first, table.second), strict=True):
        part = np.abs(x) / bound[cell]
        assert part.max() <= 1 + 1e-12
        turning = a * np.sqrt(law.square) > 100
        assert part[turning].max() > 0.98  # as close as samples can be trusted
    assert (e[0].real <= table.real[cell] + 1e-12).all()


def test_atoms_never_decay() -> None:
    table = decay(value_law("discrete:-1@0.25,2@0.75"))
    assert (table.modulus == 1).all()
    assert (table.real == 1).all()
    assert (table.first == 0.25 + 1.5).all()
    assert (table.second == 0.25 + 3.0).all()
