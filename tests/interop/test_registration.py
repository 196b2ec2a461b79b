"""Families by their Gymnasium ids."""

import subprocess
import sys

import gymnasium
import pytest
from toy import Reach

from metarl import registry
from metarl.interop import FamilyEnv, FamilyVectorEnv, register_gym_ids

CODE = """
import sys
{first}
{then}
env = gymnasium.make({id!r})
assert env.spec.max_episode_steps == 50, env.spec
assert gymnasium.spec("metarl/kitchen-season-v0").max_episode_steps == 50
"""


@pytest.mark.parametrize(
    ("first", "then", "id"),
    [
        ("import gymnasium", "import metarl", "metarl/kitchen-season-v0"),
        ("import gymnasium", "pass", "metarl:metarl/kitchen-season-v0"),
        ("import metarl", "import gymnasium", "metarl.interop:metarl/kitchen-season-v0"),
    ],
)
def test_ids_are_known(first, then, id):
    code = CODE.format(first=first, then=then, id=id)
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_metarl_alone_stays_light():
    code = (
        "import sys, metarl; heavy = {'gymnasium', 'mujoco', 'numpy', 'torch'} & set(sys.modules);"
        " assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_ids_make_environments():
    assert "metarl/toy-reach-v0" in register_gym_ids()
    env = gymnasium.make("metarl.interop:metarl/toy-reach-v0", task_visible=False)
    assert isinstance(env.unwrapped, FamilyEnv)
    assert env.reset(seed=1)[0] in env.observation_space
    envs = gymnasium.make_vec("metarl/toy-reach-v0", num_envs=3)
    assert isinstance(envs.unwrapped, FamilyVectorEnv)
    assert envs.reset()[0].shape == (3, 6)


@pytest.fixture
def apart(monkeypatch):
    """A registry and ids that are put back."""
    held = registry._registry
    monkeypatch.setattr(held, "tables", {kind: dict(table) for kind, table in held.tables.items()})
    known = dict(gymnasium.registry)
    yield
    gymnasium.registry.clear()
    gymnasium.registry.update(known)


@pytest.mark.usefixtures("apart")
def test_a_family_that_comes_later_has_an_id_at_once():
    class Later(Reach):
        horizon = 7

    registry.register("toy/later")(Later)
    assert gymnasium.make("metarl/toy-later-v0").spec.max_episode_steps == 7


@pytest.mark.usefixtures("apart")
def test_one_id_for_two_families_is_told():
    class Other(Reach):
        pass

    with pytest.warns(UserWarning, match=r"'metarl/toy-reach-v0' stands for 'toy/reach'"):
        registry.register("toy-reach")(Other)
