"""What can be typed: one frozen dataclass a command; what is heavy loads when a command runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from metarl.commands import perceive
from metarl.commands.arguments import Alone, words_of
from metarl.errors import ConfigError
from metarl.machine import require_device
from metarl.runs import fields

FamilyName = Annotated[Positional[str], arg(metavar="FAMILY")]
RayAddress = Annotated[str | None, Alone("local", r"auto|\S*:\d+"), arg(metavar="[ADDRESS]")]
SplitName = Literal["train", "test", "far"]
PhysicsName = Literal["mujoco", "warp"]
MOST = 10_000  # episodes in a film, and updates


@dataclass(frozen=True)
class Families:
    """List the task families that are installed, or say what one is; or the robots that they can be had with."""

    name: Annotated[Positional[str | None], arg(metavar="NAME")] = None
    """say what this one is: what varies in its tasks, rewards, observations, options"""
    robots: bool = False
    """list the robots: kitchen/add@robot=ur5e names a combination"""
    json: bool = False
    """print JSON, and nothing else, on stdout"""

    def run(self) -> int:
        """Run the command."""
        from metarl.commands.families import list_families, list_robots, show_family

        if self.name is not None:
            if self.robots:
                raise ConfigError(f"--robots does not go with {self.name}; give one of them")
            return show_family(self.name)
        return list_robots() if self.robots else list_families()


@dataclass(frozen=True)
class Methods:
    """List the methods that train and that meet new tasks, or what can be set of one."""

    name: Annotated[Positional[str | None], arg(metavar="NAME")] = None
    """show this one's settings, with their defaults"""
    json: bool = False
    """print JSON, and nothing else, on stdout"""

    def run(self) -> int:
        """Run the command."""
        from metarl.commands.methods import list_methods, show_method

        return list_methods() if self.name is None else show_method(self.name)


@dataclass(frozen=True)
class Watch:
    """Film a policy, and show it live where there is a display."""

    family: FamilyName
    """NAME, NAME@OPTION=VALUE, or module:NAME to import a module first"""
    policy: str = "random"
    """random, expert, still, reference (trained, shipped), a checkpoint file, a run folder, the name
    of a shipped checkpoint, or a policy of others or of another family, with --map"""
    map: Annotated[tuple[str, ...], arg(metavar="TARGET=SOURCE ...")] = ()
    """which columns of the source's observations, and rows of its actions, go where: robot=0:17,
    robot[8:17]=8:17*10, action[0:6]=action[1:7], object=new; other blocks by their names"""
    names: Annotated[tuple[str, ...], arg(metavar="HERE=THERE ...")] = ()
    """of a file of bare tensors: which is which, trunk.layers.0.weight=actor.0.weight ..., or a JSON
    file that says so"""
    statistics: Path | None = None
    """of a policy of others: an .npz with mean, var, epsilon and clip of what it observed"""
    dish: str | None = None
    """of a family over dishes: which one; the same as FAMILY@dish=NAME"""
    split: SplitName = "train"
    """where the tasks come from"""
    physics: PhysicsName | None = None
    """what moves the worlds: mujoco, on this machine's cores, or warp (mujoco-warp), on a GPU where there
    is one; None: as NAME@physics=... says, else mujoco"""
    seed: int = fields.seed()
    """of tasks, worlds and the random policy"""
    episodes: int | None = fields.count(None, most=MOST, optional=True)
    """how many, each on a task of its own; None: 3, or 1 of each task of a grid"""
    updates: tuple[int, ...] = fields.counts((), least=0, most=1000, empty=True)
    """in place of episodes: one task after so many updates each, side by side, for example 0 1 5"""
    strategy: str | None = None
    """with --updates: how it adapts, as for metarl adapt; None: the way it was trained for, or fine-tune"""
    grid: str | None = None
    """ROWSxCOLUMNS, for example 3x3: so many tasks at once"""
    show: Literal["camera"] | None = None
    """what the family's camera sees, beside the film"""
    out: Path | None = None
    """the film, .mp4 or .gif; None: film.mp4, or film-2.mp4 where that is taken, and so on"""
    overwrite: bool = False
    """replace a film that is there"""
    live: bool = True
    """open a window where there is a display"""
    web: bool = False
    """in place of a film: a page for the browser, in which the scene can be turned and time goes back
    and forth; with --updates one side each; Ctrl-C closes it"""
    port: int = fields.count(8080, most=65535)
    """with --web: the page's port; if it is taken, the next one that is free"""
    host: str = "127.0.0.1"
    """with --web: who can see it; 127.0.0.1: this machine alone, 0.0.0.0: whoever reaches it"""
    strict: bool = False
    """refuse a checkpoint whose family has changed since it was trained, instead of a warning"""

    def run(self) -> int:
        """Run the command."""
        from metarl.commands.watch import watch

        return watch(**vars(self))


