"""Students of many tasks: every strategy, by reward and taught, each task for itself."""

from __future__ import annotations

import pytest
import torch
from alike import beyond, same
from problem import move_to_meta
from torch._subclasses.fake_tensor import FakeTensorMode
from toy import Reach

from metarl.adapt.adaptation import Adapted
from metarl.adapt.evaluate import settings_of, start_adaptation
from metarl.adapt.protocol import Protocol
from metarl.errors import TrainingError
from metarl.learn.losses import gaussian_kl
from metarl.methods import strategy_names
from metarl.nn.functional import apply, parameters_of
from metarl.nn.policy import GaussianPolicy
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.policies import load_policy
from metarl.sim.worlds import Worlds
from metarl.transfer.config import FineTuning, Imitation
from metarl.transfer.imitation import Lessons, learn
from metarl.transfer.reward import fine_tune
from metarl.transfer.strategy import get_strategy, strategies_by_name
from metarl.transfer.student import Student

NAMES = list(strategies_by_name())
FEW = Protocol(num_tasks=2, episodes=2, updates=2, eval_episodes=1)
QUICK = {"epochs": 2, "rate": 1e-2}
TAUGHT = {"steps": 4, "minibatch": 8, "rate": 1e-2}


class Short(Reach):
    horizon = 8


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def source_policy() -> tuple[GaussianPolicy, dict[str, int]]:
    """A policy whose head is no longer near 0."""
    spec = Worlds(Short(), 1, num_threads=1).spec
    policy = GaussianPolicy(spec.obs_dim, 2, 2, seeded(5), hidden=(8, 6))
    with torch.no_grad():
        policy.head.weight.mul_(50.0)
    return policy, dict(spec.blocks)


@pytest.fixture(scope="module")
def source() -> Checkpoint:
    policy, blocks = source_policy()
    tensors = {f"policy.{n}": p.detach().clone() for n, p in policy.named_parameters()}
    return Checkpoint(tensors, {"blocks": blocks, "action_dim": 2, "config": {"hidden": [8, 6]}})


def states(source: Checkpoint, name: str, **settings) -> list[dict[str, torch.Tensor]]:
    """What the policies are before any update and after each."""
    how = settings_of(name, {**(TAUGHT if name.endswith("-dagger") else QUICK), **settings})
    adaptation = start_adaptation(Short(), name, source, FEW, settings=how, num_threads=1)
    found = [adaptation.state()]
    for _ in range(FEW.updates):
        adaptation.update()
        found.append(adaptation.state())
    return found


@pytest.mark.parametrize("name", [*NAMES, *(f"{name}-dagger" for name in NAMES)])
def test_every_strategy_adapts_in_plain_weights_and_repeats(source, name):
    assert name in strategy_names()
    first, again = states(source, name), states(source, name)
    assert all(same(a, b) for a, b in zip(first, again))
    shapes = {n.removeprefix("policy."): (2, *t.shape) for n, t in source.tensors.items()}
    for state in first:
        assert {n: tuple(t.shape) for n, t in state.items()} == shapes
        assert all(t.isfinite().all() for t in state.values())
    assert not torch.equal(first[-1]["head.weight"], first[0]["head.weight"])
    assert not torch.equal(first[-1]["head.weight"][0], first[-1]["head.weight"][1])
    if name.endswith("-dagger"):  # how widely to act is set while an expert teaches
        assert torch.equal(first[-1]["log_std"], first[0]["log_std"])


def weights_of(policies: dict[str, torch.Tensor], layer: str) -> torch.Tensor:
    return policies[f"{layer}.weight"]


@pytest.mark.parametrize("name", ["lp-ft", "lp-ft-dagger"])
def test_the_trunk_waits_for_its_turn_to_the_byte(source, name):
    trunk = [n for n in source.tensors if n.startswith("policy.trunk.")]
    start, half, end = states(source, name)
    for full in trunk:
        n = full.removeprefix("policy.")
        assert half[n].numpy().tobytes() == start[n].numpy().tobytes()
        assert torch.equal(start[n][0], source.tensors[full])
        assert not torch.equal(end[n], half[n])
    assert torch.equal(half["context"], start["context"])
    assert not torch.equal(half["head.weight"], start["head.weight"])


def test_the_average_is_handed_out_and_training_goes_on_without_it(source):
    tuned, averaged = states(source, "fine-tune"), states(source, "wise-ft", mix=0.25)
    for n, p in tuned[-1].items():
        from_source = source.tensors[f"policy.{n}"]
        expected = p if n == "log_std" else 0.25 * p + 0.75 * from_source
        assert torch.equal(averaged[-1][n], expected)


def test_adapters_of_each_task_have_a_low_rank(source):
    *_, last = states(source, "low-rank", rank=1)
    for name in ("trunk.layers.0", "trunk.layers.2", "head"):
        change = weights_of(last, name) - weights_of(
            {n.removeprefix("policy."): t for n, t in source.tensors.items()}, name
        )
        least = torch.linalg.svdvals(change)
        assert (least[:, 1] < 1e-5 * least[:, 0]).all()
        assert (least[:, 0] > 0).all()


def student_of(name: str, num_tasks: int, policy: GaussianPolicy, **settings) -> Student:
    taken = {n: p for n, p in policy.named_parameters() if n != "log_std"}
    return Student(
        policy, get_strategy(name, settings), rate=1e-2, generator=seeded(1), source=taken,
        teacher=parameters_of(policy), num_tasks=num_tasks,
    )  # fmt: skip


def make_lessons(num_tasks: int) -> Lessons:
    g = seeded(3)
    obs, answer = torch.randn(3, 20, 6, generator=g), torch.randn(3, 20, 2, generator=g)
    return Lessons(*(x[:num_tasks] for x in (obs, answer, torch.ones(3, 20))))


