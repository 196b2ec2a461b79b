"""Single cells, in this process: what they keep, and that one definition is one result."""

from __future__ import annotations

import pytest
from pair import Same
from pupils import pupil
from stable_baselines3 import PPO

from metarl.adapt.protocol import Protocol
from metarl.learn.train import train
from metarl.matrix.cells import LEFT_OUT, Adapting, Budget, Given, Learning
from metarl.matrix.given import take_sources
from metarl.runs.checkpoint import load_checkpoint, save_checkpoint
from metarl.runs.metrics import read_metrics

SAME, OPPOSITE = "pair/same", "pair/opposite"
BUDGET = Budget(iterations=2, settings={"num_worlds": 8, "minibatch": 160, "hidden": [8]})
SOURCE = Learning(family=SAME, seed=500, budget=BUDGET, keeps=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cells")
    SOURCE.run(folder)
    return folder


def learning(**more):
    return Learning(family=SAME, seed=0, budget=BUDGET, **more)


def without_time(result):
    return {name: value for name, value in result.items() if name != "seconds"}


def test_a_training_from_nothing_is_that_of_train(folder, tmp_path):
    result = learning().run(folder)
    out = tmp_path / "run"
    train(SAME, "ppo", seed=0, iterations=2, out=out, **BUDGET.settings)
    rows = read_metrics(out)
    for name in ("return", "success", "std"):
        assert result[name] == pytest.approx([row[name] for row in rows], rel=1e-5)
    assert result["steps"] == 2 * 8 * Same.horizon
    assert without_time(learning().run(folder)) == without_time(result)
    assert not list((folder / "running").iterdir())


def test_noise_changes_the_run_and_not_its_name_alone(folder):
    one, other = learning().run(folder), learning(noise=1).run(folder)
    assert one["return"] != other["return"]
    assert learning(noise=1).key == "learn.pair-same.control.s0"


def test_a_source_keeps_its_policy_alone(folder):
    kept = load_checkpoint(folder / SOURCE.file)
    assert all(name.startswith("policy.") for name in kept.tensors)
    assert "state" not in kept.meta
    assert kept.meta["family"] == SAME
    assert (folder / SOURCE.file).stat().st_size < 10_000


def test_a_strategy_and_an_exploration_change_the_run(folder):
    arms = [
        learning(start=SOURCE, strategy=strategy, exploration=exploration)
        for strategy in ("fine-tune", "frozen-trunk")
        for exploration in ("fresh", "source")
    ]
    assert len({arm.key for arm in arms}) == 4
    results = [arm.run(folder)["return"] for arm in arms]
    assert len({tuple(r) for r in results}) >= 3


def test_a_policy_of_other_actions_or_layers_is_left_out(folder, tmp_path):
    kept = load_checkpoint(folder / SOURCE.file)
    given = Given(name="strange", digest="0" * 64)
    tensors = {name: t for name, t in kept.tensors.items() if "trunk" not in name}
    (folder / given.file).parent.mkdir(exist_ok=True)
    save_checkpoint(folder / given.file, tensors, kept.meta)
    result = learning(start=given, strategy="fine-tune").run(folder)
    assert list(result) == [LEFT_OUT]
    assert "trunk" in result[LEFT_OUT]


def test_adaptation_keeps_every_task(folder):
    protocol = Protocol(num_tasks=3, episodes=2, updates=1, eval_episodes=2)
    cell = Adapting(family=SAME, start=SOURCE, strategy="fine-tune", protocol=protocol)
    assert cell.key == "adapt.pair-same.from.pair-same.fine-tune.s500"
    result = cell.run(folder)
    assert [len(row) for row in result["return"]] == [3, 3]
    assert without_time(cell.run(folder)) == without_time(result)


def test_a_policy_of_others_goes_along_by_its_mapping(folder, tmp_path):
    pupil(PPO).save(tmp_path / "theirs.zip")
    (mapped,) = take_sources([tmp_path / "theirs.zip"], folder, ["robot=0:4"])
    (unnamed,) = take_sources([tmp_path / "theirs.zip"], folder)
    budget = Budget(iterations=1, settings={"num_worlds": 4, "minibatch": 80})
    arm = {"family": SAME, "strategy": "fine-tune", "budget": budget}
    result = Learning(start=mapped, **arm).run(folder)
    assert any("robot" in name for name in result["carried"])
    assert len(result["return"]) == 1
    assert list(Learning(start=unnamed, **arm).run(folder)) == [LEFT_OUT]
    protocol = Protocol(num_tasks=2, episodes=1, updates=1, eval_episodes=1)
    met = {"family": SAME, "strategy": "fine-tune", "protocol": protocol}
    assert len(Adapting(start=mapped, **met).run(folder)["return"]) == 2
    assert list(Adapting(start=unnamed, **met).run(folder)) == [LEFT_OUT]
