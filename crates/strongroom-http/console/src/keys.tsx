import { useState } from "preact/hooks";
import { part, post, remove } from "./api";
import { useMe } from "./app";
import { useAction } from "./hooks";
import { useList } from "./list";
import type { ApiKey } from "./types";
import { Badge, Confirm, Day, Dialog, Empty, Field, Icon, Loading, plural, Problem, say, Secret, Time, Unreadable } from "./ui";

const RIGHTS: [string, string][] = [
  ["documented", "the calls under /api/v2/public"],
  ["read", "definitions, accounts, history, and values that are not encrypted"],
  ["write", "set and delete values and credentials, define variables, register accounts"],
  ["reveal", "encrypted values and credentials in plain text"],
  ["admin", "API keys, sessions, the audit, deletions"],
  ["operate", "the whole vault: jobs, rotation, checks, backups"],
];

export function Keys() {
  const { status } = useMe();
  const list = useList<ApiKey>("/api-keys", {}, []);
  const [making, setMaking] = useState(false);
  const [made, setMade] = useState<ApiKey>();
  const [rotating, rotate] = useState<ApiKey>();
  const [revoking, revoke] = useState<ApiKey>();
  const [ending, end] = useState(false);
  const shown = (key: ApiKey) => {
    setMaking(false);
    rotate(undefined);
    setMade(key);
    list.again();
  };
  return (
    <>
      <div class="head">
        <div>
          <h1>API keys</h1>
          <p class="dim">Who may call this org in {status.environment}, and what they may do.</p>
        </div>
        <button type="button" class="button primary" onClick={() => setMaking(true)}><Icon name="plus" /> New API key</button>
      </div>
      <Problem text={list.error} again={list.again} />
      <Unreadable why={list.unreadable} names="strongroom api-key list" />
      {list.items === undefined ? list.error === undefined && <Loading /> : list.items.length === 0 ? <Empty title="No API keys" /> : (
        <div class="table-box" tabIndex={0} role="region" aria-label="API keys">
          <table class="list">
            <thead>
              <tr><th scope="col">Name</th><th scope="col">May</th><th scope="col">Made</th><th scope="col">Last used</th><th scope="col">Expires</th><th scope="col"><span class="hidden">Actions</span></th></tr>
            </thead>
            <tbody>
              {list.items.map((key) => (
                <tr key={key.id}>
                  <th scope="row">
                    {key.name}{key.id === status.api_key_id && <> <Badge tone="good">yours</Badge></>}
                    <small class="mono dim">{key.id}</small>
                  </th>
                  <td data-label="May">
                    <div>
                    <span class="badges">{key.rights.map((right) => <Badge key={right} tone={right === "reveal" || right === "admin" || right === "operate" ? "warn" : "plain"}>{right}</Badge>)}</span>
                    {key.names.length > 0 && <small class="dim">only {key.names.join(", ")}</small>}
                    {key.linked_account_ids.length > 0 && <small class="dim">only for {key.linked_account_ids.join(", ")}</small>}
                    </div>
                  </td>
                  <td data-label="Made"><Day at={key.created_at} /></td>
                  <td data-label="Last used"><Day at={key.last_used} /></td>
                  <td data-label="Expires"><Expiry at={key.expires_at} /></td>
                  <td class="tools">
                    <button type="button" class="button small" aria-label={`Rotate ${key.name}`} onClick={() => rotate(key)}>Rotate</button>
                    <button type="button" class="button small danger-text" aria-label={`Revoke ${key.name}`} onClick={() => revoke(key)}>Revoke</button>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {list.more && <button type="button" class="button" disabled={list.loading} onClick={list.more}>More keys</button>}
      <section class="panel">
        <h2>Session tokens</h2>
        <p class="dim">Tokens that your service issued for its accounts’ own pages. Those of one account end on the page of the account.</p>
        <button type="button" class="button" onClick={() => end(true)}>End all sessions…</button>
      </section>
      {making && <Make onClose={() => setMaking(false)} onDone={shown} />}
      {rotating && <Rotate old={rotating} onClose={() => rotate(undefined)} onDone={shown} />}
      {made && <Made made={made} onClose={() => setMade(undefined)} />}
      {revoking && (
        <Confirm
          title={`Revoke ${revoking.name}?`} action="Revoke" onClose={() => revoke(undefined)}
          onConfirm={async () => {
            await remove(`/api-keys/${part(revoking.id)}`);
            revoke(undefined);
            say("The key is revoked");
            list.again();
          }}
        >
          <p>It is refused from now on, wherever it is used.{revoking.id === status.api_key_id && " It is the key of this session, which ends too."}</p>
        </Confirm>
      )}
      {ending && (
        <Confirm
          title="End all sessions of all accounts?" action="End all sessions" onClose={() => end(false)}
          onConfirm={async () => {
            const { revoked } = await post<{ revoked: number }>("/revoke-sessions");
            end(false);
            say(`${plural(revoked, "session")} ended`);
          }}
        >
          <p>Every session token of this org in {status.environment} is refused from now on.</p>
        </Confirm>
      )}
    </>
  );
}

function Expiry({ at }: { at: string | null }) {
  if (at === null) return <span class="dim">never</span>;
  return new Date(at) < new Date() ? <Badge tone="danger">expired</Badge> : <Time at={at} />;
}

function Make({ onClose, onDone }: { onClose: () => void; onDone: (key: ApiKey) => void }) {
  const { may } = useMe();
  const [name, setName] = useState("");
  const [rights, setRights] = useState<string[]>(["read"]);
  const [names, setNames] = useState("");
  const [accounts, setAccounts] = useState("");
  const [expires, setExpires] = useState("");
  const { busy, error, run } = useAction();
  const toggle = (right: string) => setRights(rights.includes(right) ? rights.filter((one) => one !== right) : [...rights, right]);
  const submit = () => run(async () => {
    onDone(await post<ApiKey>("/api-keys", {
      name, rights, names: some(names), linked_account_ids: some(accounts),
      ...(expires !== "" && { expires_at: `${expires}T00:00:00Z` }),
    }));
  });
  return (
    <Dialog title="New API key" label="New API key" onClose={onClose}>
      <form onSubmit={(event) => { event.preventDefault(); void submit(); }}>
        <Field label="Name" hint="Who or what will use it.">
          {(ids) => <input {...ids} required autocomplete="off" placeholder="deploy pipeline" value={name} onInput={(event) => setName(event.currentTarget.value)} />}
        </Field>
        <fieldset class="checks">
          <legend>It may</legend>
          {RIGHTS.map(([right, what]) => (
            <label class="check" key={right}>
              <input type="checkbox" checked={rights.includes(right)} disabled={!may(right)} onChange={() => toggle(right)} />
              <span><strong>{right}</strong> <span class="dim">{what}{!may(right) && " (your own key may not)"}</span></span>
            </label>
          ))}
        </fieldset>
        <Field label="Only these variables" hint="Separated by spaces; SMTP_* stands for all that begin so. Empty for all.">
          {(ids) => <input {...ids} class="mono" spellcheck={false} value={names} onInput={(event) => setNames(event.currentTarget.value)} />}
        </Field>
        <Field label="Only these accounts" hint="Separated by spaces. Empty for the whole org.">
          {(ids) => <input {...ids} class="mono" spellcheck={false} value={accounts} onInput={(event) => setAccounts(event.currentTarget.value)} />}
        </Field>
        <Field label="Expires" hint="At the beginning of this day, in UTC. Empty for never.">
          {(ids) => <input {...ids} type="date" value={expires} onInput={(event) => setExpires(event.currentTarget.value)} />}
        </Field>
        <Problem text={error} />
        <div class="actions">
          <button type="button" class="button" onClick={onClose}>Cancel</button>
          <button type="submit" class="button primary" disabled={busy || name === "" || rights.length === 0}>Make the key</button>
        </div>
      </form>
    </Dialog>
  );
}

function Rotate({ old, onClose, onDone }: { old: ApiKey; onClose: () => void; onDone: (key: ApiKey) => void }) {
  const [grace, setGrace] = useState("86400");
  const { busy, error, run } = useAction();
  const submit = () => run(async () => {
    onDone(await post<ApiKey>(`/api-keys/${part(old.id)}/rotate`, { grace_secs: Number(grace) }));
  });
  return (
    <Dialog title={`Rotate ${old.name}`} label={`Rotate ${old.name}`} onClose={onClose}>
      <form onSubmit={(event) => { event.preventDefault(); void submit(); }}>
        <p>A new key with the same name and rights takes its place.</p>
        <Field label="The old key is still taken for">
          {(ids) => (
            <select {...ids} value={grace} onChange={(event) => setGrace(event.currentTarget.value)}>
              <option value="0">no longer at all</option>
              <option value="3600">an hour</option>
              <option value="86400">a day</option>
              <option value="604800">a week</option>
            </select>
          )}
        </Field>
        <Problem text={error} />
        <div class="actions">
          <button type="button" class="button" onClick={onClose}>Cancel</button>
          <button type="submit" class="button primary" disabled={busy}>Rotate</button>
        </div>
      </form>
    </Dialog>
  );
}

/** A key that was just made. It is nowhere else, and goes when the dialog closes. */
function Made({ made, onClose }: { made: ApiKey; onClose: () => void }) {
  return (
    <Dialog title="The key is made" label="The key is made" onClose={onClose}>
      <p>Copy the key of <strong>{made.name}</strong> now: it is shown only here, and cannot be shown again.</p>
      <Secret label={`API key ${made.name}`} load={() => Promise.resolve(made.api_key ?? "")} />
      <div class="actions"><button type="button" class="button primary" onClick={onClose}>I have copied it</button></div>
    </Dialog>
  );
}

/** What a key is narrowed to; left out where nothing is named, since the service refuses an empty list. */
function some(text: string): string[] | undefined {
  const words = text.split(/\s+/).filter((word) => word !== "");
  return words.length > 0 ? words : undefined;
}
