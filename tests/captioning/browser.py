"""A headless Chromium for tests, where this machine has one."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


def find_chromium() -> tuple[str, str]:
    """Paths of browser and driver; skips the test where one is not there."""
    pytest.importorskip("selenium", reason="selenium is not installed")
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("no Chromium with its chromedriver on this machine")
    return browser, driver


@contextmanager
def open_browser(width: int = 1200, height: int = 900) -> Iterator[Any]:
    """A browser window without a screen."""
    binary, driver = find_chromium()
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = binary
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(flag)
    options.add_argument(f"--window-size={width},{height}")
    browser = Chrome(service=Service(driver), options=options)
    try:
        yield browser
    finally:
        browser.quit()
