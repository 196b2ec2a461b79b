"""What the names of metrics mean, in words and units."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from metarl.errors import counted

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
    "episodes_seen": "share of episodes that were acted on what was seen, not on the truth",
    "success_told": "share of episodes acted on the truth that ended well, 0 to 1",
    "loss": "what gradient steps make small",
    "loss/policy": "the policy's part of the loss",
    "loss/value": "mean squared error of the critic, in its own units",
    "loss/entropy": "the entropy's part of the loss",
    "loss/strategy": "what the strategy adds to the loss",
    "policy_loss": "the policy's part of the loss",
    "critic_loss": "mean squared error of the critic, in its own units",
    "foreseen": "share of what returns vary by that the critic had foreseen, 1 at most",
    "explained_variance": "share of what returns vary by that the critic had foreseen, 1 at most",
    "clip_fraction": "share of samples whose step was cut, 0 to 1",
    "value_error": "mean squared error of the critic, as a share of what its targets vary by",
    "task_error": "how far off the task is told, in units of the task block",
    "surprise": "how unlikely the true task was held to be [nat]",
    "steepness": "how much a fresh actor's noise changes what the critic says, by which lessons are divided",
    "step_length": "length of the step within the trust region, in parameters",
    "accepted": "whether the step was taken, 1 or 0",
    "drift": "how far inner updates moved the policy, the most [nat]",
    "drift_weight": "what such a drift costs in the loss, the most",
    "grad_norm": "length of the gradient before it was cut",
    "std": "standard deviation of actions, mean over their dimensions",
    "entropy": "entropy of the policy [nat]",
    "kl": "how far an update moved the policy [nat]",
    "cosine": "how far tasks' gradients agree: 1 alike, 0 nothing in common, below 0 in conflict",
    "cosine/least": "the same of the two tasks that agree least",
    "accuracy": "share of pictures answered right, 0 to 1",
    "accuracy low": "lower end of its 95% interval over tasks",
    "accuracy high": "upper end of its 95% interval over tasks",
    "chance": "what guessing would reach",
    "error": "how far off answers are, mean; of classes the share that is wrong",
    "constant error": "error of always giving the most usual answer",
    "held-back error": "error on the pictures that are held back and decide when to end",
    "best": "lowest error on held-back pictures so far",
    "nll": "mean negative log-likelihood of the right class [nat]",
    "calibration-error": "mean gap between how sure answers are and how often they are right, 0 to 1",
    "temperature": "by which the network's sureness is divided; 1 leaves it as it is",
    "within interval": "share of test pictures whose truth lies in the interval; 0.9 is wanted",
    "epochs": "passes over the pictures",
    "best epoch": "the one whose weights are kept",
    "pictures": "how many were learned from",
    "trunk": "which one, and from where its weights are",
    "trunk stands": "whether the trunk stays as it is",
    "strategy": "what of the trunk learns, as metarl methods NAME says",
    "method": "as metarl methods NAME says",
    "ways": "classes of a task",
    "shots": "pictures of each class that a task shows",
    "episodes": "tasks that judge",
    "iterations": "steps of the outer loop",
    "seconds": "time to learn [s]",
    "worker_collect_s": "what the slowest worker ran episodes for [s]",
    "worker_update_s": "what the slowest worker computed gradients for [s]",
    "between_s": "to send, to wait and to take the step, with workers [s]",
    "seconds to learn": "time of the outer loop [s]",
    "seconds an episode": "time for one task [s]",
}
_BEGINNINGS = {
    "term/": "reward term {}, mean of a control step, weighted",
    "success/": "success of {}, 0 to 1",
    "return/": "return of {}",
    "score/": "score of {}, 0 to 1",
    "loss/": "loss of {}",
    "cosine/": "how far the gradients of {} agree",
    "mae ": "mean absolute error of {}, in its own unit",
    "interval ": "nine of ten truths of {} lie within the answer, less or more this",
}


def meaning(name: str) -> str:
    """Say what a metric means; "" where nobody knows."""
    if found := _AFTER.fullmatch(name):
        what, updates = found[1], int(found[2])
        after = f"after {counted(updates, 'update')}" if updates else "before any update"
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
