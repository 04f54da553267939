// SPDX-License-Identifier: MPL-2.0
// Views of how far replicas are apart: over steps, and which host has the least.
'use strict';
const METRICS = [['gini', 'Gini coefficient of the norms'], ['cv', 'coefficient of variation of the norms'], ['dispersion', 'index of dispersion of the norms'],
                 ['quartile', 'quartile coefficient of the norms'], ['square', 'mean squared distance to the mean model']];
// Mean over seeds (of those with the same looks) and over tensors, or one tensor.
const spreadOf = (cells, key, tensor) => {
  const looked = cells.filter(c => c.probes.step.length && c.probes[key]);
  if (!looked.length) return [];
  return looked[0].probes.step.map((step, i) => ({x: step, y: mean(looked.filter(c => c.probes[key][i]).map(c => {
    const row = c.probes[key][i];
    return tensor < 0 ? mean(row) : row[tensor];
  }))})).filter(p => p.y > 1e-12); // below is rounding
};

view('spread', '4. How far the replicas are apart (finding 3)',
  'For every tensor, its L2 norm is taken in every replica; the curve says how unequal these norms are. Solid: after the local step, before ' +
  'mixing (the paper\'s probe; even perfect averaging shows one step\'s noise there). Dashed: after mixing. The norm sees one direction ' +
  'only; the distance to the mean model sees all. Below: what the learning rate and the number of neighbours did meanwhile.', body => {
  const tensors = shown().length ? shown()[0].tensors : [];
  const pick = state.spread = {metric: 'gini', tensor: -1, n: last(scales()), after: true, ...state.spread};
  if (!scales().includes(pick.n)) pick.n = last(scales());
  if (pick.tensor >= tensors.length) pick.tensor = -1;
  const controls = make('div'), panels = make('div');
  body.append(controls, panels);
  const draw = () => {
    panels.replaceChildren();
    const cells = shown().filter(c => c.n === pick.n), sets = [];
    for (const h of hosts()) {
      const own = cells.filter(c => c.host === h), plain = {pointRadius: 0};
      sets.push(line(h, spreadOf(own, pick.metric + '_before', pick.tensor), colour(h), plain));
      if (pick.after) sets.push(line(h + ', after mixing', spreadOf(own, pick.metric + '_after', pick.tensor), colour(h), {...plain, borderDash: [5, 4], borderWidth: 1.2}));
    }
    chart(panels, METRICS.find(x => x[0] === pick.metric)[1] + `, ${pick.n} replicas`, lines(sets.filter(s => s.data.length), axis('step'), axis('spread', 'logarithmic'),
      {plugins: {legend: {labels: {boxWidth: 14, filter: item => !item.text.endsWith('after mixing')}}}}), true);
    const under = [];
    for (const h of hosts()) {
      const one = cells.find(c => c.host === h);
      if (!one || !one.probes.step.length) continue;
      under.push(line('neighbours, ' + h, one.probes.step.map((s, i) => ({x: s, y: one.probes.degree[i]})), colour(h), {pointRadius: 0, stepped: true}));
      if (h === hosts()[0]) under.push(line('learning rate', one.probes.step.map((s, i) => ({x: s, y: one.probes.lr[i]})), '#999', {pointRadius: 0, borderDash: [3, 3], yAxisID: 'rate'}));
    }
    chart(panels, 'Neighbours per replica, and the learning rate (dashed, right axis)', lines(under, axis('step'), axis('neighbours', 'logarithmic'),
      {scales: {rate: {...axis('learning rate'), position: 'right', grid: {display: false}}}}));
  };
  controls.append(choice('replicas', scales(), pick.n, v => { pick.n = v; draw(); }),
    choice('spread by', METRICS.map(x => x[0]), pick.metric, v => { pick.metric = v; draw(); }, METRICS.map(x => x[1])),
    choice('tensor', [-1, ...tensors.keys()], pick.tensor, v => { pick.tensor = v; draw(); }, ['mean of all', ...tensors]),
    choice('after mixing', [true, false], pick.after, v => { pick.after = v; draw(); }, ['shown', 'hidden']));
  draw();
});

// For one scale: at every look and tensor, the rank of each host by its spread (mean over seeds), 1: least.
const rankTable = (cells, names, key) => {
  const per = names.map(h => cells.filter(c => c.host === h && c.probes.step.length));
  const looks = Math.min(...per.map(list => Math.min(...list.map(c => c.probes.step.length))));
  const out = [];
  for (let i = 0; i < looks; i++)
    for (let p = 0; p < per[0][0].tensors.length; p++) {
      const values = per.map(list => mean(list.map(c => c.probes[key][i][p])));
      if (values.some(v => v > 0)) out.push({pass: per[0][0].probes.pass[i], tensor: p, ranks: ranks(values)});
    }
  return out;
};

