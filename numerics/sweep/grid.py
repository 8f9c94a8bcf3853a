"""Train a grid of problems, piece by piece, so that an interrupted sweep continues where it stopped.

The grid is cut into pieces of neighbouring problems. Every finished piece is written to a cache beside the
output, under a key made of everything its numbers depend on; a sweep first collects what is there. Each piece
has a seed of its own, so that the numbers depend neither on the number of workers nor on interruptions.
"""

import os
import warnings
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from numerics.sweep.cache import Cache, key_of
from numerics.training.run import train
from numerics.training.settings import Settings, model_of
from theory.model.problem import Problem
from theory.model.requirements import require_problem
from theory.tools.command import progress as progress_bar
from theory.tools.parallel import Workers, check_workers, open_pool
from theory.tools.seeds import Seed, seed_number
from theory.tools.storage import check_output, discard_parts, is_damaged, load_result, results_folder, save_result

__all__ = ["run_sweep"]

# Trained models per piece: enough to share the cost of a step, few enough that a killed sweep loses little.
_PIECE_RUNS = 64
# Part of every key. A change of the trainer that changes its numbers must raise it, or old pieces would be
# mixed with new ones.
_VERSION = 1


@dataclass(frozen=True, eq=False)
class _Piece:
    """Some neighbouring problems of the grid, at one seed."""

    problem: Problem
    first: int  # number of its first problem in the grid
    sweep_seed: int
    settings: dict[str, Any]

    @property
    def seed(self) -> int:
        """The piece's own seed, from the sweep's and its place in the grid."""
        return int(np.random.SeedSequence([self.sweep_seed, self.first]).generate_state(1, np.uint64)[0])

    @property
    def key(self) -> str:
        """Hash of everything that the piece's numbers depend on."""
        features = self.problem.features
        return key_of(
            {
                "version": _VERSION,
                "m": self.problem.m,
                "activation": repr(self.problem.activation),
                "sets": features.sets,
                "values": repr(features.values),
                "laws": repr(features.laws),
                "density": features.density.tolist(),
                "importance": self.problem.importance.tolist(),
                "terms": repr(self.problem.terms),
                "seed": self.seed,
                **self.settings,
                "model": repr(self.settings["model"]),
            }
        )


def _train_piece(piece: _Piece) -> xr.Dataset:
    dataset = train(piece.problem, seed=piece.seed, progress=False, on_divergence="record", **piece.settings)
    dataset["problem"] = dataset["problem"] + piece.first
    return dataset.assign_coords(seed=("instance", np.full(dataset.sizes["instance"], piece.sweep_seed)))


def run_sweep(
    problem: Problem,
    output: str | os.PathLike[str],
    seeds: Sequence[Seed] = (0,),
    workers: Workers = 1,
    progress: bool = True,
    overwrite: bool = False,
    **settings: Any,
) -> xr.Dataset:
    """
    Train every problem of a grid; resume if an earlier call was interrupted.

    Parameters
    ----------
    problem : Problem
        A batch of problems: leading axes of density or importance are the grid.
    output : path
        NetCDF file to write. Until it is complete, pieces are kept in a folder of that name with ".cache"
        appended.
    seeds : sequence of int
        Seeds at which the whole grid is trained, numbers or what else NumPy takes for one.
    workers : int or str
        Local processes, or the address of a Dask scheduler.
    progress : bool
        Whether to show a bar on stderr (if that is a terminal and the work takes more than two seconds).
    overwrite : bool
        Whether a file that is not the result of this very sweep may be replaced.
    **settings
        Settings of ``numerics.train`` such as instances, steps and learning_rate.

    Returns
    -------
    xarray.Dataset
        As ``numerics.train`` gives it, for all problems and seeds: ``problem`` numbers the grid's problems, last
        axis fastest, and ``seed`` is the sweep's seed. Runs that diverge are NaN, with the step in
        ``diverged_at``.

    Raises
    ------
    ValueError
        If a setting is refused.
    FileExistsError
        If the output holds anything but the result of this very sweep.
    OSError
        If the output could not be written, or a Dask scheduler does not answer; found out before training.
    Failure
        If a worker process or the scheduler is lost; the same call goes on from there.

    Notes
    -----
    Of two sweeps with the same output the second waits, and uses what the first has made.

    Examples
    --------
    >>> import numerics
    >>> import theory
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> grid = theory.Problem(n=2, m=1, density=[[0.1, 0.1], [0.5, 0.5]])
    >>> found = numerics.run_sweep(grid, Path(mkdtemp()) / "sweep.nc", progress=False, instances=2, steps=10)
    >>> found["W"].dims
    ('instance', 'dimension', 'feature')
    """
    require_problem(problem)
    checked = Settings(**settings)
    model = model_of(problem, checked.model)
    numbers = [seed_number(seed) for seed in seeds]
    if any(number >= 2**31 for number in numbers):
        raise ValueError(f"the seeds of a sweep must lie below 2**31, as far as its file can count, got {max(numbers)}")
    workers = check_workers(workers)
    plain = checked.as_attributes() | {"snapshots": list(checked.snapshots or ())}
    plain.pop("seed")
    plain["model"] = model  # the problem's own, unless the settings name another
    pieces = [piece for number in numbers for piece in _pieces(problem, number, checked.instances, plain)]
    keys = [piece.key for piece in pieces]
    sweep_key = key_of({"pieces": keys})
    target = check_output(output, overwrite=True)
    cache = Cache(target.with_name(target.name + ".cache"))
    with results_folder(target.parent), cache.held():
        result = _finished(target, sweep_key, overwrite)
        if result is None:
            _fill(cache, pieces, keys, workers, progress)
            result = _assembled(cache, keys, problem, sweep_key)
            save_result(result, target)
        discard_parts(target)
        cache.remove(keys)
    return result


