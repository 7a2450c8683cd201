// The viewer's toolbar: in a narrow window a button shows the tools that are used seldom. Their keys work in either case.

import { byId } from "./element.js";

export function listenToToolbar() {
  const more = byId("more-tools");
  more.addEventListener("click", () => {
    const isUnfolded = byId("tools").classList.toggle("unfolded");
    more.setAttribute("aria-expanded", String(isUnfolded));
    more.textContent = isUnfolded ? "Fewer" : "More";
  });
}
