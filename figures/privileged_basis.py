"""A privileged basis: ReLU on the hidden layer
============================================

With a ReLU on the hidden layer, x' = ReLU(W^T ReLU(W x) + b), hidden space has a basis of neurons, and W can be read
neuron by neuron (claim 18). Without it, rotating hidden space changes nothing. n = 10, m = 5, importances 0.75^i.

(a) W of the best trained model, neuron by neuron: what each feature adds to it (up) or takes from it (down), with the
    hidden ReLU above and without it below. Neurons are in the order of their strongest feature.
(b) Monosemantic neurons, those with more than 90 % of their squared weight on one feature (bars: more than 70 % to more
    than 95 %): all instances, and the mean over random rotations of the same W.
(c) The loss after a random rotation of hidden space, in units of the loss.
(d) The loss, in units of the monosemantic solution's: W = identity on the first m features, loss
    (p/3 - p^2/4) sum_{i > m} I_i, which the hidden ReLU does not change. Antipodal pairs, the first superposition
    without it, are impossible with it: a neuron cannot be below zero.
"""

from figures.shared.script import Settings, main

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from figures.parts.privileged_measures import (
    DECAY,
    MODELS,
    MONOSEMANTIC,
    THRESHOLDS,
    M,
    N,
    largest_share,
    monosemantic,
    monosemantic_loss,
    of_best,
    problem,
)
from figures.parts.privileged_panels import draw
from figures.shared.training import PAPER_RECIPE, trained
from figures.shared.verdicts import Finding, Verdict, by_recipe, weighed
from numerics import Parameters, forward, sample
from theory import Problem, best_pairing

if TYPE_CHECKING:
    from numpy import ndarray

# A basis is privileged if rotating it changes the loss by more than this factor; without one, nothing changes.
ROTATION_CHANGES = 1.0
# W can be read if more than this part of the neurons stand for one feature.
_MOST = 0.5


