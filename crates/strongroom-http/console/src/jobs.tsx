import { useEffect, useState } from "preact/hooks";
import { get, part, patch, post } from "./api";
import { useMe } from "./app";
import { useAction, useLoad } from "./hooks";
import type { Job, Page, Settings, Slot, Task } from "./types";
import { Badge, Bar, Confirm, Day, Dialog, Field, plural, Problem, say, Time } from "./ui";

/** Jobs, rotation and checks with their progress, key slots, and the settings of the vault. */
export function Jobs() {
  const tasks = useLoad((signal) => get<Task[]>("/tasks", {}, signal), []);
  const jobs = useLoad((signal) => get<Page<Job>>("/jobs", { limit: 100 }, signal), []);
  const slots = useLoad((signal) => get<Slot[] | Page<Slot>>("/slots", {}, signal), []);
  const [rotating, setRotating] = useState(false);
  const { busy, error, run } = useAction();
  const running = tasks.data?.some((task) => task.state === "running") ?? false;
  useEffect(() => {
    if (!running) return;
    const timer = setInterval(() => {
      tasks.again();
      jobs.again();
    }, 1000);
    return () => clearInterval(timer);
  }, [running]);
  const start = (path: string, body: unknown = {}) => run(async () => {
    const task = await post<Task>(path, body);
    say(`${KINDS[task.kind] ?? task.kind} has begun`);
    tasks.again();
  });
  return (
    <>
      <div class="head">
        <div>
          <h1>Maintenance</h1>
          <p class="dim">Of the whole vault, for all its orgs. It goes on without this page.</p>
        </div>
      </div>
      <Problem text={error} />
      <div class="cards">
        <section class="panel">
          <h2>Rotate data keys</h2>
          <p class="dim">New keys seal every row again. Everything stays readable meanwhile.</p>
          <button type="button" class="button" disabled={busy} onClick={() => setRotating(true)}>Rotate…</button>
        </section>
        <section class="panel">
          <h2>Check every row</h2>
          <p class="dim">Opens each row and says which are damaged or misplaced.</p>
          <button type="button" class="button" disabled={busy} onClick={() => void start("/verify")}>Check now</button>
        </section>
        <section class="panel">
          <h2>Run jobs</h2>
          <p class="dim">Goes on with unfinished deletions and rotations.</p>
          <button type="button" class="button" disabled={busy} onClick={() => void start("/jobs/run")}>Run now</button>
        </section>
      </div>

      <section class="panel">
        <h2>Progress</h2>
        <Problem text={tasks.error} again={tasks.again} />
        {tasks.data?.length === 0 && <p class="dim">Nothing was started since the service began.</p>}
        <ul class="tasks">
          {tasks.data?.slice().reverse().map((task) => (
            <li key={task.id}>
              <div class="row">
                <strong>{KINDS[task.kind] ?? task.kind}</strong>
                <Badge tone={task.state === "failed" ? "danger" : task.state === "running" ? "info" : "good"}>{task.state}</Badge>
              </div>
              {task.state === "running" && <Bar label={KINDS[task.kind] ?? task.kind} done={task.done} total={task.total} />}
              <p class="dim">
                {task.message ?? (task.total === null ? plural(task.done, "row") : `${task.done.toLocaleString()} of ${plural(task.total, "row")}`)}
                {" · "}<Time at={task.started_at} />
              </p>
              {task.findings.length > 0 && <ul class="findings">{task.findings.map((finding, index) => <li key={index} class="mono">{finding.message}</li>)}</ul>}
            </li>
          ))}
        </ul>
      </section>

      <section class="panel">
        <h2>Unfinished jobs</h2>
        <Problem text={jobs.error} again={jobs.again} />
        {jobs.data?.items.length === 0 && <p class="dim">None.</p>}
        {jobs.data && jobs.data.items.length > 0 && (
          <ul class="tasks">{jobs.data.items.map((job) => <JobLine key={job.id} job={job} onChange={jobs.again} />)}</ul>
        )}
      </section>

      <SettingsPanel />

      <section class="panel">
        <h2>Key slots</h2>
        <p class="dim">What opens the vault. Slots are added, and the root key is rotated, on the command line.</p>
        <Problem text={slots.error} again={slots.again} />
        <ul class="slots">
          {(Array.isArray(slots.data) ? slots.data : slots.data?.items)?.map((slot) => (
            <li key={slot.id}>
              <strong>{slot.opened_by}</strong>{" "}
              {!slot.usable && <Badge tone="danger">cannot be used</Badge>}
              <p class="dim">{slot.kind.replaceAll("_", " ")} · since <Day at={slot.since} /> · <span class="mono">{slot.id}</span></p>
            </li>
          ))}
        </ul>
      </section>
      {rotating && <Rotate onClose={() => setRotating(false)} onStart={(body) => { setRotating(false); void start("/rotate", body); }} />}
    </>
  );
}

