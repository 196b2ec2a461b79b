"""PEARL: beliefs are products of factors, found by training, and all that adaptation changes."""

from __future__ import annotations

import copy
import dataclasses
import itertools
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from alike import same
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributions import MultivariateNormal, kl_divergence
from toy import Reach

from metarl.adapt.adaptation import as_offset
from metarl.adapt.evaluate import evaluate_adaptation, start_adaptation
from metarl.adapt.protocol import Protocol
from metarl.errors import CheckpointError, ConfigError, FamilyError, TrainingError
from metarl.learn.loop import train
from metarl.learn.rollout import collect
from metarl.meta.maml.inner import Batch
from metarl.meta.pearl.adaptation import PearlAdaptation, start_encoder
from metarl.meta.pearl.config import PearlConfig
from metarl.meta.pearl.context import (
    Context,
    Lesson,
    context_width,
    describe,
    draw,
    hidden_of,
    make_lesson,
)
from metarl.meta.pearl.learning import encoder_loss, policy_loss
from metarl.meta.pearl.trainer import PearlTrainer
from metarl.nn.encoder import Belief, FactorEncoder
from metarl.nn.functional import parameters_of
from metarl.nn.policy import GaussianPolicy
from metarl.runs.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from metarl.sim.worlds import Worlds
from metarl.types import repeat, varies

TINY = PearlConfig(
    num_tasks=2, episodes=2, updates=2, encoder_steps=3, encoder_tasks=2, replay=2,
    policy_epochs=1, iterations=4, hidden=(8,), encoder_hidden=(8,),
)  # fmt: skip


class Short(Reach):
    horizon = 8


class Nan(Short):
    """Rewards are not numbers."""

    def terms(self, worlds, task, action):
        return {"near": np.full(worlds.num_worlds, np.nan)}


class Fragile(Short):
    """Episodes end early, and not together."""

    def failure(self, worlds, task):
        return np.abs(worlds.qpos).max(axis=1) > 0.08


@dataclass(frozen=True)
class HalfTask:
    goal_m: np.ndarray = varies("m", (-0.2, -0.2), (0.2, 0.2), hidden=False)
    mass_kg: np.ndarray = varies("kg", 1.0, 3.0, hidden=True)


class Half(Short):
    """The goal is in view, and a mass is not."""

    task_type = HalfTask

    def sample(self, rng, n, split):
        return HalfTask(rng.uniform(-0.2, 0.2, size=2), rng.uniform(1.0, 3.0))


@dataclass(frozen=True)
class SeenTask:
    goal_m: np.ndarray = varies("m", (-0.2, -0.2), (0.2, 0.2), hidden=False)


class Seen(Short):
    """Nothing is hidden."""

    task_type = SeenTask

    def sample(self, rng, n, split):
        return SeenTask(rng.uniform(-0.2, 0.2, size=2))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def play(family, *, offset: float = 0.0, seed: int = 0):
    """Three tasks of two episodes each, with a guess in every column of the task block."""
    worlds = Worlds(family, 6, seed=seed, num_threads=1)
    worlds.assign(repeat(worlds.sample("train", np.array([0, 2, 4])), 2))
    spec = worlds.spec
    policy = GaussianPolicy(spec.obs_dim, 2, spec.task_dim, generator(), hidden=(8,), log_std=0.0)
    guess = torch.full((6, spec.task_dim), offset) * torch.tensor(spec.hidden)
    episodes = collect(
        worlds, policy, parameters_of(policy), num_tasks=3, generator=generator(), offset=guess
    )
    return worlds, episodes


# Beliefs --------------------------------------------------------------------------------


def test_two_beliefs_multiply_as_gaussians_do():
    one = Belief(torch.tensor([4.0]).double(), torch.tensor([[2.0]]).double())  # N(2, 1/2)
    other = Belief(torch.tensor([-6.0]).double(), torch.tensor([[6.0]]).double())  # N(-1, 1/6)
    both = one.times(other).moments()
    assert both.mean.item() == pytest.approx((2 * 2 - 6 * 1) / 8)
    assert both.covariance.item() == pytest.approx(1 / 8)
    assert one.times(other).moments(0.5).covariance.item() == pytest.approx(1 / 8 + 0.25)


