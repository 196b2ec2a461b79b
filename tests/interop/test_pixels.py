"""Pictures as observations: the three environments agree, and Stable-Baselines3 learns from them."""

import copy

import gymnasium
import numpy as np
import pytest
from sliders import Slide
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv
from watched import Watched

from metarl.errors import ConfigError, UnknownNameError
from metarl.interop import FamilyEnv, FamilyVecEnv, FamilyVectorEnv
from metarl.interop.spaces import Shown
from metarl.sim.worlds import Worlds

ASKED = {"observation": "pixels", "picture_size": 36}


def equal(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[name], b[name]) for name in a)
    return np.array_equal(a, b)


def row(obs, i):
    return {name: x[i] for name, x in obs.items()} if isinstance(obs, dict) else obs[i]


@pytest.mark.parametrize("observation", ["pixels", "pixels-only"])
@pytest.mark.parametrize("mode", ["SameStep", "NextStep"])
def test_vector_environments_see_what_single_ones_see(observation, mode):
    asked = {**ASKED, "observation": observation}
    vector = FamilyVectorEnv(Watched(), 2, num_threads=2, seed=4, autoreset_mode=mode, **asked)
    single = FamilyEnv(Watched(), seed=5, **asked)
    (obs, _), (want, _) = vector.reset(), single.reset()
    for step in range(Watched.horizon):
        assert obs in vector.observation_space
        assert want in single.observation_space
        assert equal(row(obs, 1), want)
        obs, *_, infos = vector.step(np.full((2, 2), 0.3))
        want = single.step(np.full(2, 0.3))[0]
        assert step < Watched.horizon - 1 or mode == "NextStep" or "final_obs" in infos
    last = row(obs, 1) if mode == "NextStep" else infos["final_obs"][1]
    assert last in vector.single_observation_space
    assert equal(last, want)
    if mode == "NextStep":
        obs = vector.step(np.zeros((2, 2)))[0]
    assert equal(row(obs, 1), single.reset()[0])
    vector.close()
    single.close()


def test_sb3_sees_what_its_own_wrapper_of_single_environments_sees():
    ours = FamilyVecEnv(Watched(), 1, seed=4, **ASKED)
    theirs = DummyVecEnv([lambda: FamilyEnv(Watched(), seed=4, **ASKED)])
    a, b = ours.reset(), theirs.reset()
    for _ in range(Watched.horizon + 1):
        assert equal(a, b)
        a, _, done, infos = ours.step(np.ones((1, 2)))
        b, _, want, their_infos = theirs.step(np.ones((1, 2)))
        assert done == want
        if done:
            assert equal(*(i[0]["terminal_observation"] for i in (infos, their_infos)))
    ours.env_method("reset", indices=0)
    ours.close()
    theirs.close()


def test_beside_a_picture_stands_what_it_does_not_show():
    env = gymnasium.make("metarl/kitchen-add-v0", observation="pixels", task_visible=False)
    space, spec = env.observation_space, env.unwrapped.worlds.spec
    assert {name: (box.shape, box.dtype) for name, box in space.items()} == {
        "pixels": ((84, 84, 3), np.uint8),
        "robot": ((spec.blocks["robot"],), np.float32),
        "task": ((spec.task_dim,), np.float32),
    }
    alone = FamilyEnv("kitchen/add", observation="pixels-only", picture_camera="top")
    assert alone.observation_space == space["pixels"]


def test_a_world_that_diverged_is_shown_as_it_was():
    worlds = Worlds(Watched(), 3, seed=0)
    shown = Shown(worlds, "pixels-only", size=36)
    before = shown(worlds.reset())
    obs = worlds.step(np.ones((3, 2))).obs
    now = shown(obs, np.array([False, True, False]))
    assert equal(now[1], before[1])
    assert not equal(now[0], before[0])
    assert equal(shown.each(obs, np.array([1]))[0], Shown(worlds, "pixels-only", size=36)(obs)[1])
    shown.close()


def test_a_twin_sees_the_same():
    env = FamilyVectorEnv(Watched(), 2, seed=0, **ASKED)
    env.reset()
    twin = copy.deepcopy(env)
    seen = env.step(np.ones((2, 2)))[0]
    env.step(np.ones((2, 2)))
    assert equal(twin.step(np.ones((2, 2)))[0], seen)


def test_pictures_that_were_given_away_do_not_change():
    env = FamilyVectorEnv(Watched(), 2, seed=0, **ASKED)
    kept = env.reset()[0]["pixels"]
    before = kept.copy()
    other = env.step(np.ones((2, 2)))[0]["pixels"]
    assert not equal(other, before)
    assert equal(kept, before)
    other[:] = 0
    assert env.step(np.ones((2, 2)))[0]["pixels"].any()


@pytest.mark.parametrize(
    ("policy", "observation"), [("MultiInputPolicy", "pixels"), ("CnnPolicy", "pixels-only")]
)
def test_sb3_learns_from_pictures(policy, observation):
    envs = FamilyVecEnv(Watched(), 4, seed=0, **{**ASKED, "observation": observation})
    agent = PPO(policy, envs, n_steps=8, batch_size=16, n_epochs=1, seed=0, device="cpu")
    weights = agent.policy.features_extractor.state_dict()
    before = {name: x.clone() for name, x in weights.items()}
    agent.learn(32)
    after = agent.policy.features_extractor.state_dict()
    assert any(not (x == before[name]).all() for name, x in after.items())
    action, _ = agent.predict(envs.reset())
    assert action.shape == (4, 2)
    envs.close()


@pytest.mark.parametrize(
    ("family", "keywords", "error", "message"),
    [
        (Slide, {"observation": "pixels"}, ConfigError, "toy/slide lets no camera be observed"),
        (Watched, {"picture_size": 64}, ConfigError, "picture_size is 64; expected left out"),
        (Watched, {"picture_camera": "eye"}, ConfigError, "picture_camera is 'eye'; expected"),
        (
            Watched,
            {"observation": "pixels", "picture_camera": "eve"},
            UnknownNameError,
            "unknown camera that may be observed 'eve'; did you mean 'eye'",
        ),
    ],
)
def test_what_is_refused(family, keywords, error, message):
    for make in (FamilyEnv, FamilyVectorEnv, FamilyVecEnv):
        sizes = {} if make is FamilyEnv else {"num_envs": 1}
        with pytest.raises(error, match=message):
            make(family(), **sizes, **keywords)
