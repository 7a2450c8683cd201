// Elements made of text and attributes. There is no way to give markup: whatever a DICOM file says stays text.

/** @param attributes name -> value; false and null leave it out, true sets it empty */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) {
    if (value !== false && value !== null) made.setAttribute(attribute, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

export function byId(id) {
  return document.getElementById(id);
}
