// Layer 1: the dashboards against the types that Grafana publishes (@grafana/schema), strictly, and against
// rules of our own. Run where node_modules is: node lint.mjs DASHBOARD…
import fs from 'node:fs';
import Ajv from 'ajv';
import { createGenerator } from 'ts-json-schema-generator';

const types = './node_modules/@grafana/schema/dist/types/raw';
fs.writeFileSync('tsconfig.gen.json', JSON.stringify({ compilerOptions: { skipLibCheck: true, moduleResolution: 'node', module: 'esnext', target: 'esnext', types: [] } }));
function validator(module, type) {
  const entry = `entry-${type}-${module.replaceAll('/', '-')}.ts`;
  fs.writeFileSync(entry, `export type { ${type} } from '${types}/${module}';`);
  const schema = createGenerator({ path: entry, type, tsconfig: 'tsconfig.gen.json', skipTypeCheck: true }).createSchema(type);
  // What the types call required and Grafana fills in is no fault; an unknown key or value is.
  const relax = (o) => { if (o && typeof o === 'object') { delete o.required; Object.values(o).forEach(relax); } };
  relax(schema);
  return new Ajv({ strict: false, allErrors: true }).compile(schema);
}
const dashboard = validator('dashboard/x/types.gen', 'Dashboard');
// The query's type is not among those published; these are the keys that Grafana's Prometheus query has.
const TARGET = { refId: /^[A-Z]$/, datasource: /./, expr: /\S/, legendFormat: /^/, range: /^(true|false)$/, instant: /^(true|false)$/, editorMode: /^code$/, format: /^(time_series|table)$/ };
const options = {}, custom = {};
const PANELS = { timeseries: 'timeseries', stat: 'stat', 'state-timeline': 'statetimeline', table: 'table' };
for (const [kind, folder] of Object.entries(PANELS)) {
  options[kind] = validator(`composable/${folder}/panelcfg/x/types.gen`, 'Options');
  if (!['stat', 'table'].includes(kind)) custom[kind] = validator(`composable/${folder}/panelcfg/x/types.gen`, 'FieldConfig');
}

// Colours that are told apart with any colour vision: Okabe and Ito's, greys, and a darker shade for the rarest.
const PALETTE = ['#0072B2', '#E69F00', '#009E73', '#D55E00', '#56B4E9', '#F0E442', '#CC79A7', '#8E8E8E', '#4B4B4B', '#8C2D04', 'transparent'];

