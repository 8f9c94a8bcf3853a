"""How to train: the settings of a run, checked before any work starts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from numerics.models import Model, find_model
from numerics.training.descent import OPTIMISERS, SCHEDULES
from theory.model.activations import RELU
from theory.model.problem import Problem
from theory.tools.choices import choose
from theory.tools.seeds import Seed, seed_number

__all__ = ["PRECISIONS", "Settings", "log_spaced", "model_of", "settled"]

PRECISIONS: dict[str, type[np.floating]] = {"float32": np.float32, "float64": np.float64}


@dataclass(frozen=True)
class Settings:
    """
    Everything about a training but the problem and the initial parameters.

    Attributes
    ----------
    instances : int
        Trained models per problem, >= 1.
    steps : int
        Gradient steps, >= 1.
    seed : None, int, SeedSequence, BitGenerator or Generator
        Seed of initial parameters and samples. Kept as the number that repeats the training: from a generator one is
        drawn, and None draws one from the operating system.
    batch : int
        Fresh samples per step and instance, >= 1.
    optimiser : {"adam", "adamw", "sgd"}
        Update rule.
    learning_rate : float
        Learning rate of the first step, > 0 and finite.
    schedule : {"constant", "linear", "cosine"}
        How the learning rate falls.
    momentum : float
        Momentum of "sgd", in [0, 1).
    weight_decay : float
        Decoupled weight decay of "adamw", >= 0.
    model : {"relu", "linear", "relu_hidden", "absolute"} or Model, optional
        Which model is trained; by default the one with tied weights and the problem's activation.
    precision : {"float32", "float64"}
        Arithmetic of the training.
    snapshots : tuple of int
        Steps after which the parameters are kept, ascending, in [0, steps].

    Examples
    --------
    >>> import numerics
    >>> numerics.Settings(steps=100, seed=3).seed
    3
    """

    instances: int = 8
    steps: int = 10_000
    seed: Seed = 0
    batch: int = 1024
    optimiser: str = "adam"
    learning_rate: float = 3e-3
    schedule: str = "cosine"
    momentum: float = 0.9
    weight_decay: float = 0.01
    model: str | Model | None = None
    precision: str = "float32"
    snapshots: Sequence[int] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "seed", seed_number(self.seed))
        for name, least in (("instances", 1), ("steps", 1), ("batch", 1)):
            object.__setattr__(self, name, _whole(name, getattr(self, name), least))
        if not (_is_number(self.learning_rate) and 0 < self.learning_rate < math.inf):
            raise ValueError(f"learning_rate must be finite and > 0, got {self.learning_rate!r}")
        if not (_is_number(self.momentum) and 0 <= self.momentum < 1):
            raise ValueError(f"momentum must lie in [0, 1), got {self.momentum!r}")
        if not (_is_number(self.weight_decay) and 0 <= self.weight_decay < math.inf):
            raise ValueError(f"weight_decay must be finite and >= 0, got {self.weight_decay!r}")
        choose("optimiser", self.optimiser, OPTIMISERS)
        choose("schedule", self.schedule, SCHEDULES)
        if self.model is not None:
            find_model(self.model)
        choose("precision", self.precision, PRECISIONS)
        object.__setattr__(self, "snapshots", _snapshot_steps(self.snapshots, self.steps))

    @property
    def dtype(self) -> type[np.floating]:
        """The NumPy type of the training's arithmetic."""
        return PRECISIONS[self.precision]

    @property
    def kind(self) -> Model:
        """The model that is trained; the plain toy model if none is named."""
        return find_model(RELU if self.model is None else self.model)

    def as_attributes(self) -> dict[str, object]:
        """
        Give the settings as plain numbers and strings, as they are stored beside the results.

        Returns
        -------
        dict
            JSON- and NetCDF-safe; the steps of the snapshots are a coordinate of the results and left out.
        """
        attributes = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "snapshots"}
        attributes["model"] = self.kind.name
        # NetCDF 3 holds 32-bit integers only.
        return {k: v if not isinstance(v, int) or v < 2**31 else str(v) for k, v in attributes.items()}


def model_of(problem: Problem, model: str | Model | None) -> Model:
    """
    Give the model that is trained on a problem.

    Parameters
    ----------
    problem : Problem
        The problem, with its activation and terms.
    model : str or Model, optional
        What the settings say; by default the problem's own.

    Returns
    -------
    Model
        With a decoder of its own if the problem's terms ask for it.

    Raises
    ------
    ValueError
        If the settings name a model that contradicts the terms.
    """
    terms = problem.terms
    if model is None:
        kind = find_model(problem.activation)
        return kind if terms.tied else replace(kind, name=f"{kind.name}_untied", tied=False)
    kind = find_model(model)
    if kind.tied and not terms.tied:
        raise ValueError(f"model {kind.name!r} has tied weights, but the problem's decoder is untied; leave out model")
    if kind.relu_hidden and not terms.plain:
        terms.refuse(f"model {kind.name!r}")
    return kind


def settled(settings: Settings | None, changes: Mapping[str, Any], **defaults: Any) -> Settings:
    """
    Give the settings of a training: those handed on, or the defaults, with what the caller changes.

    Parameters
    ----------
    settings : Settings, optional
        Settings that were made before.
    changes : mapping from str to object
        Fields of ``Settings`` by name; None leaves a field as it is, except that a seed of None is a new one.
    **defaults
        Fields that differ from the trainer's own where no settings are given.

    Returns
    -------
    Settings
        Checked.

    Raises
    ------
    ValueError
        If a setting is out of its range or unknown; the message names the nearest.
    """
    known = {f.name: f for f in fields(Settings)}
    given = {name: value for name, value in changes.items() if value is not None or name == "seed"}
    for name in given:
        choose("setting", name, known)
    if settings is None:
        return Settings(**(defaults | given))
    if "steps" in given:  # default snapshots are spaced anew
        given = {"snapshots": None} | given
    return replace(settings, **given)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _whole(name: str, value: object, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    return int(value)


def log_spaced(steps: int, count: int = 25) -> Int[ndarray, " snapshots"]:
    """
    Give the steps of the default snapshots: the start, the end, and about evenly spaced in log(step) between.

    Parameters
    ----------
    steps : int
        Steps of the training.
    count : int
        Number of snapshots after the start; fewer where rounding makes them coincide.

    Returns
    -------
    ndarray of int
        Ascending, from 0 to ``steps``.

    Examples
    --------
    >>> log_spaced(100, count=5)
    array([  0,   1,   3,  10,  32, 100])
    """
    return np.unique(np.concatenate([[0], np.rint(np.geomspace(1, steps, count)).astype(int)]))


def _snapshot_steps(snapshots: Sequence[int] | None, steps: int) -> tuple[int, ...]:
    if snapshots is None:
        return tuple(int(s) for s in log_spaced(steps))
    chosen = tuple(sorted({_whole("a snapshot's step", s, 0) for s in snapshots}))
    if chosen and chosen[-1] > steps:
        raise ValueError(f"snapshots must lie in [0, steps = {steps}], got {chosen[-1]}")
    return chosen
