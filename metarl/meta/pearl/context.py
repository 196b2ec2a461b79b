"""Contexts: what was seen of tasks, as an encoder takes it, and where a belief is put to use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from metarl.errors import TrainingError
from metarl.learn.rollout import Trajectories
from metarl.nn.encoder import Belief, FactorEncoder
from metarl.types import Spec


class Context(NamedTuple):
    """Described transitions of B episodes of each of K tasks.

    Args:
        x: Shape (K, T, B, F).
        mask: 1 where a transition counts, else 0, shape (K, T, B).
    """

    x: Tensor
    mask: Tensor

    def infer(self, encoder: FactorEncoder) -> Belief:
        """Multiply the factors of all transitions of a task, shape (K,)."""
        return encoder(self.x.flatten(-3, -2), self.mask.flatten(-2, -1))


class Lesson(NamedTuple):
    """What an iteration teaches an encoder: U contexts of each of K tasks, and the truth.

    Args:
        x: Shape (K, U, T, B, F).
        mask: Shape (K, U, T, B).
        truth: What is hidden in each task, in units of the task block, shape (K, H).
    """

    x: Tensor
    mask: Tensor
    truth: Tensor

    def beliefs(self, encoder: FactorEncoder) -> Belief:
        """Believe after each of the U contexts, from those up to it, shape (K, U)."""
        factors = Context(self.x, self.mask).infer(encoder)
        upto = Belief(factors.pull.cumsum(1), factors.precision.cumsum(1))
        return encoder.prior(*factors.pull.shape[:2]).times(upto)


def make_lesson(contexts: Sequence[Context], truth: Tensor) -> Lesson:
    """Put together the contexts of one iteration, in the order of their collection.

    Episodes that ended early leave the shorter contexts padded.
    """
    longest = max(c.x.shape[1] for c in contexts)
    xs, masks = [], []
    for x, mask in contexts:
        missing = longest - x.shape[1]
        xs.append(torch.nn.functional.pad(x, (0, 0, 0, 0, 0, missing)))
        masks.append(torch.nn.functional.pad(mask, (0, 0, 0, missing)))
    return Lesson(torch.stack(xs, 1), torch.stack(masks, 1), truth)


def draw(lessons: Sequence[Lesson], num: int, generator: torch.Generator) -> Lesson:
    """Draw `num` tasks (or all there are) with a random number of the episodes of each context.

    A belief must be right after few episodes as well as after many.
    """
    sizes = [len(lesson.truth) for lesson in lessons]
    order = torch.randperm(sum(sizes), generator=generator, device=generator.device)
    places = [(i, k) for i, size in enumerate(sizes) for k in range(size)]
    picks = [places[i] for i in order[:num].tolist()]
    longest = max(lessons[i].x.shape[2] for i, _ in picks)
    parts = [_of_task(lessons[i], k, longest) for i, k in picks]
    x, mask, truth = (torch.stack(column) for column in zip(*parts))
    episodes = x.shape[3]
    some = int(torch.randint(episodes, (), generator=generator, device=generator.device)) + 1
    kept = torch.randperm(episodes, generator=generator, device=generator.device)[:some]
    kept = kept.to(x.device)
    return Lesson(x[:, :, :, kept], mask[:, :, :, kept], truth)


def _of_task(lesson: Lesson, k: int, length: int) -> tuple[Tensor, Tensor, Tensor]:
    missing = length - lesson.x.shape[2]
    x = torch.nn.functional.pad(lesson.x[k], (0, 0, 0, 0, 0, missing))
    return x, torch.nn.functional.pad(lesson.mask[k], (0, 0, 0, missing)), lesson.truth[k]


def context_width(spec: Spec) -> int:
    """Count the columns of a described transition, F."""
    own = spec.obs_dim - spec.task_dim
    return own + spec.hidden.count(False) + spec.action_dim + own + 4


def describe(episodes: Trajectories, spec: Spec) -> Context:
    """Describe every transition to an encoder.

    The columns are the observation without the hidden columns of the task block (there stands
    what was tried, not what is so), the action as the worlds took it, the change of the
    observation, the reward and its change, the time in the episode, and whether that ended.

    Args:
        episodes: Of K tasks.
        spec: Of the worlds in which they were played.
    Raises:
        TrainingError: If numbers among them are not finite; names the tasks.
    Deviation: The reward's change and the time are not in a transition of Rakelly et al. 2019;
        without them twice as many episodes said as much. An episode's last observation is not
        kept by a rollout, so the change at its last step is 0.
    """
    split = spec.obs_dim - spec.task_dim
    own, block = episodes.obs[..., :split], episodes.obs[..., split:]
    seen = block[..., [i for i, hidden in enumerate(spec.hidden) if not hidden]]
    reward, ends = episodes.reward[..., None], episodes.ends[..., None]
    change = torch.cat([own[1:] - own[:-1], torch.zeros_like(own[:1])]) * (1.0 - ends)
    gain = torch.cat([torch.zeros_like(reward[:1]), reward[1:] - reward[:-1]])
    steps = torch.arange(len(own), device=own.device).to(own) / spec.horizon
    time = steps[:, None, None].expand_as(reward)
    action = episodes.action.clamp(-1.0, 1.0)
    x = torch.cat([own, seen, action, change, reward, gain, time, ends], -1)
    x = torch.where(episodes.mask[..., None] > 0.0, x, 0.0)
    by_task = (episodes.num_tasks, -1)
    x = x.unflatten(1, by_task).transpose(0, 1)  # (K, T, B, F)
    finite = torch.isfinite(x).flatten(1).all(1)
    if not finite.all():
        bad = (~finite).nonzero()[:, 0].tolist()[:10]
        raise TrainingError(
            f"observations or rewards are not finite in tasks {bad}; update refused"
        )
    return Context(x, episodes.mask.unflatten(1, by_task).transpose(0, 1))
