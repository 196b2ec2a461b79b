"""The surgery report: what became of a source, parameter by parameter."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Became = Literal["kept", "resized", "drawn anew", "zeroed", "set", "dropped"]


@dataclass(frozen=True)
class Parameter:
    """What became of one parameter.

    Args:
        name: The target's; of what was dropped the source's.
        became: What.
        shape: In the target; None: it is not there.
        was: In the source; None: it was not there.
        parts: Of what was resized: which columns or rows are from where.
        why: Why, where it was not kept.
    """

    name: str
    became: Became
    shape: tuple[int, ...] | None
    was: tuple[int, ...] | None
    parts: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True)
class Surgery:
    """What became of a source's policy under a target's interface.

    Args:
        source: Where it is from, as it was given.
        family: What it was trained on, or who trained it.
        to: The target's family.
        carried: Blocks and parts of the network that go along, some of them in part.
        zeroed: Blocks of observations without weights at first, or dropped, and why.
        fresh: Parts that are drawn or set anew, and why.
        parameters: Parameter by parameter.
        notes: What else there is to know.
        mapping: What the user said.
    """

    source: str
    family: str
    to: str
    carried: tuple[str, ...]
    zeroed: Mapping[str, str]
    fresh: Mapping[str, str]
    parameters: tuple[Parameter, ...]
    notes: tuple[str, ...] = ()
    mapping: tuple[str, ...] = field(default=())

    def renewed(self, fresh: Mapping[str, str]) -> Surgery:
        """Say that more parts are set anew than the surgery itself asks for.

        Args:
            fresh: Part, or layer of the trunk (``trunk.layers.2``) -> why.
        """
        if not fresh:
            return self
        parameters = [
            dataclasses.replace(p, became=_fate(why), parts=(), why=why)
            if p.shape is not None
            and (why := fresh.get(_part(p.name)) or fresh.get(_layer(p.name)))
            else p
            for p in self.parameters
        ]
        return dataclasses.replace(
            self,
            carried=tuple(name for name in self.carried if name not in fresh),
            fresh={**self.fresh, **fresh},
            parameters=tuple(parameters),
        )

    def to_json(self) -> dict[str, Any]:
        """Key by key, for the run folder."""
        return {
            "from": self.source,
            "family": self.family,
            "to": self.to,
            "mapping": list(self.mapping),
            "carried": list(self.carried),
            "zeroed": dict(self.zeroed),
            "fresh": dict(self.fresh),
            "parameters": [_as_json(parameter) for parameter in self.parameters],
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        """One line for the screen."""
        carried = ", ".join(self.carried) or "nothing"
        parts = [f"starts from {self.source} ({self.family}): carried {carried}"]
        parts += [f"{name}: {why}" for name, why in (*self.zeroed.items(), *self.fresh.items())]
        counts = [f"{len(names)} {what}" for what, names in self.by_fate().items()]
        return "; ".join([*parts, *self.notes, f"parameters: {', '.join(counts)}"])

    def by_fate(self) -> dict[str, list[str]]:
        """Names of the parameters by what became of them."""
        found = dict[str, list[str]]()
        for parameter in self.parameters:
            found.setdefault(parameter.became, []).append(parameter.name)
        return found


def rows_of(saved: Mapping[str, Any]) -> list[list[str]]:
    """Read a saved surgery for a table: parameter, what became of it, shapes, from where and why.

    Args:
        saved: What `Surgery.to_json` gave; of an older run it lists no parameters.
    """
    rows = saved.get("parameters")
    return [_row(row) for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _row(row: Mapping[str, Any]) -> list[str]:
    parts = row.get("parts")
    said = [*(parts if isinstance(parts, list) else []), row.get("why", "")]
    return [
        str(row.get("name", "")),
        str(row.get("became", "")),
        _shape(row.get("was")),
        _shape(row.get("shape")),
        "; ".join(str(word) for word in said if word),
    ]


def _shape(shape: Any) -> str:
    return " x ".join(map(str, shape)) if isinstance(shape, Iterable) else "-"


def _as_json(parameter: Parameter) -> dict[str, Any]:
    row = {n: v for n, v in dataclasses.asdict(parameter).items() if v not in ((), "")}
    return {n: list(v) if isinstance(v, tuple) else v for n, v in row.items()}


def _fate(why: str) -> Became:
    return "drawn anew" if why.startswith("drawn anew") else "set"


def _layer(parameter: str) -> str:
    return parameter.rpartition(".")[0]


def _part(name: str) -> str:
    return name.partition(".")[0]
