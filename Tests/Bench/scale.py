"""How throughput and latency change with connections, lengths of values, keys, partitions and nodes; and what happens
when ten times more is asked than can be done."""

import os
import threading

import load
import report
import servers
from machine import BenchError, memory

WARM_UP = 1
"""Seconds before each measured run, in which every answer is looked at."""


def connections(cluster, counts, keys, seconds, say):
    """The same cluster, more and more clients."""
    cluster.start()
    cluster.load(keys)
    for count in counts:
        yield point(cluster, "connections", count, keys, seconds, say, count=count)
    cluster.stop()


def value_bytes(cluster, lengths, seconds, say):
    """Fewer keys where values are long, so that the data fits."""
    cluster.start()
    for length in lengths:
        keys = max(100, min(20_000, (64 << 20) // length))
        cluster.load(keys, length)
        yield point(cluster, "value_bytes", length, keys, seconds, say, value_bytes=length)
    cluster.stop()


def shapes(make, name, shapes, keys, seconds, say):
    """Another cluster for each point."""
    for shape in shapes:
        cluster = make(shape)
        cluster.start()
        cluster.load(keys if name != "keys" else shape)
        yield point(cluster, name, shape, keys if name != "keys" else shape, seconds, say)
        cluster.stop()
        os.sync()


OVERLOADED = ("status 503", "status 504")
"""Answers of servers that have more to do than they can: a point may have some, and says how many."""


def point(cluster, name, value, keys, seconds, say, **options):
    result = {"what": name, "value": value}
    for mix in ("put", "get"):
        load.run(cluster, mix, keys, WARM_UP, check=True, allowed=OVERLOADED, **options)
        found = load.run(cluster, mix, keys, seconds, allowed=OVERLOADED, **options)
        result[mix] = {
            "per_second": found["per_second"], "p50_ms": milliseconds(found, "p50"),
            "p99_ms": milliseconds(found, "p99"), "connections": found["connections"],
            "server_cpu_micros": found["server_cpu_micros_per_operation"], "failed": found["failed"]}
    result["resident_bytes"] = {server.name: memory(server.pid)["anon"] for server in cluster.members}
    say(
        f"{name} {value:,}: {result['put']['per_second']:,.0f} puts/s (p99 {result['put']['p99_ms']:.1f} ms), "
        f"{result['get']['per_second']:,.0f} gets/s (p99 {result['get']['p99_ms']:.1f} ms)"
        + "".join(f", of the {mix}s {result[mix]['failed']}" for mix in ("put", "get") if result[mix]["failed"]))
    return result


class Highest:
    """The most memory of their own that servers have had while it was entered."""

    INTERVAL = 0.1

    def __init__(self, members):
        self.members, self.over = members, threading.Event()
        self.found = {}
        self.look()
        self.before = dict(self.found)
        self.thread = threading.Thread(target=self.work, daemon=True)

    def look(self):
        for server in self.members:
            self.found[server.name] = max(self.found.get(server.name, 0), memory(server.pid)["anon"])

    def work(self):
        try:
            while not self.over.wait(self.INTERVAL):
                self.look()
        except (OSError, KeyError):
            # A server has ended, which the run notices itself.
            return

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


def overload(cluster, keys, seconds, say):
    """Ten times the puts that were possible, each due at its time, over 16 times as many connections.

    What was not sent because no connection was free waited at the clients; what was refused was refused with 503."""
    refusals = ("status 503",)
    cluster.start()
    cluster.load(keys)
    load.run(cluster, "put", keys, WARM_UP, check=True)
    peak = load.run(cluster, "put", keys, seconds)["per_second"]
    with Highest(cluster.members) as highest:
        load.run(cluster, "put", keys, WARM_UP, check=True, count=1_024, allowed=refusals)
        found = load.run(cluster, "put", keys, seconds, count=1_024, rate=int(peak * 10), allowed=refusals)
    cluster.await_healthy()
    load.run(cluster, "put", keys, WARM_UP, check=True)
    again = load.run(cluster, "put", keys, seconds)["per_second"]
    cluster.stop()
    say(f"overload: {found['per_second']:,.0f} of {peak:,.0f} puts/s, {found['failed']} refused, then {again:,.0f}")
    if found["per_second"] <= 0:
        raise BenchError("nothing was done under overload")
    return {
        "peak": peak, "asked": peak * 10, "goodput": found["per_second"], "share": found["per_second"] / peak,
        "refused": found["failed"], "never_sent": found["never_sent"], "afterwards": again,
        "anon_before": highest.before, "anon_highest": highest.found}


def same_rate(clusters, keys, seconds, peak, say):
    """p50 and p99 of everybody at the rate that is etcd's own peak, and at nine tenths of it."""
    results = {}
    for cluster in clusters:
        cluster.start()
        results[cluster.name] = {}
        for mix, rate in peak.items():
            for share in (0.9, 1.0):
                load.run(cluster, mix, keys, WARM_UP, check=True)
                found = load.run(cluster, mix, keys, seconds, rate=int(rate * share))
                p50, p99 = (milliseconds(found, name) for name in ("p50", "p99"))
                results[cluster.name][f"{mix} {share}"] = {
                    "rate": int(rate * share), "p50_ms": p50, "p99_ms": p99, "never_sent": found["never_sent"]}
                say(f"{cluster.name}: {int(rate * share):,} {mix}s/s: p50 {report.latency(p50)}, p99 {report.latency(p99)} ms")
        cluster.stop()
        os.sync()
    return results


def milliseconds(found, name):
    """A percentile; None where it falls among operations that were never sent."""
    micros = found["latency_micros"][name]
    return None if micros is None else micros / 1000


def everything(kv, folder, quick, say):
    """All points of all curves, on lmdb, each as soon as it is measured."""
    keys, seconds = (2_000, 1) if quick else (100_000, 4)
    fixed = servers.Store(kv, "lmdb", f"{folder}/scale")
    yield from connections(fixed, (4, 64) if quick else (4, 16, 64, 256, 1_024, 4_096), keys, seconds, say)
    yield from value_bytes(fixed, (16, 1_024) if quick else (16, 100, 1 << 10, 16 << 10, 128 << 10, 1 << 20), seconds, say)
    stores = {
        "keys": (lambda count: servers.Store(kv, "lmdb", f"{folder}/keys-{count}"), (1_000,) if quick else (10_000, 1_000_000)),
        "partitions": (
            lambda count: servers.Store(kv, "lmdb", f"{folder}/partitions-{count}", partitions=count),
            (16,) if quick else (4, 16, 256, 1_024)),
        "nodes": (
            lambda count: servers.Store(kv, "lmdb", f"{folder}/nodes-{count}", nodes=count), (3,) if quick else (1, 3, 6, 12)),
    }
    for name, (make, values) in stores.items():
        yield from shapes(make, name, values, keys, seconds, say)
