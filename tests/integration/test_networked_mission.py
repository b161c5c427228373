"""Real processes fly one mission over the network bus, and agree with the simulated radio to the last bit."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

zenoh = pytest.importorskip("zenoh", reason="the extra zenoh is not installed")

from d2oc.bus.certificates import credentials_in, make_certificates  # noqa: E402
from d2oc.bus.zenoh import Address, _config, _settings  # noqa: E402
from d2oc.errors import BusError, RecordError, RuntimeUnavailableError  # noqa: E402
from d2oc.mission import simulate  # noqa: E402
from d2oc.networked import fly_agent, join_parts, mission_id  # noqa: E402
from d2oc.record import load_record  # noqa: E402
from d2oc.scenario import load_scenario  # noqa: E402
from d2oc_hardware.fleet import simulated_fleet  # noqa: E402
from d2oc_hardware.swarm import FlightPlan, Swarm, free_ports  # noqa: E402

N_AGENTS = 3
CHANGES = {
    "control.law": "closed-form", "mission.duration_s": 8.0, "team.n_agents": N_AGENTS, "sampling.n_samples": 200,
    "radio.comm_range_m": 60.0,
}  # fmt: skip


def free_addresses(n):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    addresses = [Address("127.0.0.1", s.getsockname()[1]) for s in sockets]
    for s in sockets:
        s.close()
    return addresses


def command(folder, number, addresses, changes, *more, prefix=(), peers=None):
    words = [*prefix, sys.executable, "-m", "d2oc", "agent", "six_drones", "--agent", number, "--json"]
    words += ["--listen", addresses[number], "--out", folder / f"part-{number}", "--certificates", folder / "keys"]
    called = [a for r, a in enumerate(addresses) if r != number] if peers is None else peers
    words += ["--peers", ",".join(map(str, called))]
    words += [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]
    return [str(word) for word in (*words, *more)]


def start(*arguments, **options):
    return subprocess.Popen(command(*arguments, **options), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def outcomes(processes, timeout=120):
    """What processes that should end well say."""
    said = []
    try:
        for process in processes:
            out, err = process.communicate(timeout=timeout)
            assert process.returncode == 0, err
            said.append(json.loads(out))
    finally:
        for process in processes:
            process.kill()
    return said


def parts_in(folder):
    return [folder / f"part-{r}" for r in range(N_AGENTS)]


@pytest.fixture
def folder(tmp_path):
    make_certificates(tmp_path / "keys", N_AGENTS)
    return tmp_path


def test_three_processes_write_the_record_of_the_simulated_radio(folder):
    """While a stranger with a certificate of agent 2 floods the bus with garbage and with what it hears."""
    addresses, changes = free_addresses(N_AGENTS), CHANGES | {"mission.duration_s": 30.0}
    scenario = load_scenario("six_drones", overrides=changes)
    processes = [start(folder, r, addresses, changes) for r in range(N_AGENTS - 1)]
    with stranger(mission_id(scenario), addresses[0], folder) as session:
        processes.append(start(folder, N_AGENTS - 1, addresses, changes))
        n_said, n_again = pester(session, mission_id(scenario), processes)
    said = outcomes(processes)
    assert [outcome["missed"] for outcome in said] == [0] * N_AGENTS
    assert n_said > 2000
    assert n_again > 100
    assert said[0]["dropped"]["damaged"] > 500
    joined = join_parts(parts_in(folder)[::-1], folder / "joined")
    assert joined.status == "complete"
    assert len(joined.messages["tick"]) > 100
    assert "part" not in joined.provenance
    assert joined.digest() == simulate(scenario, runtime="inline").digest()


@contextmanager
def stranger(mission, address, folder):
    """A session with the certificate of agent 2 that obeys no rules, linked to one agent."""
    settings = _settings(mission, N_AGENTS, free_addresses(1)[0], [address], credentials_in(folder / "keys", 2))
    settings.pop("access_control")
    settings["connect/retry"] = {"period_init_ms": 50, "period_max_ms": 50}
    with zenoh.open(_config(zenoh, settings)) as session:
        end = time.monotonic() + 60
        while not session.info.peers_zid() and time.monotonic() < end:
            time.sleep(0.01)
        yield session


def pester(session, mission, processes):
    """Say garbage, and again what was heard, under all names, while processes fly; how much of both."""
    rng, heard, said, again = np.random.default_rng(4), [], 0, 0
    session.declare_subscriber(f"d2oc/{mission}/*", lambda sample: heard.append(sample.payload.to_bytes()))
    while any(process.poll() is None for process in processes) and said < 20_000:
        for name in range(N_AGENTS):
            session.put(f"d2oc/{mission}/{name}", rng.bytes(rng.integers(0, 300)), express=True)
            for data in heard[-3:]:
                session.put(f"d2oc/{mission}/{name}", data, express=True)
            said, again = said + 1, again + len(heard[-3:])
        time.sleep(0.001)
    return said, again


@pytest.mark.parametrize(("loss", "limit", "said_at_once"), [(0.4, 1400, 1), (0.9, 300, 3)])
def test_a_lossy_simulated_radio_loses_the_same_messages(folder, loss, limit, said_at_once):
    """Through a slow network: what a lost packet looks like from above TCP, a pause, happens all the time."""
    changes = CHANGES | {
        "control.law": "mission-plan",
        "radio.loss": loss,
        "radio.message_limit_bytes": limit,
        "radio.jitter_s": 0.5,
        "radio.comm_range_m": 40.0,
    }
    addresses = free_addresses(N_AGENTS)
    with slow_network(addresses) as through:
        processes = [start(folder, r, addresses, changes, peers=through[:r]) for r in range(N_AGENTS)]
        said = outcomes(processes)
    assert [outcome["missed"] for outcome in said] == [0] * N_AGENTS
    joined = join_parts(parts_in(folder), folder / "joined")
    assert joined.digest() == simulate(load_scenario("six_drones", overrides=changes), runtime="inline").digest()
    heard = np.column_stack([joined.messages[name] for name in ("tick", "sender", "receiver")])
    assert np.unique(heard, axis=0, return_counts=True)[1].max() >= said_at_once


@contextmanager
def slow_network(addresses):
    """Addresses through which others are reached 3 to 7 ms later, and one time in twenty 100 ms later."""
    rng = np.random.default_rng(8)

    async def carry(reader, writer):
        with suppress(OSError):
            while data := await reader.read(65536):
                await asyncio.sleep(0.1 if rng.random() < 0.05 else rng.uniform(0.003, 0.007))
                writer.write(data)
        writer.close()

    async def relay(address):
        async def called(reader, writer):
            try:
                onward_reader, onward_writer = await asyncio.open_connection(*address)
            except OSError:
                writer.close()
                return
            await asyncio.gather(carry(reader, onward_writer), carry(onward_reader, writer))

        server = await asyncio.start_server(called, "127.0.0.1", 0)
        return server, Address("127.0.0.1", server.sockets[0].getsockname()[1])

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    relays = [asyncio.run_coroutine_threadsafe(relay(address), loop).result() for address in addresses]
    try:
        yield [address for _, address in relays]
    finally:
        loop.call_soon_threadsafe(lambda: [server.close() for server, _ in relays])
        asyncio.run_coroutine_threadsafe(over(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def over():
    """End all that still carries."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_when_a_process_is_killed_the_team_carries_on(folder):
    changes = CHANGES | {"mission.duration_s": 1000.0}  # killed after half a second, long before the end
    addresses = free_addresses(N_AGENTS)
    processes = [start(folder, r, addresses, changes) for r in range(N_AGENTS)]
    part = folder / "part-1" / "parts" / "trajectory-000001.parquet"
    end = time.monotonic() + 60
    while not part.exists() and time.monotonic() < end:
        time.sleep(0.005)
    processes[1].send_signal(signal.SIGKILL)
    processes[1].communicate()
    said = outcomes([processes[0], processes[2]])
    assert [outcome["missed"] for outcome in said] == [0, 0]  # its silence was noticed, not waited for
    joined = join_parts(parts_in(folder), folder / "joined")
    killed_at = load_record(folder / "part-1").n_ticks
    assert 1 < killed_at < 5001 == joined.n_ticks
    active = joined.by_tick("active")[:, :, 0]
    assert active[killed_at - 1, 1]
    assert not active[killed_at:, 1].any()
    place = joined.by_tick("x_m", "y_m")[:, 1]
    assert (place[killed_at - 1 :] == place[killed_at - 1]).all()
    heard = joined.messages
    # What it flew between its last writing and its death was heard, and stands in the records of the others alone.
    assert heard["tick"][heard["sender"] == 1].max() <= killed_at + 500
    assert joined.summary()["n_steps"] == 5000


