"""The run folder: config.json, metrics.jsonl, TensorBoard events, checkpoints and result.json."""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metarl.runs.checkpoint import (
    SUFFIX,
    Checkpoint,
    load_checkpoint,
    remove_partials,
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
from metarl.errors import CheckpointError, ConfigError
from metarl.runs.metrics import METRICS_FILE, as_number, finite, good_lines
from metarl.runs.signals import Signals, Stopped, on_signals
from metarl.runs.state import flatten, unflatten

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
BUDGET = ("iterations", "max_seconds")  # of a config; may change when a run goes on
_PREFIX = "step-"
_log = logging.getLogger(__name__)


class Run:
    """A run folder that one process writes; make it with `Run.create`.

    To lose nothing when killed, log a step before saving it: what was logged after the newest
    checkpoint's step is dropped when the run resumes, and logged again.
    """

    def __init__(self, folder: Path, config: Any, *, keep: int, tensorboard: bool):
        self.folder = folder
        self.config = config
        self._keep = keep
        self._tensorboard = tensorboard
        self._metrics: io.FileIO  # opened by create, once the folder is known to be ours
        self._writer: Any = None
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
            ConfigError: If the folder is in use and `resume` is false, or holds something else,
                or a run with another config; the message lists the differing keys.
            CheckpointError: If the folder cannot be written, or none of its checkpoints loads.
        """
        if keep < 1:
            raise ConfigError(f"keep is {keep}; expected at least 1 checkpoint")
        description = describe_config(config, command)
        run = cls(Path(folder), config, keep=keep, tensorboard=tensorboard)
        try:
            run.folder.mkdir(parents=True, exist_ok=True)
            started = run._is_started(resume)
            run._checkpoints.mkdir(exist_ok=True)
            remove_partials(run.folder)
            remove_partials(run._checkpoints)
            if started:
                run._resume(description)
            else:
                write_atomically(run.folder / CONFIG_FILE, _to_bytes(description))
            run._metrics = open(run.folder / METRICS_FILE, "ab", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise write_error(run.folder, error) from error
        return run

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
        if writer := self._events():
            for name, value in numbers.items():
                writer.add_scalar(name, value, step)

    def save(self, step: int, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> Path:
        """Write a checkpoint, then drop the oldest beyond those to keep.

        Args:
            step: How many steps are done, >= 0.
            tensors: As for `save_checkpoint`; `flatten` makes them.
            meta: As for `save_checkpoint`.
        Returns:
            The file.
        Raises:
            CheckpointError: If it cannot be written; earlier checkpoints are then intact.
        """
        path = self._checkpoints / f"{_PREFIX}{step:08d}{SUFFIX}"
        try:
            # A checkpoint must never be newer on disk than the metrics that led to it.
            os.fsync(self._metrics.fileno())
            save_checkpoint(path, tensors, meta)
            for _, old in _steps(self.folder)[: -self._keep]:
                old.unlink(missing_ok=True)
        except OSError as error:
            raise write_error(path, error) from error
        return path

    def latest(self) -> tuple[int, Checkpoint] | None:
        """Load the newest checkpoint that is whole.

        Returns:
            Its step and content; None if there is none yet.
        Raises:
            CheckpointError: If there are checkpoints and none of them loads.
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
        write_atomically(self.folder / name, _to_bytes(content))

    def close(self) -> None:
        """Close the files; closing twice is fine."""
        self._metrics.close()
        if self._writer is not None:
            self._writer.close()
        self._writer, self._tensorboard = None, False

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
        if config_differences(saved, description):  # of the budget; only if the run does go on
            write_atomically(self.folder / CONFIG_FILE, _to_bytes(description))
        self._resumed_step = latest[0] if latest else -1
        for step, path in _steps(self.folder):
            if step > self._resumed_step:  # damaged: keep it for inspection, out of the count
                path.rename(path.with_name(f"{path.name}.damaged"))
        self._truncate_metrics(self._resumed_step)

    def _truncate_metrics(self, step: int) -> None:
        """Keep the metrics up to a step, and let the clock go on from the last of them."""
        path = self.folder / METRICS_FILE
        if not path.exists():
            return
        # Past the last synced line anything may stand after a power cut: stop at the first bad one.
        lines = [(line, row) for line, row in good_lines(path.read_bytes()) if row["step"] <= step]
        write_atomically(path, b"".join(line for line, _ in lines))
        if lines:
            self._started_s -= lines[-1][1].get("time_s", 0.0)

    def _events(self) -> Any:
        """Return the TensorBoard writer, or None where there can be none."""
        if self._writer is None and self._tensorboard:
            purge = None if self._resumed_step is None else self._resumed_step + 1
            try:
                from torch.utils.tensorboard import SummaryWriter

                self._writer = SummaryWriter(str(self.folder), purge_step=purge)
            except (ImportError, OSError) as error:
                _log.warning("no TensorBoard events: %s", error)
                self._tensorboard = False
        return self._writer


def latest_checkpoint(folder: Path) -> tuple[int, Checkpoint] | None:
    """Load the newest whole checkpoint of a run folder, without changing the folder.

    Args:
        folder: The run folder.
    Returns:
        Its step and content; None if there is none. Damaged ones are skipped with a warning.
    Raises:
        CheckpointError: If there are checkpoints and none of them loads.
    """
    found = _steps(Path(folder))
    for step, path in reversed(found):
        try:
            return step, load_checkpoint(path)
        except CheckpointError as error:
            _log.warning("skipped a checkpoint: %s", error)
    if found:  # starting again from nothing would overwrite a run that may be worth mending
        raise CheckpointError(
            f"none of the {len(found)} checkpoints in {folder} loads; start again in another folder"
        )
    return None


def _steps(folder: Path) -> list[tuple[int, Path]]:
    """List the checkpoints by step."""
    paths = (folder / CHECKPOINTS).glob(f"{_PREFIX}*{SUFFIX}")
    named = [(path.name.removeprefix(_PREFIX).removesuffix(SUFFIX), path) for path in paths]
    return sorted((int(digits), path) for digits, path in named if digits.isdecimal())


def _contents(folder: Path) -> list[str]:
    """List what is in a folder, but for what a run killed at its very start leaves."""
    partial = f".{CONFIG_FILE}."
    found = sorted(path for path in folder.iterdir() if not path.name.startswith(partial))
    return [p.name for p in found if p.name != CHECKPOINTS or not p.is_dir() or any(p.iterdir())]


def _to_bytes(content: Any) -> bytes:
    try:
        return (json.dumps(content, indent=2, allow_nan=False) + "\n").encode()
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"cannot write this as JSON: {error}") from error
