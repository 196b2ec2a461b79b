"""The cells of a transfer matrix: a training by PPO with the task in view, and an adaptation."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from metarl.adapt.protocol import Protocol
from metarl.errors import ConfigError
from metarl.grid.cell import Cell
from metarl.grid.run import RUNNING
from metarl.names import slug
from metarl.runs import fields

Exploration = Literal["fresh", "source"]
SOURCES = "sources"  # of policies that others start from, below the benchmark's folder
LEFT_OUT = "left_out"  # in a result: why the pair cannot be
SCRATCH, CONTROL = "scratch", "control"
_DIGITS = 6
NOISE = 1  # of the control arm


@dataclasses.dataclass(frozen=True, kw_only=True)
class Given(fields.Checked):
    """A policy that is there already.

    Args:
        name: What it is called.
        digest: Of its tensors.
        mapping: Which of its columns and actions go where, as `metarl.sources.carry` takes it.
    """

    name: str
    digest: str
    mapping: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """Where it is, below the benchmark's folder."""
        return f"{SOURCES}/{self.name}-{self.digest[:12]}.safetensors"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Budget(fields.Checked):
    """How long PPO learns on a family, and how.

    Args:
        iterations: Of an episode in every world.
        settings: Fields of PPO's config that differ from its defaults.
    """

    iterations: int = fields.count(30)
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Learning(Cell):
    """PPO on a family, the task in view: from nothing, or from a source.

    Args:
        family: What is learned.
        seed: Of tasks, worlds, weights and noise.
        budget: How long.
        start: What it starts from; None: from nothing.
        strategy: How it starts, and what of it learns; empty: from nothing.
        exploration: Whether the source's spread of actions goes along, or a fresh one is set.
        noise: Which noise of actions, worlds and minibatches; the first weights stay.
        keeps: Whether its policy is kept, for others to start from.
    """

    family: str
    seed: int = fields.seed()
    budget: Budget = Budget()
    start: Learning | Given | None = None
    strategy: str = ""
    exploration: Exploration = "fresh"
    noise: int = fields.count(0, least=0)
    keeps: bool = False

    @property
    def key(self) -> str:
        """Its name."""
        if self.start is not None:
            arm = f"from.{source_name(self.start)}.{self.strategy}.{self.exploration}"
        else:
            arm = "source" if self.keeps else CONTROL if self.noise else SCRATCH
        return f"learn.{slug(self.family)}.{arm}.s{self.seed}"

    def needs(self) -> tuple[Cell, ...]:
        """The training of its source."""
        return (self.start,) if isinstance(self.start, Learning) else ()

    def files(self) -> tuple[str, ...]:
        """Its policy, if it is kept."""
        return (self.file,) if self.keeps else ()

    @property
    def file(self) -> str:
        """Where its policy is kept, below the benchmark's folder."""
        return f"{SOURCES}/{slug(self.family)}-s{self.seed}.safetensors"

    def run(self, folder: Path) -> Mapping[str, Any]:
        """Train, and give return and success of each iteration, and what went along of the source."""
        from metarl.learn.train import train
        from metarl.runs.config import read_json
        from metarl.runs.metrics import read_metrics
        from metarl.runs.policies import read_checkpoint
        from metarl.runs.run import START_FILE

        start = None if self.start is None else folder / self.start.file
        (folder / RUNNING).mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder / RUNNING) as place:
            out = Path(place) / "run"
            try:
                made = train(
                    self.family, "ppo", seed=self.seed, iterations=self.budget.iterations, out=out,
                    start=start, num_threads=1, **self._arm, **self.budget.settings,
                )  # fmt: skip
            except ConfigError as error:  # nothing fits, or not what the strategy needs
                if start is None:
                    raise
                return {LEFT_OUT: str(error)}
            rows, trained = read_metrics(out), read_checkpoint(made)
            began = {} if start is None else read_json(out / START_FILE)
            if self.keeps:
                keep_policy(trained.tensors, trained.meta, folder / self.file)
        return {
            **{name: _column(rows, name) for name in ("return", "success", "std")},
            "steps": trained.meta["steps"],
            "seconds": round(trained.meta["seconds"], 3),
            "diverged": sum(row.get("num_diverged") or 0 for row in rows),
            **({"carried": began["carried"]} if began else {}),
        }

    @property
    def _arm(self) -> dict[str, Any]:
        """What `train` is asked for beyond the budget."""
        if self.start is None:
            return {"noise": self.noise}
        return {
            "strategy": self.strategy,
            "exploration": self.exploration,
            "noise": self.noise,
            "mapping": _mapping(self.start),
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adapting(Cell):
    """A source meets a family's held-out tasks, what they hide hidden, in a few updates.

    Args:
        family: Of the tasks.
        start: The source; of a scratch arm its architecture alone counts.
        strategy: How it adapts.
        protocol: How that is measured.
    """

    family: str
    start: Learning | Given
    strategy: str
    protocol: Protocol = Protocol()

    @property
    def key(self) -> str:
        """Its name."""
        arm = f"from.{source_name(self.start)}.{self.strategy}"
        if self.strategy == SCRATCH:
            arm = CONTROL if self.protocol.noise else SCRATCH
        seed = f".s{self.start.seed}" if isinstance(self.start, Learning) else ""
        return f"adapt.{slug(self.family)}.{arm}{seed}"

    def needs(self) -> tuple[Cell, ...]:
        """The training of its source."""
        return (self.start,) if isinstance(self.start, Learning) else ()

    def run(self, folder: Path) -> Mapping[str, Any]:
        """Adapt, and give return, success and score of each task after each update."""
        from metarl.adapt.evaluate import evaluate_adaptation
        from metarl.registry import make_family
        from metarl.sources import carry, read_source
        from metarl.sources.interface import fits

        family = make_family(self.family)
        found = read_source(folder / self.start.file, family=family)
        mapping = _mapping(self.start)
        if mapping or not fits(found, family):
            try:
                found, _ = carry(found, family, mapping, name=source_name(self.start))
            except ConfigError as error:  # nothing goes along
                return {LEFT_OUT: str(error)}
        result = evaluate_adaptation(
            family, self.strategy, found, self.protocol, num_threads=1
        ).to_json()
        tables = {name: rounded(result[name]) for name in ("success", "score")}
        return {
            **tables,
            "return": rounded(result["returns"]),
            "steps": result["steps"],
            "seconds": round(result["seconds"], 3),
            "diverged": result["diverged"],
        }


def source_name(start: Learning | Given) -> str:
    """How a source is called in keys and file names."""
    return start.name if isinstance(start, Given) else slug(start.family)


def _mapping(start: Learning | Given) -> tuple[str, ...]:
    return start.mapping if isinstance(start, Given) else ()


def keep_policy(tensors: Mapping[str, Any], meta: Mapping[str, Any], path: Path) -> None:
    """Keep a policy alone, small, with what its checkpoint says of it."""
    from metarl.runs.checkpoint import save_checkpoint

    policy = {name: tensor for name, tensor in tensors.items() if name.startswith("policy.")}
    save_checkpoint(path, policy, {name: said for name, said in meta.items() if name != "state"})


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return rounded([row[name] for row in rows])


def rounded(values: Any) -> Any:
    """Round a number, or every one in a list of lists, to so many digits as tell anything."""
    if isinstance(values, list):
        return [rounded(value) for value in values]
    return float(f"{values:.{_DIGITS}g}")