@pytest.mark.parametrize("name", NAMES)
def test_a_task_learns_the_same_whoever_else_is_there(name):
    found = []
    for num_tasks in (3, 1):
        student = student_of(name, num_tasks, source_policy()[0])
        learn(student, make_lessons(num_tasks), Imitation(**TAUGHT), seeded(4))
        found.append(student.finished())
    for n, p in found[1].items():
        torch.testing.assert_close(found[0][n][0], p[0], rtol=1e-4, atol=1e-6)


def test_a_student_comes_to_act_as_its_teacher_does():
    """And no longer does once the weight is 0, though the states are the same."""
    teacher, _ = source_policy()
    with torch.no_grad():
        teacher.log_std.fill_(-1.5)
    worlds = Worlds(Short(), 2 * 16, num_threads=1)
    divergence = {}
    for fade in (1.0, 1e-6):
        student = GaussianPolicy(6, 2, 2, seeded(8), hidden=(8, 6))
        learner = Student(
            student, get_strategy("kickstart", {"weight": 30.0, "fade": fade}), rate=1e-2,
            generator=seeded(), teacher=parameters_of(teacher), num_tasks=2,
        )  # fmt: skip
        steps = fine_tune(worlds, learner, FineTuning(epochs=20), updates=10, generator=seeded(2))
        divergence[fade] = [divergence_from(teacher, step, student) for step in steps]
    begun, *_, ended = divergence[1.0]
    assert ended < 0.3 * begun
    assert ended < 0.3 * divergence[1e-6][-1]


def divergence_from(teacher, step: Adapted, policy) -> float:
    obs = step.trajectories.by_task(step.trajectories.obs)
    like, its = apply(teacher, parameters_of(teacher), obs)
    mean, log_std = apply(policy, step.params, obs)
    return gaussian_kl(like, its[:, None], mean, log_std[:, None]).mean().item()


@pytest.mark.parametrize("name", ["fine-tune-dagger", "low-rank-dagger"])
def test_an_update_that_ruins_the_weights_is_refused(source, name):
    how = beyond(settings_of(name, TAUGHT), rate=1e30)
    adaptation = start_adaptation(Short(), name, source, FEW, settings=how, num_threads=1)
    before = adaptation.state()
    with pytest.raises(TrainingError, match=r"not finite any more in tasks \[0, 1\].*smaller rate"):
        adaptation.update()
    assert same(adaptation.state(), before)


@pytest.mark.parametrize("name", NAMES)
def test_the_ruined_task_is_named(name):
    student = student_of(name, 3, source_policy()[0])
    student.require_finite()
    with torch.no_grad():
        next(iter(student.leaves.values()))[1].fill_(torch.nan)
    with pytest.raises(TrainingError, match=r"in tasks \[1\]"):
        student.require_finite()


@pytest.mark.parametrize("name", NAMES)
def test_every_tensor_of_a_student_lives_on_the_networks_device(name):
    """A stray CPU tensor raises under FakeTensorMode, in the backward pass too."""
    policy, _ = source_policy()
    lessons = make_lessons(2)
    with FakeTensorMode():
        move_to_meta(policy)
        student = student_of(name, 2, policy)
        there = Lessons(*(torch.empty(x.shape, device="meta") for x in lessons))
        learn(student, there, Imitation(**TAUGHT), seeded(4))
        assert {p.device.type for p in student.leaves.values()} == {"meta"}
        assert {p.device.type for p in student.finished().values()} == {"meta"}
        with pytest.raises(RuntimeError, match="device"):
            learn(student, there._replace(answer=torch.ones(2, 20, 2)), Imitation(), seeded(4))


@pytest.fixture(scope="module")
def observing(source) -> Checkpoint:
    """The source, behind statistics of what it observed."""
    statistics = {"mean": torch.arange(6.0), "std": torch.full((6,), 3.0), "bound": torch.ones(6)}
    extra = {f"policy.normaliser.{n}": t.double() for n, t in statistics.items()}
    meta = {**source.meta, "config": {**source.meta["config"], "normalised": True}}
    return Checkpoint({**source.tensors, **extra}, meta)


def bytes_of(policy: torch.nn.Module) -> dict[str, bytes]:
    return {n: b.numpy().tobytes() for n, b in policy.named_buffers()}


@pytest.mark.parametrize("name", [*NAMES, *(f"{name}-dagger" for name in NAMES)])
def test_statistics_stand_still_in_every_task(observing, name):
    how = settings_of(name, TAUGHT if name.endswith("-dagger") else QUICK)
    adaptation = start_adaptation(Short(), name, observing, FEW, settings=how, num_threads=1)
    policy, before = adaptation.policy, bytes_of(adaptation.policy)
    scratch = get_strategy(name.removesuffix("-dagger")).start == "scratch"
    assert torch.equal(policy.normaliser.mean, torch.zeros(6) if scratch else torch.arange(6.0))
    assert not any(module.training for module in policy.modules())
    policy.train()  # whoever asks for it
    for _ in range(FEW.updates):
        adaptation.update()
    assert bytes_of(policy) == before


def test_a_teacher_observes_as_it_did(observing):
    """Its statistics are its own: the student, which starts from nothing, has none."""
    teacher, policy = load_policy(observing), load_policy(observing)
    policy.reinitialise(seeded())
    student = Student(
        policy, get_strategy("kickstart"), rate=1e-2, generator=seeded(), num_tasks=2,
        teacher=teacher.state_dict(),
    )  # fmt: skip
    obs = torch.randn(2, 9, 6, generator=seeded(1))
    torch.testing.assert_close(student.teach(obs)[0], teacher(obs)[0])
    assert not torch.equal(policy(obs)[0], teacher(obs)[0])
