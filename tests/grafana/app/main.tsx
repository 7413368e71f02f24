// Layer 3: a dashboard of ours drawn by Grafana's own front-end packages, from a real Prometheus.
// What is not published (the panel plugins themselves, the Prometheus data source) has a stand-in below:
// time series, stat and table are Grafana's components behind a few lines; the state timeline is drawn here
// with Grafana's value mappings and colours. ?dashboard=…&from=…&to=…&prometheus=… say what to draw.
import React from 'react';
import { createRoot } from 'react-dom/client';
import { BrowserRouter } from 'react-router-dom';
import { from, map } from 'rxjs';
import {
  createTheme, dateTime, EventBusSrv, FieldType, getDisplayProcessor, getFieldDisplayName, getFieldDisplayValues, LoadingState, PanelPlugin,
  standardEditorsRegistry, standardFieldConfigEditorRegistry, standardTransformers, standardTransformersRegistry, ThemeContext, toDataFrame,
} from '@grafana/data';
import * as rt from '@grafana/runtime';
import { BigValue, Table, TimeSeries } from '@grafana/ui';
import {
  DataSourceVariable, EmbeddedScene, QueryVariable, RuntimeDataSource, SceneDataTransformer, SceneGridItem, SceneGridLayout, SceneGridRow,
  sceneGraph, SceneQueryRunner, SceneTimeRange, SceneVariableSet, VariableValueSelectors, VizPanel,
} from '@grafana/scenes';

const asked = new URLSearchParams(location.search);
const prometheus = asked.get('prometheus')!;
const [start, end] = [Number(asked.get('from')), Number(asked.get('to'))];
const theme = createTheme({ colors: { mode: 'dark' } });
const any = (x: unknown) => x as any;
Object.assign(rt.config, { theme2: theme, theme: theme.v1, buildInfo: { version: '13.2.2' }, bootData: { user: { orgRole: 'Viewer' }, settings: {} }, featureToggles: {} });

// Editors are not published, the properties that they edit are known by name.
const property = (id: string, more = {}) => ({ id, path: id, name: id, editor: () => null, override: () => null, process: (v: any) => v, shouldApply: () => true, settings: {}, category: ['Standard options'], description: '', ...more });
standardFieldConfigEditorRegistry.setInit(() => any(['unit', 'min', 'max', 'decimals', 'displayName', 'color', 'thresholds', 'mappings', 'noValue', 'links'].map((id) => property(id))));
standardEditorsRegistry.setInit(() => []);
standardTransformersRegistry.setInit(() => any([...new Map(Object.values(standardTransformers).map((t: any) => [t.id, { id: t.id, name: t.name, editor: () => null, transformation: () => t }])).values()]));
any(rt).setAppEvents?.(new EventBusSrv());