def test_densities_are_those_of_torchs_normal():
    root = torch.randn(4, 3, 3, generator=generator()).double()
    precision = root @ root.mT + torch.eye(3)
    pull = torch.randn(4, 3, generator=generator(1)).double()
    ours = Belief(pull, precision).moments()
    theirs = MultivariateNormal(ours.mean, precision_matrix=precision)
    value = torch.randn(4, 3, generator=generator(2)).double()
    torch.testing.assert_close(ours.log_prob(value), theirs.log_prob(value))
    prior = MultivariateNormal(torch.zeros(3).double(), 0.49 * torch.eye(3).double())
    torch.testing.assert_close(ours.divergence_from(0.7), kl_divergence(theirs, prior))
    drawn = ours.sample(20_000, generator(3))
    torch.testing.assert_close(drawn.mean(1), ours.mean, rtol=0, atol=0.05)
    for k in range(4):
        torch.testing.assert_close(drawn[k].T.cov(), ours.covariance[k], rtol=0.05, atol=0.02)


def encoder_and_context(num_hidden: int = 2):
    encoder = FactorEncoder(5, num_hidden, generator(), hidden=(8,))
    with torch.no_grad():
        encoder.head.weight.mul_(20.0)  # the first head is nearly 0, which hides mistakes
    x = torch.randn(3, 12, 5, generator=generator(1))
    return encoder, x, torch.ones(3, 12)


