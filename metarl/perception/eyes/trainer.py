"""Training of eyes: pictures of what a policy does, and of what it does on what was seen in them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metarl.errors import CheckpointError, ConfigError, TrainingError
from metarl.family import TaskFamily
from metarl.film.camera import Camera
from metarl.machine import require_memory
from metarl.methods import Method, Training
from metarl.nn.policy import GaussianPolicy, network_of, start_policy
from metarl.nn.trunks import SmallCnn
from metarl.perception.classifier import load_classifier
from metarl.perception.eyes.acting import Sight
from metarl.perception.eyes.album import Album, Glances
from metarl.perception.eyes.before import student_of
from metarl.perception.eyes.columns import Columns, part_columns
from metarl.perception.eyes.config import EyesConfig
from metarl.perception.eyes.network import Eyes, doubtful_loss
from metarl.runs.checkpoint import Checkpoint
from metarl.runs.networks import load_network
from metarl.runs.policies import config_of, load_policy_for
from metarl.runs.shipped import find_checkpoint
from metarl.runs.state import flatten, load_optimizer, unflatten
from metarl.runs.trained import annealed, describe, join, part, spent
from metarl.sim.worlds import Worlds
from metarl.types import Act


class EyesTrainer:
    """Teaches a picture network what a policy must be told, in the states into which both get.

    First the policy acts on the truth. More and more episodes are then acted on what was seen, so that
    pictures show what mistakes lead to.

    Args:
        family: The family; it must let a camera be observed.
        config: Everything else that decides what is computed.
        initial: Parameters of the policy, a `GaussianPolicy`.
        num_threads: Physics threads; 0 takes every core. It changes no result.
    Raises:
        ConfigError: If there is no policy, or pictures show nothing that it must be told.
        UnknownNameError: If there is no such camera, field or classifier.
    Source: of learning in states that the learner gets into: Ross et al. 2011, arXiv:1011.0686; of
        acting on a representation of which the policy alone knows what for: Pinto et al. 2017,
        arXiv:1710.06542 (one side sees states, the other pictures).
    """

    method = "eyes"

    def __init__(
        self,
        family: TaskFamily[Any],
        config: EyesConfig,
        *,
        initial: Mapping[str, Tensor] | None = None,
        num_threads: int = 0,
    ):
        if initial is None:
            raise ConfigError(
                "eyes are taught by a policy that is told what they will see: give one by --from"
                " (Python: start=)"
            )
        self.family, self.config = family, config
        shots = (config.num_worlds + config.glance * config.glances) * family.horizon
        pixels = 3 * config.size**2 * int(shots)
        require_memory(
            pixels, f"an iteration's pictures of {config.num_worlds + config.glances} worlds"
        )
        make_worlds = partial(
            Worlds, family, seed=config.noise_seed, task_visible=config.task_visible,
            num_threads=num_threads,
        )  # fmt: skip
        self.worlds = make_worlds(config.num_worlds)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.policy = start_policy(
            self.worlds.spec, self.generator, initial=initial, log_std=config.log_std,
            **network_of(vars(config)),
        ).to(config.device)  # fmt: skip
        self.policy.requires_grad_(False)
        self.columns = part_columns(family, self.worlds.spec, config.asks)
        self.eyes = make_eyes(
            config,
            self.columns,
            self.worlds.spec.action_dim,
            self.generator,
            _first_eye(config, family.id),
        ).to(config.device)
        if config.noise:
            self.generator.manual_seed(config.noise_seed)
        self.student = student_of(config, self.eyes, family.id, self.generator)
        self.sight = make_sight(config, self.worlds, self.policy, self.eyes, self.columns)
        self.glances: Glances | None = None
        if config.glances:
            further = make_worlds(config.glances, first_stream=config.num_worlds)
            camera = Camera(further, config.size, config.camera)
            self.glances = Glances(further, camera, config.glance)
        self._album: Album | None = None  # where there are so many pictures and no more
        self.iteration, self.num_steps, self.seconds = 0, 0, 0.0

    def iterate(self) -> dict[str, float]:
        """Run one episode in every world, and learn from its pictures.

        Returns:
            Metrics by name: success and return of the episodes that were acted on what was seen (of
            all, where there was none), of those acted on the truth, and how far off answers are, in
            spreads.
        Raises:
            TrainingError: If the network is no longer finite; it keeps its last good state then.
        """
        start_s, diverged = time.perf_counter(), self._num_diverged
        album, outcome = self._pictures()
        if self.iteration == 0:
            self.eyes.standardise(album.beside, album.wanted)
        good = {n: t.clone() for n, t in self.eyes.state_dict().items()}
        share = annealed(self.config, self.iteration, self.seconds)
        self.student.at(spent(self.config, self.iteration, self.seconds), share)
        loss, error = self._learn(album)
        if not all(torch.isfinite(p).all() for p in self.eyes.parameters()):
            self.eyes.load_state_dict(good)
            raise TrainingError("the eyes are not finite any more; try a smaller learning_rate")
        seconds = time.perf_counter() - start_s
        self.iteration += 1
        self.seconds += seconds
        return {
            **outcome,
            "loss": loss,
            "error": error,
            "num_diverged": self._num_diverged - diverged,
            "num_steps": self.num_steps,
            "steps_per_s": len(album.wanted) / seconds,
        }

    @property
    def _num_diverged(self) -> int:
        further = 0 if self.glances is None else self.glances.worlds.num_diverged
        return self.worlds.num_diverged + further

    def _pictures(self) -> tuple[Album, dict[str, float]]:
        """Take this iteration's pictures, or those that there are, and what their episodes came to."""
        if self._album is not None:
            return self._album, {}
        album, outcome = self._collect()
        if self.config.pictures is None:
            return album, outcome
        if self.config.pictures > len(album.wanted):
            raise ConfigError(
                f"pictures is {self.config.pictures}, but {self.config.num_worlds} episodes show"
                f" {len(album.wanted)}; ask for fewer, or raise num_worlds"
            )
        rows = torch.randperm(len(album.wanted), generator=self.generator)[: self.config.pictures]
        self._album = album.at(rows)
        return self._album, outcome

    def _collect(self) -> tuple[Album, dict[str, float]]:
        """Run an episode in every world, on new tasks, some on the truth and some on what is seen."""
        config, worlds, sight = self.config, self.worlds, self.sight
        worlds.assign(worlds.sample("train"))
        told = (
            torch.rand(worlds.num_worlds, generator=self.generator) < self._told_share()
        ).numpy()
        obs, alive = worlds.reset(), np.ones(worlds.num_worlds, bool)
        success, returns = np.zeros(worlds.num_worlds, bool), np.zeros(worlds.num_worlds)
        albums = []
        while alive.any():
            obs = obs.astype(np.float32)
            seen, truth = sight.look(obs), self._act_on_truth(obs)
            action = np.where(told[:, None], truth, sight.act_on(obs, seen))
            wanted = torch.from_numpy(self._label(obs, truth)[1]).to(seen.pictures.device)
            rows = torch.from_numpy(np.flatnonzero(alive))
            albums.append(Album(seen.pictures, seen.beside, wanted).at(rows))
            noise = torch.randn(action.shape, generator=self.generator).numpy()
            step = worlds.step((action + np.exp(config.log_std) * noise).clip(-1.0, 1.0))
            returns += np.where(alive, step.reward, 0.0)
            success = np.where(alive, step.success, success)
            alive &= ~(step.terminated | step.truncated)
            obs = step.obs
            if worlds.done.any() and alive.any():
                obs = worlds.reset(worlds.done)
        if self.glances is not None:
            albums.append(self._glance(self.glances))
        album = Album.joined(albums)
        self.num_steps += len(album.wanted)
        judged = ~told if (~told).any() else told
        outcome = {
            "success": float(success[judged].mean()),
            "return": float(returns[judged].mean()),
            "episodes_seen": float((~told).mean()),
        }
        if told.any():
            outcome["success_told"] = float(success[told].mean())
        return album, outcome

    def _glance(self, glances: Glances) -> Album:
        config = self.config
        return glances.take(
            self._act_on_truth, self._label, config.log_std, self.generator, config.device
        )

    def _label(self, obs: np.ndarray, action: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What is told beside pictures, and what is to be answered, float32."""
        wanted = action.clip(-1.0, 1.0) if self.sight.policy is None else obs[:, self.columns.shown]
        return obs[:, self.columns.beside].astype(np.float32), wanted.astype(np.float32)

    def _told_share(self) -> float:
        if self.iteration == 0:
            return 1.0
        if self.config.mixing == 0.0:
            return 0.0
        return max(0.0, 1.0 - spent(self.config, self.iteration, self.seconds) / self.config.mixing)

    @torch.no_grad()
    def _act_on_truth(self, obs: np.ndarray) -> np.ndarray:
        return self.policy(torch.from_numpy(obs).to(self.config.device))[0].cpu().numpy()

    def _learn(self, album: Album) -> tuple[float, float]:
        """Pass over the pictures some times; returns the last pass's mean loss and squared error."""
        optimizer = self.student.optimizer
        loss_sum = error_sum = 0.0
        for _ in range(self.config.epochs):
            loss_sum = error_sum = 0.0
            order = torch.randperm(len(album.wanted), generator=self.generator)
            for rows in order.to(album.wanted.device).split(self.config.minibatch):
                mean, log_sd = self.eyes.doubt(album.pictures[rows], album.beside[rows])
                wanted = self.eyes.in_spreads(album.wanted[rows])
                loss = doubtful_loss(mean, log_sd, wanted)
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(self.eyes.parameters(), self.config.max_grad_norm)
                optimizer.step()
                share = len(rows) / len(album.wanted)
                loss_sum += share * float(loss.detach())
                error_sum += share * float((mean.detach() - wanted).square().mean())
        return loss_sum, error_sum**0.5

    # State ------------------------------------------------------------------------------

    def checkpoint(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Give what a run saves: ``policy.*``, ``eyes.*``, and what resuming needs."""
        state = {
            "optimizer": self.student.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "worlds": self.worlds.state_dict(),
            "progress": (self.iteration, self.num_steps, self.seconds),
        }
        if self.glances is not None:
            state["glances"] = self.glances.worlds.state_dict()
        if self._album is not None:
            state["album"] = self._album._asdict()
        tensors, meta = flatten(state)
        tensors |= join("policy", self.policy.state_dict())
        tensors |= join("eyes", self.eyes.state_dict())
        meta |= describe(
            self.method, self.family.id, self.worlds.spec, self.config,
            steps=self.num_steps, seconds=self.seconds,
        )  # fmt: skip
        return tensors, meta

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continue from a `checkpoint` of the same family and config.

        Raises:
            CheckpointError: If it is of other networks.
        """
        state = unflatten(checkpoint.tensors, checkpoint.meta)
        try:
            self.policy.load_state_dict(part("policy", checkpoint.tensors))
            self.eyes.load_state_dict(part("eyes", checkpoint.tensors))
        except RuntimeError as error:
            raise CheckpointError(f"this state is of other eyes: {error}") from error
        load_optimizer(self.student.optimizer, state["optimizer"])
        if "album" in state:
            device = self.config.device
            self._album = Album(**{name: t.to(device) for name, t in state["album"].items()})
        self.generator.set_state(state["generator"])
        self.worlds.load_state_dict(state["worlds"])
        if self.glances is not None:
            self.glances.worlds.load_state_dict(state["glances"])
        self.iteration, self.num_steps, self.seconds = state["progress"]


def _first_eye(config: EyesConfig, family: str) -> SmallCnn | None:
    """The layers of the classifier that the config names."""
    if config.trunk is None:
        return None
    network, _ = load_classifier(find_checkpoint(Path(config.trunk), family))
    if not isinstance(network.trunk, SmallCnn):
        raise ConfigError(f"trunk {config.trunk} is no small-cnn, whose layers eyes have")
    return network.trunk


def make_eyes(
    config: EyesConfig,
    columns: Columns,
    action_dim: int,
    generator: torch.Generator,
    eye: SmallCnn | None = None,
) -> Eyes:
    """Make the picture network of a config.

    Args:
        config: The config.
        columns: Of the observations.
        action_dim: A.
        generator: Draws the first weights.
        eye: Layers that have seen before; None: fresh ones.
    """
    num_answers = action_dim if config.answers == "actions" else len(columns.shown)
    eye = SmallCnn(generator=generator) if eye is None else eye
    return Eyes(eye, len(columns.beside), num_answers, config.eye_hidden, generator)


def make_sight(
    config: EyesConfig, worlds: Worlds, policy: GaussianPolicy, eyes: Eyes, columns: Columns
) -> Sight:
    """Put eyes and the policy behind them into worlds."""
    camera = Camera(worlds, config.size, config.camera)
    return Sight(worlds, policy if config.answers == "columns" else None, eyes, columns, camera)


def see_in(checkpoint: Checkpoint, worlds: Worlds) -> Act:
    """Act in worlds by what a camera shows, as eyes do that were trained.

    Args:
        checkpoint: Of an `EyesTrainer`.
        worlds: Where.
    Raises:
        CheckpointError: If it holds no eyes, or those for other observations.
    """
    config = config_of(checkpoint)
    policy = load_policy_for(checkpoint, worlds, shown=True)
    columns = part_columns(worlds.family, worlds.spec, config.asks)
    eyes = load_network(
        checkpoint,
        "eyes",
        lambda: make_eyes(config, columns, worlds.spec.action_dim, torch.Generator()),
    )
    return make_sight(config, worlds, policy, eyes.eval(), columns)


METHOD = Method(
    "a camera in place of what a policy was told of the things around it",
    Training(EyesConfig, EyesTrainer, needs="a policy that it starts from, and a camera"),
    source="Pinto et al. 2017, arXiv:1710.06542; Ross et al. 2011, arXiv:1011.0686",
    acting=see_in,
)
