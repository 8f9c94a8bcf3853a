"""What superposition needs, and what it costs
===========================================

Statements of the documents that few features decide exactly. Three equal features in a plane (a) are in superposition
at every density drawn, also where all are nearly always active: sparsity is not necessary (claim 27), but an
equilateral triangle is the best form of it only where features are dense (claim 29). Six equal features (b) do form a
hexagon where they are sparse enough, and training finds it now and then (claim 28).

A superposition that was optimal at one density is evaluated at others (c): denser features than it expects interfere
(claim 32). Varying one feature's importance deforms the pentagon until it snaps, as varying its density does (d,
claim 33). How strongly all other features together can activate a feature (e) has little to do with its superposition,
which counts negative projections too (claim 30). And with sparser features (f) more of them share a dimension, while
the interference that an active feature meets becomes less (claim 37).

Claim 31 is a theorem: if x is not negative, ReLU(z) is never further from it than z.
"""

from figures.shared.script import Settings, main

import numpy as np
import xarray as xr

from figures.parts.conditions_measures import importances, learned_hexagons, plane, reach, relu_gain, sharing, transfer
from figures.parts.conditions_panels import draw
from figures.shared.verdicts import Finding, Verdict, weighed

# A loss below another by less than this part of it is the same.
_SAME = 1e-9
# An equilateral triangle is drawn from few sparse features: densities at which the slides' picture is tested.
_TRIANGLE_AT = (0.01, 0.1, 0.3, 0.6)
# A superposition among denser features than it expects costs so much more than the optimum there.
_COSTS = (0.05, 0.1, 0.25)


def compute(settings: Settings) -> xr.Dataset:
    """Exact optima of three, five and six features; training of six; what W of the catalogue can do."""
    parts = [
        plane(settings, 3, ("triangle", "digon + dedicated", "2 dedicated"), "three"),
        plane(settings, 6, ("hexagon", "pentagon", "2 digon"), "six"),
        learned_hexagons(settings),
        transfer(settings),
        importances(settings),
        reach(),
        relu_gain(settings),
        sharing(settings),
    ]
    data = xr.merge(parts, combine_attrs="no_conflicts")
    data.attrs["summary"] = "\n".join(
        f"claim {verdict.claim}: {finding.stated}: {finding.found}"
        for verdict in judge(data)
        for finding in verdict.findings
    )
    return data


def judge(data: xr.Dataset) -> list[Verdict]:
    """Claims 27 to 33 and 37."""
    return [_necessary(data), _hexagon(data), _triangle(data), _reach(data), _relu(data), _denser(data), _snap(data),
            _sparser(data)]  # fmt: skip


def _necessary(data: xr.Dataset) -> Verdict:
    p, loss = data["three_density"].values, data["three_loss"]
    shared = loss.sel(three_geometry=["triangle", "digon + dedicated"]).min("three_geometry").values
    gain = 1 - shared / loss.sel(three_geometry="2 dedicated").values
    near = int(np.abs(p - 0.9).argmin())
    return Verdict(
        27,
        (
            Finding(
                "sparsity is necessary: without it no superposition pays",
                f"three equal features in two dimensions: in superposition the optimum costs {gain[near]:.2%} less "
                f"than leaving one out at p = {p[near]:g}, {gain[-1]:.2%} less at p = {p[-1]:g}",
                bool(gain[-1] <= _SAME),
            ),
            Finding(
                "a nonlinearity is necessary: linear models gain nothing by superposition",
                f"the best of {data.attrs['linear_tried']} random projections in superposition costs "
                f"{-data.attrs['linear_gain']:.1%} more than that on the top features, each with its best biases",
                bool(data.attrs["linear_gain"] <= _SAME),
            ),
        ),
        "A linear model's loss is a weighted low-rank approximation. With a ReLU and biases three features that are "
        "nearly always active still gain: each is read off where the others are small. The gain is small, not absent.",
    )


