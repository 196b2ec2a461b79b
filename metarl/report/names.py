"""What the names of metrics mean, in words and units."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_AFTER = re.compile(r"(success|score|return)_(\d+)")
EACH = " after each update"
MEANINGS = {
    "success": "share of episodes that ended well, 0 to 1",
    "score": "graded outcome, 0 to 1, mean of episodes",
    "return": "sum of rewards in an episode, mean",
    "success_before": "share of episodes that ended well before any update, 0 to 1",
    "success_after": "share of episodes that ended well after all updates, 0 to 1",
    "return_before": "sum of rewards in an episode before any update",
    "return_after": "sum of rewards in an episode after all updates",
    "score_after": "graded outcome after all updates, 0 to 1",
    "num_diverged": "worlds whose physics left the finite numbers, of the last iteration",
    "num_steps": "control steps in all",
    "steps_per_s": "control steps a second [1/s]",
    "collect_s": "time in which episodes were run, of the last iteration [s]",
    "update_s": "time in which networks learned, of the last iteration [s]",
    "time_s": "time since training began [s]",
    "loss": "what gradient steps make small",
    "loss/policy": "the policy's part of the loss",
    "loss/value": "mean squared error of the critic, in its own units",
    "grad_norm": "length of the gradient before it was cut",
    "std": "standard deviation of actions, mean over their dimensions",
    "entropy": "entropy of the policy [nat]",
    "kl": "how far an update moved the policy [nat]",
    "cosine": "how far tasks' gradients agree: 1 alike, 0 nothing in common, below 0 in conflict",
    "cosine/least": "the same of the two tasks that agree least",
    "accuracy": "share of pictures answered right, 0 to 1",
    "error": "mean error of the answers",
}
_BEGINNINGS = {
    "term/": "reward term {}, mean of a control step, weighted",
    "success/": "success of {}, 0 to 1",
    "return/": "return of {}",
    "score/": "score of {}, 0 to 1",
    "loss/": "loss of {}",
    "cosine/": "how far the gradients of {} agree",
}


def meaning(name: str) -> str:
    """Say what a metric means; "" where nobody knows."""
    if found := _AFTER.fullmatch(name):
        what, updates = found[1], int(found[2])
        after = f"after {updates} update{'s' * (updates != 1)}" if updates else "before any update"
        return f"{MEANINGS[what]}, {after}"
    if name.endswith(EACH):
        return f"{MEANINGS.get(name.removesuffix(EACH), '')}; the first before any"
    if name in MEANINGS:
        return MEANINGS[name]
    for beginning, words in _BEGINNINGS.items():
        if name.startswith(beginning):
            return words.format(name.removeprefix(beginning))
    return ""


def condensed(result: Mapping[str, Any]) -> dict[str, Any]:
    """Put what was measured after each update into one row: ``success after each update``."""
    found = dict[str, Any]()
    for name, value in result.items():
        if after := _AFTER.fullmatch(name):
            found.setdefault(f"{after[1]}{EACH}", []).append(value)
        else:
            found[name] = value
    return found
