"""Certificates of a team: a small authority of its own, and a key for each agent that says its number."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from d2oc.errors import BusError, MissingExtraError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate, CertificateBuilder

AUTHORITY = "authority"
"""Name of the files of the team's authority."""
READ_BY_OWNER = 0o600


class Credentials(NamedTuple):
    """Files with which an agent proves who it is, and knows the others."""

    authority: Path
    """Certificate of the team's authority."""
    certificate: Path
    key: Path


def agent_name(number: int) -> str:
    """Name of an agent in its certificate."""
    return f"agent-{number}"


def credentials_in(folder: Path, number: int) -> Credentials:
    """Files of an agent in a folder that `make_certificates` filled.

    Raises
    ------
    BusError
        If one of them is missing.
    """
    name = agent_name(number)
    found = Credentials(folder / f"{AUTHORITY}.pem", folder / f"{name}.pem", folder / f"{name}.key")
    for path in found:
        if not path.is_file():
            raise BusError(
                f"{path}: no such file; `d2oc certificates {folder} --agents {number + 1}` makes what an agent needs"
            )
    return found


def make_certificates(folder: Path, n_agents: int, days: float = 365.0, now: datetime | None = None) -> list[Path]:
    """Make what is missing in a folder: the team's authority, and certificate and key of each agent.

    An agent needs its own two files and `authority.pem`. Who holds `authority.key` can make further agents.

    Parameters
    ----------
    folder : Path
        Created if it does not exist.
    n_agents : int
        Agents 0 to `n_agents` - 1.
    days : float
        How long certificates are valid. [d]
    now : datetime, optional
        Begin of their validity; default: now.

    Returns
    -------
    made : list of Path
        Files written.

    Raises
    ------
    BusError
        If a file cannot be read or written.
    MissingExtraError
        If `cryptography` is not installed.
    """
    try:
        from cryptography import x509  # noqa: F401  the one place that asks whether it is there
    except ImportError:
        raise MissingExtraError("making certificates", "zenoh") from None
    begin = now or datetime.now(UTC)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return list(_missing_files(folder, n_agents, begin, begin + timedelta(days=days)))
    except OSError as error:
        raise BusError(f"{error.filename or folder}: cannot be read or written ({error.strerror})") from None
    except ValueError as error:
        raise BusError(f"{folder}: the authority in it cannot be read ({error})") from None


def _missing_files(folder: Path, n_agents: int, begin: datetime, end: datetime) -> Iterator[Path]:
    if not (folder / f"{AUTHORITY}.key").exists():
        key = _new_key()
        yield from _write(folder, AUTHORITY, key, _authority(key, begin, end))
    authority, authority_key = _read_authority(folder)
    for number in range(n_agents):
        name = agent_name(number)
        if not (folder / f"{name}.pem").exists():
            key = _new_key()
            yield from _write(folder, name, key, _certificate(name, key, authority, authority_key, begin, end))


def _new_key() -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _authority(key: EllipticCurvePrivateKey, begin: datetime, end: datetime) -> Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    name = _named("d2oc team")
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    return (
        _valid(name, key, begin, end)
        .issuer_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )


def _certificate(
    name: str,
    key: EllipticCurvePrivateKey,
    authority: Certificate,
    authority_key: EllipticCurvePrivateKey,
    begin: datetime,
    end: datetime,
) -> Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID

    both_sides = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    return (
        _valid(_named(name), key, begin, end)
        .issuer_name(authority.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(both_sides, critical=False)
        .sign(authority_key, hashes.SHA256())
    )


def _named(name: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _valid(name: x509.Name, key: EllipticCurvePrivateKey, begin: datetime, end: datetime) -> CertificateBuilder:
    from cryptography import x509

    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin - timedelta(minutes=5))  # clocks of a team differ
        .not_valid_after(end)
    )


def _write(folder: Path, name: str, key: EllipticCurvePrivateKey, certificate: Certificate) -> Iterator[Path]:
    from cryptography.hazmat.primitives import serialization as form

    text = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    secret = folder / f"{name}.key"
    with os.fdopen(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, READ_BY_OWNER), "wb") as file:
        file.write(text)
    public = folder / f"{name}.pem"
    public.write_bytes(certificate.public_bytes(form.Encoding.PEM))
    yield secret
    yield public


def _read_authority(folder: Path) -> tuple[Certificate, EllipticCurvePrivateKey]:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    certificate = x509.load_pem_x509_certificate((folder / f"{AUTHORITY}.pem").read_bytes())
    key = load_pem_private_key((folder / f"{AUTHORITY}.key").read_bytes(), None)
    if not isinstance(key, EllipticCurvePrivateKey):
        raise ValueError("its key is of another kind")
    return certificate, key
