"""Hostile and unlucky files: refused before the work, recomputed, waited for; never overwritten by accident."""

from figures.shared.script import Settings, load, obtain

import io
import tracemalloc
import zipfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from numerics.agreement.weights import read_weights
from numerics.sweep.cache import Cache, checksum
from numerics.sweep.grid import run_sweep
from tests.faults.processes import ended, run, start, wait_for
from theory.model.extra_feature import extra_feature_problem
from theory.tools.command import run_command
from theory.tools.storage import load_result, save_result

pytestmark = pytest.mark.usefixtures("at_full_speed")

GRID = extra_feature_problem(2, 1, np.geomspace(0.05, 1, 2)[:, None], np.geomspace(0.1, 10, 2))
QUICK = {"instances": 64, "steps": 5}

# Every command that writes files: its module, arguments, a file of its, and the function that does the work.
COMMANDS = {
    "theory.phase_diagram.__main__": ([], "phase_diagram_n3_m2.png", "_prepare"),
    "theory.derive": ([], "derive_n2_m1.txt", "theory.symbolic.derivation.derivation.derive_report"),
    "theory.transitions.__main__": ([], "crossings.csv", "theory.transitions.crossing_table.crossing_table"),
    "theory.search.irreducible": ([], "irreducible.json", "find_irreducible"),
    "theory.search.product_table": ([], "products.md", "compare_products"),
    "theory.search.best_known": ([], "best_known.md", "best_known"),
    "theory.optimum.one_sparse": ([], "one_sparse.csv", "one_sparse_table"),
    "numerics.agreement.__main__": ([], "agreement_n5_m2.nc", "train_and_judge"),
    "numerics.sweep.__main__": ([], "sweep_n2_m1.nc", "numerics.sweep.grid._fill"),
    "figures.__main__": (["--only", "polygons"], "polygons.png", "obtain"),
    "figures.claims": ([], "claims.json", "collect"),
}
REFUSED = {
    "theory.phase_diagram.__main__": ["--n", "3", "--m", "3"],
    "theory.derive": ["--n", "2", "--m", "3"],
    "theory.transitions.__main__": ["--n-max", "99"],
    "theory.search.product_table": ["--n-max", "99"],
    "theory.search.best_known": ["--n", "99"],
    "theory.optimum.one_sparse": ["--k-max", "2"],
    "numerics.agreement.__main__": ["--n", "3", "--density", "0.1", "0.2"],
    "numerics.sweep.__main__": ["--density", "0.5", "0.1"],
}


