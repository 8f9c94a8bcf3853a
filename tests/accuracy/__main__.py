"""``python -m tests.accuracy``: measure error / stated error of the population loss over adversarial problems."""

import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from theory.tools.arguments import count, non_negative_count, writable_directory
from theory.tools.command import Parser, progress, run_command

from .estimators import load
from .measure import Record, measure, measure_rows
from .problems import make_case
from .summary import as_markdown, summaries

# Problems per file: what an interruption loses.
CHUNK = 25
DEFAULT = "tests.accuracy.estimators:certified"
KINDS = {"models": measure, "outputs": measure_rows, "noisy outputs": partial(measure_rows, noisy=True)}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = Parser(__doc__ or "", prog="python -m tests.accuracy")
    parser.add_argument("--count", type=count, default=2000, help="number of problems")
    parser.add_argument("--output", type=writable_directory, default=Path("accuracy"), help="folder for the results")
    parser.add_argument("--workers", type=count, default=1, help="number of processes")
    parser.add_argument("--estimator", default=DEFAULT, help="what to measure, module:function")
    parser.add_argument("--kind", choices=KINDS, default="models", help="models by W and b, or outputs by couplings")
    parser.add_argument("--check", action="store_true", help="exit with code 1 if a statement was wrong")
    parser.add_argument("--only", type=non_negative_count, metavar="NUMBER", help="show one problem, write nothing")
    arguments = parser.parse_args(argv)
    estimate = load(arguments.estimator)
    if arguments.only is not None:
        show(arguments.only, arguments.estimator, arguments.kind)
        return
    folder: Path = arguments.output
    folder.mkdir(parents=True, exist_ok=True)
    _claim(folder, arguments.estimator, arguments.kind)
    starts = range(0, arguments.count, CHUNK)
    jobs = (
        delayed(run_chunk)(folder, start, min(start + CHUNK, arguments.count), arguments.estimator, arguments.kind)
        for start in starts
    )
    done = Parallel(n_jobs=arguments.workers, return_as="generator_unordered")(jobs)
    records = [r for chunk in progress(done, len(starts), "problems, by 25") for r in chunk]
    found = summaries(sorted(records, key=lambda r: r.number))
    page = as_markdown(found, f"{estimate.__module__}.{estimate.__name__}, {arguments.count} problems")
    _write(folder / "accuracy.md", page)
    _write(folder / "accuracy.json", json.dumps([_strict(asdict(s)) for s in found], indent=1, allow_nan=False) + "\n")
    print(page)
    wrong = sum(s.wrong_values + s.wrong_gradients + s.crashed for s in found if s.stratum == "all")
    if arguments.check and wrong:
        raise SystemExit(1)


def run_chunk(folder: Path, start: int, stop: int, estimator: str, kind: str) -> list[Record]:
    """Measure the problems start ... stop - 1 that the folder does not hold yet; return all of them."""
    path = folder / f"problems-{start:06d}.jsonl"
    known = _read(path) if path.exists() else []
    todo = sorted(set(range(start, stop)) - {r.number for r in known})
    if todo:
        estimate, compared = load(estimator), KINDS[kind]
        with threadpool_limits(1):
            known += [compared(make_case(number), estimate) for number in todo]
        _write(path, "".join(json.dumps(asdict(r)) + "\n" for r in known))
    return [r for r in known if r.number < stop]


def _strict(numbers: dict) -> dict:
    """Write infinity as a word: JSON has no number for it."""
    return {name: "inf" if value == math.inf else value for name, value in numbers.items()}


def _read(path: Path) -> list[Record]:
    return [Record(**json.loads(line)) for line in path.read_text().splitlines()]


def _write(path: Path, text: str) -> None:
    """Write a file all at once: whoever is interrupted leaves the old one, or none."""
    unfinished = path.with_suffix(f".{os.getpid()}.part")
    unfinished.write_text(text)
    unfinished.replace(path)


def _claim(folder: Path, estimator: str, kind: str) -> None:
    """Refuse to mix the results of two estimators in one folder."""
    settings = folder / "settings.json"
    wanted = {"estimator": estimator, "kind": kind}
    if settings.exists() and json.loads(settings.read_text()) != wanted:
        raise ValueError(f"{folder} holds results of {settings.read_text().strip()}; choose another --output")
    _write(settings, json.dumps(wanted) + "\n")


def show(number: int, estimator: str, kind: str) -> None:
    """Print a problem and its result."""
    case = make_case(number)
    np.set_printoptions(precision=17, linewidth=120, threshold=200)
    features = case.problem.features
    print(f"problem {number}, {case.stratum}: n = {case.problem.n}, {type(features).__name__}, {features.values}")
    for name, part in (("sets", features.sets), ("density", features.density), ("importance", case.problem.importance),
                       ("W", case.W), ("b", case.b)):  # fmt: skip
        print(f"{name} =\n{part}")
    for name, part in asdict(KINDS[kind](case, load(estimator))).items():
        print(f"{name:>16}: {part}")


if __name__ == "__main__":
    run_command(main, "python -m tests.accuracy")
