// The header: name, verdict, numbers, connection, and everything that is wrong in words.

import { byId, el, reconcile, setData, setText } from "./dom.js";
import { ago, plural, ranges, tone, words } from "./format.js";
import { workTexts } from "./work.js";

const connectionTexts = {
  live: "live",
  polling: "updated every 5 s",
  disconnected: "disconnected, trying again",
};

const listLimit = 10;
let lastStateAt = null;
let connectionState = "connecting";

/** What is wrong, worst first: verdict's reasons, then what is done about it, then nodes, then partitions by what ails them. */
export function problemsOf({ health, nodes, partitions, work = [] }) {
  const problems = [...[...(health.reasons ?? [])].map(words), ...workTexts(work)];
  for (const node of nodes) {
    if (node.state === "up") continue;
    const reasons = (node.reasons ?? []).map(words).join("; ");
    problems.push(`${node.name} is ${words(node.state)}${reasons ? `: ${reasons}` : ""}.`);
  }
  const groups = new Map();
  for (const partition of partitions) {
    if (partition.state === "ok") continue;
    const lagging = (partition.lagging ?? []).join(", ");
    const key = `${partition.state}|${lagging}`;
    if (!groups.has(key)) groups.set(key, { state: partition.state, lagging, numbers: [] });
    groups.get(key).numbers.push(partition.partition);
  }
  const order = ["leaderless", "under_replicated", "moving"];
  const phrases = { leaderless: ["has no leader", "have no leader"], moving: ["is moving", "are moving"] };
  for (const group of [...groups.values()].sort((a, b) => order.indexOf(a.state) - order.indexOf(b.state))) {
    const many = group.numbers.length > 1;
    const phrase = phrases[group.state]?.[many ? 1 : 0] ?? `${many ? "are" : "is"} ${words(group.state)}`;
    const lagging = group.lagging ? `, behind: ${group.lagging}` : "";
    const numbers = ranges(group.numbers);
    problems.push(many
      ? `${plural(group.numbers.length, "partition")} ${phrase}${lagging} (${numbers}).`
      : `Partition ${numbers} ${phrase}${lagging}.`);
  }
  return [...new Set(problems)];
}

export function renderOverview(state) {
  const { health } = state;
  const name = health.cluster || "Key-value store";
  const verdict = health.verdict || "unknown";
  lastStateAt = Date.now();
  setText(byId("cluster-name"), name);
  setText(byId("controller-status"), health.status ?? "");
  setText(byId("verdict"), verdict);
  setData(byId("verdict"), "tone", tone(verdict));
  setText(byId("tile-nodes"), health.nodes ? `${health.nodes.up} / ${health.nodes.total}` : "–");
  setText(byId("tile-partitions"), health.partitions ? `${health.partitions.ok} / ${health.partitions.total}` : "–");
  setText(byId("tile-epoch"), health.map_epoch ?? "–");
  const title = `${name}: ${verdict}`;
  if (document.title !== title) document.title = title;

  const problems = problemsOf(state);
  const shown = problems.slice(0, listLimit);
  if (problems.length > listLimit) shown.push(`… and ${plural(problems.length - listLimit, "more problem")}.`);
  const section = byId("problems");
  section.hidden = problems.length === 0;
  const onlyMoves = verdict === "ok" || verdict === "starting";
  setData(section, "tone", verdict === "failed" ? "bad" : onlyMoves ? "move" : "warn");
  setText(byId("problems-title"), onlyMoves ? "What is going on" : "What is wrong");
  reconcile(byId("problem-list"), shown, (text) => text, (text) => el("li", { textContent: text }), () => {});
}

function renderConnection() {
  let text = connectionTexts[connectionState] ?? connectionState;
  if (connectionState === "disconnected" && lastStateAt !== null) {
    // Whole steps of 10 s, so that the live region does not speak every second.
    const age = Math.floor((Date.now() - lastStateAt) / 10_000) * 10_000;
    text += age > 0 ? `; last state ${ago(age)}` : "";
  }
  setText(byId("connection-text"), text);
}

export function showConnection(state) {
  connectionState = state;
  setData(byId("connection"), "state", state);
  setData(document.body, "connection", state);
  if (state === "disconnected" && lastStateAt === null) setText(byId("controller-status"), "the controller does not answer");
  renderConnection();
}

setInterval(renderConnection, 1_000);
