// A DICOM person name (PS3.5 6.2.1) as readable text.

/**
 * Format `Family^Given^Middle^Prefix^Suffix=Ideographic=Phonetic` as `Family, Prefix Given Middle, Suffix (Ideographic)`.
 * @param {string} value
 */
export function personName(value) {
  const [alphabetic = "", ideographic = ""] = value.split("=").map(group);
  if (!alphabetic) return ideographic || "No name";
  return ideographic ? `${alphabetic} (${ideographic})` : alphabetic;
}

/** @param {string} text */
function group(text) {
  const [family, given, middle, prefix, suffix] = text.split("^").map((part) => part.trim());
  const rest = [prefix, given, middle].filter(Boolean).join(" ");
  return [family, rest, suffix].filter(Boolean).join(", ");
}
