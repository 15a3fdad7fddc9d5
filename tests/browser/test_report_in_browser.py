"""The page in a real headless browser: quiet console, nothing wider than the window, tables sorted from the keyboard,
light and dark, figures explored.

It needs `chromium` and `chromedriver` on the path, which `.ci/browser` installs, and vl-convert-python for the
interactive figures. With `XCEPTION_REQUIRE_BROWSER` set, missing programs are an error.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from selenium import webdriver
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from ablations.analysis.predictions import prediction_tables
from ablations.analysis.settings import compare_settings
from ablations.execution.progress import Status
from ablations.reporting import figures as plots
from ablations.reporting import report
from ablations.reporting.explore import page_parts
from ablations.reporting.explore_settings import explorable_settings, explorable_tuning
from ablations.reporting.front import display_front, front_table
from ablations.reporting.markup import Column, DisplayTable
from ablations.reporting.side_by_side import display_side_by_side, side_by_side
from ablations.reporting.templates import render
from ablations.running.page_server import PageServer
from tests import frames
from tests.ablations.analysis.test_settings import two_by_two

HERE = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
pytestmark = pytest.mark.skipif(
    None in HERE.values() and not os.environ.get("XCEPTION_REQUIRE_BROWSER"),
    reason="no chromium with chromedriver here; see .ci/browser",
)
needs_vega = pytest.mark.skipif(
    find_spec("vl_convert") is None and not os.environ.get("XCEPTION_REQUIRE_BROWSER"),
    reason="no vl-convert-python here; the extra report brings it",
)
CASES = ("normal", "half_finished", "hostile", "all_missing", "two_baselines")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, svg_alone: None) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    contexts = []
    for name in CASES:
        frame = frames.cases()[name]
        comparison = frames.comparison(frame)
        predictions = prediction_tables(frame)
        few = [replace(figure, name="differences") for figure in frames.few_figures(frame, comparison)]  # is replaced
        figures = [*few, *plots.confusion_figures(predictions, "CIFAR-10.")]
        contexts.append(
            report.ReportContext(
                study=name,
                question="Do residual connections help, " + "and_a_very_long_word_without_any_blank_" * 3 + "?",
                reference="Chollet 2017",
                command="python run_ablation.py " + "--long-option value " * 12,
                continue_command="python run_ablation.py",
                environment={"machine": "x" * 200},
                frame=frame,
                comparison=comparison,
                figures=plots.save_figures(figures, folder / name),
                predictions=predictions,
                front=display_front(front_table(frame, comparison)),
            )
        )
        report.write_report(contexts[-1], folder / f"{name}.html")
    report.write_store_report(contexts, folder / "store.html")
    _write_tuned(contexts[0], folder)
    _write_settings(folder)
    return {path.stem: path for path in folder.glob("*.html")}


def _write_tuned(context: report.ReportContext, folder: Path) -> None:
    """A page with a study at the fixed recipe and at tuned ones."""
    trials = pd.DataFrame({"variant": context.comparison["variant"], "seed": 0, "learning_rate": 0.1})
    both = side_by_side(
        context.comparison, context.comparison, trials.assign(weight_decay=5e-4, val_accuracy=0.6, trial=0)
    )
    beside, explorable = display_side_by_side(both), explorable_tuning(both, 0.005)
    report.write_store_report([context, context], folder / "tuned.html", beside=beside, explorable=explorable)


def _write_settings(folder: Path) -> None:
    """The page of a study in several settings, with what can be explored."""
    result = compare_settings(two_by_two())
    parts = page_parts([explorable_settings(result)])
    text = render(
        "settings.html.jinja",
        study="residuals",
        question="Do they help?",
        reference="",
        command="python run_ablation.py",
        settings=[("recipe.epochs=6", "a")],
        remarks=[],
        answers=result.answers.to_dict("records"),
        effects=DisplayTable(caption="Effects.", columns=(Column(title="Variant"),), rows=()),
        trends=None,
        decisions=None,
        figures=[],
        method="Method.",
        citation="Us.",
        explored=parts.pop("explored")[0],
        **parts,
    )
    (folder / "settings.html").write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(HERE["chromium"])
    switches = ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "disable-background-networking")
    for switch in (*switches, f"user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(f"--{switch}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(
        options=options, service=webdriver.ChromeService(executable_path=str(HERE["chromedriver"]))
    )
    yield driver
    driver.quit()


def _open(browser: Chrome, page: Path, *, width: int = 1400, scheme: str = "light", media: str = "screen") -> None:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"media": media, "features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    browser.get(page.as_uri())
    _until(browser, "return [...document.querySelectorAll('.explore')].every(e => e.dataset.drawn)")


def _until(browser: Chrome, script: str) -> None:
    """Wait until a script returns something true."""
    WebDriverWait(browser, 60, poll_frequency=0.05).until(lambda driver: driver.execute_script(script))


@pytest.mark.parametrize(("width", "scheme"), [(400, "dark"), (1400, "light")])
@pytest.mark.parametrize("name", [*CASES, "store", "tuned", "settings"])
def test_the_page_is_quiet_and_fits(
    browser: Chrome, pages: dict[str, Path], name: str, width: int, scheme: str
) -> None:
    _open(browser, pages[name], width=width, scheme=scheme)
    assert browser.get_log("browser") == []
    assert browser.execute_script("return document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert browser.execute_script("return innerWidth") == width
    outside = browser.execute_script(
        "return [...document.querySelectorAll('main *:not(svg *)')].filter("
        "e => !e.closest('.scroll, pre') || e.matches('.scroll, pre')).filter("
        "e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"
    )
    assert outside == []
    assert browser.execute_script("return [...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert (
        browser.execute_script(
            "return performance.getEntriesByType('resource').filter(r => !r.name.startsWith('data:')).length"
        )
        == 0
    )


def test_light_and_dark_differ_and_both_are_readable(browser: Chrome, pages: dict[str, Path]) -> None:
    luminance = {}
    for scheme in ("light", "dark"):
        _open(browser, pages["normal"], scheme=scheme)
        for part, what in (("paper", "backgroundColor"), ("ink", "color")):
            text = browser.execute_script(f"return getComputedStyle(document.documentElement).{what}")
            values = [int(v) / 255 for v in text[text.index("(") + 1 : -1].split(",")[:3]]
            linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
            luminance[scheme, part] = sum(w * v for w, v in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
        low, high = sorted((luminance[scheme, "paper"], luminance[scheme, "ink"]))
        assert (high + 0.05) / (low + 0.05) > 7  # WCAG AAA
    assert luminance["light", "paper"] > 0.9 > 0.1 > luminance["dark", "paper"]


def test_a_table_sorts_from_the_keyboard_and_announces_it(browser: Chrome, pages: dict[str, Path]) -> None:
    _open(browser, pages["half_finished"])
    table = browser.find_element(By.ID, "study-1-comparison")

    def column(number: int) -> list[str]:
        rows = table.find_elements(By.CSS_SELECTOR, "tbody tr")
        return [row.find_elements(By.CSS_SELECTOR, "th, td")[number].text.strip() for row in rows]

    headers = table.find_elements(By.CSS_SELECTOR, "thead th")
    assert {h.get_attribute("aria-sort") for h in headers} == {"none"}
    accuracy = headers[2].find_element(By.TAG_NAME, "button")
    browser.execute_script("arguments[0].focus()", accuracy)
    for key, direction in ((Keys.ENTER, "ascending"), (Keys.SPACE, "descending")):
        browser.switch_to.active_element.send_keys(key)
        assert headers[2].get_attribute("aria-sort") == direction
        numbers = [float(text.split()[0]) for text in column(2)]
        assert numbers == sorted(numbers, reverse=direction == "descending")
    delta = headers[3].find_element(By.TAG_NAME, "button")
    assert browser.switch_to.active_element == accuracy
    browser.switch_to.active_element.send_keys(Keys.TAB)
    assert browser.switch_to.active_element == delta
    for _ in range(2):
        browser.switch_to.active_element.send_keys(Keys.ENTER)
        assert column(3)[-1] == "–"  # the baseline has no difference: it is last in both orders
    assert {h.get_attribute("aria-sort") for h in headers} == {"none", "descending"}


def test_hostile_names_stay_names(browser: Chrome, pages: dict[str, Path]) -> None:
    _open(browser, pages["hostile"])
    assert (
        browser.execute_script(
            "return document.querySelectorAll('main script:not([type]), main b b, img[onerror]').length"
        )
        == 0
    )
    text = browser.execute_script("return document.body.textContent")
    for name in frames.HOSTILE:
        assert name in text


def test_on_paper_nothing_is_cut(browser: Chrome, pages: dict[str, Path]) -> None:
    _open(browser, pages["normal"], width=800, media="print")
    assert browser.execute_script(
        "return [...document.querySelectorAll('.scroll')].every(e => e.scrollWidth <= e.clientWidth + 1)"
    )
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 800


MARKS = "[...document.querySelectorAll('.chart [role=graphics-symbol][aria-label]')].map(e => e.ariaLabel)"


def _figure(number: int) -> str:
    return f".explore figure:nth-of-type({number})"


@needs_vega
def test_switches_hide_and_show_in_every_figure(browser: Chrome, pages: dict[str, Path]) -> None:
    _open(browser, pages["normal"])
    there = f"return {MARKS}.filter(label => label.startsWith('Variant: none;')).length"
    assert browser.execute_script(there) > 30  # pairs, effect, curves, trials and mean
    box = browser.find_elements(By.CSS_SELECTOR, ".filters fieldset:first-child input")[1]
    box.send_keys(Keys.SPACE)
    _until(browser, f"return {MARKS}.length && !({there.removeprefix('return ')})")
    box.send_keys(Keys.SPACE)
    _until(browser, f"{there} > 30")
    seeds = browser.find_element(By.CSS_SELECTOR, ".filters fieldset:last-child")
    nothing, everything = (seeds.find_element(By.XPATH, f".//button[text()='{text}']") for text in ("None", "All"))
    nothing.send_keys(Keys.ENTER)
    _until(browser, f"return !{MARKS}.some(label => label.includes('Seed: '))")
    _until(browser, "return document.body.textContent.includes('Everything in this figure is switched off.')")
    everything.send_keys(Keys.ENTER)
    _until(browser, f"return {MARKS}.some(label => label.includes('Seed: 4'))")
    assert browser.get_log("browser") == []


@needs_vega
def test_arrow_keys_read_marks_and_choices_change_axes(browser: Chrome, pages: dict[str, Path]) -> None:
    _open(browser, pages["normal"])
    chart = browser.find_element(By.CSS_SELECTOR, f"{_figure(2)} .chart")
    said = browser.find_element(By.CSS_SELECTOR, f"{_figure(2)} .said")
    browser.execute_script("arguments[0].focus()", chart)
    texts = []
    for key in (Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT):
        browser.switch_to.active_element.send_keys(key)
        texts.append(said.text)
    assert texts[0] == texts[2] != texts[1]
    assert texts[0].startswith("Variant: full; Seed: 0; Key: ")
    axes = f"return [...document.querySelectorAll('{_figure(2)} .role-axis')].map(e => e.ariaLabel).join()"
    assert "validation accuracy (%)" in browser.execute_script(axes)
    lists = browser.find_elements(By.CSS_SELECTOR, f"{_figure(2)} select")
    Select(lists[0]).select_by_visible_text("training loss (nats)")
    Select(lists[1]).select_by_visible_text("log")
    _until(browser, f"{axes}.includes(\"titled 'training loss (nats)' for a log scale\")")
    whole = browser.execute_script(axes)
    zoom_in, _, back = browser.find_elements(By.CSS_SELECTOR, f"{_figure(2)} .controls button")
    zoom_in.send_keys(Keys.ENTER)
    _until(browser, f"{axes} !== {whole!r}")
    back.send_keys(Keys.ENTER)
    _until(browser, f"{axes} === {whole!r}")
    assert browser.get_log("browser") == []


@needs_vega
def test_static_figures_are_for_paper(browser: Chrome, pages: dict[str, Path]) -> None:
    shown = (
        "return ['.explore', 'figure.replaced'].map("
        "one => getComputedStyle(document.querySelector(one)).display !== 'none')"
    )
    _open(browser, pages["normal"])
    assert browser.execute_script(shown) == [True, False]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert browser.execute_script(shown) == [False, True]


def test_a_live_page_follows_its_run(browser: Chrome) -> None:
    frame = frames.cases()["half_finished"]
    about: dict[str, Any] = {
        "study": "a",
        "question": "b?",
        "reference": "",
        "command": "",
        "continue_command": "",
        "environment": {},
    }
    context = report.ReportContext(frame=frame, comparison=frames.comparison(frame), **about)
    status = [Status(text="2 done.", running=("full, seed 2: epoch 1/6",))]

    def publish(version: int) -> None:
        live = report.LiveStatus(version=version, text=status[0].text, running=status[0].running)
        server.publish(version, report.study_page(context, live).encode())

    shown = "return document.getElementById('live').innerText.includes"
    with closing(PageServer(lambda: status[0])) as server:
        publish(1)
        browser.get(server.url)
        _until(browser, f"{shown}('full, seed 2: epoch 1/6')")
        status[0] = Status(text="2 done.", running=("<b>none</b>, seed 3: epoch 4/6",))
        _until(browser, f"{shown}('<b>none</b>, seed 3: epoch 4/6')")
        status[0] = Status(text="3 done.", running=())
        publish(2)
        _until(browser, "return document.getElementById('live').dataset.version === '2'")
        assert browser.get_log("browser") == []
    _until(browser, f"{shown}('it no longer answers')")
    browser.get_log("browser")  # the notice of a lost connection


@needs_vega
def test_settings_can_be_switched_off(browser: Chrome, pages: dict[str, Path]) -> None:
    _open(browser, pages["settings"])
    rows = f"return {MARKS}.filter(label => label.includes('Row: ELU: 24')).length"
    assert browser.execute_script(rows) == 2  # on CIFAR-10 and Imagenette
    height = "return document.querySelector('.chart svg').getBoundingClientRect().height"
    before = browser.execute_script(height)
    box = browser.find_elements(By.CSS_SELECTOR, ".filters fieldset:nth-child(2) input")[1]
    box.send_keys(Keys.SPACE)
    _until(browser, f"return {MARKS}.length && !({rows.removeprefix('return ')})")
    assert browser.execute_script(height) < before
    assert browser.get_log("browser") == []
