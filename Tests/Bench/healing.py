"""How fast lost replicas are made again, as a share of what the disk and the loopback give in the same round; and what those who
write meanwhile notice of it."""

import copy
import os
import random
import socket
import threading
import time

import load
from machine import BenchError
from servers import key_name

CHUNK = 1 << 20
"""Bytes that the reference syncs at a time."""

RATE = 1_000
"""Puts a second, due at fixed times, before the loss and while it is made good."""

HEALED_A_SECOND = 100_000_000
"""Bytes; a guess, by which the load is to end when the replicas are complete."""


def rereplication(cluster, megabytes, value_bytes, rounds, say):
    """SIGKILL to one member of four, for good: the others make its replicas again. Then it is started, and everything
    moves back, before the next round.

    Meanwhile `RATE` puts of 100 bytes are due each second through the others, as before through all. The seconds are those from
    the decision to replace the member until the last of its replicas is complete elsewhere, as the controller's events tell
    them; the detection of the failure before that is a setting. The records are those that the victim held, and the bytes those
    of their keys and values. The reference sends as many bytes through one loopback connection to a thread that writes and syncs
    them, `CHUNK` by `CHUNK`."""
    cluster.start()
    keys = megabytes * (1 << 20) // value_bytes
    say(f"{cluster.name}: loading {keys:,} keys of {value_bytes:,} bytes")
    cluster.load(keys, value_bytes)
    cluster.drain()
    _await_spread(cluster, 60)
    results = []
    for number in range(rounds):
        victim = random.choice(cluster.members)
        records = _records(cluster, victim, keys)
        moved = records * (value_bytes + len(key_name(0)))
        load_seconds = max(2, moved // HEALED_A_SECOND)
        calm = load.run(cluster, "put", keys, load_seconds, rate=RATE)
        last = _last_event(cluster)
        killed = time.monotonic()
        victim.kill()
        others = _without(cluster, victim)
        _await_event(others, "rereplication_started", last, 600)
        meanwhile = load.run(others, "put", keys, load_seconds, rate=RATE, allowed=("status 503", "status 504"))
        event = _await_event(others, "rereplication_finished", last, 600)
        whole = time.monotonic() - killed
        reference = _reference(cluster.folder, moved)
        seconds = event["duration_ms"] / 1_000
        result = {
            "victim": victim.name, "bytes": moved, "records": records, "seconds": seconds,
            "seconds_from_kill": whole, "reference_seconds": reference, "share": reference / seconds,
            "load_seconds": load_seconds, "calm": calm, "meanwhile": meanwhile}
        say(
            f"{cluster.name}: round {number + 1} of {rounds}: {records:,} records, {moved / 1e6:,.0f} MB in {seconds:.1f} s "
            f"({whole:.1f} s after the kill); the reference took {reference:.1f} s; puts in microseconds "
            f"{calm['latency_micros']} before, {meanwhile['latency_micros']} meanwhile, failed {meanwhile['failed']}")
        results.append(result)
        victim.start()
        _await_spread(cluster, 600)
    cluster.stop()
    os.sync()
    return results


def _without(cluster, victim):
    """The same cluster, but for a member that nobody is to ask or to miss."""
    others = copy.copy(cluster)
    others.ports = [port for port, member in zip(cluster.ports, cluster.members) if member is not victim]
    others.members = [member for member in cluster.members if member is not victim]
    others.servers = [server for server in cluster.servers if server is not victim]
    return others


def _records(cluster, victim, keys):
    """How many records a member holds, from its backend; about three quarters of all, or the figure is not to be used."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = next(node for node in cluster.controller.json("GET", "/nodes")["nodes"] if node["name"] == victim.name)
        if 0.6 * keys < found["keys"] < 0.9 * keys:
            return found["keys"]
        time.sleep(0.2)
    raise BenchError(f"{cluster.name}: {victim.name} holds {found['keys']:,} of {keys:,} records")


def _await_spread(cluster, patience):
    """Until the replicas are spread evenly and nothing moves. An event that a rebalancing has ended would not do: leaders are
    evened out as well, and by themselves."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        cluster.await_healthy()
        partitions = cluster.controller.json("GET", "/partitions")
        held = [node["replicas"] for node in cluster.controller.json("GET", "/nodes")["nodes"]]
        if not partitions["work"] and max(held) - min(held) <= 1:
            return
        time.sleep(0.2)
    raise BenchError(f"{cluster.name}: the members hold {held} replicas after {patience} s")


def _events(cluster, after):
    answer = cluster.controller.json("GET", "/events?limit=1000")
    return [event for event in answer["events"] if event["id"] > after]


def _last_event(cluster):
    return max((event["id"] for event in _events(cluster, 0)), default=0)


def _await_event(cluster, kind, after, patience):
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        for event in _events(cluster, after):
            if event["kind"] == kind:
                return event
        time.sleep(0.05)
    raise BenchError(f"{cluster.name}: no {kind} in {patience} s: {[event['kind'] for event in _events(cluster, after)]}")


def _reference(folder, count):
    """Seconds that one plain copy through a loopback connection to a synced file takes."""
    path = os.path.join(folder, "reference")
    block = random.randbytes(CHUNK)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def send():
            with socket.create_connection(listener.getsockname()) as connection:
                left = count
                while left > 0:
                    connection.sendall(block[:left])
                    left -= len(block[:left])

        sender = threading.Thread(target=send)
        started = time.monotonic()
        sender.start()
        connection, _ = listener.accept()
        with connection, open(path, "wb", buffering=0) as file:
            unsynced = 0
            while data := connection.recv(CHUNK):
                file.write(data)
                unsynced += len(data)
                if unsynced >= CHUNK:
                    os.fdatasync(file.fileno())
                    unsynced = 0
            os.fdatasync(file.fileno())
        sender.join()
    seconds = time.monotonic() - started
    os.unlink(path)
    return seconds
