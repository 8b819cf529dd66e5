"""A page with plots of what was measured: no scripts, nothing from elsewhere, readable in light and in dark."""

import math
from html import escape

WIDTH, HEIGHT = 420, 220
LEFT, RIGHT, TOP, BOTTOM = 64, 48, 14, 44
LABELS, ROW = 210, 22

STYLE = """
:root{color-scheme:light dark;--text:#1b1f24;--back:#fff;--line:#d0d7de;--put:#a4540e;--get:#0b63c5;--bar:#0b63c5}
@media(prefers-color-scheme:dark){:root{--text:#e6edf3;--back:#0d1117;--line:#30363d;--put:#e3a04f;--get:#6cb6ff;--bar:#6cb6ff}}
body{font:15px/1.45 system-ui,sans-serif;color:var(--text);background:var(--back);max-width:74rem;margin:2rem auto;padding:0 1rem}
.plots{display:flex;flex-wrap:wrap;gap:1rem}figure{margin:0;flex:1 1 26rem;max-width:36rem}figcaption{font-weight:600;margin:.3rem 0}
svg{width:100%;height:auto}svg text{fill:var(--text);font-size:12px}.grid{stroke:var(--line)}
.put{stroke:var(--put);fill:var(--put)}.get{stroke:var(--get);fill:var(--get)}.bar{fill:var(--bar)}
polyline{fill:none!important;stroke-width:2}svg text.put{fill:var(--put);stroke:none}svg text.get{fill:var(--get);stroke:none}
"""

NAMES = {
    "connections": "connections", "value_bytes": "bytes of a value", "keys": "keys", "partitions": "partitions",
    "nodes": "nodes"}


def page(results):
    """The document; None when nothing was measured that can be drawn."""
    parts = [part for part in (_scale(results), _overload(results), _latency(results)) if part]
    if not parts:
        return None
    about = f"{results.get('kv', 'kv')}, {results['machine']['cpu']}, {results['machine']['time']}"
    if not results.get("complete"):
        about += "; not complete: something failed"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">\n'
        f"<title>Curves</title><style>{STYLE}</style></head><body>\n<h1>Curves</h1><p>{escape(about)}</p>\n"
        + "\n".join(parts) + "</body></html>\n")


def _scale(results):
    points = results.get("scale") or []
    text = ""
    for what in dict.fromkeys(point["what"] for point in points):
        found = sorted((point for point in points if point["what"] == what), key=lambda point: point["value"])
        rates, tails = (
            {mix: [(point["value"], point[mix][figure]) for point in found if point[mix][figure] is not None]
             for mix in ("put", "get")} for figure in ("per_second", "p99_ms"))
        across = NAMES.get(what, what)
        text += (
            f'<h2>By {escape(across)}</h2><div class="plots">{_plot("Operations a second", across, rates, False)}'
            f'{_plot("p99 in milliseconds (logarithmic)", across, tails, True)}</div>')
    return f"<p>lmdb, one thing changed at a time.</p>{text}" if text else ""


def _overload(results):
    found = results.get("overload")
    if not found:
        return ""
    seconds = results["settings"]["seconds"]
    bars = [
        ("peak before", found["peak"]), ("asked", found["asked"]), ("done", found["goodput"]),
        ("refused with 503", sum(found["refused"].values()) / seconds), ("never sent", found["never_sent"] / seconds),
        ("afterwards", found["afterwards"])]
    marks = _even(max(value for _, value in bars))
    x = lambda value: LABELS + value / marks[-1] * (WIDTH - 30)  # noqa: E731
    text = _upright(x, marks, len(bars))
    for row, (name, value) in enumerate(bars):
        y = row * ROW + 8
        text += _text(LABELS - 10, y + 12, name, "end")
        text += f'<rect class="bar" x="{LABELS}" y="{y}" width="{x(value) - LABELS:.1f}" height="{ROW - 8}"/>'
        text += _text(x(value) + 5, y + 12, _figure(value))
    return f"<h2>Overload</h2>{_figure_of('Puts a second, lmdb', LABELS + WIDTH + 40, len(bars) * ROW + 40, text)}"


