"""The method `card`: the key is a file on the same card, and opens without anybody."""

from amslpr_device.context import Context, StepError
from amslpr_device.files import make_folder, write
from amslpr_device.unlock.hints import RECOVER


def ready(ctx: Context) -> None:
    """Always."""


def keep(ctx: Context, key: bytes, given: bytes) -> None:
    """Writes the key file."""
    make_folder(ctx.key_file.parent, 0o700)
    write(ctx.key_file, key, 0o400)


def recall(ctx: Context, given: bytes) -> bytes:
    """Reads it."""
    try:
        return ctx.key_file.read_bytes()
    except OSError as error:
        raise StepError(f'the machine key cannot be read: {error.strerror}', RECOVER) from error