// ---- the data source: ranges and instants over Prometheus' HTTP API, as frames
const STEPS = 240;
const api = async (path: string, fields: Record<string, string>) => (await fetch(`${prometheus}/api/v1/${path}?${new URLSearchParams(fields)}`)).json();
any(window).asked = [];
class Prometheus extends RuntimeDataSource {
  query(request: any): any {
    return from(this.all(request));
  }
  async all(request: any) {
    const data: any[] = [];
    let error: any;
    const step = Math.max(15, Math.ceil((end - start) / STEPS / 15) * 15);
    for (const t of request.targets) {
      const scene = request.scopedVars.__sceneObject?.value?.valueOf?.() ?? request.scopedVars.__sceneObject?.value;
      const scoped = { ...request.scopedVars, __rate_interval: { value: `${Math.max(step + 15, 60)}s` } };
      const expr = sceneGraph.interpolate(scene, t.expr, scoped, (v: any) => (Array.isArray(v) ? `(${v.join('|')})` : String(v)));
      const answer = t.instant ? await api('query', { query: expr, time: String(end) }) : await api('query_range', { query: expr, start: String(start), end: String(end), step: String(step) });
      any(window).asked.push({ expr, count: answer.data?.result?.length ?? 0, error: answer.error });
      if (answer.status !== 'success') { error = { message: answer.error }; continue; }
      const found = answer.data.result;
      // As Grafana's data source: no rows, no fields.
      if (!found.length) continue;
      if (t.format === 'table') {
        const labels = [...new Set<string>(found.flatMap((r: any) => Object.keys(r.metric)))].filter((l) => l !== '__name__');
        data.push(toDataFrame({ refId: t.refId, fields: [
          ...labels.map((l) => ({ name: l, type: FieldType.string, values: found.map((r: any) => r.metric[l] ?? '') })),
          { name: `Value #${t.refId}`, type: FieldType.number, values: found.map((r: any) => Number(r.value[1])) },
        ] }));
        continue;
      }
      for (const r of found) {
        // Grafana shows gaps where Prometheus has none: every step gets its place.
        const at = new Map<number, number>(r.values.filter((v: any) => v[1] !== 'NaN').map((v: any) => [v[0], Number(v[1])]));
        const times: number[] = [];
        for (let s = start; s <= end; s += step) times.push(s);
        const name = (t.legendFormat || '').replace(/\{\{\s*(\w+)\s*\}\}/g, (_: string, l: string) => r.metric[l] ?? '');
        data.push(toDataFrame({ refId: t.refId, fields: [
          { name: 'Time', type: FieldType.time, values: times.map((s) => s * 1000) },
          { name: 'Value', type: FieldType.number, labels: r.metric, config: { displayNameFromDS: name, interval: step * 1000 }, values: times.map((s) => at.get(s) ?? null) },
        ] }));
      }
    }
    return { data, error };
  }
  async metricFindQuery(query: any) {
    const [, metric, label] = /label_values\(\s*(.+?)\s*,\s*(\w+)\s*\)/.exec(typeof query === 'string' ? query : query.query)!;
    const match = metric.replace(/"\$\w+"/g, '".*"');
    const answer = await api(`label/${label}/values`, { 'match[]': match, start: String(start), end: String(end) });
    return answer.data.map((text: string) => ({ text }));
  }
}
const source = new Prometheus('prometheus', 'prometheus');
const settings = { uid: 'prometheus', name: 'Prometheus', type: 'prometheus', isDefault: true, meta: { id: 'prometheus', info: { logos: { small: '' } } }, jsonData: {}, access: 'proxy', readOnly: false };
rt.setDataSourceSrv(any({ get: async () => source, getInstanceSettings: () => settings, getList: () => [settings], reload: () => {}, registerRuntimeDataSource: () => {} }));
rt.setTemplateSrv(any({ getVariables: () => [], replace: (s: string) => s, containsTemplate: () => false, updateTimeRange: () => {} }));
any(rt).setRunRequest((ds: any, request: any) => any(ds.query(request)).pipe(map((p: any) => ({ state: p.error ? LoadingState.Error : LoadingState.Done, series: p.data, error: p.error, request, timeRange: request.range }))));

// ---- panels
const isEmpty = (series: any[]) => !series.length || series.every((f) => !f.length);
const shown = (Component: any) => (p: any) => {
  if (p.data.error) return <div className="nodata" data-kind="error">error: {p.data.error.message}</div>;
  if (isEmpty(p.data.series)) return <div className="nodata" data-kind="nodata">{p.fieldConfig.defaults.noValue ?? 'No data'}</div>;
  return <Component {...p} />;
};
const CUSTOM: Record<string, any> = { drawStyle: 'line', lineInterpolation: 'linear', lineWidth: 1, fillOpacity: 0, gradientMode: 'none', showPoints: 'auto', pointSize: 5, spanNulls: false, stacking: { mode: 'none', group: 'A' }, thresholdsStyle: { mode: 'off' }, axisPlacement: 'auto', axisLabel: '', axisSoftMax: undefined, scaleDistribution: { type: 'linear' }, barAlignment: 0, hideFrom: { legend: false, tooltip: false, viz: false }, align: 'auto', cellOptions: { type: 'auto' }, filterable: false };
const plugin = (Component: any) => new PanelPlugin(shown(Component)).useFieldConfig({ useCustomConfig: (b: any) => { for (const [id, defaultValue] of Object.entries(CUSTOM)) b.addCustomEditor(property(id, { defaultValue, category: ['Ours'] })); } });
const range = { from: dateTime(start * 1000), to: dateTime(end * 1000), raw: { from: dateTime(start * 1000), to: dateTime(end * 1000) } };