def refused(module: str, arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that should refuse; its line."""
    with pytest.raises(SystemExit) as stop:
        run_command(import_module(module).main, module, arguments)
    assert stop.value.code == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize("content", [b"years of work", b"CDF, a diary"], ids=["text", "no NetCDF file"])
@pytest.mark.parametrize("module", COMMANDS)
def test_a_file_of_somebody_else_is_refused_before_the_work(
    module: str, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, name, work = COMMANDS[module]
    monkeypatch.setattr(work if "." in work else f"{module}.{work}", lambda *a, **k: pytest.fail("worked"))
    if module == "figures.claims":
        arguments = ["--results", str(tmp_path / "results")]
    (tmp_path / name).write_bytes(content)
    assert "exists already" in refused(module, [*arguments, "--output", str(tmp_path)], capsys)
    assert (tmp_path / name).read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("module", REFUSED)
def test_a_refusal_comes_before_the_work_and_leaves_no_folder(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    work = COMMANDS[module][2]
    if module != "theory.derive":  # which checks as the first part of its work
        monkeypatch.setattr(work if "." in work else f"{module}.{work}", lambda *a, **k: pytest.fail("worked"))
    refused(module, [*REFUSED[module], "--output", str(tmp_path / "new")], capsys)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("module", COMMANDS)
def test_a_folder_that_cannot_be_written_is_refused_before_the_work(
    module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, _, work = COMMANDS[module]
    monkeypatch.setattr(work if "." in work else f"{module}.{work}", lambda *a, **k: pytest.fail("worked"))
    assert "cannot write" in refused(module, [*arguments, "--output", "/proc/nowhere"], capsys)


@pytest.mark.parametrize("module", COMMANDS)
def test_a_folder_that_cannot_even_be_looked_for_is_refused(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As one inside another user's folder, or one whose name is too long."""
    arguments, _, work = COMMANDS[module]
    monkeypatch.setattr(work if "." in work else f"{module}.{work}", lambda *a, **k: pytest.fail("worked"))
    name = str(tmp_path / ("x" * 300))
    assert f"cannot write to {name}: File name too long" in refused(module, [*arguments, "--output", name], capsys)


@pytest.mark.slow
def test_with_overwrite_a_foreign_file_is_replaced_and_the_own_one_always_is(tmp_path: Path) -> None:
    diagram = ["-m", "theory.phase_diagram", "--n", "2", "--m", "1", "--resolution", "2", "--workers", "1"]
    numbers = tmp_path / "phase_diagram_n2_m1.nc"
    numbers.write_text("years of work")
    assert run(diagram, tmp_path)[0] == 2
    assert run([*diagram, "--overwrite"], tmp_path)[::2] == (0, "")
    first = numbers.read_bytes()
    numbers.write_bytes(first[:1000])
    assert run(diagram, tmp_path)[::2] == (0, "")
    assert numbers.read_bytes() == first


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the results of a figure."""
    folder = tmp_path_factory.mktemp("figure")
    obtain("polytopes", folder, Settings(quick=True, workers=1))
    return folder


@pytest.mark.parametrize("length", [0, 100, 2000, -1000])
def test_a_truncated_figure_is_computed_again(
    length: int, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(quick=True, workers=1)
    data = load(made, "polytopes", settings)
    monkeypatch.setattr("figures.polytopes.compute", lambda settings: data)
    _, computed = obtain("polytopes", tmp_path, settings)
    path = tmp_path / "polytopes.nc"
    content = path.read_bytes()
    path.write_bytes(content[:length])
    assert computed
    assert load(tmp_path, "polytopes", settings) is None
    assert obtain("polytopes", tmp_path, settings)[1]
    assert path.read_bytes() == content
    (tmp_path / "polytopes.png").unlink()
    assert not obtain("polytopes", tmp_path, settings)[1]
    assert (tmp_path / "polytopes.png").exists()


def test_a_cache_entry_under_the_name_of_another_key_is_computed_again(tmp_path: Path) -> None:
    whole = run_sweep(GRID, tmp_path / "whole.nc", **QUICK)
    cache = Cache(tmp_path / "cache")
    with cache.held():
        cache.put("a", whole)
        assert cache.get("a").identical(whole)
        cache.path("b").write_bytes(cache.path("a").read_bytes())
        with pytest.warns(RuntimeWarning, match="does not match its checksum"):
            assert cache.get("b") is None
        assert cache.get("a").identical(whole)
    assert checksum(whole, "a") != checksum(whole, "b")


def test_a_truncated_sweep_is_computed_again(tmp_path: Path) -> None:
    target = tmp_path / "sweep.nc"
    whole = run_sweep(GRID, target, **QUICK)
    content = target.read_bytes()
    target.write_bytes(content[: len(content) // 2])
    with pytest.warns(RuntimeWarning, match="is damaged; computing it again"):
        assert run_sweep(GRID, target, **QUICK).identical(whole)
    assert target.read_bytes() == content


@pytest.mark.slow
def test_of_two_sweeps_into_one_output_the_second_waits_and_uses_the_first(tmp_path: Path) -> None:
    sweep = ["-m", "numerics.sweep", "--resolution", "4", "--instances", "32", "--steps", "1500", "--output", "one"]
    first = start(sweep, tmp_path)
    assert wait_for(lambda: len(list(tmp_path.glob("one/*.cache/*.nc"))) >= 1)
    second = start(sweep, tmp_path)
    code, told, err = ended(first)
    assert (code, told.splitlines()[-1], err) == (0, "one/sweep_n2_m1.nc", "")
    written = (tmp_path / "one" / "sweep_n2_m1.nc").stat().st_mtime_ns
    code, out, err = ended(second)
    assert (code, out) == (0, told)
    assert err == "another process is working on sweep_n2_m1.nc; waiting for it\n"
    assert (tmp_path / "one" / "sweep_n2_m1.nc").stat().st_mtime_ns == written
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["sweep_n2_m1.nc"]


def bomb(path: Path, name: str, shape: tuple[int, ...]) -> None:
    """Write an archive of models with one more array in it, a thousand times larger than its file."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for key, value in (("W", np.ones((2, 5))), ("b", np.zeros(5))):
            if key != name:
                buffer = io.BytesIO()
                np.save(buffer, value)
                archive.writestr(f"{key}.npy", buffer.getvalue())
        with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
            for _ in range(8 * int(np.prod(shape)) // 2**20):
                file.write(bytes(2**20))


def test_what_is_packed_beside_weights_is_not_unpacked(tmp_path: Path) -> None:
    bomb(tmp_path / "model.npz", "other", (2**24,))  # 128 MB
    tracemalloc.start()
    try:
        W = read_weights(tmp_path / "model.npz", 5, 2)[0]
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()
    assert W.shape == (1, 2, 5)


def header(shape: tuple[int, ...]) -> bytes:
    """What a .npy file begins with, checked by nobody."""
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    ("begin", "reason"),
    [
        (header((-1, 2, 5)), "a negative length"),
        (b"\x93NUMPY\x02\x00" + (2**27).to_bytes(4, "little"), "a header of 134217728 bytes"),
    ],
    ids=["negative shape", "long header"],
)
def test_an_array_that_does_not_say_how_long_it_is_is_not_unpacked(begin: bytes, reason: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("W.npy", begin + bytes(2**25))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=reason):
            read_weights(tmp_path / "model.npz", 5, 2)
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


def test_a_packed_file_of_torch_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("numerics.agreement.files._LARGEST", 2**20)
    path = tmp_path / "model.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model/data/0", bytes(2**21))
    assert path.stat().st_size < 2**14
    with pytest.raises(ValueError, match="when it is unpacked"):
        read_weights(path, 5, 2)


