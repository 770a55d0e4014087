// Moves through a talk by the arrow keys and the keys of a presenter's remote. Keys that a focused control needs are left to it.
// `data` is [current position, last position, whether Escape ends], or nothing outside a talk. A press sends the target position,
// not a distance: Streamlit sends a press twice if a fragment of the page redraws itself at that moment, and it loses one whose
// callback it interrupts for another request. So a press is repeated until the talk has moved.
const STEPS = { ArrowRight: 1, PageDown: 1, ArrowLeft: -1, PageUp: -1, Escape: 0 };
const CONTROLS =
  "input, textarea, select, [contenteditable=true], [role=slider], [role=radio], [role=radiogroup], [role=tab], [role=combobox], [role=grid], [role=menu]";
const PATIENCE = 1500; // milliseconds
const TRIES = 4;
let sent; // the press that has not moved the talk yet: { name, value, from, tries }
let timer;

function start({ setTriggerValue, parentElement, data }) {
  clearTimeout(timer);
  // It has moved, perhaps by another window.
  if (!data || data[0] !== sent?.from) sent = undefined;
  if (!data) return () => {};
  const [from, last, ends] = data;
  let position = sent?.name === "to" ? sent.value : from;
  const repeat = () => {
    if (!sent || sent.tries++ >= TRIES) return (sent = undefined);
    setTriggerValue(sent.name, sent.value);
    wait();
  };
  const wait = () => (timer = setTimeout(repeat, PATIENCE));
  const send = (name, value) => {
    clearTimeout(timer);
    sent = { name, value, from, tries: 1 };
    setTriggerValue(name, value);
    wait();
  };
  const onKeyDown = (event) => {
    if (!(event.key in STEPS) || event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.(CONTROLS)) return;
    event.preventDefault();
    const to = Math.min(Math.max(position + STEPS[event.key], 0), last);
    if (event.key === "Escape") ends && send("end", true);
    else if (to !== position) send("to", (position = to));
  };
  if (sent) wait();
  parentElement.ownerDocument.addEventListener("keydown", onKeyDown);
  return () => {
    clearTimeout(timer);
    parentElement.ownerDocument.removeEventListener("keydown", onKeyDown);
  };
}
