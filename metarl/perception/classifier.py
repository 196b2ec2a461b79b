"""Train, save and load a classifier of pictures: the trunk that is then passed on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from metarl.ambient import steady
from metarl.errors import CheckpointError, TrainingError
from metarl.nn.network import Network, load_partial
from metarl.perception.arrays import require_pictures, to_tensor
from metarl.perception.backbones import BACKBONES, build_backbone, is_backbone
from metarl.perception.pictures import Progress, draw_pictures, get_scene, require_positive
from metarl.runs.checkpoint import load_checkpoint, save_checkpoint
from metarl.streams import derive_seed

RATE = 3e-3
BATCH_SIZE = 64


@steady()
def train_classifier(
    scene_name: str,
    *,
    seed: int,
    num_pictures: int = 4000,
    num_held_out: int = 1000,
    epochs: int = 12,
    backbone: str = "small-cnn",
    progress: Progress | None = None,
) -> tuple[Network, float]:
    """Train a network to tell a scene's classes apart, at mixed doneness.

    Args:
        scene_name: A picture scene, such as ``kitchen/ingredients``.
        seed: Decides pictures, weights and their order; the same seed gives the same bytes.
        num_pictures: Pictures to train on.
        num_held_out: Other pictures, to judge the result.
        epochs: Passes over the training pictures.
        backbone: One of `BACKBONES`, or a model of timm.
        progress: Called with (epochs done, epochs).
    Returns:
        The network after the last epoch, and its accuracy on the held-out pictures in [0, 1].
    Raises:
        ConfigError: If a number is below 1.
        TrainingError: If the loss is not finite.
    """
    require_positive(num_pictures=num_pictures, num_held_out=num_held_out, epochs=epochs)
    scene = get_scene(scene_name)
    generator = torch.Generator().manual_seed(derive_seed(seed, "classifier"))
    network = build_backbone(backbone, len(scene.classes), generator)
    train = draw_pictures(scene, num_pictures, seed=derive_seed(seed, "classifier/train"))
    inputs, labels = to_tensor(train.pixels), torch.from_numpy(train.label)
    steps = epochs * -(-num_pictures // BATCH_SIZE)
    optimiser = torch.optim.Adam(network.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    for epoch in range(epochs):
        for batch in torch.randperm(num_pictures, generator=generator).split(BATCH_SIZE):
            pictures = mirror(inputs[batch], generator)
            loss = nn.functional.cross_entropy(network(pictures), labels[batch])
            descend(optimiser, loss)
            schedule.step()
        if progress is not None:
            progress(epoch + 1, epochs)
    test = draw_pictures(scene, num_held_out, seed=derive_seed(seed, "classifier/test"))
    right = predict(network, to_tensor(test.pixels)).argmax(-1) == torch.from_numpy(test.label)
    return network, float(right.float().mean())


def save_classifier(
    path: Path | str, network: Network, *, backbone: str, classes: tuple[str, ...], **meta: Any
) -> None:
    """Write a classifier's checkpoint.

    Args:
        path: The file, ending in ``.safetensors``.
        network: The classifier.
        backbone: The name it was built by.
        classes: What its outputs stand for, in order.
        **meta: JSON values to keep beside it: command, seed, accuracy.
    Raises:
        CheckpointError: If the file cannot be written.
    """
    path = Path(path)
    about = {"backbone": backbone, "classes": list(classes), **meta}
    save_checkpoint(path, network.state_dict(), about)


def load_classifier(path: Path | str) -> tuple[Network, dict[str, Any]]:
    """Read a classifier's checkpoint.

    Args:
        path: The file.
    Returns:
        The network, and its meta with at least ``backbone`` and ``classes``.
    Raises:
        CheckpointError: If the file is missing, damaged, or from another architecture; the
            message lists the keys that do not fit.
    """
    path = Path(path)
    checkpoint = load_checkpoint(path)
    backbone, classes = require_classifier(path, checkpoint.meta)
    network = build_backbone(backbone, len(classes), torch.Generator())
    report = load_partial(network, checkpoint.tensors)
    if report.missing or report.unexpected or report.mismatched:
        raise CheckpointError(f"{path} is no {backbone} with {len(classes)} classes:\n{report}")
    return network, checkpoint.meta


def require_classifier(path: Path, meta: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Read backbone and classes from a checkpoint's meta.

    Args:
        path: The file, for the message.
        meta: What it says of itself.
    Returns:
        The backbone's name and the classes.
    Raises:
        CheckpointError: If the meta does not describe a classifier that can be built here.
    """
    backbone, classes = meta.get("backbone"), meta.get("classes")
    if not is_backbone(backbone) or not isinstance(classes, list) or not classes:
        raise CheckpointError(
            f"{path} holds no classifier: backbone={backbone!r}, classes={classes!r}; "
            f"expected one of {', '.join(BACKBONES)} and a list of names"
        )
    return str(backbone), classes


def descend(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    """Take one step down a loss.

    Args:
        optimiser: Holds the parameters.
        loss: A scalar.
    Raises:
        TrainingError: If the loss is not finite; nothing is changed then.
    """
    if not torch.isfinite(loss):
        raise TrainingError(f"the loss is {loss.item()}; the update was refused; lower the rate")
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()


@torch.no_grad()
def predict(forward: nn.Module, inputs: Tensor, batch_size: int = 256) -> Tensor:
    """Run a module over many inputs in evaluation, without gradients, a batch at a time.

    Args:
        forward: The module.
        inputs: Shape (n, ...).
        batch_size: Inputs at once.
    Returns:
        Outputs, shape (n, ...).
    Raises:
        ShapeError: If a whole network is given what are no pictures.
    """
    if isinstance(forward, Network):
        require_pictures(inputs)
    trains = forward.training
    forward.eval()  # else what only judges would move running statistics
    try:
        return torch.cat([forward(batch) for batch in inputs.split(batch_size)])
    finally:
        forward.train(trains)


def mirror(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Flip about half of the pictures left to right.

    Args:
        pictures: Shape (n, 3, H, W).
        generator: Decides which.
    Returns:
        The same shape.
    """
    flip = torch.rand(len(pictures), generator=generator) < 0.5
    return torch.where(flip[:, None, None, None], pictures.flip(-1), pictures)