def test_who_has_a_wrong_certificate_flies_alone_and_is_told_so(folder, tmp_path):
    make_certificates(tmp_path / "other", N_AGENTS)
    shutil.copytree(folder / "keys", folder / "mixed" / "keys")
    for name in ("authority.pem", "agent-1.pem", "agent-1.key"):
        shutil.copy(tmp_path / "other" / name, folder / "mixed" / "keys" / name)
    addresses = free_addresses(2)
    changes = CHANGES | {"team.n_agents": 2}
    processes = [
        start(folder if r == 0 else folder / "mixed", r, addresses, changes, "--gather", "2") for r in range(2)
    ]
    for r, process in enumerate(processes):
        _, err = process.communicate(timeout=120)
        assert process.returncode == 2
        assert f"error: agent {r} waited 2 s and does not hear agent {1 - r}: see that they run" in err
    assert not (folder / "part-0" / "run.json").exists()


class Nobody:
    """A bus to a team of one."""

    alive = frozenset()

    def publish(self, data):
        pass

    def take(self):
        return []

    def wait(self, timeout_s):
        raise AssertionError("there is nobody to wait for")

    def close(self):
        pass


def test_a_team_of_one_and_the_end_of_work(tmp_path):
    """Everything is treated long before the time is over: the joined record ends there, as the simulated one."""
    changes = CHANGES | {
        "team.n_agents": 1, "sampling.n_samples": 4, "mission.duration_s": 60.0, "control.horizon_steps": 5,
        "density": {"kind": "uniform"}, "team.start": "line",
    }  # fmt: skip
    scenario = load_scenario("six_drones", overrides=changes)
    fly_agent(scenario, 0, lambda mission, n: Nobody(), tmp_path / "part")
    joined = join_parts([tmp_path / "part"], tmp_path / "joined")
    assert joined.digest() == simulate(scenario, runtime="inline").digest()


