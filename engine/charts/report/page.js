"use strict";
// Draws every figure into its place, in the colours of the page: light, dark, or on paper. What stands in a
// closed part is drawn when the part is opened: it has no width before.

const dark = matchMedia("(prefers-color-scheme: dark)");
const paper = matchMedia("print");
const PAPER_WIDTH = 620; // CSS pixels: what a framed figure has on an A4 or letter page
const drawn = new Set();

function template() {
  const ink = getComputedStyle(document.body).color;
  const back = getComputedStyle(document.body).backgroundColor;
  const axis = { linecolor: ink, tickcolor: ink };
  const hover = { bgcolor: back, bordercolor: ink, font: { color: ink } };
  return { layout: { font: { color: ink, family: getComputedStyle(document.body).fontFamily }, hoverlabel: hover, xaxis: axis, yaxis: axis } };
}

function size() {
  return paper.matches ? { width: PAPER_WIDTH, autosize: false } : { width: null, autosize: true };
}

function draw(plot) {
  drawn.add(plot);
  const figure = JSON.parse(document.getElementById(plot.id.replace("plot-", "figure-")).textContent);
  const layout = { ...figure.layout, template: template(), ...size() };
  const name = plot.id.replace("plot-", "");
  const config = {
    responsive: true,
    displaylogo: false,
    modeBarButtons: [["toImage"]],
    toImageButtonOptions: { format: "svg", filename: name },
  };
  return Plotly.newPlot(plot, figure.data, layout, config);
}

function drawVisible() {
  const plots = [...document.querySelectorAll(".plot")];
  const fresh = plots.filter((plot) => !drawn.has(plot) && !plot.closest("details:not([open])"));
  return Promise.all(fresh.map(draw)).then(() => {
    document.documentElement.dataset.drawn = drawn.size;
  });
}

function adapt() {
  for (const plot of drawn) Plotly.relayout(plot, { template: template(), ...size() });
  if (paper.matches) for (const part of document.querySelectorAll("details.printed")) part.open = true;
}

// A link to a closed part opens it.
function openTarget() {
  const target = document.getElementById(location.hash.slice(1));
  if (target instanceof HTMLDetailsElement) target.open = true;
}

drawVisible().then(() => {
  document.addEventListener("toggle", drawVisible, true); // this event does not bubble
  addEventListener("hashchange", openTarget);
  openTarget();
  dark.addEventListener("change", adapt);
  paper.addEventListener("change", adapt);
});