def _latency(results):
    """A mark for p50 and a line to p99, from the left for each rate."""
    runs = sorted(
        (what.split()[0], figures["rate"], name, figures)
        for name, mixes in (results.get("latency") or {}).items() for what, figures in mixes.items())
    known = [figures[name] for *_, figures in runs for name in ("p50_ms", "p99_ms") if figures[name]]
    if not known:
        return ""
    marks = _decades(min(known), max(known))
    x = lambda value: LABELS + _share(value, marks) * (WIDTH - 30)  # noqa: E731
    text = _upright(x, marks, len(runs))
    for row, (mix, rate, name, figures) in enumerate(runs):
        y = row * ROW + 15
        text += _text(LABELS - 10, y + 4, f"{name}, {rate:,} {mix}s/s", "end")
        low, high = figures["p50_ms"], figures["p99_ms"]
        if low:
            text += f'<circle class="{mix}" cx="{x(low):.1f}" cy="{y}" r="4"/>'
        if low and high:
            text += f'<line class="{mix}" x1="{x(low):.1f}" x2="{x(high):.1f}" y1="{y}" y2="{y}" stroke-width="2"/>'
        if high is None:
            text += _text((x(low) if low else LABELS) + 8, y + 4, "p99 never sent" if low else "never sent")
    caption = "p50, and a line to p99, in milliseconds at etcd's rate and nine tenths of it (logarithmic)"
    return f"<h2>Latency at fixed rates</h2>{_figure_of(caption, LABELS + WIDTH + 80, len(runs) * ROW + 40, text)}"


def _plot(caption, across, curves, is_logarithmic):
    points = [point for curve in curves.values() for point in curve if point[1] > 0]
    if not points:
        return ""
    values = sorted({value for value, _ in points})
    highest = max(figure for _, figure in points)
    marks = _decades(min(figure for _, figure in points), highest) if is_logarithmic else _even(highest)
    span = math.log(values[-1] / values[0]) if values[-1] > values[0] else 0
    x = lambda value: LEFT + (math.log(value / values[0]) / span if span else 0.5) * WIDTH  # noqa: E731
    y = lambda figure: TOP + HEIGHT * (1 - (_share(figure, marks) if is_logarithmic else figure / marks[-1]))  # noqa: E731
    text = ""
    for mark in marks:
        text += f'<line class="grid" x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{y(mark):.1f}" y2="{y(mark):.1f}"/>'
        text += _text(LEFT - 8, y(mark) + 4, _figure(mark), "end")
    for value in values:
        text += _text(x(value), TOP + HEIGHT + 18, f"{value:,}", "middle")
    text += _text(LEFT + WIDTH / 2, TOP + HEIGHT + 36, f"{across} (logarithmic)", "middle")
    ends = []
    for name, curve in curves.items():
        if not curve:
            continue
        line = " ".join(f"{x(value):.1f},{y(figure):.1f}" for value, figure in curve)
        text += f'<polyline class="{name}" points="{line}"/>'
        text += "".join(f'<circle class="{name}" cx="{x(value):.1f}" cy="{y(figure):.1f}" r="3"/>' for value, figure in curve)
        ends.append((y(curve[-1][1]), x(curve[-1][0]), name))
    # Names stand beside the ends of their curves, and not upon each other.
    last = -ROW
    for upright, across_end, name in sorted(ends):
        last = max(upright, last + 14)
        text += _text(across_end + 8, last + 4, name, kind=name)
    return _figure_of(caption, LEFT + WIDTH + RIGHT, TOP + HEIGHT + BOTTOM, text)


def _figure_of(caption, width, height, text):
    return (
        f'<figure><figcaption>{escape(caption)}</figcaption><svg viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(caption)}">{text}</svg></figure>\n')


def _upright(x, marks, rows):
    """Lines for marks of a horizontal axis, with what they mean below."""
    text = ""
    for mark in marks:
        text += f'<line class="grid" x1="{x(mark):.1f}" x2="{x(mark):.1f}" y1="2" y2="{rows * ROW + 8}"/>'
        text += _text(x(mark), rows * ROW + 24, _figure(mark), "middle")
    return text


def _text(x, y, text, anchor="start", kind=""):
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _even(highest):
    """At most five equal steps from 0, of 1, 2 or 5 times a power of ten each."""
    step = 10 ** math.floor(math.log10(max(highest, 1e-9) / 5))
    while step * 5 < highest:
        step *= 2 if str(f"{step:e}")[0] in "15" else 2.5
    return [step * number for number in range(max(1, math.ceil(highest / step)) + 1)]


def _decades(low, high):
    """Powers of ten from at most the lowest to at least the highest."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    return [10.0 ** power for power in range(first, max(last, first + 1) + 1)]


def _share(value, marks):
    return math.log(max(value, marks[0]) / marks[0]) / math.log(marks[-1] / marks[0])


def _figure(value):
    return f"{value:,.0f}" if value >= 10 or value == 0 else f"{value:g}" if value < 1 else f"{value:.3g}"