def _hexagon(data: xr.Dataset) -> Verdict:
    p, loss = data["six_density"].values, data["six_loss"]
    best = loss.sel(six_geometry="hexagon") < loss.sel(six_geometry=["pentagon", "2 digon"]).min("six_geometry")
    share = data["hexagon_share"].values
    trained = ", ".join(f"{s:.0%} at p = {x:g}" for s, x in zip(share, data["hexagon_density"].values, strict=True))
    return Verdict(
        28,
        (
            Finding(
                "models do not embed six independent features as a hexagon",
                f"of {data.attrs['hexagon_runs']} runs: {trained}",
                bool((share == 0).all()),
            ),
            Finding(
                "whether the hexagon is ever the best",
                f"below p = {data.attrs['hexagon_crossing']:.6f}, where it costs as much as the pentagon with one "
                f"feature left out; of the densities drawn: {', '.join(f'{x:.3g}' for x in p[best.values])}",
                None,
            ),
        ),
        "A hexagon stores the sixth feature for more interference between neighbours, which pays only if two are "
        "seldom active together. Even there descent mostly ends in other geometries.",
    )


def _triangle(data: xr.Dataset) -> Verdict:
    p, loss = data["three_density"].values, data["three_loss"]
    crossing = data.attrs["triangle_crossing"]

    def best(density: float) -> tuple[str, bool]:
        here = loss.isel(three_density=int(np.abs(p - density).argmin()))
        name = str(here["three_geometry"].values[int(here.values.argmin())])
        above = float(here.sel(three_geometry="triangle") / here.min() - 1)
        return f"the best is {name}, the triangle {above:+.1%}", name == "triangle"

    densities = {f"p = {p[np.abs(p - at).argmin()]:.3g}": at for at in _TRIANGLE_AT}
    findings = [weighed("three equal features form an equilateral triangle", best, densities, next(iter(densities)))]
    findings.append(
        Finding(
            "from which density on",
            f"the triangle is the best above p = {crossing:.6f}, digon and a dedicated feature below",
            None,
        )
    )
    return Verdict(
        29,
        tuple(findings),
        "Sparse features gain most from an antipodal pair, whose interference is all negative; the third has the other "
        "dimension. Only where two features are active half of the time is it better to spread it over three.",
    )


def _reach(data: xr.Dataset) -> Verdict:
    S, most = data["polytope_superposition"], data["polytope_reach"]
    above = S.values >= 1 - _SAME
    fails = above & (most.values < 1 - _SAME)
    counter = [
        f"{name} ({s:.2f}, {m:.2f})"
        for name, s, m in zip(S["polytope"].values[fails], S.values[fails], most.values[fails], strict=True)
    ]
    return Verdict(
        30,
        (
            Finding(
                "where the superposition is at least 1, other features can activate it as strongly as it does itself",
                f"not for {len(counter)} of {above.sum()} optimal polytopes with a superposition of 1 or more, in "
                f"brackets with what all others together reach: {', '.join(counter) or 'none'}",
                not fails.any(),
            ),
        ),
        "The measure adds squares, so that projections of both signs count; values are not negative, and only positive "
        "projections activate. An antipode has superposition 1 and never does.",
    )


def _relu(data: xr.Dataset) -> Verdict:
    worse, gain = data.attrs["relu_worst"], data.attrs["bias_gain"]
    return Verdict(
        31,
        (
            Finding(
                "the ReLU never makes things worse",
                f"largest excess over the linear model's loss with the same W and b: {worse:.1e} of it, in "
                f"{data.attrs['relu_tried']} random problems; for x >= 0, |x - ReLU(z)| <= |x - z|",
                bool(worse <= _SAME),
            ),
            Finding(
                "the bias helps an unrepresented feature by taking on the expected value",
                f"b = E x saves p^2/4 of its p/3: {gain:.6f} at p = 0.5 by the exact loss",
                bool(abs(gain - 0.0625) < _SAME),
            ),
        ),
        "Targets are not negative: cutting a negative output off brings it nearer.",
    )


