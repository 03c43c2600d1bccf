import type { TargetedKeyboardEvent } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { get } from "./api";
import { useMe } from "./app";
import { Define } from "./define";
import { go, useLoad, useSettled } from "./hooks";
import type { Cell, Column, Matrix, Row } from "./types";
import { Badge, Empty, Icon, Loading, Problem, Unreadable } from "./ui";
import { Variable } from "./variable";

/** Variables as rows, the org and its accounts as columns. */
export function Variables({ open, at, workflow, only }: {
  open: string | undefined;
  at: string | undefined;
  workflow: string | undefined;
  only: string | undefined;
}) {
  const { may } = useMe();
  const [search, setSearch] = useState("");
  const [account, setAccount] = useState(only ?? "");
  const [missing, setMissing] = useState(false);
  const [rows, setRows] = useState<string[]>([]);
  const [columns, setColumns] = useState<string[]>([]);
  const [defining, setDefining] = useState(false);
  const settled = { search: useSettled(search.trim()), account: useSettled(account.trim(), 400) };
  useEffect(() => setAccount(only ?? ""), [only]);
  // Another question begins at its first page.
  useEffect(() => setRows([]), [settled.search, missing]);
  useEffect(() => setColumns([]), [settled.account]);

  const { data, error, loading, again } = useLoad(
    (signal) => page({ ...settled, missing, after: rows.at(-1), columnsAfter: columns.at(-1) }, signal),
    [settled.search, settled.account, missing, rows, columns],
  );
  const narrow = settled.search !== "" || missing;
  return (
    <>
      <div class="head">
        <div>
          <h1>Variables</h1>
          <p class="dim">What each scope sees, where the value comes from, and what it overrides.</p>
        </div>
        {may("write") && <button type="button" class="button primary" onClick={() => setDefining(true)}><Icon name="plus" /> New variable</button>}
      </div>
      <div class="filters" role="search">
        <label class="search">
          <span class="hidden">Search variables by name</span>
          <Icon name="search" />
          <input type="search" placeholder="Search variables" value={search} onInput={(event) => setSearch(event.currentTarget.value)} />
        </label>
        <label class="search">
          <span class="hidden">Show one account, by its id</span>
          <Icon name="accounts" />
          <input
            type="search" placeholder="All accounts" list="known-accounts" spellcheck={false} autocomplete="off"
            value={account} onInput={(event) => setAccount(event.currentTarget.value)}
          />
        </label>
        <datalist id="known-accounts">
          {data?.columns.map((column) => column.linked_account_id && <option key={column.linked_account_id} value={column.linked_account_id} />)}
        </datalist>
        <label class="check"><input type="checkbox" checked={missing} onChange={(event) => setMissing(event.currentTarget.checked)} /> Only missing</label>
        <Legend />
      </div>
      <Problem text={error} again={again} />
      <Unreadable why={data?.unreadable} names="strongroom list" />
      {data === undefined
        ? error === undefined && <Loading />
        : data.rows.length === 0
          ? narrow || rows.length > 0
            ? <Empty title="No variable matches"><p>{missing ? "Every required variable has a value here." : "Try another part of its name."}</p></Empty>
            : <Empty title="No variables yet"><p>Define one here, or import a file: <code>strongroom import FILE.env</code></p></Empty>
          : <Grid matrix={data} stale={loading} />}
      {data !== undefined && (
        <div class="pager">
          <Turns name="variables" stack={rows} next={data.next} turn={setRows} />
          <Turns name="accounts" stack={columns} next={data.next_columns} turn={setColumns} />
        </div>
      )}
      {open !== undefined && (
        <Variable
          key={`${open} ${at ?? ""} ${workflow ?? ""}`} name={open} account={at} workflow={workflow} known={data?.columns ?? []}
          onChange={again} onClose={() => go(["variables"], { only })}
        />
      )}
      {defining && <Define onClose={() => setDefining(false)} onDone={(name) => { setDefining(false); again(); go(["variables", name]); }} />}
    </>
  );
}

interface Wanted {
  search: string;
  account: string;
  missing: boolean;
  after: string | undefined;
  columnsAfter: string | undefined;
}

/** A page of rows. A search looks through the list until it has enough of them. */
async function page({ search, account, missing, after, columnsAfter }: Wanted, signal: AbortSignal): Promise<Matrix> {
  const narrow = search !== "" || missing;
  const query = {
    search, missing: missing || undefined, limit: narrow ? 200 : ROWS,
    ...(account === "" ? { columns: COLUMNS, columns_after: columnsAfter } : { linked_account_id: account }),
  };
  const found = await get<Matrix>("/matrix", { ...query, after }, signal);
  while (narrow && found.next !== null && found.rows.length < ROWS) {
    const more = await get<Matrix>("/matrix", { ...query, after: found.next }, signal);
    found.rows.push(...more.rows);
    found.next = more.next;
    found.unreadable = [...(found.unreadable ?? []), ...(more.unreadable ?? [])];
  }
  return found;
}

