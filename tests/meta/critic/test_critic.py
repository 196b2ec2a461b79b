"""Meta-critic networks: what the critic learns, what it teaches, and the trainer's promises."""

import copy
import dataclasses
import itertools

import numpy as np
import pytest
import torch
from alike import same
from problem import move_to_meta
from torch._subclasses.fake_tensor import FakeTensorMode
from toy import Reach

from metarl.adapt.meeting import meet_in
from metarl.errors import CheckpointError, ConfigError, FamilyError, TrainingError
from metarl.learn.loop import train
from metarl.learn.rollout import collect
from metarl.meta.critic.config import MetaCriticConfig
from metarl.meta.critic.lessons import (
    Lesson,
    Pair,
    critic_errors,
    draw_pair,
    make_lesson,
    targets,
)
from metarl.meta.critic.teaching import States, draw_states, steepness, teach
from metarl.meta.critic.trainer import MetaCriticTrainer, by_critic, task_blocks
from metarl.nn.critics import MetaCritic
from metarl.nn.functional import apply, expand, parameters_of
from metarl.nn.policy import GaussianPolicy
from metarl.runs.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from metarl.sim.worlds import Worlds
from metarl.types import repeat

K, B, T, D, A, Z = 3, 2, 8, 6, 2, 4
TINY = MetaCriticConfig(
    num_tasks=2, episodes=2, updates=2, trace=4, encoded=2, embedding=Z, encoder_hidden=8,
    critic_hidden=(8,), critic_steps=3, lessons=2, judged=2, memory=2, teaching_steps=3, states=10,
    iterations=4, hidden=(8,), context_rate=0.1, actor_rate=0.01,
)  # fmt: skip


class Short(Reach):
    horizon = T


class Nan(Short):
    """Rewards are not numbers."""

    def terms(self, worlds, task, action):
        return {"near": np.full(worlds.num_worlds, np.nan)}


def make_critic(seed=0, task_dim=2):
    g = torch.Generator().manual_seed(seed)
    critic = MetaCritic(
        D, A, task_dim, g, hidden=(16,), encoder_hidden=8, num_features=Z
    )  # fmt: skip
    with torch.no_grad():
        critic.head.weight.mul_(30.0)  # the first head is small, which hides mistakes
    return critic


def make_policy():
    g = torch.Generator().manual_seed(1)
    policy = GaussianPolicy(D, A, 2, g, hidden=(8,))
    with torch.no_grad():
        policy.head.weight.mul_(50.0)
    return policy


def make_lessons(num=2):
    """Lessons of K tasks in the toy family, by different actors."""
    worlds = Worlds(Short(), K * B, num_threads=1)
    worlds.assign(repeat(worlds.sample("train", np.arange(0, K * B, B)), B))
    g, policy = torch.Generator().manual_seed(0), make_policy()
    lessons = []
    for i in range(num):
        params = expand({n: p.detach() * (1 + i) for n, p in policy.named_parameters()}, K)
        episodes = collect(worlds, policy, params, num_tasks=K, generator=g)
        lessons.append(make_lesson(episodes, task_blocks(worlds, K), T, 4))
    return worlds, lessons


# What the critic is told -----------------------------------------------------------------


def test_a_trace_is_transitions_of_the_episode_in_their_order():
    worlds, (lesson, _) = make_lessons()
    assert lesson.trace.shape == (K, B, 4, D + A + 1)
    for t, row in zip((1, 3, 5, 7), lesson.trace.unbind(2)):
        wanted = [lesson.obs[:, t], lesson.action[:, t], lesson.reward[:, t, :, None]]
        assert torch.equal(row, torch.cat(wanted, -1))
    low, high = np.array([-0.2, -0.2]), np.array([0.2, 0.2])
    goals = worlds.task.goal_m[::B]
    np.testing.assert_allclose(lesson.task, 2 * (goals - low) / (high - low) - 1, rtol=1e-5)


