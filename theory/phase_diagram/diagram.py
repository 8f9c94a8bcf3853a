"""The phase diagram of an extra feature: not represented, dedicated, or in superposition.

``python -m theory.phase_diagram --n 3 --m 2`` draws the idealised candidates of the literature beside the exact
optimum over all (W, b), and saves both with their boundaries. ``exact_phase_diagram`` returns the same numbers.
"""

import math
from typing import TYPE_CHECKING

import numpy as np

from theory.model.variant import STANDARD, Variant
from theory.tools.parallel import Workers, check_workers
from theory.tools.seeds import Seed, seed_number

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["MAX_FEATURES", "check_axes", "default_resolution", "exact_phase_diagram"]

MAX_FEATURES = 8
_RESOLUTION = {2: 60, 3: 60, 4: 32, 5: 20, 6: 12, 7: 10, 8: 8}


def default_resolution(n: int) -> int:
    """
    Give the cells per axis that a phase diagram has unless told otherwise.

    Parameters
    ----------
    n : int
        Number of features, 2 to 8.

    Returns
    -------
    int
        60 for two and three features, fewer where a cell costs more.

    Raises
    ------
    ValueError
        If n is out of range.
    """
    if n not in _RESOLUTION:
        raise ValueError(f"a phase diagram needs 2 <= n <= {MAX_FEATURES} features, got n = {n}")
    return _RESOLUTION[n]


def exact_phase_diagram(
    n: int = 3,
    m: int = 2,
    resolution: int | None = None,
    density: tuple[float, float] = (0.01, 1.0),
    importance: tuple[float, float] = (0.1, 10.0),
    seed: Seed = 0,
    workers: Workers = 1,
    variant: Variant = STANDARD,
) -> "xr.Dataset":
    """
    Compute what becomes of an extra feature, over its relative importance and the density of all features.

    Parameters
    ----------
    n : int
        Number of features, 2 to 8; the last one is the extra feature.
    m : int
        Hidden dimensions, 1 <= m < n.
    resolution : int, optional
        Cells per axis, >= 2; lower by default for more features (``default_resolution``).
    density : (float, float)
        Range of the density p = 1 - S of every feature, within (0, 1].
    importance : (float, float)
        Range of the extra feature's importance, the others having 1; > 0.
    seed : None, int, SeedSequence, BitGenerator or Generator
        Seed of the search's random starts.
    workers : int or str
        Processes to use, or the address of a Dask scheduler; the result does not depend on it.
    variant : Variant
        Laws of values and sets, and whatever else is asked besides sizes, density and importance.

    Returns
    -------
    xarray.Dataset
        Over (density, importance), both spaced evenly in the logarithm: ``loss``, ``W``, ``b``, ``phase`` (index
        into the attribute ``phases``; the last, 3, where the loss is zero and several geometries attain it, of which W
        is one), ``norm`` and ``superposition`` of the extra feature, ``geometry`` of the whole W, for the exact
        optimum; ``ideal_loss`` per idealised candidate and ``ideal_phase``, in the same numbers. Over ``boundary``:
        where the exact optimum changes phase, between which phases, the ``boundary_order`` (1 for a crossing of
        branches, 2 for a continuous change) and the jump of the slope dL*/d log(parameter).

    Raises
    ------
    ValueError
        If n, m, a range or the resolution is out of bounds.

    References
    ----------
    Elhage et al. 2022, "Toy Models of Superposition", section "Superposition as a Phase Change".

    Examples
    --------
    >>> import theory
    >>> data = theory.exact_phase_diagram(2, 1, resolution=3)
    >>> data.attrs["phases"]
    'not represented; dedicated; superposition; not determined: loss zero'
    >>> data["phase"].values.tolist()
    [[2, 2, 2], [2, 2, 2], [0, 2, 1]]
    """
    resolution = default_resolution(n) if resolution is None else resolution
    check_axes(n, m, resolution, density, importance)
    check_workers(workers)
    number = seed_number(seed)
    variant.terms.refuse("the phase diagram, in which a feature may be left out,", ("bias", "noise", "decay", "l1"))
    variant.check(n, density[1])
    from theory.geometry.phases import UNDETERMINED, phase_of
    from theory.model.value_units import variant_in_units
    from theory.phase_diagram.boundaries import find_boundaries
    from theory.phase_diagram.grid import search_grid
    from theory.phase_diagram.zero_loss import undetermined_cells
    from theory.tools.threads import one_blas_thread

    p, r = np.geomspace(*density, resolution).clip(max=1.0), np.geomspace(*importance, resolution)
    inner, size = variant_in_units(variant)
    with one_blas_thread():  # matrices of a few columns: BLAS threads would only get in each other's way
        grid = search_grid(n, m, p, r, number, workers, **_effort(n), variant=inner)
        phase = np.where(undetermined_cells(grid), UNDETERMINED, phase_of(grid.W))
        boundary = find_boundaries(grid, phase, workers)
        from theory.phase_diagram.results import assemble  # all of xarray, for which other processes need not wait

        data = assemble(grid, phase, boundary, number)
    return data if size == 1 else _in_variant(data, variant, size)


def _in_variant(data: "xr.Dataset", variant: Variant, size: float) -> "xr.Dataset":
    """Carry a diagram over from the variant in its values' unit."""
    losses = ["loss", "boundary_slope_jump", *(name for name in data if str(name).startswith("ideal_loss"))]
    factor = dict.fromkeys(losses, size**2) | {"b": size}
    scaled = {name: (data[name] * by).assign_attrs(data[name].attrs) for name, by in factor.items()}
    return data.assign(scaled).assign_attrs(variant.told())


def _effort(n: int) -> dict[str, int]:
    """Coarse cells and random starts: more features have more minima and cost more each."""
    return {"coarse": 8, "random": 6} if n <= 3 else {"coarse": 6, "random": 12}


def check_axes(n: int, m: int, resolution: int, density: tuple[float, float], importance: tuple[float, float]) -> None:
    """Refuse sizes and ranges that make no phase diagram, in one sentence."""
    default_resolution(n)
    if not 1 <= m < n:
        raise ValueError(f"m must lie in 1 ... n-1 = {n - 1}, got m = {m}: with m >= n every feature has a dimension")
    if resolution < 2:
        raise ValueError(f"resolution must be at least 2 cells per axis, got {resolution}")
    low, high = density
    if not 0 < low < high <= 1:
        raise ValueError(f"density needs 0 < LO < HI <= 1, got {low:g} {high:g}; did you pass sparsities S = 1 - p?")
    low, high = importance
    if not (0 < low < high and math.isfinite(high)):
        raise ValueError(f"importance needs 0 < LO < HI, got {low:g} {high:g}")
