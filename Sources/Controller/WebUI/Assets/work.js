// What moves are under way for, and the alarm that holds them back.

import { call } from "./api.js";
import { byId, setText, whileBusy } from "./dom.js";
import { bytes, number, plural } from "./format.js";
import { showProblem } from "./notice.js";

const kinds = {
  repair: (node) => `New replicas for what ${node} held`,
  drain: (node) => `Emptying ${node}`,
  rebalance: () => "Spreading replicas evenly",
};

function lasting(milliseconds) {
  if (milliseconds < 120_000) return `${Math.max(1, Math.round(milliseconds / 1000))} s`;
  return milliseconds < 7_200_000 ? `${Math.round(milliseconds / 60_000)} min` : `${Math.round(milliseconds / 3_600_000)} h`;
}

/** One sentence for each piece of work. */
export function workTexts(work) {
  return work.map(({ kind, node, partitions, partitions_left: left, keys, bytes: size, ms_left: rest }) => {
    const what = (kinds[kind] ?? (() => kind))(node);
    const copied = keys > 0 ? `, ${plural(keys, "key")} (${bytes(size)})` : "";
    const time = Number.isFinite(rest) ? `, about ${lasting(rest)} left` : "";
    return `${what}: ${number(partitions - left)} of ${plural(partitions, "partition")}${copied}${time}.`;
  });
}

export function renderAlarm({ health }) {
  const lost = health.alarm ?? [];
  byId("alarm").hidden = lost.length === 0;
  setText(byId("alarm-text"), `If ${lost.join(", ")} will not be back soon, let the others take over.`);
}

export function startAlarm() {
  const button = byId("alarm-button");
  const result = byId("alarm-result");
  button.addEventListener("click", () => whileBusy(button, async () => {
    result.replaceChildren();
    try {
      await call("/alarm/acknowledge", { method: "POST" });
    } catch (error) {
      showProblem(result, error);
    }
  }));
}