def test_an_episode_that_ended_early_is_padded_and_its_trace_is_not():
    class Ends(Short):
        def failure(self, worlds, task):
            return np.arange(worlds.num_worlds) % 2 == 0

    worlds = Worlds(Ends(), 2, num_threads=1)
    policy = make_policy()
    episodes = collect(
        worlds, policy, parameters_of(policy), num_tasks=1,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    lesson = make_lesson(episodes, task_blocks(worlds, 1), T + 2, 4)
    assert lesson.mask[0].sum(0).tolist() == [1.0, T]
    assert lesson.obs.shape[1] == T + 2
    assert (lesson.obs[0, T:] == 0).all()
    assert (lesson.trace[0, 0] == lesson.trace[0, 0, :1]).all()  # its only step, four times
    assert lesson.time[0, :, 0].tolist() == pytest.approx([t / (T + 2) for t in range(T + 2)])
    states = draw_states(lesson, 50, (True, True), torch.Generator().manual_seed(0))
    first = states.time[0] == 0
    assert (states.obs[0, first] == lesson.obs[0, 0, 0] * torch.tensor([1, 1, 1, 1, 0, 0])).any()
    assert (states.obs[0] != 0).any(-1).all()  # none of what was padded


def test_td_targets_by_hand():
    rows = {name: torch.zeros(1, 3, 1) for name in Lesson._fields}
    reward, ends = torch.tensor([1.0, 2.0, 4.0]), torch.tensor([0.0, 1.0, 0.0])
    lesson = Lesson(**rows)._replace(reward=reward[None, :, None], ends=ends[None, :, None])
    value = torch.tensor([0.5, 0.25, 8.0])[None, :, None]
    one_step = targets(value, lesson, 0.5, 0.0)[0, :, 0]
    # (1 - 1/2) r + 1/2 Q(s', a'); the episode ends at the second step
    assert one_step.tolist() == [0.5 * 1.0 + 0.5 * 0.25, 0.5 * 2.0, 0.5 * 4.0]
    half = targets(value, lesson, 0.5, 0.5)[0, :, 0]
    assert half[0].item() == 0.5 * 1.0 + 0.5 * (0.5 * 0.25 + 0.5 * 1.0)


def test_errors_are_those_of_the_targets():
    _, (first, second) = make_lessons()
    critic = make_critic()
    found = critic_errors(critic, Pair(second, first.trace), 0.9, 0.5)
    z = critic.embed(first.trace)
    for t in (0, T - 1):  # the values that are judged are those of the actions taken
        q = critic(second.obs[:, t], second.action[:, t], second.time[:, t], z)
        assert q.shape == (K, B)
    q = torch.stack(
        [critic(second.obs[:, t], second.action[:, t], second.time[:, t], z) for t in range(T)], 1
    )
    target = targets(q.detach(), second, 0.9, 0.5)
    expected = (q - target).square().mean() / target.var(correction=0)
    torch.testing.assert_close(found.value, expected)
    told = critic.tell_task(z)
    torch.testing.assert_close(found.task, (told - second.task).square().mean())
    alone = make_critic(task_dim=0)
    assert critic_errors(alone, Pair(second, first.trace), 0.9, 0.5).task == 0.0


def test_what_is_drawn_lay_before_the_lesson():
    _, lessons = make_lessons(3)
    marked = [lesson._replace(trace=torch.full_like(lesson.trace, i), task=torch.full((K, 2), i))
              for i, lesson in enumerate(lessons)]  # fmt: skip
    g = torch.Generator().manual_seed(0)
    pair = draw_pair([marked, marked], 20, 1, 5, g)
    assert pair.lesson.obs.shape == (20 * K, T, 1, D)
    assert pair.before.shape[:2] == (20 * K, 5)
    when = pair.lesson.task[:, 0]
    assert set(when.tolist()) == {1.0, 2.0}
    assert (pair.before < when[:, None, None, None]).all()
    assert (pair.before[when == 2] == 1).any()
    own = lessons[1].obs[0].transpose(0, 1)  # every drawn episode is one of its task's
    assert any(torch.equal(pair.lesson.obs[(when == 1).nonzero()[0, 0], :, 0], x) for x in own)


# The embedding --------------------------------------------------------------------------


def test_the_embedding_depends_on_task_and_actor():
    _, (first, second) = make_lessons()
    critic = make_critic()
    critic.standardise(first.trace)
    z = critic.embed(first.trace)
    reward = first.trace.clone()
    reward[1, ..., -1] += 0.5  # another task: the same steps, other rewards
    action = first.trace.clone()
    action[1, ..., D : D + A] += 0.5  # another actor: other actions
    for other in (reward, action):
        moved = (critic.embed(other) - z).abs().amax(1)
        assert moved[1] > 1e-3
        assert (moved[[0, 2]] == 0).all()
    assert not torch.allclose(critic.embed(second.trace), z)
    late = first.trace.flip(2)
    assert not torch.allclose(critic.embed(late), z, atol=1e-4)  # order within an episode counts
    torch.testing.assert_close(critic.embed(first.trace.flip(1)), z)  # that of episodes does not


def test_inputs_are_standardised_but_constants_are_not_blown_up():
    _, (first, _) = make_lessons()
    critic = make_critic()
    critic.standardise(first.trace)
    rows = ((first.trace - critic.shift) / critic.spread).flatten(0, 2)
    torch.testing.assert_close(rows.mean(0), torch.zeros(D + A + 1), atol=1e-4, rtol=0)
    varied = first.trace.flatten(0, 2).std(0) > 0.05
    torch.testing.assert_close(rows.std(0)[varied], torch.ones(int(varied.sum())))
    assert critic.spread[4:6].tolist() == [1.0, 1.0]  # the hidden task: zeros


# Teaching -------------------------------------------------------------------------------


def make_pupils():
    _, (first, second) = make_lessons()
    policy, critic = make_policy(), make_critic()
    params = {n: p.detach().clone() for n, p in expand(parameters_of(policy), K).items()}
    with torch.no_grad():
        for p in params.values():
            p.add_(0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(3)))
    states = draw_states(second, 20, (True, True), torch.Generator().manual_seed(0))
    z = critic.embed(torch.cat([first.trace, second.trace], 1)).detach()
    critic.scale.fill_(steepness(policy, params, critic, states, z).item())
    return policy, params, critic, states, z


