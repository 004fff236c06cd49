"""A persistent map from digest to result, on disk or at a URL. It knows no graphs."""

from pipeline.store.codec import encoded
from pipeline.store.entry import Entry, checksum, unpacked
from pipeline.store.ledger import Counts, LostError, topic
from pipeline.store.room import StoreError
from pipeline.store.storables import (
    CodecError,
    UnstorableError,
    is_storable,
    of_the_script,
    storable,
)
from pipeline.store.store import Store
from pipeline.store.warned import StoreWarning

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
    "encoded",
    "is_storable",
    "of_the_script",
    "storable",
    "topic",
    "unpacked",
]
