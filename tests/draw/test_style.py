"""How tasks look: colours without end, and names for what they mean."""

from __future__ import annotations

from pipeline.draw import PLAIN, colours
from pipeline.draw.style import FATES, PALETTE, colour


def test_colours_go_on_beyond_the_palette() -> None:
    assert colour(0) == PALETTE[0]
    assert len({colour(place) for place in range(500)}) == 500


def test_what_a_store_does_overrules_groups() -> None:
    style = PLAIN._replace(group=lambda key: 0, kind="layer")
    assert colours(["a", "b"], style) == {"a": PALETTE[0], "b": PALETTE[0]}
    fated = style.fated({"a": "hit"})
    assert colours(["a", "b"], fated) == {"a": FATES["hit"], "b": PALETTE[2]}
    assert style.legend == "one colour, one layer"
    assert fated.legend == "hit · miss · skipped · culled"