def test_actors_climb_the_critics_value_and_the_critic_stays():
    policy, params, critic, states, z = make_pupils()
    before = copy.deepcopy(critic.state_dict())
    after = teach(policy, params, critic, states, z, TINY)
    assert same(before, critic.state_dict())
    assert all(p.grad is None for p in critic.parameters())

    def value(p):
        return critic(states.obs, apply(policy, p, states.obs)[0], states.time, z).mean(1)

    assert (value(after) > value(params)).all()
    assert torch.equal(after["log_std"], params["log_std"])
    assert not torch.equal(after["context"], params["context"])


def test_one_batched_update_is_one_update_a_task():
    policy, params, critic, states, z = make_pupils()
    together = teach(policy, params, critic, states, z, TINY)
    for k in range(K):
        one = slice(k, k + 1)
        alone = teach(
            policy, {n: p[one] for n, p in params.items()}, critic,
            States(states.obs[one], states.time[one]), z[one], TINY,
        )  # fmt: skip
        for name, p in alone.items():
            torch.testing.assert_close(together[name][one], p, rtol=1e-4, atol=1e-5)


def test_a_first_step_is_adams_along_the_gradient_of_the_value():
    policy, params, critic, states, z = make_pupils()
    config = dataclasses.replace(TINY, teaching_steps=1)
    after = teach(policy, params, critic, states, z, config)
    k = 1
    actor = copy.deepcopy(policy)
    actor.load_state_dict({n: p[k] for n, p in params.items()})
    mean, _ = actor(states.obs[k])
    critic(
        states.obs[k : k + 1], mean[None], states.time[k : k + 1], z[k : k + 1]
    ).mean().backward()
    for name, p in actor.named_parameters():
        if name == "log_std":
            continue
        rate = config.context_rate if name == "context" else config.actor_rate
        moved = after[name][k] - params[name][k]
        clear = p.grad.abs() > 1e-4  # Adam's first step is the gradient's sign
        assert clear.any()
        torch.testing.assert_close(moved[clear], rate * p.grad.sign()[clear], rtol=2e-3, atol=1e-6)


