// SPDX-License-Identifier: MPL-2.0
// Views of the graph itself, of what it costs, of time, and what was printed.
'use strict';
view('graph', '7. Who hears whom',
  'Replicas on a circle. The red one hears the replicas at the other end of its red lines and mixes what they have with its own. "rho" is the ' +
  'share of disagreement that survives a step, "diameter" how many steps news needs to reach everybody.', body => {
  const pick = state.graph = {n: scales()[0], host: hosts().find(h => h.includes('ring')) || last(hosts()), when: 0, ...state.graph};
  if (!scales().includes(pick.n)) pick.n = scales()[0];
  if (!hosts().includes(pick.host)) pick.host = last(hosts());
  const controls = make('div'), room = make('div', {class: 'panels'});
  body.append(controls, room);
  const draw = () => {
    const cell = shown().find(c => c.host === pick.host && c.n === pick.n);
    room.replaceChildren();
    if (!cell) return;
    const facts = cell.facts[Math.min(pick.when, cell.facts.length - 1)], size = 380, r = 165, n = cell.n;
    const at = i => [size / 2 + r * Math.sin(2 * Math.PI * i / n), size / 2 - r * Math.cos(2 * Math.PI * i / n)];
    const link = (i, j, style) => `<line x1="${at(i)[0]}" y1="${at(i)[1]}" x2="${at(j)[0]}" y2="${at(j)[1]}" ${style}/>`;
    const all = (facts.links || []).flatMap((row, i) => i ? row.map(j => link(i, j, 'stroke="#ccc" stroke-width="0.7"')) : []);
    const own = (facts.hears || []).map(j => link(0, j, 'stroke="#d62728" stroke-width="1.6"'));
    const dots = [...Array(n).keys()].map(i => `<circle cx="${at(i)[0]}" cy="${at(i)[1]}" r="${i ? Math.max(1.2, 5 - n / 40) : 7}" fill="${i ? (facts.hears || []).includes(i) ? '#e88' : '#567' : '#d62728'}"/>`);
    const box = make('div', {class: 'panel'});
    box.innerHTML = `<svg viewBox="0 0 ${size} ${size}" width="${size}" height="${size}">${all.join('')}${own.join('')}${dots.join('')}</svg>`;
    const perStep = cell.passes.length ? last(cell.passes).sent_bytes / last(cell.passes).step : NaN;
    room.append(box, make('div', {class: 'panel'}, make('h3', {}, `${cell.host}, pass ${facts.pass + 1}`), table(['', ''], [
      ['neighbours heard', show(facts.degree)], ['rho', show(facts.rho, 5)], ['effective neighbours', show(facts.n_eff)], ['diameter', show(facts.diameter)],
      ['sent per step and replica', show(perStep / 1e6) + ' MB (whole run)'],
      ['spread of pure noise, predicted, before / after mixing', `${show(facts.v_before)} / ${show(facts.v_after)}`]]),
      make('p', {}, cell.note || '')));
  };
  controls.append(choice('host', hosts(), pick.host, v => { pick.host = v; draw(); }), choice('replicas', scales(), pick.n, v => { pick.n = v; draw(); }),
    choice('at', [0, 1], pick.when, v => { pick.when = v; draw(); }, ['the first pass', 'the last pass']));
  draw();
});

// Seconds of one step as a formula has it: compute, then all messages one after the other, waiting for nobody.
const modelled = cell => {
  const bytes = cell.model_bytes, alpha = cell.alpha_us / 1e6, beta = 8 / (cell.gbps * 1e9), compute = cell.step_flops / cell.n / (cell.gflops * 1e9);
  const exact = cell.graph === 'complete' || cell.graph === 'all-reduce', degree = mean(cell.passes.map(p => p.degree));
  const exchange = exact ? 2 * (cell.n - 1) * (alpha + bytes / cell.n * beta) : alpha + degree * bytes * beta;
  return compute + exchange / (cell.centralised ? 1 : cell.every);
};
const timeTo = (cell, goal, m) => {
  const pass = cell.passes.find(p => m.of(p) * m.better >= goal * m.better);
  return pass ? pass.virtual_s : NaN;
};

view('cost', '8. What it costs',
  'Per replica and step. "x all-reduce" compares the bytes with those of a bandwidth-optimal all-reduce, 2 (n - 1) / n models: any graph with more ' +
  'than two neighbours sends more bytes than that; what it saves is latency and waiting. Times are of the virtual clock: the speed, latency, ' +
  'bandwidth and jitter that the run file names. The target is 95 % of what C_complete (or else the best host) ends with.', body => {
  const m = metric(state.app);
  for (const n of scales()) {
    const base = finals(reference(n)), best = base.length ? mean(base) : Math.max(...hosts().map(h => mean(finals(shown().filter(c => c.n === n && c.host === h)))).filter(x => !Number.isNaN(x)));
    const goal = m.better > 0 ? 0.95 * best : best / 0.95;
    const rows = hosts().map(h => [h, shown().filter(c => c.n === n && c.host === h && c.passes.length)]).filter(x => x[1].length).map(([h, cells]) => {
      const c = cells[0], p = last(c.passes), step = p.virtual_s / p.step, bytes = p.sent_bytes / p.step;
      const reach = mean(cells.map(x => timeTo(x, goal, m)).filter(x => !Number.isNaN(x)));
      return [h, show(mean(c.passes.map(q => q.degree))), show(p.messages / p.step / n), show(bytes / 1e6), show(bytes / (2 * (n - 1) / n * c.model_bytes)),
        show(1e3 * modelled(c)), show(1e3 * step), show(100 * (modelled(c) / step - 1), 2) + ' %', show(100 * p.compute_s / (p.compute_s + p.wait_s), 2) + ' %',
        show(100 * p.wait_s / (p.compute_s + p.wait_s), 2) + ' %', Number.isNaN(reach) ? 'not reached' : show(reach) + ' s'];
    });
    body.append(make('h3', {}, `n = ${n}; target ${show(goal, 4)} (${m.name})`), table(['host', 'neighbours', 'messages', 'MB', 'x all-reduce', 'formula, ms', 'clock, ms',
      'formula off by', 'computing', 'waiting', 'time to target'], rows));
  }
});

