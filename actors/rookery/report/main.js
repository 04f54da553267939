// SPDX-License-Identifier: MPL-2.0
// Puts the page together: a benchmark's views, or the curves of one training run.
'use strict';
const GLOSSARY = [
  ['replica', 'one whole copy of the model, training on its own samples; n of them'],
  ['host', 'a way in which replicas share what they learn: a graph and its settings'],
  ['mixing', 'every replica replaces its parameters by a weighted mean of its own and its neighbours\''],
  ['spread', 'how much the replicas\' parameters differ at one moment'],
  ['seed', 'another drawing of initial parameters and order of samples; results of one seed alone prove little'],
  ['pass', 'one sweep over the training samples, an epoch'],
];

const draw = () => {
  const place = document.getElementById('views');
  Object.values(Chart.instances).forEach(c => c.destroy());
  place.replaceChildren();
  for (const v of [...VIEWS].sort((a, b) => parseInt(a.title) - parseInt(b.title))) {
    const body = make('div');
    place.append(make('section', {id: v.id}, make('h2', {}, v.title), make('p', {}, v.what), body));
    try {
      v.draw(body);
    } catch (error) {
      body.append(make('p', {class: 'alarm'}, `This view could not be drawn: ${error.message}`));
    }
  }
};

const benchmark = () => {
  const apps = unique(CELLS.map(c => c.app)), rules = unique(CELLS.map(c => c.rule)), lost = CELLS.filter(c => c.diverged).length;
  document.getElementById('summary').textContent = `${CELLS.length} trainings: ${apps.join(', ')}; ${HOSTS.length} hosts; n = ` +
    `${unique(CELLS.map(c => c.n)).sort((a, b) => a - b).join(', ')}; ${unique(CELLS.map(c => c.seed)).length} seeds; learning-rate rules: ${rules.join(', ')}.` +
    (lost ? ` ${lost} diverged.` : '') + (DATA.missing ? ` ${DATA.missing} cells of the grid are not done yet.` : '') +
    (DATA.thinned ? ' Curves over steps show a part of all looks; the CSV files have all.' : '');
  const filters = () => {
    const own = rules.filter(r => CELLS.some(c => c.app === state.app && c.rule === r)); // not every rule goes with every application
    if (!own.includes(state.rule)) state.rule = own[0];
    document.getElementById('filters').replaceChildren(choice('application', apps, state.app, v => { state.app = v; filters(); draw(); }),
      choice('learning-rate rule', own, state.rule, v => { state.rule = v; draw(); }));
  };
  filters();
  document.getElementById('contents').append(...[...VIEWS].sort((a, b) => parseInt(a.title) - parseInt(b.title)).map(v => make('a', {href: '#' + v.id}, v.title.replace(/ \(.*/, ''))));
  document.getElementById('contents').after(make('dl', {}, ...GLOSSARY.flatMap(([word, text]) => [make('dt', {}, word), make('dd', {}, text)])));
  draw();
};

// A training run: columns of metrics.csv against seconds, one chart for each.
const run = one => {
  document.getElementById('title').textContent = 'A training run';
  document.getElementById('summary').textContent = one.dir;
  const panels = make('div', {class: 'panels'}), seconds = one.columns.indexOf('seconds'), event = one.columns.indexOf('event');
  document.getElementById('views').append(panels);
  one.columns.forEach((name, c) => {
    const points = kind => one.rows.filter(r => (event < 0 || r[event] === kind) && r[c] !== '' && !Number.isNaN(+r[c])).map(r => ({x: +r[seconds], y: +r[c]}));
    if (c === seconds || c === event || !one.rows.some(r => r[c] !== '' && !Number.isNaN(+r[c]))) return;
    const kinds = event < 0 ? [''] : unique(one.rows.map(r => r[event]));
    chart(panels, name, lines(kinds.map((k, i) => line(k, points(k), PALETTE[i])).filter(s => s.data.length), axis('seconds'), axis(name)));
  });
};

if (CELLS.length) benchmark();
else if (DATA.run) run(DATA.run);
else document.getElementById('summary').textContent = 'Nothing is done yet.';
