"""What is measured: throughput side by side, memory with many keys, time without a leader."""

import http.client
import os
import random
import threading
import time

import load
from machine import BenchError, folder_bytes, memory
from serving import Client


def throughput(clusters, rounds, seconds, warm_up, keys, say):
    """Each cluster in its turn, `rounds` times, alone on the machine: the others are stopped meanwhile. Yields each round.

    The order changes from round to round. The warm-up looks at every answer, the measured runs only at statuses."""
    for cluster in clusters:
        say(f"{cluster.name}: loading {keys:,} keys")
        cluster.start()
        cluster.load(keys)
        cluster.verify(keys)
        cluster.stop()
        os.sync()
    for number in range(rounds):
        turn = {}
        for place in range(len(clusters)):
            cluster = clusters[(place + number) % len(clusters)]
            cluster.start()
            turn[cluster.name] = {}
            for what in ("put", "get"):
                load.run(cluster, what, keys, warm_up, check=True)
                result = load.run(cluster, what, keys, seconds)
                turn[cluster.name][what] = result
                say(
                    f"round {number + 1} of {rounds}: {cluster.name}: {result['per_second']:,.0f} {what}s/s, "
                    f"p99 {result['latency_micros']['p99'] / 1000:.1f} ms, "
                    f"{result['server_cpu_micros_per_operation']:.0f} us of servers' and "
                    f"{result['generator_cpu_micros_per_operation']:.0f} us of the generator's processor time each")
            cluster.verify(keys)
            cluster.stop()
            # What this one left to the kernel must not be written during the next one's turn.
            os.sync()
        yield turn


def resident(cluster, keys, seconds, say):
    """Memory of each node: empty, with `keys` keys just loaded, and after random reads all over them."""
    def look():
        return {server.name: memory(server.pid) for server in cluster.servers}

    cluster.start()
    result = {"keys": keys, "empty": look()}
    say(f"{cluster.name}: loading {keys:,} keys for the memory figures")
    started = time.monotonic()
    cluster.load(keys)
    result["load_seconds"] = time.monotonic() - started
    result["drain_seconds"] = cluster.drain()
    result["loaded"] = look()
    load.run(cluster, "get", keys, seconds, check=True)
    result["after_reads"] = look()
    cluster.stop()
    result["disk_bytes"] = {server.name: folder_bytes(f"{cluster.folder}/{server.name}") for server in cluster.members}
    return result


def failover(cluster, kills, say):
    """SIGKILL to a leader, again and again; each time the seconds until keys that it led are written again.

    The clients put in a tight loop through another member, one connection per key, and give a put up after `PATIENCE`:
    etcd keeps puts that lost their leader for 7 s, which says nothing about new ones. Counted is the time from just
    before the signal to the first success that another leader decided. The killed member comes back and everything
    heals before the next."""
    cluster.start()
    cluster.load(1_000)
    outages = []
    for number in range(kills):
        cluster.await_healthy()
        victim, keys = cluster.leader()
        via = random.choice([index for index in range(len(cluster.ports)) if index != victim])
        server = cluster.members[victim]
        clients = [_Writer(cluster, cluster.ports[via], key) for key in keys]
        for client in clients:
            client.thread.start()
        for client in clients:
            client.warm.wait(10)
        killed = time.monotonic()
        server.kill()
        for client in clients:
            client.thread.join(90)
            if client.recovered is None:
                raise BenchError(f"{cluster.name}: no write succeeded after {server.name} died: {client.failures[-3:]}")
        times = [client.recovered - killed for client in clients]
        errors = sorted({status for client in clients for at, status in client.failures if at >= killed})
        early = [failure for client in clients for failure in client.failures if failure[0] < killed]
        if any(failure[1].isdigit() for failure in early):
            raise BenchError(f"{cluster.name}: writes failed before the kill: {early[:3]}")
        say(
            f"{cluster.name}: kill {number + 1} of {kills}, {server.name}: written again after "
            f"{min(times) * 1000:.0f} to {max(times) * 1000:.0f} ms; failures meanwhile: {errors or 'none'}")
        outages.append({"victim": server.name, "via": cluster.members[via].name, "seconds": times, "failures": errors})
        server.start()
        time.sleep(HEARTBEATS)
    cluster.await_healthy()
    cluster.stop()
    return outages


PATIENCE = 0.25
"""Seconds that a client waits for an answer to a put while leaders die."""

HEARTBEATS = 1.5
"""Seconds after which the controller's picture is no longer from before a node came back."""


class _Writer:
    """Puts one key again and again until a leader other than the first has decided a put."""

    def __init__(self, cluster, port, key):
        self.cluster, self.port, self.key = cluster, port, key
        self.warm = threading.Event()
        self.recovered = None
        self.failures = []
        self.thread = threading.Thread(target=self.work, daemon=True)

    def work(self):
        client = Client(self.port, PATIENCE)
        first, successes, deadline = None, 0, time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                status, leader = self.cluster.put_once(client, self.key)
            except (OSError, http.client.HTTPException) as error:
                status, leader = "no answer" if isinstance(error, TimeoutError) else type(error).__name__, None
            now = time.monotonic()
            if status != 200:
                self.failures.append((now, str(status)))
                time.sleep(0.001)
                continue
            successes += 1
            first = first or leader
            if leader != first:
                self.recovered = now
                break
            if successes == 20:
                self.warm.set()
        client.close()
