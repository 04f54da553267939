// SPDX-License-Identifier: MPL-2.0
// What all views share: the cells, numbers, colours, charts, tables.
'use strict';
const DATA = JSON.parse(document.getElementById('data').textContent);
const PALETTE = ['#1f77b4', '#d62728', '#2ca02c', '#ff7f0e', '#9467bd', '#17becf', '#8c564b', '#e377c2', '#7f7f7f', '#bcbd22',
                 '#003f5c', '#ffa600', '#58508d', '#bc5090', '#2f4b7c', '#a05195'];
Chart.defaults.animation = false;
Chart.defaults.font.size = 12;
Chart.defaults.maintainAspectRatio = false;

const unique = list => [...new Set(list)];
const sum = list => list.reduce((a, b) => a + b, 0);
const mean = list => list.length ? sum(list) / list.length : NaN;
const deviation = list => {
  const m = mean(list);
  return list.length > 1 ? Math.sqrt(sum(list.map(x => (x - m) ** 2)) / (list.length - 1)) : 0;
};
const groupBy = (list, key) => list.reduce((map, x) => map.set(key(x), [...(map.get(key(x)) || []), x]), new Map());
const last = list => list[list.length - 1];
const show = (x, digits = 3) => x === null || x === undefined || Number.isNaN(x) ? '–' :
  Math.abs(x) >= 1e5 || (x !== 0 && Math.abs(x) < 1e-3) ? x.toExponential(digits - 1) : String(+x.toPrecision(digits));

// Ranks from 1, equal values share their mean rank.
const ranks = list => {
  const order = list.map((x, i) => [x, i]).sort((a, b) => a[0] - b[0]), out = [];
  for (let i = 0, j; i < order.length; i = j) {
    for (j = i + 1; j < order.length && order[j][0] - order[i][0] <= 1e-12 * Math.abs(order[i][0]);) j++;
    for (let k = i; k < j; k++) out[order[k][1]] = (i + j + 1) / 2;
  }
  return out;
};
const pearson = (a, b) => {
  const ma = mean(a), mb = mean(b);
  const va = sum(a.map(x => (x - ma) ** 2)), vb = sum(b.map(x => (x - mb) ** 2));
  return a.length > 2 && va > 0 && vb > 0 ? sum(a.map((x, i) => (x - ma) * (b[i] - mb))) / Math.sqrt(va * vb) : NaN;
};
const spearman = (a, b) => pearson(ranks(a), ranks(b));

// ---- cells
const CELLS = DATA.cells || [];
const fact = (cell, name, when = 0) => {
  const facts = cell.facts[Math.min(when, cell.facts.length - 1)];
  return facts && facts[name] !== undefined ? facts[name] : NaN;
};
// Centralised first, then from many connections to few.
const HOSTS = unique([...CELLS].sort((a, b) => b.centralised - a.centralised || b.n - a.n || (fact(b, 'degree') || 0) - (fact(a, 'degree') || 0)).map(c => c.host));
// Beyond the palette, the same colours lighter and darker by turns, so that no two hosts of a chart share one.
const colour = host => {
  const i = HOSTS.indexOf(host), round = Math.floor(i / PALETTE.length), base = PALETTE[i % PALETTE.length];
  return round ? `color-mix(in srgb, ${base} ${Math.max(35, 75 - 20 * (round >> 1))}%, ${round & 1 ? 'white' : 'black'})` : base;
};
const state = {app: CELLS.length ? CELLS[0].app : '', rule: CELLS.length ? CELLS[0].rule : ''};
const shown = () => CELLS.filter(c => c.app === state.app && c.rule === state.rule);
const scales = () => unique(shown().map(c => c.n)).sort((a, b) => a - b);
const hosts = () => HOSTS.filter(h => shown().some(c => c.host === h));
// What is good in this application: accuracy, or loss where nothing is classified.
const metric = app => CELLS.some(c => c.app === app && c.passes.some(p => p.accuracy > 0)) ?
  {name: 'test accuracy, %', of: p => 100 * p.accuracy, better: 1, mean: p => 100 * p.mean_accuracy} :
  {name: 'loss', of: p => p.loss, better: -1, mean: p => p.mean_loss};
const final = cell => cell.diverged || !cell.passes.length ? NaN : metric(cell.app).of(last(cell.passes));
const finals = cells => cells.map(final).filter(x => !Number.isNaN(x));
// Mean of the first tenth of all steps, over tensors.
const earlyGini = cell => {
  const values = [];
  cell.probes.step.forEach((step, i) => {
    if (i === 0 || step < 0.1 * cell.steps) values.push(...cell.probes.gini_before[i]);
  });
  return mean(values);
};

// ---- parts of a page
const make = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes))
    name.startsWith('on') ? node.addEventListener(name.slice(2), value) : node.setAttribute(name, value);
  node.append(...children);
  return node;
};
const choice = (title, values, current, change, names = values) => make('label', {}, title + ' ',
  make('select', {onchange: e => change(values[e.target.selectedIndex])},
    ...values.map((v, i) => make('option', v === current ? {selected: ''} : {}, String(names[i])))));
const table = (head, rows, best = () => false) => make('div', {class: 'scroll'}, make('table', {},
  make('tr', {}, ...head.map(h => make('th', {}, h))),
  ...rows.map((row, r) => make('tr', {}, ...row.map((cell, c) => make('td', best(r, c) ? {class: 'best'} : {}, cell))))));
// tall: true, or a height in pixels
const chart = (where, title, config, tall = false) => {
  const canvas = make('canvas');
  where.append(make('div', {class: 'panel'}, make('h3', {}, title), make('div', {class: 'chart' + (tall ? ' tall' : '')}, canvas)));
  if (tall > 1) canvas.parentNode.style.height = tall + 'px';
  return new Chart(canvas, config);
};
const axis = (title, type = 'linear', more = {}) => ({type, title: {display: true, text: title}, ...(type === 'logarithmic' ? {ticks: {callback: (x, i, all) => all.length < 9 || /^[125]/.test(x.toExponential()) ? show(x, 2) : '', maxRotation: 0, autoSkipPadding: 12}} : {}), ...more});
const byScale = () => axis('replicas n', 'logarithmic', {min: 0.9 * scales()[0], max: 1.1 * last(scales()), afterBuildTicks: a => { a.ticks = scales().map(value => ({value})); }, ticks: {callback: x => String(x)}});
const line = (label, points, color, more = {}) => ({label, data: points, borderColor: color, backgroundColor: color, borderWidth: 1.8,
                                                    pointRadius: 2.2, tension: 0, ...more});
const xy = (x, y, more = {}) => ({type: 'line', options: {parsing: false, scales: {x, y, ...more.scales},
  interaction: {mode: 'nearest', intersect: false}, plugins: {legend: {labels: {boxWidth: 14}}, ...more.plugins}}});
const lines = (datasets, x, y, more) => ({...xy(x, y, more), data: {datasets: datasets.filter(d => d.data.length)}});

// A view is a section that can be drawn again when a choice changes.
const VIEWS = [];
const view = (id, title, what, draw) => VIEWS.push({id, title, what, draw});
const finding = (body, text) => body.append(make('p', {class: 'finding'}, text));