def _fill(cache: Cache, pieces: list[_Piece], keys: list[str], workers: Workers, progress: bool) -> None:
    """Train the pieces that are missing, and keep each as soon as it is done."""
    missing = [k for k, key in enumerate(keys) if cache.get(key) is None]
    if not missing:
        return
    with open_pool(workers) as pool:
        done: Iterable[tuple[int, xr.Dataset]] = pool.as_completed(_train_piece, [(pieces[k],) for k in missing])
        for k, dataset in progress_bar(done, total=len(missing), label="training") if progress else done:
            cache.put(keys[missing[k]], dataset)


def _pieces(problem: Problem, seed: int, instances: int, settings: dict[str, Any]) -> list[_Piece]:
    """Cut the grid; how depends on the grid and the settings only."""
    features = problem.features
    rows = np.broadcast_to(features.density, (*problem.batch_shape, features.density.shape[-1]))
    rows = rows.reshape(-1, rows.shape[-1])
    importance = problem.importance.reshape(-1, problem.n)
    size = max(1, _PIECE_RUNS // instances)
    return [
        _Piece(
            problem=replace(
                problem,
                features=features.with_density(rows[first : first + size]),
                importance=importance[first : first + size],
            ),
            first=first,
            sweep_seed=seed,
            settings=settings,
        )
        for first in range(0, len(rows), size)
    ]


def _finished(target: Path, sweep_key: str, overwrite: bool) -> xr.Dataset | None:
    """Return the result of this very sweep, if that is what the file holds; None if it may be written."""
    if not target.exists():
        return None
    if is_damaged(target):
        warnings.warn(f"{target} is damaged; computing it again", RuntimeWarning, stacklevel=3)
        return None
    with suppress(OSError):
        result = load_result(target)
        if result.attrs.get("sweep_key") == sweep_key:
            return result
    if overwrite:
        return None
    raise FileExistsError(
        f"{target} exists already and is not the result of this sweep; move it away, or ask to "
        "overwrite it (--overwrite)"
    )


def _assembled(cache: Cache, keys: list[str], problem: Problem, sweep_key: str) -> xr.Dataset:
    pieces = []
    for key in keys:
        piece = cache.get(key)
        if piece is None:
            raise OSError(f"{cache.path(key)} was lost while the sweep was running; run it again")
        pieces.append(piece)
    result = xr.concat(
        pieces,
        dim="instance",
        data_vars="minimal",
        coords="minimal",
        compat="equals",
        join="exact",
        combine_attrs="drop_conflicts",
    )
    return result.assign_attrs(sweep_key=sweep_key, batch_shape=str(list(problem.batch_shape)))
