"""Pictures on white paper and on GitHub's dark one: transparent, and readable on both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import pytest

import pipeline
from pipeline import Store, contrast, race
from pipeline.apps.growth import plot_fibonacci, plot_gradients
from pipeline.apps.mlp import network, pictures
from pipeline.apps.mlp.epochs import Epoch
from pipeline.cli.screen import save_figure
from tests.apps.test_growth import DEEP, FIBONACCI, WIDE
from tests.functions import fib

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NET = network((2, 2, 2, 1))
PAPERS = {"white": "#ffffff", "dark": "#0d1117"}

LEAST = 4.3
"""Letters on paper. The papers differ by 18.9: no grey has more than its root, 4.35, on both."""


def stored(folder: Path) -> str:
    store = Store(folder / "store", keep=["fib"])
    pipeline.compute(fib(3), store=store, scheduler="sync")
    return contrast(fib(5), store=store)._repr_svg_()


def figure(draw: Callable[[], Any]) -> Callable[[Path], str]:
    return lambda folder: save_figure(draw(), folder / "figure.svg").read_text()


def mistaken() -> Any:
    images = np.eye(8).reshape(1, 64).repeat(2, 0)
    return pictures.plot_mistaken(images, np.array([3, 1]), np.array([7, 7]))


def confusion() -> Any:
    labels, predicted = np.array([0, 1, 1, 1]), np.array([0, 1, 0, 1])
    return pictures.plot_confusion(pictures.confusion(labels, predicted, 2))


KINDS: dict[str, Callable[[Path], str]] = {
    "tree and DAG": lambda _: contrast(fib(5), values=True)._repr_svg_(),
    "folded": lambda _: contrast(fib(20))._repr_svg_(),
    "blocks": lambda _: fib(5).graph().visualize(blocks=True)._repr_svg_(),
    "shared": lambda _: contrast(da.ones(4, chunks=2) + da.ones(4, chunks=2))._repr_svg_(),
    "store": stored,
    "race": lambda folder: race(fib(5)).save(folder / "race.svg").read_text(),
    "adjoints": lambda _: pictures.adjoints(NET, "w1_11", numbers=True)._repr_svg_(),
    "all adjoints": lambda _: pictures.adjoints(NET)._repr_svg_(),
    "network": lambda _: pictures.diagram(network((2, 3, 4, 1)), "w1_12")._repr_svg_(),
    "Fibonacci's growth": figure(lambda: plot_fibonacci(FIBONACCI)),
    "a gradient's growth": figure(lambda: plot_gradients([*DEEP, *WIDE])),
    "curves": figure(lambda: pictures.plot_curves([Epoch(n, 1 / n, 0.9) for n in (1, 2, 3)])),
    "confusion": figure(confusion),
    "mistaken": figure(mistaken),
}

# Letters against the last shape that is drawn below them, or the paper; lines against the paper.
# Outlines of nodes do not count: what is in a node is read, and its fill is seen on dark paper.
FAINT = """
([paper, least]) => {
  const parse = (text) => {
    const numbers = text.match(/[\\d.]+/g).map(Number);
    return { rgb: numbers.slice(0, 3), a: numbers[3] ?? 1 };
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((each) => each / 255)
      .map((each) => (each <= 0.03928 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const over = ({ rgb, a }, below) => rgb.map((each, n) => each * a + below[n] * (1 - a));
  const ratio = (one, other) => {
    const both = [light(one), light(other)];
    return (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
  };
  const opacity = (element) => {
    const own = Number(getComputedStyle(element).opacity);
    return own * (element.parentElement ? opacity(element.parentElement) : 1);
  };
  for (const animation of document.getAnimations()) { // at the end of its round
    animation.pause();
    animation.currentTime = animation.effect.getTiming().duration - 100;
  }
  const below = parse(paper).rgb;
  const all = [...document.querySelectorAll("svg :is(path, polygon, ellipse, rect, text, image)")];
  const isFilled = (each) => getComputedStyle(each).fill !== "none";
  const holds = (shape, { left, top, width, height }) => {
    const box = shape.getBoundingClientRect();
    const [x, y] = [left + width / 2, top + height / 2];
    if (box.left > x || box.right < x || box.top > y || box.bottom < y) return false;
    const point = new DOMPoint(x, y).matrixTransform(shape.getScreenCTM().inverse());
    return shape.isPointInFill ? shape.isPointInFill(point) : true;
  };
  const found = [];
  let papers = 0;
  all.forEach((element, place) => {
    const style = getComputedStyle(element);
    const box = element.getBoundingClientRect();
    if (element.matches("text")) {
      const text = element.textContent.trim();
      if (!/[\\p{L}\\p{N}]/u.test(text)) return;
      if (!element.checkVisibility({ opacityProperty: true })) return;
      const shape = all.slice(0, place).filter((each) => !each.matches("text"))
        .findLast((each) => (each.matches("image") || isFilled(each)) && holds(each, box));
      if (shape?.matches("image")) return; // its colours are tested where it is made
      const fill = shape && parse(getComputedStyle(shape).fill);
      const under = fill ? over({ rgb: fill.rgb, a: fill.a * opacity(shape) }, below) : below;
      const { rgb, a } = parse(style.fill);
      const of = ratio(over({ rgb, a: a * opacity(element) }, under), under);
      if (of < (fill && fill.a > 0 ? 4.5 : least)) found.push([text, of]);
    } else if (style.stroke !== "none" && !isFilled(element) && !element.closest("defs")) {
      const { rgb, a } = parse(style.stroke);
      const shown = a * opacity(element) * Number(style.strokeOpacity);
      const of = ratio(over({ rgb, a: shown }, below), below);
      if (of < 3) found.push([element.outerHTML.slice(0, 150), of]);
    } else if (isFilled(element) && parse(style.fill).a * Number(style.fillOpacity) > 0) {
      const svg = element.closest("svg").getBoundingClientRect();
      papers += box.width * box.height > 0.9 * svg.width * svg.height;
    }
  });
  return [found, papers];
}
"""


@pytest.fixture(scope="module")
def paper(browser: Any) -> Any:
    page = browser.new_context().new_page()
    yield page
    page.context.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_is_transparent_and_read_on_white_and_on_dark_paper(
    paper: Any, tmp_path: Path, kind: str
) -> None:
    svg = KINDS[kind](tmp_path)
    svg = svg[svg.index("<svg") :]
    for colour in PAPERS.values():
        paper.set_content(f'<body style="background: {colour}">{svg}')
        shade = paper.evaluate("getComputedStyle(document.body).backgroundColor")
        faint, papers = paper.evaluate(FAINT, [shade, LEAST])
        assert faint == []
        assert papers == 0
