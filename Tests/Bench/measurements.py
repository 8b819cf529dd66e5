"""What can be measured: each takes its part of the results as soon as it has it, and returns a text for people."""

from dataclasses import dataclass, field
from typing import Any, Callable

import catchup
import etcd
import healing
import redis
import report
import scale
import scenarios
import servers


@dataclass
class Bench:
    """What every measurement needs to know: the arguments, a folder for data, the programs' paths."""

    given: Any
    folder: str
    programs: dict
    say: Callable
    clusters: list = field(default_factory=list)
    """That `throughput` left stopped, with their data."""

    def store(self, name, backend="lmdb"):
        return servers.Store(self.programs["kv"], backend, f"{self.folder}/{name}")

    def etcd(self, name):
        return etcd.Etcd(self.programs["etcd"], f"{self.folder}/{name}")


def throughput(bench, results):
    given = bench.given
    bench.clusters = [bench.etcd("etcd"), *(bench.store(backend, backend) for backend in given.backends)]
    if given.redis:
        bench.clusters.append(
            redis.Redis(bench.programs["redis-server"], bench.programs["redis-cli"], f"{bench.folder}/redis"))
    found = results["throughput"] = {"rounds": []}
    for turn in scenarios.throughput(
            bench.clusters, given.rounds, given.seconds, given.warm_up, given.keys, bench.say):
        found["rounds"].append(turn)
    found["summary"], text = report.throughput(found["rounds"])
    return (
        f"64 connections over all members (of three: 66), {given.keys:,} random keys, values of 100 bytes; "
        f"median and range of {given.rounds} rounds; ratios within a round\n\n{text}")


def latency(bench, results):
    """After `throughput`: at the rates that etcd reached there."""
    given = bench.given
    peak = {what: found["etcd"]["per_second"] for what, found in results["throughput"]["summary"].items()}
    clusters = [cluster for cluster in bench.clusters if cluster.kind != "redis"]
    found = results["latency"] = scale.same_rate(clusters, given.keys, given.seconds, peak, bench.say)
    return f"Everybody at etcd's median rate and at nine tenths of it, sent at fixed times\n\n{report.same_rate(found)}"


def overload(bench, results):
    found = scale.overload(bench.store("overload"), bench.given.keys, bench.given.seconds, bench.say)
    results["overload"] = found
    return f"Ten times the puts that are possible, lmdb, 1,024 connections\n\n{report.overload(found)}"


def curves(bench, results):
    points = results["scale"] = []
    for point in scale.everything(bench.programs["kv"], bench.folder, bench.given.quick, bench.say):
        points.append(point)
    return f"One thing changed at a time, lmdb\n\n{report.scale(points)}"


def memory(bench, results):
    given = bench.given
    found = results["memory"] = scenarios.resident(bench.store("memory"), given.memory_keys, given.seconds, bench.say)
    return f"Memory, lmdb, {found['keys']:,} keys in all, three replicas on four nodes\n\n{report.resident(found)}"


def failover(bench, results):
    kills = {}
    for cluster in (bench.store("failover"), bench.etcd("failover-etcd")):
        kills[cluster.name] = scenarios.failover(cluster, bench.given.kills, bench.say)
    summary, text = report.failover(kills)
    results["failover"] = {"summary": summary, "kills": kills}
    return f"SIGKILL of a leader to the next write of its keys, through another member\n\n{text}"


def again(bench, results):
    given, rounds = bench.given, {}
    for backend in given.backends:
        store = bench.store(f"healing-{backend}", backend)
        rounds[backend] = healing.rereplication(store, given.megabytes, given.value_bytes, given.rounds, bench.say)
    summary, text = report.healing(rounds)
    results["healing"] = {"summary": summary, "rounds": rounds}
    return (
        f"SIGKILL of one of four members, for good: its share of three replicas of {given.megabytes} MiB, in values of "
        f"{given.value_bytes:,} bytes, is made again by the others\n\n{text}")


def returning(bench, results):
    given = bench.given
    store = servers.Store(bench.programs["kv"], "lmdb", f"{bench.folder}/catch-up", nodes=3)
    found = results["catch-up"] = catchup.away(store, given.memory_keys, given.missed, 100, bench.say)
    return (
        f"A node that missed {found['missed']:,} writes to {found['keys']:,} keys, lmdb, all keys on each of three nodes\n\n"
        f"{report.returning(found)}")


ALL = {
    "throughput": throughput, "latency": latency, "overload": overload, "scale": curves, "memory": memory,
    "failover": failover, "healing": again, "catch-up": returning}
"""By the names that `--only` takes, in the order in which they are run."""