view('ranks', '5. Who keeps replicas closest?',
  'At every look and for every tensor the decentralised hosts are ranked by spread before mixing, 1 being the least. The map shows the winner by tensor and ' +
  'pass; the bars how often each host came in at each place; the curve whether a host\'s place in a pass goes with its quality then ' +
  '(1: the closest replicas are the best, 0: no relation).', body => {
  const pick = state.ranks = {n: last(scales()), metric: 'gini', ...state.ranks};
  if (!scales().includes(pick.n)) pick.n = last(scales());
  const controls = make('div'), room = make('div');
  body.append(controls, room);
  const draw = () => {
    room.replaceChildren();
    const cells = shown().filter(c => c.n === pick.n && !c.centralised);
    const names = hosts().filter(h => cells.some(c => c.host === h && c.probes.step.length));
    if (names.length < 2) return;
    const rows = rankTable(cells, names, pick.metric + '_before'), passes = unique(rows.map(r => r.pass)), tensors = cells[0].tensors;
    const place = (list, h) => mean(list.map(r => r.ranks[names.indexOf(h)]));
    const winner = list => names.reduce((a, b) => place(list, b) < place(list, a) ? b : a);
    const heat = make('table', {class: 'heat'}, make('tr', {}, make('th', {}, 'tensor'), ...passes.map(p => make('th', {}, String(p + 1)))),
      ...tensors.map((t, p) => make('tr', {}, make('td', {}, t), ...passes.map(pass => {
        const list = rows.filter(r => r.pass === pass && r.tensor === p);
        return list.length ? make('td', {style: 'background:' + colour(winner(list)), title: `${t}, pass ${pass + 1}: ${winner(list)}`}) : make('td');
      }))));
    const keys = make('p', {}, ...names.map(h => make('span', {class: 'key'}, make('i', {style: 'background:' + colour(h)}), h)));
    const panels = make('div', {class: 'panels'}), left = make('div', {class: 'panel scroll'}, make('h3', {}, 'Least spread, by tensor and pass'), keys, heat);
    panels.append(left);
    room.append(panels);
    const places = [...names.keys()].map(k => k + 1);
    chart(panels, 'Share of tensors and looks at each place', {type: 'bar', data: {labels: names, datasets: places.map((k, i) => ({label: 'place ' + k,
      data: names.map((h, j) => 100 * rows.filter(r => Math.floor(r.ranks[j]) === k).length / rows.length), backgroundColor: `hsl(${130 - 130 * i / Math.max(1, places.length - 1)}, 45%, 55%)`}))},
      options: {indexAxis: 'y', scales: {x: axis('% of looks', 'linear', {stacked: true, max: 100}), y: {stacked: true, ticks: {autoSkip: false, callback: i => names[i].split(/ (?=control=)/)}}}, plugins: {legend: {labels: {boxWidth: 12}}}}},
      160 + 22 * names.length);
    const m = metric(state.app), curve = passes.map(pass => {
      const list = rows.filter(r => r.pass === pass), of = h => mean(cells.filter(c => c.host === h && c.passes[pass]).map(c => m.of(c.passes[pass]) * m.better));
      return {x: pass + 1, y: spearman(names.map(of), names.map(h => -place(list, h)))};
    }).filter(p => !Number.isNaN(p.y));
    chart(panels, 'Rank correlation of quality and closeness, by pass', lines([line('Spearman', curve, '#444')], axis('pass', 'linear', {ticks: {stepSize: 1}}), axis('correlation', 'linear', {min: -1, max: 1})));
    const order = list => [...names].sort((a, b) => place(list, a) - place(list, b)).join(' < ');
    const told = ['gini', 'cv', 'dispersion', 'quartile'].map(k => order(rankTable(cells, names, k + '_before')));
    finding(room, `Mean place, least spread first: ${order(rows)}. ` + (unique(told).length > 1 ?
      'The four measures do not agree on this order: some replicas are outliers, or the mean drifts.' : 'All four measures agree on this order.'));
  };
  controls.append(choice('replicas', scales(), pick.n, v => { pick.n = v; draw(); }),
    choice('spread by', METRICS.map(x => x[0]), pick.metric, v => { pick.metric = v; draw(); }, METRICS.map(x => x[1])));
  draw();
});