@dataclass(frozen=True)
class New:
    """Write a package of yours with a task family that passes every check, to be changed from there."""

    name: Annotated[Positional[str], arg(metavar="NAME")]
    """the package's name: lower-case letters, digits and _"""
    out: Path | None = None
    """the folder, which must not be there; None: one of that name, here"""

    def run(self) -> int:
        """Run the command."""
        from metarl.commands.new import new

        return new(**vars(self))


@dataclass(frozen=True)
class Check:
    """Run the conformance checks on a family; exit 1 if one fails."""

    family: FamilyName
    """NAME, NAME@OPTION=VALUE, or module:NAME to import a module first"""
    json: bool = False
    """print JSON, and nothing else, on stdout"""

    def run(self) -> int:
        """Run the command."""
        from metarl.commands.check import check

        return check(self.family)


@dataclass(frozen=True)
class Report:
    """Write a run's report, or compare several runs: one self-contained HTML file."""

    folders: Annotated[Positional[tuple[Path, ...]], arg(metavar="RUN_FOLDER ...")]
    """the folder that train wrote, or several: seeds of the same settings become a band"""
    out: Path | None = None
    """the HTML file; None: report.html in the run folder, written anew, or a new runs.html here"""
    overwrite: bool = False
    """replace an HTML file that is there"""
    film: bool = True
    """film held-out tasks for it, of one run: before and after some updates, where it learned to adapt"""

    def run(self) -> int:
        """Run the command."""
        from metarl.commands.report import report

        return report(**vars(self))


@dataclass(frozen=True)
class Runs:
    """List what was trained, adapted and compared, and how far it is."""

    folder: Annotated[Positional[Path], arg(metavar="FOLDER")] = Path("runs")
    """where to look, six folders deep"""
    json: bool = False
    """print JSON, and nothing else, on stdout"""
    page: bool = False
    """also write index.html into the folder, with links to the reports that are there"""

    def run(self) -> int:
        """Run the command."""
        from metarl.commands.runs import runs

        return runs(**words_of(self))


