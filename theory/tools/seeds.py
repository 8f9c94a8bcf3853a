"""Seeds as SciPy takes them, each brought to one number, which results keep."""

from collections.abc import Sequence

import numpy as np

__all__ = ["Seed", "generator", "seed_number"]

# What numpy.random.default_rng takes.
Seed = (
    int
    | np.integer
    | Sequence[int]
    | np.random.SeedSequence
    | np.random.BitGenerator
    | np.random.Generator
    | np.random.RandomState
    | None
)
# Numbers drawn for a seed lie below this: NetCDF 3 holds 32-bit integers.
_MOST = 2**31


def seed_number(seed: object) -> int:
    """
    Give the whole number that stands for a seed: with it the same result comes again.

    Parameters
    ----------
    seed : None, int, sequence of int, SeedSequence, BitGenerator, Generator or RandomState
        A number >= 0 stands for itself, and ``SeedSequence(k)`` for k. From a generator a number is drawn, so that
        using it again gives another one. None draws from the operating system.

    Returns
    -------
    int
        The number, as results store it; below 2**31 unless a larger one was given.

    Raises
    ------
    ValueError
        If a number is negative.
    TypeError
        If it is anything else.

    Examples
    --------
    >>> seed_number(3), seed_number(np.random.SeedSequence(3)), seed_number(np.random.default_rng(3))
    (3, 3, 1742692732)
    """
    if isinstance(seed, (int, np.integer)) and not isinstance(seed, bool):
        if seed < 0:
            raise ValueError(f"seed must be at least 0, got {seed}")
        return int(seed)
    if isinstance(seed, np.random.SeedSequence):
        plain = isinstance(seed.entropy, int) and not seed.spawn_key and seed.pool_size == 4
        return int(seed.entropy) if plain else int(seed.generate_state(1)[0]) % _MOST  # type: ignore[arg-type]
    return int(generator(seed).integers(_MOST))


def generator(seed: object) -> np.random.Generator:
    """
    Give the generator of a seed.

    Parameters
    ----------
    seed : None, int, sequence of int, SeedSequence, BitGenerator, Generator or RandomState
        A generator is used as it is, and moves on.

    Returns
    -------
    numpy.random.Generator
        Source of randomness.

    Raises
    ------
    ValueError
        If a number is negative.
    TypeError
        If it is anything else.

    Examples
    --------
    >>> generator(np.random.PCG64(1)).random() == generator(1).random()
    True
    """
    if isinstance(seed, np.random.RandomState):
        return np.random.default_rng(seed._bit_generator)
    if isinstance(seed, (bool, str, bytes)):
        raise _refusal(seed)
    try:
        return np.random.default_rng(seed)  # type: ignore[arg-type]
    except TypeError:
        raise _refusal(seed) from None
    except ValueError:
        raise ValueError(f"seed must be at least 0, got {seed!r}") from None


def _refusal(seed: object) -> TypeError:
    return TypeError(
        "seed must be None, a whole number >= 0, or a NumPy SeedSequence, BitGenerator or Generator, "
        f"got {type(seed).__name__} {seed!r}"
    )
