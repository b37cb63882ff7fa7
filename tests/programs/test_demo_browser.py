"""The demo in a real browser: what its buttons show, and how it looks."""

from __future__ import annotations

import collections.abc as cabc
import pathlib

import demo_process
import pytest
from browser import Browser
from browser import DESKTOP
from browser import PATIENCE
from browser import PHONE
from demo_process import Demo
from demo_process import running_demo
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait


@pytest.fixture
def demo() -> cabc.Iterator[Demo]:
    with running_demo() as demo:
        yield demo


@pytest.fixture
def browser(demo: Demo, tmp_path: pathlib.Path) -> cabc.Iterator[Browser]:
    browser = Browser(demo.url.rstrip("/"), tmp_path / "profile")
    browser.open("/")
    yield browser
    browser.close()


def find(browser: Browser, selector: str) -> WebElement:
    return browser.driver.find_element(By.CSS_SELECTOR, selector)


def wait(browser: Browser, condition: cabc.Callable[[], object]) -> None:
    # What was found may be part of a page that goes away.
    stale = [StaleElementReferenceException]
    waiting = WebDriverWait(browser.driver, PATIENCE, 0.05, stale)
    waiting.until(lambda driver: condition())


def calm(browser: Browser, scheme: str = "light") -> None:
    """Be somebody who has asked for less motion."""
    features = [
        {"name": "prefers-reduced-motion", "value": "reduce"},
        {"name": "prefers-color-scheme", "value": scheme},
    ]
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def run(browser: Browser, name: str) -> dict[str, tuple[bool, str]]:
    """Press a button; whether each lane has won, and what it says."""
    button = find(browser, f'[data-run="{name}"]')
    browser.driver.execute_script("arguments[0].click()", button)
    wait(browser, lambda: button.is_enabled() and button.text == "Run it again")
    lanes = browser.driver.find_elements(By.CSS_SELECTOR, f"#{name} [data-lane]")
    return {
        lane.get_attribute("data-lane"): (
            "won" in lane.get_attribute("class").split(),
            lane.find_element(By.CLASS_NAME, "verdict").text,
        )
        for lane in lanes
    }


def log_in(browser: Browser, name: str) -> None:
    find(browser, ".login [name=user]").send_keys(name + Keys.ENTER)
    wait(browser, lambda: browser.heading == f"Hello, {name}")


def complaints(browser: Browser) -> list[str]:
    """What the browser has refused, or could not do."""
    messages = [entry["message"] for entry in browser.driver.get_log("browser")]
    return [message for message in messages if "status of 503" not in message]


COMPARED = {
    "two-requests": ("colour is lost", "Both are there"),
    "logout": ("Ada is logged in again", "Logged out it stays"),
    "login": ("Logged out", "Still logged in as Ada"),
}


def test_each_experiment_shows_what_the_naive_store_does_not_do(
    browser: Browser,
) -> None:
    browser.open("/")
    calm(browser)
    for name, (naive, ours) in COMPARED.items():
        lanes = run(browser, name)
        assert not lanes["naive"][0], name
        assert naive in lanes["naive"][1] or name == "two-requests"
        assert lanes["ours"][0], name
        assert ours in lanes["ours"][1]
    assert complaints(browser) == []


def test_one_button_runs_them_all(browser: Browser) -> None:
    calm(browser)
    button = find(browser, "#run-all")
    button.click()
    wait(browser, lambda: button.is_enabled())
    won = browser.driver.find_elements(By.CSS_SELECTOR, ".won[data-lane=ours]")
    lost = browser.driver.find_elements(By.CSS_SELECTOR, ".failed[data-lane=naive]")
    assert (len(won), len(lost)) == (6, 3)


def test_greeting_follows_an_experiment_that_logs_in(browser: Browser) -> None:
    calm(browser)
    run(browser, "login")
    wait(browser, lambda: browser.heading == "Hello, Ada")
    run(browser, "logout")
    wait(browser, lambda: browser.heading == "Hello, stranger")
    assert "lost" in browser.text(".events")


def test_forged_cookies_open_nothing(browser: Browser) -> None:
    log_in(browser, "Grace")
    assert run(browser, "forged") == {"ours": (True, "Only your own cookie is you")}
    answers = browser.driver.find_elements(By.CSS_SELECTOR, "#forged output b")
    assert [answer.text for answer in answers] == ["Grace", *["a stranger"] * 4]


