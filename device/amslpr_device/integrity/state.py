"""What the device keeps about its files, on root, since root is what is looked at: /var/lib/amslpr-integrity, 0700.

moved: {path: line}, how the manifest was moved on. seen: {path: mark}, what was found good. last.json: the last look.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from amslpr_device.context import Context
from amslpr_device.files import make_folder, write


def folder(ctx: Context) -> Path:
    """Where it is."""
    return ctx.at('/var/lib/amslpr-integrity')


def _load(ctx: Context, name: str) -> dict[str, Any]:
    try:
        found = json.loads((folder(ctx) / name).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _keep(ctx: Context, name: str, record: dict[str, Any]) -> None:
    """Written when it is something new."""
    make_folder(folder(ctx), 0o700)
    if not (folder(ctx) / name).exists() or _load(ctx, name) != record:
        write(folder(ctx) / name, json.dumps(record, sort_keys=True, separators=(',', ':')) + '\n', 0o600)


def begun(ctx: Context) -> bool:
    """Whether what is the device's own was taken in: only a look keeps `seen`, and an upgrade may come before it."""
    return (folder(ctx) / 'seen').exists()


def moved(ctx: Context) -> dict[str, str]:
    """How the manifest was moved on."""
    return _load(ctx, 'moved')


def put_moved(ctx: Context, record: dict[str, str]) -> None:
    """Moves it on."""
    _keep(ctx, 'moved', record)


def seen(ctx: Context) -> dict[str, str]:
    """What was found good."""
    return _load(ctx, 'seen')


def put_seen(ctx: Context, record: dict[str, str]) -> None:
    """Keeps that."""
    _keep(ctx, 'seen', record)


def last(ctx: Context) -> dict[str, Any]:
    """The last look: {time, whole, differences: {path: what}, failed: [checks], error}."""
    return _load(ctx, 'last.json')


def put_last(ctx: Context, record: dict[str, Any]) -> None:
    """Keeps that."""
    _keep(ctx, 'last.json', record)
