"""Advice: ways of starting, ranked, each with a word on what to do and why."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass
from typing import Any

from metarl.advise.prediction import SURE, Prediction
from metarl.advise.signals import SIGNALS, Evidence

REUSE, TRUNK, SCRATCH = "reuse it", "reuse the trunk", "start from scratch"
NOTHING = "no difference to speak of"
COLUMNS = ("rank", "source", "strategy", "exploration", "predicted gain", "because")
_SHOWN = 3  # signals in a line


@dataclass(frozen=True)
class Option:
    """One way of starting.

    Args:
        source: What from, as it was given.
        strategy: How it starts, and what of it learns.
        exploration: ``fresh``, or ``source``.
        new_head: Whether its head is drawn anew, so that its trunk alone is reused.
        prediction: How much better than from scratch it will go.
        noise: How large a gain means nothing.
    """

    source: str
    strategy: str
    exploration: str
    new_head: bool
    prediction: Prediction
    noise: float

    @property
    def verdict(self) -> str:
        """What to do with this source, if nothing is better."""
        if abs(self.prediction.gain) <= self.noise:
            return NOTHING
        if self.prediction.gain <= 0.0:
            return SCRATCH
        return TRUNK if self.new_head else REUSE

    @property
    def sure(self) -> str:
        """How sure that is."""
        helps = self.prediction.helps
        if helps is None:
            return "not known how sure"
        right = helps if self.prediction.gain > 0.0 else 1.0 - helps
        return f"{'sure' if right >= SURE else 'not sure'}, {100 * right:.0f}%"

    def command(self, target: str) -> str:
        """How to train so."""
        words = ["metarl", "train", target, "--method", "ppo", "--from", self.source]
        words += ["--strategy", self.strategy, "--set", f"exploration={self.exploration}"]
        return shlex.join(words)

    def cells(self) -> tuple[str, ...]:
        """Strategy, exploration, gain and reasons, as texts."""
        p = self.prediction
        around = "" if p.low is None or p.high is None else f" [{p.low:+.2f}, {p.high:+.2f}]"
        parts = list(p.because.items())[:_SHOWN]
        because = ", ".join(f"{name.replace('_', ' ')} {value:+.2f}" for name, value in parts)
        return self.strategy, self.exploration, f"{p.gain:+.2f}{around}", because


@dataclass(frozen=True)
class Advice:
    """Every option, the best first, and what was known.

    Args:
        target: What is to be learned.
        options: Ways of starting, the best first.
        evidence: Of each source, in the order in which they were given.
        about: How predictions come about.
    """

    target: str
    options: tuple[Option, ...]
    evidence: tuple[Evidence, ...]
    about: str

    def best_of(self, source: str) -> Option:
        """The best option of a source."""
        return next(option for option in self.options if option.source == source)

    def table(self) -> list[tuple[str, ...]]:
        """Rows of `COLUMNS`: all options and scratch, the best first."""
        rows = [(option.source, *option.cells()) for option in self.options]
        better = sum(option.prediction.gain > 0.0 for option in self.options)
        rows.insert(better, ("(none)", "scratch", "", "+0.00", "what all are held against"))
        return [(str(place + 1), *row) for place, row in enumerate(rows)]

    def lines(self) -> list[str]:
        """What to do with each source and in all, what it is worth, and what is not known."""
        said = []
        for one in self.evidence:
            best = self.best_of(one.source)
            said.append(f"{one.source}: {best.verdict} ({best.sure})")
        said.append(self.verdict())
        said.append(f"Predicted by {self.about}.")
        for one in self.evidence:
            if missing := _grouped(one):
                said.append(f"Not known of {one.source}: {missing}.")
        return said

    def verdict(self) -> str:
        """One sentence: what to do."""
        best = self.options[0]
        if best.verdict == SCRATCH:
            return f"Start {self.target} from scratch: every source is predicted to harm."
        if best.verdict == NOTHING:
            gain = f"{best.prediction.gain:+.2f}"
            return (
                f"Start {self.target} from scratch: no source is predicted to help by more than noise"
                f" does ({best.noise:.2f}); the best, {best.source} by {best.strategy}, by {gain}."
            )
        return f"Best: {_said(best.verdict, best.source)}. {best.command(self.target)}"

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and texts."""
        return {
            "target": self.target,
            "verdict": self.verdict(),
            "about": self.about,
            "options": [
                {**asdict(option), "verdict": option.verdict, "sure": option.sure}
                for option in self.options
            ],
            "evidence": [one.to_json() for one in self.evidence],
            "signals": {name: asdict(signal) for name, signal in SIGNALS.items()},
        }


def _said(verdict: str, source: str) -> str:
    return f"reuse {source}" if verdict == REUSE else f"reuse the trunk of {source}"


def _grouped(evidence: Evidence) -> str:
    """Signals that could not be had, by the reason."""
    reasons: dict[str, list[str]] = {}
    for name, why in evidence.absent.items():
        reasons.setdefault(why, []).append(name.replace("_", " "))
    return "; ".join(f"{', '.join(names)} ({why})" for why, names in reasons.items())
