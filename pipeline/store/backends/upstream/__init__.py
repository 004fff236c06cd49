"""A place that a team shares, behind the place of a store.

- `mirrored` – `Mirrored`: a backend composed of the two
- `requests` – `Upstream`: requests that may fail or hang, and writing in the background
"""

from pipeline.store.backends.upstream.mirrored import Host, Mirrored, nearby
from pipeline.store.backends.upstream.requests import Upstream, flush_all, upstream_at

__all__ = ["Host", "Mirrored", "Upstream", "flush_all", "nearby", "upstream_at"]
