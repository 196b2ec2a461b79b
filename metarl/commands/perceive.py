"""`metarl perceive`: its commands, a frozen dataclass each; what is heavy loads when one runs."""

from __future__ import annotations

import functools
import operator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg, subcommand

from metarl.commands.arguments import words_of
from metarl.errors import ConfigError
from metarl.machine import require_device
from metarl.runs import fields

PicturesWords = Annotated[Positional[tuple[Path, ...]], arg(metavar="PICTURE ...")]


@dataclass(frozen=True)
class Swap:
    """Swap a picture network's head: learn a new question on what a trunk already knows."""

    data: str | None = None
    """a folder with a folder a class; a table FILE.csv or .parquet (file,target[,target...]), or some
    columns of it, FILE.csv:COLUMN[,COLUMN...]; or kitchen:class, doneness, portion_g, price_eur, or
    x_m,y_m, which are rendered (perceive render says what kitchen may be)"""
    test: str | None = None
    """other pictures to judge by, likewise; None: a fifth of the data is held out, or others rendered"""
    backbone: str | None = None
    """small-cnn, tf_efficientnet_lite0, _lite1, _lite2, mobilenet_v2, or a model of timm; None: small-cnn"""
    weights: str | None = None
    """a file of the trunk's weights: safetensors, a state_dict, or a checkpoint; None: what it brings"""
    strategy: str | None = None
    """frozen-trunk, lp-ft, fine-tune, small-rate, layerwise-rate, l2-sp, low-rank, wise-ft, new-head,
    lower-layers, scratch; None: frozen-trunk"""
    out: Path | None = None
    """the run folder; None: runs/perceive-DATA-BACKBONE-STRATEGY-sSEED"""
    size: int | None = fields.count(None, least=8, most=1024, optional=True)
    """width and height of pictures [pixels]; None: 64 for small-cnn, 128 for others"""
    seed: int | None = fields.seed(None, optional=True)
    """of the split, the head and the order; None: 0"""
    num_pictures: int | None = fields.count(None, least=2, optional=True)
    """how many to learn from; None: all, or 200 where they are rendered"""
    rate: float | None = fields.positive(None, optional=True)
    """Adam's learning rate; None: 0.003 for small-cnn; of others 0.0003 where the trunk learns on from what
    it knows, and 0.001 from scratch or of the head alone"""
    epochs: int | None = fields.count(None, optional=True)
    """at most so many passes over the pictures; None: 100"""
    batch_size: int | None = fields.count(None, optional=True)
    """pictures in a step; None: 16"""
    descend: bool = False
    """learn the head of a trunk that stands by steps, too; else it is solved, which takes no rate"""
    device: str | None = None
    """where the network lives: cpu, cuda, cuda:1; None: cpu"""
    set: Annotated[tuple[str, ...], arg(metavar="NAME=VALUE ...")] = ()
    """of the strategy, for example head_share=0.3 of lp-ft"""
    resume: bool = False
    """go on with the run in that folder"""
    json: bool = False
    """print JSON, and nothing else, on stdout"""

    def run(self) -> int:
        """Run the command."""
        require_device(self.device or "cpu")
        from metarl.commands.swapping import swap

        return swap(**words_of(self))


@dataclass(frozen=True)
class Predict:
    """Answer pictures by a run's network: a table, or JSON lines, and a contact sheet."""

    model: Annotated[Positional[Path], arg(metavar="RUN_FOLDER")]
    """the folder that perceive swap wrote, or its model.safetensors"""
    pictures: PicturesWords
    """files, or folders with pictures in them"""
    json: bool = False
    """print JSON lines in place of the table"""
    out: Path | None = None
    """the contact sheet, .png; None: answers.png, or answers-2.png where that is taken, and so on"""
    overwrite: bool = False
    """replace a file that is there"""

    def run(self) -> int:
        """Run the command."""
        from metarl.commands.answering import predict

        return predict(**vars(self))


