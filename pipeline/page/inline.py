"""Pictures inside a page: SVG without what only a file needs, whose nodes a program finds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.draw import Picture

_SVG = "http://www.w3.org/2000/svg"
_TITLE = "{http://www.w3.org/1999/xlink}title"

ElementTree.register_namespace("", _SVG)


def inline_svg(picture: Picture, text: str, numbers: Mapping[str, int] | None = None) -> Markup:
    """The picture as SVG for a page; a reader of screens is told `text` in its place.

    numbers: of the nodes that can be pointed at, by id; they become buttons, `data-box`, and the
        edges between them bear `data-ends`

    It has no ids: a page may show one picture many times.
    """
    root = ElementTree.fromstring(picture.render("svg"))  # noqa: S314 - Graphviz's own, of escaped labels
    width, height = (re.sub(r"pt$", "", root.get(side, "")) for side in ("width", "height"))
    root.attrib |= {"width": width, "height": height, "role": "group", "aria-label": text}
    known = numbers or {}
    for group in root.iter(f"{{{_SVG}}}g"):
        name, kind = group.get("id", ""), group.get("class")
        ends = _titled(group).split("->") if kind == "edge" else []
        if kind == "graph":
            for each in [each for each in group if each.get("stroke") == "none"]:
                group.remove(each)  # the white paper
        elif name in known:
            _button(group, known[name])
        elif len(ends) == 2 and known.keys() >= set(ends):
            group.set("data-ends", f"{known[ends[0]]} {known[ends[1]]}")
    for element in root.iter():
        for child in [each for each in element if each.tag == f"{{{_SVG}}}title"]:
            element.remove(child)
        for name in ("id", _TITLE):
            element.attrib.pop(name, None)
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # noqa: S704 - serialized XML


def _titled(group: ElementTree.Element) -> str:
    return group.findtext(f"{{{_SVG}}}title", "")


def _button(group: ElementTree.Element, number: int) -> None:
    texts = list(group.iter(f"{{{_SVG}}}text"))
    said = ", ".join(str(each.text) for each in texts)
    group.attrib |= {"data-box": str(number), "role": "button", "tabindex": "-1"}
    group.attrib |= {"aria-label": said, "aria-pressed": "false"}
    for each in texts[1:]:
        each.set("class", "value" if str(each.text).startswith("= ") else "count")
