"""The variant of the toy model's task that a command works on: one group of options, and what they say together.

Every command that builds problems adds the same options (``add_variant``) and hands their ``Variant`` on to whoever
builds problems from sizes, density and importance. A new option is a field here, an argument in ``add_variant``, and a
line in ``Variant.problem``.
"""

import argparse
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from theory.model.features import FeatureDistribution, Independent
from theory.model.problem import Problem
from theory.model.values import UNIFORM, ValueLaw, value_law

__all__ = ["STANDARD", "Variant", "add_variant", "variant_of"]


@dataclass(frozen=True)
class Variant:
    """
    What a command's options say of a problem besides its sizes, densities and importances.

    Attributes
    ----------
    values : ValueLaw
        Law of an active feature's value.
    """

    values: ValueLaw = UNIFORM

    def features(self, density: ArrayLike) -> FeatureDistribution:
        """
        Build the distribution of features.

        Parameters
        ----------
        density : array_like, shape (n,) or (*batch, n)
            Probability that each feature is active, in (0, 1].

        Returns
        -------
        FeatureDistribution
            Features of these densities.
        """
        return Independent(density, values=self.values)

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
        return Problem(n=n, m=m, features=features, importance=importance)

    def told(self) -> dict[str, str]:
        """Give what results are saved with: one text per option that is not the usual one."""
        return {name: repr(value) for name, value in vars(self).items() if value != getattr(STANDARD, name)}


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
    add("--values", default="uniform", metavar="LAW", help="law of an active feature's value")


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
    return Variant(values=value_law(options.values))