const KINDS: Record<string, string> = {
  rotate: "Rotation of data keys",
  verify: "Check of every row",
  jobs: "Jobs",
};

function JobLine({ job, onChange }: { job: Job; onChange: () => void }) {
  const [asking, ask] = useState(false);
  const { busy, error, run } = useAction();
  const act = (action: string) => run(async () => {
    await post(`/jobs/${part(job.id)}`, { action });
    say(`Done: ${action}`);
    onChange();
  });
  // Only jobs on keys can be told what to do.
  const onKeys = job.kind === "data_keys" || job.kind === "root";
  return (
    <li>
      <div class="row">
        <strong>{job.kind.replaceAll("_", " ")}</strong>
        <Badge tone={job.state === "blocked" ? "danger" : "info"}>{job.state}</Badge>
      </div>
      {job.progress !== null && <Bar label={`Job ${job.id}`} done={job.progress.rows} total={job.progress.rows_total} />}
      <p class="dim mono">{[job.org_id, job.environment, job.linked_account_id].filter(Boolean).join(" · ")}</p>
      <Problem text={error} />
      {onKeys && (
        <div class="actions start">
          {job.state === "paused"
            ? <button type="button" class="button small" disabled={busy} onClick={() => void act("resume")}>Resume</button>
            : <button type="button" class="button small" disabled={busy} onClick={() => void act("pause")}>Pause</button>}
          {job.state === "blocked" && <button type="button" class="button small" disabled={busy} onClick={() => void act("retry")}>Retry</button>}
          <button type="button" class="button small danger-text" disabled={busy} onClick={() => ask(true)}>Abandon…</button>
        </div>
      )}
      {asking && (
        <Confirm title="Abandon this job?" action="Abandon" onClose={() => ask(false)} onConfirm={async () => { await post(`/jobs/${part(job.id)}`, { action: "abandon" }); ask(false); onChange(); }}>
          <p>What it has done stays done; the rest keeps its old keys.</p>
        </Confirm>
      )}
    </li>
  );
}

function Rotate({ onClose, onStart }: { onClose: () => void; onStart: (body: unknown) => void }) {
  const { status } = useMe();
  const [which, setWhich] = useState("org");
  const [account, setAccount] = useState("");
  const [days, setDays] = useState("");
  const body = {
    ...(which === "all" && { all: true }),
    ...(which === "account" && { linked_account_id: account.trim() }),
    ...(days !== "" && { older_than_secs: Number(days) * 86400 }),
  };
  return (
    <Dialog title="Rotate data keys" label="Rotate data keys" onClose={onClose}>
      <form onSubmit={(event) => { event.preventDefault(); onStart(body); }}>
        <Field label="Which keys">
          {(ids) => (
            <select {...ids} value={which} onChange={(event) => setWhich(event.currentTarget.value)}>
              <option value="org">Those of this org in {status.environment}</option>
              <option value="account">That of one account</option>
              <option value="all">Those of all orgs and environments</option>
            </select>
          )}
        </Field>
        {which === "account" && (
          <Field label="Account id">
            {(ids) => <input {...ids} class="mono" required value={account} onInput={(event) => setAccount(event.currentTarget.value)} />}
          </Field>
        )}
        <Field label="Only keys older than" hint="In days. Empty for all.">
          {(ids) => <input {...ids} type="number" min="0" max="36500" value={days} onInput={(event) => setDays(event.currentTarget.value)} />}
        </Field>
        <div class="actions">
          <button type="button" class="button" onClick={onClose}>Cancel</button>
          <button type="submit" class="button primary">Rotate</button>
        </div>
      </form>
    </Dialog>
  );
}

function SettingsPanel() {
  const { status, refresh } = useMe();
  const { busy, error, run } = useAction();
  const set = (change: Partial<Settings>) => run(async () => {
    await patch<Settings>("/settings", change);
    await refresh();
    say("The setting is changed");
  });
  return (
    <section class="panel">
      <h2>Settings of the vault</h2>
      <Problem text={error} />
      <div class="checks">
        <label class="check">
          <input type="checkbox" checked={status.settings.audit} disabled={busy || status.settings.audit} onChange={(event) => void set({ audit: event.currentTarget.checked })} />
          <span><strong>Audit</strong> <span class="dim">notes every write, and every time that something is revealed; turned off with the command line only</span></span>
        </label>
        <label class="check">
          <input type="checkbox" checked={status.settings.generations} disabled={busy} onChange={(event) => void set({ generations: event.currentTarget.checked })} />
          <span><strong>Generations</strong> <span class="dim">counts the changes of what an org’s runs see, for caches</span></span>
        </label>
      </div>
    </section>
  );
}

