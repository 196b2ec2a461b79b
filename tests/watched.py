"""A family whose worlds a camera may watch: two models, and a ball in a colour of its task."""

import numpy as np
from sliders import Two

EYE = '<camera name="eye" pos="0 -.5 .7" xyaxes="1 0 0 0 .8 .6"/><light pos="0 0 2"/>'


class Watched(Two):
    """`Two`, with a camera."""

    id = "toy/watched"
    cameras = ("eye",)

    def models(self):
        return {
            name: text.replace("<worldbody>", f"<worldbody>{EYE}").replace('"1 1 1"', '".3 .3 1"')
            for name, text in super().models().items()
        }

    def configure(self, worlds, ids, task):
        super().configure(worlds, ids, task)
        mass = (task.mass_kg - 0.5) / 1.5
        colour = np.stack([mass, 0.3 + 0.0 * mass, 1.0 - mass], axis=1)
        worlds.model_field("geom_rgba")[ids, int(worlds.model.body("ball").geomadr[0]), :3] = colour
