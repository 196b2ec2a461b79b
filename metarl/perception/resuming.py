"""Going on from a checkpoint of pictures and a trunk: both must be what they were."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from metarl.errors import CheckpointError, MetaRLError
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.state import unflatten


def resume_from(checkpoint: Checkpoint, of: Any, take: Callable[[Any], None]) -> None:
    """Take what a checkpoint holds, if it is of these pictures and weights.

    Args:
        checkpoint: Its tensors and state.
        of: Says of which pictures and weights it must be.
        take: Given the state; whatever it lacks, or does not fit, is told.
    Raises:
        CheckpointError: If it is of other pictures, another trunk or another network.
    """
    state = unflatten(checkpoint.tensors, checkpoint.meta)
    if state.get("of") != of:
        raise CheckpointError(
            "the pictures or the trunk's weights have changed since this run was started; put"
            " them back, or start another run"
        )
    try:
        take(state)
    except MetaRLError:
        raise
    except (LookupError, TypeError, ValueError, RuntimeError) as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise CheckpointError(f"the newest checkpoint is of another network ({why})") from error
