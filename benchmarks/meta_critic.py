"""Does a critic of many tasks teach better than one that each task trains from scratch?

    python benchmarks/meta_critic.py

On the two control problems of Sung et al. 2017 (arXiv:1706.09529), with far smaller budgets:
bandits whose arms' success probabilities are a draw from a Dirichlet distribution, and cart-poles
with poles of different lengths, some held out. An actor begins anew in every new task, and both
critics see the same amount of it; "posterior" is what could be known of a bandit at best.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
import tyro
from shared.machine import write_result
from torch import Tensor, nn

from metarl.adapt.adaptation import per_task
from metarl.adapt.statistics import estimate
from metarl.family import TaskFamily
from metarl.learn.rollout import collect
from metarl.meta.critic.config import MetaCriticConfig
from metarl.meta.critic.lessons import Lesson, Pair, critic_errors, targets
from metarl.meta.critic.teaching import School, Teacher
from metarl.meta.critic.trainer import MetaCriticTrainer, task_blocks
from metarl.nn.critics import MetaCritic
from metarl.nn.functional import apply, expand, parameters_of
from metarl.nn.network import Network
from metarl.nn.policy import start_policy
from metarl.nn.trunks import Mlp
from metarl.sim.scene import Scene
from metarl.sim.worlds import Worlds
from metarl.streams import Streams
from metarl.types import Split, repeat, varies

Scores = dict[str, list[list[float]]]  # by method: (stages, K)
SELECTION = (
    "On seeds 100 to 103 and other new tasks, poles of held-out lengths among them. Own critics: 17"
    " settings on cart-poles, 5 on bandits; meta-critic: 5 and 9. Earlier drafts are not counted."
)
ARMS, PULLS, UPDATES, OWN_STEPS = 4, (5, 10, 20), (1, 2, 5), 100
POLES = MetaCriticConfig(
    num_tasks=10, episodes=5, embedding=8, encoder_hidden=32, critic_hidden=(64, 64), lessons=4,
    critic_steps=60, task_weight=0.0, gamma=0.97, teaching_steps=20, actor_rate=3e-3, pull=0.5,
    noise_decay=1.0, context_std=None, hidden=(32, 32), log_std=-0.7,
)  # fmt: skip


@dataclass(frozen=True)
class Config:
    """How much of everything."""

    seeds: tuple[int, ...] = (0, 1, 2)
    """Training seeds."""
    task_seed: int = 3000
    """Of the new tasks, which every training seed meets."""
    iterations: tuple[int, int] = (100, 8)
    """Of meta-training, on 200 bandits and on 10 cart-poles each."""
    num_tasks: tuple[int, int] = (200, 12)
    """New bandits and new cart-poles."""


class OwnCritics:
    """A critic for each of K tasks, trained on it alone; they share first weights and `scale`."""

    def __init__(self, width: int, num_tasks: int, generator: torch.Generator):
        trunk = Mlp(width, POLES.critic_hidden, "elu", generator=generator)
        self.network = Network(trunk, 1, generator, head_gain=0.01)
        shared = expand(parameters_of(self.network), num_tasks)
        self.params = {name: p.detach().clone().requires_grad_() for name, p in shared.items()}
        self.adam = torch.optim.Adam(self.params.values(), lr=2e-3)
        self.scale = torch.ones(())

    def __call__(self, obs: Tensor, action: Tensor, time: Tensor, embedding: Tensor) -> Tensor:
        """Value actions, (K, M)."""
        x = torch.cat([obs, action, time[..., None]], -1)
        return apply(self.network, self.params, x)[..., 0]

    def embed(self, trace: Tensor) -> Tensor:
        """There is nothing to tell apart."""
        return trace.new_zeros(len(trace), 0)

    def learn(self, lesson: Lesson, gamma: float, lam: float) -> None:
        """Take a step down each task's temporal-difference error."""
        obs, action, when = (x.flatten(1, 2) for x in (lesson.obs, lesson.action, lesson.time))
        value = self(obs, action, when, self.embed(lesson.trace)).view_as(lesson.reward)
        target = targets(value.detach(), lesson, gamma, lam)
        wrong = ((value - target).square() * lesson.mask).sum((1, 2)) / lesson.mask.sum((1, 2))
        self.adam.zero_grad()
        wrong.sum().backward()
        self.adam.step()


def draw_bandits(num: int, rng: np.random.Generator) -> Tensor:
    """Success probabilities of each arm, (K, ARMS); they sum to 1."""
    return torch.from_numpy(rng.dirichlet(np.ones(ARMS), size=num)).float()


def pull(bandits: Tensor, actors: Tensor, num: int, generator: torch.Generator) -> Lesson:
    """Pull arms: a lesson of one step in `num` episodes, all of them in one trace."""
    arm = torch.multinomial(actors.softmax(-1), num, replacement=True, generator=generator)
    won = torch.rand(arm.shape, generator=generator) < bandits.gather(1, arm)
    action, reward = nn.functional.one_hot(arm, ARMS).float()[:, None], won.float()[:, None]
    one, none = torch.ones_like(reward), torch.zeros_like(reward)
    trace = torch.cat([one[..., None], action, reward[..., None]], -1)
    return Lesson(one[..., None], action, none, reward, one, one, trace, torch.zeros(len(arm), 0))


