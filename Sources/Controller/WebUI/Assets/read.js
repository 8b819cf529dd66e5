// The form that reads a key, and the deletion of what was read.

import { call, keyPath, withQuery } from "./api.js";
import { byId, checkKey, whileBusy } from "./dom.js";
import { visibleKey } from "./format.js";
import { showNotice, showProblem } from "./notice.js";
import { addSurroundings, recordView } from "./record.js";
import { editRecord } from "./write.js";

let reading = null;
let onDeleted = () => {};

function begin() {
  reading?.abort();
  reading = new AbortController();
  return reading.signal;
}

/** Reads a key, exactly as given, from the node chosen in the form. */
export async function readKey(key) {
  const signal = begin();
  const notice = byId("read-result");
  const place = byId("read-record");
  const node = byId("read-from").value;
  byId("read-key").value = key;
  checkKey(byId("read-key"), byId("read-key-hint"));
  try {
    const query = node ? { consistency: "local", node } : {};
    const { body, headers, milliseconds } = await call(withQuery(keyPath(key), query), { signal });
    const record = body ?? {};
    const etag = headers.get("ETag") ?? (record.version ? `"${record.version}"` : null);
    const view = recordView({
      key, record, milliseconds, local: node !== "",
      servedBy: headers.get("KV-Served-By"), leader: headers.get("KV-Leader"),
    }, { edit: () => editRecord(key, String(record.value ?? "")), remove: () => askToDelete(key, record, etag) });
    notice.replaceChildren();
    place.replaceChildren(...view.children);
    place.hidden = false;
    await addSurroundings(place, key, signal);
  } catch (error) {
    if (signal.aborted) return;
    place.hidden = true;
    place.replaceChildren();
    if (error.status !== 404) return showProblem(notice, error);
    const where = node ? ` on ${node}` : "";
    showNotice(notice, { tone: "idle", title: `Absent${where}: ${visibleKey(key)}`, detail: "No record with this key." });
    place.hidden = false;
    await addSurroundings(place, key, signal);
  }
}

function askToDelete(key, record, etag) {
  const dialog = byId("delete-dialog");
  byId("delete-key").textContent = visibleKey(key);
  byId("delete-note").textContent = etag
    ? `Only version ${record.version} is deleted: if the key has been written since you read it, it stays.`
    : "The key is deleted from every member.";
  dialog.returnValue = "";
  dialog.addEventListener("close", () => {
    if (dialog.returnValue === "delete") whileBusy(byId("delete-confirm"), () => deleteKey(key, etag));
  }, { once: true });
  dialog.showModal();
}

async function deleteKey(key, etag) {
  const notice = byId("read-result");
  const place = byId("read-record");
  begin();
  try {
    const { milliseconds } = await call(keyPath(key), { method: "DELETE", headers: etag ? { "If-Match": etag } : {} });
    place.hidden = true;
    place.replaceChildren();
    showNotice(notice, {
      tone: "ok", title: `Deleted: ${visibleKey(key)}`,
      entries: [["Took", `${Math.max(1, Math.round(milliseconds))} ms`]],
    });
    byId("read-key").focus();
    onDeleted(key);
  } catch (error) {
    showProblem(notice, error);
  }
}

/** `onDeleted(key)` is called after a deletion is acknowledged, `onRead(key)` when a read begins. */
export function startRead(callbacks) {
  onDeleted = callbacks.onDeleted;
  const input = byId("read-key");
  input.addEventListener("input", () => checkKey(input, byId("read-key-hint")));
  byId("read-form").addEventListener("submit", (event) => {
    event.preventDefault();
    whileBusy(byId("read-button"), async () => {
      callbacks.onRead(input.value);
      await readKey(input.value);
    });
  });
}
