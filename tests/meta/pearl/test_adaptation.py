"""PEARL meets new tasks: a belief is all that changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from alike import same
from guesses import TINY, Half, generator
from toy import Reach, knowing

from metarl.adapt.evaluate import evaluate_adaptation, start_adaptation
from metarl.adapt.protocol import Protocol
from metarl.errors import CheckpointError
from metarl.learn.rollout import collect
from metarl.meta.pearl.adaptation import PearlAdaptation, start_encoder
from metarl.meta.pearl.config import PearlConfig
from metarl.meta.pearl.trainer import PearlTrainer
from metarl.nn.functional import parameters_of
from metarl.nn.policy import GaussianPolicy
from metarl.runs.checkpoint import Checkpoint
from metarl.sim.worlds import Worlds


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    trainer = PearlTrainer(Reach(), TINY, num_threads=1)
    trainer.iterate()
    return Checkpoint(*trainer.checkpoint())


FEW = Protocol(num_tasks=3, episodes=2, updates=2, eval_episodes=4)


def test_the_protocol_takes_exactly_its_steps(checkpoint):
    keep = []
    result = evaluate_adaptation(Reach(), "pearl", checkpoint, FEW, num_threads=1, keep=keep)
    assert result.steps == 2 * 2 * 3 * Reach.horizon
    assert [state["mean"].shape for state in keep] == [(3, 2)] * 3
    assert (keep[0]["mean"] == 0).all()
    traces = [s["covariance"].diagonal(dim1=1, dim2=2).sum(1) for s in keep]
    assert (traces[0] > traces[1]).all()
    assert (traces[1] > traces[2]).all()


def test_before_any_episode_the_policy_is_blind(checkpoint):
    adaptation = start_adaptation(Reach(), "pearl", checkpoint, FEW, num_threads=1)
    judges = [Worlds(Reach(), 6, seed=7, num_threads=1, split="test") for _ in range(2)]
    blind = collect(
        judges[0], adaptation.policy, parameters_of(adaptation.policy), num_tasks=3,
        generator=generator(), deterministic=True,
    )  # fmt: skip
    assert torch.equal(adaptation.judge(judges[1]).action, blind.action)


def test_judging_changes_nothing(checkpoint):
    judged, alone = (
        start_adaptation(Reach(), "pearl", checkpoint, FEW, num_threads=1) for _ in range(2)
    )
    worlds = Worlds(Reach(), 6, seed=7, num_threads=1, split="test")
    for _ in range(2):
        judged.judge(worlds)
        judged.update()
        alone.update()
        assert same(judged.state(), alone.state())
    kept = judged.state()
    judged.update()
    assert not torch.equal(kept["mean"], judged.state()["mean"])  # copies


def test_acting_later_is_what_the_judge_saw(checkpoint):
    adaptation = start_adaptation(Reach(), "pearl", checkpoint, FEW, num_threads=1)
    adaptation.update()
    state = adaptation.state()
    state["mean"] = torch.tensor([[0.9, -0.9], [0.3, 7.0], [0.0, 0.0]]).double()
    adaptation.update()
    worlds = Worlds(Reach(), 1, seed=7, num_threads=1)
    obs = worlds.reset()
    acted = adaptation.act_in(worlds, 1, state)(obs)
    assert (obs[:, -2:] == 0).all()
    obs[:, -2:] = [[0.3, 1.0]]
    expected = adaptation.policy(torch.from_numpy(obs))[0].detach().numpy()
    np.testing.assert_array_equal(acted, expected)


def test_each_episode_tries_one_guess_of_what_is_hidden():
    worlds = Worlds(Half(), 6, num_threads=1)
    policy = GaussianPolicy(worlds.spec.obs_dim, 2, 3, generator(), hidden=(8,))
    encoder = start_encoder(worlds, TINY, generator())
    adaptation = PearlAdaptation(worlds, policy, encoder, TINY, num_tasks=3, generator=generator())
    block = adaptation.play().obs[..., -3:]
    shown = worlds.obs[:, -3:-1]
    np.testing.assert_array_equal(block[0, :, :2].numpy(), shown)  # what is seen stays as it is
    assert (block == block[0]).all()
    assert len(set(block[0, :, 2].tolist())) == 6


def test_a_checkpoint_without_an_encoder_is_refused(checkpoint):
    bare = {n: t for n, t in checkpoint.tensors.items() if not n.startswith("encoder.")}
    with pytest.raises(CheckpointError, match="no whole encoder"):
        evaluate_adaptation(Reach(), "pearl", Checkpoint(bare, checkpoint.meta), FEW)
    config = {**checkpoint.meta["config"], "num_critics": 2}
    foreign = Checkpoint(checkpoint.tensors, {**checkpoint.meta, "config": config})
    with pytest.raises(CheckpointError, match="num_critics"):
        evaluate_adaptation(Reach(), "pearl", foreign, FEW)


def test_for_a_policy_that_knows_what_to_do_it_finds_out_where_the_goal_is():
    config = PearlConfig(
        num_tasks=12, episodes=3, updates=2, iterations=7, hidden=(2,), encoder_hidden=(32, 32)
    )
    known = knowing(Worlds(Reach(), 1, num_threads=1).spec).state_dict()
    trainer = PearlTrainer(Reach(), config, initial=known, num_threads=1)
    rows = [trainer.iterate() for _ in range(config.iterations)]
    assert rows[0]["error"] > 0.4
    assert np.mean([r["error"] for r in rows[-3:]]) < 0.25
    assert np.mean([r["success_before"] for r in rows[-3:]]) < 0.2
    assert np.mean([r["success_after"] for r in rows[-3:]]) > 0.4


@pytest.mark.slow
def test_it_finds_out_where_the_goal_is_and_goes_there():
    config = PearlConfig(
        num_tasks=20, episodes=5, updates=2, iterations=25, encoder_hidden=(32, 32)
    )
    trainer = PearlTrainer(Reach(), config)
    rows = [trainer.iterate() for _ in range(config.iterations)]
    assert rows[0]["error"] > 0.4
    assert np.mean([r["error"] for r in rows[-3:]]) < 0.1
    assert np.mean([r["success_before"] for r in rows[-3:]]) < 0.3
    assert np.mean([r["success_after"] for r in rows[-3:]]) > 0.6
