"""No term of a problem is ignored: every public function that takes a problem honours it or refuses it."""

import inspect
from dataclasses import fields

import numpy as np
import pytest

import numerics
import theory
from theory import Problem, Terms

N, M = 2, 1
GIVEN = {
    "decoder": "untied",
    "bias": 0.1,
    "unit_norms": True,
    "noise": 0.3,
    "decay": 0.1,
    "l1": 0.1,
}
W = np.array([[0.8, -1.1]])
NORMED = np.array([[1.0, -1.0]])
W_OUT = np.array([[0.9], [-0.6]])
QUICK = {"instances": 1, "steps": 5, "progress": False}
EVERY = set(GIVEN)


def digon():
    """A solution to follow, of the problem without terms."""
    return theory.optimise(Problem(n=N, m=M, density=0.3), "digon")


def point(problem):
    """Parameters on which the problem's constraints hold, and a decoder if there is one."""
    terms = problem.terms
    given = terms.bias_of(N)
    b = np.array([0.05, -0.02]) if given is None else given
    decoder = {} if terms.tied else {"W_out": W_OUT}
    return NORMED if terms.unit_norms else W, b, decoder


def at(function, *more, **settings):
    """Call a function of W, b and a problem."""

    def call(problem):
        V, b, decoder = point(problem)
        known = decoder if "W_out" in inspect.signature(function).parameters else {}
        return function(V, b, problem, *more, **known, **settings)

    return call


def judged(problem):
    V, b, decoder = point(problem)
    return numerics.judge(problem, V, b, **decoder)


def best_biases(problem):
    V, _, decoder = point(problem)
    return theory.best_bias(V, problem, **decoder)


# Terms that change nothing in a result, as no part of it depends on them.
INDIFFERENT = {"best_bias": {"decay", "l1"}}
# Every function, what it honours, how it is called, and a number that a term changes.
FUNCTIONS = {
    "population_loss": (EVERY, at(theory.population_loss), float),
    "population_loss_and_gradient": (EVERY, at(theory.population_loss_and_gradient), lambda found: found[0]),
    "loss_estimate": (EVERY, at(theory.loss_estimate), lambda found: found.value),
    "hessian": (EVERY, at(theory.hessian), lambda found: np.abs(found).sum()),
    "stability_of": (EVERY - {"l1"}, at(theory.stability_of), lambda found: np.abs(found.spectrum).sum()),
    "best_bias": (EVERY, best_biases, lambda found: np.abs(found).sum()),
    "report": (EVERY, at(theory.report), lambda found: found.data["loss"].values.sum()),
    "decompose": (set(), at(theory.decompose), None),
    "one_sparse_loss": (set(), at(theory.one_sparse_loss), None),
    "optimise": (EVERY - {"l1"}, lambda problem: theory.optimise(problem, "digon"), lambda found: found.loss),
    "global_optimum": (EVERY, lambda problem: theory.global_optimum(problem, starts=0), lambda found: found.loss),
    "best_pairing": (set(), theory.best_pairing, None),
    "follow": (set(), lambda problem: theory.follow(problem, digon(), "density", stop=0.2), None),
    "follow_both_ways": (
        set(),
        lambda problem: theory.follow_both_ways(problem, digon(), "density", 0.05, 0.4, 0.3),
        None,
    ),
    "branches_of": (set(), lambda problem: theory.branches_of(problem, "digon", "density", 0.05, 0.2), None),
    "curves": (set(), lambda problem: theory.curves(problem, ["digon"], "density", [0.05, 0.1]), None),
    "crossover_between": (
        set(),
        lambda problem: theory.crossover_between(problem, "digon", "monogon", "density", 0.05, 0.2),
        None,
    ),
    "train": (EVERY, lambda problem: numerics.train(problem, **QUICK), lambda found: found["loss"].item()),
    "train_exactly": (
        EVERY,
        lambda problem: numerics.train_exactly(problem, **QUICK),
        lambda found: found["loss"].item(),
    ),
    "train_and_judge": (
        EVERY,
        lambda problem: numerics.train_and_judge(problem, **QUICK),
        lambda found: found["exact_loss"].item(),
    ),
    "compare_losses": (
        EVERY,
        lambda problem: numerics.compare_losses(problem, **QUICK),
        lambda found: found[0]["exact_loss"].item() + found[1]["exact_loss"].item(),
    ),
    "judge": (EVERY, judged, lambda found: found["exact_loss"].item()),
    "stratified_loss": (set(), at(numerics.stratified_loss), None),
    "run_sweep": (EVERY, None, None),
}


