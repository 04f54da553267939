// SPDX-License-Identifier: MPL-2.0
// Views of results: over passes, over scale, over connections, and early spread against the end.
'use strict';
// Mean over seeds of one figure per pass.
const overPasses = (cells, of) => {
  const longest = Math.max(0, ...cells.map(c => c.passes.length));
  return [...Array(longest).keys()].map(p => ({x: p + 1, y: mean(cells.filter(c => c.passes[p]).map(c => of(c.passes[p])))}));
};
const reference = (n, cells = shown()) => cells.filter(c => c.n === n && c.centralised);

view('progress', '1. Quality over the passes',
  'Each line is one way of talking ("host"), the mean over its seeds. C_complete averages gradients among all replicas, the usual ' +
  'centralised training; every D_ host lets each replica keep its own parameters and mix them with its neighbours only. A value is ' +
  'the mean over replicas, each tested by itself. C_complete and D_complete are the same in exact arithmetic: where one line is missing, it is ' +
  'under the other.', body => {
  const m = metric(state.app), panels = make('div', {class: 'panels'});
  body.append(panels);
  for (const n of scales())
    chart(panels, `${n} replicas`, lines(hosts().map(h => line(h, overPasses(shown().filter(c => c.n === n && c.host === h), m.of), colour(h))),
      axis('pass over the data', 'linear', {ticks: {stepSize: 1}}), axis(m.name, m.better < 0 ? 'logarithmic' : 'linear')));
  body.append(make('h3', {}, `After the last pass: ${m.name}, mean ± deviation over seeds; in brackets the gap to C_complete`));
  const rows = hosts().map(h => [h, ...scales().map(n => {
    const cells = shown().filter(c => c.n === n && c.host === h), values = finals(cells), lost = cells.length - values.length;
    const gap = mean(values) - mean(finals(reference(n)));
    return (values.length ? show(mean(values), 4) + (values.length > 1 ? ` ± ${show(deviation(values), 2)}` : ' (one seed)') : '–') +
      (Number.isNaN(gap) || cells[0].centralised ? '' : ` (${gap >= 0 ? '+' : ''}${show(gap, 3)})`) + (lost ? `, ${lost} diverged` : '');
  })]);
  const top = scales().map(n => {
    const all = hosts().map(h => mean(finals(shown().filter(c => c.n === n && c.host === h))) * m.better);
    return all.indexOf(Math.max(...all.filter(x => !Number.isNaN(x))));
  });
  body.append(table(['host', ...scales().map(n => `n = ${n}`)], rows, (r, c) => c > 0 && top[c - 1] === r));
  const n = last(scales()), best = hosts()[top[top.length - 1]];
  const tied = hosts().filter(h => {
    const a = finals(shown().filter(c => c.n === n && c.host === h)), b = finals(shown().filter(c => c.n === n && c.host === best));
    return h !== best && Math.abs(mean(a) - mean(b)) <= 2 * Math.sqrt((deviation(a) ** 2 + deviation(b) ** 2) / Math.max(1, a.length));
  });
  finding(body, `At n = ${n}, ${best} is first` + (tied.length ? `; not distinguishable from it by these seeds (within 2 standard errors): ${tied.join(', ')}.` : ', by more than 2 standard errors.'));
});

