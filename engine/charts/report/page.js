"use strict";
// Draws every figure into its place, in the colours of the page: light, dark, or on paper.

const dark = matchMedia("(prefers-color-scheme: dark)");
const paper = matchMedia("print");
const PAPER_WIDTH = 620; // CSS pixels: what a framed figure has on an A4 or letter page
const plots = [...document.querySelectorAll(".plot")];

function template() {
  const ink = getComputedStyle(document.body).color;
  const back = getComputedStyle(document.body).backgroundColor;
  const axis = { linecolor: ink, tickcolor: ink };
  const hover = { bgcolor: back, bordercolor: ink, font: { color: ink } };
  return { layout: { font: { color: ink, family: getComputedStyle(document.body).fontFamily }, hoverlabel: hover, xaxis: axis, yaxis: axis } };
}

function draw(plot) {
  const figure = JSON.parse(document.getElementById(plot.id.replace("plot-", "figure-")).textContent);
  const layout = { ...figure.layout, template: template(), autosize: true };
  const name = plot.id.replace("plot-", "");
  const config = {
    responsive: true,
    displaylogo: false,
    modeBarButtons: [["toImage"]],
    toImageButtonOptions: { format: "svg", filename: name },
  };
  return Plotly.newPlot(plot, figure.data, layout, config);
}

function adapt() {
  const size = paper.matches ? { width: PAPER_WIDTH, autosize: false } : { width: null, autosize: true };
  for (const plot of plots) Plotly.relayout(plot, { template: template(), ...size });
  if (paper.matches) for (const part of document.querySelectorAll("details.printed")) part.open = true;
}

Promise.all(plots.map(draw)).then(() => {
  document.documentElement.dataset.drawn = plots.length;
  dark.addEventListener("change", adapt);
  paper.addEventListener("change", adapt);
});
