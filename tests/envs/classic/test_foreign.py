"""A policy of Gymnasium's half-cheetah acts here as it does there, through the mapping of the docs."""

import re
from pathlib import Path

import gymnasium
import numpy as np
import torch
from stable_baselines3 import PPO

from metarl.registry import make_family
from metarl.runs.policies import load_policy_for
from metarl.sim.worlds import Worlds
from metarl.sources import carry, read_source

DOCS = Path(__file__).parents[3] / "docs" / "sources.md"


def test_the_same_state_brings_about_the_same_actions():
    env = gymnasium.make("HalfCheetah-v5").unwrapped
    model = PPO("MlpPolicy", env, seed=0, device="cpu", n_steps=8, batch_size=8)
    with torch.no_grad():  # a fresh head is too small to tell
        model.policy.action_net.weight.mul_(50.0)
    example = re.search(r"train classic/cheetah-velocity[^`]*", DOCS.read_text())[0]
    mapping = re.findall(r"'(\S+)'", example)
    family = make_family("classic/cheetah-velocity")
    worlds = Worlds(family, 3, seed=0)
    found, _ = carry(read_source(model), family, mapping)
    policy = load_policy_for(found, worlds)
    obs = worlds.reset()
    for step in range(5):
        scene, _ = worlds.place(0)
        there = []
        for qpos, qvel in zip(scene.qpos[:], scene.qvel[:]):
            env.set_state(qpos, qvel)
            there.append(env._get_obs())
        expected = model.predict(np.array(there, np.float32), deterministic=True)[0]
        with torch.no_grad():
            ours = policy(torch.from_numpy(obs))[0].numpy().clip(-1.0, 1.0)
        assert 0.02 < np.abs(expected).mean() < 1.0, step
        np.testing.assert_allclose(ours, expected, atol=2e-6)
        obs = worlds.step(expected).obs
