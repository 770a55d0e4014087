// Moves through a talk with the arrow keys and with those that a presenter's remote sends; keys that a control needs are left to it.
// `data`: the places of the talk, as [now, last]; nothing where there is no talk. What is sent is where to go, not how far: Streamlit sends a press
// twice when a part of the page has itself drawn again at that moment.
const STEPS = { ArrowRight: 1, PageDown: 1, ArrowLeft: -1, PageUp: -1, Escape: 0 };
const OWN =
  "input, textarea, select, [contenteditable=true], [role=slider], [role=radio], [role=radiogroup], [role=tab], [role=combobox], [role=grid], [role=menu]";

export default function ({ setTriggerValue, parentElement, data }) {
  if (!data) return;
  let [place, last] = data;
  const listen = (event) => {
    if (!(event.key in STEPS) || event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.(OWN)) return;
    event.preventDefault();
    const to = Math.min(Math.max(place + STEPS[event.key], 0), last);
    if (event.key === "Escape") setTriggerValue("end", true);
    else if (to !== place) setTriggerValue("to", (place = to));
  };
  parentElement.ownerDocument.addEventListener("keydown", listen);
  return () => parentElement.ownerDocument.removeEventListener("keydown", listen);
}
