"""Which runs lie below a folder, and how far each of them is."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from metarl.errors import CheckpointError, ConfigError, MetaRLError
from metarl.runs.command import command_of, method_of, subject_of
from metarl.runs.config import CONFIG_FILE, read_json
from metarl.runs.metrics import METRICS_FILE, parse_row
from metarl.runs.reading import is_number, read_file
from metarl.runs.run import (
    ADAPTATION_FILE, BENCHMARK_FILE, BENCHMARK_RESULT_FILE, MATRIX_FILE, MATRIX_RESULT_FILE,
    RESULT_FILE, SEARCH_FILE, TUNING_FILE,
)  # fmt: skip

PAGE = "report.html"
MOST = 10_000  # runs that are listed
DEEPEST = 6  # folders below the one that is asked for
_TOGETHER = ("SwapConfig", "FewShotConfig")  # runs whose command may write one page for several
# What a run came to: the first of these that it recorded.
_CAME_TO = ("success_after", "success", "score_after", "score", "accuracy", "mae", "return_after", "return", "error")


@dataclasses.dataclass(frozen=True)
class Listed:
    """A run, an adaptation, a matrix, a benchmark or a search for settings.

    Args:
        folder: Where it is, from the folder that was asked for.
        method: By which it was trained or adapted.
        subject: Families or pictures.
        seed: None: it has several, or does not say.
        state: ``finished``, ``not finished``, or ``damaged: ...``.
        steps: Control steps so far; None: not known.
        seconds: Training time [s]; None: not known.
        measure: Which number it came to, ``success`` for example; "": none was recorded.
        value: That number.
        page: Its report, from the folder that was asked for; None: not written yet.
    """

    folder: Path
    method: str = ""
    subject: str = ""
    seed: int | None = None
    state: str = "not finished"
    steps: int | None = None
    seconds: float | None = None
    measure: str = ""
    value: float | None = None
    page: Path | None = None

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON values."""
        said = dataclasses.asdict(self)
        return {k: str(v) if isinstance(v, Path) else v for k, v in said.items()}


