"""Gaussian policies and value functions: features + head, like every network here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from metarl.errors import ConfigError
from metarl.nn.network import Network, load_partial
from metarl.nn.normaliser import Normaliser
from metarl.nn.trunks import Mlp
from metarl.types import Spec

HIDDEN = (64, 64)
LOG_STD = -0.7  # first log standard deviation of actions, where nothing else is said
LOG_STD_RANGE = (-3.0, 0.5)  # further out a policy acts as if it were at the end
NETWORK = (
    "activation",
    "squash",
    "normalised",
)  # of a config, beside widths: what a policy is made of


class GaussianPolicy(Network):
    """A diagonal Gaussian over actions, with a learnable task context.

    The last `context_dim` columns of an observation are the ``task`` block. A parameter of
    that width is added to them: where the block is hidden (zeros), adapting these few
    numbers is inferring the task in the very space in which a policy that saw it was
    trained.

    Args:
        obs_dim: D, the ``task`` block included.
        action_dim: A.
        context_dim: Width of the ``task`` block, 0 for none.
        generator: Draws the first weights.
        hidden: Widths of the trunk's layers.
        log_std: First value of the log standard deviation of every action.
        activation: Of the trunk, one of `metarl.nn.trunks.ACTIVATIONS`.
        squash: Whether the mean passes through tanh, which keeps it within the actions' range;
            noise is added behind it.
        normalised: Whether observations pass through a `Normaliser`, after the context is added.
    Source: Finn et al. 2017, arXiv:1709.04905, section 4 (bias transformation); Zintgraf
        et al. 2019, arXiv:1810.03642 (context parameters).
    Deviation: The context is added to the task block instead of concatenated.
    """

    def __init__(
        self,
        obs_dim: int,
        action_dim: int,
        context_dim: int,
        generator: torch.Generator,
        *,
        hidden: Sequence[int] = HIDDEN,
        log_std: float = LOG_STD,
        activation: str = "tanh",
        squash: bool = False,
        normalised: bool = False,
    ):
        trunk = Mlp(obs_dim, hidden, activation, generator=generator)
        super().__init__(trunk, action_dim, generator, head_gain=0.01)
        self.obs_dim, self.squash = obs_dim, squash
        self.normaliser = Normaliser(obs_dim) if normalised else None
        self.context = nn.Parameter(torch.zeros(context_dim))
        self.log_std = nn.Parameter(torch.full((action_dim,), log_std))

    def forward_features(self, x: Tensor) -> Tensor:
        """Map observations (..., D) to features (..., F)."""
        if self.context.numel():
            split = self.obs_dim - self.context.numel()
            x = torch.cat([x[..., :split], x[..., split:] + self.context], dim=-1)
        return self.trunk(x if self.normaliser is None else self.normaliser(x))

    def forward_head(self, features: Tensor) -> Tensor:
        """Map features (..., F) to mean actions (..., A)."""
        return self._mean(self.head(features))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Map observations (..., D) to mean (..., A) and log standard deviation (A,)."""
        return self.distribution(self.head(self.forward_features(x)), self.log_std)

    def distribution(self, raw: Tensor, log_std: Tensor) -> tuple[Tensor, Tensor]:
        """Make mean (..., A) and log standard deviation (A,) of what a head gives, and a spread (A,)."""
        return self._mean(raw), log_std.clamp(*LOG_STD_RANGE)

    def _mean(self, raw: Tensor) -> Tensor:
        return raw.tanh() if self.squash else raw

    def reinitialise(self, generator: torch.Generator) -> None:
        """As of every `Network`; statistics of observations are forgotten."""
        super().reinitialise(generator)
        if self.normaliser is not None:
            self.normaliser.forget()


def network_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Pick what a `GaussianPolicy` is made of from a config's fields.

    Args:
        config: Values by field; older ones have widths alone.
    Raises:
        KeyError: If it has none.
    """
    more = {name: config[name] for name in NETWORK if name in config}
    return {"hidden": tuple(config["hidden"]), **more}


def start_policy(
    spec: Spec,
    generator: torch.Generator,
    *,
    initial: Mapping[str, Tensor] | None = None,
    log_std: float | None = None,
    **network: Any,
) -> GaussianPolicy:
    """Make the policy that a training starts from.

    Args:
        spec: Of the worlds it acts in.
        generator: Draws the first weights.
        initial: Parameters of another `GaussianPolicy`; those that fit are taken.
        log_std: Log standard deviation of every action; None: the default, or the initial one.
        network: What it is made of, as `network_of` picks it.
    Raises:
        ConfigError: If none of the initial parameters fits.
    """
    policy = GaussianPolicy(spec.obs_dim, spec.action_dim, spec.task_dim, generator, **network)
    if initial is not None:
        report = load_partial(policy, initial)
        if not report.loaded:
            raise ConfigError(f"none of the initial parameters fits this policy:\n{report}")
    if log_std is not None:
        with torch.no_grad():
            policy.log_std.fill_(log_std)
    return policy


class Critic(Network):
    """A state-value function.

    Args:
        obs_dim: D.
        generator: Draws the first weights.
        hidden: Widths of the trunk's layers.
    """

    def __init__(self, obs_dim: int, generator: torch.Generator, *, hidden: Sequence[int] = HIDDEN):
        super().__init__(Mlp(obs_dim, hidden, "tanh", generator=generator), 1, generator)

    def forward(self, x: Tensor) -> Tensor:
        """Map observations (..., D) to values (...)."""
        return super().forward(x).squeeze(-1)
