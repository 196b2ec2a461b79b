"""A trained model of pictures on its own: read from a run, it answers other pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metarl.ambient import steady
from metarl.errors import CheckpointError
from metarl.nn.network import Network, load_partial
from metarl.perception.backbones import build_backbone, is_backbone
from metarl.perception.calibration import Calibration, read_calibration
from metarl.perception.fitting import look
from metarl.perception.questions import Classes, Question, describe_question, read_question
from metarl.runs.checkpoint import load_checkpoint

MODEL_FILE = "model.safetensors"  # of a run folder


@dataclass(frozen=True)
class Model:
    """A network and what its outputs mean.

    Attributes:
        network: Of pictures.
        backbone: The name of its trunk.
        size: Width and height of the pictures that it was trained on [pixels].
        question: What it answers.
        calibration: How sure it is.
    """

    network: Network
    backbone: str
    size: int
    question: Question
    calibration: Calibration

    def describe(self) -> dict[str, Any]:
        """What a checkpoint's meta says beside the tensors."""
        return {
            "backbone": self.backbone,
            "size": self.size,
            "question": describe_question(self.question),
            "calibration": self.calibration.to_json(),
        }

    @steady()
    def answer(self, names: Sequence[str], pixels: np.ndarray) -> list[dict[str, Any]]:
        """Answer pictures.

        Args:
            names: Of the pictures, n of them.
            pixels: Shape (n, size, size, 3), uint8.
        Returns:
            As `say`.
        """
        pictures = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()
        return self.say(names, self.calibration.apply(look(self.network, pictures)))

    def say(self, names: Sequence[str], outputs: Tensor) -> list[dict[str, Any]]:
        """Put calibrated outputs, (n, out), into words.

        Returns:
            A dict a picture: ``file``; of classes ``answer``, ``confidence`` in [0, 1] and
            ``probabilities`` by class; of numbers ``answer``, a list, and ``interval``, the half-width
            of each number's or None.
        """
        if isinstance(self.question, Classes):
            return [
                _class(name, self.question.names, p) for name, p in zip(names, outputs.softmax(-1))
            ]
        widths = self.calibration.half_widths
        interval = None if widths is None else list(widths)
        answers = self.question.answers(outputs).tolist()
        return [{"file": n, "answer": a, "interval": interval} for n, a in zip(names, answers)]


def _class(name: str, classes: Sequence[str], probabilities: Tensor) -> dict[str, Any]:
    best = int(probabilities.argmax())
    return {
        "file": name,
        "answer": classes[best],
        "confidence": float(probabilities[best]),
        "probabilities": dict(zip(classes, probabilities.tolist())),
    }


def words_of(answer: dict[str, Any], names: Sequence[str]) -> str:
    """Put an answer into a few words: ``apple 93%``, or ``salt 1.2 ± 0.3``."""
    if "confidence" in answer:
        return f"{answer['answer']} {answer['confidence']:.0%}"
    interval = answer["interval"] or [None] * len(names)
    parts = [
        f"{n} {a:.3g}" + ("" if w is None else f" ± {w:.2g}")
        for n, a, w in zip(names, answer["answer"], interval)
    ]
    return ", ".join(parts)


def truth_of(row: dict[str, Any], names: Sequence[str]) -> str:
    """Put what is true of a picture into a few words, as `words_of` does."""
    if isinstance(row["truth"], str):
        return row["truth"]
    return ", ".join(f"{n} {t:.3g}" for n, t in zip(names, row["truth"]))


def load_model(path: Path | str) -> Model:
    """Read a model.

    Args:
        path: A run folder of `metarl perceive swap`, or its model.safetensors.
    Raises:
        CheckpointError: If there is none, or it is damaged or of another architecture.
    """
    path = Path(path)
    file = path / MODEL_FILE if path.is_dir() else path
    if path.is_dir() and not file.exists():
        raise CheckpointError(
            f"{path} holds no {MODEL_FILE}; expected a finished run of metarl perceive swap"
        )
    checkpoint = load_checkpoint(file)
    meta = checkpoint.meta
    question = read_question(meta.get("question"), file)
    calibration = read_calibration(meta.get("calibration"), question, file)
    name, size = meta.get("backbone"), meta.get("size")
    if not is_backbone(name) or not isinstance(size, int) or not 8 <= size <= 1024:
        raise CheckpointError(
            f"{file} holds a model of backbone {name!r} and pictures of {size!r} pixels; neither"
            " what is installed here nor what is sane"
        )
    network = build_backbone(str(name), question.width, torch.Generator())
    report = load_partial(network, checkpoint.tensors)
    if report.missing or report.unexpected or report.mismatched:
        raise CheckpointError(f"{file} is no {name} with {question.width} outputs:\n{report}")
    return Model(network.eval(), str(name), size, question, calibration)
