#!/usr/bin/env python3
"""Uses the web page of a running cluster as a person would, in a headless Chromium.

    ui_test.py BASE_URL [--screenshots FOLDER]

Needs python3 and Chromium (found by name, or named in CHROMIUM), nothing else. Writes, reads and deletes keys that
start with "ui-test/" and a number of its own; leaves none behind when it passes. Prints one line per test and
`N passed, N failed`; exits 0 when all passed, 1 otherwise.
"""

import argparse
import json
import os
import sys
import time
import traceback
import urllib.request
from urllib.parse import quote

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cdp import Browser, BrowserError  # noqa: E402

HOSTILE_KEY = "<img src=x onerror=\"window.owned=1\">&'\"/../?#%41"
HOSTILE_VALUE = "<script>window.owned=1</script>\nsecond line"


class Page:
    """What a person does with the page."""

    def __init__(self, browser, base):
        self.browser, self.base = browser, base.rstrip("/")
        self.prefix = f"ui-test/{time.time_ns()}/"

    def fetch(self, path):
        with urllib.request.urlopen(self.base + path, timeout=20) as response:
            return json.load(response)

    def open(self):
        self.browser.call("Page.navigate", url=self.base + "/")
        self.browser.wait("document.readyState === 'complete'")
        self.browser.wait("['live', 'polling'].includes(document.body.dataset.connection)")

    def text(self, selector):
        return self.browser.run(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    def fill(self, field, value):
        """Types into a field as a keyboard would; an empty value clears it."""
        self.browser.run(f"(() => {{ const f = document.getElementById({json.dumps(field)}); f.focus(); f.select(); }})()")
        if value:
            self.browser.type(value)
        else:
            self.browser.key("Delete", 46)

    def click(self, selector):
        self.browser.wait(f"!!document.querySelector({json.dumps(selector)})")
        self.browser.run(f"document.querySelector({json.dumps(selector)}).click()")

    def choose(self, field, value):
        self.browser.run(
            f"(() => {{ const f = document.getElementById({json.dumps(field)}); f.value = {json.dumps(value)};"
            " f.dispatchEvent(new Event('change', {bubbles: true})); })()")

    def write(self, key, value, ttl="", absent=False):
        self.fill("write-key", key)
        self.fill("write-value", value)
        self.fill("write-ttl", ttl)
        self.browser.run(f"document.getElementById('write-absent').checked = {json.dumps(absent)}")
        self.browser.run("document.getElementById('write-result').replaceChildren()")
        self.click("#write-button")
        self.browser.wait("!!document.querySelector('#write-result .notice')")
        return self.text("#write-result")

    def read(self, key, node=""):
        self.choose("read-from", node)
        self.fill("read-key", key)
        self.browser.run("document.getElementById('read-record').replaceChildren();"
                         "document.getElementById('read-result').replaceChildren()")
        self.click("#read-button")
        self.browser.wait("document.querySelector('#read-record > *') || document.querySelector('#read-result .notice')")
        self.browser.wait("!document.getElementById('read-button').hasAttribute('aria-busy')")
        return self.browser.run("document.querySelector('#read-record .value')?.textContent ?? null")

    def delete(self):
        self.click("#record-delete")
        self.browser.wait("document.getElementById('delete-dialog').open")
        self.click("#delete-confirm")
        self.browser.wait("!!document.querySelector('#read-result .notice')")
        return self.text("#read-result")

    def listed(self, prefix, limit="10"):
        """The keys on the first page with this prefix."""
        self.choose("keys-limit", limit)
        self.fill("keys-prefix", prefix)
        return self.settled(f"k => k.every(x => x.startsWith({json.dumps(prefix)}))")

    def settled(self, condition):
        keys = "[...document.querySelectorAll('#keys-body tr')].map(row => row.record)"
        self.browser.wait(f"document.querySelector('#keys-table').getAttribute('aria-busy') === null && ({condition})({keys})")
        return self.browser.run(keys)


def test_the_state_of_the_cluster_is_shown(page):
    health = page.fetch("/health")
    nodes = page.fetch("/nodes")["nodes"]
    assert page.text("#cluster-name") == health["cluster"]
    assert page.text("#verdict") in ("ok", "degraded", "failed", "starting"), page.text("#verdict")
    assert page.text("#tile-nodes").endswith(f"/ {len(nodes)}"), page.text("#tile-nodes")
    shown = page.browser.run("[...document.querySelectorAll('.node h3')].map(h => h.textContent)")
    assert shown == [node["name"] for node in nodes], shown
    cells = page.browser.run("document.querySelectorAll('#partitions .cell').length")
    assert cells == health["partitions"]["total"], cells


def test_the_state_is_pushed(page):
    page.browser.wait("document.body.dataset.connection === 'live'")
    page.browser.wait("document.getElementById('events-state').textContent === 'as they happen'")


def test_events_are_shown_in_words(page):
    page.browser.wait("document.querySelectorAll('#events li .message').length > 0")


def test_a_write_shows_its_version_and_a_read_shows_the_value(page):
    key = page.prefix + "plain"
    answer = page.write(key, "hello, wörld")
    assert "Written" in answer and "Version" in answer and "required" in answer, answer
    assert page.read(key) == "hello, wörld"
    record = page.text("#read-record")
    assert "linearizable" in record and "Served by" in record, record


def test_every_node_can_be_read_locally(page):
    key = page.prefix + "everywhere"
    page.write(key, "same")
    members = page.fetch(f"/map?key={quote(key, safe='')}")["replicas"]
    for node in page.fetch("/nodes")["nodes"]:
        name = node["name"]
        if node["state"] != "up":
            continue
        if name in members:
            # A member beyond the quorum may have the record a moment later.
            page.browser.until(lambda: page.read(key, name) == "same", 10)
            assert "local" in page.text("#read-record"), page.text("#read-record")
        else:
            # Without a copy of its own a node may pass the read on or say that it has none, never show another value.
            assert page.read(key, name) == "same" or page.text("#read-result")
    page.choose("read-from", "")


def test_members_and_place_of_a_key_are_shown(page):
    key = page.prefix + "members"
    page.write(key, "x")
    page.read(key)
    page.browser.wait("document.querySelectorAll('#replicas-table tbody tr').length > 0")
    place = page.fetch(f"/map?key={quote(key, safe='')}")
    shown = page.browser.run("[...document.querySelectorAll('#replicas-table tbody tr')].map(row => row.dataset.node)")
    assert sorted(shown) == sorted(place["replicas"]), shown
    assert str(place["slot"]) in page.text("#record-map")


def test_an_absent_key_is_said_to_be_absent(page):
    assert page.read(page.prefix + "never") is None
    assert "Absent" in page.text("#read-result")


def test_only_if_absent_refuses_a_second_write(page):
    key = page.prefix + "once"
    assert "Created" in page.write(key, "first", absent=True)
    answer = page.write(key, "second", absent=True)
    assert "Not applied" in answer, answer
    outcome = page.browser.run("document.querySelector('#write-result .notice').dataset.outcome")
    assert outcome == "not_applied", outcome
    assert page.read(key) == "first"


def test_a_time_to_live_is_shown(page):
    key = page.prefix + "short"
    page.write(key, "x", ttl="3600")
    page.read(key)
    assert "Expires" in page.text("#read-record")


def test_markup_in_keys_and_values_stays_text(page):
    key = page.prefix + HOSTILE_KEY
    page.write(key, HOSTILE_VALUE)
    assert page.read(key) == HOSTILE_VALUE
    assert page.text("#record-key") == key
    page.browser.run("document.getElementById('keys-values').checked = true")
    assert key in page.listed(page.prefix, "100")
    page.browser.run("document.getElementById('keys-values').checked = false")
    assert page.browser.run("window.owned") is None


def test_keys_are_paged_both_ways(page):
    prefix = page.prefix + "page/"
    expected = [f"{prefix}{i:02d}" for i in range(23)]
    for key in expected:
        page.write(key, key[-2:])
    pages = [page.listed(prefix)]
    for number in (2, 3):
        page.click("#keys-next")
        page.browser.wait(f"document.getElementById('keys-position').textContent.startsWith('Page {number}')")
        pages.append(page.settled("k => true"))
    assert [key for some in pages for key in some] == expected, pages
    assert page.browser.run("document.getElementById('keys-next').disabled")
    page.click("#keys-previous")
    page.browser.wait("document.getElementById('keys-position').textContent.startsWith('Page 2')")
    assert page.settled("k => true") == pages[1]


def test_a_click_on_a_key_reads_it(page):
    prefix = page.prefix + "page/"
    page.listed(prefix)
    page.click("#keys-body tr:nth-child(4) button")
    page.browser.wait("document.querySelector('#read-record .value')?.textContent === '03'")
    assert page.browser.run("document.getElementById('read-key').value") == prefix + "03"


def test_deletion_asks_first_and_can_be_refused(page):
    key = page.prefix + "doomed"
    page.write(key, "x")
    page.read(key)
    page.click("#record-delete")
    page.browser.wait("document.getElementById('delete-dialog').open")
    page.click("#delete-cancel")
    page.browser.wait("!document.getElementById('delete-dialog').open")
    assert page.read(key) == "x"
    assert "Deleted" in page.delete()
    assert page.read(key) is None


def test_deletion_spares_a_record_that_changed_since(page):
    key = page.prefix + "changed"
    page.write(key, "old")
    page.read(key)
    page.write(key, "new")
    answer = page.delete()
    assert "Not applied" in answer, answer
    assert page.read(key) == "new"


def test_a_key_that_is_too_long_is_not_sent(page):
    page.fill("write-key", "k" * 481)
    assert not page.browser.run("document.getElementById('write-form').checkValidity()")
    page.fill("write-key", "k")
    assert page.browser.run("document.getElementById('write-form').checkValidity()")


def test_the_keyboard_reaches_the_partitions(page):
    page.browser.run("document.querySelector('#partitions [tabindex=\"0\"]').focus()")
    page.browser.key("Home", 36)
    page.browser.key("ArrowRight", 39)
    assert page.text("#partition-detail").startswith("Partition 1 "), page.text("#partition-detail")


def test_enter_in_a_field_sends_the_form(page):
    key = page.prefix + "enter"
    page.write(key, "sent")
    page.fill("read-key", key)
    page.browser.key("Enter", 13, "\r")
    page.browser.wait("document.querySelector('#read-record .value')?.textContent === 'sent'")


def test_nothing_sticks_out_of_narrow_and_wide_windows(page):
    for width in (320, 400, 768, 1400):
        page.browser.size(width, 900)
        over = page.browser.run("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert over <= 0, f"{over} px at {width}"
    page.browser.size(1400, 1100)


def test_what_was_written_can_be_removed(page):
    for _ in range(60):
        keys = page.listed(page.prefix, "100")
        if not keys:
            return
        page.click("#keys-body tr button")
        page.browser.wait("!!document.getElementById('record-delete')"
                          f" && document.getElementById('read-key').value === {json.dumps(keys[0])}")
        page.read(keys[0])
        page.delete()
        page.settled(f"k => !k.includes({json.dumps(keys[0])})")
    raise AssertionError("keys are left")


def test_the_page_raised_no_error(page):
    assert page.browser.faults == [], page.browser.faults


def pictures(page, folder):
    os.makedirs(folder, exist_ok=True)
    for width in (1400, 400):
        for scheme in ("light", "dark"):
            page.browser.size(width, 1100)
            page.browser.scheme(scheme)
            page.browser.screenshot(os.path.join(folder, f"page-{width}-{scheme}.png"))


def main():
    arguments = argparse.ArgumentParser(description="Tests the web page of a running cluster.")
    arguments.add_argument("base", help="where the controller listens, such as http://127.0.0.1:8000")
    arguments.add_argument("--screenshots", metavar="FOLDER", help="save pictures of the page there")
    options = arguments.parse_args()
    passed = failed = 0
    tests = [(name[5:].replace("_", " "), test) for name, test in globals().items() if name.startswith("test_")]
    with Browser() as browser:
        page = Page(browser, options.base)
        browser.size(1400, 1100)
        page.open()
        for name, test in tests:
            try:
                test(page)
                passed += 1
                print(f"ok      {name}", flush=True)
            except (AssertionError, BrowserError, OSError, ValueError, KeyError) as error:
                failed += 1
                where = traceback.extract_tb(error.__traceback__)[1]
                print(f"FAILED  {name} (line {where.lineno}): {error}", flush=True)
        if options.screenshots:
            page.open()
            pictures(page, options.screenshots)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (BrowserError, OSError) as error:
        print(f"FAILED  {error}\n0 passed, 1 failed")
        sys.exit(1)
