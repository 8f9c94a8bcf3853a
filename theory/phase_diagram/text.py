"""What a phase diagram says, in words, with the closed forms of its boundaries."""

from collections import Counter

import numpy as np
import xarray as xr
from jaxtyping import Bool
from numpy import ndarray

from theory.geometry.phases import CELL_PHASES, PHASES, UNDETERMINED
from theory.model.variant import Variant
from theory.phase_diagram.lines import ideal_boundaries

__all__ = ["closed_forms", "headline", "summary"]

# Decimals of log importance to which boundaries of idealised candidates are known.
_DIGITS = 6

# Boundaries between idealised candidates of n features in m dimensions, as theory.symbolic.derive_boundaries derives
# them; SymPy, which takes a second to start, is not needed to say them again.
_IDEAL_BOUNDARIES = {
    (2, 1): {
        "not represented | dedicated": "r = 1",
        "not represented | antipodal": "p = 4*r/(5*r + 2)",
        "dedicated | antipodal": "p = 4/(2*r + 5)",
    },
    (3, 1): {
        "not represented | not represented, others antipodal": "p = 4/7",
        "not represented | dedicated": "r = 1",
        "not represented, others antipodal | antipodal": "r = 1",
        "dedicated | antipodal": "p = 4/(2*r + 5)",
    },
    (3, 2): {
        "not represented | dedicated": "r = 1",
        "not represented | antipodal": "p = 4*r/(5*r + 2)",
        "dedicated | dedicated, others antipodal": "p = 4/7",
        "dedicated, others antipodal | antipodal": "r = 1",
    },
    (4, 1): {
        "not represented | not represented, 2 others antipodal": "p = 4/7",
        "not represented | dedicated": "r = 1",
        "not represented, 2 others antipodal | antipodal": "r = 1",
        "dedicated | antipodal": "p = 4/(2*r + 5)",
    },
    (4, 2): {
        "not represented | not represented, 2 others antipodal": "p = 4/7",
        "not represented | dedicated": "r = 1",
        "not represented, 2 others antipodal | antipodal, others antipodal": "p = 4*r/(5*r + 2)",
        "dedicated | dedicated, 2 others antipodal": "p = 4/7",
        "dedicated, 2 others antipodal | antipodal, others antipodal": "p = 4/(2*r + 5)",
    },
    (4, 3): {
        "not represented | dedicated": "r = 1",
        "not represented | antipodal": "p = 4*r/(5*r + 2)",
        "dedicated | dedicated, 2 others antipodal": "p = 4/7",
        "dedicated, 2 others antipodal | antipodal": "r = 1",
    },
}


def summary(data: xr.Dataset) -> str:
    """
    Describe a phase diagram in a short table.

    Parameters
    ----------
    data : xarray.Dataset
        As ``assemble`` returns it.

    Returns
    -------
    str
        Phases and shares, geometries, boundaries.
    """
    n, m, variant = data.attrs["n"], data.attrs["m"], Variant.read(data.attrs)
    lines = [
        f"n = {n} features, m = {m} dimensions" + (f", {variant}" if variant else ""),
        "",
        f"{'phase of the extra feature':28}{'idealised':>10}{'exact':>10}",
    ]
    for k, name in enumerate(CELL_PHASES):
        shares = [float((data[which] == k).mean()) for which in ("ideal_phase", "phase")]
        if k == UNDETERMINED and not any(shares):
            continue
        lines.append(f"{name:28}{shares[0]:>10.1%}{shares[1]:>10.1%}")
    lines += ["", f"{'geometry of the exact optimum':28}{'':>10}{'cells':>9}"]
    names = Counter(str(name) for name in data["geometry"].values.ravel())
    lines += [f"{name:38}{cells / data['geometry'].size:>10.1%}" for name, cells in names.most_common(6)]
    lines += [
        "",
        f"{'boundary of the exact optimum':46}{'density':>17}{'importance':>18}{'max jump of slope':>19}",
    ]
    before, after = data["boundary_phase_before"].values, data["boundary_phase_after"].values
    pairs = np.sort(np.stack([before, after], axis=1), axis=1)
    for low, high in sorted(set(map(tuple, pairs.tolist()))):
        for order, word in ((1, "first order"), (2, "continuous")):
            here = (pairs == (low, high)).all(1) & (data["boundary_order"].values == order)
            if here.any():
                p, r = data["boundary_density"].values[here], data["boundary_importance"].values[here]
                jump = np.abs(data["boundary_slope_jump"].values[here]).max()
                sides = " | ".join(dict.fromkeys((str(PHASES[low]), str(PHASES[high]))))
                kind = f"{'within ' if low == high else ''}{sides}, {word}"
                lines.append(f"{kind:46}{p.min():>8.4f} – {p.max():.4f}{r.min():>9.4f} – {r.max():.4f}{jump:>19.2e}")
    if not len(pairs):
        lines.append("none")
    return "\n".join(lines if variant else [*lines, "", *closed_forms(n, m)])


