"""Clusters that are not there: refused in one line, soon."""

import socket
import time
from pathlib import Path

import pytest

from tests.faults.processes import free_port, run


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("tcp://127.0.0.1:FREE", "no Dask scheduler answers at"),
        ("tcp://no.such.host.invalid:8786", "no Dask scheduler answers at"),
        ("nonsense", "address looks like tcp://127.0.0.1:8786"),
        ("tcp://127.0.0.1", "address looks like"),
        ("tcp://127.0.0.1:99999", "address looks like"),
        ("", "address looks like"),
    ],
)
def test_an_address_nobody_listens_at_is_refused_within_ten_seconds(address: str, reason: str, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    address = address.replace("FREE", str(free_port()))
    began = time.monotonic()
    code, _, err = run(["-m", "numerics.sweep", "--dask", address, "--output", str(tmp_path / "new")], tmp_path)
    assert time.monotonic() - began < 10
    assert code == 2
    assert reason in err
    assert err.count("\n") == 1
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_a_listener_that_is_no_scheduler_is_refused_within_ten_seconds(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        code, _, err = run(["-m", "numerics.sweep", "--dask", address], tmp_path)
    assert time.monotonic() - began < 10
    assert (code, err) == (2, f"python -m numerics.sweep: what listens at {address} is no Dask scheduler\n")
