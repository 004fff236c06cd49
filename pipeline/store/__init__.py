"""A persistent map from digest to result, on disk or at a URL. It knows no graphs.

- `store` – `Store`: puts, gets, verifies; failures are warnings
- `space` – how much all entries may have, `max_bytes`; which are evicted for others
- `costs` – the seconds to store a result, as measured here
- `notes` – what was computed, and why something is not stored
- `backends` – where it keeps bytes: a folder, or a URL
- `entry` – the file of one result: a header with checksums, and the payload
- `formats` – values as bytes and back, without pickle; `storable` and `register_format`
  add some
- `memory` – values that were used lately, kept in this process
- `spilling` – workers of Dask that are short of memory do not write what a store has
- `failures` – what fails: how long it is left alone, and the warnings that are due
- `errors` – `StoreError`, `StoreWarning`, `LostError`
"""

from pipeline.store.backends import Counts, Lease, flush_all, nearby
from pipeline.store.costs import estimated_bytes, seconds_of_import
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
from pipeline.store.spilling import note_place
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
    "estimated_bytes",
    "files_in",
    "flush_all",
    "is_storable",
    "nearby",
    "note_place",
    "pieces",
    "register_format",
    "script_classes",
    "seconds_of_import",
    "size",
    "storable",
    "unpacked",
]
