"""What is the same? Values, functions and calls as digests."""

from pipeline.identity.arrays import freeze_array
from pipeline.identity.atoms import ATOMS, KEY_WIDTH, MAX_INT, MIN_INT, short_hash
from pipeline.identity.bytecode import SUPERINSTRUCTIONS
from pipeline.identity.digests import OWN_SOURCES, Digester, digest, encode_with, hash_encoded
from pipeline.identity.encoder import (
    CONTAINERS,
    NO_SESSION,
    current_session,
    encode,
    encode_ordered_dict,
    is_tracing,
    run_untraced,
    session,
)
from pipeline.identity.files import File
from pipeline.identity.names import CodeNames, names_in_code
from pipeline.identity.references import (
    Library,
    attribute_of,
    closure_values,
    definition_parts,
    is_library,
    library_name,
    references,
)
from pipeline.identity.state import UnkeyableError, UnknownError
from pipeline.identity.text import (
    all_digits,
    format_duration,
    format_number,
    format_value,
    mask_passwords,
    printable,
    short_repr,
    shorten,
)

__all__ = [
    "NO_SESSION",
    "ATOMS",
    "CONTAINERS",
    "KEY_WIDTH",
    "MAX_INT",
    "MIN_INT",
    "OWN_SOURCES",
    "SUPERINSTRUCTIONS",
    "CodeNames",
    "Digester",
    "File",
    "Library",
    "UnkeyableError",
    "UnknownError",
    "all_digits",
    "attribute_of",
    "closure_values",
    "current_session",
    "definition_parts",
    "digest",
    "encode",
    "encode_ordered_dict",
    "encode_with",
    "format_duration",
    "format_number",
    "format_value",
    "freeze_array",
    "hash_encoded",
    "is_library",
    "is_tracing",
    "library_name",
    "mask_passwords",
    "names_in_code",
    "printable",
    "references",
    "run_untraced",
    "session",
    "short_hash",
    "short_repr",
    "shorten",
]
