"""What families have in common."""

from __future__ import annotations

import numpy as np
import pytest
from pair import Same
from sliders import Slide
from toy import Reach

from metarl.errors import ConfigError
from metarl.multitask.tasks import Column, TaskList
from metarl.sim.worlds import Worlds


class Named(Reach):
    """Its columns have names."""

    id = "toy/named"

    def columns(self):
        return {"robot": ("x", "y", "vx", "vy")}


class Other(Named):
    """Some of its columns are the first one's, in another place."""

    id = "toy/other"

    def observe(self, worlds, task):
        return {"robot": np.concatenate([worlds.qvel, worlds.qpos * 5, worlds.qpos], 1)}

    def columns(self):
        return {"robot": ("vx", "vy", "x", "y", "far x", "far y")}


class Apart(Reach):
    """It observes nothing that others do."""

    id = "toy/apart"

    def observe(self, worlds, task):
        return {"eyes": worlds.qpos}


class Lame(Reach):
    """It has one action less."""

    id = "toy/lame"

    def action_dim(self, num_actuators):
        return 1

    def act(self, worlds, task, action):
        worlds.ctrl[:] = np.repeat(action, 2, axis=1) * worlds.ctrl_half


def listed(*families):
    return TaskList(families, tuple(Worlds(family, 1).spec for family in families))


def test_blocks_without_names_are_shared_where_they_are_as_wide():
    tasks = listed(Reach(), Slide())
    own = [[tasks.columns[i] for i in row] for row in tasks.places]
    assert own[0][:4] == own[1][:4] == [Column("robot", "4", str(i)) for i in range(4)]
    assert Column("object", "1", "0") in own[1]
    assert Column("object", "1", "0") not in own[0]
    assert {c.of for c in own[0][4:]} == {"toy/reach"}
    assert {c.of for c in own[1][5:]} == {"toy/slide"}
    assert tasks.obs_dim == 4 + 1 + 2 + 4
    assert "object differs: what a task lacks is zero in reach" in tasks.said()


def test_columns_with_names_are_shared_wherever_they_stand():
    tasks = listed(Named(), Other())
    names = [[tasks.columns[i].name for i in row[:-2]] for row in tasks.places]
    assert names == [["x", "y", "vx", "vy"], ["vx", "vy", "x", "y", "far x", "far y"]]
    assert tasks.union.blocks == {"robot": 6, "task": 4}
    assert tasks.places[0][0] == tasks.places[1][2]


def test_the_task_block_is_shared_within_a_family_alone():
    tasks = listed(Reach(), Same())
    assert tasks.union.blocks == {"robot": 4, "task": 4}
    assert set(tasks.places[0][-2:]).isdisjoint(tasks.places[1][-2:])


def test_what_has_nothing_in_common_is_told_with_its_blocks():
    with pytest.raises(ConfigError, match=r"toy/apart has no column.*eyes of 2, and.*robot of 4"):
        listed(Reach(), Same(), Apart())
    assert listed(Apart()).obs_dim == 4  # alone it need not share anything


def test_one_head_needs_the_same_actions():
    listed(Reach(), Same()).require_same_actions()
    with pytest.raises(
        ConfigError, match=r"toy/reach, 2 actions, and in toy/lame, 1 actions.*heads"
    ):
        listed(Reach(), Lame()).require_same_actions()


def test_labels_are_short_and_differ():
    assert listed(Reach(), Slide()).labels == ("reach", "slide")
    again = Reach()
    again.id = "other/reach"
    assert listed(Reach(), again).labels == ("toy-reach", "other-reach")
