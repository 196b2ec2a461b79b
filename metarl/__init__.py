"""Meta-learning and robot skill transfer on batched MuJoCo task families."""

import sys

from metarl.film.gl import choose_gl

choose_gl()  # before anything imports MuJoCo, which looks for a way to draw only once
if "gymnasium" in sys.modules:  # whose make() then finds the families: "metarl/kitchen-season-v0"
    from metarl import interop as interop
del choose_gl, sys
