"""The page in a real browser: seen, stopped, moved, reloaded, by two at once, and when one goes away."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("viser", reason="needs the extra web")
webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
FLAGS = (
    "--headless=new --no-sandbox --use-gl=angle --use-angle=swiftshader --disable-quic"
    " --enable-unsafe-swiftshader --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync --window-size=700,500"
)  # fmt: skip


@contextmanager
def browser(url: str) -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in FLAGS.split():
        options.add_argument(flag)
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    try:
        driver.get(url)
        yield driver
    finally:
        driver.quit()


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


def until(true: Callable[[], bool], timeout_s: float = 30.0) -> None:
    due = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < due, "it never came"
        time.sleep(0.1)


def text(driver: Any) -> str:
    return driver.find_element("tag name", "body").text


def seconds(driver: Any) -> float:
    return float(text(driver).partition(" s, score")[0].rpartition(", ")[2])


def click(driver: Any, name: str) -> None:
    driver.find_element("xpath", f"//button[contains(., '{name}')]").click()


def picture(driver: Any) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(driver.get_screenshot_as_png())).convert("RGB"))


def test_a_person_watches(watching):
    process, url = watching
    with browser(url) as driver:
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
        with browser(url) as other:
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