@dataclass(frozen=True)
class Train:
    """Train a policy on the training tasks of a family, or of several."""

    family: Annotated[Positional[tuple[str, ...]], arg(metavar="FAMILY ...")]
    """each NAME, NAME@OPTION=VALUE, or module:NAME to import a module first; several by multi-task or modular"""
    method: str = "maml"
    """ppo or dagger (imitation), the task in view; with it hidden: maml, maml-trpo, promp, reptile,
    meta-sgd, anil, rl2, pearl, meta-critic; of several families: multi-task
    (one trunk), modular (a part for each robot and each skill), or
    eyes (a camera in place of what the policy of --from was told)"""
    seed: int | None = fields.seed(None, optional=True)
    """of weights, worlds, tasks and noise; None: 0"""
    max_seconds: float | None = fields.seconds(None, optional=True)
    """stop after this wall time [s]"""
    iterations: int | None = fields.count(None, optional=True)
    """stop after so many updates; None: the method's own"""
    out: Path | None = None
    """the run folder; None: runs/FAMILY-METHOD-sSEED"""
    resume: bool = False
    """go on with the run in that folder; with --iterations beyond its end"""
    backend: Literal["torch", "learn2learn"] | None = None
    """who differentiates the inner loop, in methods that have one; None: torch"""
    device: str | None = None
    """where the networks live: cpu, cuda, cuda:1; None: cpu"""
    physics: PhysicsName | None = None
    """what moves the worlds: mujoco, on this machine's cores, or warp (mujoco-warp), on a GPU where there
    is one; None: as NAME@physics=... says, else mujoco"""
    start: Annotated[Path | None, arg(name="from", metavar="CHECKPOINT")] = None
    """begin with the weights of this checkpoint, run, shipped checkpoint (heat-ppo), or policy of
    others: a zip of Stable-Baselines3, a state_dict of CleanRL, a safetensors file"""
    map: Annotated[tuple[str, ...], arg(metavar="TARGET=SOURCE ...")] = ()
    """with --from: which columns of the source's observations, and rows of its actions, go where: robot=0:17,
    robot[8:17]=8:17*10, action[0:6]=action[1:7], object=new; other blocks by their names"""
    names: Annotated[tuple[str, ...], arg(metavar="HERE=THERE ...")] = ()
    """of a file of bare tensors: which is which, trunk.layers.0.weight=actor.0.weight ..., or a JSON
    file that says so"""
    statistics: Path | None = None
    """of a policy of others: an .npz with mean, var, epsilon and clip of what it observed"""
    strategy: str | None = None
    """with --from, by ppo: what of it is taken, and how it learns: fine-tune, frozen-trunk, small-rate,
    new-head, lower-layers, lp-ft, layerwise-rate, l2-sp, low-rank, wise-ft, kickstart, scratch;
    None: fine-tune"""
    strict: bool = False
    """with --from or --resume: refuse a checkpoint whose family has changed since, instead of a warning"""
    ray: RayAddress = None
    """split the tasks of every iteration over workers on Ray: alone, on this machine; auto or HOST:PORT, on a
    cluster (extra ray); by maml, maml-trpo, promp, reptile, meta-sgd and anil"""
    workers: int | None = fields.count(None, optional=True)
    """with --ray: how many workers, of one core each; None: one a core"""
    set: Annotated[tuple[str, ...], arg(metavar="NAME=VALUE ...")] = ()
    """other fields of the method's config, for example outer_rate=1e-3 num_tasks=40, and of the strategy"""

    def run(self) -> int:
        """Run the command."""
        require_device(self.device or "cpu")
        from metarl.commands.train import train

        return train(**vars(self))


@dataclass(frozen=True)
class Tune:
    """Search settings of a method, on training tasks of a family alone.

    Each trial trains with some settings and is judged on training tasks that training does not meet. A
    stopped search goes on by the same command. Needs Optuna: pip install 'metarl-sim[tune]'
    """

    family: FamilyName
    """NAME, NAME@OPTION=VALUE, or module:NAME to import a module first"""
    method: str = "maml"
    """what is trained, as for metarl train"""
    search: Annotated[tuple[str, ...], arg(metavar="NAME=RANGE ...")] = ()
    """what is searched: learning_rate=1e-4..1e-2:log epochs=2..8 activation=tanh,relu 'hidden=[8],[64,64]';
    None: every learning rate, ten times less to ten times more"""
    trials: int = fields.count(20, most=MOST)
    """how many settings are tried, the method's own first; more than before: the search goes on"""
    seeds: int = fields.count(2, most=1_000)
    """trainings of each trial; their mean is what the search makes large"""
    iterations: int | None = fields.count(None, optional=True)
    """of each training; None: the method's own"""
    metric: Literal["success", "score", "returns"] = "score"
    """what is judged; score is success where a family has no finer one"""
    num_tasks: int = fields.count(20, most=MOST)
    """training tasks that judge"""
    eval_episodes: int = fields.count(10, most=MOST)
    """of each task that judge"""
    episodes: int | None = fields.count(None, optional=True, most=MOST)
    """of each task for each update, of methods that adapt; None: 10"""
    updates: int | None = fields.count(None, least=0, optional=True, most=1_000)
    """after how many updates a method that adapts is judged; None: 5"""
    seed: int = fields.seed()
    """of what is tried and of the tasks that judge, and the first of the trainings' seeds"""
    together: int = fields.count(1, most=1_000)
    """trials side by side, which do not know of each other: for more cores than seeds"""
    start: Annotated[Path | None, arg(name="from", metavar="CHECKPOINT")] = None
    """every training begins with the weights of this checkpoint, as for metarl train"""
    set: Annotated[tuple[str, ...], arg(metavar="NAME=VALUE ...")] = ()
    """other fields of the method's config, the same in every trial"""
    jobs: int | None = fields.count(None, optional=True)
    """how many trainings at once; None: a process a core"""
    ray: RayAddress = None
    """run trainings on Ray: alone, on this machine; auto or HOST:PORT, on a cluster (extra ray)"""
    out: Path | None = None
    """the folder; None: runs/tune-FAMILY-METHOD-sSEED; with finished trials in it, the rest is run"""
    json: bool = False
    """print JSON, and nothing else, on stdout"""

    def run(self) -> int:
        """Run the command."""
        from metarl.commands.tune import tune

        return tune(**words_of(self))


