"""Files that other people's training wrote: every format, layout and name; ambiguity is refused."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import numerics
import theory
from numerics.agreement.__main__ import main
from numerics.agreement.instances import GivenModels, given_models, judge_each, per_instance
from numerics.agreement.weights import arrange_weights, read_weights
from theory.optimum.biases import best_bias
from theory.tools.command import run_command
from theory.tools.storage import load_result

FIXTURE = Path(__file__).parent / "data" / "features_first.pt"
RNG = np.random.default_rng(0)
W = RNG.standard_normal((4, 2, 5))
B = RNG.standard_normal((4, 5))


def written(folder: Path, suffix: str, arrays: dict[str, np.ndarray], nest: str = "") -> Path:
    """Write arrays the way that each format's own library does."""
    path = folder / f"model{suffix}"
    if suffix == ".npz":
        np.savez(path, **arrays)  # type: ignore[arg-type]
    elif suffix == ".safetensors":
        from safetensors.numpy import save_file

        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path)
    else:
        torch = pytest.importorskip("torch", reason="torch is not installed: .pt files are only read where it is")
        tensors = {name: torch.nn.Parameter(torch.tensor(array)) for name, array in arrays.items()}
        torch.save({nest: tensors, "epoch": 3} if nest else tensors, path)
    return path


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".pt", ".pth", ".ckpt"])
@pytest.mark.parametrize("layout", ["(m, n)", "(n, m)", "(k, m, n)", "(k, n, m)"])
@pytest.mark.parametrize("names", [("W", "b"), ("model.W", "model.b_final"), ("embed.weight", "bias"), ("weights", "")])
def test_every_format_layout_and_name_comes_back(
    suffix: str, layout: str, names: tuple[str, str], tmp_path: Path
) -> None:
    weights, biases = (W, B) if "k" in layout else (W[0], B[0])
    saved = weights.swapaxes(-1, -2) if "n, m" in layout else weights
    arrays = {names[0]: saved.astype(np.float32)} | ({names[1]: biases.astype(np.float32)} if names[1] else {})
    read = read_weights(written(tmp_path, suffix, arrays, "state_dict" if suffix == ".ckpt" else ""), n=5, m=2)
    assert_array_equal(read.W, weights.reshape(-1, 2, 5).astype(np.float32))
    assert read.W_out is None
    if names[1]:
        assert read.b is not None
        assert_array_equal(read.b, biases.reshape(-1, 5).astype(np.float32))
    else:
        assert read.b is None


def test_a_file_that_torch_wrote_is_read_or_refused_in_one_line() -> None:
    """The committed file holds three instances, features first, as its maker beside it writes them."""
    try:
        import torch  # noqa: F401
    except ImportError:
        with pytest.raises(ValueError, match=r"torch, which alone reads such files, is not installed"):
            read_weights(FIXTURE, 5, 2)
        return
    read = read_weights(FIXTURE, 5, 2)
    assert read.W.shape == (3, 2, 5)
    assert read.b is not None
    assert read.b.shape == (3, 5)
    assert_allclose(read.W[0, :, 0], [-1.1258398, -1.1523602], rtol=1e-6)  # torch.randn from seed 0