def _denser(data: xr.Dataset) -> Verdict:
    excess, overlap = data["transfer_excess"].values, data["transfer_additive"].values
    trained, at = data["trained_at"].values, data["evaluated_at"].values
    far = float(at[-1] / trained[-1])
    told = (
        f"n = {data.attrs['transfer_n']}, m = 2: the optimum of p = {trained[-1]:g} costs {excess[-1, -1]:.0%} more "
        f"than that of p = {at[-1]:g} there, {far:.1f} times denser; {overlap[-1, -1]:.0%} of its loss is from inputs "
        f"with several active features, {overlap[-1, 0]:.0%} where it is the optimum"
    )
    rises = bool(overlap[-1, -1] > overlap[-1, 0])
    choices = {f"at least {least:.0%} more": least for least in _COSTS}
    return Verdict(
        32,
        (
            weighed(
                "features denser than a superposition expects interfere additively",
                lambda least: (told, rises and bool(excess[-1, -1] >= least)),
                choices,
                next(iter(choices)),
            ),
        ),
        "Norms above 1 and negative biases fit the case of one active feature; with several active at once positive "
        "couplings add up before the ReLU, and nothing cuts them off.",
    )


def _snap(data: xr.Dataset) -> Verdict:
    crossing, jump, end = (data.attrs[f"importance_{name}"] for name in ("crossing", "slope_jump", "spinodal"))
    norm = data["importance_norm"].values
    step = float(np.abs(np.diff(norm)).max())
    return Verdict(
        33,
        (
            Finding(
                "with varying importance the pentagon deforms smoothly",
                f"one branch of minima from relative importance 1 down to {end:.4f}; between recorded points the norm "
                f"of that feature changes by {step:.3f} at most, from {norm.max():.3f} to {norm.min():.3f} in all",
                bool(step < norm.min() and np.ptp(norm) > step),  # two digons leave the feature out: a norm of 0
            ),
            Finding(
                "until it snaps into a new polytope",
                f"two digons cost less below a relative importance of {crossing:.6f}; the slope of the optimal loss "
                f"jumps there by {jump:.3e}",
                bool(0 < crossing < 1 and abs(jump) > 0),
            ),
        ),
        "Losses are linear in an importance, so that the optimal loss is concave in it: a sequence of geometries, each "
        "of which stores the feature less well, with kinks between them.",
    )


def _sparser(data: xr.Dataset) -> Verdict:
    p, S, felt = (data[name].values for name in ("sharing_density", "sharing_superposition", "sharing_interference"))
    per = data["sharing_per_dimension"].values
    readings = {
        "by what others add to an active feature (standard deviation)": felt,
        "by what else a direction stands for (superposition)": S,
    }

    def less(values: np.ndarray) -> tuple[str, bool]:
        told = f"{', '.join(f'{x:.3f}' for x in values)}, largest at p = {p[int(values.argmax())]:.3g}"
        return told, bool((np.diff(values) >= -1e-6).all())

    return Verdict(
        37,
        (
            Finding(
                "more sparsity, more superposition",
                f"features per dimension {', '.join(f'{x:.2f}' for x in per)} and superposition of a represented "
                f"feature {', '.join(f'{x:.2f}' for x in S)} at p = {', '.join(f'{x:.3g}' for x in p)}",
                bool((np.diff(per) >= -1e-6).all() and (np.diff(S) >= -1e-6).all()),
            ),
            weighed("less interpretability", less, readings, next(iter(readings))),
        ),
        "Sparser features share dimensions with more others, so that a direction says less about which feature it is; "
        "but the others are so seldom active that, below densities of about one half, an active feature meets ever "
        "less interference.",
    )


if __name__ == "__main__":
    main(__doc__, compute, draw, __file__)
