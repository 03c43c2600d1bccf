// The bodies of the control calls, as /openapi.json describes them.

export interface Page<T> {
  items: T[];
  next: string | null;
  /** Why each of those that cannot be read is not among the items; left out if there are none. */
  unreadable?: string[];
}

export interface Status {
  version: string;
  store_id: string;
  org_id: string;
  environment: string;
  api_key_id: string;
  rights: string[];
  ready: boolean;
  settings: Settings;
}

export interface Settings {
  audit: boolean;
  generations: boolean;
}

export interface Column {
  scope: string;
  linked_account_id?: string;
  name?: string;
}

export interface Cell {
  state: "set" | "inherited" | "default" | "missing" | "none" | "unreadable";
  value?: string;
  overrides?: string[];
}

export interface Row {
  id: string;
  name: string;
  var_format: string;
  encrypted: boolean;
  required: boolean;
  scopes: string[];
  cells: Cell[];
}

export interface Matrix {
  columns: Column[];
  rows: Row[];
  next: string | null;
  next_columns: string | null;
  /** Why each definition or account that cannot be read is not there; left out if there are none. */
  unreadable?: string[];
}

export interface Definition {
  id: string;
  name: string;
  description: string | null;
  var_format: string;
  parameters: unknown;
  scopes: string[];
  encrypted: boolean;
  required: boolean;
  default: string | null;
  author: string | null;
  format_changes: number;
  created_at: string;
  updated_at: string;
}

export interface Plan {
  applied: boolean;
  refused: { scope: string; linked_account_id: string | null; workflow_id: string | null; reason: string }[];
  definition: Definition;
}

export interface Value {
  name: string;
  value: string | null;
  encrypted: boolean;
  version: string;
  author: string | null;
  note: string | null;
  updated_at: string;
}

export interface Version {
  version: string;
  state: "current" | "former" | "deleted" | "unreadable";
  written_at: string | null;
  author: string | null;
  note: string | null;
  labels: string[];
  /** Why it cannot be read; left out if it can. */
  unreadable?: string;
}

export interface BatchDone {
  applied: boolean;
  refused: { name: string; reason: string }[];
}

export interface Trace {
  name: string;
  scope: string | null;
  steps: Step[];
}

export interface Step {
  scope: string;
  at: string;
  outcome: "found" | "shadowed" | "no value" | "unreadable";
  unreadable?: string;
  grandfathered: boolean;
  author: string | null;
  note: string | null;
}

export interface Account {
  id: string;
  linked_account_id: string;
  name: string | null;
  connections?: { integration: string; created_at: string }[];
  created_at: string;
  updated_at: string;
}

export interface Credential {
  id: string;
  key: string;
  author: string | null;
  created_at: string;
  updated_at: string;
}

export interface Usage {
  accounts: number;
  values: number;
  workflow_values: number;
  integrations: number;
  credentials: number;
  bytes: number;
}

export interface Deletion {
  name: string;
  deleted: boolean;
  values: number;
  credentials: number;
}

export interface ApiKey {
  id: string;
  name: string;
  api_key?: string;
  environment: string;
  rights: string[];
  names: string[];
  linked_account_ids: string[];
  created_at: string;
  expires_at: string | null;
  last_used: string | null;
}

export interface AuditEvent {
  id: string;
  at: string;
  actor: string | null;
  request_id: string | null;
  changes: {
    kind: string;
    name: string | null;
    linked_account_id: string | null;
    workflow_id: string | null;
    integration: string | null;
    version: string | null;
  }[];
  /** Why it cannot be read; left out if it can. */
  unreadable?: string;
}

export interface Task {
  id: string;
  kind: string;
  state: "running" | "finished" | "failed";
  done: number;
  total: number | null;
  message: string | null;
  findings: { row: string; message: string }[];
  started_at: string;
}

export interface Job {
  id: string;
  kind: string;
  state: string;
  org_id: string | null;
  environment: string | null;
  linked_account_id: string | null;
  progress: { rows: number; rows_total: number | null; failed: number } | null;
}

export interface Slot {
  id: string;
  kind: string;
  opened_by: string;
  since: string | null;
  usable: boolean;
}

export interface Session {
  id: string;
  issued_at: string;
  expires_at: string;
}