def test_a_belief_does_not_depend_on_the_order_of_transitions():
    encoder, x, mask = encoder_and_context()
    order = torch.randperm(12, generator=generator(2))
    one, other = encoder(x, mask), encoder(x[:, order], mask)
    torch.testing.assert_close(one.pull, other.pull, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(one.precision, other.precision, rtol=1e-4, atol=1e-5)
    assert one.pull.abs().min() > 1e-4


def test_a_belief_is_the_product_of_what_parts_of_a_context_say():
    encoder, x, mask = encoder_and_context()
    whole = encoder(x, mask)
    parts = encoder(x[:, :5], mask[:, :5]).times(encoder(x[:, 5:], mask[:, 5:]))
    torch.testing.assert_close(whole.pull, parts.pull, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(whole.precision, parts.precision, rtol=1e-4, atol=1e-5)


def test_more_context_narrows_a_belief_in_every_direction():
    encoder, x, mask = encoder_and_context()
    prior = encoder.prior(3)
    covariances = [prior.times(encoder(x[:, :m], mask[:, :m])).moments() for m in (0, 3, 6, 12)]
    for wider, narrower in itertools.pairwise(covariances):
        shrunk = torch.linalg.eigvalsh(wider.covariance - narrower.covariance)
        assert (shrunk > -1e-9).all()
        assert (shrunk[:, -1] > 1e-4).all()


def test_masked_transitions_say_nothing():
    encoder, x, mask = encoder_and_context()
    mask[:, 7:] = 0.0
    masked, short = encoder(x, mask), encoder(x[:, :7], mask[:, :7])
    torch.testing.assert_close(masked.pull, short.pull, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(masked.precision, short.precision, rtol=1e-5, atol=1e-6)


def test_evidence_counts_for_less():
    encoder, x, mask = encoder_and_context()
    whole = encoder(x, mask)
    encoder.evidence = 0.5
    part = encoder(x, mask)
    torch.testing.assert_close(part.precision, 0.25 * whole.precision)
    torch.testing.assert_close(part.pull, 0.25 * whole.pull)


def test_an_encoder_measures_its_inputs_bit_by_bit():
    encoder = FactorEncoder(3, 1, generator())
    x = torch.randn(10, 3, generator=generator(1)) * 4.0 + torch.tensor([1.0, -2.0, 3.0])
    mask = (torch.arange(10) < 9).float()
    for rows in (slice(0, 2), slice(2, 7), slice(7, 10)):
        encoder.measure(x[rows], mask[rows])
    torch.testing.assert_close(encoder.centre, x[:9].double().mean(0))
    torch.testing.assert_close(encoder.spread, x[:9].double().var(0, correction=0))


# Contexts -------------------------------------------------------------------------------


def test_what_was_tried_is_not_what_was_seen():
    worlds, episodes = play(Half())
    other = dataclasses.replace(episodes, obs=episodes.obs.clone())
    other.obs[..., -1] += 0.7  # the hidden column
    spec = worlds.spec
    plain = describe(episodes, spec)
    torch.testing.assert_close(plain.x, describe(other, spec).x, rtol=0, atol=0)
    other.obs[..., -2] += 0.7  # a visible one
    assert not torch.equal(plain.x, describe(other, spec).x)
    assert plain.x.shape == (3, 8, 2, context_width(spec))


def test_a_described_transition_holds_what_led_to_what():
    worlds, episodes = play(Fragile(), seed=3)
    x, mask = describe(episodes, worlds.spec)
    assert episodes.ends[:-1].sum() > 0  # else nobody's episode ended early
    own = episodes.obs[..., :4]
    k, b, t = 2, 1, 0  # world 5
    torch.testing.assert_close(x[k, t, b, :4], own[0, 5])
    torch.testing.assert_close(x[k, t, b, 4:6], episodes.action[0, 5].clamp(-1, 1))
    torch.testing.assert_close(x[k, t, b, 6:10], own[1, 5] - own[0, 5])
    assert x[k, t, b, 10] == episodes.reward[0, 5]
    ends = x[..., -1] > 0
    assert (x[ends][:, 6:10] == 0).all()  # the next observation is another episode's
    assert torch.equal(mask[k, :, b], episodes.mask[:, 5])
    assert (x[mask == 0] == 0).all()


def test_the_truth_is_what_a_policy_that_sees_the_task_is_shown():
    worlds = Worlds(Half(), 4, num_threads=1, task_visible=True)
    block = torch.from_numpy(worlds.reset()[:, worlds.spec.slice("task")])
    truth = hidden_of(worlds.task, worlds.family, worlds.spec)
    torch.testing.assert_close(truth, block[:, 2:])
    offset = as_offset(truth.double(), worlds.spec)
    torch.testing.assert_close(offset[:, 2:], truth)
    assert (offset[:, :2] == 0).all()


def test_a_drawn_lesson_has_some_episodes_of_every_context():
    x = torch.arange(6.0).view(1, 1, 1, 6, 1).expand(3, 2, 4, 6, 1)
    lessons = [Lesson(x + 10 * i, x[..., 0], torch.full((3, 1), float(i))) for i in range(2)]
    sizes = set()
    for seed in range(30):
        found = draw(lessons, 4, generator(seed))
        assert found.x.shape[:3] == (4, 2, 4)
        assert torch.equal(found.x[:, 0, 0, 0, 0] // 10, found.truth[:, 0])
        kept = found.mask[0, 0, 0].tolist()
        assert len(set(kept)) == len(kept)
        sizes.add(len(kept))
    assert sizes == set(range(1, 7))
    assert len(draw(lessons, 99, generator()).truth) == 6


def test_shorter_contexts_are_padded():
    contexts = [Context(torch.ones(2, t, 3, 4), torch.ones(2, t, 3)) for t in (5, 2)]
    lesson = make_lesson(contexts, torch.zeros(2, 1))
    assert lesson.mask.sum((0, 2, 3)).tolist() == [2 * 5 * 3, 2 * 2 * 3]
    longer = make_lesson([Context(torch.ones(2, 7, 3, 4), torch.ones(2, 7, 3))] * 2, lesson.truth)
    found = draw([lesson, longer], 4, generator())
    assert found.x.shape[2] == 7
    assert found.x[found.mask == 0].sum() == 0


# Training -------------------------------------------------------------------------------


@pytest.mark.parametrize("family", [Short, Fragile])
def test_resumed_equals_never_stopped(family, tmp_path):
    straight = PearlTrainer(family(), TINY, num_threads=1)
    train(straight, tmp_path / "straight", save_every_s=0.0)
    stopped = PearlTrainer(family(), TINY, num_threads=1)
    for _ in range(2):
        stopped.iterate()
    save_checkpoint(tmp_path / "half.safetensors", *stopped.checkpoint())
    resumed = PearlTrainer(family(), TINY, num_threads=1)
    resumed.restore(load_checkpoint(tmp_path / "half.safetensors"))
    for _ in range(2):
        resumed.iterate()
    a, b = straight.state_dict(), resumed.state_dict()
    assert a.pop("progress")[:2] == b.pop("progress")[:2]
    assert len(a["lessons"]) == 2
    assert same(a, b)


def test_a_policy_from_nothing_learns_and_a_pretrained_one_stays():
    source = GaussianPolicy(6, 2, 2, generator(5), hidden=(8,))
    with torch.no_grad():
        source.context.fill_(9.0)
    rate = dataclasses.replace(TINY, policy_rate=1e-3)
    for initial, config, moves in (
        (None, TINY, True),
        (source.state_dict(), TINY, False),
        (source.state_dict(), rate, True),
    ):
        trainer = PearlTrainer(Short(), config, initial=initial, num_threads=1)
        before = copy.deepcopy(trainer.state_dict())
        trainer.iterate()
        after = trainer.state_dict()
        changed = {n for n in before["policy"] if not same(before["policy"][n], after["policy"][n])}
        assert changed == (set(before["policy"]) - {"context"} if moves else set())
        assert not same(before["encoder"]["head.weight"], after["encoder"]["head.weight"])
        assert (after["policy"]["context"] == 0).all()
    assert torch.equal(before["policy"]["head.weight"], source.head.weight)


def test_rewards_that_are_not_numbers_refuse_the_update():
    trainer = PearlTrainer(Nan(), TINY, num_threads=1)
    before = copy.deepcopy(trainer.state_dict())
    with pytest.raises(FamilyError, match=r"terms\(\) of .*Nan gave nan as 'near' in worlds"):
        trainer.iterate()
    after = trainer.state_dict()
    for part in ("policy", "encoder", "optimizers", "lessons"):
        assert same(before[part], after[part])


@pytest.mark.parametrize("name", ["encoder", "policy"])
def test_a_loss_that_is_not_finite_undoes_the_whole_update(name, monkeypatch):
    trainer = PearlTrainer(Short(), TINY, num_threads=1)
    trainer.iterate()
    before = copy.deepcopy(trainer.state_dict())
    pupil, steps = trainer.pupils[name], []
    step = pupil.step

    def broken(loss, share):
        steps.append(loss)
        step(loss if len(steps) < 2 else loss * torch.nan, share)

    monkeypatch.setattr(pupil, "step", broken)
    with pytest.raises(TrainingError, match=f"{name}_rate"):
        trainer.iterate()
    assert len(steps) == 2
    after = trainer.state_dict()
    for part in ("policy", "encoder", "optimizers", "lessons"):
        assert same(before[part], after[part])


def test_a_family_that_hides_nothing_is_refused():
    with pytest.raises(ConfigError, match="nothing to infer"):
        PearlTrainer(Seen(), TINY, num_threads=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"replay": 0}, "replay is 0; expected an integer >= 1"),
        ({"policy_rate": -1.0}, "policy_rate is -1.0"),
        ({"resolution": 0.0}, "resolution is 0.0"),
        ({"encoder_hidden": (0,)}, "encoder_hidden"),
        ({"gamma": 1.5}, r"gamma is 1.5; expected a number in \[0, 1\]"),
        ({"task_visible": True}, "task_visible"),
    ],
)
def test_a_config_says_what_is_wrong(change, message):
    with pytest.raises(ConfigError, match=message):
        PearlConfig(**change)


def on_meta(module):
    for part in module.modules():
        for held in (part._parameters, part._buffers):
            for name, tensor in list(held.items()):
                empty = torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")
                held[name] = torch.nn.Parameter(empty) if held is part._parameters else empty
    return module


def test_every_tensor_of_an_update_lives_on_the_networks_device():
    """A stray CPU tensor raises under FakeTensorMode, in the backward pass too."""
    encoder = FactorEncoder(5, 2, generator(), hidden=(8,))
    policy = GaussianPolicy(6, 2, 2, generator(), hidden=(8,))
    spec = Worlds(Short(), 1, num_threads=1).spec

    def empty(*shape):
        return torch.empty(shape, device="meta")

    with FakeTensorMode():
        on_meta(encoder), on_meta(policy)
        lesson = Lesson(empty(3, 2, 4, 2, 5), empty(3, 2, 4, 2), empty(3, 2))
        loss = encoder_loss(encoder, lesson, TINY)
        loss.total.backward()
        assert encoder.head.weight.grad.device.type == "meta"
        batch = Batch(empty(3, 9, 6), empty(3, 9, 2), empty(3, 9), empty(3, 9), empty(3, 9))
        policy_loss(policy, batch, TINY).backward()
        assert policy.head.weight.grad.device.type == "meta"
        belief = encoder.prior(3).times(Context(lesson.x[:, 0], lesson.mask[:, 0]).infer(encoder))
        guesses = belief.moments(0.1).sample(2, generator())
        assert as_offset(guesses, spec).device.type == "meta"
        with pytest.raises(RuntimeError, match="device"):
            encoder_loss(encoder, lesson._replace(mask=torch.ones(3, 2, 4, 2)), TINY)


# Adaptation -----------------------------------------------------------------------------


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