def test_the_pull_keeps_actors_near_what_they_were():
    policy, params, critic, states, z = make_pupils()
    config = dataclasses.replace(TINY, teaching_steps=100)
    moved = []
    for pull in (0.1, 100.0):
        after = teach(policy, params, critic, states, z, dataclasses.replace(config, pull=pull))
        moved.append((after["context"] - params["context"]).norm().item())
    assert moved[1] < 0.3 * moved[0]


# Devices --------------------------------------------------------------------------------


def test_every_tensor_of_an_update_lives_on_the_parameters_device():
    """A stray CPU tensor raises under FakeTensorMode, in the backward pass too."""
    _, (first, second) = make_lessons()
    policy = make_policy()
    critic = make_critic()
    with FakeTensorMode():
        move_to_meta(critic)
        there = Lesson(*(torch.empty(x.shape, device="meta") for x in second))
        traces = torch.empty(first.trace.shape, device="meta")
        critic.standardise(traces)
        errors = critic_errors(critic, Pair(there, traces), 0.9, 0.8)
        (errors.value + errors.task).backward()
        assert all(p.grad.device.type == "meta" for p in critic.parameters())
        actors = expand(
            {n: torch.empty(p.shape, device="meta") for n, p in policy.named_parameters()}, K
        )
        states = States(torch.empty(K, 9, D, device="meta"), torch.empty(K, 9, device="meta"))
        z = critic.embed(traces).detach()
        assert steepness(policy, actors, critic, states, z).device.type == "meta"
        after = teach(policy, actors, critic, states, z, TINY)
        assert all(p.device.type == "meta" for p in after.values())
        stray = states._replace(time=torch.ones(K, 9))
        with pytest.raises(RuntimeError, match="device"):
            teach(policy, actors, critic, stray, z, TINY)
        with pytest.raises(RuntimeError, match="device"):
            critic_errors(critic, Pair(there, torch.ones(first.trace.shape)), 0.9, 0.8)


# The trainer ----------------------------------------------------------------------------


@pytest.mark.parametrize("pretrained", [False, True])
def test_resumed_equals_never_stopped(tmp_path, pretrained):
    initial = make_policy().state_dict() if pretrained else None
    straight = MetaCriticTrainer(Short(), TINY, initial=initial, num_threads=1)
    train(straight, tmp_path / "straight", save_every_s=0.0)
    stopped = MetaCriticTrainer(Short(), TINY, initial=initial, num_threads=1)
    for _ in range(2):
        stopped.iterate()
    save_checkpoint(tmp_path / "half.safetensors", *stopped.checkpoint())
    resumed = MetaCriticTrainer(Short(), TINY, num_threads=1)
    resumed.restore(load_checkpoint(tmp_path / "half.safetensors"))
    for _ in range(2):
        resumed.iterate()
    a, b = straight.state_dict(), resumed.state_dict()
    assert a.pop("progress")[:2] == b.pop("progress")[:2] == (4, 4 * 3 * 4 * T)
    assert same(a, b)
    assert a["pretrained"] == pretrained


