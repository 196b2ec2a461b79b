"""Run a benchmark: its file, the checkpoints that it names, and the cells that are missing."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from pathlib import Path

from rich.console import Console

from metarl.benchmark.definition import define
from metarl.benchmark.design import Benchmark
from metarl.benchmark.given import Found, keep_given, look_up, read_given
from metarl.benchmark.parsing import parse_sections, read_text, with_physics
from metarl.benchmark.sections import place
from metarl.errors import CheckpointError, ConfigError
from metarl.grid.families import require_same_families
from metarl.grid.plan import plan
from metarl.grid.run import Done, run_cells
from metarl.grid.store import Store
from metarl.grid.workers import Workers
from metarl.runs.checkpoint import write_atomically
from metarl.runs.run import BENCHMARK_FILE


@dataclasses.dataclass(frozen=True)
class Opened:
    """A benchmark that can be run.

    Args:
        benchmark: What its file says.
        text: The file.
        given: The checkpoints that it names.
    """

    benchmark: Benchmark
    text: str
    given: Mapping[tuple[str, str], Found]


def open_benchmark(
    path: Path, folder: Path, *, modules: Collection[str] = (), physics: str | None = None
) -> Opened:
    """Read a benchmark's file, and look at everything that it names; nothing is written.

    Args:
        path: The file.
        folder: Where its cells are kept.
        modules: Modules that it may have imported for its families.
        physics: What moves the worlds of all of them; None: as it says.
    Raises:
        ConfigError: If something in it is misspelt, unknown or out of range.
        CheckpointError: If a checkpoint that it names is not there or cannot be read.
    """
    text = with_physics(read_text(path), path.name, physics)
    benchmark = define(parse_sections(text, path.name), path.name, modules=modules)
    found = look_up(benchmark.checkpoints(), path.parent, folder)
    given = {key: one.given for key, one in found.items()}
    opened = Opened(dataclasses.replace(benchmark, given=given), text, found)
    try:
        _require_trained_by(opened)
        opened.benchmark.cells()
    except ConfigError as error:
        raise ConfigError(f"{path.name}: {error}") from error
    return opened


def _require_trained_by(opened: Opened) -> None:
    """Check that checkpoints that stand for a training are of that method."""
    for table in opened.benchmark.tables:
        for arm in table.arms:
            for name in arm.checkpoint if arm.trains else ():
                found = opened.given[table.family, name].checkpoint
                method = arm.method if found is None else found.meta.get("method")
                if method != arm.method:
                    raise ConfigError(
                        f"{place('arms', arm.repeats or arm.name, 'checkpoint')}: {name} was trained by"
                        f" {method or 'others'}, not by {arm.method}"
                    )


def read_benchmark(folder: Path) -> Benchmark:
    """Read the benchmark whose cells a folder holds.

    Raises:
        CheckpointError: If it holds none, or it is damaged.
    """
    path = folder / BENCHMARK_FILE
    if not path.is_file():
        raise CheckpointError(
            f"no file {path}; expected a folder that metarl benchmark FILE.toml has written"
        )
    try:
        benchmark = define(parse_sections(read_text(path), str(path)), str(path), modules=None)
        title = benchmark.title if benchmark.title != path.stem else folder.resolve().name
        benchmark = dataclasses.replace(benchmark, title=title, given=read_given(folder))
        benchmark.cells()
    except KeyError as error:
        raise CheckpointError(f"{folder} lacks the checkpoint {error}") from error
    except ConfigError as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    return benchmark


def run_benchmark(
    opened: Opened,
    store: Store,
    *,
    workers: Workers | None = None,
    again: bool = False,
    console: Console | None = None,
) -> Done:
    """Run what is missing of a benchmark.

    Args:
        opened: The benchmark.
        store: Where its cells are kept.
        workers: Who runs them; None: a process a core.
        again: Run cells anew whose definition has changed.
        console: Where progress is told; None: on stderr.
    Raises:
        ConfigError: If a family or a cell has changed since cells of it were run.
        CheckpointError: If something cannot be written, or is damaged.
        Stopped: After a signal; at most the cells that were under way are lost.
    """
    cells = opened.benchmark.cells()
    plan(cells, store.read(), store.folder, again=again)  # refuses before anything is written
    require_same_families([table.family for table in opened.benchmark.tables], store.folder)
    store.prepare()
    keep_given(opened.given, store.folder)
    if not (store.folder / BENCHMARK_FILE).exists():
        _keep_file(opened, store.folder)
    try:
        done = run_cells(cells, store, workers=workers, again=again, console=console)
        _keep_file(opened, store.folder)
    finally:  # one that is stopped leaves what it has in one file, too
        store.merge()
    return done


def _keep_file(opened: Opened, folder: Path) -> None:
    write_atomically(folder / BENCHMARK_FILE, opened.text.encode())
