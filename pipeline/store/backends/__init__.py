"""Where a store keeps its bytes: a folder, or a URL.

- `backend` – `Backend`: what such a place offers; `backend_at`: the place that a URL names
- `disk` – entries in a folder: temporary files, renamed when they are complete
- `remote` – entries at any URL of fsspec: S3, memory, FTP, …
- `upstream` – entries in one of these, and read from and written to another, which a team shares
- `claims` – which folder is a store, and who may use its files
- `locks` – locks on files, and leases: one process computes a task while others wait
- `files` – files of a disk: written, read, mapped, and kept open
- `flushing` – many files are written to the disk together
- `index` – size, work and last use of all entries in SQLite: which one is evicted first
- `notes` – what runs computed, and how often they hit
"""

from pipeline.store.backends.backend import Backend, backend_at
from pipeline.store.backends.disk import Disk
from pipeline.store.backends.files import OpenFile
from pipeline.store.backends.index import Stat, Usage, eviction_order
from pipeline.store.backends.locks import Lease, Waiting
from pipeline.store.backends.notes import Counts, parse_history, parse_notes, sum_runs, topic_of
from pipeline.store.backends.remote import HEAD
from pipeline.store.backends.upstream import Host, Mirrored, flush_all, nearby, upstream_at

__all__ = [
    "HEAD",
    "Backend",
    "Counts",
    "Disk",
    "Host",
    "Lease",
    "Mirrored",
    "OpenFile",
    "Stat",
    "Usage",
    "Waiting",
    "backend_at",
    "eviction_order",
    "flush_all",
    "nearby",
    "parse_history",
    "parse_notes",
    "sum_runs",
    "topic_of",
    "upstream_at",
]