def test_a_fresh_actor_is_the_pretrained_one_or_a_new_one():
    source = make_policy()
    trainer = MetaCriticTrainer(Short(), TINY, initial=source.state_dict(), num_threads=1)
    for _ in range(2):
        actors = trainer._fresh_actors()
        assert all(torch.equal(p, source.head.weight) for p in actors["head.weight"])
        trainer.iterate()
    drawn = MetaCriticTrainer(Short(), TINY, num_threads=1)
    a, b = drawn._fresh_actors()["head.weight"], drawn._fresh_actors()["head.weight"]
    assert len({tuple(p.flatten().tolist()) for p in (*a, *b)}) == 2 * TINY.num_tasks
    with pytest.raises(ConfigError, match="none of the initial"):
        MetaCriticTrainer(Short(), TINY, initial={"x": torch.zeros(1)}, num_threads=1)


def test_adaptation_teaches_a_fresh_actor_and_leaves_the_critic():
    trainer = MetaCriticTrainer(Short(), TINY, initial=make_policy().state_dict(), num_threads=1)
    trainer.iterate()
    tensors, meta = trainer.checkpoint()
    assert (meta["method"], meta["family"]) == ("meta-critic", "toy/reach")
    saved = Checkpoint(tensors, meta)
    worlds = Worlds(Short(), 4, num_threads=1, split="test")
    g = torch.Generator().manual_seed(0)
    adaptation = by_critic(saved, meet_in(worlds, num_tasks=2, updates=2, generator=g))
    start = adaptation.state()
    assert torch.equal(start["head.weight"][0], trainer.policy.head.weight)
    kept = {n: t.clone() for n, t in tensors.items()}
    states = [start]
    for _ in range(2):
        adaptation.update()
        states.append(adaptation.state())
    assert adaptation.num_steps == 2 * 4 * T
    for a, b in itertools.pairwise(states):
        assert not torch.equal(a["context"], b["context"])
    assert not torch.equal(states[-1]["context"][0], states[-1]["context"][1])
    assert same(kept, tensors)
    del tensors["meta_critic.head.weight"]
    with pytest.raises(CheckpointError, match="no whole meta-critic"):
        by_critic(Checkpoint(tensors, meta), meet_in(worlds, num_tasks=2, updates=2, generator=g))
    with pytest.raises(CheckpointError, match="none of meta-critic's"):
        by_critic(
            Checkpoint(tensors, {**meta, "config": {"rate": 1}}),
            meet_in(worlds, num_tasks=2, updates=2, generator=g),
        )


def test_not_a_number_rewards_refuse_the_update():
    trainer = MetaCriticTrainer(Nan(), TINY, num_threads=1)
    before = copy.deepcopy(trainer.state_dict())
    with pytest.raises(FamilyError, match=r"terms\(\) of .*Nan gave nan as 'near' in worlds"):
        trainer.iterate()
    after = trainer.state_dict()
    for name in ("policy", "meta_critic", "optimizer", "memory"):
        assert same(before[name], after[name])


def test_a_gradient_that_is_not_finite_refuses_the_update(monkeypatch):
    trainer = MetaCriticTrainer(Short(), TINY, num_threads=1)
    trainer.iterate()
    critic = trainer.critic
    critic.head.register_forward_hook(lambda module, args, out: out * torch.nan)
    before = copy.deepcopy({"critic": critic.state_dict(), "adam": trainer.optimizer.state_dict()})
    with pytest.raises(TrainingError, match="loss, norm"):
        trainer._improve_critic()
    assert same(before["critic"], critic.state_dict())
    assert same(before["adam"], trainer.optimizer.state_dict())
    with pytest.raises(TrainingError, match="taught: not finite in"):
        trainer.iterate()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trace": 0}, "trace is 0; expected an integer >= 1"),
        ({"gamma": 1.0}, r"gamma is 1.0; expected a number in \[0, 1\)"),
        ({"critic_rate": float("nan")}, "critic_rate is nan"),
        ({"context_std": 0.0}, "context_std is 0.0"),
        ({"task_visible": True}, "task_visible"),
        ({"hidden": (0,)}, "hidden is"),
    ],
)
def test_a_config_says_what_is_wrong(change, message):
    with pytest.raises(ConfigError, match=message):
        MetaCriticConfig(**change)
