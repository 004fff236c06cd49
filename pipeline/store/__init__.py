"""A persistent map from digest to result, on disk or at a URL. It knows no graphs."""

from pipeline.store.codec import encoded, is_storable, of_the_script, storable
from pipeline.store.entry import CodecError, Entry, UnstorableError, checksum, unpacked
from pipeline.store.index import Counts, topic
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
    "encoded",
    "is_storable",
    "of_the_script",
    "storable",
    "topic",
    "unpacked",
]