def climb(actors: Tensor, value: Tensor, steps: int) -> Tensor:
    """Let actors, logits (K, ARMS), climb the mean of their arms' values (the policy gradient)."""
    taught = actors.clone().requires_grad_()
    adam = torch.optim.Adam([taught], lr=0.05)
    for _ in range(steps):
        adam.zero_grad()
        (-(taught.softmax(-1) * value).sum()).backward()
        adam.step()
    return taught.detach()


@torch.no_grad()
def values_of(critic: Teacher, trace: Tensor) -> Tensor:
    """What a critic says each arm is worth, (K, ARMS)."""
    one, arms = torch.ones(len(trace), ARMS), torch.eye(ARMS).expand(len(trace), -1, -1)
    return critic(one[..., None], arms, one - 1.0, critic.embed(trace))


def posterior_values(lesson: Lesson, rng: np.random.Generator) -> Tensor:
    """What each arm is worth to who knows how bandits are drawn, (K, ARMS)."""
    drawn = draw_bandits(20_000, rng).double().clamp(1e-9, 1.0 - 1e-9)
    won = (lesson.action * lesson.reward[..., None]).sum((1, 2)).double()
    lost = lesson.action.sum((1, 2)) - won
    return ((won @ drawn.log().T + lost @ (1.0 - drawn).log().T).softmax(-1) @ drawn).float()


def train_on_bandits(num_iterations: int, seed: int) -> MetaCritic:
    """Meta-train: fresh actors in fresh bandits, taught five times."""
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    critic = MetaCritic(1, ARMS, 0, generator, hidden=(80, 80), encoder_hidden=30, num_features=3)
    adam = torch.optim.Adam(critic.parameters())
    for i in range(num_iterations):
        adam.param_groups[0]["lr"] = 5e-3 * min(1.0, 2.0 - 2.0 * i / num_iterations)
        bandits, actors = draw_bandits(200, rng), torch.zeros(200, ARMS)
        trace = pull(bandits, actors, PULLS[-1], generator).trace
        if not i:
            critic.standardise(trace)
        for _ in range(5):
            known = trace[:, :, : rng.integers(3, PULLS[-1] + 1)]
            actors = climb(actors, values_of(critic, known), 3)
            lesson = pull(bandits, actors, PULLS[-1], generator)
            adam.zero_grad()
            critic_errors(critic, Pair(lesson, known), 0.0, 0.0).value.backward()
            nn.utils.clip_grad_norm_(critic.parameters(), 1.0)
            adam.step()
            trace = lesson.trace
    return critic


def try_bandits(config: Config, seed: int) -> Scores:
    """Expected reward of taught actors, and of what they are compared with."""
    critic = train_on_bandits(config.iterations[0], seed)
    rng = np.random.default_rng(config.task_seed)
    bandits = draw_bandits(config.num_tasks[0], rng)
    generator = torch.Generator().manual_seed(config.task_seed + seed)
    fresh, scores = torch.zeros(len(bandits), ARMS), Scores()
    for num in PULLS:
        lesson = pull(bandits, fresh, num, generator)
        own = OwnCritics(1 + ARMS + 1, len(bandits), generator)
        for _ in range(OWN_STEPS):
            own.learn(lesson, 0.0, 0.0)
        values = {
            "untaught": fresh,  # it knows no values
            "own critic": values_of(own, lesson.trace),
            "meta-critic": values_of(critic, lesson.trace),
            "posterior": posterior_values(lesson, rng),
            "optimum": bandits,
        }
        for name, value in values.items():
            chance = climb(fresh, value, 200).softmax(-1)
            scores.setdefault(name, []).append((chance * bandits).sum(1).tolist())
    return scores


CART_POLE = """<mujoco><option timestep="0.02"><flag contact="disable"/></option><worldbody>
<body name="cart"><joint name="track" type="slide" axis="1 0 0"/><geom size=".1" mass="1"/>
<body name="pole"><joint name="hinge" type="hinge" axis="0 1 0"/>
<geom type="capsule" fromto="0 0 0 0 0 1" size=".02" mass=".1"/></body></body></worldbody>
<actuator><motor joint="track" ctrlrange="-10 10"/></actuator></mujoco>"""
POLE_KG, LIMITS = 0.1, np.array([2.4, np.radians(12.0)])  # of the cart [m], of the pole [rad]
BANDS_M = {"train": [(0.5, 1.0), (2.0, 3.0), (4.0, 5.0)], "test": [(1.0, 2.0), (3.0, 4.0)]}


@dataclass(frozen=True)
class PoleTask:
    half_m: np.ndarray = varies("m", 0.5, 5.0, hidden=True, doc="half the pole's length")


