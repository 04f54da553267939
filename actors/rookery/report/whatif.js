// SPDX-License-Identifier: MPL-2.0
// Before training: what a graph will do at any n, from the eigenvalues of its mixing matrix.
'use strict';
const circulant = (n, offsets) => { // eigenvalues of "mean of these neighbours and myself"
  const set = unique([0, ...offsets].map(s => ((s % n) + n) % n));
  return {degree: set.length - 1, values: [...Array(n).keys()].map(l => [sum(set.map(s => Math.cos(2 * Math.PI * l * s / n))) / set.length,
                                                                         sum(set.map(s => Math.sin(2 * Math.PI * l * s / n))) / set.length])};
};
const spreadOut = k => [...Array(Math.floor(k / 2)).keys()].flatMap(j => [j + 1, -j - 1]);
const torus = n => {
  let r = Math.floor(Math.sqrt(n));
  while (n % r) r--;
  const c = n / r, of = (a, size) => unique([1, size - 1].filter(s => size > 1)).map(s => Math.cos(2 * Math.PI * a * s / size));
  const degree = of(0, r).length + of(0, c).length;
  return {degree, values: [...Array(n).keys()].map(i => [(1 + sum(of(Math.floor(i / c), r)) + sum(of(i % c, c))) / (degree + 1), 0])};
};
const GRAPHS = {
  'complete (all-reduce)': n => ({degree: n - 1, values: [...Array(n).keys()].map(l => [l ? 0 : 1, 0]), exact: true}),
  'ring': n => circulant(n, [1, -1]),
  'one-way ring': n => circulant(n, [-1]),
  'torus': torus,
  'exponential': n => circulant(n, [...Array(Math.ceil(Math.log2(n))).keys()].map(m => 2 ** m)),
  'lattice or Ada with k': (n, k) => circulant(n, spreadOut(Math.min(k, n - 1))),
};
// ada.md 4.4: phi (lambda) = Re [(1 + lambda mu) / (1 - lambda mu)] / ((1 - mu^2) (1 - |lambda|^2))
const phi = ([a, b], mu) => {
  const down = (1 - mu * a) ** 2 + (mu * b) ** 2;
  return (1 - mu * mu * (a * a + b * b)) / down / ((1 - mu * mu) * (1 - a * a - b * b));
};

view('whatif', '11. What if?',
  'Predictions for any graph and scale, before training. Spread: expected squared distance of a replica\'s coordinate from the mean if gradients were pure noise of ' +
  'variance 1 at learning rate 1; real training has curvature, which only makes it smaller. Time: compute, then messages one after the other over one link.', body => {
  const pick = {n: 96, k: 8, momentum: 0.9, MB: 2.1, alpha: 50, gbps: 10, compute: 20};
  const room = make('div'), titles = {n: 'replicas', k: 'k', momentum: 'momentum', MB: 'model, MB', alpha: 'latency, us', gbps: 'link, Gbit/s', compute: 'gradient, ms'};
  const draw = () => {
    const n = Math.min(4096, Math.max(2, Math.round(pick.n))), alpha = pick.alpha / 1e6, beta = 8 / (pick.gbps * 1e9), bytes = pick.MB * 1e6;
    const rows = Object.entries(GRAPHS).map(([name, of]) => {
      const g = of(n, pick.k), others = g.values.slice(1), size = others.map(([a, b]) => Math.sqrt(a * a + b * b));
      const before = sum(others.map(v => phi(v, pick.momentum))) / n, after = sum(others.map((v, i) => size[i] ** 2 * phi(v, pick.momentum))) / n;
      const walk = sum(g.values.map(([a, b]) => { const s = a * a + b * b; return s / (1 - 0.9 * s); })) / n;
      const sent = g.exact ? 2 * (n - 1) / n * bytes : g.degree * bytes;
      const time = pick.compute / 1e3 + (g.exact ? 2 * (n - 1) * (alpha + bytes / n * beta) : alpha + g.degree * bytes * beta);
      return [name, String(g.degree), show(Math.max(0, ...size), 5), show(10 / walk), show(before), show(after), show(sent / 1e6), show(1e3 * time)];
    });
    room.replaceChildren(table(['graph', 'neighbours', 'rho', 'effective neighbours', 'spread before mixing', 'after mixing', 'MB sent a step', 'ms a step'], rows));
  };
  body.append(make('div', {}, ...Object.keys(pick).map(key => make('label', {}, titles[key] + ' ', make('input', {type: 'number', step: 'any', value: pick[key],
    oninput: e => { if (e.target.value !== '' && +e.target.value >= 0) { pick[key] = key === 'momentum' ? Math.min(0.999, +e.target.value) : +e.target.value; draw(); } }})))), room);
  draw();
});

view('theory', '12. Late gradients and rare averaging: the bound',
  'On the noisy quadratic everything is known, so that the convergence bound for delayed gradients (T updates late) and averaging every H steps between C clusters can be ' +
  'checked: (1/K) sum |grad f (mean)|^2 <= 2 D / (g K) + L g s2 / C + g^2 L^2 G2 (8 H^2 + 2 T^2). The left side must stay below the right one; more clusters should lower it.', body => {
  const cells = CELLS.filter(c => c.theory);
  if (!cells.length) {
    body.append(make('p', {}, 'No cell of this benchmark trains the model "quadratic".'));
    return;
  }
  const keys = groupBy(cells, c => [c.host, c.n, c.theory.every, c.theory.delay, c.lr].join('|'));
  const order = (a, b) => a.theory.every - b.theory.every || a.theory.delay - b.theory.delay || a.n - b.n;
  const rows = [...keys.values()].sort((a, b) => order(a[0], b[0])).map(list => {
    const c = list[0], alive = list.filter(x => !x.diverged && x.passes.length), left = mean(alive.map(x => last(x.passes).gradient_square));
    return {c, left, holds: left <= c.theory.bound, row: [c.host, String(c.n), String(c.theory.every), String(c.theory.delay), show(c.lr),
      alive.length ? show(left, 4) : 'diverged', show(c.theory.bound, 4), !alive.length ? 'no' : left <= c.theory.bound ? 'holds' : 'broken', show(mean(alive.map(x => last(x.passes).loss)), 4)]};
  });
  body.append(table(['host', 'C', 'H', 'T', 'step g', 'left side', 'bound', '', 'loss at the end'], rows.map(r => r.row)));
  const panels = make('div', {class: 'panels'});
  body.append(panels);
  const series = groupBy(rows.filter(r => !Number.isNaN(r.left)), r => `${r.c.host}, H = ${r.c.theory.every}, T = ${r.c.theory.delay}`);
  chart(panels, 'Left side by number of clusters', lines([...series.entries()].map(([name, list], i) => line(name, groupByN(list), PALETTE[i % PALETTE.length])),
    axis('clusters C', 'logarithmic'), axis('mean squared gradient', 'logarithmic')), true);
  const good = rows.filter(r => !Number.isNaN(r.left));
  finding(body, `The bound holds in ${good.filter(r => r.holds).length} of ${rows.length} settings.`);
});
const groupByN = list => [...groupBy(list, r => r.c.n).entries()].map(([n, rs]) => ({x: n, y: mean(rs.map(r => r.left))})).sort((a, b) => a.x - b.x);
