"""The loop around any meta-trainer: run folder, progress, signals, resume."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from metarl.errors import CheckpointError, MetaRLError, ShapeError, TrainingError
from metarl.family import TaskFamily
from metarl.learn.start import Start
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.config import describe_config
from metarl.runs.fingerprint import FINGERPRINT, fingerprint, warn_if_changed
from metarl.runs.run import START_FILE, Run
from metarl.runs.several import of_family
from metarl.runs.signals import Interrupted, Signals, Stopped, on_signals

TELL_EVERY_S = 30.0  # a line of progress where no terminal shows a bar
State = tuple[dict[str, Tensor], dict[str, Any]]  # what a trainer's checkpoint() gives

# What a trainer raises when a state is not its own: keys, types, shapes, ranges.
_NO_STATE = (LookupError, TypeError, ValueError, AttributeError, RuntimeError, OverflowError)


class Trainer(Protocol):
    """What the loop needs of a trainer; one of several families has ``families`` in place of one."""

    @property
    def config(self) -> Any: ...

    family: TaskFamily[Any]
    iteration: int
    num_steps: int
    seconds: float

    def iterate(self) -> dict[str, float]: ...
    def checkpoint(self) -> tuple[dict[str, Tensor], dict[str, Any]]: ...
    def restore(self, checkpoint: Checkpoint) -> None: ...


def train(
    trainer: Trainer,
    folder: Path,
    *,
    resume: bool = False,
    command: str = "",
    save_every_s: float = 30.0,
    console: Console | None = None,
    start: Start | None = None,
) -> dict[str, float]:
    """Iterate until the config's budget is spent, in a run folder.

    Args:
        trainer: What is trained; its config says for how many iterations and seconds.
        folder: The run folder.
        resume: Go on from the newest checkpoint in it.
        command: The command line that started the run.
        save_every_s: Time between checkpoints [s]; one is always written at the end.
        console: Where the progress bar is drawn; None: nowhere.
        start: What the trainer's policy started from, which the folder keeps key by key.
    Returns:
        The last iteration's metrics; empty if the run was finished before.
    Raises:
        Stopped: After SIGINT, SIGTERM or SIGHUP, with everything saved; an iteration that was under
            way is given up.
        TrainingError: If an update was refused; the state before it is saved.
    """
    with (
        on_signals() as signals,
        Run.create(folder, trainer.config, resume=resume, command=command) as run,
        _progress(console) as progress,
    ):
        if start is not None:
            run.record(START_FILE, start.to_json())
        known: Mapping[str, Any] = {}
        if latest := run.latest():
            _restore(trainer, latest[1])
            known = latest[1].meta.get("metrics", {})
        interface = _interface(trainer)
        made_with = describe_config(trainer.config, command)["made-with"]

        def save(state: State, metrics: Mapping[str, float]) -> None:
            """Write a checkpoint that also says, alone, what made it and what it reached."""
            tensors, meta = state
            said = {
                "made-with": made_with,
                "metrics": _finite(metrics or known),
                FINGERPRINT: interface,
            }
            run.save(meta["iteration"], tensors, {**meta, **said})

        # A fresh start needs no copy: its seed makes it again, and optimizers are not made before
        # the first step (their imports take a second).
        state = snapshot(trainer) if latest else None
        try:
            metrics = _iterate(trainer, run, save, state, signals, progress, save_every_s)
        except Stopped:
            done = f"{trainer.iteration} of {trainer.config.iterations} iterations"
            kept = "saved; go on with --resume" if trainer.iteration else "--resume starts again"
            progress.console.print(f"stopped after {done}, {kept}")
            raise
        run.finish({"steps": trainer.num_steps, "seconds": trainer.seconds, **(metrics or known)})
    return metrics


def _families(trainer: Trainer) -> Sequence[TaskFamily[Any]]:
    """What it trains on: one family, or several at once."""
    several = getattr(trainer, "families", None)
    return (trainer.family,) if several is None else several


def _interface(trainer: Trainer) -> dict[str, Any]:
    """Fingerprint a trainer's family; where there are several, each of them by name."""
    if not hasattr(trainer, "families"):
        return fingerprint(trainer.family)
    return {family.id: fingerprint(family) for family in _families(trainer)}


def _restore(trainer: Trainer, checkpoint: Checkpoint) -> None:
    """Go on from a checkpoint, with a warning if the family is another one since.

    Raises:
        CheckpointError: If its state is none of this trainer's.
    """
    for family in _families(trainer):
        warn_if_changed(of_family(checkpoint, family), family)
    try:
        trainer.restore(checkpoint)
    except MetaRLError:
        raise
    except _NO_STATE as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise CheckpointError(
            f"the newest checkpoint holds no state of this trainer ({why}); move it away to go on"
            " from the one before"
        ) from error


def snapshot(trainer: Trainer) -> State:
    """Copy what a checkpoint of now would hold: what follows can be given up at any moment."""
    tensors, meta = trainer.checkpoint()
    return {n: t.detach().clone() for n, t in tensors.items()}, {
        **meta,
        "iteration": trainer.iteration,
    }


