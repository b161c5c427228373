"""A small authority: who has a certificate of it is of the team, and says which agent it is."""

from __future__ import annotations

import stat
from datetime import UTC, datetime

import pytest

pytest.importorskip("cryptography", reason="the extra zenoh is not installed")
from cryptography import x509

from d2oc.bus.certificates import credentials_in, make_certificates
from d2oc.errors import BusError

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def read(path):
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_certificates_are_signed_by_the_authority_and_say_which_agent(tmp_path):
    made = make_certificates(tmp_path, 2, days=30, now=NOW)
    assert len(made) == 6
    credentials = credentials_in(tmp_path, 1)
    authority, certificate = read(credentials.authority), read(credentials.certificate)
    certificate.verify_directly_issued_by(authority)
    assert certificate.subject.rfc4514_string() == "CN=agent-1"
    assert (certificate.not_valid_after_utc - NOW).days == 30
    assert authority.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_keys_are_for_their_owner_only(tmp_path):
    for path in make_certificates(tmp_path, 1):
        if path.suffix == ".key":
            assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_there_is_kept_and_the_team_grows(tmp_path):
    make_certificates(tmp_path, 1)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert make_certificates(tmp_path, 1) == []
    assert [path.name for path in make_certificates(tmp_path, 2)] == ["agent-1.key", "agent-1.pem"]
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    read(tmp_path / "agent-1.pem").verify_directly_issued_by(read(tmp_path / "authority.pem"))


def test_sentences(tmp_path):
    with pytest.raises(BusError, match=r"authority.pem: no such file; `d2oc certificates .* --agents 3` makes"):
        credentials_in(tmp_path, 2)
    make_certificates(tmp_path, 1)
    (tmp_path / "authority.key").write_text("nonsense")
    with pytest.raises(BusError, match="the authority in it cannot be read"):
        make_certificates(tmp_path, 2)
