// Small helpers over the document. Text from the cluster only ever enters through textContent and value.

export const byId = (id) => document.getElementById(id);

/** Makes an element. `props` are properties, except `data` (dataset) and `aria` (attributes). */
export function el(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  const { data = {}, aria = {}, ...rest } = props;
  Object.assign(element, rest);
  Object.assign(element.dataset, data);
  for (const [name, value] of Object.entries(aria)) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Writes only what differs, so that screen readers and text selections are left in peace. */
export function setText(element, text) {
  const next = String(text);
  if (element.textContent !== next) element.textContent = next;
}

export function setData(element, name, value) {
  const next = String(value);
  if (element.dataset[name] !== next) element.dataset[name] = next;
}

/** A list of terms with their values; entries whose value is null, undefined or empty are left out. */
export function facts(entries) {
  const list = el("dl", { className: "facts" });
  for (const [term, value, mono] of entries) {
    if (value === null || value === undefined || value === "") continue;
    list.append(el("div", {}, el("dt", { textContent: term }), el("dd", { className: mono ? "mono" : "" }, String(value))));
  }
  return list;
}

/**
 * Keeps one child of `container` per item, in order, reusing those that exist.
 * `create(item)` makes a child, `update(child, item)` brings it up to date.
 */
export function reconcile(container, items, keyOf, create, update) {
  const existing = new Map([...container.children].map((child) => [child.dataset.key, child]));
  let position = container.firstElementChild;
  for (const item of items) {
    const key = String(keyOf(item));
    let child = existing.get(key);
    existing.delete(key);
    if (!child) {
      child = create(item);
      child.dataset.key = key;
    }
    if (child === position) position = position.nextElementSibling;
    else container.insertBefore(child, position);
    update(child, item);
  }
  for (const gone of existing.values()) gone.remove();
}

/** Shows the hint under a key field: how many of the 480 bytes the key takes. Returns whether the key can be used. */
export function checkKey(input, hint) {
  const size = new TextEncoder().encode(input.value).length;
  const tooLong = size > 480;
  setText(hint, size === 0 ? "1 to 480 bytes" : `${size} of 480 bytes`);
  setData(hint, "tone", tooLong ? "bad" : "idle");
  input.setCustomValidity(tooLong ? "A key has at most 480 bytes." : "");
  return size > 0 && !tooLong;
}

/** Runs one action at a time for a button; a second press while it runs does nothing. Focus stays where it is. */
export async function whileBusy(button, action) {
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  try {
    await action();
  } finally {
    button.removeAttribute("aria-busy");
  }
}
