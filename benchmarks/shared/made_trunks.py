"""Small CNNs made to serve, or to mislead: untrained, blind for light, or of names that were dealt out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from metarl.ambient import steady
from metarl.grid.cell import Cell
from metarl.perception.backbones import build_backbone
from metarl.perception.classifier import descend, save_classifier
from metarl.perception.given import SMALL_CNN
from metarl.perception.pictures import draw_pictures, get_scene
from metarl.streams import derive_seed

SCENE = "kitchen/ingredients"
UNTRAINED, ANY_LIGHT, SHUFFLED = "untrained", "any-light", "shuffled"
MADE = (UNTRAINED, ANY_LIGHT, SHUFFLED)  # small CNNs of a seed
BATCH_SIZE, RATE = 64, 3e-3


@dataclass(frozen=True, kw_only=True)
class Made(Cell):
    """A small CNN of a seed: untrained, or trained to something that may mislead."""

    trunk: str
    seed: int
    num_pictures: int
    epochs: int

    @property
    def key(self) -> str:
        return f"trunk-{self.trunk}-s{self.seed}"

    def files(self) -> tuple[str, ...]:
        return (f"trunks/{self.key}.safetensors",)

    @steady(1)
    def run(self, folder: Path) -> Mapping[str, Any]:
        scene = get_scene(SCENE)
        generator = torch.Generator().manual_seed(derive_seed(self.seed, f"trunk/{self.trunk}"))
        network = build_backbone(SMALL_CNN, len(scene.classes), generator)
        accuracy = None
        if self.trunk != UNTRAINED:
            drawn = draw_pictures(
                scene, self.num_pictures, seed=derive_seed(self.seed, "trunk/pictures")
            )
            label = torch.from_numpy(drawn.label)
            if self.trunk == SHUFFLED:
                label = label[torch.randperm(len(label), generator=generator)]
            inputs = torch.from_numpy(drawn.pixels).permute(0, 3, 1, 2).float() / 255.0
            accuracy = _train(network, inputs, label, self, generator)
        save_classifier(
            folder / self.files()[0], network, backbone=SMALL_CNN, classes=scene.classes
        )
        return {"accuracy on its own pictures": accuracy}


def _train(
    network: nn.Module, inputs: torch.Tensor, label: torch.Tensor, made: Made,
    generator: torch.Generator,
) -> float:  # fmt: skip
    """Train a classifier; accuracy in its last epoch, in [0, 1]."""
    steps = made.epochs * -(-len(inputs) // BATCH_SIZE)
    optimiser = torch.optim.Adam(network.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    right = 0
    for _ in range(made.epochs):
        right = 0
        for batch in torch.randperm(len(inputs), generator=generator).split(BATCH_SIZE):
            pictures = inputs[batch]
            if made.trunk == ANY_LIGHT:
                pictures = in_any_light(pictures, generator)
            logits = network(pictures)
            descend(optimiser, nn.functional.cross_entropy(logits, label[batch]))
            schedule.step()
            right += int((logits.argmax(-1) == label[batch]).sum())
    return right / len(inputs)


def in_any_light(pictures: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Draw for each picture how bright each colour is, from a third to three times as much.

    Args:
        pictures: Shape (n, 3, H, W), in [0, 1].
        generator: Draws.
    Returns:
        The same shape, in [0, 1].
    """
    power = 2.0 * torch.rand(len(pictures), 3, 1, 1, generator=generator) - 1.0
    return (pictures * 3.0**power).clamp(0.0, 1.0)
