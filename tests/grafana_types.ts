// What a dashboard of classic JSON has to be, part by part, said with the types of one version of @grafana/schema.
// "schema/..." are the raw types of that version; tests/grafana_types.py maps the names to files.

import type { DataSourceRef } from '@grafana/schema';
import type { Added, Omittable } from './exemptions';
import type * as barchart from 'schema/barchart';
import type * as bargauge from 'schema/bargauge';
import type * as raw from 'schema/dashboard';
import type * as gauge from 'schema/gauge';
import type * as heatmap from 'schema/heatmap';
import type { PrometheusDataQuery } from 'schema/prometheus';
import type * as stat from 'schema/stat';
import type * as statetimeline from 'schema/statetimeline';
import type * as statushistory from 'schema/statushistory';
import type * as table from 'schema/table';
import type * as text from 'schema/text';
import type * as timeseries from 'schema/timeseries';

/** A type as it stands in JSON: a text that TypeScript calls an enum is there the text itself. */
export type Json<T> = unknown extends T
  ? T
  : T extends string
    ? `${T}`
    : T extends number | boolean | null | undefined
      ? T
      : T extends readonly (infer E)[]
        ? Json<E>[]
        : { [K in keyof T]: Json<T[K]> };

/** The same type, these fields optional. */
type Lenient<T, K extends PropertyKey> = Omit<T, K> & Partial<Pick<T, K & keyof T>>;
/** The same type, these fields required, so that nothing hangs on what a version takes for granted. */
type Strict<T, K extends keyof T> = Omit<T, K> & Required<Pick<T, K>>;
type Nothing = Record<string, never>;

/** No version has a type of this panel; these are the options that all of them read. */
interface AlertListOptions {
  viewMode: 'list' | 'stat';
  groupMode: 'default' | 'custom';
  groupBy: string[];
  maxItems: number;
  sortOrder: 1 | 2 | 3 | 4 | 5;
  dashboardAlerts: boolean;
  alertName: string;
  alertInstanceLabelFilter: string;
  datasource?: string;
  stateFilter: Record<'firing' | 'pending' | 'noData' | 'normal' | 'error', boolean>;
}

/** Of each type of panel its options and its own part of the field configuration. */
export interface Panels {
  alertlist: { options: AlertListOptions; custom: Nothing };
  barchart: { options: barchart.Options; custom: barchart.FieldConfig };
  bargauge: { options: Lenient<bargauge.Options, Omittable['bargauge.Options']>; custom: Nothing };
  gauge: { options: Lenient<gauge.Options, Omittable['gauge.Options']>; custom: Nothing };
  heatmap: { options: heatmap.Options; custom: heatmap.FieldConfig };
  stat: { options: Lenient<stat.Options, Omittable['stat.Options']>; custom: Nothing };
  'state-timeline': { options: statetimeline.Options; custom: statetimeline.FieldConfig };
  'status-history': { options: statushistory.Options; custom: statushistory.FieldConfig };
  table: { options: table.Options; custom: table.FieldConfig };
  text: { options: text.Options; custom: Nothing };
  timeseries: { options: timeseries.Options; custom: timeseries.FieldConfig };
}

/** The types leave links of a field unknown; this much is known to the DataLink of every version. */
interface DataLink {
  title: string;
  url: string;
  targetBlank?: boolean;
}

type Defaults<Custom> = Omit<raw.FieldConfig, 'custom' | 'links'> & { custom?: Custom; links?: DataLink[] };

/** The properties that Grafana registers for overrides; it ignores all others without a word. */
type Registered = 'color' | 'decimals' | 'displayName' | 'links' | 'mappings' | 'max' | 'min' | 'noValue' | 'thresholds' | 'unit';

type Properties<T, Prefix extends string> = {
  [K in keyof T & string]-?: { id: `${Prefix}${K}`; value: Exclude<T[K], undefined> };
}[keyof T & string];

interface Override<Custom> {
  matcher: raw.MatcherConfig;
  properties: (Properties<Custom, 'custom.'> | Properties<Pick<Defaults<Custom>, Registered>, ''>)[];
}

interface FieldConfigSource<Custom> {
  defaults: Defaults<Custom>;
  overrides: Override<Custom>[];
}

export type Target = Json<PrometheusDataQuery & { datasource?: DataSourceRef } & Added['prometheus.PrometheusDataQuery']>;

type Common = Strict<Omit<raw.Panel, 'type' | 'options' | 'fieldConfig' | 'targets'>, 'id' | 'title' | 'gridPos'>;

export type Panel<T extends keyof Panels> = Json<
  Common & {
    type: T;
    options: Panels[T]['options'];
    fieldConfig?: FieldConfigSource<Panels[T]['custom']>;
  }
> & { targets?: Target[] };

/** A row; its panels are checked each by its own type. */
export type Row = Json<Strict<Omit<raw.RowPanel, 'panels'>, 'title' | 'gridPos'> & { panels: [] }>;

interface PrometheusVariableQuery {
  query: string;
  refId: string;
  qryType?: number;
}

export type Variable = Json<Omit<raw.VariableModel, 'query'> & { query?: string }>;
export type QueryVariable = Json<
  Omit<Strict<raw.VariableModel, 'datasource'>, 'query' | 'type'> & { type: 'query'; query: string | PrometheusVariableQuery }
>;

/** The annotation that Grafana itself adds to a dashboard. */
export type BuiltInAnnotation = Json<raw.AnnotationQuery>;
export type Annotation = Json<Omit<raw.AnnotationQuery, 'target'> & Added['dashboard.AnnotationQuery']> & { target: Target };

/** A dashboard without its panels, variables and annotations, which are checked each by its own type. */
export type Dashboard = Json<
  Omit<raw.Dashboard, 'panels' | 'templating' | 'annotations'> & {
    panels: [];
    templating?: { list: [] };
    annotations?: { list: [] };
  }
>;

/** The types that have exemptions, as they are. */
interface Exempted {
  'bargauge.Options': bargauge.Options;
  'dashboard.AnnotationQuery': raw.AnnotationQuery;
  'gauge.Options': gauge.Options;
  'prometheus.PrometheusDataQuery': PrometheusDataQuery;
  'stat.Options': stat.Options;
}

/** What {} is, unless the type requires the field. */
export type Omitting<T extends keyof Exempted, K extends string> = Pick<Exempted[T], K & keyof Exempted[T]>;
/** What a field of the type is. */
export type Knowing<T extends keyof Exempted> = keyof Exempted[T];
