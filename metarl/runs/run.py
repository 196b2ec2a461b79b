"""The run folder: config.json, metrics.jsonl, TensorBoard events, checkpoints and result.json."""

from __future__ import annotations

import errno
import io
import itertools
import json
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metarl.errors import CheckpointError, ConfigError, DamagedError, TrainingError
from metarl.runs.checkpoint import (
    SUFFIX,
    Checkpoint,
    load_checkpoint,
    save_checkpoint,
    write_atomically,
    write_error,
)
from metarl.runs.config import (
    CONFIG_FILE,
    config_defaults,
    config_differences,
    describe_config,
    load_config,
    read_json,
)
from metarl.runs.events import Events
from metarl.runs.files import remove_abandoned, require_regular
from metarl.runs.lock import LOCK_FILE, FolderLock
from metarl.runs.metrics import METRICS_FILE, as_number, finite, good_lines, parse_row
from metarl.runs.reading import read_file
from metarl.runs.signals import Signals, Stopped, on_signals
from metarl.runs.state import flatten, not_finite, unflatten

if TYPE_CHECKING:  # torch takes seconds to import
    from torch import Tensor

__all__ = [
    "Checkpoint",
    "Run",
    "Signals",
    "Stopped",
    "flatten",
    "latest_checkpoint",
    "load_checkpoint",
    "load_config",
    "on_signals",
    "save_checkpoint",
    "unflatten",
]

RESULT_FILE, CHECKPOINTS = "result.json", "checkpoints"
ADAPTATION_FILE = "adaptation.json"  # in the folder of an adaptation
MATRIX_FILE = "benchmark.json"  # in the folder of a transfer matrix
MATRIX_RESULT_FILE = "matrix.json"  # beside it: what is known so far
BENCHMARK_FILE = "benchmark.toml"  # in the folder of a benchmark: its file, as it was given
BENCHMARK_RESULT_FILE = "tables.json"  # beside it: what is known so far
SEARCH_FILE = "search.json"  # in the folder of a search for settings: what is searched
TUNING_FILE = "tuning.json"  # beside it: what is known so far
ANSWERS_FILE = "answers.json"  # what a picture network answered to its test pictures
START_FILE = "start.json"  # what it started from, and what became of that
STEP = "step"  # in a checkpoint's meta
WORKERS = "workers"  # likewise: how many there were, where tasks were split over some
BUDGET = ("iterations", "max_seconds")  # of a config; may change when a run goes on
_PREFIX = "step-"
_log = logging.getLogger(__name__)