@dataclass(frozen=True)
class Compare:
    """Swap a head by every strategy on the same pictures: one table, one picture, one page."""

    data: str
    """as for metarl perceive swap"""
    test: str | None = None
    """likewise"""
    backbone: str = "small-cnn"
    """likewise"""
    weights: str | None = None
    """likewise"""
    strategies: tuple[str, ...] = ("all",)
    """which; all: every one that has a meaning for pictures"""
    seeds: int = fields.count(1, most=1000)
    """how many splits, heads and orders"""
    size: int | None = fields.count(None, least=8, most=1024, optional=True)
    """as for metarl perceive swap"""
    num_pictures: int | None = fields.count(None, least=2, optional=True)
    """likewise"""
    rate: float | None = fields.positive(None, optional=True)
    """likewise"""
    epochs: int | None = fields.count(None, optional=True)
    """likewise"""
    batch_size: int | None = fields.count(None, optional=True)
    """likewise"""
    descend: bool = False
    """likewise"""
    device: str | None = None
    """likewise"""
    out: Path | None = None
    """the folder; None: comparisons/perceive-DATA-BACKBONE; with finished runs in it, the rest is run"""
    json: bool = False
    """print JSON, and nothing else, on stdout"""

    def run(self) -> int:
        """Run the command."""
        require_device(self.device or "cpu")
        from metarl.commands.swapping import compare

        return compare(**words_of(self))


@dataclass(frozen=True)
class Advise:
    """Say which trunk will serve, from the labelled pictures alone: nothing is trained."""

    data: str
    """as for metarl perceive swap"""
    trunks: Annotated[tuple[str, ...], arg(metavar="NAME[=FILE] ...")] = ("small-cnn",)
    """backbones, as for metarl perceive swap; behind a = a file of weights, in place of what it brings"""
    size: int | None = fields.count(None, least=8, most=1024, optional=True)
    """width and height of pictures [pixels]; None: 64 for small-cnn, 128 for others"""
    num_pictures: int | None = fields.count(None, least=2, optional=True)
    """as for metarl perceive swap"""
    seed: int = fields.seed(0)
    """of the split, and of the untrained networks that trunks are held against"""
    json: bool = False
    """print JSON, and nothing else, on stdout"""

    def run(self) -> int:
        """Run the command."""
        from metarl.commands.trunk_advice import advise

        return advise(**words_of(self))


@dataclass(frozen=True)
class Embed:
    """Write what a trunk makes of pictures: features and names of files, as .npz."""

    pictures: PicturesWords
    """files, or folders with pictures in them"""
    model: Annotated[Path | None, arg(name="run", metavar="RUN_FOLDER")] = None
    """take the trunk of this run, in place of a backbone"""
    backbone: str = "small-cnn"
    """as for metarl perceive swap"""
    weights: Path | None = None
    """likewise"""
    size: int | None = fields.count(None, least=8, most=1024, optional=True)
    """width and height of pictures [pixels]; None: the run's, or the backbone's usual one"""
    out: Path | None = None
    """the file, .npz; None: features.npz, or features-2.npz where that is taken, and so on"""
    overwrite: bool = False
    """replace a file that is there"""

    def run(self) -> int:
        """Run the command."""
        from metarl.commands.answering import embed

        return embed(**vars(self))


