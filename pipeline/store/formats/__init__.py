"""Values as bytes and back, without pickle.

- `codec` – `encoded` and `decoded`: any value that has a format; `storable` adds formats of classes
- `arrays`, `tables` – the formats of NumPy's and of pandas' values
- `files` – results that are files: their content, and how they are put back
"""

from pipeline.store.formats.codec import (
    decoded,
    decoded_with_files,
    encoded,
    files_in,
    is_storable,
    script_classes,
    storable,
)

__all__ = [
    "decoded",
    "decoded_with_files",
    "encoded",
    "files_in",
    "is_storable",
    "script_classes",
    "storable",
]
