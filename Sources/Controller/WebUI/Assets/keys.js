// The list of all keys, a page at a time. Pages before the current one are reached by the cursors that led here.

import { call, withQuery } from "./api.js";
import { byId, el } from "./dom.js";
import { bytes, plural, ranges, visibleKey } from "./format.js";
import { showNotice, showProblem } from "./notice.js";
import { sizeOf } from "./record.js";

/** Characters of a value that the list shows. */
const previewLength = 120;

// cursors[i] leads to page i; the first page has none.
let cursors = [""];
let page = 0;
let nextCursor = null;
let loading = null;
let selected = null;
let onChoose = () => {};

function rowOf(entry, withValues) {
  const button = el("button", { type: "button", className: "key", textContent: visibleKey(entry.key) });
  button.addEventListener("click", () => onChoose(entry.key));
  const value = typeof entry.value === "string" ? entry.value : null;
  const preview = value === null ? "–" : value.slice(0, previewLength);
  const row = el("tr", {},
    el("td", {}, el("bdi", {}, button)),
    el("td", { className: "value-column mono", textContent: withValues ? preview : "" }),
    el("td", { className: "mono", textContent: entry.version ?? "–" }),
    el("td", { className: "number", textContent: bytes(sizeOf(entry)) }));
  row.record = entry.key;
  return row;
}

function mark() {
  for (const row of byId("keys-body").rows) {
    if (row.record !== undefined && row.record === selected) row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
  }
}

function showPager() {
  byId("keys-previous").disabled = page === 0;
  byId("keys-next").disabled = nextCursor === null;
}

function renderPage(body, prefix, withValues) {
  const entries = body?.keys ?? [];
  nextCursor = body?.next_cursor || null;
  byId("keys-table").dataset.values = String(withValues);
  byId("keys-body").replaceChildren(...entries.map((entry) => rowOf(entry, withValues)));
  byId("keys-scroll").hidden = entries.length === 0;
  byId("keys-scroll").scrollTop = 0;
  showPager();
  byId("keys-position").textContent = `Page ${page + 1}, ${plural(entries.length, "key")}`;
  const place = byId("keys-result");
  const incomplete = Array.isArray(body?.incomplete) ? body.incomplete : body?.incomplete ? ["some"] : [];
  if (incomplete.length) {
    const which = incomplete.every(Number.isFinite) ? `Partitions without an answer: ${ranges(incomplete)}.` : "";
    showNotice(place, { tone: "warn", title: "This page is incomplete", detail: `Keys may be missing. ${which}` });
  } else if (entries.length === 0) {
    const detail = prefix ? "Keys are compared byte by byte, upper and lower case differ." : "Write the first one above.";
    showNotice(place, { tone: "idle", title: prefix ? "No key starts like this" : "There are no keys", detail });
  } else {
    place.replaceChildren();
  }
  mark();
}

async function load() {
  loading?.abort();
  const mine = new AbortController();
  loading = mine;
  const prefix = byId("keys-prefix").value;
  const withValues = byId("keys-values").checked;
  byId("keys-table").setAttribute("aria-busy", "true");
  try {
    const { body } = await call(withQuery("/keys", {
      prefix, limit: byId("keys-limit").value, cursor: cursors[page], values: withValues ? "true" : "",
    }), { signal: mine.signal });
    if (!mine.signal.aborted) renderPage(body, prefix, withValues);
  } catch (error) {
    if (mine.signal.aborted) return;
    showProblem(byId("keys-result"), error);
    showPager();
  } finally {
    if (loading === mine) byId("keys-table").removeAttribute("aria-busy");
  }
}

function restart() {
  cursors = [""];
  page = 0;
  return load();
}

/** Loads the current page again, after a write or a deletion. */
export const refreshKeys = load;

/** Marks the row of the key that is being looked at. */
export function selectKey(key) {
  selected = key;
  mark();
}

/** `onKey(key)` is called when a key of the list is chosen. */
export function startKeys({ onKey }) {
  onChoose = onKey;
  let typing;
  byId("keys-form").addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(typing);
    load();
  });
  byId("keys-prefix").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(restart, 250);
  });
  byId("keys-limit").addEventListener("change", restart);
  byId("keys-values").addEventListener("change", load);
  byId("keys-next").addEventListener("click", () => {
    if (nextCursor === null) return;
    page += 1;
    cursors[page] = nextCursor;
    nextCursor = null;
    load();
  });
  byId("keys-previous").addEventListener("click", () => {
    if (page === 0) return;
    page -= 1;
    load();
  });
  return load();
}
