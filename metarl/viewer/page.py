"""The page: a scene that can be turned, time that goes back and forth, and what was earned."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import socket
import threading
import time
from collections.abc import Callable, Sequence
from importlib import resources
from typing import Any, NamedTuple

import mujoco
import numpy as np

from metarl.errors import ConfigError, MissingDependencyError
from metarl.viewer import ANY, ANY_IPV6, LOOPBACK, PORT
from metarl.viewer.recording import Recording

GAP = 1.4  # from one side to the next, in widths of what moves there
FILM_ASPECT = 4.0 / 3.0  # width by height, for which the film's camera was put
FILLED = 0.9  # share of the picture within which several sides lie at first
AMBIENT = 1.5
PACES = {"1/4": 0.25, "1/2": 0.5, "as fast as life": 1.0, "2": 2.0, "4": 4.0}
_LIFE = "as fast as life"

Take = Sequence[Recording]  # one task, each side's episode


def require_viewer() -> None:
    """Check that the viewer is installed.

    Raises:
        MissingDependencyError: If it is not; the message says how.
    """
    lacks = [name for name in ("viser", "mjviser") if importlib.util.find_spec(name) is None]
    if lacks:
        raise MissingDependencyError(
            f"the page needs {' and '.join(lacks)}; pip install 'metarl-sim[web]', or leave --web out"
        )


def require_interface(host: str) -> None:
    """Check that something can listen there; viser would wait for ever.

    Raises:
        ConfigError: If it is no address of this machine.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as one:
            one.bind(address)
    except (OSError, UnicodeError) as error:
        raise ConfigError(
            f"--host is {host}; expected an address of this machine, as 127.0.0.1 or 0.0.0.0 ({error})"
        ) from error


def _address(host: str) -> str:
    """What a browser on this machine calls an interface: every one is the loopback, too."""
    host = {ANY: LOOPBACK, ANY_IPV6: "::1"}.get(host, host)
    return f"[{host}]" if ":" in host else host


