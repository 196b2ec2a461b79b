"""The page in a real browser: seen, stopped, moved, reloaded, by two at once, and when one goes away."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from chromium import browser, needed, picture, prefer, resize, text, until
from contrast import faint

pytest.importorskip("viser", reason="needs the extra web")
pytest.importorskip("selenium", reason="needs selenium")
Page = pytest.importorskip("metarl.viewer.page").Page
pytestmark = needed
SMALL = "?fixedDpr=0.25"  # the scene is drawn by the processor here


@pytest.fixture(scope="module")
def watching() -> Iterator[tuple[subprocess.Popen, str]]:
    command = "watch kitchen/heat --policy expert --episodes 2 --web --port 8311"
    with subprocess.Popen(
        [sys.executable, "-m", "metarl", *command.split()], stdout=subprocess.PIPE, text=True
    ) as process:
        said = ""
        for line in process.stdout:
            said += line
            if line.startswith("open "):
                break
        assert "2 of 2 episodes succeeded" in said
        yield process, line.split()[1]
        process.kill()


@pytest.fixture(scope="module")
def opened() -> Iterator[Any]:
    with browser() as driver:
        yield driver


@pytest.fixture
def driver(opened: Any) -> Iterator[Any]:
    """A browser that all tests share; each leaves it as it was."""
    yield opened
    opened.get("about:blank")
    for command in ("Emulation.setEmulatedMedia", "Emulation.clearDeviceMetricsOverride"):
        opened.execute_cdp_cmd(command, {})


def seconds(driver: Any) -> float:
    return float(text(driver).partition(" s, score")[0].rpartition(", ")[2])


def click(driver: Any, name: str) -> None:
    driver.find_element("xpath", f"//button[contains(., '{name}')]").click()


def test_a_person_watches(driver, watching):
    process, url = watching
    driver.get(url + SMALL)
    until(lambda: "knob at" in text(driver))
    first = seconds(driver)
    until(lambda: seconds(driver) != first)
    click(driver, "Pause")
    until(lambda: "Play" in text(driver))
    time.sleep(0.5)
    stopped = seconds(driver)
    time.sleep(0.5)
    assert seconds(driver) == stopped
    scene = picture(driver)[:, :400]
    assert len(np.unique(scene.reshape(-1, 3), axis=0)) > 500  # something is drawn

    driver.refresh()  # it survives a reload, where it was
    until(lambda: "knob at" in text(driver))
    assert seconds(driver) == stopped
    with browser(url + SMALL) as other:
        until(lambda: "knob at" in text(other))
        assert seconds(other) == stopped
        click(other, "Play")  # both see the same
        until(lambda: "Pause" in text(driver))
    # The other one went away.
    now = seconds(driver)
    until(lambda: seconds(driver) != now)
    process.send_signal(signal.SIGINT)
    assert process.stdout.read().strip().endswith("closed")
    assert process.wait(20) == 0


@pytest.fixture
def page(takes):
    page = Page(takes, "kitchen/heat", camera="film", port=8313)
    page.play(False)
    yield page
    page.close()


def test_it_is_light_or_dark_as_the_browser_prefers_and_can_be_read(driver, page):
    driver.get(page.url + SMALL)
    for scheme in ("dark", "light"):  # while it is open
        prefer(driver, scheme)
        dark = scheme == "dark"
        until(lambda: "score" in text(driver) and ("darkMode" in driver.current_url) == dark)  # noqa: B023
        until(lambda: driver.execute_script("return !!document.getElementById('metarl')"))
        paper = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", paper)[:3])) < 150) == dark
        until(lambda: not faint(driver), 20.0)
        assert faint(driver) == []


def test_before_and_after_are_seen_whole_side_by_side(driver, page):
    resize(driver, 1000, 500)
    driver.get(page.url + SMALL)
    until(lambda: "score" in text(driver))
    [client] = page.server.get_clients().values()
    size = driver.execute_script(
        "const c = document.querySelector('canvas'); return [c.clientWidth, c.clientHeight]"
    )
    until(lambda: abs(client.camera.aspect - size[0] / size[1]) < 0.02)
    time.sleep(1.0)
    spans = [on_screen(client.camera, np.concatenate([side.reach[:, :3]])) for side in page._sides]
    for low, high in spans:
        assert (np.abs([low, high]) < 1.0).all()
    assert spans[0][1][0] < spans[1][0][0]  # one ends where the other has not begun


def on_screen(camera: Any, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The corners of what a camera sees of points; the picture is from -1 to 1 both ways."""
    ahead = (camera.look_at - camera.position) / np.linalg.norm(camera.look_at - camera.position)
    right = np.cross(ahead, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    away = points - camera.position
    across = np.stack([away @ right / camera.aspect, away @ np.cross(right, ahead)], axis=1)
    places = across / (away @ ahead)[:, None] / np.tan(camera.fov / 2.0)
    return places.min(axis=0), places.max(axis=0)


def test_a_mouse_turns_the_scene_and_keys_do_what_a_mouse_does(driver, page):
    from selenium.webdriver import ActionChains, Keys

    driver.get(page.url + SMALL)
    until(lambda: "knob at" in text(driver))
    time.sleep(1.0)  # the first look has settled
    now, before = seconds(driver), picture(driver)[:, :400].astype(int)
    canvas = driver.find_element("css selector", "canvas")
    drag = ActionChains(driver).move_to_element_with_offset(canvas, -150, 0)
    drag.click_and_hold().move_by_offset(80, 0).move_by_offset(40, 20).release().perform()
    until(lambda: (abs(picture(driver)[:, :400].astype(int) - before) > 30).mean() > 0.05)
    assert seconds(driver) == now  # the scene alone has moved

    slider = driver.find_element("css selector", "[role=slider]")
    slider.send_keys(Keys.ARROW_RIGHT * 6)  # a control step of 0.05 s each
    until(lambda: abs(seconds(driver) - now - 0.3) < 0.01)
    slider.send_keys(Keys.ARROW_LEFT * 4)
    until(lambda: abs(seconds(driver) - now - 0.1) < 0.01)

    driver.execute_script("document.activeElement.blur()")
    for _ in range(40):  # what can be clicked is reached by Tab, and pressed by Enter
        ActionChains(driver).send_keys(Keys.TAB).perform()
        if driver.switch_to.active_element.text.strip() == "Play":
            break
    else:
        raise AssertionError("Play is not reached by Tab")
    ActionChains(driver).send_keys(Keys.ENTER).perform()
    until(lambda: "Pause" in text(driver))