function Grid({ matrix, stale }: { matrix: Matrix; stale: boolean }) {
  const [[row, column], setActive] = useState<[number, number]>([0, 0]);
  const table = useRef<HTMLTableElement>(null);
  const last: [number, number] = [matrix.rows.length - 1, matrix.columns.length];
  const active: [number, number] = [Math.min(row, last[0]), Math.min(column, last[1])];

  const move = (event: TargetedKeyboardEvent<HTMLTableElement>) => {
    const to: [number, number] = [...active];
    switch (event.key) {
      case "ArrowUp": to[0] -= 1; break;
      case "ArrowDown": to[0] += 1; break;
      case "ArrowLeft": to[1] -= 1; break;
      case "ArrowRight": to[1] += 1; break;
      case "Home": to[1] = 0; break;
      case "End": to[1] = last[1]; break;
      case "PageUp": to[0] -= 10; break;
      case "PageDown": to[0] += 10; break;
      default: return;
    }
    event.preventDefault();
    const cell: [number, number] = [clamp(to[0], last[0]), clamp(to[1], last[1])];
    setActive(cell);
    table.current?.querySelector<HTMLElement>(`[data-cell="${cell.join(" ")}"]`)?.focus();
  };
  const stop = (at: [number, number]) => ({
    "data-cell": at.join(" "),
    tabIndex: at[0] === active[0] && at[1] === active[1] ? 0 : -1,
    onFocus: () => setActive(at),
  });
  return (
    <div class={stale ? "grid-box stale" : "grid-box"} aria-busy={stale}>
      <table class="grid" role="grid" ref={table} onKeyDown={move} aria-label="Variables and scopes; the arrow keys move, Enter opens">
        <thead>
          <tr>
            <th scope="col">Variable</th>
            {matrix.columns.map((column) => <th scope="col" key={column.linked_account_id ?? "org"}><Heading column={column} /></th>)}
          </tr>
        </thead>
        <tbody>
          {matrix.rows.map((row, y) => (
            <tr key={row.id}>
              <th scope="row">
                <button type="button" class="name" {...stop([y, 0])} onClick={() => go(["variables", row.name])}>
                  <span class="mono">{row.name}</span>
                  <span class="kind">
                    {row.encrypted && <Icon name="lock" />}{row.var_format}{row.encrypted && ", encrypted"}{row.required && ", required"}
                  </span>
                </button>
              </th>
              {row.cells.map((cell, x) => {
                const column = matrix.columns[x];
                // A value that cannot stand here is not missed here.
                if (column?.linked_account_id === undefined && cell.state === "missing" && !row.scopes.includes("org")) cell = { state: "none" };
                return (
                  <td key={column?.linked_account_id ?? "org"} class={`${cell.state}${cell.overrides?.[0] === "org" ? " over" : ""}`}>
                    <button
                      type="button" class="cell" {...stop([y, x + 1])}
                      onClick={() => go(["variables", row.name], { account: column?.linked_account_id })}
                    >
                      <span class="hidden">{row.name} for {column?.linked_account_id ?? "the org"}: </span>
                      <Content row={row} cell={cell} />
                    </button>
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Heading({ column }: { column: Column }) {
  if (column.linked_account_id === undefined) return <span class="heading">Org</span>;
  return (
    <span class="heading">
      <a href={`#/accounts/${encodeURIComponent(column.linked_account_id)}`} class="mono" title={column.linked_account_id}>{column.linked_account_id}</a>
      {column.name !== undefined && column.name !== null && <small title={column.name}>{column.name}</small>}
    </span>
  );
}

function Content({ row, cell }: { row: Row; cell: Cell }) {
  if (cell.state === "missing") return <span class="text">missing</span>;
  if (cell.state === "unreadable") return <><span class="text">unreadable</span><span class="from"><span class="hidden">, </span>open it to repair it</span></>;
  if (cell.state === "none") return <><span class="text" aria-hidden="true">–</span><span class="hidden">no value</span></>;
  const overridden = cell.overrides ?? [];
  return (
    <>
      {row.encrypted
        ? <><span class="text mono" aria-hidden="true">••••••</span><span class="hidden">hidden</span></>
        : <span class="text mono">{cell.value === "" ? "(empty)" : cell.value}</span>}
      {cell.state !== "set" && <span class="from"><span class="hidden">, </span>{cell.state === "inherited" ? "from org" : "default"}</span>}
      {cell.state === "set" && overridden.length > 0 && (
        <><span class="hidden">, </span><Badge tone={overridden[0] === "org" ? "warn" : "plain"}>overrides {overridden[0]}</Badge></>
      )}
    </>
  );
}

function Legend() {
  return (
    <ul class="legend" aria-label="Meaning of the colours">
      <li class="set">set here</li>
      <li class="over">overrides</li>
      <li class="inherited">from org or default</li>
      <li class="missing">missing or unreadable</li>
    </ul>
  );
}

interface TurnsProps {
  name: string;
  stack: string[];
  next: string | null;
  turn: (stack: string[]) => void;
}

function Turns({ name, stack, next, turn }: TurnsProps) {
  if (stack.length === 0 && next === null) return null;
  return (
    <div class="turns" role="group" aria-label={`Pages of ${name}`}>
      <button type="button" class="button small" disabled={stack.length === 0} onClick={() => turn(stack.slice(0, -1))}>Previous {name}</button>
      <span class="dim">page {stack.length + 1}</span>
      <button type="button" class="button small" disabled={next === null} onClick={() => next !== null && turn([...stack, next])}>Next {name}</button>
    </div>
  );
}

function clamp(value: number, max: number): number {
  return Math.max(0, Math.min(value, max));
}

const ROWS = 50;
const COLUMNS = 10;
