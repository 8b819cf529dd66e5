// The form that writes a key.

import { call, keyPath } from "./api.js";
import { byId, checkKey, whileBusy } from "./dom.js";
import { visibleKey } from "./format.js";
import { showNotice, showProblem } from "./notice.js";

async function write(place) {
  const key = byId("write-key").value;
  const ttl = byId("write-ttl").valueAsNumber;
  const json = { value: byId("write-value").value };
  if (Number.isFinite(ttl)) json.ttl = ttl;
  const headers = byId("write-absent").checked ? { "If-None-Match": "*" } : {};
  const { status, body, milliseconds } = await call(keyPath(key), { method: "PUT", headers, json });
  const counted = body?.acks !== undefined;
  showNotice(place, {
    tone: "ok",
    title: `${status === 201 ? "Created" : "Written"}: ${visibleKey(key)}`,
    entries: [
      ["Version", body?.version, true],
      ["On disk at", counted ? `${body.acks} members, ${body.required} required` : null],
      ["Took", `${Math.max(1, Math.round(milliseconds))} ms`],
    ],
  });
  return key;
}

/** Puts a record into the form, to be changed and written again. */
export function editRecord(key, value) {
  byId("write-key").value = key;
  byId("write-value").value = value;
  byId("write-ttl").value = "";
  byId("write-absent").checked = false;
  checkKey(byId("write-key"), byId("write-key-hint"));
  byId("write-result").replaceChildren();
  byId("write-value").focus();
}

/** `onWritten(key)` is called after a write is acknowledged. */
export function startWrite({ onWritten }) {
  const input = byId("write-key");
  const place = byId("write-result");
  input.addEventListener("input", () => checkKey(input, byId("write-key-hint")));
  byId("write-form").addEventListener("submit", (event) => {
    event.preventDefault();
    whileBusy(byId("write-button"), async () => {
      try {
        onWritten(await write(place));
      } catch (error) {
        showProblem(place, error);
      }
    });
  });
}