def test_log_out_everywhere_else_ends_what_is_elsewhere(browser: Browser) -> None:
    log_in(browser, "Grace")
    calm(browser)
    assert run(browser, "devices") == {
        "ours": (True, "Grace is logged in here and nowhere else")
    }
    notes = browser.driver.find_elements(By.CSS_SELECTOR, "#devices output")
    assert notes[3].text == "2 sessions ended"
    assert browser.heading == "Hello, Grace"


def test_outage_is_a_503_and_logs_nobody_out(browser: Browser) -> None:
    log_in(browser, "Grace")
    lanes = run(browser, "outage")
    assert lanes == {"ours": (True, "503 while it was away, and still Grace")}
    wait(browser, lambda: not find(browser, "#panel").get_attribute("class"))
    browser.reload()
    assert browser.heading == "Hello, Grace"


def test_panel_shows_what_another_visitor_stores_without_being_loaded_again(
    demo: Demo, browser: Browser
) -> None:
    wait(browser, lambda: find(browser, "#live").get_attribute("class") == "dot on")
    another = demo_process.Browser(demo.url)
    another.post("store", name="colour", value="amber")
    wait(browser, lambda: "colour" in browser.text("#panel"))
    assert "amber" not in browser.driver.page_source


def test_who_fills_in_a_form_is_not_interrupted(demo: Demo, browser: Browser) -> None:
    find(browser, "[name=user]").send_keys("Gra")
    # The same visitor, elsewhere.
    another = demo_process.Browser(demo.url)
    cookie = browser.driver.get_cookies()[0]
    another.send_cookie(cookie["name"], cookie["value"])
    another.post("store", name="colour", value="amber")
    wait(browser, lambda: "amber" in browser.text("#json"))
    find(browser, "[name=user]").send_keys("ce" + Keys.ENTER)
    wait(browser, lambda: browser.heading == "Hello, Grace")


def test_everything_can_be_done_with_a_keyboard(browser: Browser) -> None:
    calm(browser)

    def press(key: str) -> WebElement:
        browser.driver.switch_to.active_element.send_keys(key)
        return browser.driver.switch_to.active_element

    find(browser, "body").send_keys(Keys.TAB)
    assert browser.driver.switch_to.active_element.text == "Skip to the experiments"
    assert press(Keys.ENTER).get_attribute("id") == "experiments"
    assert press(Keys.TAB).text == "Run them all"
    button = press(Keys.TAB)
    assert button.get_attribute("data-run") == "two-requests"
    button.send_keys(Keys.ENTER)
    wait(browser, lambda: button.is_enabled() and button.text == "Run it again")
    assert browser.driver.switch_to.active_element == button
    assert press(Keys.TAB).text == "The code behind it"
    press(Keys.ENTER)
    assert "session[name] = value" in browser.text("#two-requests .code")


def test_without_scripts_the_page_still_remembers(browser: Browser) -> None:
    browser.driver.execute_cdp_cmd(
        "Emulation.setScriptExecutionDisabled", {"value": True}
    )
    browser.driver.refresh()
    find(browser, ".login [name=user]").send_keys("Grace" + Keys.ENTER)
    wait(browser, lambda: find(browser, "h1").text == "Hello, Grace")
    assert "The buttons need JavaScript" in browser.text("noscript")
    buttons = browser.driver.find_elements(By.CSS_SELECTOR, "[data-run]")
    assert not any(button.is_displayed() for button in buttons)
    assert "Grace" in browser.text("#json")


def test_page_loads_nothing_from_elsewhere_and_nothing_is_refused(
    demo: Demo, browser: Browser
) -> None:
    loaded = browser.driver.execute_script(
        "return performance.getEntriesByType('resource').map((entry) => entry.name)"
    )
    assert len(loaded) >= 4
    assert all(url.startswith(demo.url) for url in loaded)
    assert complaints(browser) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_fits_a_phone_and_a_desktop(
    browser: Browser, tmp_path: pathlib.Path, scheme: str
) -> None:
    calm(browser, scheme)
    log_in(browser, "Grace " + "a" * 30)
    run(browser, "two-requests")
    run(browser, "forged")
    for details in browser.driver.find_elements(By.TAG_NAME, "summary"):
        browser.driver.execute_script("arguments[0].click()", details)
    for device, size in (("phone", PHONE), ("desktop", DESKTOP)):
        browser.resize(size)
        browser.photograph(tmp_path / "screenshots" / f"{scheme}-{device}.png")
        assert browser.overflow == 0, device
