// Saves a chart that stands elsewhere on the page as a picture, by Plotly's own button: it knows how, but has one format and no place in the tab order.
export default function ({ data, parentElement }) {
  for (const button of parentElement.querySelectorAll("button")) {
    button.onclick = () => save(data, button.dataset.format, parentElement.querySelector("[role=status]"));
  }
}

function save({ chart, name }, format, said) {
  const plot = document.querySelector(`.st-key-${CSS.escape(chart)} .js-plotly-plot`);
  const button = plot?.querySelector(".modebar-btn");
  if (!button) {
    said.textContent = "The chart is not on the page any more.";
    return;
  }
  plot._context.toImageButtonOptions = { format, filename: name, scale: format === "png" ? 2 : 1 };
  button.click();
  said.textContent = `Saved as ${name}.${format}.`;
}
