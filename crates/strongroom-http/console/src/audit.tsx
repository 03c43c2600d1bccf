import { useState } from "preact/hooks";
import { useMe } from "./app";
import { link, useSettled } from "./hooks";
import { useList } from "./list";
import type { AuditEvent } from "./types";
import { Empty, Field, Loading, Problem, Time } from "./ui";

/** Who changed what. */
export function Audit() {
  const { status, may } = useMe();
  const [actor, setActor] = useState("");
  const [account, setAccount] = useState("");
  const [since, setSince] = useState("");
  const [until, setUntil] = useState("");
  const query = {
    actor: useSettled(actor.trim()), linked_account_id: useSettled(account.trim()),
    newest_first: "true",
    since: since === "" ? "" : `${since}T00:00:00Z`, until: until === "" ? "" : `${until}T00:00:00Z`,
  };
  const list = useList<AuditEvent>("/audit", query, Object.values(query));
  const filtered = [actor.trim(), account.trim(), since, until].some((value) => value !== "");
  return (
    <>
      <div class="head">
        <div>
          <h1>Audit</h1>
          <p class="dim">Every write, sealed with who made it. It names what changed, never a value.</p>
        </div>
      </div>
      {!status.settings.audit && (
        <div class="notice">This vault keeps no audit. {may("operate") ? <a href={link(["jobs"])}>Turn it on in its settings</a> : "Somebody with the right operate can turn it on"}; it begins then.</div>
      )}
      <div class="filters fields">
        <Field label="Actor">{(ids) => <input {...ids} class="mono" spellcheck={false} placeholder="api-key:…" value={actor} onInput={(event) => setActor(event.currentTarget.value)} />}</Field>
        <Field label="Account">{(ids) => <input {...ids} class="mono" spellcheck={false} value={account} onInput={(event) => setAccount(event.currentTarget.value)} />}</Field>
        <Field label="Since">{(ids) => <input {...ids} type="date" value={since} onInput={(event) => setSince(event.currentTarget.value)} />}</Field>
        <Field label="Before">{(ids) => <input {...ids} type="date" value={until} onInput={(event) => setUntil(event.currentTarget.value)} />}</Field>
      </div>
      <Problem text={list.error} again={list.again} />
      {list.items === undefined ? list.error === undefined && <Loading /> : list.items.length === 0 ? (
        <Empty title={filtered ? "No event matches" : "No events yet"} />
      ) : (
        <div class="table-box" tabIndex={0} role="region" aria-label="Audit events">
          <table class="list">
            <thead><tr><th scope="col">When</th><th scope="col">Who</th><th scope="col">What</th><th scope="col">Request</th></tr></thead>
            <tbody>
              {list.items.map((event) => (
                <tr key={event.id}>
                  <td class="nowrap" data-label="When"><Time at={event.at} /></td>
                  <td class="mono" data-label="Who">{event.actor ?? <span class="dim">unknown</span>}</td>
                  <td data-label="What">
                    <ul class="changes">
                      {event.unreadable !== undefined && <li>cannot be read: {event.unreadable}</li>}
                      {event.changes.map((change, index) => (
                        <li key={index}>
                          <What kind={change.kind} name={change.name} />
                          {change.linked_account_id !== null && <span class="dim"> of <span class="mono">{change.linked_account_id}</span></span>}
                          {change.workflow_id !== null && <span class="dim"> of workflow <span class="mono">{change.workflow_id}</span></span>}
                        </li>
                      ))}
                    </ul>
                  </td>
                  <td class="mono dim" data-label="Request">{event.request_id ?? ""}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {list.more && <button type="button" class="button" disabled={list.loading} onClick={list.more}>Older events</button>}
    </>
  );
}

function What({ kind, name }: { kind: string; name: string | null }) {
  const words = RECORDS[`${kind} ${name}`];
  if (words !== undefined) return <>{words}</>;
  return <>{kind}{name !== null && <> <span class="mono">{name}</span></>}</>;
}

// The service's own records, which are named by their namespace.
const RECORDS: Record<string, string> = {
  "Record Put api-key-use": "API Key Used, the first time on this day",
  "Record Deleted api-key-use": "API Key Use Forgotten",
};
