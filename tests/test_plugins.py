"""Methods from outside that break, under the commands that run them."""

import pytest

from metarl.cli import main

SOURCE = """
import sys
from metarl.methods import Method, Training
from metarl.rl.ppo import PpoConfig

def trainer(family, config, initial=None, num_threads=0):
    {fault}

METHOD = Method("Breaks", Training(PpoConfig, trainer))
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Installs a distribution with a method of learning."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def put(module, source):
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[metarl.methods]\nbreaks = {module}:METHOD\n")

    return put


@pytest.mark.parametrize(
    ("name", "fault", "said"),
    [
        ("raises", "1 / 0", "package meth_raises raised ZeroDivisionError: division by zero"),
        ("exits", "sys.exit(0)", "package meth_exits raised SystemExit: 0"),
        ("interrupts", "raise KeyboardInterrupt", "package meth_interrupts raised KeyboardInt"),
    ],
)
def test_a_method_that_breaks_is_named(install, capsys, name, fault, said):
    install(f"meth_{name}", SOURCE.format(fault=fault))
    assert main(["train", "toy/reach", "--method", "breaks"]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert f"(meth_{name}.py:7)" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("fault", ["raise KeyboardInterrupt", "import sys; sys.exit(0)", "1 / 0"])
def test_a_method_that_breaks_at_import_hides_no_other(install, capsys, fault):
    name = f"meth_import_{len(fault)}"
    install(name, fault)
    assert main(["methods"]) == 0
    out = capsys.readouterr().out
    assert "maml" in out
    assert "method 'breaks' cannot be imported" in out
