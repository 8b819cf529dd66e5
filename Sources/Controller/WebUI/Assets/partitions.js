// The grid of partitions: one cell each, its colour the state, its foot the leader.

import { byId, el, facts, reconcile, setData, setText } from "./dom.js";
import { bytes, initials, number, tone, words } from "./format.js";
import { hueOf } from "./nodes.js";

/** Above this number of partitions the cells become small and lose their text. */
const denseAbove = 256;

const states = ["ok", "moving", "under_replicated", "leaderless"];
let latest = { nodes: [], partitions: [] };
let shown = null;

const find = (id) => latest.partitions.find((partition) => partition.partition === id);

function renderDetail() {
  const place = byId("partition-detail");
  const partition = shown === null ? undefined : find(shown);
  for (const cell of byId("partitions").querySelectorAll(".chosen")) {
    if (cell.dataset.key !== String(shown)) cell.classList.remove("chosen");
  }
  if (!partition) {
    setText(place, latest.partitions.length ? "Point at a partition to see its members." : "No map has been made yet.");
    delete place.dataset.shows;
    return;
  }
  const print = JSON.stringify(partition);
  if (place.dataset.shows === print) return;
  place.dataset.shows = print;
  const title = el("p", { className: "detail-title" }, `Partition ${partition.partition} `,
    el("span", { className: "tag", data: { tone: tone(partition.state) }, textContent: words(partition.state) }));
  const members = partition.members ?? [];
  place.replaceChildren(title, facts([
    ["Leader", partition.leader || "none"],
    ["Members", members.join(", ") || "none"],
    ["Before", partition.previous?.length ? partition.previous.join(", ") : null],
    ["Epoch", partition.epoch],
    ["Synced", partition.synced ? "yes" : "not yet"],
    ["Behind", (partition.lagging ?? []).join(", ")],
    ["Compared", partition.progress ? `${number(partition.progress.keys)} keys, ${bytes(partition.progress.bytes)}` : null],
    ["Left", partition.progress ? `about ${number(partition.progress.keys_left)} keys, ${bytes(partition.progress.bytes_left)}` : null],
  ]));
}

function show(cell) {
  if (!cell) return;
  shown = Number(cell.dataset.key);
  cell.classList.add("chosen");
  renderDetail();
}

function createCell() {
  return el("button", { type: "button", className: "cell", tabIndex: -1 });
}

function updateCell(cell, partition) {
  setText(cell, partition.leader ? initials(partition.leader) : "none");
  setData(cell, "tone", tone(partition.state));
  setData(cell, "state", partition.state);
  setData(cell, "hue", partition.leader ? hueOf(latest.nodes, partition.leader) : "");
  const label = `Partition ${partition.partition}, ${words(partition.state)}, ` +
    (partition.leader ? `leader ${partition.leader}` : "no leader");
  if (cell.getAttribute("aria-label") !== label) cell.setAttribute("aria-label", label);
}

export function renderPartitions({ nodes, partitions }) {
  latest = { nodes, partitions };
  const grid = byId("partitions");
  setData(grid, "dense", partitions.length > denseAbove);
  reconcile(grid, partitions, (partition) => partition.partition, createCell, updateCell);
  // One cell is in the tab order; the arrow keys go from there.
  if (!grid.querySelector('[tabindex="0"]') && grid.firstElementChild) grid.firstElementChild.tabIndex = 0;

  const counts = states.map((state) => [state, partitions.filter((partition) => partition.state === state).length]);
  reconcile(byId("partition-states"), counts, ([state]) => state,
    ([state]) => el("li", { data: { tone: tone(state) } }, el("span", { className: "swatch" }), el("span")),
    (item, [state, count]) => setText(item.lastElementChild, `${words(state)} ${number(count)}`));

  const leading = new Map(nodes.map((node) => [node.name, 0]));
  for (const { leader } of partitions) if (leader) leading.set(leader, (leading.get(leader) ?? 0) + 1);
  reconcile(byId("partition-leaders"), [...leading], ([name]) => name,
    () => el("li", {}, el("span", { className: "swatch leader" }), el("span")),
    (item, [name, count]) => {
      setData(item, "hue", hueOf(nodes, name));
      setText(item.lastElementChild, `${initials(name)} = ${name} leads ${number(count)}`);
    });
  renderDetail();
}

function neighbour(cell, key) {
  const cells = [...byId("partitions").children];
  const index = cells.indexOf(cell);
  const columns = cells.filter((other) => other.offsetTop === cells[0].offsetTop).length;
  const target = {
    ArrowRight: index + 1, ArrowLeft: index - 1, ArrowDown: index + columns, ArrowUp: index - columns,
    Home: 0, End: cells.length - 1,
  }[key];
  return target === undefined ? undefined : cells[target];
}

export function startPartitions() {
  const grid = byId("partitions");
  const cellOf = (event) => event.target.closest(".cell");
  for (const kind of ["mouseover", "focusin", "click"]) grid.addEventListener(kind, (event) => show(cellOf(event)));
  grid.addEventListener("keydown", (event) => {
    const next = neighbour(cellOf(event), event.key);
    if (!next) return;
    event.preventDefault();
    for (const cell of grid.querySelectorAll('[tabindex="0"]')) cell.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
  renderDetail();
}
