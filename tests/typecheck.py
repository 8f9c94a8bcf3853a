"""The type checker that pytest runs the packages under: beartype, with floats accepted where complex is.

NumPy's ``ArrayLike`` names ``complex`` for any Python number (PEP 484's numeric tower), which beartype takes literally
unless told otherwise.
"""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
