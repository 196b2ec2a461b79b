"""How a policy that was trained elsewhere starts on tasks that it does not know."""

from __future__ import annotations

import torch

from metarl.adapt.meeting import Meeting
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.policies import load_policy_for
from metarl.sim.worlds import Worlds
from metarl.transfer.strategy import Strategy, drawn_anew, prepare
from metarl.transfer.student import EXPLORATION, Student


def student_of(
    checkpoint: Checkpoint, meeting: Meeting, strategy: Strategy, *, log_std: float, rate: float
) -> tuple[Worlds, Student]:
    """Make the worlds of a meeting, and the policies that learn there as a strategy says.

    All of a policy is in evaluation: its statistics stand still under every strategy.

    Args:
        checkpoint: Of the source.
        meeting: With the tasks.
        strategy: How to start, and how to learn.
        log_std: First log standard deviation of the actions.
        rate: Learning rate before the strategy's factors.
    Raises:
        CheckpointError: If the source is for another interface.
    """
    worlds = meeting.worlds()
    source, generator = load_policy_for(checkpoint, worlds), meeting.fresh(checkpoint)
    policy = prepare(source, strategy, generator=generator)
    with torch.no_grad():
        policy.log_std.fill_(log_std)
        if strategy.start == "scratch":
            policy.context.zero_()
    new = drawn_anew(policy, strategy, source)
    taken = {n: p for n, p in source.named_parameters() if n not in new and n != EXPLORATION}
    student = Student(
        policy, strategy, rate=rate, generator=generator, source=taken, new=new,
        teacher=source.state_dict(), num_tasks=meeting.num_tasks,
    )  # fmt: skip
    return worlds, student