@dataclass(frozen=True)
class Adapt:
    """Adapt a trained policy to tasks it has not seen, and measure it."""

    checkpoint: Annotated[Positional[Path], arg(metavar="CHECKPOINT")]
    """a checkpoint file, a run folder, the name of a shipped checkpoint (season-pearl), or a policy
    of others, of this family or of another"""
    family: FamilyName
    """NAME, NAME@OPTION=VALUE, or module:NAME to import a module first"""
    updates: int = fields.count(5, least=0, most=MOST)
    """how many updates on each task"""
    episodes: int = fields.count(10)
    """how many episodes for each update"""
    num_tasks: int = fields.count(20)
    """how many tasks"""
    eval_episodes: int = fields.count(10)
    """how many episodes of each task judge each update"""
    seed: int = fields.seed()
    """of tasks, worlds and noise"""
    strategy: str | None = None
    """None: the way it was trained for, or fine-tune. scratch, fine-tune, frozen-trunk, small-rate,
    new-head, lower-layers, lp-ft, layerwise-rate, l2-sp, low-rank, wise-ft or kickstart: by reward,
    or taught by the family's expert with -dagger behind it; or untrained-inner-loop (MAML's inner step
    on any policy), or strategy-optimization or bayesian-optimization (which task that the policy knows
    is this one most like?), or residual-search (and what must be added to the motions that it knows?)"""
    set: Annotated[tuple[str, ...], arg(metavar="NAME=VALUE ...")] = ()
    """of the strategy, for example rate=5e-4 log_std=-2.5, or steps=400 with an expert, or std=0.6 of a
    search; of the untrained inner loop, fields of maml's config, for example context_std=0.5"""
    split: SplitName = "test"
    """where the tasks come from"""
    physics: PhysicsName | None = None
    """what moves the worlds: mujoco, on this machine's cores, or warp (mujoco-warp), on a GPU where there
    is one; None: as NAME@physics=... says, else mujoco"""
    map: Annotated[tuple[str, ...], arg(metavar="TARGET=SOURCE ...")] = ()
    """which columns of the source's observations, and rows of its actions, go where: robot=0:17,
    robot[8:17]=8:17*10, action[0:6]=action[1:7], object=new; other blocks by their names"""
    names: Annotated[tuple[str, ...], arg(metavar="HERE=THERE ...")] = ()
    """of a file of bare tensors: which is which, trunk.layers.0.weight=actor.0.weight ..., or a JSON
    file that says so"""
    statistics: Path | None = None
    """of a policy of others: an .npz with mean, var, epsilon and clip of what it observed"""
    film: bool = True
    """film the first task before and after adaptation, side by side; of long episodes a time lapse"""
    out: Path | None = None
    """the folder; None: a new one in adaptations/"""
    strict: bool = False
    """refuse a checkpoint whose family has changed since it was trained, instead of a warning"""
    json: bool = False
    """print JSON, and nothing else, on stdout"""

    def run(self) -> int:
        """Run the command."""
        from metarl.commands.adapt import adapt

        return adapt(**words_of(self))


