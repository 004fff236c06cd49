"""What a page is made of. Each part knows its template; the words in it are escaped there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from markupsafe import Markup


class Part(Protocol):
    """Anything with a template in `pipeline/page`, which is filled in with it as `part`."""

    template: ClassVar[str]


@dataclass(frozen=True)
class Prose:
    """Paragraphs."""

    template: ClassVar[str] = "prose.html"
    paragraphs: Sequence[str]


@dataclass(frozen=True)
class Figure:
    """A picture with a caption."""

    template: ClassVar[str] = "figure.html"
    picture: Markup
    caption: str = ""


@dataclass(frozen=True)
class Table:
    """Rows under a head; numbers, which stand flush right, from the column `left` on.

    secret: columns that a quiz hides
    """

    template: ClassVar[str] = "table.html"
    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int = 1
    secret: Sequence[int] = ()
    note: str = ""


@dataclass(frozen=True)
class Equations:
    """Equations as MathML, each with what it is in words.

    >>> from markupsafe import Markup
    >>> Equations([("factored", Markup("<math/>"))]).lines[0][0]
    'factored'
    """

    template: ClassVar[str] = "equations.html"
    lines: Sequence[tuple[str, Markup]]


@dataclass(frozen=True)
class Choice:
    """Alternatives, of which one is shown: the parts of each, by its name."""

    template: ClassVar[str] = "choice.html"
    label: str
    options: Mapping[str, Sequence[Part]]


@dataclass(frozen=True)
class Question:
    """A question with one answer, or several.

    answers: what is right; a number is asked for if there is nothing to choose from
    choices: what can be chosen
    why: told with the answer
    """

    text: str
    answers: Sequence[str]
    choices: Sequence[str] = ()
    why: str = ""


@dataclass(frozen=True)
class Quiz:
    """Questions whose answers are checked on the page."""

    template: ClassVar[str] = "quiz.html"
    questions: Sequence[Question]

    @property
    def data(self) -> list[list[str]]:
        """The right answers of each question."""
        return [list(each.answers) for each in self.questions]


@dataclass(frozen=True)
class Section:
    """A chapter of a page.

    name: in the address, and in the contents
    is_secret: whether a quiz hides it until it is asked for
    """

    name: str
    title: str
    parts: Sequence[Part]
    lead: str = ""
    is_secret: bool = False
