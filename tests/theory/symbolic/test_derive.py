"""The command ``python -m theory.derive``: what it prints, the LaTeX it writes, and what it refuses."""

import re
import subprocess
import sys

import pytest
import sympy

from theory.derive import main
from theory.symbolic import derive_report
from theory.symbolic.derivation.document import Document, Equation, Section, Statement
from theory.symbolic.derivation.typeset import condition_latex, condition_plain, plain, prose_plain
from theory.tools.command import run_command

SIZES = [(1, 1), (2, 1), (3, 2), (4, 2), (3, 3)]


def run(*arguments):
    return run_command(main, "python -m theory.derive", arguments)


# --- plain text ------------------------------------------------------------------------------------------


def test_the_boundaries_and_the_triple_point_of_two_features_are_printed(capsys):
    run("--n", "2", "--m", "1")
    text = capsys.readouterr().out
    for line in (
        "L_ideal = r*(p/3 - p^2/4)",
        "L_ideal = p^2*(1 + r)/6",
        "F_ij = I_i*g_ij^2*(p_j/3 - p_j^2/4)",
        "F_ij / I_i = ReLU(g_ij + b_i)^2",
        "p = 4*r/(2 + 5*r)",
        "p = 4/(5 + 2*r)",
        "A phase boundary for 4/7 <= p <= 1.",
        "p = 4/7 ~ 0.571429",
        "L = 16/147 ~ 0.108844",
    ):
        assert f"    {line}\n" in text or f"{line}\n" in text


def test_three_features_come_with_the_hidden_boundaries_and_the_triangle(capsys):
    run("--n", "3", "--m", "2")
    text = capsys.readouterr().out
    visible, hidden = text.split("Equal losses, but a third candidate is lower:\n")
    assert "[dedicated] = [antipodal]:\n    p = 4/(5 + 2*r)" in hidden
    assert "[dedicated, others antipodal] = [antipodal]:\n    r = 1\n" in visible
    assert "L_ideal = (p^2/8 + p^3/24)*(2 + r)" in visible


@pytest.mark.parametrize(("n", "m"), SIZES)
def test_lines_fit_a_terminal_and_are_plain_ascii(n, m):
    text = derive_report(n, m).plain()
    assert text.isascii()
    assert max(map(len, text.splitlines())) <= 100
    assert "\\" not in text
    assert "$" not in text
    assert "**" not in text


def test_one_candidate_has_no_boundary():
    text = derive_report(2, 2).plain()
    assert "There is one candidate only, and so no boundary." in text
    assert "No three candidates are lowest together." in text


# --- LaTeX -----------------------------------------------------------------------------------------------


def _environments_balance(source):
    stack = []
    for kind, name in re.findall(r"\\(begin|end)\{([a-z*]+)\}", source):
        if kind == "begin":
            stack.append(name)
        elif not stack or stack.pop() != name:
            return False
    return not stack


def _braces_balance(source):
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", source):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            return False
    return depth == 0


def _text_outside_mathematics(source):
    body = source.split(r"\begin{document}")[1]
    body = re.sub(r"\\begin\{align\*\}.*?\\end\{align\*\}", "", body, flags=re.DOTALL)
    return re.sub(r"\$[^$]*\$", "", body)


@pytest.mark.parametrize(("n", "m"), SIZES)
def test_the_latex_is_a_complete_balanced_document(n, m):
    source = derive_report(n, m).latex()
    assert source.startswith(r"\documentclass")
    assert source.endswith("\\end{document}\n")
    assert _environments_balance(source)
    assert _braces_balance(source)
    assert source.count(r"\left") == source.count(r"\right")
    assert source.count("$") % 2 == 0
    # what text mode would print wrongly or reject
    assert not re.search(r"[_^<>|#&%~]", _text_outside_mathematics(source))


@pytest.mark.parametrize(("n", "m"), SIZES)
def test_every_command_in_the_latex_is_one_of_plain_latex_or_amsmath(n, m):
    layout = {"documentclass", "usepackage", "setlength", "parindent", "allowdisplaybreaks", "begin", "end"}
    words = {"section", "subsection", "text", "operatorname", "mathrm", "quad", "qquad"}
    signs = {"frac", "sqrt", "left", "right", "leq", "geq", "neq", "sum", "cdot", "approx", "wedge"}
    assert set(re.findall(r"\\([a-zA-Z]+)", derive_report(n, m).latex())) <= layout | words | signs