class Page:
    """Serves takes until it is closed; every browser that looks sees the same.

    Args:
        takes: Of one task each, with as many sides.
        title: What stands above.
        camera: A camera of the model, from which the first look is; -1: a view of all.
        host: On which interface it listens.
        port: On which port; if it is taken, the next one that is free.
    Attributes:
        url: Where a browser on this machine finds it.
        port: On which port it really listens.
        moment: Which moment is shown.
        playing: Whether time goes on.
    Raises:
        ConfigError: If it cannot listen there.
    """

    def __init__(
        self, takes: Sequence[Take], title: str, *,
        camera: str | int = -1, host: str = LOOPBACK, port: int = PORT,
    ):  # fmt: skip
        require_viewer()
        import viser

        self.takes, self.moment, self.playing = list(takes), 0, True
        self._lock, self._due_s, self._pace = threading.RLock(), 0.0, 1.0
        require_interface(host)
        with contextlib.redirect_stdout(io.StringIO()):  # its banner
            self.server = viser.ViserServer(host, port, label=title, verbose=False)
        self.port = self.server.get_port()
        self.url = f"http://{_address(host)}:{self.port}"
        self.server.gui.configure_theme(show_share_button=False)
        self.server.gui.main_panel.dock_right()
        send_looks(self.server)
        self.server.scene.configure_environment_map(None)
        self.server.scene.add_light_ambient("/light", intensity=AMBIENT)
        self._view = view_of(self.takes[0][0], camera)
        self._sides: list[Any] = []
        self._shown = 0
        self._make_controls()
        self._open(0)
        self.server.on_client_connect(self._look)

    # What is on it ----------------------------------------------------------------------

    def _make_controls(self) -> None:
        gui = self.server.gui
        names = [str(i + 1) for i in range(len(self.takes))]
        if len(names) > 1:
            choice = gui.add_dropdown("Episode", names, initial_value=names[0])
            choice.on_update(lambda _: self._open(names.index(choice.value)))
        self._button = gui.add_button("Pause")
        self._button.on_click(lambda _: self.play(not self.playing))
        self._slider: Any = gui.add_slider("Time [s]", 0.0, 1.0, step=0.01, initial_value=0.0)
        self._slider.on_update(self._slid)
        pace = gui.add_dropdown("Pace", tuple(PACES), initial_value=_LIFE)
        pace.on_update(lambda _: setattr(self, "_pace", PACES[pace.value]))
        labels = [recording.label for recording in self.takes[0]]
        self._texts = [gui.add_markdown(f"**{label}**") for label in labels]

    def _open(self, number: int) -> None:
        """Show another take, from its start."""
        from metarl.viewer.scene import Side

        with self._lock, self.server.atomic():
            for side in self._sides:
                side.remove()
            self._shown, take = number, self.takes[number]
            right = self._view.right
            gap = GAP * max(_width(recording, right) for recording in take)
            places = (np.arange(len(take)) - (len(take) - 1) / 2.0) * gap
            self._sides = [
                Side(
                    self.server,
                    f"take{number}/side{i}",
                    recording,
                    place * right,
                    walls=len(take) == 1,
                )
                for i, (recording, place) in enumerate(zip(take, places))
            ]
            self._slider.max = round((self.length - 1) * take[0].dt_s, 2)
            self._slider.step = take[0].dt_s
            self.show(0)

    @property
    def length(self) -> int:
        """How many moments the longest side of the take has."""
        return max(len(recording) for recording in self.takes[self._shown])

    def show(self, moment: int) -> None:
        """Show a moment of the take."""
        with self._lock, self.server.atomic():
            self.moment = min(max(moment, 0), self.length - 1)
            for side, text in zip(self._sides, self._texts):
                side.show(self.moment)
                text.content = told(side.recording, self.moment)
            self._slider.value = round(self.moment * self._sides[0].recording.dt_s, 2)

    def play(self, going: bool) -> None:
        """Let time go on, from the start if it was at its end, or stop it."""
        with self._lock:
            self.playing = going
            self._button.label = "Pause" if going else "Play"
            if going and self.moment >= self.length - 1:
                self.show(0)

    def _slid(self, event: Any) -> None:
        """A person moved the slider: stop there."""
        if event.client is None:  # time itself moved it
            return
        with self._lock:
            self.play(False)
            self.show(round(self._slider.value / self._sides[0].recording.dt_s))

    def _look(self, client: Any) -> None:
        """Give a browser the first look, and again when its size changes, until a person turns the scene."""
        camera, seen = client.camera, float(client.camera.aspect)
        put = self._look_from(camera, seen)

        @camera.on_update
        def _(_: Any) -> None:
            nonlocal put, seen
            aspect = float(camera.aspect)
            if aspect != seen and np.allclose(camera.position, put, atol=1e-3):
                put, seen = self._look_from(camera, aspect), aspect

    def _look_from(self, camera: Any, aspect: float) -> np.ndarray:
        """Look as films do, from further away where not all would be seen; returns from where."""
        view = self._view
        if len(self._sides) > 1:
            view = view.around([side.reach for side in self._sides], aspect)
        elif aspect < FILM_ASPECT:
            view = view.further(FILM_ASPECT / aspect)
        camera.position = view.place
        camera.look_at = view.target
        camera.up_direction = (0.0, 0.0, 1.0)
        camera.fov = view.fov_rad
        return view.place

    # While it is open -------------------------------------------------------------------

    def serve(self, stop: Callable[[], bool]) -> None:
        """Let time go on until told to stop; a take that has ended waits a second and starts anew."""
        while not stop():
            begun_s = time.monotonic()
            with self._lock:
                dt_s = self.takes[self._shown][0].dt_s / self._pace
                if self.playing:
                    at_end = self.moment >= self.length - 1
                    self.show(0 if at_end else self.moment + 1)
                    dt_s = 1.0 if self.moment >= self.length - 1 else dt_s
            while not stop() and time.monotonic() - begun_s < dt_s:
                time.sleep(min(0.05, max(0.0, dt_s - (time.monotonic() - begun_s))))

    def close(self) -> None:
        """Stop listening."""
        with contextlib.redirect_stdout(io.StringIO()):  # its last word
            self.server.stop()


