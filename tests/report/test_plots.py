"""Pictures of numbers: curves, bars, heat maps, and their colours."""

import io
import subprocess
import sys

import matplotlib.image
import numpy as np
import pytest
from matplotlib.colors import to_rgba

from metarl.errors import ConfigError, ShapeError
from metarl.methods import get_method, method_names
from metarl.report import (
    Curve,
    bars_png,
    curves_png,
    heatmap_png,
    metrics_png,
)
from metarl.report import canvas as canvas_module
from metarl.report.canvas import spread
from metarl.report.colors import METHODS, OTHERS, ink_on, luminance, method_colors, readable
from metarl.report.heatmap import BAD, GOOD
from metarl.transfer.strategy import strategies_by_name


def make_curve(label="MAML", end=0.9):
    mean = np.linspace(0.1, end, 4)
    return Curve(label, np.arange(4), mean, mean - 0.05, mean + 0.05)


def shape(png):
    return matplotlib.image.imread(io.BytesIO(png)).shape


def axes_of(monkeypatch, draw):
    """The axes of the figure that `draw` draws."""
    figures = []
    write = canvas_module.png
    monkeypatch.setattr(canvas_module, "png", lambda f: figures.append(f) or write(f))
    draw()
    return figures[0].axes


def test_importing_the_report_does_not_import_matplotlib():
    code = "import sys, metarl.report; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_drawing_leaves_pyplot_alone():
    code = (
        "import sys, numpy as np, metarl.report as r;"
        "r.bars_png(['a'], [1.0], None, None, title='t', ylabel='y');"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_same_numbers_same_bytes():
    draw = lambda: curves_png([make_curve()], title="t", xlabel="x", ylabel="y")  # noqa: E731
    assert draw() == draw()


def test_curves_show_success_from_0_to_100_percent(monkeypatch):
    curves = [make_curve("MAML"), make_curve("scratch", 0.2)]
    (axes,) = axes_of(
        monkeypatch, lambda: curves_png(curves, title="t", xlabel="x", ylabel="Success")
    )
    labels = [tick.get_text() for tick in axes.get_yticklabels()]
    assert (labels[0], labels[-1]) == ("0%", "100%")
    assert [line.get_color() for line in axes.lines] == [METHODS["maml"], METHODS["scratch"]]
    assert [text.get_text() for text in axes.texts] == ["MAML", "scratch"]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), curves[0].mean)


def test_success_in_percent_keeps_its_axis(monkeypatch):
    (axes,) = axes_of(
        monkeypatch,
        lambda: bars_png(["maml"], [93], [88], [97], title="t", ylabel="Success [%]"),
    )
    assert axes.get_ylim()[1] > 100
    assert [text.get_text() for text in axes.texts] == ["93%"]


def test_a_loss_in_success_plots_stays_visible(monkeypatch):
    (axes,) = axes_of(
        monkeypatch,
        lambda: bars_png(["a"], [-0.4], None, None, title="t", ylabel="Gain in success"),
    )
    assert axes.get_ylim()[0] < -0.4


def test_ylim_is_kept(monkeypatch):
    (axes,) = axes_of(
        monkeypatch,
        lambda: curves_png([make_curve()], title="t", xlabel="x", ylabel="y", ylim=(-2, 3)),
    )
    assert axes.get_ylim() == (-2, 3)


def test_curve_without_interval_and_with_one_point():
    nan = np.array([np.nan])
    png = curves_png(
        [Curve("maml", np.array([0]), np.array([0.5]), nan, nan)],
        title="t",
        xlabel="x",
        ylabel="Success",
    )
    assert shape(png)[2] == 4


def test_bars_draw_their_intervals(monkeypatch):
    (axes,) = axes_of(
        monkeypatch,
        lambda: bars_png(
            ["a", "b"], [1.0, np.nan], [0.5, np.nan], [3.0, np.nan], title="t", ylabel="y"
        ),
    )
    np.testing.assert_allclose(axes.collections[0].get_segments()[0], [[0, 0.5], [0, 3.0]])
    assert [text.get_text() for text in axes.texts] == ["1", "no data"]


def test_metrics_skip_what_was_not_recorded(monkeypatch):
    rows = [{"step": 0, "a": 1.0}, {"step": 1, "a": None}, {"step": 2, "a": 3.0}, {"step": 3}]
    axes = axes_of(monkeypatch, lambda: metrics_png(rows, ["a", "b"], title="t"))
    np.testing.assert_allclose(axes[0].lines[0].get_xydata(), [[0, 1], [2, 3]])
    assert [text.get_text() for text in axes[1].texts] == ["not recorded"]


def test_heatmap_centres_zero_and_writes_its_numbers(monkeypatch):
    values = np.array([[0.5, -0.25], [np.nan, -0.001]])
    (axes,) = axes_of(
        monkeypatch,
        lambda: heatmap_png(values, ["a", "b"], ["c", "d"], title="t", diverging=True),
    )
    assert axes.images[0].get_clim() == (-0.5, 0.5)
    assert [text.get_text() for text in axes.texts] == ["+0.50", "-0.25", "–", "+0.00"]


