"""What is the same? Values, functions and calls as digests."""

from pipeline.identity.arrays import freeze_array
from pipeline.identity.atoms import ATOMS, LEAST, LONG, MOST, short_hash
from pipeline.identity.bytecode import JOINED
from pipeline.identity.digests import OWN_SOURCES, Digester, digest, hashed, walked
from pipeline.identity.encoder import (
    CONTAINERS,
    aside,
    encode,
    in_order_of_items,
    is_remembering,
    remembering,
)
from pipeline.identity.files import File
from pipeline.identity.names import Names, names
from pipeline.identity.references import (
    Library,
    attribute_of,
    cells,
    is_library,
    library_name,
    mentions,
    parts,
)
from pipeline.identity.state import UnkeyableError, UnknownError
from pipeline.identity.text import brief, duration, masked, printable, shorten, shown, size, whole

__all__ = [
    "ATOMS",
    "CONTAINERS",
    "Digester",
    "File",
    "JOINED",
    "LEAST",
    "LONG",
    "Library",
    "MOST",
    "Names",
    "OWN_SOURCES",
    "UnkeyableError",
    "UnknownError",
    "aside",
    "attribute_of",
    "brief",
    "cells",
    "digest",
    "duration",
    "encode",
    "freeze_array",
    "hashed",
    "in_order_of_items",
    "is_library",
    "is_remembering",
    "library_name",
    "masked",
    "mentions",
    "names",
    "parts",
    "printable",
    "remembering",
    "short_hash",
    "shorten",
    "shown",
    "size",
    "walked",
    "whole",
]
