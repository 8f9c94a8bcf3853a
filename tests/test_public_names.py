"""What ``theory`` and ``numerics`` export: it resolves in any order, means one thing, and survives pickling."""

import copy
import inspect
import pickle
import subprocess
import sys
from dataclasses import fields, is_dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from numpy import ndarray

import numerics
import theory

PACKAGES = ("theory", "numerics")
# Names that the design promises to other people's scripts.
PROMISED = {
    "theory": (
        "Problem", "Independent", "Correlated", "Anticorrelated", "population_loss", "population_loss_and_gradient",
        "decompose", "global_optimum", "optimise", "best_tegum_product", "follow", "crossover", "dimensionality",
        "superposition", "recognise",
    ),
    "numerics": ("train",),
}  # fmt: skip

# Every name is looked up as in a fresh interpreter: first itself, then after its module and its folder were imported.
RESOLVE = """
import importlib, sys
package, kept = sys.argv[1], set(sys.modules)
names = [(n, sys.modules[package]) for n in importlib.import_module(package).__all__]
homes = {n: getattr(importlib.import_module(package), n) for n, _ in names}
modules = {n: getattr(thing, "__module__", None) for n, thing in homes.items()}
for name, _ in names:
    for first in (None, modules[name]):
        for module in [m for m in sys.modules if m.split(".")[0] == package]:
            del sys.modules[module]
        if first and first.split(".")[0] == package:
            importlib.import_module(first)
        thing = getattr(importlib.import_module(package), name)
        assert type(thing).__name__ != "module", f"{package}.{name} is a module"
        assert getattr(thing, "__module__", None) == modules[name], f"{package}.{name} changed its home"
print(len(names))
"""


@pytest.mark.parametrize("package", PACKAGES)
def test_promised_names_are_there(package: str) -> None:
    assert set(PROMISED[package]) <= set(import_module(package).__all__)


@pytest.mark.slow
@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_resolves_whatever_was_imported_before(package: str) -> None:
    done = subprocess.run([sys.executable, "-c", RESOLVE, package], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) == len(import_module(package).__all__)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_name_is_that_of_a_file_or_folder(package: str) -> None:
    root = Path(theory.__file__).parents[1]
    taken = {p.stem for name in (*PACKAGES, "figures") for p in (root / name).rglob("*") if p.suffix in {"", ".py"}}
    assert not taken & set(import_module(package).__all__)


def test_the_version_is_that_of_the_distribution() -> None:
    assert theory.__version__ == version("superposition-theory")


def examples() -> dict[str, object]:
    """Objects of the exported classes, as the exported functions make them."""
    problem = theory.Problem(n=2, m=1, density=0.1)
    digon = theory.optimise(problem, "digon")
    branch = theory.follow(problem, digon, "density", stop=0.12)
    best = theory.global_optimum(problem, starts=2)
    return {
        "Problem": theory.Problem(m=1, features=theory.Correlated([[0, 1]], 0.2), importance=[1.0, 2.0]),
        "Independent": theory.Independent([0.1, 0.2]),
        "Anticorrelated": theory.Anticorrelated([[0, 1]], 0.2, "binary"),
        "Optimum": digon,
        "GlobalOptimum": best,
        "Minimum": best.minima[0],
        "Stability": digon.details,
        "PolytopeOptimum": theory.optimise_polytope("pentagon", 0.1),
        "Packing": theory.best_tegum_product(5, 2, 0.1),
        "Pairing": theory.best_pairing(problem),
        "TegumProduct": theory.parse_geometry("pentagon + digon"),
        "Polytope": theory.POLYTOPES["square antiprism"],
        "Candidate": theory.ideal_candidates(2, 1)["antipodal"],
        "Decomposition": theory.decompose([[1.0, -1.0]], [0.0, 0.0], problem),
        "OneSparse": theory.one_sparse_loss([[1.0, -1.0]], [0.0, 0.0], problem),
        "Recognition": theory.recognise([[1.0, -1.0]]),
        "Branch": branch,
        "Boundary": theory.derive_boundaries(2, 1),
        "CandidateLoss": theory.derive_candidates(2, 1),
        "Formula": theory.derive_boundaries(2, 1)[0],
        "Settings": numerics.Settings(steps=5),
        "Parameters": numerics.Parameters(np.ones((1, 2)), np.zeros(2)),
    }


def arrays(thing: object) -> dict[str, ndarray]:
    names = [f.name for f in fields(thing)] if is_dataclass(thing) else []
    return {name: getattr(thing, name) for name in names if isinstance(getattr(thing, name), ndarray)}


def test_results_can_be_pickled_and_copied_and_stay_locked() -> None:
    for name, thing in examples().items():
        for twin in (pickle.loads(pickle.dumps(thing)), copy.copy(thing), copy.deepcopy(thing)):
            assert type(twin) is type(thing), name
            for key, array in arrays(thing).items():
                other = arrays(twin)[key]
                np.testing.assert_array_equal(other, array, err_msg=name)
                assert other.flags.writeable == array.flags.writeable, f"{name}.{key}"


def test_what_a_caller_does_to_a_result_changes_no_later_one() -> None:
    theory.one_sparse_optimum("pentagon").parameters["bias"] = 99
    assert theory.one_sparse_optimum("pentagon").parameters["bias"] < 0
    theory.optimise_polytope("pentagon", 0.1).parameters["bias"] = 99
    assert theory.optimise_polytope("pentagon", 0.1).parameters["bias"] < 0
    theory.derive_candidates(3, 2).clear()
    assert theory.derive_candidates(3, 2)
    for derive in (theory.derive_one_sparse_loss, theory.derive_linear_loss):
        derive(2).interference.clear()
        assert derive(2).interference


ARGUMENTS = {
    "W": [[1.0, -1.0]], "b": [0.0, 0.0], "geometry": "digon", "parameter": "density", "low": 0.1, "high": 0.2,
    "at": 0.15, "solution": None, "first": "digon", "second": "dedicated", "geometries": ["digon"],
    "output": "nowhere", "seeds": [0],
}  # fmt: skip


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize("package", PACKAGES)
def test_a_density_in_place_of_a_problem_is_refused_in_one_sentence(package: str) -> None:
    module, refused = import_module(package), 0
    for name in module.__all__:
        thing = getattr(module, name)
        if not inspect.isfunction(thing) or "problem" not in (parameters := inspect.signature(thing).parameters):
            continue
        needed = {
            key for key, one in parameters.items() if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD
        }
        given = {key: ARGUMENTS[key] for key in needed - {"problem"}}
        with pytest.raises(TypeError, match="problem must be a Problem"):
            thing(problem=0.1, **given)
        refused += 1
    assert refused >= {"theory": 17, "numerics": 7}[package]
