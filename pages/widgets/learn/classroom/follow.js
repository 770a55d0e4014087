// Follows a class without runs of the page's script: asks the server what has changed, shows a line about it, and requests a run only when the page has to be drawn again.
const POLL = 500; // milliseconds

export default function ({ data, parentElement, setTriggerValue }) {
  const line = parentElement.querySelector("span");
  let changes = data.changes, timer, stopped = false;
  line.textContent = data.text;
  const look = async () => {
    try {
      const answer = await fetch(new URL(data.address, location.href), { cache: "no-store" });
      // A server that has restarted does not know this page; drawn again, the page joins anew.
      const state = answer.ok ? await answer.json() : {};
      if (stopped) return;
      if (answer.ok) line.textContent = state.text;
      if (state.version !== data.version) document.dispatchEvent(new Event("prunescope:redraw"));
      else if (data.counts && state.changes !== changes) setTriggerValue("changed", (changes = state.changes));
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