const Series = (p: any) => <TimeSeries frames={p.data.series} structureRev={1} width={p.width} height={p.height} timeRange={range} timeZone="utc" legend={p.options.legend} options={p.options} />;
const Stat = (p: any) => {
  const values = getFieldDisplayValues({ fieldConfig: p.fieldConfig, reduceOptions: p.options.reduceOptions, replaceVariables: p.replaceVariables, theme, data: p.data.series, timeZone: 'utc' });
  return <div style={{ display: 'flex', gap: 4 }}>{values.map((v: any, i: number) => {
    const display = p.options.textMode === 'name' ? { ...v.display, text: v.display.title, title: '' } : p.options.textMode === 'value_and_name' || values.length > 1 ? v.display : { ...v.display, title: '' };
    return <BigValue key={i} value={display} colorMode={p.options.colorMode} graphMode={p.options.graphMode} textMode={any(p.options.textMode === 'value_and_name' ? 'value_and_name' : 'auto')} width={p.width / values.length - 4} height={p.height} theme={theme} />;
  })}</div>;
};
const Grid = (p: any) => <Table data={p.data.series[0]} width={p.width} height={p.height} initialSortBy={p.options.sortBy} />;
const Timeline = (p: any) => {
  const used = new Map<string, string>();
  const lanes = p.data.series.map((frame: any) => {
    const field = frame.fields.find((f: any) => f.type !== FieldType.time);
    const show = field.display ?? getDisplayProcessor({ field, theme });
    const times = frame.fields[0].values;
    const width = 100 / times.length;
    const bars: { left: number; width: number; color: string; text: string }[] = [];
    times.forEach((_: number, i: number) => {
      const value = field.values[i];
      if (value === null || value === undefined) return;
      const { text, color } = show(value);
      used.set(text, color);
      const last = bars.at(-1);
      if (last && last.text === text && Math.abs(last.left + last.width - i * width) < 1e-6) last.width += width;
      else bars.push({ left: i * width, width, color: color!, text });
    });
    return { name: getFieldDisplayName(field, frame), bars };
  });
  const height = (p.height - 44) / lanes.length;
  const ticks = [0, 1, 2, 3, 4, 5, 6].map((i) => new Date((start + ((end - start) * i) / 6) * 1000).toISOString().slice(11, 16));
  return <div>
    {lanes.map((l: any) => <div className="lane" key={l.name} style={{ height }}><span style={{ width: 180, textAlign: 'right', fontSize: 12 }}>{l.name}</span><div className="bar">{l.bars.map((b: any, i: number) => <i key={i} title={b.text} style={{ left: `${b.left}%`, width: `${b.width}%`, background: b.color }} />)}</div></div>)}
    <div style={{ marginLeft: 188, display: 'flex', justifyContent: 'space-between', fontSize: 12, opacity: 0.8 }}>{ticks.map((t) => <span key={t}>{t}</span>)}</div>
    <div style={{ fontSize: 12 }}>{[...used].map(([text, color]) => <span className="key" key={text}><i style={{ background: color }} />{text}</span>)}</div>
  </div>;
};
const plugins: Record<string, any> = { timeseries: plugin(Series), stat: plugin(Stat), table: plugin(Grid), 'state-timeline': plugin(Timeline) };
for (const [id, p] of Object.entries(plugins)) p.meta = { id, name: id, info: { logos: {}, version: '1' }, skipDataQuery: false };
rt.setPluginImportUtils(any({ importPanelPlugin: async (id: string) => plugins[id], getPanelPluginFromCache: (id: string) => plugins[id] }));

// ---- the dashboard
function build(d: any) {
  const panel = (p: any) => {
    const queries = new SceneQueryRunner({ datasource: { uid: 'prometheus', type: 'prometheus' }, queries: p.targets.map((t: any) => ({ ...t, datasource: { uid: 'prometheus', type: 'prometheus' } })) });
    const $data = p.transformations ? new SceneDataTransformer({ $data: queries, transformations: p.transformations }) : queries;
    const body = new VizPanel({ key: `panel-${p.id}`, title: p.title, description: p.description, pluginId: p.type, options: p.options, fieldConfig: p.fieldConfig, $data });
    return new SceneGridItem({ x: p.gridPos.x, y: p.gridPos.y, width: p.gridPos.w, height: p.gridPos.h, body });
  };
  const children: any[] = [];
  for (const p of d.panels) {
    if (p.type === 'row') children.push(new SceneGridRow({ title: p.title, y: p.gridPos.y, children: [] }));
    else (children.at(-1) as any).state.children.push(panel(p));
  }
  const variables = d.templating.list.map((v: any) => v.type === 'datasource'
    ? new DataSourceVariable({ name: v.name, label: v.label, pluginId: v.query, value: 'prometheus', text: 'Prometheus' })
    : new QueryVariable({ name: v.name, label: v.label, datasource: { uid: 'prometheus', type: 'prometheus' }, query: v.query.query, isMulti: v.multi, includeAll: v.includeAll, allValue: v.allValue, value: ['$__all'], text: ['All'] }));
  return new EmbeddedScene({ $timeRange: new SceneTimeRange({ from: new Date(start * 1000).toISOString(), to: new Date(end * 1000).toISOString(), timeZone: 'utc' }), $variables: new SceneVariableSet({ variables }), controls: [new VariableValueSelectors({})], body: new SceneGridLayout({ children }) });
}
const d = await (await fetch(`/${asked.get('dashboard')}.json`)).json();
document.querySelector('h1')!.textContent = d.title;
const scene = build(d);
createRoot(document.getElementById('root')!).render(<BrowserRouter><ThemeContext.Provider value={theme}><rt.LocationServiceProvider service={rt.locationService}><scene.Component model={scene} /></rt.LocationServiceProvider></ThemeContext.Provider></BrowserRouter>);
