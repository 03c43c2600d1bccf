import { useState } from "preact/hooks";
import { get, part, post, put, remove } from "./api";
import { useMe } from "./app";
import { go, link, useAction, useLoad } from "./hooks";
import { useList } from "./list";
import type { Account, Credential, Deletion, Page, Session, Usage } from "./types";
import { bytes, Confirm, Day, Dialog, Empty, Field, Icon, Loading, plural, Problem, say, Secret, Time, Unreadable } from "./ui";
import { History } from "./variable";

export function Accounts({ open }: { open: string | undefined }) {
  const { may } = useMe();
  const list = useList<Account>("/accounts", {}, []);
  const [adding, setAdding] = useState(false);
  const [wanted, setWanted] = useState("");
  return (
    <>
      <div class="head">
        <div>
          <h1>Accounts</h1>
          <p class="dim">The org’s own customers, with their connections and credentials.</p>
        </div>
        {may("write") && <button type="button" class="button primary" onClick={() => setAdding(true)}><Icon name="plus" /> Register account</button>}
      </div>
      <form class="filters" role="search" onSubmit={(event) => { event.preventDefault(); if (wanted.trim() !== "") go(["accounts", wanted.trim()]); }}>
        <label class="search">
          <span class="hidden">Open an account by its id</span>
          <Icon name="search" />
          <input type="search" placeholder="Account id" spellcheck={false} autocomplete="off" value={wanted} onInput={(event) => setWanted(event.currentTarget.value)} />
        </label>
        <button type="submit" class="button" disabled={wanted.trim() === ""}>Open</button>
      </form>
      <Problem text={list.error} again={list.again} />
      <Unreadable why={list.unreadable} names="strongroom account list" />
      {list.items === undefined ? list.error === undefined && <Loading /> : list.items.length === 0 ? (
        <Empty title="No accounts yet"><p>An account is a customer of yours. It can override the org’s values and has credentials of its own.</p></Empty>
      ) : (
        <div class="table-box" tabIndex={0} role="region" aria-label="Accounts">
          <table class="list">
            <thead><tr><th scope="col">Account</th><th scope="col">Name</th><th scope="col">Registered</th><th scope="col">Changed</th></tr></thead>
            <tbody>
              {list.items.map((account) => (
                <tr key={account.id}>
                  <th scope="row"><a class="mono" href={link(["accounts", account.linked_account_id])}>{account.linked_account_id}</a></th>
                  <td data-label="Name">{account.name ?? <span class="dim">none</span>}</td>
                  <td data-label="Registered"><Day at={account.created_at} /></td>
                  <td data-label="Changed"><Day at={account.updated_at} /></td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {list.more && <button type="button" class="button" disabled={list.loading} onClick={list.more}>More accounts</button>}
      {open !== undefined && <AccountView key={open} id={open} onChange={list.again} onClose={() => go(["accounts"])} />}
      {adding && <Register onClose={() => setAdding(false)} onDone={(id) => { setAdding(false); list.again(); go(["accounts", id]); }} />}
    </>
  );
}

function Register({ onClose, onDone }: { onClose: () => void; onDone: (id: string) => void }) {
  const [id, setId] = useState("");
  const [name, setName] = useState("");
  const [app, setApp] = useState(true);
  const { busy, error, run } = useAction();
  const submit = () => run(async () => {
    const made = await post<Account>("/accounts", { linked_account_id: id, default_app: app, ...(name !== "" && { name }) });
    say(`${made.linked_account_id} is registered`);
    onDone(made.linked_account_id);
  });
  return (
    <Dialog title="Register account" label="Register account" onClose={onClose}>
      <form onSubmit={(event) => { event.preventDefault(); void submit(); }}>
        <Field label="Account id" hint="Your own id of this customer. It cannot be changed later.">
          {(ids) => <input {...ids} class="mono" required spellcheck={false} autocomplete="off" placeholder="user_12345" value={id} onInput={(event) => setId(event.currentTarget.value)} />}
        </Field>
        <Field label="Name" hint="For people. Optional.">
          {(ids) => <input {...ids} value={name} onInput={(event) => setName(event.currentTarget.value)} />}
        </Field>
        <label class="check"><input type="checkbox" checked={app} onChange={(event) => setApp(event.currentTarget.checked)} /> With the default app, which its credentials need</label>
        <Problem text={error} />
        <div class="actions">
          <button type="button" class="button" onClick={onClose}>Cancel</button>
          <button type="submit" class="button primary" disabled={busy || id === ""}>Register</button>
        </div>
      </form>
    </Dialog>
  );
}

function AccountView({ id, onChange, onClose }: { id: string; onChange: () => void; onClose: () => void }) {
  const { may } = useMe();
  const path = `/accounts/${part(id)}`;
  const account = useLoad((signal) => get<Account>(path, {}, signal), [path]);
  const usage = useLoad((signal) => get<Usage>(`${path}/usage`, {}, signal), [path]);
  const [asking, ask] = useState<"sessions" | Deletion>();
  const [ended, setEnded] = useState(0);
  const { busy, error, run } = useAction();
  const shown = account.data;
  return (
    <Dialog side label={`Account ${id}`} title={<span class="mono">{id}</span>} onClose={onClose}>
      <Problem text={account.error} again={account.again} />
      {shown === undefined ? account.error === undefined && <Loading /> : (
        <>
          {shown.name !== null && <p class="description">{shown.name}</p>}
          <p class="dim">Registered <Time at={shown.created_at} /></p>
          <p><a class="button" href={link(["variables"], { only: id })}><Icon name="variables" /> What this account sees</a></p>
          {usage.data && (
            <dl class="facts">
              <div><dt>Values</dt><dd>{usage.data.values.toLocaleString()}</dd></div>
              <div><dt>Credentials</dt><dd>{usage.data.credentials.toLocaleString()}</dd></div>
              <div><dt>Connections</dt><dd>{usage.data.integrations.toLocaleString()}</dd></div>
              <div><dt>Stored</dt><dd>{bytes(usage.data.bytes)}</dd></div>
            </dl>
          )}
          {shown.connections?.length === 0 && <section class="block"><h3>Connections</h3><p class="dim">None, so that it can have no credentials.</p></section>}
          {shown.connections?.map((connection) => (
            <Credentials key={connection.integration} account={id} path={`${path}/credentials/${part(connection.integration)}`} name={connection.integration} since={connection.created_at} onChange={usage.again} />
          ))}
          {may("admin") && <Sessions id={id} path={`${path}/sessions`} again={ended} />}
          {may("admin") && (
            <section class="block">
              <h3>End or delete</h3>
              <Problem text={error} />
              <div class="actions start">
                <button type="button" class="button" onClick={() => ask("sessions")}>End its sessions…</button>
                <button type="button" class="button danger-text" disabled={busy} onClick={() => void run(async () => ask(await remove<Deletion>(path, { dry_run: true })))}>Delete account…</button>
              </div>
            </section>
          )}
          {asking === "sessions" && (
            <Confirm
              title="End all sessions of this account?" action="End sessions" onClose={() => ask(undefined)}
              onConfirm={async () => {
                const { revoked } = await post<{ revoked: number }>(`${path}/revoke-sessions`);
                ask(undefined);
                setEnded(ended + 1);
                say(`${plural(revoked, "session")} ended`);
              }}
            >
              <p>Every session token of <span class="mono">{id}</span> is refused from now on.</p>
            </Confirm>
          )}
          {typeof asking === "object" && (
            <Confirm
              title="Delete this account?" action="Delete for good" onClose={() => ask(undefined)}
              onConfirm={async () => {
                await remove(path);
                say(`${id} is deleted`);
                onChange();
                onClose();
              }}
            >
              <p><span class="mono">{id}</span> goes with {plural(asking.values, "value")}, {plural(asking.credentials, "credential")}, its sessions and its data keys. This cannot be undone.</p>
            </Confirm>
          )}
        </>
      )}
    </Dialog>
  );
}

// Loaded again whenever `again` changes.
function Sessions({ id, path, again }: { id: string; path: string; again: number }) {
  const sessions = useLoad((signal) => get<Page<Session>>(path, {}, signal), [path, again]);
  const { busy, error, run } = useAction();
  const end = (id: string) => run(async () => {
    await remove(`${path}/${part(id)}`);
    say("The session is ended");
    sessions.again();
  });
  return (
    <section class="block">
      <h3>Sessions</h3>
      <Problem text={sessions.error} again={sessions.again} />
      <Problem text={error} />
      <Unreadable why={sessions.data?.unreadable} names={`strongroom account sessions ${id}`} />
      {sessions.data?.items.length === 0 && <p class="dim">None.</p>}
      <ul class="credentials">
        {sessions.data?.items.map((session) => (
          <li key={session.id}>
            <div class="row">
              <span class="mono">{session.id}</span>
              <button type="button" class="button small danger-text" aria-label={`End session ${session.id}`} disabled={busy} onClick={() => void end(session.id)}>End</button>
            </div>
            <p class="dim">Issued <Time at={session.issued_at} />, expires <Time at={session.expires_at} /></p>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Credentials({ account, path, name, since, onChange }: { account: string; path: string; name: string; since: string; onChange: () => void }) {
  const { may } = useMe();
  const { items, unreadable, error, loading, more, again } = useList<Credential>(path, {}, []);
  const [editing, edit] = useState<string>();
  const [asking, ask] = useState<string>();
  const [opened, open] = useState<string>();
  const [turn, setTurn] = useState(0);
  const changed = () => {
    again();
    setTurn(turn + 1);
    onChange();
  };
  return (
    <section class="block">
      <div class="row">
        <h3>Connection <span class="mono">{name}</span></h3>
        {may("write") && <button type="button" class="button small" onClick={() => edit("")}><Icon name="plus" /> Credential</button>}
      </div>
      <p class="dim">Since <Day at={since} /></p>
      <Problem text={error} again={again} />
      <Unreadable why={unreadable} names={`strongroom credential list --account ${account} --app ${name}`} />
      {items?.length === 0 && <p class="dim">No credentials.</p>}
      <ul class="credentials">
        {items?.map((credential) => (
          <li key={credential.id}>
            <div class="row">
              <strong class="mono">{credential.key}</strong>
              <button type="button" class="button small" aria-label={`History of ${credential.key}`} aria-expanded={opened === credential.key} onClick={() => open(opened === credential.key ? undefined : credential.key)}>History</button>
              {may("write") && (
                <span class="row-tools">
                  <button type="button" class="button small" aria-label={`Replace ${credential.key}`} onClick={() => edit(credential.key)}>Replace</button>
                  <button type="button" class="button small danger-text" aria-label={`Delete ${credential.key}`} onClick={() => ask(credential.key)}>Delete</button>
                </span>
              )}
            </div>
            <Secret label={credential.key} allowed={may("reveal")} load={async () => (await get<{ value: string }>(`${path}/${part(credential.key)}`)).value} />
            <p class="dim">Set <Time at={credential.updated_at} />{credential.author !== null && <> by <span class="mono">{credential.author}</span></>}</p>
            {opened === credential.key && <History path={`${path}/${part(credential.key)}`} scope={{}} turn={turn} onChange={changed} />}
          </li>
        ))}
      </ul>
      {more && <button type="button" class="button small" disabled={loading} onClick={more}>More credentials</button>}
      {editing !== undefined && <SetCredential path={path} name={editing} onClose={() => edit(undefined)} onDone={() => { edit(undefined); changed(); }} />}
      {asking !== undefined && (
        <Confirm
          title={`Delete ${asking}?`} action="Delete" onClose={() => ask(undefined)}
          onConfirm={async () => {
            await remove(`${path}/${part(asking)}`);
            ask(undefined);
            say("The credential is deleted");
            changed();
          }}
        >
          <p>Whatever uses this credential of the account stops working. <span class="mono">strongroom credential undo</span> brings it back, if versions of it are kept.</p>
        </Confirm>
      )}
    </section>
  );
}

function SetCredential({ path, name, onClose, onDone }: { path: string; name: string; onClose: () => void; onDone: () => void }) {
  const [key, setKey] = useState(name);
  const [value, setValue] = useState("");
  const { busy, error, run } = useAction();
  const submit = () => run(async () => {
    await put(`${path}/${part(key)}`, { value });
    setValue("");
    say("The credential is set");
    onDone();
  });
  const title = name === "" ? "New credential" : `Replace ${name}`;
  return (
    <Dialog title={title} label={title} onClose={onClose}>
      <form onSubmit={(event) => { event.preventDefault(); void submit(); }}>
        {name === "" && (
          <Field label="Name">
            {(ids) => <input {...ids} class="mono" required spellcheck={false} autocomplete="off" placeholder="api_key" value={key} onInput={(event) => setKey(event.currentTarget.value)} />}
          </Field>
        )}
        <Field label="Credential" hint="It is sealed, and shown only to who may reveal it.">
          {(ids) => <textarea {...ids} class="mono veiled" required rows={3} spellcheck={false} autocomplete="off" value={value} onInput={(event) => setValue(event.currentTarget.value)} />}
        </Field>
        <Problem text={error} />
        <div class="actions">
          <button type="button" class="button" onClick={onClose}>Cancel</button>
          <button type="submit" class="button primary" disabled={busy || key === "" || value === ""}>Save</button>
        </div>
      </form>
    </Dialog>
  );
}

