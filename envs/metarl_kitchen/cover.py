"""Cover a pot: take the lid by its knob and put it where the pot really is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from metarl.registry import register
from metarl.rewards import closeness, distance
from metarl.robots.robot import NUM_USERDATA, STEP_RAD
from metarl.sim.scene import Scene
from metarl.streams import Streams
from metarl.types import Split, varies
from metarl_kitchen.cells import draw, is_held_out
from metarl_kitchen.furniture import vessel
from metarl_kitchen.kitchen import KitchenFamily

POT_RADIUS_M, POT_HEIGHT_M = 0.07, 0.07
LID_RADIUS_M = 0.088
CENTRED_M = 0.015  # the lid still covers the corners of the rim
KNOB_M = 0.023  # height of the knob's middle, the lid's origin, over the lid's underside
CLOSED_M = POT_HEIGHT_M + KNOB_M  # height of the knob when the lid lies on the rim

LID_X, LID_Y = (0.44, 0.56), (-0.20, -0.14)  # [m]
SEEN_X, SEEN_Y = (0.40, 0.58), (0.10, 0.22)  # [m]
OFFSET_M, FAR_M = (0.025, 0.045), (0.047, 0.055)
DIRECTION_RAD = (-np.pi, np.pi)
KNOB_HALF_M = (0.012, 0.016)
MASS_KG = (0.08, 0.24)
FRICTION = (0.8, 1.4)

# The knob is the widest: physics filters contacts by bounding spheres, which configure() leaves
# alone. Its contact is overdamped: a springy knob chatters between the fingers and slips out.
LID = f"""
<body name="lid" pos=".5 -.2 .03">
  <freejoint name="lid"/>
  <geom type="cylinder" size="{LID_RADIUS_M} .003" pos="0 0 -.020" mass=".18" material="enamel" class="thing"/>
  <geom type="cylinder" size=".066 .0015" pos="0 0 -.0155" material="enamel" class="show"/>
  <geom type="cylinder" size=".042 .0015" pos="0 0 -.0125" material="steel" class="show"/>
  <geom name="knob" type="box" size=".018 {KNOB_HALF_M[1]} .012" mass=".02" material="finger" class="thing" priority="1" friction="1 .01 .001" solref=".02 4"/>
</body>"""
# What the camera reports, for whoever watches.
SEEN = f"""
<body name="seen" mocap="true">
  <geom type="cylinder" size="{POT_RADIUS_M + 0.008} .0005" pos="0 0 .0005" rgba=".3 .8 .9 .35" class="show"/>
