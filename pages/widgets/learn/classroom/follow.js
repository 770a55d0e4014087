// Follows a class without runs of the page's script: asks the server what has changed, shows a line about it, and requests a run only when something has to be drawn again.
const POLL = 500; // milliseconds
// Milliseconds before a request that may have been lost is repeated. One too many for the page may end the run that answers the first; for a part it does no harm.
const PAGE_AGAIN = 5000, PART_AGAIN = 1500;
const page = { at: -Infinity }; // the last request of any part for the whole page

// Whether to request what a new state needs; notes that it is requested.
function isDue(last, state, again) {
  if (last.state === state && performance.now() - last.at < again) return false;
  Object.assign(last, { state, at: performance.now() });
  return true;
}

function start({ data, parentElement, setTriggerValue }) {
  const line = parentElement.querySelector("span");
  const part = { at: -Infinity };
  let timer, stopped = false;
  line.textContent = data.text;
  const look = async () => {
    try {
      const answer = await fetch(new URL(data.address, location.href), { cache: "no-store" });
      // A server that has restarted does not know this page; drawn again, the page joins again.
      const state = answer.ok ? await answer.json() : {};
      if (stopped) return;
      // A part that only follows counts has no line, and writing the same text again would paint it again.
      if (answer.ok && data.text && line.textContent !== state.text) line.textContent = state.text;
      if (state.version !== data.version) {
        if (isDue(page, state.version, PAGE_AGAIN)) document.dispatchEvent(new Event("prunescope:redraw"));
      } else if (data.counts && state.changes !== data.changes) {
        if (isDue(part, state.changes, PART_AGAIN)) setTriggerValue("changed", state.changes);
      }
    } catch {
      // the server restarts, or the network is away
    }
    if (!stopped) timer = setTimeout(look, POLL);
  };
  timer = setTimeout(look, POLL);
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}
