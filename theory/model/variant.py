"""The variant of the toy model's task that a command works on: one group of options, and what they say together.

Every command that builds problems adds the same options (``add_variant``) and hands their ``Variant`` on to whoever
builds problems from sizes, density and importance. A new option is a field here, an argument in ``add_variant``, and a
line in ``Variant.problem``.
"""

import argparse
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from theory.model.features import FeatureDistribution, Independent
from theory.model.problem import Problem
from theory.model.set_families import Equicorrelated
from theory.model.set_laws import ALL_OR_NONE, SetLaw
from theory.model.set_names import SET_GRAMMAR, name_of_sets, sets_of_names
from theory.model.terms import DECODERS, PLAIN, Terms
from theory.model.value_names import VALUE_GRAMMAR
from theory.model.values import UNIFORM, ValueLaw, value_law

__all__ = ["STANDARD", "Variant", "add_variant", "shortened", "variant_of"]

# Characters of a law in a title.
_LONGEST = 56
# A table of values or patterns in a law's name.
_TABLE = re.compile(r"(discrete|table):((?:[^\s,@]+@[^\s,@]+,?)+)")


@dataclass(frozen=True)
class Variant:
    """
    What a command's options say of a problem besides its sizes, densities and importances.

    Attributes
    ----------
    values : ValueLaw
        Law of an active feature's value.
    sets : tuple of (int, SetLaw)
        Sizes and laws of sets, which take the features in order; those left over are independent.
    terms : Terms
        Decoder, given bias, unit norms, noise and penalties.
    """

    values: ValueLaw = UNIFORM
    sets: tuple[tuple[int, SetLaw], ...] = ()
    terms: Terms = PLAIN

    def features(self, density: ArrayLike) -> FeatureDistribution:
        """
        Build the distribution of features.

        Parameters
        ----------
        density : array_like, shape (n,) or (*batch, n)
            Probability that each feature is active, in (0, 1]; equal within a set. In sets whose members differ, such
            as hierarchies, that of the most frequent member.

        Returns
        -------
        FeatureDistribution
            Features of these densities.

        Raises
        ------
        ValueError
            If there are too few features for the sets, or densities within a set differ or are higher than its law
            allows.
        """
        if not self.sets:
            return Independent(density, values=self.values)
        q = np.asarray(density, dtype=float)
        n, first = q.shape[-1], 0
        members, densities, laws = [], [], []
        sizes = sum(size for size, _ in self.sets)
        if sizes > n:
            raise ValueError(f"--sets take {sizes} features, but there are n = {n}")
        for size, law in (*self.sets, *[(1, ALL_OR_NONE)] * (n - sizes)):
            members.append(range(first, first + size))
            own = q[..., first : first + size]
            if (own != own[..., :1]).any():
                raise ValueError("features of a set have one density, but they were given different ones")
            densities.append(law.set_density(own[..., 0], size))
            laws.append(law)
            first += size
        return FeatureDistribution(members, np.stack(densities, axis=-1), laws, self.values)

    def problem(self, n: int, m: int, density: ArrayLike, importance: ArrayLike = 1.0) -> Problem:
        """
        Build a problem.

        Parameters
        ----------
        n, m : int
            Number of features and of hidden dimensions.
        density : array_like, shape () or (n,) or (*batch, n)
            Probability that each feature is active, in (0, 1].
        importance : array_like, shape () or (n,) or (*batch, n)
            Weight of each feature in the loss, >= 0.

        Returns
        -------
        Problem
            A single problem, or a batch.

        Raises
        ------
        ValueError
            If the variant does not fit the number of features.
        """
        p = np.asarray(density, dtype=float)
        features = self.features(p if p.ndim else np.full(n, p))
        return Problem(n=n, m=m, features=features, importance=importance, terms=self.terms)

    def check(self, n: int, density: float) -> None:
        """
        Refuse, before any work, what does not fit a number of features or a density.

        Parameters
        ----------
        n : int
            Number of features.
        density : float
            The highest density there will be.

        Raises
        ------
        ValueError
            If the variant does not fit.
        """
        self.problem(n, 1, density)

    def told(self) -> dict[str, str]:
        """Give what results are saved with: one text per option that is not the usual one."""
        texts = {"values": self.values.name, "sets": name_of_sets(self.sets), "terms": repr(self.terms)}
        return {name: text for name, text in texts.items() if getattr(self, name) != getattr(STANDARD, name)}

    @classmethod
    def read(cls, attrs: Mapping[Any, Any]) -> str:
        """
        Say what a saved result's variant was.

        Parameters
        ----------
        attrs : mapping
            Attributes that ``told`` gave.

        Returns
        -------
        str
            Such as "values exponential, sets 2:exactly-one", long ones cut short; empty for the usual one.
        """
        return ", ".join(f"{f.name} {shortened(str(attrs[f.name]))}" for f in fields(cls) if f.name in attrs)