</body>"""


@dataclass(frozen=True)
class CoverTask:
    """Where the lid lies, how it can be held, and where the camera sees the pot."""

    lid_m: np.ndarray = varies(
        "m", (LID_X[0], LID_Y[0]), (LID_X[1], LID_Y[1]), hidden=False, doc="place of the lid"
    )
    seen_m: np.ndarray = varies(
        "m",
        (SEEN_X[0], SEEN_Y[0]),
        (SEEN_X[1], SEEN_Y[1]),
        hidden=False,
        doc="where the camera sees the pot",
    )
    offset_m: np.ndarray = varies(
        "m",
        (-FAR_M[1],) * 2,
        (FAR_M[1],) * 2,
        hidden=True,
        doc="from the pot to where the camera sees it",
    )
    knob_m: np.ndarray = varies("m", *KNOB_HALF_M, hidden=False, doc="half width of the knob")
    mass_kg: np.ndarray = varies("kg", *MASS_KG, hidden=True, doc="mass of the lid")
    friction: np.ndarray = varies("1", *FRICTION, hidden=True, doc="sliding friction of the knob")

    @property
    def pot_m(self) -> np.ndarray:
        """Where the pot really stands [m], (n, 2)."""
        return self.seen_m - self.offset_m


@register("kitchen/cover")
class Cover(KitchenFamily[CoverTask]):
    """Close a pot with its lid though the camera misplaces the pot."""

    task_type = CoverTask
    horizon = 60
    weights = {"reach": 0.2, "grip": 0.1, "lift": 0.3, "carry": 1.0, "centre": 1.5, "closed": 3.0}
    floor_m = 0.018  # the fingertips just clear the lid
    still = ("tilt",)  # the hand points straight down

    def models(self) -> dict[str, Any]:
        """A lid on the counter, and a pot with two handles and something in it."""
        more = (
            f'<geom type="cylinder" size="{POT_RADIUS_M - 0.002} .02" pos="0 0 .028"'
            ' rgba=".85 .55 .22 1" class="show"/>'
            f'<geom type="box" size="{POT_RADIUS_M + 0.03} .02 .004" pos="0 0 .042"'
            ' material="finger" class="show"/>'
        )
        pot = vessel("pot", POT_RADIUS_M, POT_HEIGHT_M, "enamel")
        things = LID + pot.replace("</body>", more + "</body>") + SEEN
        return {"kitchen": self.scene(things, num_userdata=NUM_USERDATA)}

    def sample(self, rng: Streams, n: int, split: Split) -> CoverTask:
        """Draw offsets in a ring; cells of their direction are held out, far lies outside."""
        turn = draw(rng, split, *DIRECTION_RAD, far=DIRECTION_RAD)
        size = draw(rng, "far" if split == "far" else "train", *OFFSET_M, far=FAR_M, every=99)
        return CoverTask(
            rng.uniform([LID_X[0], LID_Y[0]], [LID_X[1], LID_Y[1]], size=2),
            rng.uniform([SEEN_X[0], SEEN_Y[0]], [SEEN_X[1], SEEN_Y[1]], size=2),
            size[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1),
            rng.uniform(*KNOB_HALF_M),
            rng.uniform(*MASS_KG),
            rng.uniform(*FRICTION),
        )

    def in_split(self, task: CoverTask, split: Split) -> np.ndarray:
        """Say which tasks belong to a split, (n,) bool."""
        x, y = task.offset_m.T
        far = np.hypot(x, y) > OFFSET_M[1] + 1e-9  # back from polar coordinates
        held = is_held_out(np.arctan2(y, x), *DIRECTION_RAD)
        return {"train": ~far & ~held, "test": ~far & held, "far": far}[split]

    def configure(self, worlds: Scene, ids: np.ndarray, task: CoverTask) -> None:
        """Give the lid its knob, mass and inertia."""
        knob, lid, model = worlds.id("geom", "knob"), worlds.id("body", "lid"), worlds.model
        worlds.model_field("geom_size")[ids, knob, 1] = task.knob_m
        worlds.model_field("geom_friction")[ids, knob, 0] = task.friction
        worlds.model_field("body_mass")[ids, lid] = task.mass_kg
        per_mass = model.body_inertia[lid] / model.body_mass[lid]
        worlds.model_field("body_inertia")[ids, lid] = task.mass_kg[:, None] * per_mass

    def reset(self, worlds: Scene, ids: np.ndarray, task: CoverTask, rng: Streams) -> None:
        """Lay the lid on the counter, put the pot down, hold the hand between them."""
        flat = np.zeros(len(ids))
        worlds.mocap_pos("pot")[ids] = np.column_stack([task.pot_m, flat])
        worlds.mocap_pos("seen")[ids] = np.column_stack([task.seen_m, flat])
        turn, height = rng.uniform(-0.2, 0.2) / 2.0, flat + KNOB_M + 0.001
        worlds.joint_pos("lid")[ids] = np.column_stack(
            [task.lid_m, height, np.cos(turn), flat, flat, np.sin(turn)]
        )
        start = np.array([0.50, -0.05, 0.18]) + rng.uniform(-0.03, 0.03, size=3)
        self.robot.place(worlds, ids, start)

    def things(self, worlds: Scene, task: CoverTask) -> np.ndarray:
        """The lid by its knob, and its way to where the pot seems to be."""
        knob = worlds.body_pos("lid")
        away = np.clip((knob - worlds.site_pos("grip")) / 0.1, -8.0, 8.0)
        place = (knob - [0.5, 0.0, 0.05]) / 0.2
        missing = np.clip((task.seen_m - knob[:, :2]) / 0.05, -8.0, 8.0)
        speed = worlds.joint_vel("lid")[:, :3]
        lies = worlds.body_mat("lid")[:, [1, 2, 5]]  # turned, and leaning in x and y
        lid = np.concatenate([away, place, speed, lies, missing], axis=1)
        return lid

    def terms(self, worlds: Scene, task: CoverTask, action: np.ndarray) -> dict[str, np.ndarray]:
        """Reach the knob, close on it, lift it, carry it over the pot's middle, let go there."""
        lid = worlds.body_pos("lid")
        away = distance(lid, worlds.site_pos("grip"))
        missing = self._missing(worlds, task)
        near = away < 0.03
        raised = np.clip((lid[:, 2] - KNOB_M) / POT_HEIGHT_M, 0.0, 1.0)
        over = (missing < POT_RADIUS_M) & (raised > 0.95)  # above the pot or on it
        lifted = np.maximum(raised * near, over)
        centred = closeness(missing, POT_RADIUS_M)
        closed = 1.0 - self.robot.opening(worlds)
        return {
            "reach": np.maximum(0.5 * closeness(away, 0.4) + 0.5 * closeness(away, 0.06), over),
            "grip": np.maximum(near * closed, over),
            "lift": lifted,
            "carry": closeness(missing, 0.5) * lifted,
            "centre": centred * over,
            "closed": self._lies(worlds) * centred * np.minimum(away / 0.05, 1.0),
        }

    def success(self, worlds: Scene, task: CoverTask) -> np.ndarray:
        """The lid lies flat on the rim, centred within 15 mm, at rest, the hand 3 cm away."""
        speed = np.sqrt((worlds.joint_vel("lid")[:, :3] ** 2).sum(axis=1))
        away = distance(worlds.body_pos("lid"), worlds.site_pos("grip"))
        centred = self._missing(worlds, task) < CENTRED_M
        return self._lies(worlds) & centred & (speed < 0.05) & (away > 0.03)

    def caption(self, worlds: Scene, task: CoverTask) -> list[str]:
        """How far the lid is from the pot's middle, and by how much the camera misplaces the pot."""
        missing = 1000.0 * self._missing(worlds, task)
        wrong = 1000.0 * distance(task.seen_m, task.pot_m)
        return [
            f"lid {mm:.0f} mm from the middle{'  ·  lies on the rim' if lies else ''}"
            f"  ·  camera is off by {off:.0f} mm"
            for mm, off, lies in zip(missing, wrong, self._lies(worlds))
        ]

    def hand_expert(self, worlds: Scene, task: CoverTask) -> np.ndarray:
        """Go above the knob, come down, close, carry it over the pot, let go, rise."""
        lid, hand = worlds.body_pos("lid"), worlds.site_pos("grip")
        action = np.zeros((worlds.num_worlds, 6))
        action[:, 3:5] = np.clip(-self.robot.target_angles(worlds) / STEP_RAD, -1.0, 1.0)
        beside, missing = distance(lid[:, :2], hand[:, :2]), self._missing(worlds, task)
        opening = self.robot.opening(worlds)
        at_knob = (beside < 0.03) & (np.abs(hand[:, 2] - lid[:, 2]) < 0.02)
        still = np.abs(self.robot.opening_speed(worlds)) < 0.5
        gripped = at_knob & (opening < 0.6) & (still | (lid[:, 2] > KNOB_M + 0.01))
        placed = (missing < 0.01) & (lid[:, 2] < CLOSED_M + 0.006)
        # The hand follows its target with a lag: empty it leads, with the lid it goes gently.
        reach = lid - hand
        reach[:, 2] += np.where(beside < 0.015, 0.0, 0.06)
        height = CLOSED_M + np.clip(2.0 * missing - 0.03, -0.012, 0.03)
        carry = np.column_stack([task.pot_m, height]) - lid
        # only above the rim may it come near the pot
        clear = (lid[:, 2] > CLOSED_M - 0.01) | ((missing > 0.2) & (lid[:, 2] > KNOB_M + 0.01))
        carry[:, :2] *= clear[:, None]
        rise = [0.0, 0.0, 0.06] * (opening > 0.5)[:, None]
        way = np.where(placed[:, None], rise, np.where(gripped[:, None], carry, 1.5 * reach))
        action[:, :3] = self.robot.steer(worlds, hand + way)
        action[:, :2] = np.where(gripped[:, None], np.clip(action[:, :2], -0.8, 0.8), action[:, :2])
        close = (beside < 0.015) & (np.abs(hand[:, 2] - lid[:, 2]) < 0.012) | gripped
        action[:, 5] = np.where(close & ~placed, 1.0, -1.0)
        return action

    @staticmethod
    def _missing(worlds: Scene, task: CoverTask) -> np.ndarray:
        """How far the lid is from the pot's middle, seen from above [m], (N,)."""
        return distance(worlds.body_pos("lid")[:, :2], task.pot_m)

    @staticmethod
    def _lies(worlds: Scene) -> np.ndarray:
        """Whether the lid lies flat at the height of the rim, (N,) bool."""
        flat = worlds.body_mat("lid")[:, 8] > 0.995
        return flat & (np.abs(worlds.body_pos("lid")[:, 2] - CLOSED_M) < 0.004)
