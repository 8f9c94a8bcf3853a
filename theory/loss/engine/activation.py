"""Squared errors of piecewise linear activations, told by their kinks.

An activation that is a line s_0 z plus sum_q d_q ReLU(z - theta_q) has ReLU(y) = (y + |y|)/2, and the expected squared
error of an output is a polynomial in moments plus, per kink, multiples of E|y|, E y|y| and E x|y| with y = z - theta.
"""

from dataclasses import dataclass

from theory.model.activations import Activation

__all__ = ["SquaredError", "leaky_relu", "squared_error"]


@dataclass(frozen=True)
class SquaredError:
    """
    E (x - f(z))^2 as moments and kinks.

    Attributes
    ----------
    linear_cross, square : float
        The coefficients of E xz and E z^2; that of E x^2 is 1.
    kinks : tuple of (theta, absolute, signed_square, cross)
        Where each kink is, and the coefficients of E|y|, E y|y| and E x|y|, y = z - theta.
    """

    linear_cross: float
    square: float
    kinks: tuple[tuple[float, float, float, float], ...]

    @property
    def homogeneous(self) -> bool:
        """Whether it grows with the square if x and z grow alike."""
        return not any(place or absolute for place, absolute, _, _ in self.kinks)


def leaky_relu(slope: float = 0.0) -> SquaredError:
    """
    Give the squared error of f(z) = max(z, 0) + slope min(z, 0).

    Parameters
    ----------
    slope : float
        Slope for negative z: 0 is ReLU, 1 the linear model.

    Returns
    -------
    SquaredError
        E x^2 - (1+s) E xz - (1-s) E x|z| + ((1+s^2) E z^2 + (1-s^2) E z|z|)/2.

    Examples
    --------
    >>> leaky_relu(0).kinks
    ((0.0, 0.0, 0.5, -1.0),)
    """
    return SquaredError(
        linear_cross=-(1 + slope),
        square=(1 + slope**2) / 2,
        kinks=((0.0, 0.0, (1 - slope**2) / 2, -(1.0 - slope)),),
    )


def squared_error(activation: Activation) -> SquaredError:
    """
    Read the squared error off an activation's record.

    Parameters
    ----------
    activation : Activation
        Of at most two straight pieces that meet at 0.

    Returns
    -------
    SquaredError
        The same as moments and kinks.
    """
    activation.require_straight()
    cross, square, absolute_cross, signed_square = map(float, activation.weights)
    kinks = ((0.0, 0.0, signed_square, absolute_cross),) if activation.kinks else ()
    return SquaredError(linear_cross=cross, square=square, kinks=kinks)