def test_sentences(tmp_path):
    scenario = load_scenario("six_drones", overrides=CHANGES | {"team.n_agents": 1, "mission.duration_s": 1.0})
    with pytest.raises(BusError, match="there is no agent 1, the team has agents 0 to 0"):
        fly_agent(scenario, 1, lambda mission, n: Nobody(), tmp_path / "none")
    fly_agent(scenario, 0, lambda mission, n: Nobody(), tmp_path / "part")
    with pytest.raises(RecordError, match="holds a record already"):
        fly_agent(scenario, 0, lambda mission, n: Nobody(), tmp_path / "part")
    with pytest.raises(RecordError, match="is of agent 0, and so is"):
        join_parts([tmp_path / "part", tmp_path / "part"], tmp_path / "joined")
    spraying = scenario.model_copy(update={"spray": {}})
    with pytest.raises(
        RuntimeUnavailableError, match=r"a spraying mission \(\[spray\]\) is planned for the whole team"
    ):
        fly_agent(spraying, 0, lambda mission, n: Nobody(), tmp_path / "none")
    bodies = load_scenario("six_drones", overrides=CHANGES | {"world.kind": "bullet"})
    with pytest.raises(RuntimeUnavailableError, match=r'world\.kind = "bullet" has one world for all'):
        fly_agent(bodies, 0, lambda mission, n: Nobody(), tmp_path / "none")
    simulate(scenario, out=tmp_path / "whole")
    with pytest.raises(RecordError, match="is no part of a mission; `d2oc agent` writes such folders"):
        join_parts([tmp_path / "whole"], tmp_path / "joined")


def can(*commands):
    """Whether this machine lets us do something in a network namespace of its own."""
    if os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("tc") is None:
        return False
    name = f"d2oc-try-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode == 0
    ip_in = ["ip", "netns", "exec", name]
    wire = ("ip", "link", "add", "wire", "type", "veth", "peer", "name", "other")
    for step in (wire, *(("tc", *words) for words in commands)):
        made = made and not subprocess.run([*ip_in, *step], capture_output=True, check=False).returncode
    subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    return made


def ip(*words):
    subprocess.run(["ip", *map(str, words)], check=True, capture_output=True)