CALLED = set(FUNCTIONS) - {"run_sweep"}
# Those that search for the global optimum take seconds.
SEARCH, MARKS = {"global_optimum", "report", "judge", "train_and_judge", "compare_losses"}, ((), (pytest.mark.slow,))


def takes_a_problem(package):
    """Public functions with an argument called problem."""
    names = [name for name in package.__all__ if inspect.isfunction(getattr(package, name))]
    return {name for name in names if "problem" in inspect.signature(getattr(package, name)).parameters}


def test_every_public_function_with_a_problem_is_in_the_table():
    assert takes_a_problem(theory) | takes_a_problem(numerics) == set(FUNCTIONS)


def test_every_term_is_tried():
    assert {f.name for f in fields(Terms)} == EVERY


def problem_with(*names):
    terms = Terms(**{name: GIVEN[name] for name in names})
    return Problem(n=N, m=M, density=0.3, importance=[1.0, 0.7], terms=terms)


@pytest.mark.parametrize("term", sorted(GIVEN))
@pytest.mark.parametrize("name", [pytest.param(name, marks=MARKS[name in SEARCH]) for name in sorted(CALLED)])
def test_a_term_is_honoured_or_refused(name, term):
    honoured, call, number = FUNCTIONS[name]
    # a decoder alone changes nothing where it starts from the transpose: beside decay it does
    others = ("decay",) if term == "decoder" and "decay" in honoured else ()
    problem = problem_with(term, *others)
    if term not in honoured:
        with pytest.raises(ValueError, match=term) as refusal:
            call(problem)
        assert "\n" not in str(refusal.value)
        return
    with_it, without = number(call(problem)), number(call(problem_with(*others)))
    assert np.isfinite(with_it)
    if term in INDIFFERENT.get(name, ()):
        assert with_it == without
        return
    assert abs(with_it - without) > 1e-6 * abs(without)


def test_a_sweep_keeps_terms_apart(tmp_path):
    """Pieces that were made without a term are not taken for those with it."""
    settings = {"instances": 1, "steps": 5, "progress": False, "overwrite": True}
    grid = Problem(n=2, m=1, density=np.array([[0.1, 0.1], [0.2, 0.2]]))
    losses = [
        numerics.run_sweep(grid.with_terms(**terms), tmp_path / "sweep.nc", **settings)["loss"].values
        for terms in ({}, {"noise": 0.3}, {"decay": 0.1}, {"bias": 0.1}, {"unit_norms": True}, {"l1": 0.1})
    ]
    assert len({tuple(loss) for loss in losses}) == len(losses)
    untied = numerics.run_sweep(grid.with_terms(decoder="untied"), tmp_path / "sweep.nc", **settings)
    assert untied["W_out"].shape == (2, 2, 1)


@pytest.mark.parametrize(
    "term", [pytest.param(term, marks=MARKS[term in ("l1", "noise")]) for term in sorted(GIVEN)]
)  # these two take a minute
def test_phase_diagrams_know_terms_or_refuse_them(term):
    from theory.model.variant import Variant

    variant = Variant(terms=Terms(**{term: GIVEN[term] / 10 if term in ("noise", "decay", "l1") else GIVEN[term]}))
    arguments = {"n": 2, "m": 1, "resolution": 2, "density": (0.1, 0.2)}
    if term in ("decoder", "unit_norms"):
        with pytest.raises(ValueError, match=term):
            theory.exact_phase_diagram(**arguments, variant=variant)
        return
    plain, found = (theory.exact_phase_diagram(**arguments, **more) for more in ({}, {"variant": variant}))
    assert (found["loss"].values > plain["loss"].values * (1 + 1e-6)).all()
    assert (found["ideal_loss"].values >= found["loss"].values * (1 - 1e-9)).all()
