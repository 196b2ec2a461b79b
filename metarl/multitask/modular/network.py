"""Encoders and decoders of robots around the cores of skills: each pair's plain policy is a view of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property

import torch
from torch import Tensor, nn

from metarl.multitask.modular.config import ModularConfig
from metarl.multitask.modular.hindsight import HindsightCode
from metarl.multitask.modular.pairs import Pairs
from metarl.multitask.tasks import Column
from metarl.nn.initialise import TRUNK_GAIN, linear
from metarl.nn.trunks import ACTIVATIONS
from metarl.nn.views import Part, Stack, View, indices
from metarl.runs.pairs import Pair

EVERY = "every"  # instead of a robot or skill: the part of all of them
POSTURES = ("posture1", "posture2", "posture3")


class ModularNetwork(nn.Module):
    """Parts that are put together: any robot's encoder and decoder, and any skill's core.

    A pair's plain policy has four layers and a head. The encoder (one layer) tells the core what its robot
    observes of itself; the core sees things and task, puts both together, and says what is to be done; the
    decoder sees its robot through three layers of its own, and turns that into actions. Each layer of the
    plain policy holds what is side by side of these, with zeros where nothing leads from one to another.

    Args:
        pairs: Trained ones, and others of the same robots and skills.
        config: Widths and the rest.
        generator: Draws the first weights.
        log_std: First log standard deviation of every action.
    Attributes:
        views: What the plain policy of each trained pair consists of, in their order.
        widths: Of a plain policy's layers.
        common: Names of all parameters but the deviations of actions.
    Source: Devin et al. 2017, arXiv:1609.07088.
    Deviation: There a robot's module alone sees the robot; here an encoder also tells the core of it, which
        has to know where the hand is.
    """

    def __init__(
        self, pairs: Pairs, config: ModularConfig, generator: torch.Generator, *, log_std: float
    ):
        super().__init__()
        self.pairs, self.config, self._generator = pairs, config, generator
        self._keys = {**_keys(pairs.robots), **_keys(pairs.skills)}
        self._named = pairs.named if config.encoders == "named" else None
        self._draw = lambda i, o, gain=TRUNK_GAIN: linear(i, o, generator, gain=gain)
        self.encoder, self.core, self.decoder = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        self.log_std = nn.ParameterDict()
        if self._named is not None:
            self.encoder[EVERY] = self._draw(len(self._named), config.encoded)
        for robot in pairs.robots:
            self._add_robot(robot, log_std)
        for skill, columns in pairs.skills.items():
            first = {"things": self._draw(len(columns), config.things)}
            rest = self._core() if config.cores == "per-skill" else {}
            self.core[self._keys[skill]] = nn.ModuleDict({**first, **rest})
        if config.cores == "shared":
            self.core[EVERY] = nn.ModuleDict(self._core())
        if config.hindsight:
            self.hindsight = HindsightCode(pairs, config, self._draw)
        self.widths = (
            config.encoded + config.things + config.posture,
            config.core + config.posture,
            config.command + config.posture,
            config.decoder,
        )
        self.views: tuple[View, ...] = tuple(self.view(pair) for pair in pairs.trained)
        self.common = [n for n, _ in self.named_parameters() if not n.startswith("log_std.")]

    def view(self, pair: Pair) -> View:
        """What a pair's plain policy consists of, whether it was trained or not."""
        c, robot, skill = self.config, self._keys[pair.robot], self._keys[pair.skill]
        encoder, seen = (robot, self.pairs.robots[pair.robot])
        if self._named is not None:
            encoder, seen = EVERY, self._named
        core = skill if c.cores == "per-skill" else EVERY
        decoder = f"decoder.{robot}"
        own = self.pairs.places(pair, self.pairs.robots[pair.robot])
        layers = (
            (
                (f"encoder.{encoder}", *self.pairs.places(pair, seen)),
                (f"core.{skill}.things", *self.pairs.places(pair, self.pairs.skills[pair.skill])),
                (f"{decoder}.posture1", *own),
            ),
            (
                (f"core.{core}.hidden", None, _run(0, c.encoded + c.things)),
                (f"{decoder}.posture2", None, _run(c.encoded + c.things, c.posture)),
            ),
            (
                (f"core.{core}.command", None, _run(0, c.core)),
                (f"{decoder}.posture3", None, _run(c.core, c.posture)),
            ),
            ((f"{decoder}.hidden", None, _run(0, c.command + c.posture)),),
        )
        view: dict[str, Part | Stack] = {}
        for i, rows in enumerate(layers):
            name = f"trunk.layers.{2 * i}"
            view[f"{name}.weight"] = tuple(Part(f"{n}.weight", cols, at=at) for n, cols, at in rows)
            view[f"{name}.bias"] = tuple(Part(f"{n}.bias") for n, _, _ in rows)
        view |= {f"head.{n}": Part(f"{decoder}.head.{n}") for n in ("weight", "bias")}
        return {**view, "log_std": Part(f"log_std.{robot}")}

    def together(self, obs: Sequence[Tensor]) -> list[Tensor]:
        """Ask all trained pairs' decoders at once, each part once.

        Args:
            obs: Of each trained pair, (M, D), as its family gives them.
        Returns:
            What each pair's plain policy's head gives, (M, A), up to rounding.
        """
        which = range(len(obs))
        command, standing = self.commands(obs, which)
        return self.decode(command, standing, which)

    def commands(
        self, obs: Sequence[Tensor], which: Sequence[int]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Ask cores what is to be done, and decoders how their robots stand.

        Args:
            obs: Of some trained pairs, (M, D), as their families give them.
            which: Which pairs, by their places among those that are trained.
        Returns:
            Commands, (M, command), and postures, (M, posture), of each.
        """
        c, act, part = self.config, self._act, self.get_submodule
        robots, skills = self._parts(which)
        all_of_them = [EVERY] * len(which)
        own, things, named = (
            [_columns(x, *table[k]) for k, x in zip(which, obs)] for table in self._tables
        )

        def encode(key: str, x: Tensor) -> Tensor:
            return act(part(f"encoder.{key}")(x))

        def look(key: str, x: Tensor) -> Tensor:
            return act(part(f"core.{key}.things")(x))

        def decide(key: str, x: Tensor) -> Tensor:
            return act(part(f"core.{key}.command")(act(part(f"core.{key}.hidden")(x))))

        def stand(key: str, x: Tensor) -> Tensor:
            for name in POSTURES:
                x = act(part(f"decoder.{key}.{name}")(x))
            return x

        told = _each(encode, *((robots, own) if self._named is None else (all_of_them, named)))
        seen = _beside(self._blurred(told), _each(look, skills, things))
        command = _each(decide, skills if c.cores == "per-skill" else all_of_them, seen)
        return self._blurred(command), _each(stand, robots, own)

    def decode(
        self, command: Sequence[Tensor], standing: Sequence[Tensor], which: Sequence[int]
    ) -> list[Tensor]:
        """Turn commands into what heads give, (M, A); arguments as `commands` takes and gives them."""

        def move(key: str, x: Tensor) -> Tensor:
            return self.get_submodule(f"decoder.{key}.head")(
                self._act(self.get_submodule(f"decoder.{key}.hidden")(x))
            )

        return _each(move, self._parts(which)[0], _beside(command, standing))

    @property
    def _act(self) -> nn.Module:
        return ACTIVATIONS[self.config.activation]()

    def _parts(self, which: Sequence[int]) -> tuple[list[str], list[str]]:
        """The keys of some trained pairs' robots and skills."""
        trained = list(self.pairs.trained)
        chosen = [trained[k] for k in which]
        return [self._keys[pair.robot] for pair in chosen], [
            self._keys[pair.skill] for pair in chosen
        ]

    def _blurred(self, said: Sequence[Tensor]) -> list[Tensor]:
        """What is said between parts, with noise where gradients are to come back."""
        if not self.config.blur or not torch.is_grad_enabled():
            return list(said)
        noise = [torch.randn(x.shape, generator=self._generator).to(x.device) for x in said]
        return [x + self.config.blur * e for x, e in zip(said, noise)]

    @cached_property
    def _tables(self) -> tuple[list[Where], list[Where], list[Where]]:
        """Where each trained pair finds its robot's columns, its skill's, and those of every robot."""
        pairs = self.pairs

        def where(pair: Pair, columns: list[Column]) -> Where:
            there, own = pairs.places(pair, columns)
            return list(there), list(own), len(columns)

        return (
            [where(pair, pairs.robots[pair.robot]) for pair in pairs.trained],
            [where(pair, pairs.skills[pair.skill]) for pair in pairs.trained],
            [where(pair, self._named or []) for pair in pairs.trained],
        )

    def _add_robot(self, robot: str, log_std: float) -> None:
        c, columns, key = self.config, self.pairs.robots[robot], self._keys[robot]
        sees = [self._draw(len(columns), c.posture)]
        if self._named is None:
            sees.append(self._draw(len(columns), c.encoded))
            self.encoder[key] = sees[1]
        strange = [columns.index(column) for column in self.pairs.unseen(robot)]
        for layer in sees if strange else ():  # of what nobody trains, nothing is to come
            with torch.no_grad():
                layer.weight[:, strange] = 0.0
        widths = (sees[0], self._draw(c.posture, c.posture), self._draw(c.posture, c.posture))
        actions = self.pairs.actions[robot]
        rest = {
            "hidden": self._draw(c.command + c.posture, c.decoder),
            "head": self._draw(c.decoder, actions, 0.01),
        }
        self.decoder[key] = nn.ModuleDict({**dict(zip(POSTURES, widths)), **rest})
        self.log_std[key] = nn.Parameter(torch.full((actions,), log_std))

    def _core(self) -> dict[str, nn.Module]:
        c = self.config
        return {
            "hidden": self._draw(c.encoded + c.things, c.core),
            "command": self._draw(c.core, c.command),
        }


Where = tuple[
    list[int], list[int], int
]  # among some columns, among a pair's own; how many they are


def _columns(obs: Tensor, there: list[int], own: list[int], count: int) -> Tensor:
    """Some columns of what a pair observes, (M, D) -> (M, C), with zeros for what it does not."""
    seen = obs.index_select(1, indices(own, obs))
    return obs.new_zeros(len(obs), count).index_copy(1, indices(there, obs), seen)


def _beside(left: Sequence[Tensor], right: Sequence[Tensor]) -> list[Tensor]:
    return [torch.cat(pair, -1) for pair in zip(left, right)]


def _each(
    ask: Callable[[str, Tensor], Tensor], keys: Sequence[str], rows: Sequence[Tensor]
) -> list[Tensor]:
    """Apply to each rows what its key names, once a key."""
    found: list[Tensor | None] = [None] * len(rows)
    for key in dict.fromkeys(keys):
        mine = [i for i, other in enumerate(keys) if other == key]
        answers = ask(key, torch.cat([rows[i] for i in mine]))
        for i, x in zip(mine, answers.split([len(rows[i]) for i in mine])):
            found[i] = x
    return [x for x in found if x is not None]


def _run(first: int, count: int) -> tuple[int, ...]:
    return tuple(range(first, first + count))


def _keys(names: Iterable[str]) -> dict[str, str]:
    """Names that modules may have, each once: without dots; without package and options, where that will do."""
    names = list(names)
    for shorten in (lambda name: name.partition("@")[0].rpartition("/")[2], str):
        short = [re.sub(r"[^\w@=,-]+", "-", shorten(name)) for name in names]
        if len({*short, EVERY}) == len(short) + 1 and not set(short) & set(dir(nn.ModuleDict)):
            return dict(zip(names, short))
    return {name: f"{i}-{key}" for i, (name, key) in enumerate(zip(names, short))}
