"""What a node costs that was away for a while: how much goes over the wire, and how long it takes, until it has what it missed."""

import os
import time

from machine import BenchError, memory
from serving import Client
from servers import key_name


def away(cluster, keys, missed, value_bytes, say):
    """Three members that hold every key; one is stopped, `missed` of the keys are written again, and it is started.

    The seconds are those from its start until every member is known to hold everything. The bytes are what it received from its
    peers and sent to them until then, in share of the keys and values that it holds; what the memory figures say is each process's own,
    without what is mapped from files."""
    cluster.start()
    say(f"{cluster.name}: loading {keys:,} keys of {value_bytes:,} bytes")
    began = time.monotonic()
    cluster.load(keys, value_bytes)
    load_seconds = time.monotonic() - began
    cluster.drain(600)
    cluster.await_healthy(600)
    victim = cluster.members[-1]
    loaded = _memory(cluster)
    victim.terminate()
    victim.await_end(300)
    missed = range(0, keys, keys // missed)[:missed]
    _put(cluster, missed, value_bytes)
    began = time.monotonic()
    victim.start()
    cluster.await_healthy(600)
    seconds = time.monotonic() - began
    received, sent = (cluster.metric(cluster.ports[-1], f"kv_peer_{name}_bytes_total") for name in ("received", "sent"))
    cluster.drain(600)
    held = keys * (value_bytes + len(key_name(0)))
    result = {
        "keys": keys, "value_bytes": value_bytes, "missed": len(missed), "load_seconds": load_seconds, "seconds": seconds,
        "received_bytes": received, "sent_bytes": sent, "held_bytes": held, "share": (received + sent) / held,
        "anon_loaded": loaded, "anon_caught_up": _memory(cluster)}
    say(
        f"{cluster.name}: {len(missed):,} of {keys:,} keys missed: {received / 1e6:.1f} MB received, {sent / 1e6:.1f} MB sent in "
        f"{seconds:.1f} s, {100 * result['share']:.2f} % of what it holds")
    cluster.stop()
    os.sync()
    return result


def _put(cluster, numbers, value_bytes, patience=60):
    """Through the first member. Right after another one stopped, some keys have no leader for a moment: they are put again, and
    no other, so that as much is written as is said."""
    client, deadline = Client(cluster.ports[0]), time.monotonic() + patience
    left = list(numbers)
    try:
        while left:
            now, left = left[:cluster.batch], left[cluster.batch:]
            refused = cluster.try_batch(client, now, value_bytes)
            left = [number for number, _ in refused] + left
            if left and time.monotonic() > deadline:
                raise BenchError(f"{cluster.name}: {len(left)} keys could not be put in {patience} s: {refused[:1]}")
    finally:
        client.close()


def _memory(cluster):
    return {server.name: memory(server.pid)["anon"] for server in cluster.members}
