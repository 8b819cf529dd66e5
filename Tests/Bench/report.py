"""From measurements to sentences and tables."""

from statistics import median

MEBI = 1 << 20


def spread(values, form):
    return f"{form(median(values))} ({form(min(values))} to {form(max(values))})"


def latency(milliseconds):
    """None: it falls among operations that were never sent."""
    return "not sent" if milliseconds is None else f"{milliseconds:.1f}"


def table(head, rows):
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |"
        for row in [head, ["-" * width for width in widths], *rows]]
    return "\n".join(lines)


def throughput(rounds, reference="etcd"):
    """Summary for the JSON, text for people. Ratios are taken within a round, then summarised."""
    summary, rows = {}, []
    count = lambda value: f"{value:,.0f}"  # noqa: E731
    for what in ("put", "get"):
        for name in sorted(rounds[0], key=lambda name: (name == reference, name)):
            runs = [turn[name][what] for turn in rounds]
            rates = [run["per_second"] for run in runs]
            ratios = [run["per_second"] / turn[reference][what]["per_second"] for run, turn in zip(runs, rounds)]
            figures = {
                "per_second": median(rates), "ratio": median(ratios), "ratio_min": min(ratios),
                "ratio_max": max(ratios)}
            for share in ("p50", "p99"):
                figures[f"{share}_ms"] = median(run["latency_micros"][share] for run in runs) / 1000
            figures["drain_seconds"] = median(run["drain_seconds"] for run in runs)
            for side in ("server", "generator"):
                figures[f"{side}_cpu_micros"] = median(run[f"{side}_cpu_micros_per_operation"] for run in runs)
            summary.setdefault(what, {})[name] = figures
            rows.append([
                what, name, spread(rates, count), spread(ratios, lambda value: f"{value:.2f}"),
                f"{figures['p50_ms']:.1f}", f"{figures['p99_ms']:.1f}", count(figures["server_cpu_micros"]),
                count(figures["generator_cpu_micros"]), f"{figures['drain_seconds']:.1f}"])
    head = [
        "", "", "per second", f"times {reference}", "p50 ms", "p99 ms", "server CPU us/op", "generator CPU us/op",
        "drain s"]
    return summary, table(head, rows)


def resident(result):
    rows = []
    for name, empty in result["empty"].items():
        row = [name, f"{empty['resident'] / MEBI:.0f}"]
        for stage in ("loaded", "after_reads"):
            found = result[stage][name]
            row += [f"{found['anon'] / MEBI:.0f} + {found['file'] / MEBI:.0f}"]
        row.append(f"{result['disk_bytes'].get(name, 0) / MEBI:.0f}")
        rows.append(row)
    return table(
        ["MiB", "empty, resident", "loaded, anon + file", "after random reads, anon + file", "data folder"], rows)


def failover(outages):
    """Over all keys of all kills."""
    summary, rows = {}, []
    for name, kills in outages.items():
        times = sorted(seconds * 1000 for kill in kills for seconds in kill["seconds"])
        summary[name] = {"kills": len(kills), "median_ms": median(times), "max_ms": times[-1], "min_ms": times[0]}
        failures = sorted({failure for kill in kills for failure in kill["failures"]})
        rows.append([
            name, str(len(kills)), f"{times[0]:.0f}", f"{median(times):.0f}", f"{times[-1]:.0f}",
            ", ".join(failures) or "none"])
    return summary, table(["", "kills", "min ms", "median ms", "max ms", "failed puts meanwhile"], rows)


def healing(backends):
    """The share is what a plain copy to a synced file, through the loopback, took of the time."""
    summary, rows = {}, []
    for name, rounds in backends.items():
        rates = [found["bytes"] / found["seconds"] / 1e6 for found in rounds]
        shares = [found["share"] for found in rounds]
        summary[name] = {"mb_per_second": median(rates), "share": median(shares)}
        rows.append([
            name, spread(rates, lambda value: f"{value:.0f}"),
            spread([found["records"] / found["seconds"] for found in rounds], lambda value: f"{value:,.0f}"),
            spread([found["bytes"] / found["reference_seconds"] / 1e6 for found in rounds], lambda value: f"{value:.0f}"),
            spread(shares, lambda value: f"{value:.2f}"),
            *(_percentiles([found[when] for found in rounds]) for when in ("calm", "meanwhile"))])
    return summary, table(
        ["", "MB/s", "records/s", "plain copy MB/s", "share of it", "put before: p50, p99 ms", "put meanwhile"], rows)


def _percentiles(runs):
    """Medians over runs; what was never sent counts as longer than all others."""
    found = []
    for name in ("p50", "p99"):
        values = sorted(run["latency_micros"][name] or float("inf") for run in runs)
        value = values[len(values) // 2]
        found.append(latency(None if value == float("inf") else value / 1_000))
    return ", ".join(found)


def returning(result):
    anon = [max(result[when].values()) / MEBI for when in ("anon_loaded", "anon_caught_up")]
    return table(
        ["keys", "missed", "seconds", "MB received", "MB sent", "share of keys and values", "own memory before and after, MiB"],
        [[
            f"{result['keys']:,}", f"{result['missed']:,}", f"{result['seconds']:.1f}", f"{result['received_bytes'] / 1e6:.1f}",
            f"{result['sent_bytes'] / 1e6:.1f}", f"{100 * result['share']:.2f} %", f"{anon[0]:.0f}, {anon[1]:.0f}"]])


def scale(points):
    rows = [[
        point["what"], f"{point['value']:,}", f"{point['put']['per_second']:,.0f}", f"{point['put']['p99_ms']:.1f}",
        f"{point['get']['per_second']:,.0f}", f"{point['get']['p99_ms']:.1f}", f"{point['put']['server_cpu_micros']:,.0f}",
        f"{point['get']['server_cpu_micros']:,.0f}", f"{max(point['resident_bytes'].values()) / MEBI:.0f}",
        f"{sum(sum(point[mix]['failed'].values()) for mix in ('put', 'get')):,}"] for point in points]
    return table(
        ["", "", "puts/s", "p99 ms", "gets/s", "p99 ms", "server CPU us/put", "us/get", "own memory, MiB", "503 or 504"],
        rows)


def same_rate(results):
    found = [
        (what.split()[0], figures["rate"], name, figures)
        for name, runs in results.items() for what, figures in runs.items()]
    rows = [
        [what, f"{rate:,}", name, latency(figures["p50_ms"]), latency(figures["p99_ms"]), f"{figures['never_sent']:,}"]
        for what, rate, name, figures in sorted(found, key=lambda row: row[:3])]
    return table(["", "a second", "", "p50 ms", "p99 ms", "never sent"], rows)


def overload(found):
    grown = max(found["anon_highest"][name] - before for name, before in found["anon_before"].items())
    return table(
        ["peak", "asked", "done", "share", "refused with 503", "never sent", "afterwards", "memory grew by at most, MiB"], [[
            f"{found['peak']:,.0f}", f"{found['asked']:,.0f}", f"{found['goodput']:,.0f}", f"{found['share']:.2f}",
            f"{sum(found['refused'].values()):,}", f"{found['never_sent']:,}", f"{found['afterwards']:,.0f}",
            f"{grown / MEBI:.0f}"]])
