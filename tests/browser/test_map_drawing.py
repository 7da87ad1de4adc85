"""Drawings of maps in a real browser: words stay in their boxes, whatever the browser's letters."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Page

from console.drawing import draw_svg
from journeys.loading import load
from records.runs.moves import Traffic

ROOT = Path(__file__).parents[2]
MAPS = [ROOT / "tests" / "unit" / "everything.yaml", *sorted((ROOT / "definitions" / "journeys").glob("*.yaml"))]

# The texts that stick out of their own box, label or badge, or of the paper.
_SPILT = """() => {
  const within = (a, b) =>
    a.left >= b.left - 1 && a.right <= b.right + 1 && a.top >= b.top - 1 && a.bottom <= b.bottom + 1;
  const frame = text => text.closest(".label, .badge, .box")?.querySelector("rect") ?? document.querySelector(".paper");
  return [...document.querySelectorAll("text")]
    .filter(text => !within(text.getBoundingClientRect(), frame(text).getBoundingClientRect()))
    .map(text => text.textContent);
}"""


@pytest.mark.parametrize("path", MAPS, ids=lambda path: path.stem)
async def test_every_word_of_a_drawing_stays_where_it_belongs(path: Path, page: Page) -> None:
    program = load(path).program
    everywhere = dict.fromkeys(program.nodes, 12_345)
    svg = draw_svg(program, Traffic({**everywhere, "entry": 7}, everywhere, {"converted": 99}, 1_234_567))
    await page.set_content(svg)
    assert await page.evaluate(_SPILT) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_drawing_follows_the_readers_colour_scheme(scheme: str, page: Page) -> None:
    await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    await page.set_content(draw_svg(load(MAPS[0]).program))
    paper = await page.evaluate("getComputedStyle(document.querySelector('.paper')).fill")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(15, 21, 33)"}[scheme]
