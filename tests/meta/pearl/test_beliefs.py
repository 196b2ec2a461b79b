"""PEARL: beliefs are products of factors, and what they are made of."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from guesses import Half, Short, generator
from torch.distributions import MultivariateNormal, kl_divergence

from metarl.adapt.adaptation import as_offset, hidden_of
from metarl.learn.rollout import collect
from metarl.meta.pearl.context import (
    Context,
    Lesson,
    context_width,
    describe,
    draw,
    make_lesson,
)
from metarl.nn.encoder import Belief, FactorEncoder
from metarl.nn.functional import parameters_of
from metarl.nn.policy import GaussianPolicy
from metarl.sim.worlds import Worlds
from metarl.types import repeat


class Fragile(Short):
    """Episodes end early, and not together."""

    def failure(self, worlds, task):
        return np.abs(worlds.qpos).max(axis=1) > 0.08


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