def _iterate(
    trainer: Trainer,
    run: Run,
    save: Callable[[State, Mapping[str, float]], None],
    state: State | None,
    signals: Signals,
    progress: Progress,
    save_every_s: float,
) -> dict[str, float]:
    metrics: dict[str, float] = {}
    shown = _Shown(progress, trainer)
    saved_s, iteration = time.monotonic(), trainer.iteration
    while _goes_on(trainer, signals):
        before, known = state, metrics
        try:
            with signals.interrupting():
                metrics = trainer.iterate()
            state = snapshot(trainer)
            _require_finite(state)
        except Interrupted:
            trainer.iteration, state, metrics = iteration, before, known
            break
        except Exception as error:
            # As it was before the iteration that failed; in the first one, as its trainer kept it.
            _keep(save, snapshot(trainer) if before is None else before, known, error)
            _blame(error, trainer)
            raise
        iteration = trainer.iteration
        run.log(trainer.iteration, **metrics)
        shown.show(metrics)
        if time.monotonic() - saved_s >= save_every_s:
            save(state, metrics)
            saved_s = time.monotonic()
    if state is not None:
        save(state, metrics)
    if signals.stop is not None:
        raise Stopped(signals.stop)
    return metrics


def _keep(
    save: Callable[[State, Mapping[str, float]], None],
    state: State,
    metrics: Mapping[str, float],
    error: Exception,
) -> None:
    """Save a state after an error; where that fails too, say both."""
    try:
        save(state, metrics)
    except MetaRLError as unsaved:
        raise type(unsaved)(f"{error}; {unsaved}") from error


def _require_finite(state: State) -> None:
    """Check that what would be saved can be gone on from.

    Raises:
        TrainingError: If a tensor is not finite; names the first ones.
    """
    bad = [n for n, t in state[0].items() if t.is_floating_point() and not t.isfinite().all()]
    if bad:
        raise TrainingError(
            f"not finite after this iteration: {', '.join(bad[:3])}; it is refused; a smaller rate"
            " may help"
        )


def _blame(error: Exception, trainer: Trainer) -> None:
    """Where numbers that are no longer finite made something else fail, say so instead.

    Raises:
        TrainingError: If that is so.
    """
    if isinstance(error, ShapeError) and "finite" in str(error):  # what the policy did then
        raise TrainingError(f"the policy is ruined, a smaller rate may help: {error}") from error
    if isinstance(error, MetaRLError):
        return
    try:
        _require_finite(snapshot(trainer))
    except TrainingError as cause:
        raise TrainingError(f"{cause} ({type(error).__name__}: {error})") from error


def _finite(metrics: Mapping[str, float]) -> dict[str, float | None]:
    """Turn what strict JSON cannot hold into null."""
    return {n: float(v) if v is not None and math.isfinite(v) else None for n, v in metrics.items()}


def _goes_on(trainer: Trainer, signals: Signals) -> bool:
    limit = trainer.config.max_seconds
    in_time = limit is None or trainer.seconds < limit
    return signals.stop is None and trainer.iteration < trainer.config.iterations and in_time


def _progress(console: Console | None) -> Progress:
    return Progress(
        TextColumn("iteration {task.completed:.0f}/{task.total:.0f}"),
        BarColumn(bar_width=24),
        TextColumn("{task.description}"),
        TimeRemainingColumn(),
        console=console or Console(quiet=True),
        disable=console is None or not console.is_terminal,
    )


class _Shown:
    """What a person sees of a training: a bar on a terminal, elsewhere a line every half minute."""

    def __init__(self, progress: Progress, trainer: Trainer):
        self.progress, self.trainer = progress, trainer
        self.bar = progress.add_task(
            "", total=trainer.config.iterations, completed=trainer.iteration
        )
        self.begun_s = self.told_s = time.monotonic()
        self.first = trainer.iteration

    def show(self, metrics: Mapping[str, float]) -> None:
        """Draw an iteration; where the time is the nearer limit, the bar counts towards it."""
        limit, done = self.trainer.config.max_seconds, self.trainer.iteration
        total = max(done, self.trainer.config.iterations)
        if limit is not None:
            total = min(total, max(done, round(done * limit / max(self.trainer.seconds, 1e-9))))
        words = describe(metrics)
        self.progress.update(self.bar, completed=done, total=total, description=words)
        now_s = time.monotonic()
        if self.progress.disable and now_s - self.told_s >= TELL_EVERY_S:
            self.told_s = now_s
            left_s = (now_s - self.begun_s) / (done - self.first) * (total - done)
            line = f"iteration {done}/{total}  {words}  {left_s:.0f} s left"
            self.progress.console.print(line, markup=False, highlight=False, soft_wrap=True)


def describe(metrics: Mapping[str, float]) -> str:
    """Success, and return where nobody has succeeded; before and after adaptation."""
    success, returns = (
        [metrics[n] for n in (f"{what}_before", f"{what}_after", what) if n in metrics]
        for what in ("success", "return")
    )
    parts = [f"success {' -> '.join(f'{rate:.0%}' for rate in success)}"] if success else []
    if returns and not any(success):
        parts.append(f"return {' -> '.join(f'{value:.3g}' for value in returns)}")
    parts.append(f"{metrics.get('steps_per_s', 0.0) / 1000:.1f}k steps/s")
    if metrics.get("num_diverged"):
        parts.append(f"{metrics['num_diverged']:.0f} diverged")
    return "  ".join(parts)