function lint(d) {
  const faults = [];
  const say = (where, text) => faults.push(`${where}: ${text}`);
  const schema = (where, check, value) => { if (!check(value)) for (const e of check.errors) say(where, `${e.instancePath} ${e.message} ${JSON.stringify(e.params)}`); };
  // Grafana's Prometheus data source keeps its annotations' query and title where the type, which serves
  // every source, has no place for them.
  const plain = structuredClone(d);
  for (const a of plain.annotations?.list ?? []) {
    const { refId, expr, interval, ...others } = a.target ?? {};
    if (!refId || !expr || !interval || Object.keys(others).length) say(`annotation "${a.name}"`, 'is not asked as Prometheus is');
    delete a.target; delete a.titleFormat;
  }
  schema('dashboard', dashboard, plain);
  if (!/^ringback-[a-z-]+$/.test(d.uid ?? '')) say('dashboard', `the uid is ${d.uid}`);
  if (d.id) say('dashboard', 'an id belongs to one server');
  const variables = d.templating.list.map((v) => v.name);
  if (d.templating.list[0]?.type !== 'datasource') say('dashboard', 'the data source is no variable');
  const ids = new Set(), titles = new Set(), cells = new Set();
  for (const p of d.panels) {
    const at = `panel "${p.title}"`;
    if (ids.has(p.id)) say(at, 'its id is not its own');
    if (titles.has(p.title)) say(at, 'its title is not its own');
    ids.add(p.id); titles.add(p.title);
    for (let x = p.gridPos.x; x < p.gridPos.x + p.gridPos.w; x++) for (let y = p.gridPos.y; y < p.gridPos.y + p.gridPos.h; y++) {
      if (x >= 24) say(at, 'is beyond the grid');
      if (cells.has(`${x},${y}`)) { say(at, 'lies over another'); x = 99; break; }
      cells.add(`${x},${y}`);
    }
    if (p.type === 'row') continue;
    if (!PANELS[p.type]) { say(at, `${p.type} is not tested`); continue; }
    schema(`${at} options`, options[p.type], p.options);
    if (custom[p.type]) schema(`${at} custom`, custom[p.type], p.fieldConfig.defaults.custom ?? {});
    if (!p.description?.endsWith('.')) say(at, 'has no description');
    if (!p.fieldConfig.defaults.unit) say(at, 'has no unit');
    if (!p.fieldConfig.defaults.noValue) say(at, 'has no text for no data');
    for (const color of JSON.stringify(p).match(/"(?:color|fixedColor)":"([^"]+)"/g) ?? []) {
      if (!PALETTE.includes(color.split('"')[3])) say(at, `${color} is not of the palette`);
    }
    if (!p.targets.length) say(at, 'asks nothing');
    for (const t of p.targets) {
      for (const [key, value] of Object.entries(t)) if (!TARGET[key]?.test(String(value))) say(`${at} ${t.refId}`, `${key} = ${value} is no key or value of a Prometheus query`);
      if (t.datasource?.uid !== '${datasource}') say(at, 'its data source is fixed');
      if (/\b(rate|increase)\(/.test(t.expr) && !/\[(\$__rate_interval|\d+[smh])\]/.test(t.expr)) say(at, 'a rate without an interval');
      // Counts are whole over a span that the title names and the panel steps by; whatever else is a rate.
      const span = /\bincrease\([^)]*\[(\d+)m\]/.exec(t.expr);
      if (span && !(p.title.endsWith(`, each ${span[1]} min`) && p.interval === `${span[1]}m` && t.expr.startsWith('round('))) say(at, 'a count over a span that the title does not name, or the panel does not step by');
      if (/\b(rate|irate)\([^)]*\[\d/.test(t.expr)) say(at, 'a rate over a fixed interval: use $__rate_interval');
      for (const [, name] of t.expr.matchAll(/\$\{?(\w+)/g)) if (!name.startsWith('__') && !variables.includes(name)) say(at, `no variable ${name}`);
      if (!t.legendFormat && p.type !== 'stat') say(at, 'has no legend');
    }
  }
  return faults;
}

let bad = 0;
for (const file of process.argv.slice(2)) {
  const d = JSON.parse(fs.readFileSync(file, 'utf8'));
  for (const fault of lint(d)) { console.log(`${file}: ${fault}`); bad += 1; }
  // A linter that finds nothing in what is broken has found nothing here either.
  const broken = [
    (x) => { x.panels[1].typo = 1; }, (x) => { x.panels[1].gridPos.w = 30; }, (x) => { x.templating.list[0].type = 'question'; },
    (x) => { x.panels.find((p) => p.type === 'timeseries').fieldConfig.defaults.custom.drawStyle = 'wiggle'; },
    (x) => { x.panels.find((p) => p.type === 'timeseries').options.legend.displayMode = 'heap'; },
    (x) => { x.panels[1].targets[0].exprr = 'x'; }, (x) => { x.panels[1].description = ''; }, (x) => { x.schemaVersion = 'x'; },
  ];
  broken.forEach((breakIt, i) => { const x = structuredClone(d); breakIt(x); if (!lint(x).length) { console.log(`mutation ${i} was not seen`); bad += 1; } });
  console.log(`${file}: ${d.panels.length} panels and rows, ${broken.length} mutations seen`);
}
process.exit(bad ? 1 : 0);