@dataclass(frozen=True)
class Advise:
    """Say which trained policies to start from on a task, how, and whether it will hurt; trains nothing."""

    words: Annotated[Positional[tuple[str, ...]], arg(metavar="SOURCE... TARGET")]
    """checkpoint files, run folders, names of shipped checkpoints (heat-ppo) or policies of others, then
    the family that is to be learned"""
    episodes: int | None = fields.count(None, least=2, most=MOST, optional=True)
    """how many episodes of each policy; None: 32, fewer where they are long"""
    seed: int = fields.seed()
    """of tasks, worlds, noise and new weights"""
    map: Annotated[tuple[str, ...], arg(metavar="TARGET=SOURCE ...")] = ()
    """of one source: which of its observations and actions go where, as metarl train takes it"""
    names: Annotated[tuple[str, ...], arg(metavar="HERE=THERE ...")] = ()
    """of one file of bare tensors: which is which, as metarl train takes it"""
    statistics: Path | None = None
    """of one policy of others: an .npz of what it observed, as metarl train takes it"""
    json: bool = False
    """print everything that is known as JSON, in place of the table"""
    out: Path | None = None
    """write the same to a file: .json, or .html for a page with a picture"""
    overwrite: bool = False
    """replace a file that is there"""

    def run(self) -> int:
        """Run the command."""
        from metarl.commands.advise import advise

        return advise(**words_of(self))


@dataclass(frozen=True)
class TransferMatrix:
    """Train every source to every target, and say where it helps and where it harms.

    Each family is a source and a target, learned by PPO with the task in view. A stopped matrix goes
    on by the same command.
    """

    families: Annotated[Positional[tuple[str, ...]], arg(metavar="FAMILY ...")] = ()
    """each NAME, NAME@OPTION=VALUE, or module:NAME to import a module first"""
    robots: tuple[str, ...] = ()
    """every family with each of these robots"""
    sources: Annotated[tuple[Path, ...], arg(metavar="CHECKPOINT ...")] = ()
    """further sources: checkpoint files, run folders, or names of shipped checkpoints"""
    strategies: tuple[str, ...] = ("fine-tune",)
    """what is kept of a source, and what of it learns; all: every one"""
    explorations: tuple[Literal["fresh", "source"], ...] = ("fresh", "source")
    """a fresh spread of actions, the source's, or both"""
    seeds: int = fields.count(3, most=MOST)
    """how many trainings of each"""
    iterations: int = fields.count(30)
    """of a target's training"""
    source_iterations: int = fields.count(60)
    """of a source's training"""
    adapt: int = fields.count(0, least=0, most=MOST)
    """also adapt every source to each target's hidden tasks, as metarl adapt does, in so many updates"""
    set: Annotated[tuple[str, ...], arg(metavar="NAME=VALUE ...")] = ()
    """other fields of ppo's config, for example num_worlds=256"""
    jobs: int | None = fields.count(None, optional=True)
    """how many cells at once; None: a process a core"""
    ray: RayAddress = None
    """run cells on Ray: alone, on this machine; auto or HOST:PORT, on a cluster (extra ray)"""
    out: Path = Path("matrices/matrix")
    """the folder; with finished cells in it, the rest is run"""
    again: bool = False
    """run cells anew whose settings differ from those that are there, instead of refusing"""
    only_report: bool = False
    """train nothing: make tables, pictures and page anew from the cells that are there"""
    json: bool = False
    """print JSON, and nothing else, on stdout"""

    def run(self) -> int:
        """Run the command."""
        from metarl.commands.transfer_matrix import transfer_matrix

        return transfer_matrix(**words_of(self))


@dataclass(frozen=True)
class Compare:
    """Learn one family from several sources by several strategies, and say which is best."""

    sources: Annotated[Positional[tuple[Path, ...]], arg(metavar="SOURCE ...")]
    """checkpoint files, run folders, names of shipped checkpoints, policies of Stable-Baselines3 or
    CleanRL, or families to be trained first"""
    family: Annotated[str, arg(metavar="FAMILY")]
    """what is learned"""
    strategies: tuple[str, ...] = ("fine-tune",)
    """what is kept of a source, and what of it learns; all: every one"""
    explorations: tuple[Literal["fresh", "source"], ...] = ("fresh", "source")
    """a fresh spread of actions, the source's, or both"""
    seeds: int = fields.count(3, most=MOST)
    """how many trainings of each"""
    iterations: int = fields.count(30)
    """of every training"""
    source_iterations: int = fields.count(60)
    """of a source that is trained first"""
    map: Annotated[tuple[str, ...], arg(metavar="TARGET=SOURCE ...")] = ()
    """which columns of the given policies' observations, and rows of their actions, go where, as for
    metarl train"""
    set: Annotated[tuple[str, ...], arg(metavar="NAME=VALUE ...")] = ()
    """other fields of ppo's config, for example num_worlds=256"""
    jobs: int | None = fields.count(None, optional=True)
    """how many cells at once; None: a process a core"""
    out: Path | None = None
    """the folder; None: comparisons/FAMILY; with finished cells in it, the rest is run"""
    again: bool = False
    """run cells anew whose settings differ from those that are there, instead of refusing"""
    json: bool = False
    """print JSON, and nothing else, on stdout"""

    def run(self) -> int:
        """Run the command."""
        from metarl.commands.compare import compare

        return compare(**words_of(self))


