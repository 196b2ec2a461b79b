"""What a user says of a file of bare tensors: which is which, and what stands between them.

In words, ``trunk.layers.0.weight=actor.0.weight ...``, or as a JSON file:

    {"names": {"trunk.layers.0.weight": "actor.0.weight", ..., "head.bias": "actor.4.bias"},
     "activation": "relu", "squash": false, "low": [-2.0], "high": [2.0]}
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metarl.errors import ConfigError, shown, unknown
from metarl.runs.config import read_json
from metarl.runs.reading import is_number

if TYPE_CHECKING:
    from torch import Tensor

    from metarl.sources.build import Found

ACTIVATIONS = ("tanh", "relu", "elu")
_KEYS = ("names", "activation", "squash", "low", "high")
_HERE = re.compile(r"trunk\.layers\.\d{1,3}\.(weight|bias)|head\.(weight|bias)|log_std")
_FORM = "trunk.layers.0.weight=actor.0.weight (so every layer, head.weight, head.bias, log_std)"


@dataclass(frozen=True)
class Names:
    """Which tensor of a file is which of a `GaussianPolicy`.

    Args:
        of: Name here -> name in the file.
        activation: Of the layers.
        squash: Whether the mean passes through tanh.
        low: Lower bounds of the actions; None: [-1, 1].
        high: Upper bounds.
    """

    of: Mapping[str, str]
    activation: str = "tanh"
    squash: bool = False
    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None

    def find(self, tensors: Mapping[str, Tensor], name: str) -> Found:
        """Pick a policy's tensors.

        Args:
            tensors: The file's.
            name: What the file is, for messages.
        Raises:
            ConfigError: If one is not there; names the nearest.
        """
        import torch

        from metarl.sources.build import Found, rename

        for there in self.of.values():
            if there not in tensors:
                raise ConfigError(f"--names: {unknown(f'tensor of {name}', there, tensors)}")
        here = {there: ours for ours, there in self.of.items()}
        kept, dropped = rename(tensors, lambda there: here.get(there, ""))
        if "log_std" in kept:
            kept["log_std"] = kept["log_std"].reshape(-1)
        low, high = (
            None if side is None else torch.tensor(side, dtype=torch.float64)
            for side in (self.low, self.high)
        )
        return Found("named tensors", kept, self.activation, self.squash, low, high, dropped)


def parse_names(words: Sequence[str]) -> Names | None:
    """Read what a user says; None if nothing is said.

    Args:
        words: ``HERE=THERE`` pairs, or the path of one JSON file.
    Raises:
        ConfigError: If a word cannot be read, or a name comes twice.
        CheckpointError: If the JSON file cannot be read.
    """
    if not words:
        return None
    if len(words) == 1 and "=" not in words[0]:
        return _from_json(read_json(Path(words[0])), words[0])
    pairs = [word.partition("=") for word in words]
    for here, equals, there in pairs:
        if not equals or not there:
            raise ConfigError(f"cannot read --names {shown(here + equals)}; expected {_FORM}")
    return _names({here: there for here, _, there in pairs}, len(pairs))


def _from_json(said: Mapping[str, Any], path: str) -> Names:
    for key in said:
        if key not in _KEYS:
            raise ConfigError(f"{path}: {unknown('key', key, _KEYS)}")
    of = said.get("names")
    if not isinstance(of, dict) or not all(isinstance(there, str) for there in of.values()):
        raise ConfigError(f"{path}: names is {shown(of)}; expected a table of names")
    found, more = _names(of, len(of)), dict[str, Any]()
    if (activation := said.get("activation", "tanh")) not in ACTIVATIONS:
        raise ConfigError(f"{path}: {unknown('activation', str(activation), ACTIVATIONS)}")
    if type(squash := said.get("squash", False)) is not bool:
        raise ConfigError(f"{path}: squash is {shown(squash)}; expected true or false")
    if ("low" in said) != ("high" in said):
        raise ConfigError(f"{path} gives one of low and high; expected both, or none")
    for side in ("low", "high"):
        if side in said:
            row = said[side]
            if not isinstance(row, list) or not all(map(is_number, row)):
                raise ConfigError(f"{path}: {side} is {shown(row)}; expected a number an action")
            more[side] = tuple(map(float, row))
    return Names(found.of, activation, squash, **more)


def _names(of: Mapping[str, str], count: int) -> Names:
    for here in of:
        if not _HERE.fullmatch(here):
            raise ConfigError(f"--names: {shown(here)} is no tensor of a policy; expected {_FORM}")
    if len(of) != count or len(set(of.values())) != count:
        raise ConfigError("--names: a name comes twice; expected each once")
    return Names(of)