def test_a_pickled_model_is_refused(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    torch.save(Path("anything that is not a tensor"), tmp_path / "model.pt")
    with pytest.raises(ValueError, match=r"more than tensors, or is damaged; save model\.state_dict"):
        read_weights(tmp_path / "model.pt", 5, 2)


def test_tensors_are_taken_where_arrays_are() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    problem = theory.Problem(n=5, m=2, density=0.1)
    tensor = torch.tensor(W[0], requires_grad=True)
    assert theory.population_loss(tensor, torch.tensor(B[0]), problem) == theory.population_loss(W[0], B[0], problem)
    assert_array_equal(theory.dimensionality(tensor), theory.dimensionality(W[0]))
    assert theory.recognise(tensor).name == theory.recognise(W[0]).name


def test_tensors_are_taken_by_every_function_that_takes_arrays() -> None:
    """Values, gradients and names of tensors that need a gradient are those of the arrays."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    problem = theory.Problem(n=5, m=2, density=0.1)
    untied = problem.with_terms(decoder="untied")
    V = RNG.standard_normal((5, 2))
    calls: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = [
        (theory.population_loss, (W[0], B[0], problem), {}),
        (theory.population_loss, (W[0], B[0], untied), {"W_out": V}),
        (theory.population_loss_and_gradient, (W, B, problem), {}),
        (theory.loss_estimate, (W[0], B[0], problem), {"W_out": V}),
        (theory.decompose, (W[0], B[0], problem), {}),
        (theory.one_sparse_loss, (W[0], B[0], problem), {}),
        (theory.hessian, (W[0], B[0], problem), {}),
        (theory.best_bias, (W[0], problem), {}),
        (theory.best_bias, (W[0], problem), {"W_out": V}),
        (theory.stability_of, (W[0], B[0], problem), {}),
        (theory.report, (W, B, problem), {}),
        (theory.report, (W[0], None, problem), {"W_out": V}),
        (theory.recognise_many, (W,), {}),
        (theory.draw_couplings, (W[0],), {"W_out": V}),
        (theory.draw_embedding, (W[0],), {}),
        (numerics.judge, (problem, W[0], B[0]), {}),
        (numerics.stratified_loss, (W[0], B[0], problem), {"samples": 1000}),
        *((function, (W,), {}) for function in (theory.coherence, theory.frame_potential, theory.feature_norms,
                                                theory.superposition, theory.dimensions_per_feature)),
        (lambda p: theory.Problem(n=5, m=2, density=p).density, (np.full(5, 0.2),), {}),
        (lambda i: theory.Problem(n=5, m=2, density=0.1, importance=i).importance, (np.full(5, 0.2),), {}),
        (lambda start: numerics.train(problem, instances=1, steps=1, init=start)["W"], (W[0],), {}),
        (lambda W_, b_: theory.global_optimum(problem, starts=0, given=[(W_, b_)]).loss, (W[0], B[0]), {}),
    ]  # fmt: skip

    def tensor(value: Any) -> Any:
        is_array = isinstance(value, np.ndarray)
        return torch.tensor(value, requires_grad=True) if is_array else value

    for call, given, more in calls:
        expected = call(*given, **more)
        found = call(*map(tensor, given), **{name: tensor(value) for name, value in more.items()})
        if hasattr(expected, "data") and hasattr(expected, "draw"):
            expected, found = expected.data, found.data
        if isinstance(expected, (float, np.ndarray, tuple)):
            for one, two in zip(np.atleast_1d(expected), np.atleast_1d(found), strict=True) if not isinstance(
                expected, tuple) else zip(expected, found, strict=True):  # fmt: skip
                assert_array_equal(one, two)


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["instances, features, hidden", "instances, hidden, features"])
def test_models_of_the_torch_peer_are_judged_in_both_public_layouts(layout: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    from tests.benchmarks.torch_peer import train_usual

    torch.manual_seed(0)
    model = train_usual(3, 5, 2, 0.1, steps=1500)
    names = {"W": model.W.detach(), "b_final": model.b.detach()}
    if layout.endswith("features"):
        names["W"] = names["W"].transpose(1, 2).contiguous()
    torch.save(names, tmp_path / "model.pt")
    data, text = judge_each(given_models(tmp_path / "model.pt", 5, 2, [0.1]))
    assert data.sizes["instance"] == 3
    assert ((data["optimum_gap"] > -1e-9) & (data["optimum_gap"] < 1.5)).all()
    problem = theory.Problem(n=5, m=2, density=0.1)
    losses = theory.population_loss(model.W.transpose(1, 2), model.b, problem)
    assert_allclose(data["exact_loss"], losses, rtol=1e-6)
    assert "pentagon" in text


def test_a_safetensors_file_needs_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, ".safetensors", {"W": W[0]})
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ValueError, match=r"safetensors is not installed; python -m pip install"):
        read_weights(path, 5, 2)


@pytest.mark.parametrize("names", [("W_enc", "W_dec"), ("encoder.weight", "decoder.weight"), ("embed", "unembed")])
def test_a_decoder_of_its_own_is_found_and_one_that_is_the_transpose_is_tied(
    names: tuple[str, str], tmp_path: Path
) -> None:
    decoder = RNG.standard_normal((5, 2))
    arrays = {names[0]: W[0], names[1]: decoder, "decoder.bias": B[0], "encoder.bias": np.zeros(2)}
    read = read_weights(written(tmp_path, ".npz", arrays), 5, 2)
    assert read.b is not None
    assert read.W_out is not None
    assert_array_equal(read.W_out[0], decoder)
    assert_array_equal(read.b[0], B[0])
    assert read_weights(written(tmp_path, ".npz", arrays | {names[1]: W[0].T}), 5, 2).W_out is None
    with pytest.raises(ValueError, match=r"a bias of the hidden layer, 'encoder\.bias'"):
        read_weights(written(tmp_path, ".npz", arrays | {"encoder.bias": np.ones(2)}), 5, 2)


def test_what_is_ambiguous_is_refused_with_the_choices(tmp_path: Path) -> None:
    square = RNG.standard_normal((3, 3))
    with pytest.raises(ValueError, match=r"choose --layout hidden-first .* or --layout features-first"):
        arrange_weights(square, None, 3, 3)
    assert_array_equal(arrange_weights(square, None, 3, 3, "hidden-first").W[0], square)
    assert_array_equal(arrange_weights(square, None, 3, 3, "features-first").W[0], square.T)
    with pytest.raises(ValueError, match=r"W has shape \(2, 5\), which is not features-first"):
        arrange_weights(W[0], None, 5, 2, "features-first")
    several = written(tmp_path, ".npz", {"one.W": W[0], "two.W": W[1]})
    with pytest.raises(ValueError, match=r"choose with --names W=one\.W or W=two\.W"):
        read_weights(several, 5, 2)
    assert_array_equal(read_weights(several, 5, 2, names={"W": "two.W"}).W[0], W[1])
    with pytest.raises(ValueError, match=r"has no W named 'three\.W'; it holds 'one\.W', 'two\.W'"):
        read_weights(several, 5, 2, names={"W": "three.W"})


def test_lists_run_over_features_or_instances_and_never_silently() -> None:
    assert_array_equal(per_instance("density", [0.1, 0.2], 3, 2), [[0.1] * 3, [0.2] * 3])
    assert_array_equal(per_instance("density", [0.1, 0.2, 0.3], 3, 2), [[0.1, 0.2, 0.3]] * 2)
    with pytest.raises(ValueError, match="choose --per feature or --per instance"):
        per_instance("density", [0.1, 0.2], 2, 2)
    assert_array_equal(per_instance("density", [0.1, 0.2], 2, 2, "instance"), [[0.1] * 2, [0.2] * 2])
    assert_array_equal(per_instance("density", [0.1, 0.2], 2, 2, "feature"), [[0.1, 0.2]] * 2)
    with pytest.raises(ValueError, match="one for each of the 3 features or one for each of the 2 models, got 4"):
        per_instance("density", [0.1] * 4, 3, 2)


def test_every_instance_is_judged_at_its_own_density(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    densities = [0.05, 0.3, 0.05]
    optima = [theory.optimise(theory.Problem(n=2, m=1, density=p), "digon") for p in densities]
    np.savez(tmp_path / "m.npz", W=[o.W for o in optima], b=[o.b for o in optima])
    given = given_models(tmp_path / "m.npz", 2, 1, densities)
    data, text = judge_each(given)
    assert_allclose(data.exact_loss, [o.loss for o in optima], rtol=1e-12)
    assert_allclose(data.optimum_gap, 0, atol=1e-9)
    assert_allclose(data.density, np.repeat(densities, 2).reshape(3, 2))
    assert "models 0, 2, density 0.05" in text
    main(["--n", "2", "--m", "1", "--weights", str(tmp_path / "m.npz"), "--densities", "0.05", "0.3", "0.05"])
    assert "model 1, density 0.3" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--densities", "0.1", "0.2"], "--densities says how models of a file are read: give the file with --weights"),
        (["--layout", "features-first"], "--layout says how"),
        (["--names", "W=a"], "--names says how"),
        (["--weights", "m.npz", "--density", "0.1", "--densities", "0.1"], "give one of them"),
    ],
)
def test_options_that_would_not_be_heard_are_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        main(arguments)


def test_the_page_says_that_biases_are_the_best_where_a_file_holds_none(tmp_path: Path) -> None:
    np.save(tmp_path / "W.npy", np.array([[1.0, -1.0]]))
    main(["--n", "2", "--m", "1", "--weights", str(tmp_path / "W.npy"), "--output", str(tmp_path)])
    assert "No b was given" in (tmp_path / "agreement_weights_n2_m1_report.html").read_text("utf-8")


def test_unusual_names_are_refused_with_the_option_that_takes_them(tmp_path: Path) -> None:
    np.savez(tmp_path / "m.npz", embedding_of_mine=np.ones((2, 1)))
    with pytest.raises(ValueError, match="say which it is with --names W=embedding_of_mine"):
        read_weights(tmp_path / "m.npz", 2, 1)
    with pytest.raises(ValueError, match=r"W, b and W_out, .* for 'w'"):
        read_weights(tmp_path / "m.npz", 2, 1, names={"w": "embedding_of_mine"})


@pytest.mark.parametrize(
    ("options", "differs"),
    [
        (["--values", "binary"], {"values": "binary"}),
        (["--noise", "0.3"], {"terms": theory.Terms(noise=0.3)}),
        (["--sets", "2:correlated:0.5"], None),
    ],
)
def test_models_of_a_file_are_judged_on_the_problem_of_the_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], differs: dict[str, Any] | None
) -> None:
    plain = theory.Problem(n=2, m=1, density=0.1)
    W, b = np.array([[1.0, -1.0]]), np.array([-0.1, 0.05])
    np.savez(tmp_path / "m.npz", W=W, b=b)
    arguments = ["--n", "2", "--m", "1", "--density", "0.1", "--weights", str(tmp_path / "m.npz")]
    main([*arguments, *options])
    told = capsys.readouterr().out
    main(arguments)
    assert told != capsys.readouterr().out, "an option changed nothing"
    if differs is not None:
        loss = theory.population_loss(W, b, theory.Problem(n=2, m=1, density=0.1, **differs))
        assert abs(loss - theory.population_loss(W, b, plain)) > 1e-4
        assert f"{loss:.4g}"[:6] in told
    if "--noise" in options:
        main([*arguments, *options, "--output", str(tmp_path / "new")])
        stored = load_result(tmp_path / "new/agreement_weights_n2_m1_report.nc")
        assert_allclose(stored.loss, theory.population_loss(W, b, theory.Problem(n=2, m=1, density=0.1, **differs)))
        assert stored.noise.item() > 0


def test_an_untied_decoder_is_judged_where_the_problem_has_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    W, b, decoder = np.array([[0.9, -0.9]]), np.array([0.0, 0.01]), np.array([[1.0], [-1.2]])
    np.savez(tmp_path / "m.npz", W=W, b=b, W_out=decoder)
    problem = theory.Problem(n=2, m=1, density=0.1, terms=theory.Terms(decoder="untied", decay=0.02))
    data, _ = judge_each(GivenModels(read_weights(tmp_path / "m.npz", 2, 1), (problem,)))
    assert_allclose(data.exact_loss, theory.population_loss(W, b, problem, W_out=decoder), rtol=1e-9)
    arguments = ["--n", "2", "--m", "1", "--density", "0.1", "--weights", str(tmp_path / "m.npz")]
    main([*arguments, "--decoder", "untied", "--weight-decay", "0.02"])
    assert f"{data.exact_loss.item():.4g}"[:6] in capsys.readouterr().out
    with pytest.raises(ValueError, match="--decoder untied"):
        main(arguments)


def test_missing_biases_are_the_best_and_said_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    problem = theory.Problem(n=5, m=2, density=0.05)
    exact = theory.optimise(problem, "pentagon")
    np.save(tmp_path / "W.npy", exact.W)
    main(["--weights", str(tmp_path / "W.npy")])
    told = capsys.readouterr().out
    assert "the file holds no b: every model has the best biases for its W" in told
    assert_allclose(best_bias(exact.W, problem), exact.b, atol=1e-8)


@pytest.mark.parametrize("n", [3, 6, 9])
def test_no_other_bias_is_better_than_the_best(n: int) -> None:
    """Against a dense grid around zero and beyond what the features reach, output by output."""
    rng = np.random.default_rng(n)
    problem = theory.Problem(n=n, m=2, density=rng.uniform(0.02, 0.9, n))
    embedding = rng.standard_normal((2, n)) * rng.uniform(0.1, 1.5, n)
    found = best_bias(embedding, problem)
    best = theory.loss.population.output_errors(embedding.T @ embedding, found, problem).value
    for b in np.linspace(-4, 3, 141):
        other = theory.loss.population.output_errors(embedding.T @ embedding, np.full(n, b), problem).value
        assert (best <= other * (1 + 1e-7) + 1e-12).all()


@pytest.mark.parametrize("arguments", [["--names", "W"], ["--layout", "rows"], ["--per", "model"]])
def test_refusals_are_one_line(arguments: list[str], tmp_path: Path, capsys: Any) -> None:
    np.save(tmp_path / "W.npy", W[0])
    with pytest.raises(SystemExit) as refusal:
        run_command(main, "python -m numerics.agreement", ["--weights", str(tmp_path / "W.npy"), *arguments])
    assert refusal.value.code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