@contextmanager
def networks(faults=(), n_agents=N_AGENTS):
    """A network namespace for each agent, all wired to one that passes on; their names and addresses.

    `faults` are commands of `tc` for each agent's end of its wire.
    """
    names = [f"d2oc-{os.getpid()}-{r}" for r in range(n_agents)]
    middle = f"d2oc-{os.getpid()}-m"
    try:
        ip("netns", "add", middle)
        ip("netns", "exec", middle, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        for r, name in enumerate(names):
            ip("netns", "add", name)
            ip("-n", name, "link", "add", "wire", "type", "veth", "peer", "name", f"to{r}", "netns", middle)
            ip("-n", name, "addr", "add", f"10.77.{r}.2/24", "dev", "wire")
            ip("-n", middle, "addr", "add", f"10.77.{r}.1/24", "dev", f"to{r}")
            ip("-n", name, "link", "set", "wire", "up")
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", middle, "link", "set", f"to{r}", "up")
            ip("-n", name, "route", "add", "default", "via", f"10.77.{r}.1")
            for words in faults:
                ip("netns", "exec", name, "tc", *words)
        yield names, [Address(f"10.77.{r}.2", 7447) for r in range(n_agents)]
    finally:
        for name in (*names, middle):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


NETEM = (("qdisc", "add", "dev", "wire", "root", "netem", "delay", "5ms", "2ms", "loss", "5%"),)
LOSS = 0.15
DROPS = ",".join(  # a program of the classic packet filter: a random word up to a bound passes, beyond it is dropped
    ["4", "32 0 0 4294963256", f"37 0 1 {int((1 - LOSS) * 2**32)}", "6 0 0 2", "6 0 0 4294967295"]
)
FILTER = (
    ("qdisc", "add", "dev", "wire", "clsact"),
    ("filter", "add", "dev", "wire", "egress", "bpf", "da", "bytecode", DROPS),
    ("qdisc", "add", "dev", "wire", "root", "tbf", "rate", "2mbit", "burst", "4kb", "latency", "100ms"),
)
"""Where there is no netem: packets are lost in the kernel, and those that pass wait on a slow link, a byte for 4 us."""


def dropped(name):
    """Packets that were lost on a namespace's wire."""
    told = subprocess.check_output(["ip", "netns", "exec", name, "tc", "-s", "-j", "qdisc", "show", "dev", "wire"])
    return sum(queue["drops"] for queue in json.loads(told))


@pytest.mark.skipif(not can(), reason="this machine lets nobody make network namespaces")
@pytest.mark.parametrize(
    "faults",
    [
        (),
        pytest.param(NETEM, marks=pytest.mark.skipif(not can(*NETEM), reason="this machine's kernel has no netem")),
        pytest.param(FILTER, marks=pytest.mark.skipif(not can(*FILTER), reason="its kernel has no filter")),
    ],
    ids=["sound", "netem", "filter"],
)
def test_between_network_namespaces(folder, faults):
    with networks(faults) as (names, addresses):
        processes = [
            start(folder, r, addresses, CHANGES, prefix=("ip", "netns", "exec", names[r])) for r in range(N_AGENTS)
        ]
        said = outcomes(processes)
        assert not faults or sum(map(dropped, names)) > 0
    assert [outcome["missed"] for outcome in said] == [0] * N_AGENTS
    joined = join_parts(parts_in(folder), folder / "joined")
    assert joined.digest() == simulate(load_scenario("six_drones", overrides=CHANGES), runtime="inline").digest()


SPEEDUP = 2.0
SSHD = "/usr/sbin/sshd"


ENTRY = """#!/bin/sh
case "$SSH_ORIGINAL_COMMAND" in
  *drone_process*) exec unshare -m --time --monotonic 86400 \\
    sh -c 'mount -t tmpfs none "{runs}"; eval "exec $SSH_ORIGINAL_COMMAND"' ;;
  *) eval "exec $SSH_ORIGINAL_COMMAND" ;;
esac
"""
"""What the server of ssh runs: a drone's process sees another folder of runs, and was switched on a day before."""


@pytest.fixture
def by_ssh(tmp_path):
    """What gives words that start a command in a network namespace, by a real ssh and its server."""
    folder = tmp_path / "ssh"
    folder.mkdir()
    Path("/run/sshd").mkdir(exist_ok=True)
    for name in ("server", "client"):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
    served, called = folder / "sshd_config", folder / "ssh_config"
    served.write_text(
        f"HostKey {folder}/server\nAuthorizedKeysFile {folder}/client.pub\nStrictModes no\nUsePAM no\n"
        f"PasswordAuthentication no\nPermitRootLogin yes\nPidFile none\nForceCommand {folder}/entry\n"
    )
    entry = folder / "entry"
    entry.write_text(ENTRY.format(runs=tmp_path / "a run"))
    entry.chmod(0o755)

    def start(network):
        with called.open("a") as hosts:
            hosts.write(
                f"Host {network}\n User root\n BatchMode yes\n IdentityFile {folder}/client\n LogLevel ERROR\n"
                f" StrictHostKeyChecking no\n UserKnownHostsFile /dev/null\n"
                f" ProxyCommand ip netns exec {network} {SSHD} -i -f {served}\n"
            )
        return ("ssh", "-F", str(called), network)

    return start


@pytest.fixture
def fly_elsewhere(tmp_path, by_ssh):
    """Fly two drones whose processes and simulated vehicles stand in networks of their own that lose packets."""
    make_certificates(tmp_path / "keys", 2)

    def fly(scenario, homes):
        with networks(FILTER, 2) as (names, addresses):
            fleet = simulated_fleet(homes, free_ports(2), 6.0)
            drones = [
                drone.model_copy(update={"address": str(address), "start": by_ssh(name)})
                for drone, address, name in zip(fleet.drones, addresses, names, strict=True)
            ]
            fleet = fleet.model_copy(update={"drones": tuple(drones), "certificates": tmp_path / "keys"})
            try:
                flight = asyncio.run(flown(FlightPlan(scenario, fleet, tmp_path / "a run", SPEEDUP, simulated=True)))
            finally:
                for name in names:  # vehicles have nobody who would tell them that it is over
                    for pid in subprocess.check_output(["ip", "netns", "pids", name], text=True).split():
                        with suppress(ProcessLookupError):
                            os.kill(int(pid), signal.SIGKILL)
            assert all(map(dropped, names))
        assert not list((tmp_path / "a run").glob("*.tlog"))  # they wrote them where they are
        return flight

    return fly


companions = pytest.mark.skipif(
    not can(*FILTER) or shutil.which(SSHD) is None,
    reason="this machine has no network namespaces whose kernel drops packets, or no server of ssh (openssh-server)",
)


@pytest.mark.alone
@companions
def test_drones_on_computers_of_their_own_fly_one_mission(fly_elsewhere):
    changes = {"team.n_agents": 2, "mission.duration_s": 15.0, "sampling.n_samples": 200}
    checks, record, ended = fly_elsewhere(load_scenario("six_drones", overrides=changes), [(0.0, 0.0), (0.0, 6.0)])
    assert [own[-2] for own in checks] == [("network", True, "hears all other drones")] * 2
    assert [own[-1][:2] for own in checks] == [("computer's clock", True)] * 2
    assert ended["landed"]
    assert ended["fence_breaches"] == 0
    heard = record.messages
    for sender, receiver in ((0, 1), (1, 0)):
        told = heard["entries"][(heard["sender"] == sender) & (heard["receiver"] == receiver)]
        assert len(told) >= 5
        assert told.sum() > 0


@pytest.mark.alone
@companions
def test_what_drones_on_computers_of_their_own_lay_is_known_here(fly_elsewhere):
    patch = load_scenario(Path(__file__).parents[1] / "small_patch.toml")
    _, record, ended = fly_elsewhere(patch, [(30.0, -6.0), (35.0, -6.0)])
    assert ended["landed"]
    assert ended["spray_outside_mission_s"] <= 0.5
    litres = sum(drone["litres_by_plan"] for drone in ended["drones"])
    assert litres > 1.0
    cells = record.cells
    cell_ha = 1e-4 * np.diff(np.unique(cells["x_m"])).min() ** 2
    assert cells["deposit_l_ha"].sum() * cell_ha == pytest.approx(litres, rel=0.05)
    assert (cells["deposit_l_ha"] <= cells["maximum_l_ha"] + 1e-9).all()


async def flown(plan):
    swarm = Swarm(plan, print)
    try:
        checks = await swarm.check()
        return (checks, *await swarm.fly())
    finally:
        await swarm.close()