def send_looks(server: Any) -> None:
    """Have every browser show the page in light or dark, as it prefers, with text that stands out."""
    from viser import _messages

    if hasattr(_messages, "RunJavascriptMessage"):  # not among what viser promises
        source = resources.files(__package__).joinpath("page.js").read_text(encoding="utf-8")
        message = _messages.RunJavascriptMessage(source=source)
        server.gui._websock_interface.queue_message(message)


def told(recording: Recording, moment: int) -> str:
    """What is said of a side at a moment, as Markdown: outcome, the family's caption, and every reward term."""
    moment = min(moment, len(recording) - 1)
    ended = moment == len(recording) - 1
    outcome = "success" if recording.success[moment] else "failure" if ended else "under way"
    lines = [
        f"**{recording.label}**: {outcome}, {moment * recording.dt_s:.1f} s,"
        f" score {recording.score[moment]:.2f}"
    ]
    if recording.captions[moment]:
        lines.append(recording.captions[moment])
    rows = [
        f"| {name} | {now:+.3f} | {total:+.2f} |"
        for name, (now, total) in recording.earned(moment).items()
    ]
    now, total = (sum(column) for column in zip(*recording.earned(moment).values()))
    table = ["| reward | this step | so far |", "| --- | ---: | ---: |", *rows]
    return "\n\n".join([*lines, "\n".join([*table, f"| **all** | {now:+.3f} | {total:+.2f} |"])])


def _width(recording: Recording, right: np.ndarray) -> float:
    """How much room what moves takes from left to right [m]."""
    reach = recording.positions[:, recording.moving] @ right
    return max(float(np.ptp(reach)), 0.05)


class View(NamedTuple):
    """Where to look from.

    Args:
        place: Where the eye is [m], (3,).
        target: At what it looks [m], (3,).
        right: What is to its right, level, of length 1, (3,).
        fov_rad: How wide it sees, from top to bottom [rad].
    """

    place: np.ndarray
    target: np.ndarray
    right: np.ndarray
    fov_rad: float

    def further(self, times: float) -> View:
        """The same look from as many times as far away."""
        return self._replace(place=self.target + times * (self.place - self.target))

    def around(self, reach: Sequence[np.ndarray], aspect: float) -> View:
        """The same look at other places, so that all of them are seen.

        Args:
            reach: The places, and how far what is there goes [m], (P, 4) each.
            aspect: The picture's width by its height.
        """
        balls = np.concatenate(reach)
        points, radii = balls[:, :3], balls[:, 3]
        ahead = (self.target - self.place) / np.linalg.norm(self.target - self.place)
        target = (points.min(axis=0) + points.max(axis=0)) / 2.0
        away = points - target
        high = FILLED * np.tan(self.fov_rad / 2.0)
        aside = np.maximum(
            (np.abs(away @ self.right) + radii) / (high * aspect),
            (np.abs(away @ np.cross(self.right, ahead)) + radii) / high,
        )
        return self._replace(place=target - (aside - away @ ahead).max() * ahead, target=target)


def view_of(recording: Recording, camera: str | int) -> View:
    """Look as a camera of the model does, or, if it is -1, at all that moves."""
    model, data = recording.model, mujoco.MjData(recording.model)
    middle = recording.positions[0, recording.moving].mean(axis=0)
    if camera == -1:
        ahead, fov_rad = np.array([-0.74, 0.42, -0.52]), np.radians(45.0)
        place = middle - 1.8 * float(model.stat.extent) * ahead
    else:
        mujoco.mj_forward(model, data)
        number = model.camera(camera).id
        place, fov_rad = data.cam_xpos[number].copy(), np.radians(model.cam_fovy[number])
        ahead = -data.cam_xmat[number].reshape(3, 3)[:, 2]
    target = place + max(float((middle - place) @ ahead), 0.1) * ahead
    right = np.array([ahead[1], -ahead[0], 0.0])
    length = float(np.linalg.norm(right))
    right = right / length if length > 1e-6 else np.array([1.0, 0.0, 0.0])
    return View(place, target, right, float(fov_rad))
