// One card per node, kept up to date in place.

import { byId, el, reconcile, setData, setText } from "./dom.js";
import { ago, bytes, number, tone, words } from "./format.js";

const fields = [
  ["Backend", (node) => node.backend || "–"],
  ["Address", (node) => node.address || "–"],
  ["Keys", (node) => number(node.keys)],
  ["On disk", (node) => bytes(node.bytes_on_disk)],
  ["Replicas", (node) => number(node.replicas)],
  ["Leading", (node) => number(node.leading)],
  ["Heartbeat", (node) => ago(node.last_heartbeat_ms_ago ?? NaN)],
  ["Version", (node) => node.version || "–"],
  ["Zone", (node) => node.zone || null],
];

/** The number of a node's colour; the same in cards, cells and legend. */
export const hueOf = (nodes, name) => {
  const index = nodes.findIndex((node) => node.name === name);
  return index < 0 ? "" : index % 8;
};

function createNode(node) {
  const list = el("dl");
  for (const [term] of fields) {
    list.append(el("div", { data: { field: term } }, el("dt", { textContent: term }), el("dd")));
  }
  return el("li", { className: "node" },
    el("div", { className: "node-head" }, el("h3", { textContent: node.name }), el("span", { className: "tag" })),
    list,
    el("p", { className: "node-reasons" }));
}

function updateNode(card, node, hue) {
  setData(card, "hue", hue);
  setData(card, "state", node.state);
  const tag = card.querySelector(".tag");
  setText(tag, words(node.state));
  setData(tag, "tone", tone(node.state));
  const identity = [node.incarnation && `incarnation ${node.incarnation}`,
    Number.isFinite(node.boot) && `boot ${node.boot}`].filter(Boolean).join(", ");
  if (card.title !== identity) card.title = identity;
  const rows = card.querySelectorAll("dl > div");
  fields.forEach(([, valueOf], index) => {
    const value = valueOf(node);
    rows[index].hidden = value === null;
    setText(rows[index].lastElementChild, value ?? "");
  });
  const reasons = card.querySelector(".node-reasons");
  setText(reasons, (node.reasons ?? []).map(words).join("; "));
  reasons.hidden = reasons.textContent === "";
}

export function renderNodes({ nodes }) {
  byId("nodes-empty").hidden = nodes.length > 0;
  reconcile(byId("nodes"), nodes, (node) => node.name, createNode,
    (card, node) => updateNode(card, node, hueOf(nodes, node.name)));
}

/** Keeps the choice of who answers a read in step with the nodes; a chosen node stays chosen even when it is gone. */
export function renderNodeChoice({ nodes }) {
  const select = byId("read-from");
  const names = nodes.map((node) => node.name);
  if (select.value && !names.includes(select.value)) names.push(select.value);
  const options = [["", "The leader (linearizable)"]];
  for (const name of names) {
    const state = nodes.find((node) => node.name === name)?.state ?? "gone";
    options.push([name, `${name} (local)${state === "up" ? "" : `, ${words(state)}`}`]);
  }
  reconcile(select, options, ([value]) => value, ([value]) => el("option", { value }),
    (option, [, text]) => setText(option, text));
}
