"""RL2: trials, memories, and what they learn from."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch
from alike import beyond, same
from memories import TINY, Short, lively
from torch._subclasses.fake_tensor import FakeTensorMode

from metarl.errors import CheckpointError, ConfigError, FamilyError, TrainingError
from metarl.learn.loop import train
from metarl.learn.losses import gaussian_log_prob
from metarl.learn.rollout import play
from metarl.meta.rl2.trainer import Rl2Trainer
from metarl.meta.rl2.trial import Lesson, Remembering, Trials, advantages, run_trials, true_task
from metarl.meta.rl2.update import TrialCritic, descend, policy_loss, recall, task_loss
from metarl.nn.policy import GaussianPolicy
from metarl.nn.recurrent import Recurrent, RecurrentPolicy, TaskMemory
from metarl.runs.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from metarl.sim.worlds import Worlds

K, B = 3, 2


class Fragile(Short):
    """Fails in worlds whose goal lies right of the middle, after a few steps."""

    def failure(self, worlds, task):
        return (task.goal_m[:, 0] > 0) & (worlds.batch.bind("time") > 0.22)


class Nan(Short):
    """Rewards are not numbers."""

    def terms(self, worlds, task, action):
        return {"near": np.full(worlds.num_worlds, np.nan)}


def trials_of(family, seed: int = 0) -> tuple[RecurrentPolicy, Trials]:
    worlds = Worlds(family, 12, seed=seed, num_threads=1)
    policy = lively(worlds.spec)
    g = torch.Generator().manual_seed(seed)
    return policy, run_trials(worlds, policy, num_tasks=12, length=3, generator=g)[0]


# Networks -------------------------------------------------------------------------------


def test_a_fresh_memory_leaves_a_pretrained_policy_as_it_was():
    source = GaussianPolicy(6, 2, 2, torch.Generator().manual_seed(5), hidden=(8,))
    with torch.no_grad():
        source.context.fill_(0.3)  # of another method: the memory stands in its place
    trainer = Rl2Trainer(Short(), TINY, initial=source.state_dict(), num_threads=1)
    obs = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    memory = torch.randn(5, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        source.context.zero_()
        assert torch.equal(trainer.policy(obs, memory)[0], source(obs)[0])
    with pytest.raises(ConfigError, match="none of the initial"):
        Rl2Trainer(Short(), TINY, initial={"x": torch.zeros(1)}, num_threads=1)


def test_weights_come_from_the_generator_alone():
    before = torch.get_rng_state()
    one, two = (Recurrent(5, (4,), 3, generator=torch.Generator().manual_seed(s)) for s in (0, 0))
    assert torch.equal(before, torch.get_rng_state())
    assert same(one.state_dict(), two.state_dict())
    two.reinitialise(torch.Generator().manual_seed(1))
    assert not same(one.state_dict(), two.state_dict())
    with pytest.raises(ConfigError, match="widths"):
        Recurrent(0, (), 3, generator=torch.Generator())


def test_one_call_over_time_is_one_call_a_step():
    g = torch.Generator().manual_seed(0)
    trunk = Recurrent(5, (4,), 3, generator=g)
    x, memory = torch.randn(7, 2, 5, generator=g), torch.randn(2, 3, generator=g)
    whole = trunk(x, memory)
    for t in range(7):
        memory = trunk(x[t : t + 1], memory)[0]
        torch.testing.assert_close(whole[t], memory)


def test_only_hidden_columns_are_written():
    g = torch.Generator().manual_seed(0)
    memory = TaskMemory(5, (True, False, True), g, embed=(), width=4)
    with torch.no_grad():
        memory.head.weight.fill_(1.0)
    written = memory.forward_head(torch.ones(2, 4))
    assert written.tolist() == [[4.0, 0.0, 4.0]] * 2


# Trials ---------------------------------------------------------------------------------


@pytest.mark.parametrize("family", [Short(), Fragile()])
def test_learning_remembers_what_acting_did(family):
    """Recomputed over time in one call, through episodes that ended early too."""
    policy, trials = trials_of(family)
    live = trials.mask > 0
    assert (trials.ends.sum(0) == 3).all()
    if isinstance(family, Fragile):
        lengths = trials.mask.sum(0)
        assert lengths.min() < lengths.max() == len(trials.mask) == 24
        assert (live[1:] <= live[:-1]).all()  # no gaps
    memory = recall(policy.memory, trials.read)[0]
    torch.testing.assert_close(memory[live], trials.memory[live], rtol=1e-4, atol=1e-5)
    mean, log_std = policy(trials.obs, memory)
    log_prob = gaussian_log_prob(mean, log_std, trials.action)
    torch.testing.assert_close(log_prob[live], trials.log_prob[live], rtol=1e-3, atol=1e-3)


def test_a_memory_reads_what_came_of_an_action_and_where_an_episode_ended():
    _, trials = trials_of(Short())
    after, action, ended, reward = trials.read.split([6, 2, 1, 1], dim=-1)
    assert torch.equal(action, trials.action.clamp(-1, 1))
    assert torch.equal(reward[..., 0], trials.reward)
    assert torch.equal(ended[..., 0], trials.ends)
    assert ended[..., 0].nonzero()[:, 0].unique().tolist() == [7, 15, 23]
    inside = trials.ends[:-1] == 0
    assert torch.equal(after[:-1][inside], trials.obs[1:][inside])
    assert not torch.equal(
        after[7], trials.obs[8]
    )  # its last observation, not the next one's first
    assert trials.clock[:, 0, 0].tolist() == [t / 8 for t in range(8)] * 3
    assert trials.clock[::8, 0, 1].tolist() == pytest.approx([0, 1 / 3, 2 / 3])


def test_the_true_task_is_known_in_training_and_never_seen():
    worlds = Worlds(Short(), 4, num_threads=1)
    truth = true_task(worlds)
    np.testing.assert_allclose(truth.numpy() * 0.2, worlds.task.goal_m, atol=1e-6)
    _, trials = trials_of(Short())
    assert (trials.obs[..., -2:] == 0).all()
    assert (trials.read[..., 4:6] == 0).all()
    assert torch.equal(trials.seen[5, :, -2:], trials.truth)


def test_the_order_of_the_worlds_does_not_matter():
    policy, trials = trials_of(Fragile())
    order = torch.randperm(12, generator=torch.Generator().manual_seed(3))
    mixed = trials.some(order)
    torch.testing.assert_close(
        recall(policy.memory, mixed.read)[1], recall(policy.memory, trials.read)[1][:, order]
    )
    advantage = torch.randn(trials.mask.shape, generator=torch.Generator().manual_seed(4))
    one = policy_loss(policy, trials, advantage, 0.2, 0.01)
    two = policy_loss(policy, mixed, advantage[:, order], 0.2, 0.01)
    torch.testing.assert_close(one, two)
    torch.testing.assert_close(
        task_loss(policy.memory, trials.lesson), task_loss(policy.memory, mixed.lesson)
    )


def test_a_world_acts_the_same_whatever_its_neighbours_do():
    runs = []
    for number in (4, 8):
        worlds = Worlds(Fragile(), number, num_threads=1)
        actor = Remembering(lively(worlds.spec), torch.zeros(number, 8))
        options = {"num_tasks": 1, "generator": torch.Generator(), "deterministic": True}
        episodes = [play(worlds, actor, **options) for _ in range(2)]
        runs.append((episodes[1].returns[:4], actor.memory[:4]))
    np.testing.assert_allclose(runs[0][0], runs[1][0], rtol=1e-5)
    torch.testing.assert_close(runs[0][1], runs[1][1])


# What is learned from ---------------------------------------------------------------------


def by_hand(reward: list[float], ends: list[float], mask: list[float]) -> Trials:
    row = {
        n: torch.tensor(x)[:, None] for n, x in (("reward", reward), ("ends", ends), ("mask", mask))
    }
    nothing = torch.zeros(len(reward), 1, 1)
    other = dict.fromkeys(("obs", "action", "read", "clock", "memory"), nothing)
    return Trials(**row, **other, log_prob=nothing[..., 0], truth=torch.zeros(1, 1))


def test_advantages_by_hand():
    trials = by_hand([1.0, 2.0, 4.0, 0.0], [0.0, 1.0, 1.0, 0.0], [1.0, 1.0, 1.0, 0.0])
    values = torch.tensor([[0.0], [1.0], [1.0], [9.0]])  # the last one does not count
    cut, targets = advantages(trials, values, 0.5, 1.0, across=False)
    raw = torch.tensor([1.0 + 0.5 * 2.0, 2.0 - 1.0, 4.0 - 1.0])
    assert targets[:, 0].tolist() == [2.0, 2.0, 4.0, 0.0]
    wanted = (raw - raw.mean()) / raw.std(unbiased=False)
    torch.testing.assert_close(cut[:3, 0], wanted)
    assert cut[3] == 0
    _, targets = advantages(trials, values, 0.5, 1.0, across=True)
    assert targets[:, 0].tolist() == [1.0 + 0.5 * (2.0 + 0.5 * 4.0), 2.0 + 0.5 * 4.0, 4.0, 0.0]


def test_the_task_loss_by_hand():
    memory = TaskMemory(3, (True, False), torch.Generator().manual_seed(0), embed=(), width=4)
    with torch.no_grad():
        memory.head.bias[:] = torch.tensor([0.5, 7.0])  # the second column is seen: never written
    mask = torch.tensor([[1.0, 1.0], [1.0, 0.0]])
    lesson = Lesson(torch.zeros(2, 2, 3), mask, torch.tensor([[1.5, 3.0], [0.5, 3.0]]))
    assert float(task_loss(memory, lesson).detach()) == pytest.approx(2 * 1.0**2 / 3)


def test_the_memory_learns_from_rewards_too():
    policy, trials = trials_of(Short())
    advantage = torch.randn(trials.mask.shape, generator=torch.Generator().manual_seed(0))
    policy_loss(policy, trials, advantage, 0.2, 0.0).backward()
    assert all(p.grad.abs().sum() > 0 for p in policy.memory.parameters())


# The trainer ----------------------------------------------------------------------------


def test_resumed_equals_never_stopped(tmp_path):
    straight = Rl2Trainer(Short(), TINY, num_threads=1)
    train(straight, tmp_path / "straight", save_every_s=0.0)
    stopped = Rl2Trainer(Short(), TINY, num_threads=1)
    for _ in range(2):
        stopped.iterate()
    save_checkpoint(tmp_path / "half.safetensors", *stopped.checkpoint())
    resumed = Rl2Trainer(Short(), TINY, num_threads=1)
    resumed.restore(load_checkpoint(tmp_path / "half.safetensors"))
    for _ in range(2):
        resumed.iterate()
    a, b = straight.state_dict(), resumed.state_dict()
    assert a.pop("progress")[:2] == b.pop("progress")[:2] == (4, 4 * 4 * 2 * 8)
    assert len(a["past"]) == 1
    assert same(a, b)


def test_a_checkpoint_says_what_it_is():
    trainer = Rl2Trainer(Short(), TINY, num_threads=1)
    trainer.iterate()
    tensors, meta = trainer.checkpoint()
    assert {name.split(".")[0] for name in tensors if "/" not in name} == {
        "policy", "memory", "critic",
    }  # fmt: skip
    assert (meta["method"], meta["family"]) == ("rl2", "toy/reach")
    other = Rl2Trainer(Short(), dataclasses.replace(TINY, memory=4), num_threads=1)
    with pytest.raises(CheckpointError, match="another policy"):
        other.restore(Checkpoint(tensors, meta))


def test_rewards_that_are_no_numbers_refuse_the_update():
    trainer = Rl2Trainer(Nan(), TINY, num_threads=1)
    before = copy.deepcopy(trainer.state_dict())
    with pytest.raises(FamilyError, match=r"terms\(\) of .*Nan gave nan as 'near' in worlds"):
        trainer.iterate()
    after = trainer.state_dict()
    for name in ("policy", "memory", "critic", "optimizer", "lessons"):
        assert same(before[name], after[name])


@pytest.mark.parametrize("rate", ["memory_rate", "task_rate"])
def test_a_step_into_nowhere_is_taken_back(rate: str):
    trainer = Rl2Trainer(Short(), beyond(TINY, **{rate: 3e37}), num_threads=1)
    before = copy.deepcopy(trainer.state_dict())
    with pytest.raises(TrainingError, match="not finite"):
        trainer.iterate()
    after = trainer.state_dict()
    for name in ("policy", "memory", "critic", "optimizer", "lessons", "past"):
        assert same(before[name], after[name])


def test_what_is_seen_and_the_context_parameter_stay_as_they_are():
    trainer = Rl2Trainer(Short(), TINY, num_threads=1)
    trainer.iterate()
    assert (trainer.policy.policy.context == 0).all()
    assert float(trainer.policy.memory.scale[-1]) != 1.0
    assert (trainer.policy.memory.scale[:-1] == 1.0).all()


def test_without_lessons_nothing_is_told_of_the_task():
    """Other tasks with the same rewards and observations would have given the same memory."""
    config = dataclasses.replace(TINY, task_loss=0)
    trainer = Rl2Trainer(Short(), config, num_threads=1)
    before = copy.deepcopy(trainer.lessons.state_dict())
    metrics = trainer.iterate()
    assert "task_error" not in metrics
    assert same(before, trainer.lessons.state_dict())
    assert trainer.past == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trial": 0}, "trial is 0; expected an integer >= 1"),
        ({"task_loss": -1}, "task_loss is -1"),
        ({"gamma": 1.5}, r"gamma is 1.5; expected a number in \[0, 1\]"),
        ({"memory_rate": 0.0}, "memory_rate is 0.0"),
        ({"embed": (0,)}, "embed is"),
        ({"minibatches": 5}, "minibatches is 5; expected at most the 4 trials"),
        ({"task_visible": True}, "task_visible is True"),
        ({"max_seconds": 0.0}, "max_seconds is 0.0"),
    ],
)
def test_a_config_is_checked(change: dict, message: str):
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(TINY, **change)


def test_every_tensor_of_an_update_lives_on_the_parameters_device():
    """A stray CPU tensor raises under FakeTensorMode, in the backward pass too."""
    spec = Worlds(Short(), 1, num_threads=1).spec
    policy = lively(spec)
    critic = TrialCritic(spec, torch.Generator().manual_seed(0), hidden=(8,))
    _, trials = trials_of(Short())
    with FakeTensorMode():
        for network in (policy, critic):
            for module in network.modules():
                for own in (module._parameters, module._buffers):
                    for name, p in list(own.items()):
                        empty = torch.empty(p.shape, device="meta")
                        own[name] = (
                            torch.nn.Parameter(empty) if own is module._parameters else empty
                        )
                if isinstance(module, torch.nn.GRU):
                    module._init_flat_weights()
        fields = {f.name: getattr(trials, f.name) for f in dataclasses.fields(trials)}
        far = Trials(**{n: torch.empty(x.shape, device="meta") for n, x in fields.items()})
        view = critic.look(far, policy.memory.forward_head(far.memory))
        advantage, targets = advantages(far, critic(view).detach(), 0.9, 0.9, True)
        loss = policy_loss(policy, far, advantage, 0.2, 0.01)
        loss = loss + critic.loss(view, targets, far.mask) + task_loss(policy.memory, far.lesson)
        loss.backward()
        assert all(p.grad.device.type == "meta" for p in policy.memory.parameters())
        stray = dataclasses.replace(far, read=torch.empty(trials.read.shape))
        with pytest.raises(RuntimeError, match="device"):
            policy_loss(policy, stray, advantage, 0.2, 0.01)


def test_a_gradient_that_is_not_finite_moves_nothing():
    layer = torch.nn.Linear(1, 1)
    before = copy.deepcopy(layer.state_dict())
    optimizer = torch.optim.Adam(layer.parameters())
    loss = (layer(torch.zeros(1, 1)) * 0.0).sqrt().sum()  # 0, with a gradient of 0 * inf
    with pytest.raises(TrainingError, match="gradient: not finite in layer"):
        descend(loss, {"layer": layer}, optimizer, 1.0)
    assert same(before, layer.state_dict())
