"""No update is taken of which something is not finite."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from metarl.errors import TrainingError


def require_finite(what: str, tensors: Mapping[str, Tensor], smaller: str) -> None:
    """Refuse an update of which something is not finite.

    Args:
        what: What the tensors are.
        tensors: By name.
        smaller: Which settings may help when they are smaller.
    Raises:
        TrainingError: If so; the message names the tensors.
    """
    bad = [name for name, x in tensors.items() if not torch.isfinite(x).all()]
    if bad:
        raise TrainingError(
            f"{what}: not finite in {', '.join(bad[:4])}; the update was refused and the last"
            f" good state kept. A smaller {smaller} may help"
        )
