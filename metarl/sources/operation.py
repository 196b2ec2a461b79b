"""The surgery itself, tensor by tensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from metarl.nn.surgery import FIRST, carry_columns, carry_rows, carry_statistics
from metarl.sources.mapping import ACTION, Piece, name_of
from metarl.sources.report import Became, Parameter

_FIRST_BIAS = FIRST.replace("weight", "bias")
_BLIND = "no block goes along"
_HEAD = ("head.weight", "head.bias", "log_std")
Result = tuple[Tensor, Became, tuple[str, ...], str]  # tensor, what became of it, from where, why


@dataclass(frozen=True)
class Operation:
    """The surgery itself.

    Args:
        source: The source's tensors.
        columns: Which columns of its first layer go where.
        rows: Which rows of its head.
        there: Its blocks.
        here: The target's.
        same: Whether both are of one family.
    """

    source: Mapping[str, Tensor]
    columns: Sequence[Piece]
    rows: Sequence[Piece]
    there: Mapping[str, int]
    here: Mapping[str, int]
    same: bool

    def run(self, fresh: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[Parameter]]:
        """Make the target's tensors.

        Args:
            fresh: As the target has them before anything is carried.
        """
        tensors, parameters = dict[str, Tensor](), []
        for name, new in fresh.items():
            old = self.source[name]
            tensors[name], became, parts, why = self._one(name, old, new.clone())
            if new.numel() or old.numel():
                parameters.append(
                    Parameter(name, became, tuple(new.shape), tuple(old.shape), parts, why)
                )
        return tensors, parameters

    def _one(self, name: str, old: Tensor, new: Tensor) -> Result:
        """The target's tensor, what became of the source's, from where, and why."""
        if name == FIRST:
            return self._first(old, new)
        if name == _FIRST_BIAS and not self.columns:
            return new, "drawn anew", (), _BLIND
        if name in _HEAD:
            return self._head(name, old, new)
        if name == "context":
            kept = self.same and old.shape == new.shape
            why = "" if kept else "it is of another task block"
            return (old, "kept", (), "") if kept else (torch.zeros_like(new), "zeroed", (), why)
        if name.startswith("normaliser."):
            return self._statistics(name, old, new)
        return old, "kept", (), ""

    def _first(self, old: Tensor, new: Tensor) -> Result:
        if _whole(self.columns, new.shape[1], old.shape[1]):
            return old, "kept", (), ""
        if not self.columns:
            return new, "drawn anew", (), _BLIND
        normalised = "normaliser.std" in self.source  # then the factors are in its statistics
        pieces = [p._replace(factor=1.0) for p in self.columns] if normalised else self.columns
        carried = carry_columns(old, pieces, new.shape[1])
        parts = tuple(shown_piece(piece, self.there, self.here) for piece in self.columns)
        return carried, "resized", parts, "the other columns are zero"

    def _head(self, name: str, old: Tensor, new: Tensor) -> Result:
        if _whole(self.rows, len(new), len(old)):
            return old, "kept", (), ""
        if not self.rows:
            return new, "set" if name == "log_std" else "drawn anew", (), "no action goes along"
        there, here = {ACTION: len(old)}, {ACTION: len(new)}
        parts = tuple(shown_piece(piece, there, here) for piece in self.rows)
        count = sum(piece.width for piece in self.rows)
        why = f"{len(new) - count} other rows are drawn anew" if count < len(new) else ""
        return carry_rows(new, old, self.rows), "resized", parts, why

    def _statistics(self, name: str, old: Tensor, new: Tensor) -> Result:
        if _whole(self.columns, len(new), len(old)):
            return old, "kept", (), ""
        if name == "normaliser.bound":
            carried = carry_rows(new, old, self.columns)
        else:
            mean, std = (self.source[f"normaliser.{x}"] for x in ("mean", "std"))
            pair = carry_statistics(mean, std, self.columns, len(new))
            carried = pair[name == "normaliser.std"]
        parts = tuple(shown_piece(piece, self.there, self.here) for piece in self.columns)
        return carried, "resized", parts, "the other columns pass as they are"


def _whole(pieces: Sequence[Piece], width: int, was: int) -> bool:
    """Whether all goes along as it stands."""
    straight = all(piece.here == piece.there and piece.factor == 1.0 for piece in pieces)
    return straight and width == was == sum(piece.width for piece in pieces)


def shown_piece(piece: Piece, there: Mapping[str, int], here: Mapping[str, int]) -> str:
    """Say in words what goes where: ``robot from observation * 10``."""
    new, old = name_of(piece.here, piece.width, here), name_of(piece.there, piece.width, there)
    return f"{new} from {old}" + (f" * {piece.factor:g}" if piece.factor != 1.0 else "")
