"""A network bus: messages between processes and machines, over Zenoh, without a broker.

Every agent listens at an address and calls the others at theirs; nothing is announced by multicast or passed on from
peer to peer. With certificates, links are mutual TLS and an agent can write under its own name only: receivers drop
what a link's certificate does not cover. Who goes away shows at once, who falls silent after `LEASE_S`.
"""

from __future__ import annotations

import ipaddress
import json
from collections import deque
from collections.abc import Sequence
from threading import Condition
from typing import Any, NamedTuple

from d2oc.bus.certificates import Credentials, agent_name
from d2oc.bus.messages import LONGEST_MESSAGE_BYTES
from d2oc.errors import BusError, MissingExtraError

FIRST_PORT = 7447
"""Agent r listens at the r-th port from here on unless told otherwise."""
LEASE_S = 3.0
"""Who was not heard for so long is gone. [s]"""
KEPT_MESSAGES = 4096
"""So many messages wait to be taken; when more come, the oldest are dropped."""
OVERHEAD_BYTES = 4096
"""More than Zenoh adds to a message."""


class Address(NamedTuple):
    """Where an agent listens."""

    host: str
    port: int

    def __str__(self) -> str:
        """As it is written on the command line."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def address_of(text: str) -> Address:
    """Read HOST:PORT.

    Raises
    ------
    BusError
        If it is none.
    """
    host, _, port = text.strip().rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise BusError(f"{text}: must be HOST:PORT, such as 127.0.0.1:{FIRST_PORT}")
    return Address(host, int(port))


def local_address(number: int) -> Address:
    """Where an agent listens unless told otherwise: on this machine only."""
    return Address("127.0.0.1", FIRST_PORT + number)


class ZenohBus:
    """One agent's link to its team.

    Parameters
    ----------
    mission : str
        Only agents of the same mission hear each other; letters, digits, `-` and `_`.
    number : int
        Which agent this is.
    n_agents : int
        Size of the team.
    listen : Address
        Where it can be called.
    peers : sequence of Address
        Whom it calls, again and again until they answer; of two agents, one needs to call the other.
    credentials : Credentials, optional
        Without them nothing is encrypted and anyone can write: this machine's own addresses only.

    Raises
    ------
    BusError
        If the address cannot be listened at, or a certificate cannot be read.
    MissingExtraError
        If Zenoh is not installed.
    """

    def __init__(
        self,
        mission: str,
        number: int,
        n_agents: int,
        listen: Address,
        peers: Sequence[Address],
        credentials: Credentials | None = None,
    ) -> None:
        try:
            import zenoh
        except ImportError:
            raise MissingExtraError("a team in processes of their own", "zenoh") from None
        if credentials is None:
            _require_local((listen, *peers))
        self.number = number
        self._n_agents = n_agents
        self._news = Condition()
        self._messages: deque[tuple[int, bytes]] = deque(maxlen=KEPT_MESSAGES)
        self._alive: set[int] = set()
        settings = _settings(mission, n_agents, listen, peers, credentials)
        try:
            self._session: Any = zenoh.open(_config(zenoh, settings))
        except zenoh.ZError as error:
            raise BusError(f"agent {number} cannot listen at {listen}: {_reason(error)}") from None
        # In this order: who sees the token knows that this agent listens already.
        self._session.declare_subscriber(f"d2oc/{mission}/*", self._hear)
        self._session.liveliness().declare_subscriber(f"d2oc/{mission}/*/alive", self._watch, history=True)
        self._publisher = self._session.declare_publisher(
            f"d2oc/{mission}/{number}",
            congestion_control=zenoh.CongestionControl.DROP,
            priority=zenoh.Priority.REAL_TIME,
            express=True,
            allowed_destination=zenoh.Locality.REMOTE,
        )
        self._token = self._session.liveliness().declare_token(f"d2oc/{mission}/{number}/alive")

    def publish(self, data: bytes) -> None:
        """Say something to all who listen; nobody waits for anybody, and it may be lost."""
        self._publisher.put(data)

    def take(self) -> list[tuple[int, bytes]]:
        """What was heard since the last time: under whose name, and what."""
        with self._news:
            taken = list(self._messages)
            self._messages.clear()
        return taken

    def wait(self, timeout_s: float) -> None:
        """Wait until there is something to take, or somebody came or went, but no longer than this. [s]"""
        with self._news:
            if not self._messages:
                self._news.wait(timeout_s)

    @property
    def alive(self) -> frozenset[int]:
        """Other agents that are there."""
        with self._news:
            return frozenset(self._alive)

    def close(self) -> None:
        """Leave the team; the others see it at once. The process does not end before."""
        self._session.close()

    # On Zenoh's own threads, so they do nothing but put down what came.

    def _hear(self, sample: Any) -> None:
        sender = self._agent_in(str(sample.key_expr).rsplit("/", 1)[-1])
        if sender is None or len(sample.payload) > LONGEST_MESSAGE_BYTES:
            return
        data = sample.payload.to_bytes()
        with self._news:
            self._messages.append((sender, data))
            self._news.notify_all()

    def _watch(self, sample: Any) -> None:
        other = self._agent_in(str(sample.key_expr).split("/")[-2])
        if other is None:
            return
        with self._news:
            if str(sample.kind).endswith("PUT"):
                self._alive.add(other)
            else:
                self._alive.discard(other)
            self._news.notify_all()

    def _agent_in(self, name: str) -> int | None:
        """Another agent of the team."""
        number = int(name) if name.isdecimal() else -1
        return number if 0 <= number < self._n_agents and number != self.number else None


def _require_local(addresses: Sequence[Address]) -> None:
    for address in addresses:
        if not address.is_local:
            raise BusError(
                f"{address} can be reached from other machines, so agents must prove who they are: "
                "make certificates with `d2oc certificates`"
            )


def _reason(error: Exception) -> str:
    """What Zenoh says, without the places in its source."""
    return str(error).partition(" at /")[0].rstrip(".")


def _config(zenoh: Any, settings: dict[str, Any]) -> Any:
    config = zenoh.Config()
    for key, value in settings.items():
        config.insert_json5(key, json.dumps(value))
    return config


def _settings(
    mission: str, n_agents: int, listen: Address, peers: Sequence[Address], credentials: Credentials | None
) -> dict[str, Any]:
    protocol = "tcp" if credentials is None else "tls"
    settings: dict[str, Any] = {
        "mode": "peer",
        "scouting/multicast/enabled": False,
        "scouting/gossip/enabled": False,
        "listen/endpoints": [f"{protocol}/{listen}"],
        "connect/endpoints": [f"{protocol}/{peer}" for peer in peers],
        "transport/link/protocols": [protocol],
        "transport/link/tx/lease": round(LEASE_S * 1000),
        "transport/link/rx/max_message_size": LONGEST_MESSAGE_BYTES + OVERHEAD_BYTES,
        "transport/shared_memory/enabled": False,
        "adminspace/enabled": False,
    }
    if credentials is not None:
        settings["transport/link/tls"] = _mutual_tls(credentials)
        settings["access_control"] = _own_name_only(mission, n_agents)
    return settings


def _mutual_tls(credentials: Credentials) -> dict[str, Any]:
    certificate, key = str(credentials.certificate), str(credentials.key)
    return {
        "root_ca_certificate": str(credentials.authority),
        "listen_certificate": certificate,
        "listen_private_key": key,
        "connect_certificate": certificate,
        "connect_private_key": key,
        "enable_mtls": True,
        "verify_name_on_connect": False,  # a certificate says which agent it is, not at which address
        "close_link_on_expiration": True,
    }


def _own_name_only(mission: str, n_agents: int) -> dict[str, Any]:
    """Whatever is not allowed here is dropped by who receives it."""
    every, team = f"d2oc/{mission}/*", f"d2oc/{mission}/**"
    watch = ["declare_liveliness_subscriber", "liveliness_query"]
    rules = [
        _rule("listen", "ingress", ["declare_subscriber"], every),
        _rule("watch", "ingress", watch, f"{every}/alive"),
        _rule("say", "egress", ["put", "declare_subscriber", "liveliness_token", *watch], team),
    ]
    subjects, policies = [], []
    for number in range(n_agents):
        own = f"d2oc/{mission}/{number}"
        rules += [
            _rule(f"write-{number}", "ingress", ["put"], own),
            _rule(f"live-{number}", "ingress", ["liveliness_token"], f"{own}/alive"),
        ]
        subjects.append({"id": agent_name(number), "cert_common_names": [agent_name(number)]})
        allowed = ["listen", "watch", "say", f"write-{number}", f"live-{number}"]
        policies.append({"rules": allowed, "subjects": [agent_name(number)]})
    return {
        "enabled": True, "default_permission": "deny", "rules": rules, "subjects": subjects, "policies": policies,
    }  # fmt: skip


def _rule(name: str, flow: str, messages: list[str], key: str) -> dict[str, Any]:
    return {"id": name, "permission": "allow", "flows": [flow], "messages": messages, "key_exprs": [key]}
