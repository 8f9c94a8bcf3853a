"""Laws of values and sets beside terms of the problem: loss against samples, gradient against differences."""

import math

import numpy as np
import pytest

from numerics import sample
from tests.laws.measure import SETS, VALUES, model, pair_problem
from theory import Problem, Terms
from theory.loss.objective import Objective

TERMS = {
    "untied": Terms(decoder="untied"),
    "given bias, unit norms": Terms(bias=-0.1, unit_norms=True),
    "noise": Terms(noise=0.2),
    "decay, L1": Terms(decay=0.1, l1=0.1),
    "untied, noise, decay, L1": Terms(decoder="untied", noise=0.2, decay=0.1, l1=0.1),
}
# Every law of values with two partly correlated pairs, every law of sets with exponential values.
# (SciPy's distributions, whose transforms are integrated number by number, take minutes.)
PAIRS = [
    *((values, SETS[3]) for values in VALUES if ":weibull" not in values),
    *(("exponential", sets) for sets in SETS if sets != SETS[3]),
]
_CHUNK, _CHUNKS = 100_000, 40


def measured(values: str, sets: str, terms: Terms) -> tuple[float, float]:
    """Distance of the loss from samples, and of its slope from differences, in units of what is allowed."""
    laws = pair_problem(values, sets)
    task = Problem(m=laws.m, features=laws.features, importance=laws.importance, terms=terms)
    W, b = model(task)
    rng = np.random.default_rng(3)
    objective = Objective(task, 1e-10, exact=True)
    x = objective.join(W, b, 0.5 * rng.normal(size=(task.n, task.m)))
    loss, slope = objective(x[None])
    W, b, V = objective.split(x)
    V = W.T if V is None else V
    first = second = count = 0.0
    for _ in range(_CHUNKS):
        u = sample(task.features, _CHUNK, rng)
        h = u @ W.T
        y = np.maximum((h + terms.noise * rng.standard_normal(h.shape)) @ V.T + b, 0)
        each = (u - y) ** 2 @ task.importance + terms.l1 * np.abs(h).sum(1)
        first, second, count = first + each.sum(), second + (each**2).sum(), count + _CHUNK
        mean = first / count
        error = math.sqrt((second / count - mean**2) / count)
        if 4 * error < 0.01 * mean:
            break
    assert 4 * error < 0.01 * mean
    penalty = terms.decay / 2 * ((W**2).sum() + (0 if terms.tied else (V**2).sum()))
    v, step = rng.normal(size=objective.size), 1e-5
    up, down = objective(np.stack([x + step * v, x - step * v]))[0]
    along = slope[0] @ v
    return abs(loss[0] - mean - penalty) / (4 * error), abs((up - down) / (2 * step) - along) / (1e-5 * loss[0])


@pytest.mark.slow
@pytest.mark.parametrize("name", TERMS)
@pytest.mark.parametrize(("values", "sets"), PAIRS)
def test_terms_go_with_every_law(values: str, sets: str, name: str) -> None:
    assert max(measured(values, sets, TERMS[name])) < 1


@pytest.mark.parametrize("name", TERMS)
def test_terms_go_with_correlated_exponential_values(name: str) -> None:
    assert max(measured("exponential", SETS[3], TERMS[name])) < 1
