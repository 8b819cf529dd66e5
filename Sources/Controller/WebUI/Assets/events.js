// The controller's log of events, newest first: history once, then as they happen.

import { call, withQuery } from "./api.js";
import { byId, el, setText } from "./dom.js";
import { clock, moment, tone, words } from "./format.js";
import { keepOpen } from "./sse.js";

/** Events kept on the page, requests made to reach the end of the log, and silence after which the stream is dead. */
const keptEvents = 200;
const historyPages = 20;
const streamSilence = 60_000;

const seen = new Set();
let lastId = null;

function add(event, fresh) {
  if (typeof event?.message !== "string" || event.id === undefined) return;
  lastId = event.id;
  // The time belongs to the identity: a controller that started anew counts from the beginning again.
  const identity = `${event.id} ${event.time}`;
  if (seen.has(identity)) return;
  seen.add(identity);
  const list = byId("events");
  const severity = event.severity ?? "info";
  const row = el("li", { className: fresh ? "fresh" : "", data: { severity, identity } },
    el("time", { dateTime: event.time ?? "", title: moment(event.time), textContent: clock(event.time) }),
    el("span", { className: "tag", data: { tone: tone(severity) }, title: severity, textContent: words(event.kind) }),
    el("span", { className: "message", textContent: event.message }));
  list.prepend(row);
  while (list.children.length > keptEvents) {
    seen.delete(list.lastElementChild.dataset.identity);
    list.lastElementChild.remove();
  }
  byId("events-empty").hidden = true;
}

/** Walks to the end of the log, however the controller starts its pages, so that the stream continues from there. */
async function loadHistory(signal) {
  for (let page = 0; page < historyPages; page += 1) {
    const { body } = await call(withQuery("/events", { after: lastId, limit: 1000 }), { signal });
    const before = lastId;
    for (const event of body?.events ?? []) add(event, false);
    if (lastId === before) return;
  }
}

export function startEvents() {
  const state = byId("events-state");
  let loaded = false;
  keepOpen({
    connect: async (signal) => {
      if (!loaded) {
        await loadHistory(signal);
        loaded = true;
        byId("events").removeAttribute("aria-busy");
      }
      return {
        path: withQuery("/events", { after: lastId }),
        headers: lastId === null ? {} : { "Last-Event-ID": String(lastId) },
      };
    },
    silence: streamSilence,
    onMessage: ({ data }) => {
      try {
        add(JSON.parse(data), true);
      } catch {
        // A message that is not an event, such as a sign of life, has nothing to show.
      }
    },
    onState: (connection) => setText(state, connection === "live" ? "as they happen" : "connection lost, trying again"),
  });
}
