"""`metarl new`: what it writes passes every check, as a newcomer would run it; bad names are refused."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from console import here, metarl

FILES = [
    "README.md", "my_tasks/__init__.py", "my_tasks/reach.py", "my_tasks/reach.xml", "pyproject.toml",
    "tests/test_reach.py",
]  # fmt: skip


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("new")
    made = metarl("new", "my_tasks", cwd=folder)
    assert made.returncode == 0, made.stderr
    assert "metarl check my_tasks:my_tasks/reach" in made.stdout
    return folder / "my_tasks"


def test_it_writes_a_whole_package(package: Path):
    files = sorted(str(p.relative_to(package)) for p in package.rglob("*") if p.is_file())
    assert [name for name in files if "__pycache__" not in name] == FILES
    for name in FILES:
        assert "my_package" not in (package / name).read_text(), name
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    assert project["name"] == "my_tasks"
    assert project["entry-points"]["metarl.families"] == {"my_tasks": "my_tasks"}
    assert [path.name for path in package.parent.iterdir()] == ["my_tasks"]  # nothing is left over


def test_every_check_passes(package: Path):
    checked = metarl("check", "my_tasks:my_tasks/reach", cwd=package)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "0 failed" in checked.stdout
    assert "not shown" not in checked.stdout


def test_its_own_tests_pass(package: Path):
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    ran = subprocess.run(
        words, cwd=package, capture_output=True, text=True, timeout=240, check=False
    )
    assert ran.returncode == 0, ran.stdout


def test_the_commands_of_its_readme_run(package: Path):
    block = (package / "README.md").read_text().split("```")[1]
    check, watch, train = block.split("\n")[1:4]
    assert check.split()[1] == "check"
    filmed = metarl(*watch.split()[1:], "--episodes", 1, cwd=package)
    assert filmed.returncode == 0, filmed.stderr
    assert (package / "expert.mp4").stat().st_size > 1000
    assert "1 of 1 episodes succeeded" in filmed.stdout
    words = train.replace("--iterations 20", "--iterations 1").split()[1:]
    trained = metarl(*words, cwd=package)
    assert trained.returncode == 0, trained.stderr


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("My_Tasks", "lower-case letters"), ("my-tasks", "lower-case letters"), ("1st", "my_kitchen"),
        ("class", "no name for a package"), ("a/b", "no name for a package"), ("", "is empty"),
        ("../x", "no name"), ("kücke", "no name"), ("x" * 61, "at most 60"), ("_own", "no name"),
        ("numpy", "a module numpy already"), ("metarl_kitchen", "already"),
    ],
)  # fmt: skip
def test_a_bad_name_is_refused(name: str, said: str, tmp_path: Path):
    made = here("new", name, cwd=tmp_path)
    assert made.returncode == 2
    assert said in made.stderr
    assert len(made.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_nothing_is_written_over(tmp_path: Path):
    for place in ("taken", "a_file"):
        (tmp_path / place).mkdir() if place == "taken" else (tmp_path / place).write_text("mine")
        made = here("new", "my_tasks", "--out", place, cwd=tmp_path)
        assert made.returncode == 2
        assert f"{place} is there already" in made.stderr
    below = here("new", "my_tasks", "--out", "a_file/deeper", cwd=tmp_path)
    assert below.returncode == 2
    assert len(below.stderr.strip().splitlines()) == 1
    assert (tmp_path / "a_file").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a_file", "taken"]
    deep = here("new", "my_tasks", "--out", "some/where", cwd=tmp_path)
    assert deep.returncode == 0, deep.stderr
    assert (tmp_path / "some/where/my_tasks/reach.py").exists()
