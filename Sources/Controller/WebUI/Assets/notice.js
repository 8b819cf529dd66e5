// The box that answers a form: what happened, and for errors whether anything was changed.

import { el, facts } from "./dom.js";

const outcomes = {
  unknown: "Outcome unknown: the write may or may not have happened. Read the key before you try again.",
  not_applied: "Not applied: nothing was changed.",
};

/** Replaces the content of `place` by one answer. `tone` is ok, warn, bad, move or idle. */
export function showNotice(place, { tone, title, detail, entries = [] }) {
  const box = el("div", { className: "notice", data: { tone } }, el("p", { className: "notice-title", textContent: title }));
  if (detail) box.append(el("p", { textContent: detail }));
  if (entries.length) box.append(facts(entries));
  place.replaceChildren(box);
  return box;
}

/** Shows an error in the words of its problem document; an unknown outcome looks different from a refusal. */
export function showProblem(place, problem) {
  const unknown = problem.outcome === "unknown";
  const counted = problem.required !== undefined && problem.acked !== undefined;
  const box = showNotice(place, {
    tone: unknown ? "warn" : "bad",
    title: problem.title ?? "This page failed",
    detail: problem.detail ?? String(problem),
    entries: [
      ["Acknowledged", counted ? `${problem.acked} of ${problem.required} required` : null],
      ["Status", problem.status || null],
      ["Code", problem.code, true],
      ["Request", problem.requestId, true],
    ],
  });
  if (problem.outcome) {
    box.dataset.outcome = problem.outcome;
    const text = outcomes[problem.outcome] ?? `Outcome: ${problem.outcome}.`;
    box.querySelector(".notice-title").after(el("p", { className: "notice-outcome", textContent: text }));
  }
}
