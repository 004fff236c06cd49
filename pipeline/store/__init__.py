"""A persistent map from digest to result, on disk or at a URL. It knows no graphs.

- `store` – `Store`: puts, gets, verifies; evicts entries over `max_bytes`; failures are warnings
- `disk` – entries in a folder: temporary files, renamed when they are complete
- `remote` – entries at any URL of fsspec: S3, memory, FTP, …
- `locks` – locks on files, and leases: one process computes a task while others wait
- `index` – notes and counts of runs, the total of bytes, which entry is evicted first
- `entry` – the file of one result: a header with checksums, and the payload
- `codec` – values as bytes and back, without pickle; `storable` adds formats of classes
- `arrays`, `tables` – the formats of NumPy's and of pandas' values
"""

from pipeline.store.codec import decoded, encoded, is_storable, script_classes, storable
from pipeline.store.entry import CodecError, Entry, UnstorableError, checksum, unpacked
from pipeline.store.index import Counts
from pipeline.store.store import LostError, Store, StoreError, StoreWarning

__all__ = [
    "CodecError",
    "Counts",
    "Entry",
    "LostError",
    "Store",
    "StoreError",
    "StoreWarning",
    "UnstorableError",
    "checksum",
    "decoded",
    "encoded",
    "is_storable",
    "script_classes",
    "storable",
    "unpacked",
]
