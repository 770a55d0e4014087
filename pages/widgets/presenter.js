// Steps through a talk with the arrow keys and with those that a presenter's remote sends; keys that a control needs are left to it.
const STEPS = { ArrowRight: 1, PageDown: 1, ArrowLeft: -1, PageUp: -1, Escape: 0 };
const OWN =
  "input, textarea, select, [contenteditable=true], [role=slider], [role=radio], [role=radiogroup], [role=tab], [role=combobox], [role=grid], [role=menu]";

// `data`: whether there is a talk.
export default function ({ setTriggerValue, parentElement, data }) {
  if (!data) return;
  const listen = (event) => {
    if (!(event.key in STEPS) || event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.(OWN)) return;
    event.preventDefault();
    setTriggerValue("step", STEPS[event.key]);
  };
  parentElement.ownerDocument.addEventListener("keydown", listen);
  return () => parentElement.ownerDocument.removeEventListener("keydown", listen);
}
