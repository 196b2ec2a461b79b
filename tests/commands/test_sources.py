"""`metarl train --from`, `adapt` and `watch` with policies of others, and of other families."""

from __future__ import annotations

import json
import pickle

import pytest
import torch
from console import metarl
from pupils import pupil
from sliders import Slide
from stable_baselines3 import PPO, TD3
from toy import Reach, knowing, saved

from metarl import cli
from metarl.errors import ConfigError
from metarl.learn.train import train
from metarl.nn.surgery import FIRST
from metarl.registry import register
from metarl.runs.checkpoint import save_checkpoint
from metarl.runs.policies import read_checkpoint
from metarl.sim.worlds import Worlds

FEW = ["--updates", "1", "--episodes", "2", "--num-tasks", "2", "--eval-episodes", "1", "--no-film"]
TINY = {"num_worlds": 4, "minibatch": 80, "iterations": 1}
MAP = ["robot[0:2]=0:2", "robot[2:4]=2:4*10"]


@register("toy/slide")
class Slider(Slide):
    """Registered, so that the command line finds it."""


@register("toy/twin")
class Twin(Reach):
    """Another family with the same interface."""


@pytest.fixture(scope="module")
def zipped(tmp_path_factory):
    path = tmp_path_factory.mktemp("others") / "td3.zip"
    pupil(TD3).save(path)
    return path


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A policy of the toy, as a file."""
    spec = Worlds(Reach(), 1, num_threads=1).spec
    made = saved(knowing(spec), spec)
    path = tmp_path_factory.mktemp("source") / "reach.safetensors"
    save_checkpoint(path, made.tensors, {**made.meta, "family": "toy/reach"})
    return path


def test_a_training_starts_from_what_others_trained(zipped, tmp_path, capsys):
    run = tmp_path / "run"
    words = ["train", "toy/reach", "--method", "ppo", "--from", str(zipped), "--out", str(run)]
    sets = ["num_worlds=4", "minibatch=80", "learning_rate=1e-12"]
    assert cli.main([*words, "--iterations", "1", "--map", *MAP, "--set", *sets]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "Stable-Baselines3 TD3 or DDPG): carried robot[0:2] from observation[0:2]" in said
    assert "task: zero weights at first, for the source never observed it" in said
    start = json.loads((run / "start.json").read_text())
    assert start["mapping"] == MAP
    became = {row["name"]: row["became"] for row in start["parameters"]}
    assert became[FIRST] == "resized"
    assert became["log_std"] == "set"
    assert became["critic.qf0.0.weight"] == "dropped"
    config = json.loads((run / "config.json").read_text())
    assert (config["activation"], config["squash"], config["hidden"]) == ("relu", True, [8, 6])
    found = read_checkpoint(run)
    mu = pupil(TD3).policy.actor.mu[0].weight.detach()
    first = found.tensors[f"policy.{FIRST}"]
    torch.testing.assert_close(first[:, :2], mu[:, :2])
    torch.testing.assert_close(first[:, 2:4], 10.0 * mu[:, 2:4])
    assert not first[:, 4:].abs().gt(1e-6).any()
    assert cli.main([*words, "--resume", "--iterations", "2"]) == 0
    assert json.loads((run / "start.json").read_text()) == start
    assert cli.main(["report", str(run), "--no-film"]) == 0
    page = (run / "report.html").read_text()
    for shown in ("Surgery", "observation[2:4] * 10", "critic.qf0.0.weight", "dropped"):
        assert shown in page


def test_a_live_model_starts_a_training_that_stays_the_same(tmp_path):
    model = pupil(PPO)
    made = [
        read_checkpoint(
            train("toy/reach", "ppo", out=tmp_path / name, start=model, mapping=MAP, **TINY)
        )
        for name in "ab"
    ]
    assert all(torch.equal(made[0].tensors[n], t) for n, t in made[1].tensors.items())
    with pytest.raises(ConfigError, match="activation is relu, but a policy has tanh"):
        train("toy/reach", "ppo", out=tmp_path / "c", start=model, mapping=MAP, activation="relu")
    with pytest.raises(ConfigError, match="only a policy to start from brings statistics"):
        train("toy/reach", "ppo", out=tmp_path / "c", normalised=True)


def test_what_others_trained_is_adapted_and_filmed(zipped, tmp_path, capsys):
    out = tmp_path / "adapted"
    words = ["toy/reach", *FEW, "--out", str(out), "--map", *MAP]
    assert cli.main(["adapt", str(zipped), *words]) == 0
    said = capsys.readouterr().out
    assert "carried robot[0:2] from observation[0:2]" in said
    assert "fine-tune on toy/reach" in said
    assert "against scratch" in said
    assert json.loads((out / "start.json").read_text())["mapping"] == MAP
    assert "Surgery" in (out / "report.html").read_text()
    film = ["watch", "toy/short", "--policy", str(zipped), "--no-live", "--episodes", "1"]
    assert cli.main([*film, "--out", str(tmp_path / "a.mp4"), "--map", *MAP]) == 0
    assert "carried robot" in capsys.readouterr().out


def test_a_policy_of_another_family_is_adapted(own, tmp_path, capsys):
    out = tmp_path / "adapted"
    assert cli.main(["adapt", str(own), "toy/slide", *FEW, "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "starts from" in said
    assert "(toy/reach): carried robot, layers, head" in said
    assert "object: zero weights at first, for the source never observed it" in said
    saved = json.loads((out / "start.json").read_text())
    assert (saved["family"], saved["to"]) == ("toy/reach", "toy/slide")
    assert cli.main(["adapt", str(own), "toy/reach", *FEW, "--out", str(tmp_path / "own")]) == 0
    said = capsys.readouterr().out
    assert "starts from" not in said
    assert "goes along" not in said
    assert not (tmp_path / "own" / "start.json").exists()


def test_a_policy_of_another_family_with_the_same_interface_is_told(own, tmp_path, capsys):
    words = ["toy/twin", *FEW, "--out", str(tmp_path / "out")]
    assert cli.main(["adapt", str(own), *words]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "was trained on toy/reach; toy/twin has the same blocks and actions" in said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("train toy/reach --method ppo --map robot=0:4", "--map has no effect with no --from"),
        ("train toy/reach --method ppo --names a=b", "is no tensor of a policy"),
        ("train toy/reach --from {zip} --map robot:0:4", "cannot read --map 'robot:0:4'"),
        ("train toy/reach --from {zip} --map robt=0:4", "did you mean 'robot'"),
        ("train toy/reach --from {zip}", "nothing is guessed"),
        ("train toy/reach --from {zip} --map robot=0:4 --names head.bias=b", "--names has no eff"),
        ("adapt {zip} toy/reach", "nothing is guessed"),
        (
            "adapt {zip} toy/reach --map robot=0:9",
            "0:9 lies outside what the source has, observation[0:5]\n",
        ),
        ("adapt {pkl} toy/reach", "is a pickle, and nothing is unpickled"),
        ("adapt {own} toy/reach --statistics {pkl}", "--statistics has no effect"),
        ("adapt {zip} toy/reach --statistics {pkl} --map robot=0:4", "numpy.savez("),
        ("watch toy/reach --policy random --map robot=0:4", "no effect with policy random"),
        ("watch toy/reach --policy {pkl}", "is a pickle"),
    ],
)
def test_a_mistake_is_one_line_and_makes_nothing(
    words, says, zipped, own, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    bad = zipped.parent / "model.pkl"
    bad.write_bytes(pickle.dumps({"a": 1}))
    given = words.format(zip=zipped, pkl=bad, own=own).split()
    assert cli.main(given) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert says in said
    assert not list(tmp_path.iterdir())


def test_a_mistake_in_a_mapping_is_told_before_torch_is_loaded():
    done = metarl(
        "train", "toy:toy/reach", "--from", "toy.py", "--map", "robot", timeout=20,
        more={"PYTHONPROFILEIMPORTTIME": "1"},
    )  # fmt: skip
    assert done.returncode == 2
    assert "cannot read --map 'robot'" in done.stderr
    assert not [line for line in done.stderr.splitlines() if line.endswith(" torch")]
