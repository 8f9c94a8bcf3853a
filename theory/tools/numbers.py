"""Numbers as text that is read back as the same number."""

__all__ = ["shortest"]


def shortest(number: float) -> str:
    """
    Write a number in few digits if they are all of it, else in as many as it takes.

    Parameters
    ----------
    number : float
        The number.

    Returns
    -------
    str
        ``float`` of it is the number again.

    Examples
    --------
    >>> shortest(2.0), shortest(0.7), shortest(1 / 3)
    ('2', '0.7', '0.3333333333333333')
    """
    few = f"{number:g}"
    return few if float(few) == number else repr(float(number))
