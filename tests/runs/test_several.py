"""What a checkpoint of several families is to one of them, through every door."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from pair import Opposite, Same
from sliders import Slide
from toy import Reach

from metarl.commands.policies import make_act
from metarl.errors import CheckpointError, ConfigError
from metarl.learn.start import start_from
from metarl.learn.train import train
from metarl.multitask.config import MultiTaskConfig
from metarl.multitask.trainer import MultiTaskTrainer
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.policies import load_policy, read_checkpoint
from metarl.runs.several import TASKS, TRUNK, of_family
from metarl.sim.worlds import Worlds
from metarl.sources import carry, read_source
from metarl.sources.interface import fits

TINY = {"num_worlds": 4, "hidden": [8], "epochs": 1}


@pytest.fixture(scope="module")
def several() -> Checkpoint:
    config = MultiTaskConfig(num_worlds=4, hidden=(8,), epochs=1)
    trainer = MultiTaskTrainer((Reach(), Slide()), config, num_threads=1)
    trainer.iterate()
    return Checkpoint(*trainer.checkpoint())


def test_a_family_that_it_knows_has_its_columns_and_head(several: Checkpoint):
    for family, width in ((Reach(), 6), (Slide(), 9)):
        found = of_family(several, family)
        assert found.meta["family"] == family.id
        assert found.meta["taken"].startswith("of 2 families the columns and the head of toy/")
        assert load_policy(found).obs_dim == width
        assert fits(found, family)
    heads = [of_family(several, f).tensors["policy.head.weight"] for f in (Reach(), Slide())]
    assert not torch.equal(*heads)


def test_any_other_family_has_the_trunk_and_a_new_head_and_is_told(several: Checkpoint):
    found = of_family(several, Opposite())
    assert not fits(found, Opposite())  # though blocks and actions are as wide
    carried, surgery = carry(found, Opposite())
    trunk = several.tensors["policy.trunk.layers.0.weight"]
    first = carried.tensors["policy.trunk.layers.0.weight"]
    assert torch.equal(first[:, :4], trunk[:, :4])
    assert not first[:, 4:].any()
    why = "drawn anew, for no head of toy/reach, toy/slide is of pair/opposite"
    assert surgery.fresh["head"] == why
    heads = [of_family(several, f).tensors["policy.head.weight"] for f in (Reach(), Slide())]
    assert not any(torch.equal(carried.tensors["policy.head.weight"], head) for head in heads)
    with pytest.raises(CheckpointError, match=r"toy/reach, toy/slide, and has no head for pair/opp"):
        make_act("x", Worlds(Opposite(), 1), 0, found)
    with pytest.raises(ConfigError, match=r"--map action=action.*no head to map from"):
        carry(found, Opposite(), ["action=action"])
    without = Checkpoint(several.tensors, {n: v for n, v in several.meta.items() if n != TRUNK})
    with pytest.raises(CheckpointError, match="knows toy/reach, toy/slide, not pair/opposite"):
        of_family(without, Opposite())


class Strange(Reach):
    """It observes what nobody does."""

    id = "toy/strange"

    def observe(self, worlds, task):
        return {"eyes": worlds.qpos}


def test_what_observes_nothing_that_it_knows_is_told(several: Checkpoint):
    with pytest.raises(ConfigError, match=r"toy/strange observes nothing.*robot of 4"):
        of_family(several, Strange())


def test_another_option_of_a_family_has_its_kins(several: Checkpoint):
    kin = Reach()
    kin.id = "toy/reach@robot=other"
    assert of_family(several, kin).meta["family"] == "toy/reach"


def test_a_plain_checkpoint_is_given_back_and_several_are_no_policy(several: Checkpoint):
    plain = of_family(several, Reach())
    assert of_family(plain, Slide()) is plain
    with pytest.raises(CheckpointError, match="of several families, toy/reach, toy/slide"):
        load_policy(several)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda task: task.pop("view"),
        lambda task: task.update(family=3),
        lambda task: task.update(blocks={"task": -1}),
        lambda task: task["view"].update({"head.weight": ["no such tensor", None, None]}),
        lambda task: task["view"].update({"head.weight": [["x"], None, None]}),
        lambda task: task["view"].update({"trunk.layers.0.weight": ["head", [10**6], None]}),
        lambda task: task["view"]["trunk.layers.0.weight"].__setitem__(1, [10**6] * 6),
        lambda task: task["view"]["trunk.layers.0.weight"].__setitem__(1, ["a"]),
        lambda task: task["view"]["trunk.layers.0.bias"].__setitem__(2, [1]),
        lambda task: task["view"].update({"head.weight": 7}),
        lambda task: task.update(view=[]),
    ],
)
def test_a_view_that_was_changed_is_told(several: Checkpoint, spoil):
    meta = copy.deepcopy(several.meta)
    spoil(meta[TASKS][0])
    with pytest.raises(CheckpointError):
        load_policy(of_family(Checkpoint(several.tensors, meta), Reach()))
    for tasks in (None, {}, [], [None]):
        with pytest.raises(CheckpointError):
            of_family(Checkpoint(several.tensors, {**meta, TASKS: tasks}), Reach())


def test_a_run_is_trained_resumed_read_and_started_from(tmp_path: Path):
    names = ["toy/reach", "pair/same"]
    train(names, "multi-task", iterations=1, out=tmp_path, num_threads=1, **TINY)
    train(names, "multi-task", iterations=2, out=tmp_path, resume=True, num_threads=1)
    whole = read_checkpoint(tmp_path)
    assert whole.meta["family"] == "toy/reach + pair/same"
    known = read_source(tmp_path, family=Same())
    assert known.meta["interface"]["blocks"] == {"robot": 4, "task": 2}
    start = start_from(tmp_path, Same())
    assert "head" in start.surgery.carried
    with pytest.raises(ConfigError, match=r"toy/reach \+ pair/same, not of multi-task on pair/same"):
        train(names[::-1], "multi-task", iterations=3, out=tmp_path, resume=True)
    with pytest.raises(ConfigError, match="--from has no effect"):
        train(names, "multi-task", iterations=1, out=tmp_path / "b", start=tmp_path)
    with pytest.raises(ConfigError, match="ppo trains on one family, not on 2.*multi-task"):
        train(names, "ppo", iterations=1, out=tmp_path / "c")
    act = make_act("run", Worlds(Same(), 3, task_visible=True), 0, known)
    assert np.isfinite(act(np.zeros((3, 6), np.float32))).all()
