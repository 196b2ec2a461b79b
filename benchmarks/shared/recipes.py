"""What is trained on which family, for how long, and with which settings.

Budgets are iterations, so that a cell does not depend on the machine's speed. Settings were
chosen on train tasks, with training seeds that are in no table; README.md has the log.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from metarl.adapt.protocol import Protocol
from metarl.demo import DISH_FINE_TUNING, DISH_INNER_LOOP
from metarl.matrix.cells import NOISE
from metarl.meta.maml.config import InnerLoop


@dataclass(frozen=True)
class Recipe:
    """How one method is trained on one family.

    Args:
        method: Its name.
        iterations: How long.
        settings: Fields of its config that differ from its defaults.
        start: Family whose pretrained policy it starts from; None: from nothing.
    """

    method: str
    iterations: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    start: str | None = None


# In breadth every method meets one family, the one that separates them best; in depth the best meet
# others; these they meet once, with one seed.
BREADTH = "kitchen/season"
IMITATED = ("kitchen/cover", "kitchen/serve", "kitchen/pour", "kitchen/flip")
ONCE = (*IMITATED, "kitchen/stir", "classic/ant-goal")

# The published standards have no scripted expert; their references are trained.
_SMALL = {"num_worlds": 64, "minibatch": 1280, "gamma": 0.99}
_ANT = {"num_worlds": 64, "minibatch": 512, "epochs": 10, "gamma": 0.95, "reward_scale": 0.1}
REFERENCES = {
    "classic/point-navigation": Recipe("ppo", 200, _SMALL),
    "classic/cheetah-direction": Recipe("ppo", 200, _SMALL),
    "classic/cheetah-velocity": Recipe("ppo", 200, _SMALL),
    "classic/ant-goal": Recipe("ppo", 400, _ANT),
}

# The policy that every method starts from: PPO, or imitation where PPO finds no way; one
# episode in each of 512 worlds an iteration.
_MANY = {"hidden": [128, 128], "minibatch": 512, "learning_rate": 1e-3, "log_std": -2.0}
_LONG = {**_MANY, "num_worlds": 96, "epochs": 8, "log_std": -2.5, "mixing": 0.5, "segment": 40}
PRETRAINING = {
    "kitchen/season": Recipe("ppo", 70),
    "kitchen/heat": Recipe("ppo", 70),
    "kitchen/add": Recipe("dagger", 25),
    "kitchen/skills": Recipe("dagger", 120, _MANY),
    "kitchen/dishes": Recipe("dagger", 100, _LONG, start="kitchen/skills"),
    "classic/point-navigation": REFERENCES["classic/point-navigation"],
    "classic/cheetah-velocity": REFERENCES["classic/cheetah-velocity"],
    "classic/cheetah-direction": REFERENCES["classic/cheetah-direction"],
    **{family: Recipe("dagger", 30, _MANY) for family in IMITATED},
    "kitchen/stir": Recipe("ppo", 70),
    "classic/ant-goal": REFERENCES["classic/ant-goal"],
}

# Iterations on a family of short episodes: four to seven minutes on one core.
ITERATIONS = {
    "maml": 60,  # of six collections of 20 tasks x 10 episodes
    "rl2": 40,  # of 100 trials of four episodes
    "pearl": 20,
    "anil": 40,
    "reptile": 50,
    "promp": 50,  # of four collections
    "meta-sgd": 50,  # of four collections
    "maml-trpo": 40,
    "meta-critic": 35,
}
# Where a family's iterations take longer.
FEWER = {
    ("kitchen/skills", "maml"): 30,
    ("kitchen/dishes", "maml"): 8,
    ("kitchen/dishes", "rl2"): 20,
    ("kitchen/dishes", "pearl"): 3,  # of two minutes
    ("classic/cheetah-velocity", "maml"): 40,
    ("classic/cheetah-direction", "maml"): 20,
    **{(family, "maml"): 30 for family in (*IMITATED, "kitchen/stir")},
    ("classic/ant-goal", "maml"): 6,
    ("classic/ant-goal", "rl2"): 20,
    ("classic/ant-goal", "pearl"): 6,
}
# Cells that were trained before their family got the number above, and stand in the tables.
OF_SEED = {("classic/cheetah-direction", "maml", 0): 40}

DEPTH = ("maml", "rl2", "pearl")
# Cells of what needs the pretrained policy alone. Where reward is not enough, the family's expert
# teaches; where ten episodes are not, there are many.
STRATEGIES = ("scratch", "fine-tune", "frozen-trunk", "small-rate")
# What else a pretrained policy can be learned from by, a cell each; all at their own defaults.
REUSES = (
    "new-head", "lower-layers", "lp-ft", "layerwise-rate", "l2-sp", "low-rank", "wise-ft", "kickstart",
)  # fmt: skip
REUSED = "strategies"  # stands for all of these
TEACHABLE = tuple(f"{name}-dagger" for name in STRATEGIES)
UNTRAINED, SEARCH, RESIDUAL = "untrained-inner-loop", "strategy-optimization", "residual-search"
BAYES = "bayesian-optimization"
LEVELS, SEARCHED, TAUGHT = "baselines", "searched", "taught"
MANY, MANY_SEARCHED, MANY_RESIDUAL = "many", "many-searched", "many-residual"
MOST, MOST_RESIDUAL = "most", "most-residual"
# The control arms, one a table: the same once more, but for its noise.
CONTROL, TAUGHT_CONTROL = "control", "taught-control"
MANY_CONTROL, MOST_CONTROL = "many-control", "most-control"
CONTROLS = (CONTROL, TAUGHT_CONTROL, MANY_CONTROL, MOST_CONTROL)
ALONE = {
    LEVELS: (*STRATEGIES, UNTRAINED),
    SEARCHED: (SEARCH,),
    TAUGHT: ("scratch-dagger", "fine-tune-dagger", "frozen-trunk-dagger"),
    MANY: ("scratch", "fine-tune", UNTRAINED),
    MANY_SEARCHED: (SEARCH,),
    MANY_RESIDUAL: (RESIDUAL,),
    MOST: ("scratch", "fine-tune", UNTRAINED, SEARCH),
    MOST_RESIDUAL: (RESIDUAL,),
    **dict.fromkeys(CONTROLS, ("fine-tune",)),
    TAUGHT_CONTROL: ("fine-tune-dagger",),
}
FEW_EPISODES = Protocol().episodes
# 80 of 60 control steps: 4,800 steps an update, as ML10's 10 of 500; and twice as many. From so many a
# search learns how far to look.
WITH_MANY = ("kitchen/skills",)
EPISODES = {
    **dict.fromkeys((MANY, MANY_SEARCHED, MANY_RESIDUAL, MANY_CONTROL), 80),
    **dict.fromkeys((MOST, MOST_RESIDUAL, MOST_CONTROL), 160),
}
MANY_SEARCH = {"decay": None}
HARD = ("kitchen/skills", "kitchen/dishes")
ONE_SEED = {(family, "pearl") for family in HARD}  # its encoder learns neither (log in README.md)

# Where a family asks for other settings than a method's own.
# Published with one inner update, and of second order: five of those are slow.
_THREE = {"inner_updates": 3, "multi_step": True}
# Only the end of an episode tells where the pan was, and a short-sighted outer loss unlearns to let
# the food go.
_LATE = {
    "context_std": 0.5, "context_decay": 0.7, "log_std": -2.0, "outer_gamma": 0.98,
    "outer_rate": 3e-4,
}  # fmt: skip
SETTINGS: dict[tuple[str, str], dict[str, Any]] = {
    ("kitchen/season", "anil"): {"first_order": True, "outer_epochs": 10},
    ("kitchen/season", "promp"): _THREE,
    ("kitchen/season", "meta-sgd"): _THREE,
    ("kitchen/season", "maml-trpo"): {"first_order": True, "inner_updates": 5},
    ("kitchen/heat", "maml"): {"weigh_tasks": True},
    ("kitchen/add", "maml"): _LATE,
    **{(family, "maml"): _LATE for family in IMITATED},  # nothing else was tried for them
    ("classic/point-navigation", "maml"): {"context_decay": 0.45},
    ("classic/cheetah-velocity", "maml"): {"context_decay": 0.45},
    ("kitchen/dishes", "maml"): {
        **DISH_INNER_LOOP,
        "num_tasks": 6,
        "outer_rate": 1e-4,
        "outer_epochs": 5,
    },
    ("kitchen/dishes", "rl2"): {
        "num_tasks": 48,
        "trial": 2,
        "log_std": -2.5,
        "gamma": 0.99,
        "lam": 0.95,
    },
}

# Where a family asks for another protocol: fewer episodes to judge by where they are long, and fewer
# updates where the expert teaches at length.
PROTOCOLS: dict[str, dict[str, Any]] = {"kitchen/dishes": {"eval_episodes": 2}}
FEWER_UPDATES = {("kitchen/dishes", TAUGHT): 5, ("kitchen/dishes", TAUGHT_CONTROL): 5}
# Where strategies meet a family with other settings than their own: those that won on its train
# tasks. The untrained inner loop goes as MAML does.
ADAPTING: dict[tuple[str, str], Mapping[str, Any]] = {
    **{("kitchen/dishes", name): DISH_FINE_TUNING for name in (*STRATEGIES, *REUSES)},
    **{("kitchen/dishes", name): {"rate": 3e-4} for name in TEACHABLE},
}


# MAML's returns after 0, 1, 2 and 3 gradient steps of 20 episodes, about: as descriptions of figure
# 5 of Finn et al. 2017, arXiv:1703.03400, read it (they differ by 15; the figure itself was not at
# hand). Its rewards and horizon are ours; its policies started from nothing.
PUBLISHED = {
    "classic/cheetah-velocity": (-130.0, -80.0, -75.0, -75.0),
    "classic/cheetah-direction": (0.0, 300.0, 320.0, 320.0),
}


def methods(family: str) -> tuple[str, ...]:
    """Which cells a family has: those of `ALONE`, and the methods."""
    hard = family in HARD
    own = tuple(ITERATIONS) if family == BREADTH else (*DEPTH, TAUGHT) if hard else DEPTH
    many = tuple(EPISODES) * (family in WITH_MANY)
    controls = (CONTROL, TAUGHT_CONTROL) if hard else (CONTROL,)
    return tuple(dict.fromkeys((LEVELS, SEARCHED, BAYES, *own, *many, *controls, *REUSES)))


def seeds(family: str, method: str) -> range:
    """Training seeds of a family's tables."""
    once = family in ONCE or (family, method) in ONE_SEED
    return range(5 if family == BREADTH else 1 if once else 3)


