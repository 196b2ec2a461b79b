"""Acting by what a camera shows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from metarl.film.answers import answer_panel
from metarl.film.camera import Camera
from metarl.nn.policy import GaussianPolicy
from metarl.perception.eyes.columns import Columns
from metarl.perception.eyes.network import Eyes
from metarl.sim.worlds import Worlds


class Seen(NamedTuple):
    """What was seen in a control step.

    Args:
        pictures: Shape (N, 3, size, size), uint8.
        beside: What is told beside them, shape (N, B).
        mean: What is answered, shape (N, O).
        sd: How far off it may be, a standard deviation, shape (N, O).
    """

    pictures: Tensor
    beside: Tensor
    mean: Tensor
    sd: Tensor


class Sight:
    """A policy that is shown pictures, in some worlds.

    What stays as it is for an episode is answered from all its pictures so far, each weighing as much
    as it is sure: where the food lay is seen at first, and hidden by the hand later.

    Args:
        worlds: Where it acts; they are not changed.
        policy: What acts on the numbers that are answered; None: actions are answered.
        eyes: The picture network.
        columns: Which numbers of an observation a picture shows.
        camera: Takes the pictures of these worlds.
    Attributes:
        seen: What was seen last; None before the first step.
        truth: What is shown as it really was then, shape (N, O); it is drawn in films, and not acted on.
    """

    def __init__(
        self,
        worlds: Worlds,
        policy: GaussianPolicy | None,
        eyes: Eyes,
        columns: Columns,
        camera: Camera,
    ):
        self.worlds, self.policy, self.eyes = worlds, policy, eyes
        self.columns, self.camera = columns, camera
        self.seen: Seen | None = None
        self.truth = np.zeros((worlds.num_worlds, len(columns.shown)), np.float32)
        self._stays = torch.from_numpy(columns.stays)
        self._sure = torch.zeros(worlds.num_worlds, int(columns.stays.sum()))
        self._sum = torch.zeros_like(self._sure)

    @torch.no_grad()
    def look(self, obs: np.ndarray) -> Seen:
        """Take a picture of every world and answer it.

        Args:
            obs: Shape (N, D); what a picture shows is not answered from.
        """
        device = self.eyes.answer_mean.device
        shot = np.ascontiguousarray(self.camera.shoot().transpose(0, 3, 1, 2))
        beside = torch.from_numpy(obs[:, self.columns.beside].astype(np.float32)).to(device)
        pictures = torch.from_numpy(shot).to(device)
        mean, sd = self.eyes(pictures, beside)
        if self.policy is not None:
            mean, sd = self._remember(mean.cpu(), sd.cpu())
        self.seen = Seen(pictures, beside, mean.to(device), sd.to(device))
        self.truth = obs[:, self.columns.shown]
        return self.seen

    def _remember(self, mean: Tensor, sd: Tensor) -> tuple[Tensor, Tensor]:
        """Put together what was answered of what stays, since an episode's beginning."""
        begins = torch.from_numpy(self.worlds.elapsed == 0)
        for kept in (self._sure, self._sum):
            kept[begins] = 0.0
        sure = sd[:, self._stays] ** -2
        self._sure += sure
        self._sum += sure * mean[:, self._stays]
        mean, sd = mean.clone(), sd.clone()
        mean[:, self._stays] = self._sum / self._sure
        sd[:, self._stays] = self._sure**-0.5
        return mean, sd

    @torch.no_grad()
    def act_on(self, obs: np.ndarray, seen: Seen) -> np.ndarray:
        """Do what the policy would do if things were as they were seen, mean actions, (N, A)."""
        if self.policy is None:
            return seen.mean.cpu().numpy()
        believed = torch.from_numpy(obs.astype(np.float32)).to(seen.mean.device)
        believed[:, self.columns.shown] = seen.mean
        return self.policy(believed)[0].cpu().numpy()

    def __call__(self, obs: np.ndarray) -> np.ndarray:
        """Look, and act."""
        return self.act_on(obs, self.look(obs))

    def panel(self, world: int = 0, *, height: int) -> np.ndarray:
        """Draw what a world's camera saw last, what was answered, and how it really was.

        Args:
            world: Which.
            height: Of the panel [pixels].
        Returns:
            RGB, shape (height, height // 2, 3), uint8; before the first step, what the camera sees now.
        """
        eyes, seen = self.eyes, self.seen
        if seen is None or self.worlds.elapsed[world] == 0:
            none = np.zeros(0)
            return answer_panel(
                self.camera.shoot(np.array([world]))[0], (), none, none, None, height=height
            )
        picture = seen.pictures[world].permute(1, 2, 0).cpu().numpy()
        mean = eyes.in_spreads(seen.mean[world]).cpu().numpy()
        sd = (seen.sd[world] / eyes.answer_spread).cpu().numpy()
        if self.policy is None:
            names, truth = tuple(f"action {i + 1}" for i in range(len(mean))), None
        else:
            names = self.columns.names
            known = torch.from_numpy(self.truth[world]).to(seen.mean)
            truth = eyes.in_spreads(known).cpu().numpy()
        return answer_panel(picture, names, mean, sd, truth, height=height)
