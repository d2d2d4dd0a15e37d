"""Whom the device believes when it speaks TLS to a server of the operator."""

from __future__ import annotations

import ssl
from pathlib import Path


def trust(ca: Path | None, client: Path | None = None) -> ssl.SSLContext:
    """Believes the CA of the operator, and no other when there is one; else those of Debian. Names are checked.

    `client`: certificate and key of the device, for a server that wants one. An operator's own CA is often one that
    `openssl req -x509` made, without the key usage that Python 3.13 asks for.
    """
    context = ssl.create_default_context(cafile=str(ca) if ca else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca:
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if client:
        context.load_cert_chain(client)
    return context
