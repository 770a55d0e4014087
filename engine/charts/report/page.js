"use strict";
// Draws every figure into its place, in the colours of the page: light, dark, or on paper. What is in view comes
// first, and the page can be read and scrolled between two figures. What stands in a closed part is drawn when
// the part is opened: it has no width before.

const dark = matchMedia("(prefers-color-scheme: dark)");
const paper = matchMedia("print");
const PAPER_WIDTH = 620; // CSS pixels: what a framed figure has on an A4 or letter page
const drawn = new Set();
let drawing = false;

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

// How far a place is from what is in view, in pixels.
function distance(plot) {
  const { top, bottom } = plot.getBoundingClientRect();
  return Math.max(0, top - innerHeight, -bottom);
}

function waiting() {
  return [...document.querySelectorAll(".plot")].filter(
    (plot) => !drawn.has(plot) && !plot.closest("details:not([open])")
  );
}

async function drawAll() {
  if (drawing) return; // it finds what has been opened meanwhile
  drawing = true;
  for (let plots = waiting(); plots.length; plots = waiting()) {
    const places = plots.map(distance);
    await draw(plots[places.indexOf(Math.min(...places))]);
    await new Promise((resolve) => setTimeout(resolve)); // the browser shows it
  }
  drawing = false;
  document.documentElement.dataset.drawn = drawn.size;
}

function adapt() {
  if (paper.matches) waiting().forEach(draw); // a page is printed as it is now
  for (const plot of drawn) Plotly.relayout(plot, { template: template(), ...size() });
  if (paper.matches) for (const part of document.querySelectorAll("details.printed")) part.open = true;
}

// A link to a closed part opens it.
function openTarget() {
  const target = document.getElementById(location.hash.slice(1));
  if (target instanceof HTMLDetailsElement) target.open = true;
}

document.addEventListener("toggle", drawAll, true); // this event does not bubble
addEventListener("hashchange", openTarget);
dark.addEventListener("change", adapt);
paper.addEventListener("change", adapt);
openTarget();
drawAll();
