"""Quizzes: what is hidden, what is asked, what is right; and choices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.apps.mlp import network
from pipeline.apps.mlp.lesson import ALL
from tests.browser.scenes import Seen

if TYPE_CHECKING:
    from tests.browser.scenes import Opened

SECRETS = (
    ".secret:not(.table .secret, .card .secret), [data-box] .value, [data-box] .count, .said, "
    ".memo td.secret"
)


def shown(root: Any, what: str) -> list[bool]:
    found: list[bool] = root.locator(what).evaluate_all(
        "all => all.map(each => each.checkVisibility({visibilityProperty: true}))"
    )
    return found


def test_a_quiz_hides_counts_and_values_until_asked(opened: Opened) -> None:
    seen = Seen(opened("quiz"))
    assert len(shown(seen.root, SECRETS)) > 60
    assert not any(shown(seen.root, SECRETS))
    assert "3.6" not in seen.root.inner_text()
    assert all(shown(seen.root, "[data-box]"))
    seen.do("reveal")
    assert all(shown(seen.root, SECRETS))
    assert "25 of 25" in seen.root.inner_text()
    seen.do("reveal")
    assert not any(shown(seen.root, SECRETS))


def test_what_is_counted_elsewhere_is_folded_in_a_quiz_until_asked(opened: Opened) -> None:
    page = opened("quiz tour")
    charts = page.locator("[data-chart], [data-slider], [data-rows]")
    assert charts.count() > 9
    assert not any(shown(page, "[data-chart], [data-slider], [data-rows]"))
    for summary in page.locator("main > section > details > summary").all():
        summary.click()
    drawn = "plot => plot.querySelector('.line')?.checkVisibility()"
    page.wait_for_function(f"() => [...document.querySelectorAll('[data-plot]')].every({drawn})")
    assert all(shown(page, "[data-slider], [data-rows]"))


def test_what_a_quiz_hides_is_not_told_to_a_reader_of_screens(opened: Opened) -> None:
    seen = Seen(opened("quiz"))
    labels = "all => all.map(each => each.getAttribute('aria-label'))"
    nodes, pictures = seen.root.locator("[data-box]"), seen.root.locator("svg")
    hidden = nodes.evaluate_all(labels)
    assert {*hidden} == {f"fib({n})" for n in range(7)}
    assert pictures.evaluate_all(labels) == ["tree, one per call", "DAG, one per subproblem"]
    seen.do("reveal")
    assert "fib(2), = 1, 5 of 5" in nodes.evaluate_all(labels)


def test_the_card_hides_value_and_occurrences_too(opened: Opened) -> None:
    seen = Seen(opened("quiz"))
    seen.node("dag", "fib(4)").click()
    assert shown(seen.root, "[data-card] .secret") == [False, False]
    seen.do("reveal")
    assert shown(seen.root, "[data-card] .secret") == [True, True]


def test_tables_show_their_numbers_when_asked(opened: Opened) -> None:
    page = opened("quiz")
    table = page.locator(".table:has(> [data-unveil])").first
    assert not any(shown(table, ".secret"))
    table.locator("[data-unveil]").click()
    assert all(shown(table, ".secret"))
    assert not any(shown(page.locator(".table:has(> [data-unveil])").nth(1), ".secret"))


def test_numbers_are_checked(opened: Opened) -> None:
    page = opened("quiz")
    for number, right in ((0, "5"), (1, "3"), (3, "25"), (4, " 7 ")):
        form = page.locator("#quiz form").nth(number)
        answer, said = form.locator("input"), form.locator("[role=status]")
        for wrong in ("", "4711", "five"):
            answer.fill(wrong)
            form.locator("button").first.click()
            assert said.inner_text() == "Not so: look again, or ask for the answer."
        answer.fill(right)
        answer.press("Enter")
        assert said.inner_text().startswith("Right. ")
        assert "right" in said.get_attribute("class")
    assert "?" not in page.url


def test_an_answer_is_shown_when_asked_for(opened: Opened) -> None:
    page = opened("quiz")
    form = page.locator("#quiz form").nth(3)
    assert form.locator("label").inner_text().strip() == "How many tasks are there on the left?"
    form.locator("[data-reveal]").click()
    assert form.locator("[role=status]").inner_text() == "25. One per call."


def test_choices_are_right_when_all_and_no_others_are_checked(opened: Opened) -> None:
    form = opened("quiz").locator("#backpropagation-quiz form:has(fieldset)").first
    said = form.locator("[role=status]")
    form.locator("[data-reveal]").click()
    right = said.inner_text().split(". ")[0].split(", ")
    boxes = form.locator("input[type=checkbox]")
    values = boxes.evaluate_all("all => all.map(each => each.value)")
    assert set(right) < set(values)

    def check(wanted: list[str]) -> str:
        for place, value in enumerate(values):
            boxes.nth(place).set_checked(value in wanted)
        form.locator("button").first.click()
        return str(said.inner_text())

    assert check(right).startswith("Right. ")
    assert check(values).startswith("Not so")
    assert check(right[1:]).startswith("Not so")


def test_a_page_without_a_quiz_hides_nothing(opened: Opened) -> None:
    page = opened("tour")
    assert shown(page, "[data-do=reveal], [data-unveil]").count(True) == 0
    assert all(shown(Seen(page).root, SECRETS))


def test_the_weight_is_chosen_from_a_list(opened: Opened) -> None:
    page = opened("tour")
    select = page.locator("[data-choice] > select")
    names = select.locator("option").all_inner_texts()
    assert names == [*network((2, 2, 2, 1)).parameters, ALL]
    for name in ("w2_12", ALL):
        select.select_option(name)
        assert shown(page, "[data-option]") == [name == each for each in names]
        seen = Seen(page, 1 + names.index(name))
        width = seen.root.locator(".tree svg").bounding_box()["width"]
        assert width > 100
        seen.do("first")
        assert seen.step == "step 0"
    assert "w2_12" in page.locator("[data-option]").nth(names.index("w2_12")).text_content()


def test_a_weight_has_its_network_its_formulas_and_its_scene(opened: Opened) -> None:
    page = opened("tour")
    option = page.locator("[data-option]").first
    assert option.locator("figure svg").count() == 1
    assert option.locator("math").count() == 2
    assert option.locator("math mfrac").count() > 10
    assert option.locator("math").first.bounding_box()["height"] > 30
    assert option.locator("[data-scene]").count() == 1


def test_keys_go_to_the_scene_that_is_seen(opened: Opened) -> None:
    page = opened("tour")
    first, second = Seen(page), Seen(page, 1)
    second.root.scroll_into_view_if_needed()
    second.root.locator(".legend").click()
    first_step = first.root.locator("[data-step]").text_content()
    page.keyboard.press("Home")
    assert second.step == "step 0"
    assert first.root.locator("[data-step]").text_content() == first_step
    page.locator("[data-choice] > select").select_option("b3_1")
    page.locator("h1").click()
    page.keyboard.press("Home")
    assert first.step == "step 0"
