// Server-sent events over fetch. EventSource would hide the status of a refused stream, cannot see a connection that
// went silent, and delivers only kinds that are known beforehand.

/** The longest unfinished message that is kept, in characters; a stream that sends more is cut off. */
const messageLimit = 8 * 1024 * 1024;

/** Splits stream text into messages; `onMessage({id, event, data})` for each, as the HTML standard says. */
export function parser(onMessage) {
  let buffer = "";
  let fields = { event: "", data: [] };
  let lastId = "";
  const takeLine = (line) => {
    if (line === "") {
      if (fields.data.length) onMessage({ id: lastId, event: fields.event || "message", data: fields.data.join("\n") });
      fields = { event: "", data: [] };
      return;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return;
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "data") fields.data.push(value);
    else if (name === "event") fields.event = value;
    else if (name === "id" && !value.includes("\0")) lastId = value;
  };
  return (text) => {
    buffer += text;
    // A CR at the very end may be half of a CRLF: it waits for the next chunk.
    for (let end; (end = /\r\n|\n|\r(?!$)/.exec(buffer)); buffer = buffer.slice(end.index + end[0].length)) {
      takeLine(buffer.slice(0, end.index));
    }
    if (buffer.length > messageLimit) throw new Error("a message is too long");
  };
}

/** Reads one connection until it ends. Throws {status} when it is refused, an Error when it breaks or goes silent. */
async function readOnce(path, { headers, signal, silence, onOpen, onMessage }) {
  const cut = new AbortController();
  const both = AbortSignal.any([signal, cut.signal]);
  let watchdog;
  const alive = () => {
    clearTimeout(watchdog);
    watchdog = setTimeout(() => cut.abort(new Error("silent")), silence);
  };
  alive();
  try {
    const response = await fetch(path, {
      headers: { Accept: "text/event-stream", ...headers }, cache: "no-store", signal: both,
    });
    const type = response.headers.get("Content-Type") ?? "";
    if (!response.ok || !type.startsWith("text/event-stream")) {
      await response.body?.cancel();
      throw Object.assign(new Error("refused"), { status: response.status });
    }
    onOpen();
    const feed = parser(onMessage);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      alive();
      feed(value);
    }
  } finally {
    clearTimeout(watchdog);
    cut.abort();
  }
}

const pause = (milliseconds, signal) =>
  new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
  });

/**
 * Keeps a stream open while the page is visible; a hidden page gives its connection back, since browsers allow only
 * six per server. Reconnects after 1 to 10 s; after half a minute when the server does not have the stream.
 * `connect()` gives {path, headers} for each attempt; `onState` hears "live" or "lost".
 */
export function keepOpen({ connect, silence, onMessage, onState }) {
  let current = null;
  const deliver = (message) => {
    try {
      onMessage(message);
    } catch (error) {
      // A fault of the page must neither end the connection nor go unseen.
      reportError(error);
    }
  };
  const run = async (signal) => {
    let failures = 0;
    while (!signal.aborted) {
      let missing = false;
      try {
        const target = await connect(signal);
        const onOpen = () => { failures = 0; onState("live"); };
        await readOnce(target.path, { headers: target.headers ?? {}, signal, silence, onOpen, onMessage: deliver });
      } catch (error) {
        missing = [404, 405, 406, 501].includes(error?.status) || error?.status === 200;
      }
      if (signal.aborted) return;
      onState("lost");
      failures += 1;
      await pause(missing ? 30_000 : Math.min(10_000, 500 * 2 ** Math.min(failures, 5)), signal);
    }
  };
  const update = () => {
    if (document.hidden) {
      current?.abort();
      current = null;
    } else if (!current) {
      current = new AbortController();
      run(current.signal);
    }
  };
  document.addEventListener("visibilitychange", update);
  window.addEventListener("pagehide", () => { current?.abort(); current = null; });
  window.addEventListener("pageshow", update);
  update();
}
