// A button per computed sparsity, beneath the slider; a click tells the page which one. Only numbers come in.
export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".marks");
  const percent = (value) => `${+value.toFixed(2)}\u00a0%`;
  root.replaceChildren(...data.values.map((value) => {
    const mark = document.createElement("button");
    mark.type = "button";
    mark.style.left = `${(100 * value) / data.highest}%`;
    mark.title = `Computed: ${percent(value)}`;
    mark.setAttribute("aria-label", `Show the computed run at ${percent(value)}`);
    mark.setAttribute("aria-current", String(value === data.current));
    mark.onclick = () => setTriggerValue("to", value);
    return mark;
  }));
}
