"""Dishes: how food cooks, how a recipe goes on, and what the judge pays for."""

import dataclasses

import numpy as np
import pytest
import torch
from metarl_kitchen.cooking import BURNT, COLD, GOLDEN, colours, cook, follow
from metarl_kitchen.dishes import expert
from metarl_kitchen.dishes import state as columns
from metarl_kitchen.dishes.family import Dishes
from metarl_kitchen.dishes.recipes import DISHES, SKILLS
from metarl_kitchen.dishes.task import GAIN
from metarl_kitchen.pantry import MEAT

from metarl.errors import UnknownNameError
from metarl.learn.train import train
from metarl.nn.surgery import FIRST
from metarl.registry import make_family
from metarl.runs.policies import read_checkpoint
from metarl.sim.worlds import Worlds


def cooked(family, num_worlds=32, split="train", seed=11):
    worlds = Worlds(family, num_worlds, seed=seed, split=split)
    worlds.reset()
    returns = np.zeros(num_worlds)
    for _ in range(family.horizon):
        step = worlds.step(worlds.expert())
        returns += step.reward
    return worlds, step, returns


def test_heat_follows_with_its_lag():
    now, lag = np.array([0.2, 0.2]), np.array([0.5, 2.0])
    for _ in range(20):
        now = follow(now, np.array([0.8, 0.8]), lag, 0.05)
    np.testing.assert_allclose(now, 0.8 - 0.6 * np.exp(-1.0 / lag))


def test_food_cooks_with_heat_and_stirring_and_burns():
    raw, heat = np.zeros(4), np.array([0.0, COLD, 1.0, 1.0])
    done = cook(raw, heat, 0.1, 1.0, stirred=np.array([0.0, 0.0, 0.0, 1.0]))
    np.testing.assert_allclose(done, [0.0, 0.0, 0.1, 0.15])
    assert (cook(done, heat, 0.1, 1e3)[2:] == BURNT).all()


def test_colour_tells_doneness():
    shown = colours(np.array([0.0, GOLDEN, BURNT]), MEAT.stops)
    np.testing.assert_allclose(shown, [MEAT.raw, MEAT.golden, MEAT.burnt])


def test_recipes_make_sense():
    assert len(DISHES) >= 8
    assert {"stir-fried-greens", "red-braised-pork", "tomato-egg-soup"} <= set(DISHES)
    assert DISHES["tomato-egg-soup"].held_out
    for recipe in DISHES.values():
        assert {stage.skill for stage in recipe.stages} <= set(SKILLS)
        assert recipe.stages[0].skill == "heat"
        assert [s.piece for s in recipe.stages if s.skill == "serve"] == [0, 1]
        assert recipe.amount("season") > 0.0


def test_unknown_dish_is_named():
    with pytest.raises(UnknownNameError, match="did you mean 'tomato-egg-soup'"):
        make_family("kitchen/dishes@dish=tomato-eg-soup")


def test_whole_dishes_are_held_out():
    family = Dishes()
    held = np.array([recipe.held_out for recipe in DISHES.values()])
    worlds = Worlds(family, 64)
    assert not held[worlds.sample("train").dish].any()
    for split in ("test", "far"):
        assert held[worlds.sample(split).dish].all()
    assert (worlds.sample("far").gain < GAIN[0]).all()


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_cook_cooks_every_dish(split):
    family = Dishes()
    worlds, step, _ = cooked(family, 72 if split == "train" else 36, split)
    for index in np.unique(worlds.task.dish):
        mine = worlds.task.dish == index
        assert step.score[mine].mean() >= 0.8, list(DISHES)[index]
    # every stage of every recipe was reached
    stages = np.array([len(recipe.stages) for recipe in DISHES.values()])[worlds.task.dish]
    reached = np.empty(worlds.num_worlds)
    for i in range(worlds.num_worlds):
        scene, row = worlds.place(i)
        reached[i] = scene.userdata[row, columns.STAGE]
    assert (reached == stages).mean() > 0.9


def test_a_cook_by_the_clock_spoils_the_dish_on_a_strangers_stove(monkeypatch):
    family = make_family("kitchen/dishes@dish=red-braised-pork")
    known = cooked(family)[1].score.mean()
    # what a policy can do that neither sees doneness nor knows the constants
    clock = lambda cook: cook.state[:, columns.TIMER] > 60  # noqa: E731
    monkeypatch.setattr(expert._Cook, "_done", clock)
    family.hand_expert = lambda worlds, task: Dishes.hand_expert(family, worlds, _average(task))
    assert cooked(family)[1].score.mean() < known - 0.15


def _average(task):
    middle = {"gain": 1.0, "lag_s": 1.0, "rate": 1.0, "coarseness": 1.0, "viscosity": 1.0}
    rows = {name: np.full_like(getattr(task, name), value) for name, value in middle.items()}
    return dataclasses.replace(task, **rows)


def test_nothing_is_paid_for_standing_still_or_sweeping_the_counter():
    family = make_family("kitchen/dishes@dish=carrot-and-tofu")
    _, step, best = cooked(family, 6)

    def still(t):
        return np.zeros(6)

    def sweep(t):  # low over the counter from side to side, fingers closed
        return np.array([0.3 * (-1) ** (t // 60), (-1) ** (t // 25), -1.0, 0.0, 0.0, 1.0])

    for act in (still, sweep):
        worlds = Worlds(family, 6, seed=11)
        worlds.reset()
        returns = np.zeros(6)
        for t in range(family.horizon):
            step = worlds.step(np.tile(act(t), (6, 1)))
            returns += step.reward
        assert step.score.max() < 0.2, act.__name__
        assert returns.mean() < 0.4 * best.mean(), act.__name__


def test_captions_tell_the_step():
    worlds = Worlds(make_family("kitchen/dishes@dish=tomato-egg-soup"), 2)
    worlds.reset()
    assert worlds.caption(1) == "1/8 heat  ·  heat 0%  ·  tomato 0%, egg 0%  ·  score 0.00"


def test_observations_do_not_show_doneness():
    worlds = Worlds(make_family("kitchen/dishes@dish=stir-fried-greens"), 1)
    worlds.reset()
    scene, _ = worlds.place(0)
    before = worlds._observe()
    scene.userdata[:, [columns.DONE0, columns.DONE1, columns.SALT, columns.LIQUID]] = 0.7
    np.testing.assert_array_equal(worlds._observe(), before)


def test_a_few_worlds_start_anew():
    worlds = Worlds(Dishes(), 6, seed=3)
    worlds.reset()
    scene, _ = worlds.place(0)
    scene.userdata[:, columns.STAGE] = 2.0
    worlds.reset(np.array([1, 4]))
    assert scene.userdata[:, columns.STAGE].tolist() == [2.0, 0.0, 2.0, 2.0, 0.0, 2.0]


def test_a_dish_policy_starts_from_the_skills(tmp_path):
    tiny = {"num_worlds": 2, "minibatch": 600, "epochs": 1, "iterations": 1}
    skills = train("kitchen/skills", "dagger", out=tmp_path / "skills", **tiny)
    frozen = {**tiny, "learning_rate": 1e-9}
    dish = train("kitchen/dishes", "dagger", out=tmp_path / "dish", start=skills, **frozen)
    old, new = (read_checkpoint(path).tensors[f"policy.{FIRST}"] for path in (skills, dish))
    assert old.shape != new.shape
    torch.testing.assert_close(new[:, :9], old[:, :9])  # of the robot, which both observe
    torch.testing.assert_close(new[:, 9:], torch.zeros_like(new[:, 9:]))