view('scale', '2. What more replicas cost (finding 1)',
  'The same result against the number of replicas, the batch of each kept as it is: the total batch grows with n and the number of ' +
  'steps falls. A line that falls to the right loses quality with scale.', body => {
  const m = metric(state.app), panels = make('div', {class: 'panels'});
  body.append(panels);
  chart(panels, `Final ${m.name}`, lines(hosts().map(h => line(h, scales().map(n => ({x: n, y: mean(finals(shown().filter(c => c.n === n && c.host === h)))}))
    .filter(p => !Number.isNaN(p.y)), colour(h))), byScale(), axis(m.name)), true);
  chart(panels, 'Final result of the mean model', lines(hosts().map(h => line(h, scales().map(n => ({x: n,
    y: mean(shown().filter(c => c.n === n && c.host === h && c.passes.length && !c.diverged).map(c => m.mean(last(c.passes))))})).filter(p => !Number.isNaN(p.y)), colour(h))),
    byScale(), axis(m.name)), true);
  const low = scales()[0], high = last(scales());
  const loss = hosts().map(h => [h, (mean(finals(shown().filter(c => c.n === low && c.host === h))) - mean(finals(shown().filter(c => c.n === high && c.host === h)))) * m.better])
    .filter(x => !Number.isNaN(x[1])).sort((a, b) => a[1] - b[1]);
  if (loss.length && low !== high)
    finding(body, `From n = ${low} to ${high}, ${loss[0][0]} ${loss[0][1] < 0 ? 'gains' : 'loses least,'} ${show(Math.abs(loss[0][1]))}; ${last(loss)[0]} loses most, ${show(last(loss)[1])}.`);
});

view('connections', '3. Connections, and what is behind them (finding 2)',
  'Every point is one host at one scale. Left: by the number of neighbours a replica hears (in the first pass). Right: by how well the ' +
  'graph really mixes. Neighbours next door on a ring bring little news: "effective neighbours" counts what they are worth; "gap" is 1 ' +
  'minus the share of disagreement that survives a step. If points line up better on the right, connections were only a stand-in.', body => {
  const m = metric(state.app), panels = make('div', {class: 'panels'});
  body.append(panels);
  const points = (h, of) => scales().map(n => {
    const cells = shown().filter(c => c.n === n && c.host === h);
    return {x: cells.length ? of(cells[0]) : NaN, y: mean(finals(cells)), n};
  }).filter(p => p.x > 0 && !Number.isNaN(p.y));
  const tip = {plugins: {tooltip: {callbacks: {label: c => `${c.dataset.label}, n = ${c.raw.n}: ${show(c.raw.y, 4)}`}}}};
  const kinds = [['number of neighbours', c => fact(c, 'degree')], ['effective neighbours (memory 0.9)', c => fact(c, 'n_eff')], ['spectral gap 1 - rho', c => 1 - fact(c, 'rho')]];
  const told = [];
  for (const [name, of] of kinds) {
    chart(panels, 'Final result by ' + name, lines(hosts().map(h => line(h, points(h, of), colour(h), {showLine: false, pointRadius: 5})),
      axis(name, 'logarithmic'), axis(m.name), tip));
    const perScale = scales().map(n => { // within a scale, so that n itself plays no part
      const rows = hosts().map(h => points(h, of).find(p => p.n === n)).filter(Boolean);
      return spearman(rows.map(p => p.x), rows.map(p => p.y * m.better));
    }).filter(x => !Number.isNaN(x));
    told.push(`${name} ${show(mean(perScale), 2)}`);
  }
  finding(body, 'Rank correlation with quality within a scale, mean over scales (1: in the same order): ' + told.join(', ') + '.');
});

view('early', '6. Does early spread foretell the end?',
  'Across: the Gini coefficient of the replicas\' parameter norms over the first tenth of the training, mean over tensors (0: all alike). ' +
  'Up: the final result. If the paper is right, points fall from upper left to lower right.', body => {
  const panels = make('div', {class: 'panels'});
  body.append(panels);
  for (const app of unique(CELLS.map(c => c.app))) {
    const cells = CELLS.filter(c => c.app === app && c.rule === state.rule && !c.centralised && !Number.isNaN(final(c)) && c.probes.step.length);
    if (!cells.length) continue;
    const m = metric(app), x = cells.map(earlyGini), y = cells.map(final);
    chart(panels, `${app}: Pearson ${show(pearson(x, y), 2)}, Spearman ${show(spearman(x, y), 2)} over ${cells.length} trainings`,
      lines(HOSTS.filter(h => cells.some(c => c.host === h)).map(h => line(h, cells.filter(c => c.host === h).map(c => ({x: earlyGini(c), y: final(c)})),
        colour(h), {showLine: false, pointRadius: 4})), axis('early Gini', 'logarithmic'), axis(m.name)), true);
  }
});
