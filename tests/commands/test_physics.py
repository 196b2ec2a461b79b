"""`--physics`: every command that makes worlds takes it, and what was trained keeps it."""

from __future__ import annotations

import importlib.util
import sys

import pytest
from console import HERE, metarl

from metarl import cli
from metarl.commands.train import default_folder
from metarl.runs.run import latest_checkpoint

HAS_WARP = importlib.util.find_spec("mujoco_warp") is not None
SHORT = "toy:toy/short"
BENCHMARK = """
seeds = 1
arms = ["fine-tune"]
[families."toy/reach"]
start = { method = "ppo", iterations = 1 }
"""


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("train toy/reach --physics wrap", "did you mean 'warp'"),
        ("watch toy/reach --physics", "--physics has no value"),
        ("adapt x toy/reach@physics=wrap", "unknown physics 'wrap'"),
        ("train toy/reach@physics=warp --physics mujoco", "contradicts 'toy/reach@physics=warp'"),
        ("train toy/reach@physics=warp,physics=warp", "each once"),
    ],
)
def test_a_mistake_is_one_line(words, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(words.split()) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        "train toy/reach --physics warp",
        "watch toy/reach --physics warp",
        "adapt . toy/reach --physics warp",
        "benchmark quick.toml --physics warp",
        "check toy/reach@physics=warp",
    ],
)
def test_without_the_package_one_line_says_what_to_install(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "mujoco_warp", None)
    (tmp_path / "quick.toml").write_text(BENCHMARK)
    assert cli.main(words.split()) == 2
    said = capsys.readouterr().err
    assert "pip install 'mujoco-warp>=4,<5'" in said
    assert said.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["quick.toml"]


def test_a_benchmark_that_says_another_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quick.toml").write_text('physics = "mujoco"' + BENCHMARK)
    assert cli.main(["benchmark", "quick.toml", "--physics", "warp"]) == 2
    assert "--physics warp contradicts quick.toml" in capsys.readouterr().err


def test_folders_tell_them_apart():
    assert str(default_folder(["toy/reach@physics=warp"], "ppo", 0)) == (
        "runs/toy-reach-physics-warp-ppo-s0"
    )


@pytest.mark.skipif(not HAS_WARP, reason="mujoco-warp is not installed")
def test_what_was_trained_on_it_goes_on_there_and_runs_on_the_other(tmp_path, monkeypatch, capsys):
    """A process of a user's own, then this one, which loads the kernels once for all commands."""
    monkeypatch.chdir(HERE)

    def here(*words):
        return cli.main([str(word) for word in words])

    run = tmp_path / "run"
    small = ["--method", "ppo", "--set", "num_worlds=4"]
    done = metarl(
        "train", SHORT, *small, "--physics", "warp", "--iterations", 1, "--out", run, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert "CUDA" not in done.stdout + done.stderr

    def trained_on():
        return latest_checkpoint(run)[1].meta["family"]

    assert trained_on() == "toy/short@physics=warp"
    again = [*small, "--resume", "--out", run]
    assert here("train", SHORT, *again, "--iterations", 2) == 0, capsys.readouterr().err
    assert trained_on() == "toy/short@physics=warp"
    assert latest_checkpoint(run)[0] == 2
    for given in ((SHORT, "--physics", "mujoco"), (f"{SHORT}@physics=mujoco",)):
        capsys.readouterr()
        assert here("train", *given, *again, "--iterations", 3) == 2
        assert "is a run of ppo on toy/short@physics=warp" in capsys.readouterr().err
    few = ["--num-tasks", 2, "--updates", 1, "--episodes", 2, "--eval-episodes", 2, "--no-film"]
    for physics in ("mujoco", "warp"):
        out = tmp_path / physics
        words = ["--physics", physics, "--strategy", "fine-tune", "--out", out, *few]
        status, said = here("adapt", run, SHORT, *words), capsys.readouterr().err
        assert status == 0, said
        assert "has changed" not in said