@dataclass(frozen=True)
class Benchmark:
    """Run a benchmark that a TOML file describes: families, methods, seeds, budgets; then its tables.

    A stopped one goes on by the same command. docs/benchmarks.md says what a file may say.
    """

    file: Annotated[Positional[Path | None], arg(metavar="FILE.toml")] = None
    """what is asked; benchmarks/quick.toml is one that takes two minutes"""
    modules: Annotated[tuple[str, ...], arg(metavar="MODULE ...")] = ()
    """modules that may be imported where the file names a family as module:NAME"""
    list: bool = False
    """run nothing: list the cells, and how many of them are finished"""
    jobs: int | None = fields.count(None, optional=True)
    """how many cells at once; None: a process a core"""
    ray: RayAddress = None
    """run cells on Ray: alone, on this machine; auto or HOST:PORT, on a cluster (extra ray)"""
    out: Path | None = None
    """the folder; None: runs/NAME, after the file; with finished cells in it, the rest is run"""
    physics: PhysicsName | None = None
    """what moves the worlds, in place of what the file says: mujoco or warp (mujoco-warp)"""
    again: bool = False
    """run cells anew whose definition differs from those that are there, instead of refusing"""
    only_report: bool = False
    """run nothing: make tables, pictures and page anew from the cells that are there"""
    json: bool = False
    """print JSON, and nothing else, on stdout"""

    def run(self) -> int:
        """Run the command."""
        from metarl.commands.benchmark import benchmark

        return benchmark(**words_of(self))


@dataclass(frozen=True)
class Demo:
    """Adapt shipped policies to tasks they never saw: films, a table and a report."""

    out: Path = Path("demo")
    """the folder to write to"""
    json: bool = False
    """print JSON, and nothing else, on stdout"""

    def run(self) -> int:
        """Run the command."""
        from metarl.commands.output import say
        from metarl.demo import run

        for path in run(self.out):
            say(f"wrote {path}")
        return 0


@dataclass(frozen=True)
class Version:
    """Print the version of metarl and of what it stands on."""

    def run(self) -> int:
        """Run the command."""
        from importlib.metadata import version

        from metarl.runs.checkpoint import release

        print(f"metarl {release()}")
        for name in ("mujoco", "torch", "gymnasium", "stable-baselines3", "numpy"):
            print(f"{name} {version(name)}")
        return 0


@dataclass(frozen=True)
class MetaWorld:
    """Make the interpreter in which Meta-World runs, for it needs another MuJoCo than ours."""

    what: Annotated[Positional[Literal["install"]], arg(metavar="install")]
    """makes a virtual environment in your cache folder, and fetches Meta-World into it"""
    python: Path | None = None
    """the Python from which it is made, 3.9 to 3.13; None: the one that runs this"""

    def run(self) -> int:
        """Run the command."""
        from metarl.commands.metaworld import install

        return install(self.python)


# What they write is in files, or worth keeping: that nobody reads what they print does not end them.
WRITE_FILES = (
    "new", "train", "tune", "adapt", "benchmark", "transfer-matrix", "compare", "advise", "watch", "report", "runs",
    "demo", "perceive", "metaworld",
)  # fmt: skip

COMMANDS: dict[str, type[Any]] = {
    "families": Families,
    "methods": Methods,
    "demo": Demo,
    "train": Train,
    "tune": Tune,
    "adapt": Adapt,
    "benchmark": Benchmark,
    "transfer-matrix": TransferMatrix,
    "compare": Compare,
    "advise": Advise,
    "watch": Watch,
    "perceive": perceive.Perceive,
    "new": New,
    "metaworld": MetaWorld,
    "check": Check,
    "report": Report,
    "runs": Runs,
    "version": Version,
}
