"""Pages in a real browser: looked at in light and dark, narrow and wide."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

CHROMIUM = shutil.which("chromium")
needed = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
_FLAGS = (
    "--headless=new --no-sandbox --use-gl=angle --use-angle=swiftshader --disable-quic"
    " --enable-unsafe-swiftshader --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync --hide-scrollbars --force-device-scale-factor=1"
)  # fmt: skip

_READ = """
const shadows = [...document.querySelectorAll("*")].flatMap((at) => [...(at.shadowRoot?.children ?? [])]);
return [document.body, ...shadows].map((at) => at.innerText).join("\\n");
"""


@contextmanager
def browser(url: str = "about:blank", width: int = 700, height: int = 500) -> Iterator[Any]:
    """A browser without a window, at a page."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in [*_FLAGS.split(), f"--window-size={width},{height}"]:
        options.add_argument(flag)
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    try:
        driver.get(url)
        yield driver
    finally:
        driver.quit()


def prefer(driver: Any, scheme: str) -> None:
    """What a person has told the browser to prefer: ``light`` or ``dark``."""
    features = [
        {"name": "prefers-color-scheme", "value": scheme},
        {"name": "prefers-reduced-motion", "value": "reduce"},
    ]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def resize(driver: Any, width: int, height: int) -> None:
    """How large the screen is, below what a window may be, too."""
    screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)


def until(true: Callable[[], bool], timeout_s: float = 60.0) -> None:
    """Wait for something that must come."""
    due = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < due, "it never came"
        time.sleep(0.1)


def text(driver: Any) -> str:
    """All that can be read on the page."""
    return driver.execute_script(_READ)


def picture(driver: Any) -> np.ndarray:
    """What is seen, RGB."""
    return np.asarray(Image.open(BytesIO(driver.get_screenshot_as_png())).convert("RGB"))
