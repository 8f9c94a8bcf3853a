"""Reference problems, and for each the best (W, b) that a search twenty times as long as usual has found.

``python -m tests.witnesses`` makes the file ``witnesses.jsonl`` beside this module: one problem a line, with what
defines it and its witness. It goes on where it stopped before. Tests evaluate every witness again, and search again for
some: a search that ends above a witness has missed the optimum.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import theory
from theory import Problem
from theory.search.global_search import searched

FILE = Path(__file__).parent / "witnesses.jsonl"
PROBLEMS, SEED, LONGER = 300, 2024, 20
# How often a number of features occurs among ten problems: larger ones take a hundred times as long.
_SIZES = (3, 4, 4, 5, 5, 6, 6, 6, 7, 8)
_DIGITS = 13
# Rounds of the long search at most.
_ROUNDS = 400


def definition(number: int, seed: int = SEED) -> dict[str, Any]:
    """What defines a reference problem: sizes, features, importances."""
    rng = np.random.default_rng([seed, number])
    n = _SIZES[number % 10]
    m = int(rng.integers(1 if n < 6 else 2, min(n - 1, 5) + 1))
    kind = ("equal", "decaying", "random")[number // 10 % 3]
    ratio = rng.uniform(0.5, 0.95)
    importance = {"equal": np.ones(n), "decaying": ratio ** np.arange(n), "random": rng.uniform(0.1, 1.0, n)}[kind]
    shares = [0.5, 0.25, 0.25] if n <= 5 else [0.9, 0.05, 0.05]  # sets take ten times as long
    law = rng.choice(["independent", "correlated", "anticorrelated"], p=shares)
    density = np.exp(rng.uniform(np.log(0.003), np.log(0.6)))
    order = rng.permutation(n)
    cuts = np.arange(2, n, 2) if rng.random() < 0.7 else np.arange(3, n, 3)
    sets = (
        [[int(j)] for j in range(n)] if law == "independent" else [sorted(map(int, s)) for s in np.split(order, cuts)]
    )
    spread = np.exp(rng.uniform(-1, 1, len(sets))) if rng.random() < 0.5 else np.ones(len(sets))
    return {
        "number": number,
        "n": n,
        "m": m,
        "law": str(law),
        "sets": sets,
        "density": np.minimum(density * spread, 1.0).tolist(),
        "importances": kind,
        "importance": importance.tolist(),
    }


def problem_of(entry: dict[str, Any]) -> Problem:
    """The problem that an entry defines."""
    laws = {"correlated": theory.Correlated, "anticorrelated": theory.Anticorrelated}
    if entry["law"] == "independent":
        return Problem(m=entry["m"], density=entry["density"], importance=entry["importance"])
    features = laws[entry["law"]](entry["sets"], entry["density"])
    return Problem(m=entry["m"], features=features, importance=entry["importance"])


def witnesses(path: Path = FILE) -> list[dict[str, Any]]:
    """All entries of a file, in the order of their numbers."""
    if not path.exists():
        return []
    return sorted((json.loads(line) for line in path.read_text().splitlines()), key=lambda entry: entry["number"])


def made(number: int, longer: int, seed: int = SEED) -> dict[str, Any]:
    """An entry with its witness."""
    entry = definition(number, seed)
    problem = problem_of(entry)
    usual = theory.global_optimum(problem, seed=1)
    assert usual.record is not None
    long = searched(problem, 2, _ROUNDS, longer * usual.record.total)
    assert long.record is not None
    best = min(usual, long, key=lambda found: found.loss)
    return entry | {
        "W": np.round(best.W, _DIGITS).tolist(),
        "b": np.round(best.b, _DIGITS).tolist(),
        "loss": best.loss,
        "usual_loss": usual.loss,
        "usual_status": usual.status,
        "starts": long.record.total,
        "hits": sum(long.record.hits.values()),
    }


def _missing(path: Path, count: int) -> Iterator[int]:
    done = {entry["number"] for entry in witnesses(path)}
    missing = (number for number in range(count) if number not in done)
    yield from sorted(missing, key=lambda number: (_SIZES[number % 10] > 6, number))  # the quick ones first


def main() -> None:
    """Make the witnesses that are missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=FILE, help="file to add to (default: %(default)s)")
    parser.add_argument("--problems", type=int, default=PROBLEMS, help="number of problems (default: %(default)s)")
    parser.add_argument("--longer", type=int, default=LONGER, help="starts, in units of a usual search's (%(default)s)")
    parser.add_argument("--seed", type=int, default=SEED, help="seed of the problems (default: %(default)s)")
    arguments = parser.parse_args()
    for number in tqdm(list(_missing(arguments.output, arguments.problems))):
        entry = made(number, arguments.longer, arguments.seed)
        with arguments.output.open("a") as file:
            file.write(json.dumps(entry) + "\n")


if __name__ == "__main__":
    main()
