// What is known about one key: its value, where it lives, and whether its members agree.

import { call, withQuery } from "./api.js";
import { el, facts } from "./dom.js";
import { bytes, moment, number, visibleKey } from "./format.js";

/** Characters of a value that are put on the page; a browser stalls on megabytes of wrapped text. */
const shownCharacters = 100_000;

function base64Size(text) {
  return Math.floor((text.length * 3) / 4) - (text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0);
}

export function sizeOf(record) {
  if (typeof record.value !== "string") return record.size;
  return record.encoding === "base64" ? base64Size(record.value) : new TextEncoder().encode(record.value).length;
}

function valueBlock(record) {
  const value = String(record.value ?? "");
  if (value === "") return el("p", { className: "value none", textContent: "The value is empty (0 bytes)." });
  const block = el("pre", { className: "value", tabIndex: 0, textContent: value.slice(0, shownCharacters) });
  block.setAttribute("role", "region");
  block.setAttribute("aria-label", "Value");
  return block;
}

function copyButton(text) {
  const button = el("button", { type: "button", className: "compact", textContent: "Copy" });
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not allowed";
    }
  });
  return button;
}

/** The record itself, with what can be done with it. `actions` has edit(), remove(). */
export function recordView({ key, record, servedBy, leader, local, milliseconds }, actions) {
  const value = String(record.value ?? "");
  const head = el("div", { className: "record-head" },
    el("bdi", { className: "record-key mono break", id: "record-key", textContent: visibleKey(key) }));
  if (navigator.clipboard && value !== "") head.append(copyButton(value));
  // A form field would change line breaks silently: such a record can be read here, not edited.
  const editable = record.encoding !== "base64" && !/[\r\n]/.test(key) && !value.includes("\r");
  if (editable) {
    const edit = el("button", { type: "button", className: "compact", id: "record-edit", textContent: "Edit" });
    edit.addEventListener("click", actions.edit);
    head.append(edit);
  }
  const remove = el("button", { type: "button", className: "compact danger", id: "record-delete", textContent: "Delete" });
  remove.addEventListener("click", actions.remove);
  head.append(remove);

  const view = el("div", { className: "record" }, head, valueBlock(record));
  if (value.length > shownCharacters) {
    view.append(el("p", { className: "hint", textContent: `The first ${number(shownCharacters)} characters are shown.` }));
  }
  view.append(facts([
    ["Version", record.version, true],
    ["Size", bytes(sizeOf(record))],
    ["Encoding", record.encoding === "base64" ? "base64, the bytes are not text" : null],
    ["Served by", servedBy],
    ["Leader", leader],
    ["Read", local ? "local, may be older than the latest" : "linearizable"],
    ["Expires", record.expires_at === undefined || record.expires_at === null ? null : moment(record.expires_at)],
    ["Took", `${Math.max(1, Math.round(milliseconds))} ms`],
  ]));
  return view;
}

function placeView(map) {
  const replicas = (map.replicas ?? []).map((name) => {
    const address = map.addresses?.[name];
    return address ? `${name} (${address})` : name;
  });
  return el("section", { className: "subsection", id: "record-map" }, el("h3", { textContent: "Where it lives" }), facts([
    ["Slot", map.slot],
    ["Partition", map.partition],
    ["Epoch", map.epoch],
    ["Leader", map.leader || "none"],
    ["Preferred", map.primary === map.leader ? null : map.primary],
    ["Members", replicas.join(", ")],
  ]));
}

function agreement(replica) {
  if (replica.state && replica.state !== "ok") return ["bad", replica.state];
  return replica.agrees ? ["ok", "agrees"] : ["bad", "differs"];
}

function replicasView(answer) {
  const body = el("tbody");
  for (const replica of answer.replicas ?? []) {
    const [tone, text] = agreement(replica);
    const hash = String(replica.hash ?? "–");
    body.append(el("tr", { data: { node: replica.node } },
      el("th", { scope: "row", textContent: replica.node }),
      el("td", { textContent: replica.role ?? "–" }),
      el("td", {}, el("span", { className: "tag", data: { tone }, textContent: text })),
      el("td", { className: "mono", textContent: replica.version ?? "–" }),
      el("td", { className: "number", textContent: bytes(replica.size) }),
      el("td", { className: "mono", title: hash, textContent: hash.slice(0, 8) })));
  }
  const columns = ["Node", "Role", "State", "Version", "Size", "Hash"];
  const heading = columns.map((name) => el("th", { scope: "col", className: name === "Size" ? "number" : "", textContent: name }));
  const table = el("table", { id: "replicas-table" }, el("thead", {}, el("tr", {}, ...heading)), body);
  const scroll = el("div", { className: "scroll", tabIndex: 0, aria: { role: "region", "aria-label": "Members" } }, table);
  return el("section", { className: "subsection" }, el("h3", { textContent: "What each member holds" }), scroll);
}

/** Adds placement and members of a key to `place`; says so when they cannot be had. */
export async function addSurroundings(place, key, signal) {
  const section = async (path, view) => {
    try {
      return view((await call(withQuery(path, { key }), { signal })).body ?? {});
    } catch (error) {
      if (signal.aborted) return null;
      // A key that no member holds has no replicas to compare.
      if (path === "/replicas" && error.status === 404) return null;
      const subject = path === "/map" ? "Placement" : "The members' records";
      return el("p", { className: "hint", textContent: `${subject} cannot be shown: ${error.title} ${error.detail}` });
    }
  };
  const views = await Promise.all([section("/map", placeView), section("/replicas", replicasView)]);
  if (!signal.aborted) place.append(...views.filter(Boolean));
}
