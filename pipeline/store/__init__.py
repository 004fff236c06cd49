"""A persistent map from digest to result, on disk or at a URL. It knows no graphs.

- `store` – `Store`: puts, gets, verifies; failures are warnings
- `space` – how much all entries may have, `max_bytes`; which are evicted for others
- `backends` – where it keeps bytes: a folder, or a URL
- `entry` – the file of one result: a header with checksums, and the payload
- `formats` – values as bytes and back, without pickle; `storable` and `register_format`
  add some
- `memory` – values that were used lately, kept in this process
- `failures` – what fails: how long it is left alone, and the warnings that are due
- `errors` – `StoreError`, `StoreWarning`, `LostError`
"""

from pipeline.store.backends import Counts, Lease, flush_all, nearby
from pipeline.store.entry import (
    CodecError,
    Entry,
    UnstorableError,
    checksum,
    pieces,
    size,
    unpacked,
)
from pipeline.store.errors import LostError, StoreError, StoreWarning
from pipeline.store.formats import (
    decoded,
    encoded,
    files_in,
    is_storable,
    register_format,
    script_classes,
    storable,
)
from pipeline.store.memory import MISSING
from pipeline.store.store import Store

__all__ = [
    "MISSING",
    "CodecError",
    "Counts",
    "Entry",
    "Lease",
    "LostError",
    "Store",
    "StoreError",
    "StoreWarning",
    "UnstorableError",
    "checksum",
    "decoded",
    "encoded",
    "files_in",
    "flush_all",
    "is_storable",
    "nearby",
    "pieces",
    "register_format",
    "script_classes",
    "size",
    "storable",
    "unpacked",
]
