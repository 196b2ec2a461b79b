"""A head swapped in a run folder: what `metarl perceive swap` runs."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from metarl.ambient import steady
from metarl.machine import require_device
from metarl.perception.album import album_png
from metarl.perception.backbones import Origin, trained_backbone
from metarl.perception.data import Data, load_data
from metarl.perception.headswap import require_for_pictures
from metarl.perception.model import MODEL_FILE, Model, truth_of, words_of
from metarl.perception.own import Progress
from metarl.perception.solving import Solving
from metarl.perception.swap_config import SwapConfig
from metarl.perception.work import Tell, Work, suited
from metarl.runs.checkpoint import save_checkpoint, write_atomically
from metarl.runs.config import read_json, require_same
from metarl.runs.run import ANSWERS_FILE, RESULT_FILE, Run
from metarl.runs.signals import Signals, Stopped, on_signals
from metarl.streams import derive_seed
from metarl.transfer.strategy import get_strategy

PICTURES_FILE = "pictures.json"
SAVE_EVERY_S = 30.0
WORST = 24  # pictures of a contact sheet


@dataclass(frozen=True)
class Swapped:
    """What a swap has come to.

    Attributes:
        folder: The run folder.
        result: What result.json says.
    """

    folder: Path
    result: Mapping[str, Any]


@steady()
def swap(
    config: SwapConfig,
    folder: Path | str,
    *,
    resume: bool = False,
    command: str = "",
    tell: Tell = lambda line: None,
    data: Data | None = None,
    features: Path | None = None,
) -> Swapped:
    """Put a new head on a trunk, train as the strategy says, and judge it, in a run folder.

    Args:
        config: Everything about it.
        folder: The run folder: config, metrics, checkpoints, result, the model, the answers to the
            test pictures, and features where the trunk stands.
        resume: Go on with the run in it.
        command: The command line that started it.
        tell: Given lines for the user.
        data: The pictures, where they are loaded already, as the config says.
        features: Where features of a trunk that stands are kept; None: in the run folder.
    Raises:
        Stopped: After a signal, with everything saved.
        MetaRLError: If pictures, weights or settings are not as they must be, or a loss is not finite.
    """
    folder = Path(folder)
    require_device(config.device)
    chosen = get_strategy(config.strategy, config.strategy_settings)
    require_for_pictures(chosen)
    if data is None:
        data = pictures_of(config)
        for line in data.told:
            tell(line)
    generator = torch.Generator().manual_seed(derive_seed(config.seed, "headswap/fit"))
    weights = None if config.weights is None else Path(config.weights)
    network, origin = trained_backbone(config.backbone, 1, generator, weights=weights)
    strategy = suited(chosen, network, config, tell)
    tell(f"{len(data.train)} pictures to learn from, {len(data.test)} to judge; {origin.said()}")
    with on_signals() as signals, Run.create(folder, config, resume=resume, command=command) as run:
        run.record(PICTURES_FILE, _about(data, origin))
        work = Work(config, strategy, data, network, generator, features or folder / "features")
        if isinstance(work.fitting, Solving):
            tell(
                "the trunk stands, so that its head is solved: rate, epochs and batch size play no part"
            )
        _go_on(work, run)
        _fit(work, run, signals)
        result, answers = work.judge()
        result["trunk"] = origin.said()
        model = work.model()
        save_checkpoint(folder / MODEL_FILE, model.network.state_dict(), model.describe())
        run.record(ANSWERS_FILE, answers)
        _draw_worst(folder, data, model, answers)
        run.finish(result)
    return Swapped(folder, result)


def swap_all(
    base: SwapConfig,
    strategies: Sequence[str],
    seeds: int,
    folder: Path | str,
    *,
    command: str = "",
    tell: Tell = lambda line: None,
) -> list[dict[str, Any]]:
    """Swap a head by several strategies, a run each, all on the same pictures of a seed.

    Finished runs are read, the rest is run, and one that was stopped goes on. Features of the trunk
    are shared.

    Args:
        base: What the runs have in common.
        strategies: Their names.
        seeds: How many seeds, from the base's on.
        folder: Where the runs are.
        command: The command line.
        tell: Given lines for the user.
    Returns:
        What each result.json says, with ``seed`` and ``run``, the folder's name.
    Raises:
        Stopped: After a signal; the same command goes on.
        MetaRLError: As for `swap`; a run that is there with another config is refused.
    """
    folder = Path(folder)
    results = []
    for seed in range(base.seed, base.seed + seeds):
        data = pictures_of(dataclasses.replace(base, seed=seed))
        for line in data.told:
            tell(f"seed {seed}: {line}")
        for name in strategies:
            config = dataclasses.replace(base, seed=seed, strategy=name)
            run = f"{name}-s{seed}"
            if (folder / run / RESULT_FILE).exists():
                require_same(folder / run, config)
                result: Mapping[str, Any] = read_json(folder / run / RESULT_FILE)
            else:
                result = swap(
                    config, folder / run, resume=True, command=command, data=data,
                    features=folder / "features", tell=_beginning(f"{run}: ", tell),
                ).result  # fmt: skip
            results.append({**result, "seed": seed, "run": run})
    return results


def _beginning(words: str, tell: Tell) -> Tell:
    return lambda line: tell(words + line)


def pictures_of(config: SwapConfig, progress: Progress | None = None) -> Data:
    """Load or render what a config names; arguments as for `load_data`."""
    return load_data(
        config.data, test=config.test, size=config.size, seed=config.seed,
        num_pictures=config.num_pictures, held_out=config.held_out, progress=progress,
    )  # fmt: skip


def _go_on(work: Work, run: Run) -> None:
    latest = run.latest()
    if latest is not None:
        work.restore(latest[1])


def _fit(work: Work, run: Run, signals: Signals) -> None:
    """Pass over the pictures until the rule ends it; saves now and then, and at the end.

    Raises:
        Stopped: After a signal.
    """
    saved_s = time.monotonic()
    while signals.stop is None and (row := work.epoch()) is not None:
        run.log(work.fitting.epochs, **row)
        if time.monotonic() - saved_s >= SAVE_EVERY_S:
            run.save(work.fitting.epochs, *work.state())
            saved_s = time.monotonic()
    if work.fitting.epochs:
        run.save(work.fitting.epochs, *work.state())
    if signals.stop is not None:
        raise Stopped(signals.stop)
    work.fitting.keep_best()


def _draw_worst(folder: Path, data: Data, model: Model, answers: Mapping[str, Any]) -> None:
    """Draw the pictures that are answered worst, which a report shows first."""
    order, rows = answers["order"][:WORST], answers["rows"][:WORST]
    names = model.question.names
    words = [[words_of(row, names), f"is {truth_of(row, names)}", row["file"]] for row in rows]
    place = folder / "pictures" / "worst-first.png"
    place.parent.mkdir(exist_ok=True)
    write_atomically(place, album_png(data.test.pixels[order], words))


def _about(data: Data, origin: Origin) -> dict[str, Any]:
    """What pictures.json says: which there are, what was left out, and where the trunk is from."""
    loaded = origin.loaded
    return {
        "train": data.train.names,
        "test": data.test.names,
        "told": data.told,
        "left out": data.left_out,
        "trunk": origin.said(),
        "tensors": None if loaded is None else asdict(loaded),
    }
