"""Pictures, and what is to be answered from each; taken now and then where a policy is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from metarl.film.camera import Camera
from metarl.sim.worlds import Worlds


class Album(NamedTuple):
    """Pictures, and what belongs to each.

    Args:
        pictures: Shape (M, 3, size, size), uint8.
        beside: What is told beside them, shape (M, B).
        wanted: What is to be answered, shape (M, O).
    """

    pictures: Tensor
    beside: Tensor
    wanted: Tensor

    def at(self, rows: Tensor) -> Album:
        """Take some rows."""
        return Album(*(column[rows.to(column.device)] for column in self))

    @staticmethod
    def joined(albums: Sequence[Album]) -> Album:
        """Put albums one after the other."""
        return Album(*(torch.cat(column) for column in zip(*albums)))


class Glances:
    """Worlds in which the policy is told, and of which a picture is taken now and then.

    An episode's pictures show nearly the same, and drawing one costs more than a hundred steps of
    physics: with an eighth of the steps pictured, as many pictures show eight times as many tasks.

    Args:
        worlds: Where.
        camera: Takes pictures of them.
        share: Of the steps that are pictured, in (0, 1].
    """

    def __init__(self, worlds: Worlds, camera: Camera, share: float):
        self.worlds, self.camera, self.share = worlds, camera, share

    def take(
        self,
        act: Callable[[np.ndarray], np.ndarray],
        label: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]],
        log_std: float,
        generator: torch.Generator,
        device: torch.device | str,
    ) -> Album:
        """Run an episode of a new task in every world.

        Args:
            act: The policy that is told, (N, D) -> (N, A).
            label: What belongs to pictures, by observations (n, D) and the policy's actions (n, A): what
                is told beside them, (n, B), and what is to be answered, (n, O); both float32.
            log_std: Log standard deviation of the noise on actions.
            generator: Draws it, and which steps are pictured.
            device: Where the album goes.
        """
        worlds = self.worlds
        worlds.assign(worlds.sample("train"))
        obs, alive = worlds.reset(), np.ones(worlds.num_worlds, bool)
        albums = []
        while alive.any():
            obs = obs.astype(np.float32)
            action = act(obs)
            drawn = torch.rand(worlds.num_worlds, generator=generator).numpy() < self.share
            rows = np.flatnonzero(alive & drawn)
            if len(rows):
                shot = np.ascontiguousarray(self.camera.shoot(rows).transpose(0, 3, 1, 2))
                columns = (shot, *label(obs[rows], action[rows]))
                albums.append(Album(*(torch.from_numpy(c).to(device) for c in columns)))
            noise = torch.randn(action.shape, generator=generator).numpy()
            step = worlds.step((action + np.exp(log_std) * noise).clip(-1.0, 1.0))
            alive &= ~(step.terminated | step.truncated)
            obs = step.obs
            if worlds.done.any() and alive.any():
                obs = worlds.reset(worlds.done)
        return Album.joined(albums)
