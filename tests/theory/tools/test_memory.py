"""Memory that loops give back is theirs again: no page of it is fetched anew."""

import platform
import subprocess
import sys

import pytest

# Three arrays of a block, given back again and again. Each is of 64 pages or more.
_LOOP = """
import resource, sys
import numpy as np
from theory.tools.memory import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
def block():
    parts = [np.ones(40_000) for _ in range(3)]
    return sum(part[0] for part in parts)
for _ in range(3):
    block()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(100):
    block()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", _LOOP, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other libraries keep what they please")
def test_pages_of_freed_arrays_are_kept() -> None:
    assert _faults("returned") > 1000  # what the call is for
    assert _faults("kept") < 100