view('timeline', '9. The first steps, replica by replica',
  'Blue: computing. Grey: until the last message has come; point at it to see whose that was. In an all-reduce everybody waits for the slowest; in a sparse graph only ' +
  'its neighbours do, and the delay travels one neighbour a step.', body => {
  const pick = state.timeline = {n: scales()[0], host: hosts()[0], ...state.timeline};
  if (!scales().includes(pick.n)) pick.n = scales()[0];
  if (!hosts().includes(pick.host)) pick.host = hosts()[0];
  const controls = make('div'), room = make('div', {class: 'scroll'});
  body.append(controls, room);
  const events = cell => cell.spans.flatMap(([step, replica, begin, computed, ready, from]) => [
    {name: 'compute', ph: 'X', pid: 0, tid: replica, ts: begin * 1e6, dur: (computed - begin) * 1e6, args: {step}},
    {name: 'wait', ph: 'X', pid: 0, tid: replica, ts: computed * 1e6, dur: (ready - computed) * 1e6, args: {step, for: from}}]);
  const draw = () => {
    const cell = shown().find(c => c.host === pick.host && c.n === pick.n);
    room.replaceChildren();
    if (!cell || !cell.spans.length) return;
    const end = Math.max(...cell.spans.map(s => s[4])), width = 1000, row = 24, rows = Math.max(...cell.spans.map(s => s[1])) + 1, x = t => 70 + t / end * (width - 80);
    const bar = (s, from, to, fill, text) => `<rect x="${x(s[from])}" y="${s[1] * row + 4}" width="${Math.max(0.3, x(s[to]) - x(s[from]))}" height="${row - 8}" fill="${fill}" stroke="#fff" stroke-width="0.4"><title>${text}</title></rect>`;
    room.innerHTML = `<svg width="${width}" height="${rows * row + 24}" font-size="12">` + cell.spans.map(s => bar(s, 2, 3, '#4a7fb5', `replica ${s[1]}, step ${s[0]}: computes ${show(1e3 * (s[3] - s[2]))} ms`) +
      bar(s, 3, 4, '#cfcfcf', `replica ${s[1]}, step ${s[0]}: waits ${show(1e3 * (s[4] - s[3]))} ms` + (s[5] !== s[1] ? ` for replica ${s[5]}` : ''))).join('') +
      [...Array(rows).keys()].map(i => `<text x="0" y="${i * row + 17}">replica ${i}</text>`).join('') + `<text x="70" y="${rows * row + 16}">0</text><text x="${width - 80}" y="${rows * row + 16}">${show(1e3 * end)} ms</text></svg>`;
    const url = URL.createObjectURL(new Blob([JSON.stringify({traceEvents: events(cell)})], {type: 'application/json'}));
    room.append(make('p', {}, make('a', {href: url, download: `trace-${cell.id}.json`}, 'as a file for Perfetto or chrome://tracing')));
  };
  controls.append(choice('host', hosts(), pick.host, v => { pick.host = v; draw(); }), choice('replicas', scales(), pick.n, v => { pick.n = v; draw(); }));
  draw();
});

view('console', '10. What was printed',
  'One line per pass: loss, accuracy (mean of replicas; mean model), learning rate, neighbours k, distance Xi of the replicas from their mean, Gini of their norms, ' +
  'bytes per second, share of time spent waiting, and the replica others waited for most.', body => {
  const cells = shown(), pick = state.console = {id: cells[0].id, ...state.console};
  if (!cells.some(c => c.id === pick.id)) pick.id = cells[0].id;
  const controls = make('div'), text = make('pre');
  const draw = () => { text.textContent = cells.find(c => c.id === pick.id).console.join('\n'); };
  controls.append(choice('training', cells.map(c => c.id), pick.id, v => { pick.id = v; draw(); }, cells.map(c => `${c.host}, n = ${c.n}, seed ${c.seed}`)));
  body.append(controls, text);
  draw();
  const alarms = cells.flatMap(c => c.alarms.map(a => [`${c.host}, n = ${c.n}, seed ${c.seed}`, a]));
  body.append(make('h3', {}, `Alarms: ${alarms.length}`), alarms.length ? table(['training', ''], alarms.slice(0, 60)) : make('p', {}, 'none'));
});