def shortened(text: str) -> str:
    """
    Cut a law's name short, for titles and tables.

    Parameters
    ----------
    text : str
        The name; that of a measured law has all its values.

    Returns
    -------
    str
        At most 56 characters: lists of values or patterns with probabilities in words, and what is longer even so
        without its end.

    Examples
    --------
    >>> shortened("discrete:" + ",".join(f"{0.25 * k}@0.1" for k in range(1, 11)))
    'discrete law of 10 values, 0.25 to 2.5'
    >>> shortened("2x2:partial:0.7 3:exactly-one 4:exactly:2 2:correlated:0.25")
    '2x2:partial:0.7 3:exactly-one 4:exactly:2 …'
    """
    if len(text) <= _LONGEST:
        return text
    told = _TABLE.sub(_in_words, text)
    if len(told) <= _LONGEST:
        return told
    end = max(told.rfind(sign, 0, _LONGEST - 1) for sign in " ,")  # not within a number
    return f"{told[: end if end > 0 else _LONGEST - 2].rstrip(' ,')} …"


def _in_words(table: re.Match[str]) -> str:
    """How many values or patterns a table has, and from where to where its values go."""
    kind, entries = table.groups()
    named = [entry.partition("@")[0] for entry in entries.rstrip(",").split(",")]
    if kind == "table":
        return f"table of {len(named)} patterns"
    values = [float(value) for value in named]
    return f"{kind} law of {len(values)} values, {min(values):.2g} to {max(values):.2g}"


STANDARD = Variant()


def add_variant(parser: argparse.ArgumentParser) -> None:
    """
    Add the options that choose a variant, as one group.

    Parameters
    ----------
    parser : ArgumentParser
        The command's parser.
    """
    add = parser.add_argument_group("variant of the task").add_argument
    add("--values", default="uniform", metavar="LAW", help=f"law of an active feature's value: {VALUE_GRAMMAR}")
    add(
        "--sets",
        nargs="+",
        default=[],
        metavar="SET",
        help=f"features that are active together or not, in order, the others being independent: {SET_GRAMMAR}",
    )
    add(
        "--correlation",
        type=float,
        default=None,
        metavar="RHO",
        help="correlation of the activities of two members of a set, for --sets without a law; without --sets all "
        "features are one set",
    )
    add("--decoder", choices=DECODERS, default="tied", help="whether W_out is W^T or free; free not "
        "in phase diagrams")  # fmt: skip
    add("--bias", type=float, nargs="+", default=None, metavar="B", help="output bias, if it is given instead of "
        "learned: one number, 0 for a model without bias, or one per feature")  # fmt: skip
    add("--unit-norms", action="store_true", help="columns of W have length 1; not in phase diagrams")
    add("--noise", type=float, default=0.0, metavar="SIGMA", help="standard deviation of noise on the hidden layer")
    add("--weight-decay", type=float, default=0.0, metavar="LAMBDA", help="adds LAMBDA/2 times the squares of all "
        "weights to the loss")  # fmt: skip
    add("--l1", type=float, default=0.0, metavar="LAMBDA", help="adds LAMBDA times the L1 norm of the hidden values to "
        "the loss")  # fmt: skip


def _terms(options: argparse.Namespace) -> Terms:
    bias = options.bias
    return Terms(
        decoder=options.decoder,
        bias=None if bias is None else bias[0] if len(bias) == 1 else tuple(bias),
        unit_norms=options.unit_norms,
        noise=options.noise,
        decay=options.weight_decay,
        l1=options.l1,
    )


def variant_of(options: argparse.Namespace) -> Variant:
    """
    Read the variant off a command's options.

    Parameters
    ----------
    options : Namespace
        Parsed options of a parser to which ``add_variant`` was applied.

    Returns
    -------
    Variant
        What they say.

    Raises
    ------
    ValueError
        If one of them is unknown or out of range.
    """
    sets, rho, terms = options.sets, options.correlation, _terms(options)
    if rho is None:
        return Variant(values=value_law(options.values), sets=sets_of_names(sets), terms=terms)
    if all(":" in one for one in sets) and sets:
        raise ValueError("--correlation is for --sets without a law, but all of them have one")
    law = Equicorrelated(rho)
    return Variant(values=value_law(options.values), sets=sets_of_names(sets or [str(options.n)], law), terms=terms)