class CartPole(TaskFamily[PoleTask]):
    """Balance a pole of unknown length for four seconds; lengths as in the authors' code."""

    task_type, horizon, control_dt_s, weights = PoleTask, 200, 0.02, {"up": 1.0}

    def models(self) -> dict[str, str]:
        return {"cart-pole": CART_POLE}

    def sample(self, rng: Streams, n: int, split: Split) -> PoleTask:
        bands = np.array(BANDS_M[split])
        return PoleTask(rng.uniform(*bands[rng.integers(len(bands))].T))

    def configure(self, worlds: Scene, ids: np.ndarray, task: PoleTask) -> None:
        pole, across = worlds.id("body", "pole"), POLE_KG * task.half_m**2 / 3.0
        worlds.model_field("body_ipos")[ids, pole, 2] = task.half_m
        worlds.model_field("body_inertia")[ids, pole, :2] = across[:, None]

    def reset(self, worlds: Scene, ids: np.ndarray, task: PoleTask, rng: Streams) -> None:
        state = rng.uniform(-0.05, 0.05, size=4)
        worlds.qpos[ids], worlds.qvel[ids] = state[:, :2], state[:, 2:]

    def observe(self, worlds: Scene, task: PoleTask) -> dict[str, np.ndarray]:
        return {"robot": np.concatenate([worlds.qpos / LIMITS, worlds.qvel / [2.0, 1.0]], axis=1)}

    def terms(self, worlds: Scene, task: PoleTask, action: np.ndarray) -> dict[str, np.ndarray]:
        return {"up": self.success(worlds, task).astype(float)}

    def failure(self, worlds: Scene, task: PoleTask) -> np.ndarray:
        return ~self.success(worlds, task)

    def success(self, worlds: Scene, task: PoleTask) -> np.ndarray:
        return (np.abs(worlds.qpos) <= LIMITS).all(axis=1)


def try_poles(config: Config, seed: int) -> Scores:
    """Steps that taught actors, without noise, keep new poles up."""
    settings = replace(POLES, seed=seed, iterations=config.iterations[1])
    trainer = MetaCriticTrainer(CartPole(), settings, num_threads=1)
    for _ in range(settings.iterations):
        trainer.iterate()
    own, taught = (teach_on_poles(config, seed, critic) for critic in (None, trainer.critic))
    stages = {"untaught": [own[0]] * len(UPDATES), "own critic": [own[u] for u in UPDATES]}
    return {**stages, "meta-critic": [taught[u] for u in UPDATES]}


def teach_on_poles(config: Config, seed: int, critic: MetaCritic | None) -> list[list[float]]:
    """Teach fresh actors by a fixed critic, or by critics that begin anew: (updates + 1, K)."""
    num, episodes = config.num_tasks[1], POLES.episodes
    generator = torch.Generator().manual_seed(config.task_seed + seed)
    worlds = Worlds(CartPole(), num * episodes, seed=config.task_seed, num_threads=1, held_out=True)
    worlds.assign(repeat(worlds.sample("test", np.arange(0, num * episodes, episodes)), episodes))
    policy = start_policy(worlds.spec, generator, hidden=POLES.hidden, log_std=POLES.log_std)
    own = OwnCritics(worlds.spec.obs_dim + worlds.spec.action_dim + 1, num, generator)
    school = School(
        worlds, policy, per_task(policy, parameters_of(policy), num), critic or own, POLES,
        task=task_blocks(worlds, num), generator=generator,
    )  # fmt: skip
    returns = []
    for update in range(UPDATES[-1] + 1):
        if update:
            school.explore()
            if critic is None:
                for i in torch.randint(update, (OWN_STEPS,), generator=generator).tolist():
                    own.learn(school.lessons[i], POLES.gamma, POLES.lam)
                own.scale = school.steepness()
            school.teach()
        judged = collect(
            worlds, policy, school.params, num_tasks=num, generator=generator, deterministic=True
        )
        returns.append(judged.returns.reshape(num, episodes).mean(1).tolist())
    return returns


def table(title: str, by_seed: list[Scores]) -> dict[str, Any]:
    """Mean and 95 % interval of every method over seeds and tasks, stage by stage."""
    scores = {name: np.array([found[name] for found in by_seed]) for name in by_seed[0]}
    scores["meta - own"] = scores["meta-critic"] - scores["own critic"]  # on the same tasks
    rng, rows = np.random.default_rng(0), {}
    print(title)
    for name, found in scores.items():  # (S, stages, K)
        stages = [estimate(found[:, i], rng) for i in range(found.shape[1])]
        print(f"  {name:<13}" + "".join(f"{stage!s:<28}" for stage in stages), flush=True)
        rows[name] = [asdict(stage) for stage in stages]
    return rows


def main(config: Config) -> None:
    """Train, teach, print and write."""
    torch.set_num_threads(1)
    bandits = [try_bandits(config, seed) for seed in config.seeds]
    rows = {"bandits": table(f"reward on new bandits after {PULLS} pulls", bandits)}
    poles = [try_poles(config, seed) for seed in config.seeds]
    rows["cart-poles"] = table(f"steps (of 200) on new poles after {UPDATES} updates", poles)
    settings = {"config": asdict(config), "poles": asdict(POLES), "selection": SELECTION}
    print(f"wrote {write_result('meta-critic', settings | rows)}")


if __name__ == "__main__":
    main(tyro.cli(Config))
