"""Print the oldest supported versions of all dependencies, those of extras too, for `pip -c`."""

import re
import tomllib
from pathlib import Path

TEXT = (Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8")
PROJECT = tomllib.loads(TEXT)["project"]

for requirements in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()):
    for requirement in requirements:
        if bound := re.fullmatch(r"([\w-]+)(?:\[\w+\])?>=([\d.]+)", requirement):
            print("==".join(bound.groups()))
