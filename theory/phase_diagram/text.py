"""What a phase diagram says, in words, with the closed forms of its boundaries."""

from collections import Counter

import numpy as np
import xarray as xr

from theory.geometry.phases import PHASES
from theory.model.variant import Variant

__all__ = ["closed_forms", "summary"]

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
    for k, name in enumerate(PHASES):
        shares = [float((data[which] == k).mean()) for which in ("ideal_phase", "phase")]
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
    standard = not Variant.read(data.attrs)
    return "\n".join([*lines, "", *closed_forms(n, m)] if standard else lines)


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
