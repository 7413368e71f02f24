// Layer 2: every query of the dashboards, asked of a real Prometheus that has the scenario's day.
// Each returns something, or nothing where the scenario has no cause for it (EMPTY says why).
//     node queries.mjs PROMETHEUS FROM TO DASHBOARD…
import fs from 'node:fs';

const [prometheus, from, to, ...files] = process.argv.slice(2);
const EMPTY = {
  'annotation: Starts': 'the agent is started before it begins',
  'variable cluster': 'one cluster needs no label',
};

async function ask(expr, instant) {
  const fields = instant ? { query: expr, time: to } : { query: expr, start: from, end: to, step: '60' };
  const answer = await (await fetch(`${prometheus}/api/v1/query${instant ? '' : '_range'}?${new URLSearchParams(fields)}`)).json();
  if (answer.status !== 'success') throw new Error(`${answer.error}: ${expr}`);
  return answer.data.result.length;
}
const plain = (expr) => expr.replaceAll('$__rate_interval', '75s').replace(/\$(cluster|group|number|channel|instance)\b/g, '.*');

let faults = 0, asked = 0;
const check = (what, count, reason) => {
  asked += 1;
  if ((count > 0) !== !reason) { console.log(`${what}: ${count} series, ${reason ? `although ${reason}` : 'and there should be some'}`); faults += 1; }
};
for (const file of files) {
  const d = JSON.parse(fs.readFileSync(file, 'utf8'));
  for (const p of d.panels.filter((p) => p.targets)) {
    for (const t of p.targets) {
      const at = `${p.title} ${t.refId}`;
      check(at, await ask(plain(t.expr), false), EMPTY[p.title]);
    }
  }
  for (const a of d.annotations.list) check(`annotation: ${a.name}`, await ask(plain(a.target.expr), false), EMPTY[`annotation: ${a.name}`]);
  for (const v of d.templating.list.filter((v) => v.type === 'query')) {
    const [, metric, label] = /label_values\((.+), (\w+)\)/.exec(v.query.query);
    const answer = await (await fetch(`${prometheus}/api/v1/label/${label}/values?${new URLSearchParams({ 'match[]': plain(metric), start: from, end: to })}`)).json();
    check(`variable ${v.name}`, answer.data.length, EMPTY[`variable ${v.name}`]);
  }
}
console.log(`${asked} queries of ${files.length} dashboards asked, ${faults} not as the scenario says`);
process.exit(faults ? 1 : 0);