@pytest.mark.filterwarnings("ignore")  # what xarray thinks of such files
def test_no_bit_of_a_result_changes_unnoticed(tmp_path: Path) -> None:
    path = tmp_path / "result.nc"
    whole = xr.Dataset(
        {"a": ("x", np.arange(3.0)), "k": ("x", [1, 2, 3])}, {"name": ("x", ["a", "bb", "c"])}, {"seed": 1, "by": "me"}
    )
    save_result(whole, path)
    content = path.read_bytes()
    assert load_result(path).identical(whole.assign(k=whole["k"].astype("int32")))
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :])
        with pytest.raises(OSError, match=r"damaged|no NetCDF"):
            load_result(path)


def test_a_result_of_an_older_version_is_read(tmp_path: Path) -> None:
    old = xr.Dataset({"a": ("x", np.arange(3.0))}, attrs={"by": "me"})
    old.to_netcdf(tmp_path / "old.nc", engine="scipy", format="NETCDF3_64BIT")
    assert load_result(tmp_path / "old.nc").identical(old)


def test_a_flipped_bit_of_a_sweep_is_trained_again(tmp_path: Path) -> None:
    path = tmp_path / "sweep.nc"
    run_sweep(GRID, path, **QUICK)
    content = path.read_bytes()
    path.write_bytes(content[:-40] + bytes([content[-40] ^ 1]) + content[-39:])
    with pytest.warns(RuntimeWarning, match="is damaged; computing it again"):
        run_sweep(GRID, path, **QUICK)
    assert path.read_bytes() == content


def test_the_result_of_another_figure_is_not_taken_for_this_one(made: Path, tmp_path: Path) -> None:
    (tmp_path / "polygons.nc").write_bytes((made / "polytopes.nc").read_bytes())
    assert load(made, "polytopes", Settings(quick=True)) is not None
    assert load(tmp_path, "polygons", Settings(quick=True)) is None


@pytest.mark.parametrize("name", ["W", "b"])
def test_weights_that_would_fill_the_memory_are_refused_unread(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for key in ("W", "b"):
            with archive.open(f"{key}.npy", "w") as file:
                shape = (10**12, 2, 5) if key == name else (2, 5) if key == "W" else (5,)
                np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
                file.write(bytes(80))
    with pytest.raises(ValueError, match="the limit is 1 GiB"):
        read_weights(path, 5, 2)


def test_a_seed_that_the_file_cannot_hold_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("numerics.sweep.grid._fill", lambda *a: pytest.fail("worked"))
    arguments = ["--seed", str(2**31), "--output", str(tmp_path / "new")]
    assert "must lie below 2**31" in refused("numerics.sweep.__main__", arguments, capsys)
    assert list(tmp_path.iterdir()) == []
