"""Value laws by name, with parameters: what commands, ``Problem(values=...)`` and results call them.

A name, or a name, a colon and numbers with commas between them, such as ``exponential``, ``uniform:-1,1``,
``discrete:1@0.25,3@0.75``, ``scipy:weibull_min,1.5`` or ``sample:activations.npy``. ``signed:`` before a law gives its
values either sign.
"""

import reprlib
from collections.abc import Callable

import numpy as np

from theory.model.affine_values import Affine
from theory.model.discrete_values import Discrete
from theory.model.numerical_values import Numerical, scipy_law
from theory.model.sample_values import sample_law_of_file
from theory.model.value_families import Gamma, HalfNormal, Normal
from theory.model.value_protocol import ValueLaw
from theory.model.values import BINARY, UNIFORM, Symmetrised
from theory.tools.numbers import shortest

__all__ = ["VALUE_GRAMMAR", "closed_form", "interval", "laplace", "value_law_of_name"]


def interval(low: float, high: float) -> ValueLaw:
    """
    Give the law U[low, high].

    Parameters
    ----------
    low, high : float
        Ends, low < high.

    Returns
    -------
    ValueLaw
        Uniform on the interval.

    Raises
    ------
    ValueError
        If low is not below high.
    """
    if not low < high:
        raise ValueError(f"uniform values need LOW < HIGH, got {low:g} and {high:g}")
    if (low, high) == (0, 1):
        return UNIFORM
    return Affine(UNIFORM, low, high - low, f"uniform:{shortest(low)},{shortest(high)}")


def laplace(mean: float = 0.0, scale: float = 1.0) -> ValueLaw:
    """
    Give the Laplace law.

    Parameters
    ----------
    mean : float
        Its centre.
    scale : float
        Mean distance from it, > 0.

    Returns
    -------
    ValueLaw
        An exponential of either sign, shifted.
    """
    return Affine(Symmetrised(Gamma()), mean, scale, f"laplace:{shortest(mean)},{shortest(scale)}")


def closed_form(distribution: str, shapes: tuple[float, ...], location: float, scale: float) -> ValueLaw | None:
    """
    Find the record with closed forms of a distribution of scipy.stats, which is many times as quick as its panels.

    Parameters
    ----------
    distribution : str
        Its name there.
    shapes : tuple of float
        Its shape parameters.
    location, scale : float
        Where it begins or is centred, and its scale, > 0.

    Returns
    -------
    ValueLaw or None
        The law; None if there is no closed form, or if the numbers are not in range.
    """
    if distribution not in _OF_SCIPY or not (np.isfinite([*shapes, location, scale]).all() and scale > 0):
        return None
    return _OF_SCIPY[distribution](*shapes, location, scale)


def _placed(law: ValueLaw, location: float) -> ValueLaw:
    return Affine(law, location, 1.0) if location else law


# Of shape parameters, location and scale.
_OF_SCIPY: dict[str, Callable[..., ValueLaw]] = {
    "uniform": lambda low, width: interval(low, low + width),
    "expon": lambda low, scale: _placed(Gamma(1.0, scale), low),
    "gamma": lambda shape, low, scale: _placed(Gamma(shape, scale), low),
    "norm": Normal,
    "halfnorm": lambda low, scale: _placed(HalfNormal(scale), low),
    "laplace": laplace,
}


def _uniform(*ends: float) -> ValueLaw:
    return interval(*((0.0, *ends)[-2:] if ends else (0.0, 1.0)))


# Name, how its parameters are written, the fewest and most of them, and what makes the law of them.
_FAMILIES: dict[str, tuple[str, int, int, Callable[..., ValueLaw]]] = {
    "uniform": ("[:HIGH or :LOW,HIGH]", 0, 2, _uniform),
    "binary": ("", 0, 0, lambda: BINARY),
    "constant": (":C", 1, 1, lambda c: BINARY if c == 1 else Discrete((c,))),
    "exponential": ("[:SCALE]", 0, 1, lambda scale=1.0: Gamma(1.0, scale)),
    "half-normal": ("[:SCALE]", 0, 1, HalfNormal),
    "normal": ("[:MEAN,DEVIATION]", 0, 2, Normal),
    "laplace": ("[:MEAN,SCALE]", 0, 2, laplace),
    "gamma": (":SHAPE[,SCALE]", 1, 2, Gamma),
    "beta": (":A,B", 2, 2, lambda a, b: Numerical("beta", (a, b))),
}
VALUE_GRAMMAR = (
    f"{', '.join(name + usage for name, (usage, *_) in _FAMILIES.items())}, discrete:VALUE@PROBABILITY,..., "
    "scipy:NAME[,PARAMETER...], sample:FILE[,GROUPS], or signed: before one of non-negative values"
)


def value_law_of_name(text: str) -> ValueLaw:
    """
    Read a value law.

    Parameters
    ----------
    text : str
        As ``VALUE_GRAMMAR`` says.

    Returns
    -------
    ValueLaw
        The record.

    Raises
    ------
    ValueError
        If there is no such law, or its parameters are not numbers, too many or too few, or out of range.
    """
    name, _, rest = text.strip().partition(":")
    if name == "signed":
        return Symmetrised(value_law_of_name(rest))
    if name == "scipy":
        distribution, *parameters = rest.split(",")
        return scipy_law(distribution, tuple(_number(x, text) for x in parameters))
    if name == "sample":
        return sample_law_of_file(rest)
    if name == "discrete":
        atoms = [atom.partition("@") for atom in rest.split(",")]
        if not all(at for _, at, _ in atoms):
            raise ValueError(f"discrete values are written VALUE@PROBABILITY,..., got {text!r}")
        return Discrete(tuple(_number(v, text) for v, _, _ in atoms), tuple(_number(q, text) for _, _, q in atoms))
    if name not in _FAMILIES:
        raise ValueError(f"values must be {VALUE_GRAMMAR}; got {reprlib.repr(text)}{_in_scipy(name, rest)}")
    _, fewest, most, make = _FAMILIES[name]
    numbers = [_number(x, text) for x in rest.split(",")] if rest else []
    if not fewest <= len(numbers) <= most:
        wanted = str(fewest) if fewest == most else f"{fewest} to {most}"
        raise ValueError(f"{name} values take {wanted} parameters, got {text!r}")
    return make(*numbers)


# What others call distributions whose names in scipy.stats are short.
_IN_SCIPY = {
    "lognormal": "lognorm",
    "log-normal": "lognorm",
    "weibull": "weibull_min",
    "binomial": "binom",
    "geometric": "geom",
    "negative-binomial": "nbinom",
    "student": "t",
}


def _in_scipy(name: str, rest: str) -> str:
    """Say how a distribution of scipy.stats is written, if that is what was meant."""
    import scipy.stats

    name = _IN_SCIPY.get(name, name)
    if not isinstance(getattr(scipy.stats, name, None), (scipy.stats.rv_continuous, scipy.stats.rv_discrete)):
        return ""
    return f"; did you mean 'scipy:{name}{',' if rest else ''}{rest}'?"


def _number(part: str, text: str) -> float:
    try:
        return float(part)
    except ValueError:
        raise ValueError(f"a parameter of values must be a number, got {part!r} in {text!r}") from None
