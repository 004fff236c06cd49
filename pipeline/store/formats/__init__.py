"""Values as bytes and back, without pickle.

- `codec` – `encoded` and `decoded`: any value that has a format
- `objects` – dataclasses, named tuples and enums; `storable` marks a class
- `registered` – `register_format` adds a format in two functions
- `libraries` – such formats, by library; one for another type goes there, Python's own included
- `arrays`, `tables`, `streams` – the formats of NumPy's and of pandas' values, and Arrow's bytes
- `files` – results that are files: their content, and how they are put back
- `pickles` – what a store may pickle: everything, or objects of named classes
"""

from pipeline.store.formats.codec import (
    decoded,
    decoded_with_files,
    encoded,
    files_in,
)
from pipeline.store.formats.objects import is_storable, script_classes, storable
from pipeline.store.formats.pickles import Allowed
from pipeline.store.formats.registered import add_formats, register_format, script_formats

__all__ = [
    "Allowed",
    "add_formats",
    "decoded",
    "decoded_with_files",
    "encoded",
    "files_in",
    "is_storable",
    "register_format",
    "script_classes",
    "script_formats",
    "storable",
]