def test_unbalanced_latex_would_be_noticed():
    assert not _environments_balance(r"\begin{align*} \begin{cases} \end{align*} \end{cases}")
    assert not _braces_balance(r"{a}}{")
    assert re.search(r"[<>]", _text_outside_mathematics(r"\begin{document} norms > 0 $p > 0$"))


def test_equations_of_one_group_stand_in_one_environment():
    p = sympy.Symbol("p")
    section = Section("S", ("Prose $p$.", Equation("A", p), Equation("B", p / 3, p <= 1), Statement("C", p >= 1)))
    source = Document("T", (section,)).latex()
    assert "\\begin{align*}\nA &= p \\\\\nB &= \\frac{p}{3} \\qquad \\text{for } p \\leq 1\n\\end{align*}" in source
    assert "C for $p \\geq 1$." in source


# --- typesetting -----------------------------------------------------------------------------------------


def test_low_powers_come_first_and_no_sum_begins_with_a_minus_it_could_avoid():
    p = sympy.Symbol("p")
    assert plain(p / 3 - p**2 / 4) == "p/3 - p^2/4"
    assert plain(-1 + p) == "p - 1"
    assert plain(-1 - p) == "-1 - p"


def test_conditions_read_as_chains_and_alternatives():
    p = sympy.Symbol("p", positive=True)
    third = sympy.Rational(1, 3)
    assert condition_plain((p > third) & (p <= 1)) == "1/3 < p <= 1"
    assert condition_latex((p > third) & (p <= 1)) == r"\frac{1}{3} < p \leq 1"
    assert condition_plain((p < third) | (p >= 2)) in ("p < 1/3 or p >= 2", "p >= 2 or p < 1/3")
    assert condition_plain(third <= p) == "p >= 1/3"
    assert condition_plain(sympy.true) == ""


def test_a_command_without_a_plain_form_is_refused():
    with pytest.raises(ValueError, match=r"^there is no plain form for \\alpha$"):
        prose_plain(r"$\alpha$")


# --- the command -----------------------------------------------------------------------------------------


def test_nothing_is_written_unless_asked(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run("--n", "2", "--m", "1")
    capsys.readouterr()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("option", "name"), [([], "derive_n2_m1.txt"), (["--latex"], "derive_n2_m1.tex")])
def test_the_output_is_what_was_printed(option, name, tmp_path, capsys):
    run("--n", "2", "--m", "1", *option, "--output", str(tmp_path / "new"))
    assert [path.name for path in (tmp_path / "new").iterdir()] == [name]
    assert (tmp_path / "new" / name).read_text() == capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--n", "9", "--m", "2"], "n = 9 features are out of reach: the symbolic layer goes up to 8"),
        (
            ["--n", "2", "--m", "3"],
            "m must not exceed n: 3 dimensions hold 2 features without a choice to make",
        ),
        (["--n", "0", "--m", "1"], "argument --n: must be a whole number >= 1, got '0'"),
        (["--latex", "yes"], "unrecognized arguments: yes"),
    ],
)
def test_bad_input_is_refused_in_one_line(arguments, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as refusal:
        run(*arguments, "--output", str(tmp_path / "out"))
    assert refusal.value.code == 2
    captured = capsys.readouterr()
    assert captured.err == f"python -m theory.derive: {message}\n"
    assert captured.out == ""
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_is_a_file_is_refused(tmp_path, capsys):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(SystemExit) as refusal:
        run("--output", str(tmp_path / "file"))
    assert refusal.value.code == 2
    message = f"argument --output: cannot write to {tmp_path / 'file'}: {tmp_path / 'file'} is not a folder"
    assert capsys.readouterr().err == f"python -m theory.derive: {message}\n"
    assert (tmp_path / "file").read_text() == "kept"


def test_help_does_not_wait_for_sympy():
    program = (
        "import sys\nfrom theory.derive import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as done:\n"
        "    sys.exit(done.code or 'sympy' in sys.modules or 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "number of features, 1 to 8 (default: 2)" in done.stdout


@pytest.mark.slow
def test_the_largest_report_can_be_derived():
    text = derive_report(8, 4).plain()
    assert "12 candidates meet" in text
    assert "L = 64/147 ~ 0.435374" in text
