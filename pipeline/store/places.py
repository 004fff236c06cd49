"""Where a store keeps its entries, by what a user calls the place."""

from __future__ import annotations

import os
from typing import Any

from pipeline.identity import mask_passwords, short_repr
from pipeline.store.folder import Folder
from pipeline.store.remote import Remote
from pipeline.store.room import StoreError


def named(url: Any) -> str:
    """A folder or URL as text. Raises `StoreError` for what names no place."""
    try:
        found = os.fspath(url)
    except TypeError:
        found = ""
    if not isinstance(found, str) or not found.removeprefix("file://"):
        raise StoreError(f"{short_repr(url)} is no store: give a folder, or s3://bucket/cache")
    return found


def placed(url: str, is_durable: bool, options: dict[str, Any]) -> Folder | Remote:
    """The place of a name. Raises `StoreError` and `ImportError`; see `Store`."""
    if "://" not in url:
        return Folder(os.path.expanduser(url), is_durable)
    protocol, _, path = url.partition("://")
    if protocol in ("file", "local"):
        return Folder(path, is_durable)
    try:
        return Remote(url, options)
    except ImportError as error:
        raise ImportError(f"{mask_passwords(url)}: {error}") from error
    except ValueError as error:
        raise StoreError(f"{mask_passwords(url)}: {error}") from error


def whole_name(at: Folder | Remote) -> str:
    """What names a place in any process: with its password, and not by where this one works."""
    return at.path if isinstance(at, Folder) else at.bucket.url
