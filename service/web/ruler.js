// A length on the image, by the spacing that the file states. At the detector everything is larger than in the patient,
// by a magnification that the file does not calibrate: the unit says so (PS3.3 10.7.1.3).

/** @param spacing {pair: [row mm, column mm], from: keyword} or null */
export function length(from, to, spacing) {
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  if (!spacing) return { value: Math.hypot(dx, dy), unit: "px" };
  const [row, column] = spacing.pair;
  const unit = spacing.from === "ImagerPixelSpacing" ? "mm at the detector" : "mm";
  return { value: Math.hypot(dx * column, dy * row), unit };
}

export function words({ value, unit }) {
  return unit === "px" ? `${value.toFixed(0)} px` : `${value.toFixed(1)} ${unit}`;
}
