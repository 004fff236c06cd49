"""What is the same? Values, functions and calls as content: keys for a run, digests for years.

- `encoder` – the content of any value, as a part of a key
- `states` – what an object holds, and which values have no content
- `sessions` – `encode`; what stays fixed while a graph is traced
- `arrays` – arrays and tables as arguments: immutable copies, and what they hold
- `attributes` – attributes and state of values, read without running code of the project
- `code` – what compiled code does and names, what a function reaches, and modules by their names
- `reach` – whether a function, and all that it reaches, is as it was when it was read
- `digests` – `digest`: content hashes that also cover versions of Python and libraries
- `files` – `File`: a file as an argument or a result, by its content
- `text` – numbers and values as text for people
"""

from pipeline.identity.arrays import freeze_array
from pipeline.identity.attributes import (
    MISSING,
    attribute_of,
    display_name,
    held,
    is_data,
    is_library_class,
    items_of,
    member_of,
    objects_in,
    plain_state,
    type_part,
)
from pipeline.identity.code.bytecode import CodeNames, names_in_code
from pipeline.identity.code.modules import (
    Library,
    UnimportedModule,
    is_library,
    module_name,
    namespace,
)
from pipeline.identity.code.references import (
    Reference,
    closure_values,
    definition_parts,
    library_name,
    references_of,
)
from pipeline.identity.code.uses import CallSite, Term, Uses, uses_in_code
from pipeline.identity.digests import (
    Digester,
    digest,
    digest_under,
    hash_encoded,
    is_process_state,
    library_version,
)
from pipeline.identity.encoder import (
    ATOMS,
    KEY_WIDTH,
    MAX_INT,
    MIN_INT,
    Known,
    Versions,
    short_hash,
)
from pipeline.identity.files import (
    File,
    Handle,
    Signature,
    file_content,
    file_handle,
    signature_of,
)
from pipeline.identity.reach import Reach
from pipeline.identity.sessions import (
    NO_SESSION,
    current_session,
    encode,
    is_tracing,
    paused_collector,
    run_untraced,
    session,
)
from pipeline.identity.states import UnkeyableError, Unknown, UnknownError
from pipeline.identity.text import (
    all_digits,
    cut,
    format_duration,
    format_number,
    format_value,
    mask_passwords,
    printable,
    short_repr,
    shorten,
)

__all__ = [
    "ATOMS",
    "KEY_WIDTH",
    "MAX_INT",
    "MIN_INT",
    "MISSING",
    "NO_SESSION",
    "CallSite",
    "CodeNames",
    "Digester",
    "File",
    "Handle",
    "Known",
    "Library",
    "Reach",
    "Reference",
    "Signature",
    "Term",
    "UnimportedModule",
    "UnkeyableError",
    "Unknown",
    "UnknownError",
    "Uses",
    "Versions",
    "all_digits",
    "attribute_of",
    "closure_values",
    "current_session",
    "cut",
    "definition_parts",
    "digest",
    "digest_under",
    "display_name",
    "encode",
    "file_content",
    "file_handle",
    "format_duration",
    "format_number",
    "format_value",
    "freeze_array",
    "hash_encoded",
    "held",
    "is_data",
    "is_library",
    "is_library_class",
    "is_process_state",
    "is_tracing",
    "items_of",
    "library_name",
    "library_version",
    "mask_passwords",
    "member_of",
    "module_name",
    "names_in_code",
    "namespace",
    "objects_in",
    "paused_collector",
    "plain_state",
    "printable",
    "references_of",
    "run_untraced",
    "session",
    "short_hash",
    "short_repr",
    "shorten",
    "signature_of",
    "type_part",
    "uses_in_code",
]
