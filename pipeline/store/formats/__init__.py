"""Values as bytes and back, without pickle.

- `codec` – `encoded` and `decoded`: any value that has a format; `storable` adds formats of classes
- `arrays`, `tables` – the formats of NumPy's and of pandas' values
"""

from pipeline.store.formats.codec import decoded, encoded, is_storable, script_classes, storable

__all__ = ["decoded", "encoded", "is_storable", "script_classes", "storable"]
