"""Did it help? A method beside no update, scratch, and itself under another noise."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from metarl.adapt.adaptation import State
from metarl.adapt.evaluate import evaluate_adaptation
from metarl.adapt.protocol import Protocol
from metarl.adapt.results import AdaptationResult, summarise
from metarl.adapt.statistics import Interval, mean, stratified_bootstrap
from metarl.errors import counted
from metarl.family import TaskFamily
from metarl.methods import SCRATCH, TAUGHT
from metarl.runs.checkpoint import Checkpoint

SOLVED = 0.9
UNITS = {"success": "success [%]", "score": "score", "returns": "return"}


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What a method reached, and what to hold it against, on the same tasks and budget.

    Args:
        result: The method's.
        control: The method's under another noise: what differs here means nothing.
        scratch: What a fresh network reached; None where the method is that itself.
        same_test: Whether the family's held-out tasks are drawn as its training tasks are.
    """

    result: AdaptationResult
    control: AdaptationResult
    scratch: AdaptationResult | None
    same_test: bool

    @property
    def metric(self) -> str:
        """What is judged: score where it is finer than success, return where nobody ever succeeds."""
        arms = [arm for arm in (self.result, self.control, self.scratch) if arm is not None]
        if any(not np.array_equal(arm.score, arm.success) for arm in arms):
            return "score"
        return "success" if any(arm.success.any() for arm in arms) else "returns"

    def gain(self, over: AdaptationResult, update: int) -> tuple[float, Interval]:
        """How much better the method ended than an arm stood after an update.

        Args:
            over: The arm; the method's own result at update 0 is no update at all.
            update: After which of the arm's updates, -1 for the last.
        Returns:
            The mean of the tasks' differences, and its 95% bootstrap interval over tasks.
        """
        metric = self.metric
        table = (getattr(self.result, metric)[-1] - getattr(over, metric)[update])[None]
        around = stratified_bootstrap(table, mean, rng=np.random.default_rng(0))
        return float(table.mean()), around

    def verdict(self) -> str:
        """One sentence: helped, nothing or harmed, against no update and against scratch."""
        updates = len(self.result.success) - 1
        if not updates:
            return "No update was made, so nothing can have helped or harmed."
        parts = [_said(*self.gain(self.result, 0), self.metric, "no update")]
        if self.scratch is not None:
            parts.append(_said(*self.gain(self.scratch, -1), self.metric, "scratch"))
        return f"After {counted(updates, 'update')}, {self.result.method} {' and '.join(parts)}."

    def note(self) -> str:
        """What a reader must know of the tasks; empty where they are held out."""
        if not self.same_test:
            return ""
        return (
            f"{self.result.family} has no held-out split, as published: these tasks are drawn as"
            " the training tasks are, from a stream that no training draws from."
        )

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Columns, and a row an update; means over tasks [95% intervals]."""
        rng, metric = np.random.default_rng(0), self.metric
        arms = {self.result.method: self.result, "other noise": self.control}
        if self.scratch is not None:
            arms[SCRATCH] = self.scratch
        columns = [("updates", [str(u) for u in range(len(self.result.success))])]
        for name, arm in arms.items():
            found = summarise([arm], rng, metric)
            columns.append((name, [_cell(e, metric) for e in found]))
        if metric != "returns":
            returns = self.result.returns.mean(axis=1)
            columns.append(("return", [f"{value:.3g}" for value in returns]))
        return tuple(name for name, _ in columns), list(zip(*(cells for _, cells in columns)))

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and lists."""
        return {
            "result": self.result.to_json(),
            "control": self.control.to_json(),
            "scratch": None if self.scratch is None else self.scratch.to_json(),
            "same_test": self.same_test,
            "verdict": self.verdict(),
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Comparison:
        """Read what `to_json` wrote."""
        scratch = saved["scratch"]
        return cls(
            AdaptationResult.from_json(saved["result"]),
            AdaptationResult.from_json(saved["control"]),
            None if scratch is None else AdaptationResult.from_json(scratch),
            bool(saved["same_test"]),
        )


def compare(
    family: TaskFamily[Any],
    method: str,
    checkpoint: Checkpoint,
    protocol: Protocol,
    *,
    settings: Any = None,
    keep: list[State] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Adapt by a method, by it again under another noise, and from scratch.

    Args:
        family: The family.
        method: As for `evaluate_adaptation`, and so are all others.
        checkpoint: Likewise.
        protocol: Likewise.
        settings: Likewise.
        keep: Likewise, of the method.
        progress: Called with (updates done, updates in all), over all arms.
    """
    taught = method.endswith(TAUGHT)
    fresh = f"{SCRATCH}{TAUGHT}" if taught else SCRATCH
    arms = 2 + (method != fresh)
    each = protocol.updates + 1

    def part(number: int) -> Callable[[int, int], None] | None:
        if progress is None:
            return None
        return lambda done, _: progress(number * each + done + 1, arms * each)

    result = evaluate_adaptation(
        family, method, checkpoint, protocol, settings=settings, keep=keep, progress=part(0)
    )
    other = dataclasses.replace(protocol, noise=protocol.noise + 1)
    control = evaluate_adaptation(
        family, method, checkpoint, other, settings=settings, progress=part(1)
    )
    scratch = None
    if method != fresh:
        scratch = evaluate_adaptation(family, fresh, checkpoint, protocol, progress=part(2))
    return Comparison(result, control, scratch, bool(family.same_test))


def next_to_try(
    comparison: Comparison, checkpoint: Checkpoint, family: TaskFamily[Any], *, hides: bool
) -> str:
    """Say which strategy is worth trying next, and how; empty where nothing is left to gain.

    Args:
        comparison: What was measured.
        checkpoint: What was adapted.
        family: On what.
        hides: Whether the family hides anything of its tasks.
    """
    method, meta = comparison.result.method, checkpoint.meta
    reached = comparison.result.score[-1].mean()
    if comparison.metric != "returns" and reached >= SOLVED:
        return ""
    sees = bool(meta.get("config", {}).get("task_visible"))
    guesses, motions = ("bayesian-optimization", "strategy-optimization"), "residual-search"
    if hides and sees and method not in (*guesses, motions):
        return (
            "Next: --strategy bayesian-optimization. It asks, by reward, which task that the policy"
            " knows this one is most like, and changes no weight."
        )
    if hides and sees and method in guesses:
        return (
            "Next: --strategy residual-search --episodes 160. It also looks for what must be added"
            " to the motions that the policy knows."
        )
    if family.has_expert() and not method.endswith(TAUGHT):
        return "Next: --strategy fine-tune-dagger. The family's expert teaches it."
    if hides and not sees:
        return (
            f"Next: metarl train {family.id} --method ppo, then metarl adapt that run with"
            " --strategy bayesian-optimization, which needs a policy that saw its task."
        )
    return "Next: more --updates or more --episodes."


def _said(gain: float, around: Interval, metric: str, over: str) -> str:
    word = "did nothing sure"
    if around.low > 0:
        word = "helped"
    elif around.high < 0:
        word = "harmed"
    scale, unit = (100, " points of success") if metric == "success" else (1, f" of {metric}")
    unit = " of return" if metric == "returns" else unit
    digits = ".0f" if metric == "success" else ".2f" if metric == "score" else ".3g"
    low, high = (f"{scale * x:+{digits}}" for x in (around.low, around.high))
    return f"{word} against {over} ({scale * gain:+{digits}}{unit} [{low}, {high}])"


def _cell(estimate: Any, metric: str) -> str:
    if metric == "success":
        return estimate.format_percent()
    if metric == "score" and not np.isnan(estimate.mean_low):
        return f"{estimate.mean:.2f} [{estimate.mean_low:.2f}, {estimate.mean_high:.2f}]"
    return str(estimate)