def headline(data: xr.Dataset) -> str:
    """
    Say in one line what the diagram shows.

    Parameters
    ----------
    data : xarray.Dataset
        As ``exact_phase_diagram`` returns it.

    Returns
    -------
    str
        Up to which density the extra feature is in superposition, exactly and idealised, and at which importances it is
        there at that density; or that the loss is zero.
    """
    sizes = f"n = {data.attrs['n']}, m = {data.attrs['m']}"
    undetermined = float((data["phase"] == UNDETERMINED).mean())
    if undetermined == 1:
        return f"{sizes}: the loss is zero everywhere, which determines no geometry"
    shared = data.attrs["phases"].split("; ").index("superposition")
    before, after = (data[f"boundary_phase_{side}"].values == shared for side in ("before", "after"))
    ends = data.isel(boundary=before != after)
    p, r = ends["boundary_density"].values, ends["boundary_importance"].values
    across = (ends["boundary_along"].values == "importance") & (p == data["density"].values[-1])
    reach = _reach(data, data["phase"].values == shared, p, r[across])
    if reach.startswith("up to"):
        reach += f" (at importance {r[p.argmax()]:.2g})" if len(p) else ""
    low, high = data["importance"].values[[0, -1]]
    curves = [
        np.stack([q, s])[:, (s >= low) & (s <= high)] for q, s, phases in ideal_boundaries(data) if shared in phases
    ]
    q, s = np.concatenate([np.empty((2, 0)), *curves], axis=1)
    ideal = _reach(data, data["ideal_phase"].values == shared, q, s[np.isclose(q, data["density"].values[-1])])
    zero = f"; loss zero in {undetermined:.0%} of the cells" if undetermined else ""
    return f"{sizes}: an extra feature is in superposition {reach}; idealised, {ideal}{zero}"


def _reach(data: xr.Dataset, shared: Bool[ndarray, "P R"], p: ndarray, across: ndarray) -> str:
    """Up to which density a feature is in superposition; densities of its boundaries, importances at the highest."""
    if shared.all() or not shared.any():
        return "everywhere" if shared.all() else "nowhere"
    last = shared[-1]
    if not last.any():
        return f"up to p = {p.max(initial=data['density'].values[shared.any(1)].max()):.2f}"
    low, high = data["importance"].values[[0, -1]]  # the diagram ends before superposition does
    places = np.array([*([low] if last[0] else []), *across, *([high] if last[-1] else [])])
    places = np.unique(np.exp(np.log(places).round(_DIGITS)))  # curves that tie are one
    one = len(places) == 2 and not last.all()
    where = f"importance {places[0]:.2g} to {places[1]:.2g}" if one else f"{'any' if last.all() else 'some'} importance"
    return f"even at p = {data['density'].values[-1]:.2g} (at {where})"


def closed_forms(n: int, m: int) -> tuple[str, ...]:
    """
    Describe boundaries by equations where there are any.

    Parameters
    ----------
    n, m : int
        Number of features and of hidden dimensions.

    Returns
    -------
    tuple of str
        Lines of text: the idealised boundaries as equations, and the stability limit of a feature that is left out.
    """
    lines = []
    if ideal := _IDEAL_BOUNDARIES.get((n, m)):
        lines.append("boundary of the idealised candidates")
        lines += [f"{between}:  {equation}" for between, equation in ideal.items()]
    if n == m + 1:
        lines.append('a continuous boundary of "not represented":  r = theory.instability_threshold(p), closed form')
    return tuple(lines)