def test_heatmap_writes_intervals_and_frames_what_is_marked(monkeypatch):
    values = np.array([[0.5, -0.25], [np.nan, 0.1]])
    around = np.stack([values - 0.2, values + 0.2], axis=-1)
    around[1, 1] = np.nan
    marks = np.array([[1, -1], [0, 0]])
    (axes,) = axes_of(
        monkeypatch,
        lambda: heatmap_png(
            values, ["a", "b"], ["c", "d"], title="t", diverging=True, intervals=around,
            marks=marks, reach=1.0, apart=1,
        ),
    )  # fmt: skip
    assert axes.images[0].get_clim() == (-1.0, 1.0)
    assert [text.get_text() for text in axes.texts] == [
        "+0.50 ▲", "[+0.30, +0.70]", "-0.25 ▼", "[-0.45, -0.05]", "–", "+0.10"
    ]  # fmt: skip
    frames = [patch.get_edgecolor() for patch in axes.patches]
    assert frames == [to_rgba(GOOD), to_rgba(BAD)]
    assert axes.lines[0].get_ydata()[0] == 0.5  # the last row stands apart


@pytest.mark.parametrize(
    ("draw", "error"),
    [
        (lambda: curves_png([], title="t", xlabel="x", ylabel="y"), ConfigError),
        (lambda: metrics_png([], [], title="t"), ConfigError),
        (lambda: bars_png([], [], None, None, title="t", ylabel="y"), ShapeError),
        (lambda: bars_png(["a"], [1, 2], None, None, title="t", ylabel="y"), ShapeError),
        (lambda: heatmap_png(np.eye(2), ["a"], ["b"], title="t", diverging=False), ShapeError),
        (
            lambda: heatmap_png(
                np.eye(1), ["a"], ["b"], title="t", diverging=True, marks=np.eye(2)
            ),
            ShapeError,
        ),
        (
            lambda: heatmap_png(
                np.eye(1), ["a"], ["b"], title="t", diverging=True, intervals=np.eye(1)
            ),
            ShapeError,
        ),
        (lambda: Curve("a", np.arange(3), np.zeros(2), np.zeros(2), np.zeros(2)), ShapeError),
        (lambda: Curve("a", *(np.zeros(0) for _ in range(4))), ShapeError),
    ],
)
def test_plots_refuse_what_does_not_fit(draw, error):
    with pytest.raises(error, match=r"expected"):
        draw()


def test_every_strategy_has_its_own_colour():
    searches = ("strategy-optimization", "bayesian-optimization", "residual-search")
    names = [*strategies_by_name(), "MAML", *searches]
    colors = method_colors(names)
    assert sorted(colors) == sorted(METHODS.values())
    assert method_colors(["Frozen trunk", "fine_tune", "maml"]) == [
        METHODS["frozentrunk"],
        METHODS["finetune"],
        METHODS["maml"],
    ]


def test_all_built_in_methods_have_colours_of_their_own():
    named = (n for n in method_names() if get_method(n).adapting is not None)
    labels = [n for n in named if not n.endswith("-dagger")]
    assert len(labels) >= 15
    assert len(set(method_colors(labels))) == len(labels)


def test_colours_do_not_depend_on_company():
    forth = method_colors(["scratch", "RL2", "meta-critic"])
    assert forth == method_colors(["meta-critic", "RL2", "scratch"])[::-1]
    assert len(set(forth)) == 3
    labels = [f"method {i}" for i in range(len(OTHERS))]
    assert len(set(method_colors(labels))) == len(OTHERS)


def test_end_labels_keep_their_order_and_distance():
    wanted = np.array([0.99, 0.2, 1.0, 0.98])
    placed = spread(wanted, gap=0.1)
    assert list(np.argsort(placed)) == list(np.argsort(wanted))
    assert np.diff(np.sort(placed)).min() >= 0.1 - 1e-12
    assert placed.max() <= 1.0
    assert placed[1] == 0.2


def test_text_in_a_methods_colour_can_be_read():
    def light(color: str) -> float:
        return luminance([int(color[i : i + 2], 16) / 255.0 for i in (1, 3, 5)])

    assert light("#FFFFFF") == pytest.approx(1.0)
    assert light("#767676") == pytest.approx(1.05 / 4.54 - 0.05, abs=1e-3)  # WCAG's known pair
    for color in (*METHODS.values(), *OTHERS):
        assert 1.05 / (light(readable(color)) + 0.05) >= 4.5
    assert readable("#1F6FD6") == "#1F6FD6"
    assert readable("#E0B000") < "#E0B000"


def test_text_on_any_colour_can_be_read():
    for rgb in np.stack(np.meshgrid(*[np.linspace(0.0, 1.0, 12)] * 3), axis=-1).reshape(-1, 3):
        ink = {"black": 0.0, "white": 1.0}[ink_on(rgb)]
        high, low = sorted((luminance(rgb) + 0.05, ink + 0.05), reverse=True)
        assert high / low >= 4.5