class Run:
    """A run folder that one process writes; make it with `Run.create`.

    To lose nothing when killed, log a step before saving it: what was logged after the newest
    checkpoint's step is dropped when the run resumes, and logged again.
    """

    def __init__(self, folder: Path, config: Any, *, keep: int):
        self.folder = folder
        self.config = config
        self._keep = keep
        self._lock: FolderLock  # these are opened by create, once the folder is known to be ours
        self._metrics: io.FileIO
        self._events: Events | None = None
        self._resumed_step: int | None = None
        self._started_s = time.monotonic()

    @classmethod
    def create(
        cls,
        folder: Path,
        config: Any,
        *,
        resume: bool = False,
        command: str = "",
        keep: int = 2,
        tensorboard: bool = True,
    ) -> Run:
        """Start a run folder, or go on with one.

        Args:
            folder: Where the run lives; made if missing.
            config: A frozen dataclass that says everything about the run.
            resume: Go on from the newest checkpoint in `folder`; starts afresh if it is empty.
                The config's `BUDGET` may be another one then; of a field that is younger than
                the run, the default is what the run was started with.
            command: The command line that started the run.
            keep: How many checkpoints to keep, >= 1.
            tensorboard: Also write TensorBoard events, where TensorBoard is installed.
        Returns:
            The run. Its metrics now end at the step of `latest()`.
        Raises:
            ConfigError: If another process writes to the folder, or it is in use and `resume` is
                false, or it holds something else, or a run with another config; the message
                lists the differing keys.
            CheckpointError: If the folder cannot be written, its newest checkpoint is not
                damaged and yet does not load, none of them loads, or they are gone.
        """
        if keep < 1:
            raise ConfigError(f"keep is {keep}; expected at least 1 checkpoint")
        description = describe_config(config, command)
        run = cls(Path(folder), config, keep=keep)
        try:
            run.folder.mkdir(parents=True, exist_ok=True)
            run._lock = FolderLock(run.folder)
            try:
                run._open(description, resume)
            except BaseException:
                run._lock.release()
                raise
        except OSError as error:
            raise write_error(run.folder, error) from error
        if tensorboard:
            step = run._resumed_step
            run._events = Events(run.folder, None if step is None else step + 1)
        return run

    def _open(self, description: Mapping[str, Any], resume: bool) -> None:
        for name in (CONFIG_FILE, METRICS_FILE):
            require_regular(self.folder / name)
        started = self._is_started(resume)
        if started and not self._checkpoints.is_dir() and (self.folder / METRICS_FILE).exists():
            raise CheckpointError(
                f"{self._checkpoints} is gone, and with it what the run had saved; put it back,"
                " or choose another folder"
            )
        self._checkpoints.mkdir(exist_ok=True)
        remove_abandoned(self.folder)
        remove_abandoned(self._checkpoints)
        if started:
            self._resume(description)
        else:
            write_atomically(self.folder / CONFIG_FILE, _to_bytes(description))
        self._metrics = open(self.folder / METRICS_FILE, "ab", buffering=0)  # noqa: SIM115

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def log(self, step: int, **metrics: float) -> None:
        """Add one line to metrics.jsonl, and the same numbers to TensorBoard.

        Args:
            step: The step that the metrics belong to, counted as in `save`.
            metrics: Numbers by name. Values that are not finite are written as null.
        Raises:
            ConfigError: If a metric is no number, or named ``time_s``.
            CheckpointError: If the line cannot be written.
        """
        if "time_s" in metrics:
            raise ConfigError("time_s is the time since the run's start; name the metric otherwise")
        numbers = {name: as_number(name, value) for name, value in metrics.items()}
        time_s = round(time.monotonic() - self._started_s, 3)
        row = finite({"step": int(step), "time_s": time_s, **numbers})
        line = (json.dumps(row) + "\n").encode()
        try:
            if self._metrics.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise write_error(self.folder / METRICS_FILE, error) from error
        self._lock.beat()
        if self._events is not None:
            self._events.add(step, numbers)

    def save(self, step: int, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> Path:
        """Write a checkpoint, then drop the oldest beyond those to keep.

        Args:
            step: How many steps are done, >= 0.
            tensors: As for `save_checkpoint`; `flatten` makes them.
            meta: As for `save_checkpoint`; the step is added.
        Returns:
            The file.
        Raises:
            TrainingError: If a number in it is not finite; the message says what is kept.
            CheckpointError: If it cannot be written; the message says likewise.
        """
        path = self._checkpoints / f"{_PREFIX}{step:08d}{SUFFIX}"
        if name := not_finite(tensors, meta):
            raise TrainingError(
                f"{name} is not finite after step {step}, so that this state was not saved;"
                f" {self._kept()}; try a smaller rate"
            )
        try:
            if not self._checkpoints.is_dir():
                raise CheckpointError(f"cannot write {path}: the run folder was moved or deleted")
            # A checkpoint must never be newer on disk than the metrics that led to it.
            os.fsync(self._metrics.fileno())
            save_checkpoint(path, tensors, {**meta, STEP: step})
            for _, old in _steps(self.folder)[: -self._keep]:
                old.unlink(missing_ok=True)
        except OSError as error:
            raise CheckpointError(f"{write_error(path, error)}; {self._kept()}") from error
        except CheckpointError as error:
            raise CheckpointError(f"{error}; {self._kept()}") from error
        return path

    def _kept(self) -> str:
        """Say what a failed save leaves; called when one has failed."""
        there = [step for step, _ in _steps(self.folder)]
        if not there:
            return "nothing is saved"
        return f"the checkpoint of step {there[-1]} is intact: go on from it with --resume"

    def latest(self) -> tuple[int, Checkpoint] | None:
        """Load the newest checkpoint that is whole.

        Returns:
            Its step and content; None if there is none yet.
        Raises:
            CheckpointError: As `latest_checkpoint`.
        """
        return latest_checkpoint(self.folder)

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write result.json.

        Args:
            result: JSON values, NumPy's numbers and arrays among them; what is not finite becomes
                null.
        Raises:
            CheckpointError: If it cannot be written.
        """
        write_atomically(self.folder / RESULT_FILE, _to_bytes(finite(result)))

    def record(self, name: str, content: Mapping[str, Any]) -> None:
        """Write JSON values into a file of the folder.

        Raises:
            CheckpointError: If it cannot be written.
        """
        write_json(self.folder / name, content)

    def close(self) -> None:
        """Close the files; closing twice is fine."""
        self._metrics.close()
        if self._events is not None:
            self._events.close()
        self._lock.release()

    @property
    def _checkpoints(self) -> Path:
        return self.folder / CHECKPOINTS

    def _is_started(self, resume: bool) -> bool:
        """Tell a run from an empty folder, and refuse what is neither."""
        if not resume and (found := _contents(self.folder)):
            raise ConfigError(
                f"{self.folder} already holds {', '.join(found[:3])}; add --resume to go on with "
                "it, or choose another folder"
            )
        if (self.folder / CONFIG_FILE).exists():
            return True
        if found := _contents(self.folder):
            raise ConfigError(
                f"{self.folder} holds {', '.join(found[:3])} but no {CONFIG_FILE}, so it is no "
                "run to resume; choose another folder"
            )
        return False

    def _resume(self, description: Mapping[str, Any]) -> None:
        saved = {**config_defaults(self.config), **read_json(self.folder / CONFIG_FILE)}
        budget = {name: description[name] for name in BUDGET if name in description}
        if differing := config_differences({**saved, **budget}, description):
            raise ConfigError(
                f"{self.folder} was started with another config; {'; '.join(differing)}; give the "
                "saved values, or choose another folder"
            )
        latest = self.latest()
        self._require_ahead(latest[0] if latest else 0, description.get("iterations"))
        if latest is None:
            self._set_metrics_aside()
        if config_differences(saved, description):  # of the budget; only if the run does go on
            write_atomically(self.folder / CONFIG_FILE, _to_bytes(description))
        self._resumed_step = latest[0] if latest else -1
        for step, path in _steps(self.folder):
            if step > self._resumed_step:  # damaged: keep it for inspection, out of the count
                path.rename(path.with_name(f"{path.name}.damaged"))
        self._truncate_metrics(self._resumed_step)

    def _require_ahead(self, done: int, iterations: int | None) -> None:
        """Refuse an end that lies behind what is done."""
        if iterations is not None and iterations < done:
            raise ConfigError(
                f"{self.folder} has done {done} iterations, so it cannot end after {iterations}; give"
                f" {done} or more, or leave it out"
            )

    def _set_metrics_aside(self) -> None:
        """Make way for a run that starts again because it was killed before its first save.

        Raises:
            CheckpointError: If it was not: what it had saved is gone.
        """
        path = self.folder / METRICS_FILE
        if (self.folder / RESULT_FILE).exists():
            raise CheckpointError(
                f"{self.folder} has a {RESULT_FILE} but no checkpoint any more; put its"
                f" {CHECKPOINTS} back, or choose another folder"
            )
        if path.exists() and path.stat().st_size:
            aside = free_name(path)
            path.rename(aside)
            _log.warning(
                "%s has no checkpoint: the run starts again; its metrics so far are in %s",
                self.folder, aside.name,
            )  # fmt: skip

    def _truncate_metrics(self, step: int) -> None:
        """Keep the metrics up to a step, and let the clock go on from the last of them.

        Raises:
            CheckpointError: If a line is damaged and later ones would be lost with it.
        """
        path = self.folder / METRICS_FILE
        try:
            content = read_file(path)
        except FileNotFoundError:
            return
        # Past the last synced line anything may stand after a power cut: stop at the first bad one.
        good = list(good_lines(content))
        for line in content.splitlines(keepends=True)[len(good) + 1 :]:
            row = parse_row(line)
            if row is not None and row["step"] <= step:
                raise CheckpointError(
                    f"{path} is damaged: line {len(good) + 1} is no metrics, and later ones are;"
                    " mend or delete that line"
                )
        lines = [(line, row) for line, row in good if row["step"] <= step]
        write_atomically(path, b"".join(line for line, _ in lines))
        if lines:
            self._started_s -= lines[-1][1].get("time_s") or 0.0


def latest_checkpoint(folder: Path) -> tuple[int, Checkpoint] | None:
    """Load the newest whole checkpoint of a run folder, without changing the folder.

    Args:
        folder: The run folder.
    Returns:
        Its step and content; None if there is none. Damaged ones are skipped with a warning.
    Raises:
        CheckpointError: If there are checkpoints and all of them are damaged, or the newest that
            is not damaged cannot be read, is of a newer format, or of another step than its name
            says; to go on from an older one is for the user to decide.
    """
    found = _steps(Path(folder))
    for step, path in reversed(found):
        try:
            checkpoint = load_checkpoint(path)
        except DamagedError as error:
            _log.warning("skipped a checkpoint: %s", error)
        else:
            _require_step(path, step, checkpoint)
            return step, checkpoint
    if found:  # starting again from nothing would overwrite a run that may be worth mending
        raise CheckpointError(
            f"none of the {len(found)} checkpoints in {folder} loads; start again in another folder"
        )
    return None


def free_name(path: Path) -> Path:
    """Find a name beside a file's that is not taken: ``metrics.1.jsonl``."""
    numbered = (path.with_name(f"{path.stem}.{i}{path.suffix}") for i in itertools.count(1))
    return next(name for name in numbered if not name.exists())


def _require_step(path: Path, step: int, checkpoint: Checkpoint) -> None:
    inside = checkpoint.meta.get(STEP, step)  # older releases did not say
    if inside != step:
        raise CheckpointError(
            f"{path} is of step {inside}, though its name says {step}; rename it to"
            f" {_PREFIX}{inside:08d}{SUFFIX}, or move it away"
        )


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON values; what is not finite becomes null.

    Raises:
        CheckpointError: If something is no JSON value, or it cannot be written.
    """
    write_atomically(path, _to_bytes(finite(content)))


def _steps(folder: Path) -> list[tuple[int, Path]]:
    """List the checkpoints by step.

    Raises:
        CheckpointError: If their folder cannot be looked into.
    """
    try:
        paths = list((folder / CHECKPOINTS).iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise CheckpointError(f"cannot look into {folder / CHECKPOINTS}: {error.strerror}") from error
    paths = [p for p in paths if p.name.startswith(_PREFIX) and p.name.endswith(SUFFIX)]
    named = [(path.name.removeprefix(_PREFIX).removesuffix(SUFFIX), path) for path in paths]
    return sorted((int(digits), path) for digits, path in named if digits.isdecimal())


def _contents(folder: Path) -> list[str]:
    """List what is in a folder, but for what a run killed at its very start leaves."""
    ours = (f".{CONFIG_FILE}.", LOCK_FILE)
    found = sorted(path for path in folder.iterdir() if not path.name.startswith(ours))
    return [p.name for p in found if p.name != CHECKPOINTS or not p.is_dir() or any(p.iterdir())]


def _to_bytes(content: Any) -> bytes:
    try:
        return (json.dumps(content, indent=2, allow_nan=False) + "\n").encode()
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"cannot write this as JSON: {error}") from error
