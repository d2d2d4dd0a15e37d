"""Whom the device believes when it speaks TLS."""

from __future__ import annotations

import ssl
from pathlib import Path

from relay import authority

from amslpr_device.trust import trust


def test_an_own_authority_may_be_as_openssl_makes_it(tmp_path: Path) -> None:
    ca, *_ = authority(tmp_path)
    context = trust(ca)
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    assert context.verify_mode == ssl.CERT_REQUIRED and context.check_hostname
    assert [one['subject'] for one in context.get_ca_certs()] == [((('commonName', 'Test CA'),),)]


def test_else_debians_are_believed() -> None:
    assert len(trust(None).get_ca_certs()) != 1
