"""Checkpoints that are whole and yet say what metarl never would: signed anew after a change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from metarl.runs import checkpoint


def sign(path: Path, header: dict[str, Any], tensors: dict[str, Any] | None = None) -> None:
    """Write a checkpoint with any header at all, under a digest that holds."""
    text = json.dumps(
        {"sha256": "0" * 64, "format": 1, "metarl": "0.1.0", **header}, separators=(",", ":")
    )
    sign_text(path, text, tensors)


def sign_text(path: Path, text: str, tensors: dict[str, Any] | None = None) -> None:
    """The same with a header's text as it is, JSON or not."""
    from safetensors.torch import save

    data = bytearray(save(tensors or {}, {"metarl": text}))
    data[checkpoint._DIGEST] = checkpoint._digest(data)
    path.write_bytes(data)


def change(source: Path, path: Path, changes: dict[str, Any], drop: tuple[str, ...] = ()) -> Path:
    """Copy a checkpoint with other entries in its meta, and without some tensors.

    Args:
        source: A checkpoint.
        path: The copy.
        changes: Dotted key of the meta -> value.
        drop: Names of tensors.
    """
    found = checkpoint.load_checkpoint(source)
    for dotted, value in changes.items():
        *above, key = dotted.split(".")
        table = found.meta
        for name in above:
            table = table[name]
        table[key] = value
    tensors = {name: tensor for name, tensor in found.tensors.items() if name not in drop}
    sign(path, {"meta": found.meta}, tensors)
    return path
