// Layer 3: draws both dashboards in Chromium with Grafana's front-end packages, fails on any error and on any
// panel without data (the day has some for each), and takes pictures.
//     node shoot.mjs PROMETHEUS FROM TO PICTURES DASHBOARD…
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { chromium } from 'playwright-core';

const [prometheus, from, to, pictures, ...files] = process.argv.slice(2);
const types = { '.js': 'text/javascript', '.html': 'text/html', '.css': 'text/css', '.json': 'application/json' };
const server = http.createServer((request, response) => {
  const name = request.url.split('?')[0];
  const board = files.find((f) => `/${path.basename(f)}` === name);
  let file = board ?? path.join('dist', name);
  if (!fs.existsSync(file) || fs.statSync(file).isDirectory()) file = 'dist/index.html';
  response.setHeader('content-type', types[path.extname(file)] ?? 'application/octet-stream');
  fs.createReadStream(file).pipe(response);
}).listen(0, '127.0.0.1');
await new Promise((done) => server.once('listening', done));
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'] });
let faults = 0;
const fault = (text) => { console.log(text); faults += 1; };
for (const file of files) {
  const board = path.basename(file, '.json');
  const d = JSON.parse(fs.readFileSync(file, 'utf8'));
  const rows = Math.max(...d.panels.map((p) => p.gridPos.y + p.gridPos.h));
  const page = await browser.newPage({ viewport: { width: 1600, height: rows * 38 + 140 } });
  page.on('pageerror', (e) => fault(`${board}: ${String(e).slice(0, 300)}`));
  const query = new URLSearchParams({ dashboard: board, prometheus, from, to });
  await page.goto(`http://127.0.0.1:${server.address().port}/?${query}`);
  const panels = d.panels.filter((p) => p.targets);
  await page.waitForFunction((count) => window.asked.length >= count, panels.flatMap((p) => p.targets).length, { timeout: 120000 }).catch(() => fault(`${board}: not every panel has asked`));
  await page.waitForTimeout(4000);
  const seen = await page.evaluate(() => [...document.querySelectorAll('[data-testid^="data-testid Panel header"]')].map((e) => ({
    title: e.getAttribute('data-testid').replace('data-testid Panel header ', ''),
    kind: e.querySelector('.nodata')?.dataset.kind, text: e.querySelector('.nodata')?.textContent, all: e.innerText, drawn: !!e.querySelector('canvas, .lane, [role=table], table, .rdg') || e.innerText.length > 0,
  })));
  for (const p of panels) {
    const is = seen.find((s) => s.title === p.title);
    if (!is) fault(`${board}: "${p.title}" is not on the page`);
    else if (is.kind === 'error' || !is.drawn || /^No data$/.test(is.text ?? '')) fault(`${board}: "${p.title}": ${is.text ?? 'nothing drawn'}`);
    else if (is.kind === 'nodata') fault(`${board}: "${p.title}" has no data: ${is.text}`);
    else if (p.type === 'table' && ['Group', 'Failing callers', 'Callers', 'Decision', 'On the fallback', 'Proof', '+1', 'yes'].some((word) => !is.all.includes(word))) fault(`${board}: "${p.title}" lacks a column: ${is.all}`);
  }
  await page.screenshot({ path: path.join(pictures, `${board}.png`), fullPage: true });
  console.log(`${board}: ${panels.length} panels drawn`);
}
await browser.close();
server.close();
process.exit(faults ? 1 : 0);
