"""How throughput and latency change with connections, lengths of values, keys, partitions and nodes; and what happens
when ten times more is asked than can be done."""

import os

import load
import servers
from machine import BenchError, memory


def connections(cluster, counts, keys, seconds, say):
    """The same cluster, more and more clients."""
    cluster.start()
    cluster.load(keys)
    points = []
    for count in counts:
        load.run(cluster, "get", keys, 1, check=True, count=count)
        points.append(point(cluster, "connections", count, keys, seconds, say, count=count))
    cluster.stop()
    return points


def value_bytes(cluster, lengths, seconds, say):
    """Fewer keys where values are long, so that the data fits."""
    cluster.start()
    points = []
    for length in lengths:
        keys = max(100, min(20_000, (64 << 20) // length))
        cluster.load(keys, length)
        points.append(point(cluster, "value_bytes", length, keys, seconds, say, value_bytes=length))
    cluster.stop()
    return points


def shapes(make, name, shapes, keys, seconds, say):
    """Another cluster for each point."""
    points = []
    for shape in shapes:
        cluster = make(shape)
        cluster.start()
        cluster.load(keys if name != "keys" else shape)
        points.append(point(cluster, name, shape, keys if name != "keys" else shape, seconds, say))
        cluster.stop()
        os.sync()
    return points


def point(cluster, name, value, keys, seconds, say, **options):
    result = {"what": name, "value": value}
    for mix in ("put", "get"):
        found = load.run(cluster, mix, keys, seconds, **options)
        result[mix] = {
            "per_second": found["per_second"], "p50_ms": found["latency_micros"]["p50"] / 1000,
            "p99_ms": found["latency_micros"]["p99"] / 1000, "connections": found["connections"],
            "server_cpu_micros": found["server_cpu_micros_per_operation"]}
    result["resident_bytes"] = {server.name: memory(server.pid)["anon"] for server in cluster.members}
    say(
        f"{name} {value:,}: {result['put']['per_second']:,.0f} puts/s (p99 {result['put']['p99_ms']:.1f} ms), "
        f"{result['get']['per_second']:,.0f} gets/s (p99 {result['get']['p99_ms']:.1f} ms)")
    return result


def overload(cluster, keys, seconds, say):
    """Ten times the puts that were possible, each due at its time, over 16 times as many connections.

    What was not sent because no connection was free waited at the clients; what was refused was refused with 503."""
    cluster.start()
    cluster.load(keys)
    peak = load.run(cluster, "put", keys, seconds)["per_second"]
    before = {server.name: memory(server.pid)["anon"] for server in cluster.members}
    found = load.run(cluster, "put", keys, seconds, count=1_024, rate=int(peak * 10), allowed=("status 503",))
    after = {server.name: memory(server.pid)["anon"] for server in cluster.members}
    cluster.await_healthy()
    again = load.run(cluster, "put", keys, seconds)["per_second"]
    cluster.stop()
    say(f"overload: {found['per_second']:,.0f} of {peak:,.0f} puts/s, {found['failed']} refused, then {again:,.0f}")
    if found["per_second"] <= 0:
        raise BenchError("nothing was done under overload")
    return {
        "peak": peak, "asked": peak * 10, "goodput": found["per_second"], "share": found["per_second"] / peak,
        "refused": found["failed"], "never_sent": found["never_sent"], "afterwards": again,
        "anon_before": before, "anon_after": after}


def same_rate(clusters, keys, seconds, peak, say):
    """p50 and p99 of everybody at the rate that is etcd's own peak, and at nine tenths of it."""
    results = {}
    for cluster in clusters:
        cluster.start()
        results[cluster.name] = {}
        for mix, rate in peak.items():
            for share in (0.9, 1.0):
                found = load.run(cluster, mix, keys, seconds, rate=int(rate * share))
                latency = found["latency_micros"]
                results[cluster.name][f"{mix} {share}"] = {
                    "rate": int(rate * share), "p50_ms": latency["p50"] / 1000, "p99_ms": latency["p99"] / 1000,
                    "never_sent": found["never_sent"]}
                say(
                    f"{cluster.name}: {int(rate * share):,} {mix}s/s: p50 {latency['p50'] / 1000:.1f}, "
                    f"p99 {latency['p99'] / 1000:.1f} ms")
        cluster.stop()
        os.sync()
    return results


def everything(kv, folder, quick, say):
    """All curves, on lmdb."""
    keys, seconds = (2_000, 1) if quick else (100_000, 4)
    fixed = servers.Store(kv, "lmdb", f"{folder}/scale")
    points = connections(fixed, (4, 64) if quick else (4, 16, 64, 256, 1_024, 4_096), keys, seconds, say)
    points += value_bytes(fixed, (16, 1_024) if quick else (16, 100, 1 << 10, 16 << 10, 128 << 10, 1 << 20), seconds, say)
    stores = {
        "keys": (lambda count: servers.Store(kv, "lmdb", f"{folder}/keys-{count}"), (1_000,) if quick else (10_000, 1_000_000)),
        "partitions": (
            lambda count: servers.Store(kv, "lmdb", f"{folder}/partitions-{count}", partitions=count),
            (16,) if quick else (4, 16, 256, 1_024)),
        "nodes": (
            lambda count: servers.Store(kv, "lmdb", f"{folder}/nodes-{count}", nodes=count), (3,) if quick else (1, 3, 6, 12)),
    }
    for name, (make, values) in stores.items():
        points += shapes(make, name, values, keys, seconds, say)
    return points
