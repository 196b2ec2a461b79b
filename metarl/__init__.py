"""Meta-learning and robot skill transfer on batched MuJoCo task families."""

from metarl.film.gl import choose_gl

choose_gl()  # before anything imports MuJoCo, which looks for a way to draw only once
del choose_gl
