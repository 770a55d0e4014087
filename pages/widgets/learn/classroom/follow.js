// Follows a class without runs of the page's script: asks the server what has changed, shows a line about it, and requests a run only when the page has to be drawn again.
const POLL = 500; // milliseconds
const AGAIN = 5000; // milliseconds before a redraw is requested again: a request may end the run that answers an earlier one

export default function ({ data, parentElement, setTriggerValue }) {
  const line = parentElement.querySelector("span");
  let changes = data.changes, timer, stopped = false, requested = -AGAIN;
  line.textContent = data.text;
  const look = async () => {
    try {
      const answer = await fetch(new URL(data.address, location.href), { cache: "no-store" });
      // A server that has restarted does not know this page; drawn again, the page joins again.
      const state = answer.ok ? await answer.json() : {};
      if (stopped) return;
      if (answer.ok && data.text) line.textContent = state.text; // a part that only follows counts has no line
      if (state.version !== data.version) {
        if (performance.now() - requested >= AGAIN) {
          requested = performance.now();
          document.dispatchEvent(new Event("prunescope:redraw"));
        }
      } else if (data.counts && state.changes !== changes) setTriggerValue("changed", (changes = state.changes));
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
