"""Adaptation by imitation: the expert shows, then corrects; every task learns for itself."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from alike import same
from problem import move_to_meta
from torch._subclasses.fake_tensor import FakeTensorMode
from toy import Reach

from metarl.adapt.evaluate import evaluate_adaptation, settings_of
from metarl.adapt.protocol import Protocol
from metarl.errors import ConfigError
from metarl.family import TaskFamily
from metarl.nn.functional import expand, parameters_of
from metarl.nn.policy import GaussianPolicy
from metarl.rl.dagger import DaggerConfig, DaggerTrainer
from metarl.runs.checkpoint import Checkpoint
from metarl.sim.worlds import Worlds
from metarl.transfer.config import Imitation
from metarl.transfer.imitation import Lessons, imitate, learn
from metarl.transfer.strategy import get_strategy
from metarl.transfer.student import Student

K, B = 2, 3
QUICK = Imitation(rate=1e-2, steps=30, minibatch=32)


class Lonely(Reach):
    expert = TaskFamily.expert


def make_worlds_and_policy():
    worlds = Worlds(Reach(), K * B, num_threads=1, split="test")
    generator = torch.Generator().manual_seed(0)
    policy = GaussianPolicy(worlds.spec.obs_dim, 2, 2, generator, hidden=(8,))
    return worlds, policy


def student_of(policy, strategy: str = "fine-tune", rate: float = QUICK.rate) -> Student:
    g = torch.Generator().manual_seed(2)
    return Student(policy, get_strategy(strategy), rate=rate, generator=g, num_tasks=K)


def adapt(updates: int, strategy: str = "fine-tune"):
    worlds, policy = make_worlds_and_policy()
    g = torch.Generator().manual_seed(1)
    steps = imitate(worlds, student_of(policy, strategy), QUICK, updates=updates, generator=g)
    return policy, parameters_of(policy), list(steps)


def make_lessons(count: int = 20) -> Lessons:
    g = torch.Generator().manual_seed(3)
    obs = torch.randn(K, count, 6, generator=g)
    return Lessons(obs, torch.randn(K, count, 2, generator=g), torch.ones(K, count))


def teach(policy, lessons: Lessons, how: Imitation):
    student = student_of(policy)
    learn(student, lessons, how, torch.Generator().manual_seed(0))
    return student.leaves


def test_the_expert_shows_first_and_the_policy_acts_then():
    policy, _, (first, second) = adapt(2)
    shown = first.trajectories
    worlds = Worlds(Reach(), K * B, num_threads=1, split="test")
    worlds.reset()
    assert torch.equal(shown.action[0], torch.from_numpy(worlds.expert()).float())
    assert torch.equal(shown.action, shown.mean)
    assert shown.success.mean() > 0.9
    assert not torch.equal(second.trajectories.action, second.trajectories.mean)
    assert torch.isfinite(second.trajectories.log_prob).all()
    assert policy is not None


def test_every_task_learns_for_itself_and_nothing_else_moves():
    policy, params, steps = adapt(2)
    head = steps[-1].params["head.weight"]
    assert not torch.equal(head[0], head[1])
    assert same({n: p.detach() for n, p in policy.state_dict().items()}, dict(policy.state_dict()))
    assert torch.equal(steps[-1].params["log_std"], expand(params, K)["log_std"])
    _, params, steps = adapt(2, "frozen-trunk")
    moved = {n for n in params if not torch.equal(steps[-1].params[n], expand(params, K)[n])}
    assert moved == {"head.weight", "head.bias"}


def test_one_batched_adam_is_one_adam_a_task():
    _, policy = make_worlds_and_policy()
    lessons = make_lessons()
    both = teach(policy, lessons, QUICK)
    for k in range(K):
        alone, g = copy.deepcopy(policy), torch.Generator().manual_seed(0)
        adam = torch.optim.Adam(alone.parameters(), lr=QUICK.rate)
        for step in range(QUICK.steps):
            adam.param_groups[0]["lr"] = QUICK.rate * min(1.0, 2 * (1 - step / QUICK.steps))
            rows = torch.randint(20, (QUICK.minibatch,), generator=g)
            loss = ((alone(lessons.obs[k, rows])[0] - lessons.answer[k, rows]) ** 2).mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
        for name, p in alone.named_parameters():
            torch.testing.assert_close(both[name][k], p, rtol=1e-3, atol=1e-5)


def test_what_is_after_an_episodes_end_teaches_nothing():
    _, policy = make_worlds_and_policy()
    lessons = make_lessons()
    lessons.mask[:, 10:] = 0.0
    garbage = lessons.answer.clone()
    garbage[:, 10:] = 1e6
    clean, dirty = (
        teach(policy, lessons._replace(answer=answer), QUICK)
        for answer in (lessons.answer, garbage)
    )
    assert same(
        {n: p.detach() for n, p in clean.items()}, {n: p.detach() for n, p in dirty.items()}
    )


def test_ten_demonstrations_solve_a_hidden_task():
    trainer = DaggerTrainer(Reach(), DaggerConfig(num_worlds=8, iterations=1))
    source = Checkpoint(*trainer.checkpoint())
    protocol = Protocol(num_tasks=5, updates=2, eval_episodes=4)
    result = evaluate_adaptation(Reach(), "fine-tune-dagger", source, protocol)
    assert result.success[0].mean() < 0.3
    assert result.success[-1].mean() > 0.8
    again = evaluate_adaptation(Reach(), "fine-tune-dagger", source, protocol)
    assert np.array_equal(result.returns, again.returns)


def test_fresh_networks_differ_from_training_seed_to_training_seed():
    returns = []
    for seed in (0, 1, 0):
        trainer = DaggerTrainer(Reach(), DaggerConfig(num_worlds=2, iterations=1, seed=seed))
        source = Checkpoint(*trainer.checkpoint())
        protocol = Protocol(num_tasks=2, episodes=1, updates=0, eval_episodes=1)
        returns.append(evaluate_adaptation(Reach(), "scratch", source, protocol).returns)
    assert np.array_equal(returns[0], returns[2])
    assert not np.array_equal(returns[0], returns[1])


def test_who_has_no_expert_is_told_what_else_there_is():
    trainer = DaggerTrainer(Reach(), DaggerConfig(num_worlds=2, iterations=1))
    source = Checkpoint(*trainer.checkpoint())
    with pytest.raises(ConfigError, match=r"no expert that could teach.*fine-tune"):
        evaluate_adaptation(Lonely(), "fine-tune-dagger", source, Protocol(num_tasks=1))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"rate": 0.0}, "rate is 0.0; expected a finite number > 0"),
        ({"steps": 0}, "steps is 0; expected an integer >= 1"),
        ({"minibatch": 0}, "minibatch"),
        ({"log_std": float("nan")}, "log_std"),
        ({"epochs": 3}, "epochs"),
    ],
)
def test_settings_that_are_none_are_refused(settings: dict, said: str):
    with pytest.raises(ConfigError, match=said):
        settings_of("fine-tune-dagger", settings)
    assert settings_of("fine-tune-dagger", {"rate": 1e-2}) == Imitation(rate=1e-2)


def test_every_tensor_of_an_update_lives_on_the_parameters_device():
    """A stray CPU tensor raises under FakeTensorMode, in the backward pass too."""
    _, policy = make_worlds_and_policy()
    lessons = make_lessons()
    with FakeTensorMode():
        move_to_meta(policy)
        there = Lessons(*(torch.empty(x.shape, device="meta") for x in lessons))
        now = teach(policy, there, QUICK)
        assert {p.device.type for p in now.values()} == {"meta"}
        with pytest.raises(RuntimeError, match="device"):
            teach(policy, there._replace(answer=torch.ones(K, 20, 2)), QUICK)
