"""Interpreters of their own: found, told where they are missing or others, and really made."""

import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from metarl.errors import ConfigError, MissingDependencyError, OutputError
from metarl.sim.outside.interpreters import Interpreter, cache_folder

TINY = Interpreter("tiny", "tinything", "1.2.0", told="nothing else, 1 kB")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch) -> Path:
    """A cache folder of the test's own, and a wheel in place of an index."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.delenv(TINY.variable, raising=False)
    with zipfile.ZipFile(tmp_path / "tinything-1.2.0-py3-none-any.whl", "w") as wheel:
        info = "tinything-1.2.0.dist-info"
        wheel.writestr("tinything.py", "SIZE = 1\n")
        wheel.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: tinything\nVersion: 1.2.0\n"
        )
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return tmp_path / "cache"


def test_it_is_made_once_and_found_and_what_is_half_there_is_made_anew(own_cache):
    told = []
    with pytest.raises(
        MissingDependencyError, match="`metarl tiny install` makes it, or METARL_TINY_P"
    ):
        TINY.path()
    (TINY.folder / "bin").mkdir(parents=True)
    (TINY.folder / "bin" / "python").write_text("half")
    with pytest.raises(MissingDependencyError, match="has none: it cannot be started"):
        TINY.path()
    made = TINY.install(None, told.append)
    assert made.is_symlink()
    assert made.is_relative_to(own_cache)
    assert told == [
        "fetching tinything==1.2.0 with what these need (nothing else, 1 kB), into"
        f" {TINY.folder}; nothing else changes"
    ]
    assert TINY.path() == str(made)
    again = TINY.install(None, told.append)
    assert again == made
    assert told[1].startswith("tinything 1.2.0 is there already")
    assert [path.name for path in TINY.folder.parent.iterdir()] == [TINY.folder.name]


def test_what_pip_does_not_find_leaves_nothing():
    other = Interpreter("tiny", "tinything", "9.9.9")
    with pytest.raises(ConfigError, match=r"pip does not install it: .*tinything==9\.9\.9"):
        other.install(None, print)
    assert list(other.folder.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("python", "said"),
    [("/no/python", "No such file"), ("/bin/false", "/bin/false left with status 1"),
     ("/etc/passwd", "Permission denied")],
)  # fmt: skip
def test_what_makes_none_is_told(python, said):
    with pytest.raises(ConfigError, match=f"makes no virtual environment: .*{said}"):
        TINY.install(Path(python), print)


def test_a_cache_that_cannot_be_written_is_told(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    with pytest.raises(OutputError, match="cannot write /proc/nowhere"):
        TINY.install(None, print)


def test_one_that_is_given_is_taken(monkeypatch, second):
    mine = Interpreter("tiny", "numpy", np.__version__)
    monkeypatch.setenv(mine.variable, second)
    assert mine.path() == second


@pytest.mark.parametrize(
    ("python", "said"),
    [(sys.executable, f"has numpy {np.__version__}; expected numpy 0.0.1"),
     ("/no/python", "it cannot be started .No such file or directory.; expected numpy"),
     ("/bin/false", "it left with status 1; expected numpy"),
     ("/bin/true", "it left with status 0; expected numpy")],
)  # fmt: skip
def test_another_one_is_told_with_what_to_do(python, said, monkeypatch):
    other = Interpreter("tiny", "numpy", "0.0.1")
    monkeypatch.setenv(other.variable, python)
    with pytest.raises(MissingDependencyError, match=said) as caught:
        other.path()
    assert "`metarl tiny install` makes it" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_cache_is_the_users(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == Path.home() / ".cache" / "metarl"
