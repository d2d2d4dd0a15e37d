"""The Fernet key, made when it is missing."""

import os

from cryptography.fernet import Fernet

from src.utils.paths import KEY


def fernet() -> Fernet:
    """A Fernet with the key of this device; makes config/crypto.key, mode 600, when it is missing."""
    if not KEY.exists():
        KEY.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(KEY, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, 'wb') as file:
            file.write(Fernet.generate_key())
    return Fernet(KEY.read_bytes())