def list_runs(folder: Path | str) -> list[Listed]:
    """Find what lies below a folder, or is it; links are not followed.

    A run that is damaged is listed as that and hides no other.

    Args:
        folder: Where to look, at most `DEEPEST` folders deep and for `MOST` runs.
    Returns:
        By name.
    Raises:
        ConfigError: If it is no folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "is not there"
        raise ConfigError(f"{folder} {what}; expected a folder with runs, as metarl train writes")
    found = list[Listed]()
    for place in _places(folder):
        found.append(_listed(place, folder))
        if len(found) == MOST:
            break
    return found


def _places(folder: Path) -> Iterator[Path]:
    for root, names, files in os.walk(folder):
        names.sort()
        here = Path(root)
        if {CONFIG_FILE, ADAPTATION_FILE, MATRIX_FILE, BENCHMARK_FILE, SEARCH_FILE} & set(files):
            names.clear()  # what is below belongs to it
            yield here
        elif len(here.relative_to(folder).parts) >= DEEPEST:
            names.clear()


def _listed(place: Path, folder: Path) -> Listed:
    page = place / PAGE
    own = Listed(
        place.relative_to(folder), page=page.relative_to(folder) if page.is_file() else None
    )
    try:
        if (place / ADAPTATION_FILE).exists():
            return _adaptation(own, read_json(place / ADAPTATION_FILE))
        if (place / MATRIX_FILE).exists():
            return _matrix(own, place)
        if (place / BENCHMARK_FILE).exists():
            return _benchmark(own, place)
        if (place / SEARCH_FILE).exists():
            return _search(own, place)
        return _training(own, place)
    except MetaRLError as error:
        return dataclasses.replace(own, state=f"damaged: {error}")


def _training(own: Listed, place: Path) -> Listed:
    config = read_json(place / CONFIG_FILE)
    ended = (place / RESULT_FILE).exists()
    result = read_json(place / RESULT_FILE) if ended else _last_row(place)
    command = command_of(config)
    measure = next((name for name in _CAME_TO if is_number(result.get(name))), "")
    steps = result.get("steps", result.get("num_steps"))
    seconds = result.get("seconds", result.get("time_s"))
    page, shared = own.page, own.folder.parent / PAGE
    of_several = config.get("class") in _TOGETHER and own.folder.name
    if page is None and of_several and (place.parent / PAGE).is_file():
        page = shared
    return dataclasses.replace(
        own, page=page,
        method=method_of(command) or str(config.get("class", "")),
        subject=subject_of(command), seed=_whole(config.get("seed")),
        state="finished" if ended else "not finished", steps=_whole(steps),
        seconds=float(seconds) if is_number(seconds) else None,
        measure=measure.removesuffix("_after"), value=result.get(measure),
    )  # fmt: skip


def _adaptation(own: Listed, saved: Mapping[str, Any]) -> Listed:
    result = saved.get("result")
    if not isinstance(result, Mapping):
        raise CheckpointError(f"{ADAPTATION_FILE} has no result")
    rates, seconds = result.get("success"), result.get("seconds")
    given = rates[-1] if isinstance(rates, list) and rates else None
    last = [rate for rate in given if is_number(rate)] if isinstance(given, list) else []
    return dataclasses.replace(
        own, method=f"adapt, {result.get('method', '')}", subject=str(result.get("family", "")),
        state="finished", steps=_whole(result.get("steps")),
        seconds=None if seconds is None or not is_number(seconds) else float(seconds),
        measure="success" if last else "", value=sum(last) / len(last) if last else None,
    )  # fmt: skip


def _matrix(own: Listed, place: Path) -> Listed:
    saved, said = read_json(place / MATRIX_FILE), place / MATRIX_RESULT_FILE
    try:
        names = [group["name"] for group in saved["groups"]]
        targets = dict.fromkeys(str(pair[1]) for group in saved["groups"] for pair in group["pairs"])
    except (KeyError, TypeError, IndexError) as error:
        raise CheckpointError(f"{MATRIX_FILE} is no definition of a matrix") from error
    done = said.exists() and not read_json(said).get("missing")
    return dataclasses.replace(
        own, method="comparison" if names == ["comparison"] else "transfer matrix",
        subject=" ".join(targets), state="finished" if done else "not finished",
    )  # fmt: skip


def _benchmark(own: Listed, place: Path) -> Listed:
    path = place / BENCHMARK_RESULT_FILE
    if not path.exists():  # no table was made yet
        return dataclasses.replace(own, method="benchmark")
    said = read_json(path)
    try:
        families = dict.fromkeys(str(table["family"]) for table in said["tables"])
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{BENCHMARK_RESULT_FILE} holds no tables of a benchmark") from error
    return dataclasses.replace(
        own, method="benchmark", subject=" ".join(families),
        state="not finished" if said.get("missing") else "finished",
    )  # fmt: skip


def _search(own: Listed, place: Path) -> Listed:
    asked, path = read_json(place / SEARCH_FILE), place / TUNING_FILE
    said = read_json(path) if path.exists() else {}
    try:
        values = {trial["trial"]: trial.get("value") for trial in said.get("trials", ())}
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{TUNING_FILE} holds no trials of a search") from error
    best, metric = values.get(said.get("best")), str(asked.get("metric", ""))
    return dataclasses.replace(
        own, method=f"tune, {asked.get('method', '')}", subject=str(asked.get("family", "")),
        seed=_whole(asked.get("seed")),
        state="finished" if said and not said.get("missing") else "not finished",
        measure="" if best is None else metric.removesuffix("s") if metric == "returns" else metric,
        value=best,
    )  # fmt: skip


def _last_row(place: Path) -> Mapping[str, Any]:
    try:
        lines = read_file(place / METRICS_FILE).splitlines()
    except FileNotFoundError:
        return {}
    for line in reversed(lines):
        if (row := parse_row(line)) is not None:
            return row
    return {}


def _whole(value: Any) -> int | None:
    return int(value) if is_number(value) and float(value).is_integer() else None
