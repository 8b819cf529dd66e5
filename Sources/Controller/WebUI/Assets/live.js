// The state of the cluster as the controller pushes it; fetched every 5 s while the push is not to be had.

import { call } from "./api.js";
import { keepOpen } from "./sse.js";

const pollInterval = 5_000;

/** The controller sends a state at least every 2 s; after this long without one the connection counts as dead. */
const streamSilence = 8_000;

async function fetchState() {
  const [health, nodes, partitions] = await Promise.all(
    // A cluster that is not well may answer with an error status, but still with its verdict.
    ["/health", "/nodes", "/partitions"].map((path) => call(path, { acceptAnyStatus: path === "/health" })),
  );
  return {
    health: health.body, nodes: nodes.body?.nodes ?? [], partitions: partitions.body?.partitions ?? [],
    work: partitions.body?.work ?? [],
  };
}

/** Calls `onState({health, nodes, partitions, work})` for each state and `onConnection("live" | "polling" | "disconnected")`. */
export function watchState({ onState, onConnection }) {
  let streaming = false;
  let timer = null;

  const poll = async () => {
    timer = null;
    if (streaming || document.hidden) return;
    try {
      const state = await fetchState();
      if (streaming) return;
      onState(state);
      onConnection("polling");
    } catch {
      if (streaming) return;
      onConnection("disconnected");
    }
    timer ??= setTimeout(poll, pollInterval);
  };

  keepOpen({
    connect: () => ({ path: "/stream" }),
    silence: streamSilence,
    onMessage: ({ event, data }) => {
      if (event !== "state") return;
      const state = JSON.parse(data);
      onState({
        health: state.health ?? {}, nodes: state.nodes ?? [], partitions: state.partitions ?? [], work: state.work ?? [],
      });
      onConnection("live");
    },
    onState: (state) => {
      streaming = state === "live";
      if (!streaming && timer === null) poll();
    },
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) streaming = false;
  });
}
