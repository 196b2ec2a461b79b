"""Trunks of others: any timm model, and torchvision's MobileNetV2, as trunks of our networks."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection, Sequence
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from metarl.errors import ConfigError, MissingDependencyError, UnknownNameError
from metarl.perception.given import SMALL_CNN
from metarl.perception.weights import WHEELS

INSTALL = (
    "pretrained eyes need timm and torchvision; pip install 'metarl-sim[vision]', or take"
    " --backbone small-cnn"
)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_SHOWN = 12  # models of timm in a message
_NAME = re.compile(
    r"[A-Za-z0-9_]+"
)  # of a timm model; with a colon or a dot it would name a download


class PictureTrunk(nn.Module):
    """A model without its classifier, from pictures in [0, 1] to pooled features.

    It works in ``channels_last``, which convolutions on a processor want, and it scales pictures
    as the model was trained to see them.

    Args:
        build: Makes the model anew, in timm's terms and without its classifier; draws from torch's
            global generator.
        mean: Of each channel, of pictures in [0, 1].
        std: Likewise.
        size: The only width and height that it takes [pixels]; None: any.
        generator: Draws every weight.
    """

    mean: Tensor  # (3, 1, 1)
    std: Tensor  # (3, 1, 1)

    def __init__(
        self,
        build: Callable[[], Any],
        *,
        mean: Sequence[float],
        std: Sequence[float],
        size: int | None,
        generator: torch.Generator,
    ):
        super().__init__()
        self._build = build
        self.size = size
        self._standing: tuple[str, ...] = ()
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[:, None, None], persistent=False)
        self.model = self._drawn(generator)
        self.num_features: int = self.model.head_hidden_size  # what the head really sees

    def forward(self, pictures: Tensor) -> Tensor:
        """Compute features.

        Args:
            pictures: Shape (N, 3, H, W), float32 in [0, 1].
        Returns:
            Features, shape (N, num_features).
        Raises:
            ConfigError: If the model takes pictures of another size alone.
        """
        if self.size is not None and tuple(pictures.shape[2:]) != (self.size, self.size):
            raise ConfigError(
                f"this backbone takes pictures of {self.size} x {self.size} pixels; got"
                f" {pictures.shape[3]} x {pictures.shape[2]}"
            )
        scaled = (pictures - self.mean) / self.std
        return self.model(scaled.contiguous(memory_format=torch.channels_last))

    def reinitialise(self, generator: torch.Generator) -> None:
        """Draw every weight afresh, in place, as the model's authors do.

        Args:
            generator: The only source of randomness.
        """
        self.model.load_state_dict(self._drawn(generator).state_dict())
        self._standing = ()

    def hold_statistics(self, drawn_anew: Collection[str]) -> None:
        """Let the statistics of batch norms stand as the source has them, from now on.

        A small set of pictures has poor ones; and an average of two networks has neither's.

        Args:
            drawn_anew: Names of parameters, as of ``named_parameters()``, that owe nothing to the
                source; their layers go on measuring.
        """
        norms = [name for name, layer in self.named_modules() if isinstance(layer, _BatchNorm)]
        self._standing = tuple(name for name in norms if f"{name}.weight" not in drawn_anew)
        self.train(self.training)

    def train(self, mode: bool = True) -> PictureTrunk:
        """Switch between training and evaluation; statistics that stand, stand.

        Args:
            mode: Whether to train.
        Returns:
            The trunk itself.
        """
        super().train(mode)
        for name in self._standing:
            self.get_submodule(name).eval()
        return self

    def _drawn(self, generator: torch.Generator) -> Any:
        """Build the model from a generator: its authors know torch's global one alone."""
        seed = int(torch.randint(2**31, (), generator=generator))
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            model = self._build()
        return model.to(memory_format=torch.channels_last)


def timm_trunk(name: str, generator: torch.Generator) -> PictureTrunk:
    """Build the trunk of a timm model; its weights are drawn, nothing is fetched.

    Args:
        name: A model of timm, such as ``resnet18``.
        generator: Draws every weight.
    Raises:
        MissingDependencyError: If timm is absent; the message is the line that installs it.
        UnknownNameError: If timm has no such model; the message lists the nearest.
        ConfigError: If it sees no pictures of three channels.
    """
    require_timm(name)
    import timm

    config = timm.get_pretrained_cfg(name, allow_unregistered=False)
    if config is None or config.input_size[0] != 3:
        raise ConfigError(f"{name} is no model of colour pictures; choose another")
    return PictureTrunk(
        functools.partial(_timm_model, name), mean=config.mean, std=config.std,
        size=config.input_size[1] if config.fixed_input_size else None, generator=generator,
    )  # fmt: skip


def mobilenet_trunk(generator: torch.Generator) -> PictureTrunk:
    """Build the trunk of torchvision's MobileNetV2; its weights are drawn.

    Args:
        generator: Draws every weight.
    Raises:
        MissingDependencyError: If torchvision is absent; the message is the line that installs it.
    """
    require_vision()
    return PictureTrunk(
        _mobilenet, mean=IMAGENET_MEAN, std=IMAGENET_STD, size=None, generator=generator
    )


def require_timm(name: str) -> None:
    """Check that timm knows a model.

    Raises:
        MissingDependencyError: If timm is absent; the message is the line that installs it.
        UnknownNameError: If timm has no such model; the message lists some that are like it.
    """
    require_vision()
    import timm  # takes seconds

    plain = _NAME.fullmatch(name) is not None
    if plain and timm.is_model(name):
        return
    like = timm.list_models(f"{name.split('_')[0]}*") if plain else []
    raise UnknownNameError("backbone", name, like[:_SHOWN] or (SMALL_CNN, *WHEELS))


def require_vision() -> None:
    """Check that what the extra ``vision`` brings is installed; imports none of it.

    Raises:
        MissingDependencyError: If it is not; the message is the line that installs it.
    """
    if not all(find_spec(module) for module in ("timm", "torchvision")):
        raise MissingDependencyError(INSTALL)


def _timm_model(name: str) -> Any:
    import timm

    return timm.create_model(name, pretrained=False, num_classes=0)


def _mobilenet() -> Any:
    from torchvision.models import mobilenet_v2

    model = mobilenet_v2(weights=None)
    model.classifier = nn.Identity()
    model.head_hidden_size = model.last_channel
    return model
