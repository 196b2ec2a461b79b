"""What can be known of a transfer before it is paid for: the signals, each by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from metarl.errors import CheckpointError
from metarl.runs.reading import is_number

Kind = Literal["policy", "trunk", "plasticity", "gradient", "setting"]


@dataclasses.dataclass(frozen=True)
class Signal:
    """One number that says something of a source on a target.

    Args:
        kind: What it speaks of: the whole policy, its trunk's features, how hard what it does is to
            unlearn, gradients, or what the two sides have in common before anything is asked.
        says: One line.
        rises: Whether more is better for the transfer, as far as one can know beforehand.
    """

    kind: Kind
    says: str
    rises: bool = True


_SCORES = {
    "logme": "LogME [nat a sample]",
    "h_score": "shrunk H-score",
    "trans_rate": "TransRate [nat]",
}
_TARGETS = {
    "returns": "returns-to-go",
    "values": "values (a linear fit of these)",
    "actions": "the expert's actions",
}
SCORED = tuple((score, target) for score in _SCORES for target in _TARGETS)

SIGNALS: dict[str, Signal] = {
    "zero_update": Signal(
        "policy", "return before any update above an untrained policy's, both exploring afresh"
    ),
    "greedy": Signal("policy", "the same of mean actions"),
    "action_agreement": Signal(
        "policy", "how much nearer its mean actions are to the expert's than an untrained policy's"
    ),
    "expert_approach": Signal(
        "policy", "how much nearer it comes to the expert's states than an untrained policy"
    ),
    "leep_actions": Signal(
        "policy", "LEEP of its actions, in thirds, on the expert's, above an untrained policy's"
    ),
    **{
        f"{score}_{target}": Signal(
            "trunk", f"{_SCORES[score]} of its features on {_TARGETS[target]}, above fresh features"
        )
        for score, target in SCORED
    },
    "action_size": Signal(
        "plasticity", "mean size of its mean actions, less an untrained policy's", rises=False
    ),
    "actions_cut": Signal(
        "plasticity", "share of its mean actions beyond what is executed", rises=False
    ),
    "units_saturated": Signal(
        "plasticity", "share of the trunk's units whose gradients vanish", rises=False
    ),
    "feature_directions": Signal(
        "plasticity", "log of the number of directions in which features vary, above fresh ones'"
    ),
    "gradient_cosine": Signal(
        "gradient", "cosine of the two families' policy gradients at the source's weights"
    ),
    "gradient_cosine_untrained": Signal("gradient", "the same at fresh weights"),
    "state_distance": Signal(
        "setting", "distance of the states it was trained on from the target's", rises=False
    ),
    "shared_observations": Signal("setting", "share of the observations that it knows by name"),
    "shared_actions": Signal("setting", "share of the actions that it knows"),
    "exploration": Signal(
        "setting", "log standard deviation that it explores with, above a fresh one's"
    ),
}


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What is known of one source on one target.

    Args:
        source: The source, as it was given.
        family: What it was trained on.
        target: The target.
        signals: Those that could be computed, by name.
        absent: Why the others could not be.
        carried: What goes along, in one line.
        steps: Control steps that it took.
        seconds: Wall time [s].
    """

    source: str
    family: str
    target: str
    signals: Mapping[str, float]
    absent: Mapping[str, str]
    carried: str
    steps: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and texts."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Evidence:
        """Read what `to_json` wrote.

        Raises:
            CheckpointError: If it is something else.
        """
        try:
            found = cls(**saved)
            known = all(n in SIGNALS and is_number(v) for n, v in found.signals.items())
        except (TypeError, AttributeError) as error:
            raise CheckpointError(f"this is no evidence of a transfer: {error}") from error
        if not known:
            raise CheckpointError("this evidence has signals that are none; gather it again")
        return found
