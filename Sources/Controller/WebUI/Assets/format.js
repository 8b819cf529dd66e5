// How sizes, times, keys and states are written. Pure functions.

const sizeUnits = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

export function bytes(count) {
  if (!Number.isFinite(count)) return "–";
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < sizeUnits.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return unit === 0 ? `${value} B` : `${value.toFixed(value < 10 ? 1 : 0)} ${sizeUnits[unit]}`;
}

export const number = (value) => (Number.isFinite(value) ? value.toLocaleString("en") : "–");

export const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;

export function ago(milliseconds) {
  if (!Number.isFinite(milliseconds) || milliseconds < 0) return "never";
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms ago`;
  if (milliseconds < 120_000) return `${(milliseconds / 1000).toFixed(milliseconds < 10_000 ? 1 : 0)} s ago`;
  if (milliseconds < 7_200_000) return `${Math.round(milliseconds / 60_000)} min ago`;
  return `${Math.round(milliseconds / 3_600_000)} h ago`;
}

/** An ISO time, or milliseconds since 1970, as local time. What cannot be read is shown as it came. */
export function moment(value) {
  const date = new Date(value);
  return Number.isNaN(date.getTime()) ? String(value) : date.toLocaleString();
}

export function clock(value) {
  const date = new Date(value);
  return Number.isNaN(date.getTime()) ? String(value) : date.toLocaleTimeString("en-GB");
}

/**
 * A key as it can be read: characters without a shape, or that turn the direction of writing, become their
 * escapes; so does a backslash that would look like the start of one. Spaces at the ends become visible too.
 */
export function visibleKey(key) {
  const escaped = String(key).replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]|\\(?=u\{)/gu,
    (character) => `\\u{${character.codePointAt(0).toString(16)}}`,
  );
  return escaped.replace(/^ +| +$/g, (spaces) => "␣".repeat(spaces.length));
}

/** The words of an identifier from the API: `under_replicated` reads "under replicated". */
export const words = (identifier) => String(identifier ?? "").replaceAll("_", " ");

/** A short label for a node: the first letter and the number at the end, or the first three letters. */
export function initials(name) {
  const digits = /\d+$/.exec(name)?.[0] ?? "";
  return digits ? name.slice(0, 1) + digits.slice(-3) : name.slice(0, 3);
}

/** Numbers in order, runs joined: [1, 2, 3, 7] reads "1–3, 7". At most `limit` runs are named. */
export function ranges(numbers, limit = 12) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const runs = [];
  for (const value of sorted) {
    const last = runs.at(-1);
    if (last && value === last[1] + 1) last[1] = value;
    else runs.push([value, value]);
  }
  const named = runs.slice(0, limit).map(([first, last]) => (first === last ? `${first}` : `${first}–${last}`));
  return named.join(", ") + (runs.length > limit ? ", …" : "");
}

const tones = {
  ok: "ok", up: "ok",
  moving: "move", joining: "move", draining: "move", starting: "move",
  suspect: "warn", degraded: "warn", under_replicated: "warn",
  down: "bad", failed: "bad", leaderless: "bad",
  info: "idle", notice: "idle", debug: "idle", warning: "warn", error: "bad", critical: "bad",
};

/** The colour family of a state, verdict or severity. */
export const tone = (state) => tones[state] ?? "idle";