@dataclass(frozen=True)
class FewShot:
    """Tell classes apart that nobody has seen, after a few pictures of each: MAML, ANIL, and baselines."""

    data: str
    """a folder with a folder a class, a table FILE.csv (file,class), kitchen:ingredients (invented
    ones, rendered), or SCENE:class"""
    backbone: str = "small-cnn"
    """as for metarl perceive swap"""
    weights: str | None = None
    """likewise"""
    methods: tuple[str, ...] = ("all",)
    """nearest-centroid, logistic, maml, anil, anil-frozen; all: every one"""
    ways: int | None = fields.count(None, least=2, optional=True)
    """classes of a task; None: 5"""
    shots: tuple[int, ...] = fields.counts((1, 5), most=1000)
    """pictures of each class that a task names, one or several numbers"""
    queries: int | None = fields.count(None, optional=True)
    """pictures of each class that a task asks about; None: 15"""
    unseen: int | None = fields.count(None, least=2, optional=True)
    """classes that judge, of which nothing is learned; None: a quarter, at least WAYS"""
    seeds: int = fields.count(3, most=1000)
    """how many choices of unseen classes, pictures, heads and tasks"""
    episodes: int | None = fields.count(None, optional=True)
    """tasks that judge, for each seed; None: 200"""
    iterations: int | None = fields.count(None, optional=True)
    """steps of the outer loop; None: 200"""
    size: int | None = fields.count(None, least=8, most=1024, optional=True)
    """as for metarl perceive swap"""
    pictures: int | None = fields.count(None, optional=True)
    """pictures of each class, where they are rendered; None: 30"""
    device: str | None = None
    """as for metarl perceive swap"""
    set: Annotated[tuple[str, ...], arg(metavar="NAME=VALUE ...")] = ()
    """of the rest: tasks, updates, inner_rate, trunk_rate, outer_rate, first_order, penalty_weight, noise,
    seed"""
    out: Path | None = None
    """the folder; None: comparisons/few-shot-DATA-BACKBONE; with finished runs in it, the rest is run"""
    json: bool = False
    """print JSON, and nothing else, on stdout"""

    def run(self) -> int:
        """Run the command."""
        require_device(self.device or "cpu")
        from metarl.commands.few_shot import few_shot

        return few_shot(**words_of(self))


@dataclass(frozen=True)
class Render:
    """Render a set of pictures of the kitchen, with a table of what is in each."""

    scene: Annotated[Positional[str], arg(metavar="SCENE")] = "kitchen"
    """kitchen (eight ingredients), kitchen/invented-ingredients (eighty), or another package's; behind
    it @shift=light, camera, texture or clutter: what is as it never is otherwise"""
    num: int = fields.count(1000, most=1_000_000)
    """how many pictures"""
    out: Path | None = None
    """the folder, which must not be there yet; None: datasets/SCENE-sSEED"""
    size: int = fields.count(84, least=8, most=1024)
    """width and height [pixels]"""
    seed: int = fields.seed(0)
    """decides everything in the pictures"""
    jobs: int | None = fields.count(None, most=1024, optional=True)
    """processes, which change no result; None: one a core"""

    def run(self) -> int:
        """Run the command."""
        from metarl.commands.rendering import render

        return render(**vars(self))


@dataclass(frozen=True)
class Perceive:
    """See: swap a picture network's head, ask it, compare the ways, take features, learn from few, render.

    metarl perceive swap, predict, compare, advise, embed, few-shot, render; each has --help.
    """

    words: Annotated[
        Positional[tuple[str, ...]],
        arg(metavar="swap|predict|compare|advise|embed|few-shot|render ..."),
    ] = ()
    """the command, and what follows it"""

    def run(self) -> int:
        """Say which commands there are."""
        raise ConfigError(f"metarl perceive lacks a command; expected {', '.join(COMMANDS)}")


COMMANDS: dict[str, type[Any]] = {
    "swap": Swap, "predict": Predict, "compare": Compare, "advise": Advise, "embed": Embed,
    "few-shot": FewShot, "render": Render,
}  # fmt: skip

_PARTS = (Annotated[cls, subcommand(name)] for name, cls in COMMANDS.items())
_EACH: Any = functools.reduce(operator.or_, _PARTS)  # type: ignore[arg-type]


def completed(words: Annotated[_EACH, arg(name="")]) -> None:
    """What a shell completes behind ``metarl perceive``; nothing calls it."""
