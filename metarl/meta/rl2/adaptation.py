"""How a policy with a memory meets new tasks: it runs episodes, and remembers."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from metarl.adapt.adaptation import Adaptation, State
from metarl.adapt.meeting import Meeting
from metarl.learn.rollout import Trajectories, play
from metarl.meta.rl2.config import Rl2Config
from metarl.meta.rl2.trial import Remembering, reading_width
from metarl.nn.recurrent import RecurrentPolicy, TaskMemory
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.networks import load_network
from metarl.runs.policies import config_of, load_policy_for
from metarl.sim.worlds import Worlds
from metarl.types import Act, Spec


class Rl2Adaptation(Adaptation):
    """B trials of each of K tasks side by side; an update runs one more episode of each.

    An update takes the steps of B episodes a task, as every method's does; each of the B
    memories has then seen one of them, so after u updates u episodes, not u * B. No parameter
    changes.

    Args:
        worlds: As for `Adaptation`.
        policy: The policy.
        num_tasks: K.
        generator: As for `Adaptation`.
    Attributes:
        memory: Shape (K * B, H).
    """

    policy: RecurrentPolicy

    def __init__(
        self,
        worlds: Worlds,
        policy: RecurrentPolicy,
        *,
        num_tasks: int,
        generator: torch.Generator,
    ):
        super().__init__(worlds, policy, num_tasks=num_tasks, generator=generator)
        self.memory = policy.memory.start(worlds.num_worlds)

    def update(self) -> None:
        actor = Remembering(self.policy, self.memory)
        episodes = play(self.worlds, actor, num_tasks=self.num_tasks, generator=self.generator)
        self.memory = actor.memory
        self.num_steps += episodes.num_steps

    def state(self) -> State:
        """The memories, ``memory`` (K, B, H)."""
        return {"memory": self.memory.detach().unflatten(0, (self.num_tasks, -1)).clone()}

    def judge(self, worlds: Worlds) -> Trajectories:
        """Run an episode in each of K * E worlds; episode e goes on from trial e % B."""
        shares = worlds.num_worlds // self.num_tasks
        start = _taken_on(self.state()["memory"], shares).flatten(0, 1)
        return play(
            worlds, Remembering(self.policy, start), num_tasks=self.num_tasks,
            generator=self.generator, deterministic=True,
        )  # fmt: skip

    def act_in(self, worlds: Worlds, task: int, state: State) -> Act:
        """Act in worlds of one task; world i goes on from trial i % B, each episode anew."""
        return _Replayed(self.policy, worlds, _taken_on(state["memory"][task], worlds.num_worlds))


class _Replayed:
    """Acts where nobody says what came of it, but the worlds know.

    Args:
        policy: The policy.
        worlds: The worlds.
        start: With what each episode begins, shape (N, H).
    """

    def __init__(self, policy: RecurrentPolicy, worlds: Worlds, start: Tensor):
        self.worlds, self.start = worlds, start
        self.actor = Remembering(policy, start)
        self.action: Tensor | None = None

    @torch.no_grad()
    def __call__(self, obs: np.ndarray) -> np.ndarray:
        """Map observations (N, D) to mean actions (N, A)."""
        actor, fresh = self.actor, self.worlds.elapsed == 0
        if self.action is not None and self.worlds.latest is not None:
            actor.see(self.action, self.worlds.latest, ~fresh)
        begun = torch.from_numpy(fresh).to(actor.device)[:, None]
        actor.memory = torch.where(begun, self.start, actor.memory)
        self.action, _ = actor.act(torch.from_numpy(obs).to(actor.device))
        return self.action.cpu().numpy()


def _taken_on(memory: Tensor, number: int) -> Tensor:
    """Hand B memories (..., B, H) to as many episodes, in turn: (..., number, H)."""
    return memory[..., torch.arange(number, device=memory.device) % memory.shape[-2], :]


def make_memory(spec: Spec, config: Rl2Config, generator: torch.Generator) -> TaskMemory:
    """Make a memory that has learned nothing yet."""
    return TaskMemory(
        reading_width(spec), spec.hidden, generator, embed=config.embed, width=config.memory
    )


def by_memory(checkpoint: Checkpoint, meeting: Meeting, _: None = None) -> Rl2Adaptation:
    """Adapt a policy with a memory by running episodes.

    Args:
        checkpoint: Of an `Rl2Trainer`.
        meeting: With the tasks.
    Raises:
        CheckpointError: If it has no memory, another config, or another interface.
    """
    config, worlds = config_of(checkpoint), meeting.worlds()
    policy = load_policy_for(checkpoint, worlds)
    memory = load_network(
        checkpoint, "memory", lambda: make_memory(worlds.spec, config, torch.Generator())
    )
    whole = RecurrentPolicy(policy, memory.eval())
    return Rl2Adaptation(worlds, whole, num_tasks=meeting.num_tasks, generator=meeting.generator)
