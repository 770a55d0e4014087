// Moves through a talk by the arrow keys and the keys of a presenter's remote. Keys that a focused control needs are left to it.
// `data` is [current position, last position], or nothing outside a talk. A press sends the target position, not a distance:
// Streamlit sends a press twice if a fragment of the page redraws itself at that moment.
const STEPS = { ArrowRight: 1, PageDown: 1, ArrowLeft: -1, PageUp: -1, Escape: 0 };
const CONTROLS =
  "input, textarea, select, [contenteditable=true], [role=slider], [role=radio], [role=radiogroup], [role=tab], [role=combobox], [role=grid], [role=menu]";

export default function ({ setTriggerValue, parentElement, data }) {
  if (!data) return;
  let [position, last] = data;
  const onKeyDown = (event) => {
    if (!(event.key in STEPS) || event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.(CONTROLS)) return;
    event.preventDefault();
    const to = Math.min(Math.max(position + STEPS[event.key], 0), last);
    if (event.key === "Escape") setTriggerValue("end", true);
    else if (to !== position) setTriggerValue("to", (position = to));
  };
  parentElement.ownerDocument.addEventListener("keydown", onKeyDown);
  return () => parentElement.ownerDocument.removeEventListener("keydown", onKeyDown);
}
