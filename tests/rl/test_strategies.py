"""PPO by every strategy: what learns when, what is saved, and that it goes on bit for bit."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from alike import beyond, same
from problem import move_to_meta
from torch._subclasses.fake_tensor import FakeTensorMode
from toy import Reach

from metarl.errors import CheckpointError, ConfigError, TrainingError
from metarl.learn.losses import gaussian_kl
from metarl.learn.train import train
from metarl.nn.functional import parameters_of
from metarl.nn.network import Network
from metarl.nn.trunks import Mlp
from metarl.rl.actor_critic import _AlongWith
from metarl.rl.ppo import PpoConfig, PpoTrainer
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.policies import load_policy, read_checkpoint
from metarl.runs.trained import part
from metarl.transfer.strategy import get_strategy, strategies_by_name
from metarl.transfer.student import Student

NAMES = list(strategies_by_name())
KEEPING = ("kickstart", "l2-sp", "low-rank", "wise-ft")  # more than weights
TINY = PpoConfig(num_worlds=8, minibatch=80, epochs=2, iterations=4, hidden=(8, 6))


class Short(Reach):
    horizon = 10


def source_of(seed: int = 7) -> dict[str, torch.Tensor]:
    trainer = PpoTrainer(Short(), dataclasses.replace(TINY, seed=seed, learning_rate=3e-2))
    trainer.iterate()
    return {n: t.clone() for n, t in trainer.policy.state_dict().items()}


SOURCE = source_of()


def config_of(strategy: str, settings: dict | None = None, **fields) -> PpoConfig:
    return dataclasses.replace(TINY, strategy=strategy, strategy_settings=settings, **fields)


def start(strategy: str, settings: dict | None = None, **fields) -> PpoTrainer:
    return PpoTrainer(Short(), config_of(strategy, settings, **fields), initial=SOURCE)


def saved(trainer: PpoTrainer) -> Checkpoint:
    tensors, meta = trainer.checkpoint()
    return Checkpoint({n: t.clone() for n, t in tensors.items()}, meta)


def policy_of(trainer: PpoTrainer) -> dict[str, torch.Tensor]:
    """What the trainer would save, by name."""
    return part("policy", saved(trainer).tensors)


def trunk_of(policy: dict[str, torch.Tensor]) -> dict[str, bytes]:
    return {n: t.numpy().tobytes() for n, t in policy.items() if n.startswith("trunk.")}


@pytest.mark.parametrize("name", NAMES)
def test_resumed_without_the_source_equals_never_stopped(name):
    whole, parts = start(name), start(name)
    for _ in range(4):
        whole.iterate()
    parts.iterate()
    resumed = PpoTrainer(Short(), parts.config)
    torch.manual_seed(99)
    resumed.restore(saved(parts))
    assert same(saved(resumed).tensors, saved(parts).tensors)
    for _ in range(3):
        resumed.iterate()
    ours, theirs = saved(whole), saved(resumed)
    assert same(ours.tensors, theirs.tensors)
    held = {n for n in ours.tensors if n.startswith("state/student/")}
    assert bool(held) == (name in KEEPING)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_saved_is_a_plain_policy(name):
    trainer = start(name)
    trainer.iterate()
    found = saved(trainer)
    policy = load_policy(found)  # as every reader does
    assert {n: tuple(t.shape) for n, t in policy.state_dict().items()} == {
        n: tuple(t.shape) for n, t in SOURCE.items()
    }
    obs = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    if name != "wise-ft":  # whose average does not act in training
        torch.testing.assert_close(policy(obs)[0], trainer.networks.student(obs)[0])


@pytest.mark.parametrize("name", NAMES)
def test_the_critic_begins_and_learns_alike_under_every_strategy(name):
    trainer, plain = start(name), PpoTrainer(Short(), TINY)
    first = {n: t.clone() for n, t in trainer.networks.critic.state_dict().items()}
    assert same(first, dict(plain.networks.critic.state_dict()))
    trainer.iterate()
    assert not any(
        torch.equal(t, first[n]) for n, t in trainer.networks.critic.state_dict().items()
    )
    *_, last = trainer.networks.optimizer.param_groups
    assert last["lr"] == TINY.learning_rate or name == "small-rate"
    rates = {p: g["lr"] for g in trainer.networks.optimizer.param_groups for p in g["params"]}
    assert {rates[p] for p in trainer.networks.critic.parameters()} == {TINY.learning_rate}


def test_what_a_strategy_takes_of_its_source():
    for name, strategy in strategies_by_name().items():
        policy = policy_of(start(name))
        left = strategy.left_behind(SOURCE)
        for layer in (n for n in SOURCE if n.startswith("trunk.") and n.endswith("weight")):
            taken = strategy.start == "source" and layer not in left
            assert torch.equal(policy[layer], SOURCE[layer]) == taken
        assert torch.equal(policy["head.weight"], SOURCE["head.weight"]) == (not strategy.new_head)


def test_the_trunk_waits_for_its_turn_to_the_byte():
    trainer, trunks = start("lp-ft"), []
    for _ in range(4):
        head = policy_of(trainer)["head.weight"]
        trainer.iterate()
        trunks.append(trunk_of(policy_of(trainer)))
        assert not torch.equal(policy_of(trainer)["head.weight"], head)
    assert trunks[0] == trunks[1] == trunk_of(SOURCE)
    assert all(trunks[2][n] != trunks[1][n] and trunks[3][n] != trunks[2][n] for n in trunks[0])


def test_a_frozen_trunk_keeps_its_bytes_and_gets_no_gradient():
    trainer = start("frozen-trunk")
    for _ in range(4):
        trainer.iterate()
    assert trunk_of(policy_of(trainer)) == trunk_of(SOURCE)
    assert all(p.grad is None for p in trainer.policy.trunk.parameters())
    assert trainer.policy.head.weight.grad is not None


class Drifting(torch.nn.Module):
    """A trunk with statistics that move in training: of a norm, and of what is observed."""

    num_features = 6

    def __init__(self):
        super().__init__()
        self.mlp = Mlp(6, (6,), generator=torch.Generator().manual_seed(0))
        self.norm = torch.nn.BatchNorm1d(6)
        self.register_buffer("mean", torch.zeros(6))

    def forward(self, x):
        if self.training:
            self.mean.mul_(0.9).add_(0.1 * x.detach().mean(0))
        return self.norm(self.mlp(x - self.mean))


@pytest.mark.parametrize("name", ["frozen-trunk", "lp-ft", "low-rank", "fine-tune"])
def test_frozen_statistics_stand_still_while_sb3_trains(name):
    trainer = start(name)
    net = trainer.networks
    net.actor.trunk = Drifting()
    g = torch.Generator().manual_seed(0)
    net.follow(Student(net.actor, get_strategy(name), **net.how(g)))
    before = trunk_of(policy_of(trainer))
    for iteration in range(4):
        trainer.iterate()
        now = trunk_of(policy_of(trainer))
        statistics = {n for n in before if now[n] != before[n] and "weight" not in n}
        still = name in ("frozen-trunk", "low-rank") or (name == "lp-ft" and iteration < 2)
        assert ("trunk.mean" in statistics) == ("trunk.norm.running_mean" in statistics)
        assert ("trunk.mean" in statistics) == (not still)
        assert (now == before) == (still and name != "low-rank")
    assert isinstance(net.actor, Network)


def test_rates_fall_towards_the_input():
    trainer = start("layerwise-rate", {"decay": 0.5})
    trainer.iterate()
    optimizer = trainer.networks.optimizer
    rates = {p: group["lr"] for group in optimizer.param_groups for p in group["params"]}
    by_name = {n: rates[p] for n, p in trainer.policy.named_parameters() if n != "context"}
    rate = TINY.learning_rate
    assert by_name["head.weight"] == by_name["log_std"] == rate
    assert by_name["trunk.layers.2.weight"] == by_name["trunk.layers.2.bias"] == 0.5 * rate
    assert by_name["trunk.layers.0.weight"] == by_name["trunk.layers.0.bias"] == 0.25 * rate


def test_a_strong_pull_holds_the_policy():
    moved = {}
    for name, settings in (("fine-tune", None), ("l2-sp", {"alpha": 1e4})):
        trainer = start(name, settings, learning_rate=1e-3)
        metrics = [trainer.iterate() for _ in range(8)]
        now = policy_of(trainer)
        moved[name] = max(float((now[n] - SOURCE[n]).abs().max()) for n in trunk_of(SOURCE))
        assert ("loss/strategy" in metrics[0]) == (name == "l2-sp")
    assert moved["l2-sp"] < 0.35 * moved["fine-tune"]


def test_adapters_leave_a_change_of_low_rank():
    trainer = start("low-rank", {"rank": 1}, learning_rate=1e-2)
    for _ in range(3):
        trainer.iterate()
    found = saved(trainer)
    assert not any("down" in n or "up" in n for n in part("policy", found.tensors))
    for name, tensor in part("policy", found.tensors).items():
        if name.endswith("weight"):
            least = torch.linalg.svdvals(tensor - SOURCE[name])
            assert least[0] > 1e-4
            assert least[1] < 1e-4 * least[0]
        elif name not in ("context", "log_std"):
            assert torch.equal(tensor, SOURCE[name])


def test_the_average_of_fine_tuning_and_the_source_is_saved():
    tuned, averaged = start("fine-tune"), start("wise-ft", {"mix": 0.25})
    for _ in range(3):
        metrics = [trainer.iterate() for trainer in (tuned, averaged)]
        assert metrics[0]["return"] == metrics[1]["return"]  # training goes on without it
    own, mixed = policy_of(tuned), policy_of(averaged)
    for n, p in mixed.items():
        expected = own[n] if n == "log_std" else 0.25 * own[n] + 0.75 * SOURCE[n]
        assert torch.equal(p, expected), n


def test_a_student_comes_to_act_as_its_teacher_does_until_that_fades():
    trainer = start("kickstart", {"weight": 50.0, "fade": 0.75}, learning_rate=1e-2, iterations=40)
    student, obs = trainer.networks.student, torch.randn(64, 6)

    def divergence() -> float:
        with torch.no_grad():
            return float(gaussian_kl(*student.teach(obs), *student(obs)).mean())

    first, metrics = divergence(), []
    for _ in range(30):
        metrics.append(trainer.iterate())
    assert divergence() < 0.3 * first
    assert all("loss/strategy" in row for row in metrics)
    assert student.strategy.teaching(29 / 40) > 0.0 == student.strategy.teaching(30 / 40)
    for _ in range(10):
        assert "loss/strategy" not in trainer.iterate()


def test_another_loss_goes_along_with_the_values_once():
    values = torch.arange(3.0, requires_grad=True)
    weight = torch.tensor(2.0, requires_grad=True)
    ((0.5 * _AlongWith.apply(values, weight**2)).sum()).backward()
    assert torch.equal(values.grad, torch.full((3,), 0.5))
    assert weight.grad.item() == 4.0


# Noise and exploration --------------------------------------------------------------------


def test_noise_changes_nothing_but_noise():
    quiet, loud = start("lp-ft"), start("lp-ft", noise=1)
    first = [dict(trainer.networks.state_dict()) for trainer in (quiet, loud)]
    assert same(*first)
    for trainer in (quiet, loud):
        trainer.iterate()
    seen = [trainer.model.rollout_buffer.observations for trainer in (quiet, loud)]
    assert (seen[0] != seen[1]).any(-1).mean() > 0.9
    again = start("lp-ft", noise=1)
    again.iterate()
    assert same(saved(again).tensors, saved(loud).tensors)


@pytest.mark.parametrize("name", ["fine-tune", "frozen-trunk", "scratch"])
def test_exploration_is_the_sources_or_fresh(name):
    own = SOURCE["log_std"]
    assert not torch.equal(own, torch.full((2,), -0.7))
    for exploration, expected in (("source", own), ("fresh", torch.full((2,), -0.7))):
        assert torch.equal(policy_of(start(name, exploration=exploration))["log_std"], expected)
    assert torch.equal(policy_of(start(name, log_std=-1.0))["log_std"], torch.full((2,), -1.0))


def test_an_exploration_that_is_set_and_the_sources_contradict_each_other():
    with pytest.raises(ConfigError, match=r"log_std is -1.0; expected None: exploration is the s"):
        dataclasses.replace(TINY, exploration="source", log_std=-1.0)
    bare = {n: t for n, t in SOURCE.items() if n != "log_std"}
    with pytest.raises(ConfigError, match="exploration is 'source', but no log_std"):
        PpoTrainer(Short(), config_of("fine-tune", exploration="source"), initial=bare)


# Bad input --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in NAMES if name != "scratch"])
def test_a_strategy_without_a_source_is_refused(name):
    trainer = PpoTrainer(Short(), config_of(name))
    with pytest.raises(ConfigError, match=f"strategy {name} needs a policy to start from"):
        trainer.iterate()


def test_the_sources_exploration_without_a_source_is_refused():
    trainer = PpoTrainer(Short(), dataclasses.replace(TINY, exploration="source"))
    with pytest.raises(ConfigError, match="needs a policy to start from"):
        trainer.iterate()


@pytest.mark.parametrize("name", KEEPING)
def test_a_checkpoint_that_lost_what_its_strategy_needs_is_refused(name):
    trainer = start(name)
    trainer.iterate()
    plain = PpoTrainer(Short(), TINY)
    plain.iterate()
    with pytest.raises(CheckpointError, match=f"nothing of strategy {name}"):
        PpoTrainer(Short(), trainer.config).restore(saved(plain))


@pytest.mark.parametrize("name", NAMES)
def test_an_update_that_is_not_finite_is_refused(name):
    trainer = PpoTrainer(Short(), beyond(config_of(name), learning_rate=1e30), initial=SOURCE)
    before = saved(trainer)
    with pytest.raises(TrainingError, match="not finite"):
        trainer.iterate()
    after = saved(trainer)
    for part_ in ("policy", "critic"):
        assert same(part(part_, before.tensors), part(part_, after.tensors))


def test_nothing_to_imitate_is_told():
    bare = {n: t for n, t in SOURCE.items() if not n.startswith("head.")}
    with pytest.raises(ConfigError, match=r"nothing to imitate: the source has no head.weight"):
        PpoTrainer(Short(), config_of("kickstart"), initial=bare)


@pytest.mark.parametrize("name", NAMES)
def test_every_tensor_of_a_loss_lives_on_the_networks_device(name):
    """A stray CPU tensor raises under FakeTensorMode, in the backward pass too."""
    net = start(name).networks
    with FakeTensorMode():
        move_to_meta(net.actor)
        move_to_meta(net.critic)
        own = parameters_of(net.actor)
        net.follow(
            Student(
                net.actor, get_strategy(name), **net.how(torch.Generator()),
                source={n: p for n, p in own.items() if n != "log_std"}, teacher=own,
            )
        )  # fmt: skip
        net.begin_iteration(0.0)
        obs, action = (torch.empty(5, width, device="meta") for width in (6, 2))
        values, log_prob, _ = net.evaluate_actions(obs, action)
        (values.sum() + log_prob.sum()).backward()
        assert {p.grad.device.type for p in net.parameters() if p.grad is not None} == {"meta"}
        with pytest.raises(RuntimeError, match="device"):
            net.evaluate_actions(torch.zeros(5, 6), action)


# The whole way ----------------------------------------------------------------------------

FEW = {"num_worlds": 4, "minibatch": 40, "hidden": (8,)}


def run(out: Path, **options) -> dict:
    return read_checkpoint(train("toy/reach", "ppo", out=out, iterations=2, **options)).meta


def test_a_training_follows_a_strategy_and_goes_on_without_its_source(tmp_path: Path, capsys):
    run(tmp_path / "a", **FEW)
    budget = {"num_worlds": 4, "minibatch": 40}
    how = {"start": tmp_path / "a", "strategy": "low-rank", "rank": 2, "noise": 3, **budget}
    config = run(tmp_path / "b", **how)["config"]
    assert "head: drawn anew" not in capsys.readouterr().err
    assert config["strategy"] == "low-rank"
    assert config["strategy_settings"] == {"rank": 2}
    assert (config["exploration"], config["noise"]) == ("source", 3)
    again = read_checkpoint(
        train("toy/reach", "ppo", out=tmp_path / "b", iterations=3, resume=True)
    )
    assert again.meta["config"]["strategy_settings"] == {"rank": 2}
    assert any(n.endswith(".down") for n in again.tensors)
    config = run(tmp_path / "c", start=tmp_path / "b", strategy="kickstart", **budget)["config"]
    assert (config["strategy"], config["exploration"]) == ("kickstart", "fresh")
    said = capsys.readouterr().err
    assert "carried nothing" in said
    assert "drawn anew by kickstart, which imitates the source instead" in said


def test_what_a_training_cannot_follow_is_told(tmp_path: Path):
    for options, said in (
        ({"strategy": "lp-ft"}, "strategy lp-ft needs a policy to start from: --from"),
        ({"exploration": "source"}, "exploration=source needs a policy to start from"),
        ({"strategy": "lp-fft"}, "did you mean 'lp-ft'"),
        ({"strategy": "fine-tune-dagger"}, "unknown strategy 'fine-tune-dagger'"),
        ({"strategy": "scratch", "rank": 2}, "unknown key 'rank'"),
        ({"strategy_settings": {"rank": 2}}, "expected None: no strategy is named"),
    ):
        with pytest.raises((ConfigError, KeyError), match=said):
            run(tmp_path / "x", **options)
    with pytest.raises(ConfigError, match=r"has no effect: maml goes on training everything"):
        train("toy/reach", "maml", out=tmp_path / "x", strategy="lp-ft")