def compute(settings: Settings) -> xr.Dataset:
    """Train both models at every density, and rotate what they learned."""
    p = np.array([1.0, 0.3, 0.03] if settings.quick else [1.0, 0.6, 0.3, 0.1, 0.03, 0.01])
    instances, steps, batch = (4, 1500, 256) if settings.quick else (8, 5000, 512)
    own = {"steps": steps, "batch": batch, "learning_rate": 0.02}
    paper = {**PAPER_RECIPE, **({"steps": 4 * steps, "batch": batch} if settings.quick else {})}
    W, b, _ = _trained(p, instances, own, settings)
    by_paper, _, loss_by_paper = _trained(p, instances // 2, paper, settings)
    dims, paper_dims = ("model", "density", "instance"), ("model", "density", "paper_instance")
    data = xr.Dataset(
        {"W": ((*dims, "neuron", "feature"), W), "b": ((*dims, "feature"), b),
         "paper_W": ((*paper_dims, "neuron", "feature"), by_paper), "paper_loss": (paper_dims, loss_by_paper),
         "pairing": ("density", [best_pairing(problem(q)).loss / monosemantic_loss(q) for q in p])},
        coords={"model": list(MODELS), "density": p},
    )  # fmt: skip
    loss, rotated, shares = _rotations(data, settings)
    data["loss"] = (dims, loss)
    data["rotated"] = ((*dims, "rotation"), rotated)
    data["rotated_share"] = ((*dims, "rotation", "neuron"), shares)
    data.attrs["summary"] = _summary(data)
    return data


def _trained(
    p: "ndarray", instances: int, recipe: dict[str, Any], settings: Settings
) -> tuple["ndarray", "ndarray", "ndarray"]:
    """W, b and held-out losses of both models, (model, density, instance, ...)."""
    batched = Problem(m=M, density=np.repeat(p[:, None], N, axis=1), importance=DECAY ** np.arange(N))
    runs = [trained(batched, instances, settings, model=model, **recipe) for model in MODELS]
    W, b, loss = (np.array([run[part] for run in runs]) for part in range(3))
    return W, b, loss


def _rotations(data: xr.Dataset, settings: Settings) -> tuple["ndarray", "ndarray", "ndarray"]:
    """Losses, the factors by which random rotations raise them, and the rotated neurons' shares."""
    rotations = 10 if settings.quick else 40
    rng = np.random.default_rng([settings.seed, 18])
    Q = np.array([_rotation(rng) for _ in range(rotations)])
    shape = data["b"].shape[:3]
    loss, factor = np.empty(shape), np.empty((*shape, rotations))
    share = np.empty((*shape, rotations, M))
    for k, p in enumerate(data["density"].values):
        x = sample(problem(p).features, 4000 if settings.quick else 40_000, rng)
        for j, model in enumerate(MODELS):
            for i in range(shape[2]):
                W, b = data["W"].values[j, k, i], data["b"].values[j, k, i]
                own = _loss(W, b, x, model)
                loss[j, k, i] = own / monosemantic_loss(p)
                factor[j, k, i] = [_loss(q @ W, b, x[:4000], model) for q in Q]
                factor[j, k, i] /= _loss(W, b, x[:4000], model)
                share[j, k, i] = largest_share(Q @ W)
    return loss, factor, share


def _rotation(rng: np.random.Generator) -> "ndarray":
    """Draw a rotation uniformly."""
    Q, R = np.linalg.qr(rng.standard_normal((M, M)))
    return np.asarray(Q * np.sign(np.diagonal(R)))


def _loss(W: "ndarray", b: "ndarray", x: "ndarray", model: str) -> float:
    error = ((forward(Parameters(W, b), x, model) - x) ** 2).mean(0)
    return float(error @ DECAY ** np.arange(N))


def _summary(data: xr.Dataset) -> str:
    lines = [f"densities {data['density'].values.tolist()}"]
    for j, name in enumerate(MODELS.values()):
        counts = {t: of_best(data, monosemantic(data, t))[j].tolist() for t in (MONOSEMANTIC, *THRESHOLDS)}
        chance = (data["rotated_share"].values[j] > MONOSEMANTIC).sum(-1).mean((-1, -2)).round(2).tolist()
        lines.append(
            f"{name}: monosemantic neurons of the best by share {counts}, mean over instances "
            f"{monosemantic(data)[j].mean(1).round(2).tolist()}, of rotated W {chance}; loss after a rotation / "
            f"loss, median {np.median(data['rotated'].values[j], axis=(1, 2)).round(4).tolist()}; least loss / "
            f"monosemantic {data['loss'].values[j].min(1).round(4).tolist()}"
        )
    lines.append(f"ideal pairing without hidden ReLU / monosemantic {data['pairing'].values.round(4).tolist()}")
    return "\n".join(lines)


def judge(data: xr.Dataset) -> list[Verdict]:
    """Claim 18: rotations cost, neurons can be read, and both kinds of neurons occur."""
    factor = np.median(data["rotated"].values, axis=(2, 3))
    findings = (
        Finding(
            "a ReLU on the hidden layer privileges its basis",
            f"a random rotation multiplies the loss by {factor[0].min():.3g} to {factor[0].max():.3g} (medians per "
            f"density), without that ReLU by {np.abs(data['rotated'].values[1]).max():.6f} at most",
            bool(factor[0].min() > ROTATION_CHANGES and np.allclose(data["rotated"].values[1], 1, rtol=1e-6)),
        ),
        _readable(data),
        weighed("mono- and polysemantic neurons occur", _both_kinds(data), _CHOICES, _USUAL),
    )
    why = (
        "The hidden ReLU acts on each neuron by itself and so tells the basis of neurons from every other. Dense "
        "features are then best served by one neuron each, which nearly every run finds; sparser ones share neurons, "
        "with inhibition (negative weights) to tell them apart, because antipodal pairs would need neurons below zero: "
        "where features are sparse, a privileged basis leaves hardly a neuron that stands for one of them."
    )
    return [Verdict(18, findings, why)]


# A recipe's prefix, the least share of a monosemantic neuron, and whether the best run counts or all do.
_Choice = tuple[str, tuple[float, bool]]
_CHOICES = by_recipe(
    {
        f"{run}, share above {share:g}": (share, best)
        for run, best in (("the best run", True), ("the mean of all runs", False))
        for share in sorted((MONOSEMANTIC, *THRESHOLDS))
    }
)
_USUAL = f"the best run, share above {MONOSEMANTIC:g}"


def _counts(data: xr.Dataset, choice: _Choice) -> "ndarray":
    """Monosemantic neurons per model and density."""
    prefix, (share, best) = choice
    counts = (largest_share(data[f"{prefix}W"].values) > share).sum(-1)
    if not best:
        return np.asarray(counts.mean(-1))
    runs = data[f"{prefix}loss"].values.argmin(-1)[..., None]
    return np.take_along_axis(counts, runs, axis=2)[..., 0]


def _readable(data: xr.Dataset) -> Finding:
    """Whether most neurons stand for one feature, at every density: the slide names none."""
    p = [float(q) for q in data["density"].values]
    chance = {
        share: (data["rotated_share"].values[0] > share).sum(-1).mean((1, 2)) for share in (MONOSEMANTIC, *THRESHOLDS)
    }

    def measure(choice: tuple[int, _Choice]) -> tuple[str, bool]:
        k, reading = choice
        with_relu, without = _counts(data, reading)[:, k]
        by_chance = chance[reading[1][0]][k]
        told = (
            f"{with_relu:.3g} of {M} neurons are monosemantic, by chance {by_chance:.3g}, without that ReLU "
            f"{without:.3g}"
        )
        return told, bool(with_relu > _MOST * M and with_relu > max(by_chance, without))

    choices = {f"p = {q:g}, {label}": (k, reading) for k, q in enumerate(p) for label, reading in _CHOICES.items()}
    stated = "W becomes directly interpretable: most neurons stand for one feature"
    return weighed(stated, measure, choices, f"p = {p[0]:g}, {_USUAL}")


def _both_kinds(data: xr.Dataset) -> Callable[[_Choice], tuple[str, bool]]:
    def measure(choice: _Choice) -> tuple[str, bool]:
        counts = _counts(data, choice)[0]
        mixed = (counts > 0) & (counts < M)
        return f"{_row(counts)} of {M} are monosemantic, from dense to sparse", bool(mixed.any())

    return measure


def _row(counts: "ndarray") -> str:
    return ", ".join(f"{count:.3g}" for count in counts)


if __name__ == "__main__":
    main(__doc__, compute, draw, __file__)