# What a family's table is about, where it is not success.
METRIC = {"kitchen/dishes": "score"}


def recipe(family: str, method: str, seed: int) -> Recipe:
    """Look up how a method is trained on a family."""
    usual = FEWER.get((family, method), ITERATIONS[method])
    iterations = OF_SEED.get((family, method, seed), usual)
    return Recipe(method, iterations, SETTINGS.get((family, method), {}))


def protocol(family: str, cell: str, num_tasks: int, updates: int) -> Protocol:
    """Look up how adaptation is measured in a cell; fewer updates at most, where the family asks so."""
    own = dict(PROTOCOLS.get(family, {}))
    if cell in EPISODES:
        own["episodes"] = EPISODES[cell]
    if cell in CONTROLS:
        own["noise"] = NOISE
    updates = min(updates, FEWER_UPDATES.get((family, cell), updates))
    return Protocol(num_tasks=num_tasks, updates=updates, **own)


def adapting(family: str, cell: str, method: str) -> dict[str, Any]:
    """Look up the settings by which a method meets a family's tasks, in a cell."""
    if method == UNTRAINED:
        own = {f.name for f in fields(InnerLoop)}
        return {k: v for k, v in SETTINGS.get((family, "maml"), {}).items() if k in own}
    if method == SEARCH and cell in EPISODES:
        return dict(MANY_SEARCH)
    return dict(ADAPTING.get((family, method), {}))


def metric(family: str) -> str:
    """Choose between ``success``, ``score`` and ``returns``."""
    return "returns" if family.startswith("classic/") else METRIC.get(family, "success")
