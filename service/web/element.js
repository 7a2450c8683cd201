// Elements of the page. New ones are made of text and attributes only, never of markup, so that a value from a DICOM
// file cannot become HTML.

/**
 * Create an element.
 * @param {string} name
 * @param {Record<string, string | number | boolean | null>} [attributes]  false and null omit an attribute, true sets it empty
 * @param {(Node | string)[]} children
 */
export function element(name, attributes = {}, ...children) {
  const created = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) {
    if (value !== false && value !== null) created.setAttribute(attribute, value === true ? "" : String(value));
  }
  created.append(...children);
  return created;
}

/**
 * Return the element with an id.
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @param {new () => T} [type]
 * @returns {T}
 * @throws {TypeError} if the page has no such element of this type
 */
export function byId(id, type) {
  const existing = document.getElementById(id);
  if (!(existing instanceof (type ?? HTMLElement))) throw new TypeError(`the page has no ${type?.name ?? "element"} #${id}`);
  return /** @type {T} */ (existing);
}

/**
 * Return the element that an event happened on.
 * @param {Event} event
 */
export function targetOf(event) {
  return event.target instanceof Element ? event.target : document.documentElement;
}

/** Return the element that has the focus, as far as it is HTML. */
export function focused() {
  return document.activeElement instanceof HTMLElement ? document.activeElement : null;
}
