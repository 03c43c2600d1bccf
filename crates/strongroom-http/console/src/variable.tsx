import { useEffect, useState } from "preact/hooks";
import { get, part, patch, post, put, Refused, remove } from "./api";
import { useMe } from "./app";
import { format, FormatFields } from "./define";
import { go, useAction, useLoad, useSettled } from "./hooks";
import type { BatchDone, Column, Definition, Deletion, Page, Plan, Step, Trace, Value, Version } from "./types";
import { Badge, Confirm, Dialog, Field, Icon, Loading, plural, Problem, say, Secret, Time } from "./ui";

interface Scope {
  linked_account_id?: string | undefined;
  workflow_id?: string | undefined;
}

interface VariableProps {
  name: string;
  account: string | undefined;
  workflow: string | undefined;
  known: Column[];
  onChange: () => void;
  onClose: () => void;
}

/** One variable: why an account sees what it sees, its value at one scope with its history, and its definition. */
export function Variable({ name, account, workflow, known, onChange, onClose }: VariableProps) {
  const { may } = useMe();
  const [turn, next] = useState(0);
  const [asked, ask] = useState(account ?? "");
  const [run, setRun] = useState(workflow ?? "");
  const definition = useLoad((signal) => get<Definition>(`/definitions/${part(name)}`, {}, signal), [name, turn]);
  // What is looked at and changed is the most specific place that was asked for.
  const scope: Scope = workflow !== undefined ? { workflow_id: workflow } : { linked_account_id: account };
  const changed = () => {
    next((turn) => turn + 1);
    onChange();
  };
  const shown = definition.data;
  return (
    <Dialog side label={`Variable ${name}`} title={<span class="mono">{name}</span>} onClose={onClose}>
      <Problem text={definition.error} again={definition.again} />
      {shown === undefined ? definition.error === undefined && <Loading /> : (
        <>
          <div class="badges">
            <Badge>{shown.var_format.replaceAll("_", " ")}</Badge>
            {shown.encrypted && <Badge tone="info"><Icon name="lock" /> encrypted</Badge>}
            {shown.required && <Badge tone="warn">required</Badge>}
            {shown.scopes.map((scope) => <Badge key={scope}>{scope.replaceAll("_", " ")}</Badge>)}
          </div>
          {shown.description !== null && <p class="description">{shown.description}</p>}
          <form class="at" onSubmit={(event) => { event.preventDefault(); go(["variables", name], { account: asked.trim(), workflow: run.trim() }); }}>
            <Field label="As seen by the account">
              {(ids) => (
                <input {...ids} class="mono" list="drawer-accounts" placeholder="the org" spellcheck={false} autocomplete="off" value={asked} onInput={(event) => ask(event.currentTarget.value)} />
              )}
            </Field>
            <datalist id="drawer-accounts">
              {known.map((column) => column.linked_account_id && <option key={column.linked_account_id} value={column.linked_account_id} />)}
            </datalist>
            <Field label="in the workflow">
              {(ids) => <input {...ids} class="mono" placeholder="none" spellcheck={false} autocomplete="off" value={run} onInput={(event) => setRun(event.currentTarget.value)} />}
            </Field>
            <button type="submit" class="button">Show</button>
          </form>
          <Explain definition={shown} account={account} workflow={workflow} turn={turn} />
          <AtScope definition={shown} scope={scope} turn={turn} onChange={changed} />
          {may("write") && <Change definition={shown} onChange={changed} />}
          {may("admin") && <Delete definition={shown} onGone={() => { onChange(); onClose(); }} />}
        </>
      )}
    </Dialog>
  );
}

/** Every place where a value is looked for, the most specific first. */
function Explain({ definition, account, workflow, turn }: {
  definition: Definition;
  account: string | undefined;
  workflow: string | undefined;
  turn: number;
}) {
  const name = definition.name;
  const { data, error, again } = useLoad(
    async (signal) => {
      const trace = await get<Trace>(`/explain/${part(name)}`, { linked_account_id: account, workflow_id: workflow }, signal);
      const at = (step: Step): Scope => {
        if (step.scope === "workflow") return { workflow_id: workflow };
        return step.scope === "linked_account" ? { linked_account_id: account } : {};
      };
      const values = await Promise.all(trace.steps.map((step) => (
        step.outcome === "no value" || step.outcome === "unreadable" || step.scope === "default" || definition.encrypted
          ? undefined
          : get<Value>(`/values/${part(name)}`, { ...at(step) }, signal).catch(() => undefined)
      )));
      return { trace, values };
    },
    [name, account, workflow, turn],
  );
  return (
    <section class="block">
      <h3>Where its value comes from</h3>
      <Problem text={error} again={again} />
      {data && (
        <ol class="steps">
          {data.trace.steps.map((step, index) => (
            <li key={step.at} class={step.outcome.replace(" ", "-")}>
              <div class="step-head">
                <strong>{title(step)}</strong>
                <Badge tone={TONES[step.outcome]}>{OUTCOMES[step.outcome]}</Badge>
              </div>
              {step.unreadable !== undefined && (
                <>
                  <p class="wrong">{step.unreadable}</p>
                  {!isHere(step, account, workflow) && (
                    <button type="button" class="button small" onClick={() => go(["variables", name], placeOf(step, account, workflow))}>
                      Open it at {placeName(step)} to repair it
                    </button>
                  )}
                </>
              )}
              {step.outcome !== "no value" && (step.scope === "default"
                ? <code class="value">{definition.default ?? ""}</code>
                : data.values[index]?.value !== undefined && data.values[index]?.value !== null && <code class="value">{data.values[index]!.value}</code>)}
              {(step.author !== null || step.note !== null) && (
                <p class="dim">{step.author !== null && <>set by <span class="mono">{step.author}</span></>}{step.note !== null && <> “{step.note}”</>}</p>
              )}
              {step.grandfathered && <p class="wrong">It is from before the format was changed, and does not match it.</p>}
            </li>
          ))}
        </ol>
      )}
      {data && data.trace.scope === null && <p class="dim">Nothing here has a value.</p>}
    </section>
  );
}

const TONES = { found: "good", shadowed: "warn", "no value": "plain", unreadable: "danger" } as const;
const OUTCOMES = { found: "this one counts", shadowed: "overridden", "no value": "no value", unreadable: "cannot be read" } as const;

/** The place of a step, as the address of this page has it. */
function placeOf(step: Step, account: string | undefined, workflow: string | undefined) {
  return {
    account: step.scope === "linked_account" ? account : undefined,
    workflow: step.scope === "workflow" ? workflow : undefined,
  };
}

/** Whether what is shown below is the value of this step. */
function isHere(step: Step, account: string | undefined, workflow: string | undefined): boolean {
  if (workflow !== undefined) return step.scope === "workflow";
  return step.scope === (account !== undefined ? "linked_account" : "org");
}

function placeName(step: Step): string {
  return step.scope === "org" ? "the org" : step.at.replace(/^linked_account /, "").replace(/^workflow /, "");
}

function title(step: Step): string {
  if (step.scope === "org") return "Org";
  if (step.scope === "default") return "Default of the definition";
  return step.at.replace(/^linked_account /, "Account ").replace(/^workflow /, "Workflow ");
}

function wanted(format: string): string {
  if (format === "string") return "Any text.";
  return `It has to be a valid ${format.replaceAll("_", " ")}.`;
}

/** The value at exactly one scope: look at it, change it, bring an earlier one back. */
function AtScope({ definition, scope, turn, onChange }: { definition: Definition; scope: Scope; turn: number; onChange: () => void }) {
  const { may } = useMe();
  const path = `/values/${part(definition.name)}`;
  const where = scope.workflow_id ?? scope.linked_account_id ?? "the org";
  const kind = scope.workflow_id !== undefined ? "workflow" : scope.linked_account_id !== undefined ? "linked_account" : "org";
  const current = useLoad(
    (signal) => get<Value>(path, { ...scope }, signal).then((value) => ({ value, damage: undefined }), (error) => {
      if (error instanceof Refused && error.status === 404) return { value: null, damage: undefined };
      if (error instanceof Refused && error.reason === "damaged") return { value: undefined, damage: error.message };
      throw error;
    }),
    [path, where, turn],
  );
  const [asking, ask] = useState(false);
  const { value, damage } = current.data ?? {};
  if (!definition.scopes.includes(kind)) {
    return <section class="block"><h3>Value of {where}</h3><p class="dim">The definition allows no value here.</p></section>;
  }
  return (
    <section class="block">
      <h3>Value of {where === "the org" ? where : <span class="mono">{where}</span>}</h3>
      <Problem text={current.error} again={current.again} />
      <Problem text={damage} />
      {damage !== undefined && (
        <p>
          It cannot be read. {may("write") && <>Restore one of its versions, or remove it and set it again. </>}
          <code>strongroom verify</code> names all damaged rows, and a backup has them whole.
        </p>
      )}
      {value === null && <p class="dim">None is set here.</p>}
      {value && (
        <>
          {definition.encrypted && (
            <Secret label={`${definition.name} of ${where}`} allowed={may("reveal")} load={async () => (await get<Value>(path, { ...scope, reveal: true })).value ?? ""} />
          )}
          <p class="dim">Set <Time at={value.updated_at} />{value.author !== null && <> by <span class="mono">{value.author}</span></>}</p>
        </>
      )}
      {value !== undefined && may("write") && (
        <Edit key={`${value?.version ?? ""}`} definition={definition} scope={scope} value={value} onChange={onChange} />
      )}
      {(value || damage !== undefined) && may("write") && <button type="button" class="button small danger-text" onClick={() => ask(true)}>Remove this value</button>}
      <History path={path} scope={scope} turn={turn} onChange={onChange} />
      {asking && (
        <Confirm
          title="Remove the value?" action="Remove"
          onClose={() => ask(false)}
          onConfirm={async () => {
            // One that cannot be read goes with its versions, or not at all.
            await remove(path, { ...scope, purge: damage !== undefined || undefined });
            ask(false);
            say("The value is removed");
            onChange();
          }}
        >
          <p>{where === "the org" ? "Accounts without a value of their own will see the default, or none." : <><span class="mono">{where}</span> will see the next less specific value, if there is one.</>} {damage === undefined ? "The history keeps it: it can be brought back." : "Its versions go with it, for good."}</p>
        </Confirm>
      )}
    </section>
  );
}

function Edit({ definition, scope, value, onChange }: { definition: Definition; scope: Scope; value: Value | null; onChange: () => void }) {
  // What is encrypted is not loaded to be changed.
  const first = value === null || definition.encrypted ? "" : (value.value ?? "");
  const [text, setText] = useState(first);
  const [note, setNote] = useState("");
  const [touched, setTouched] = useState(false);
  const [verdict, setVerdict] = useState<string | null>();
  const settled = useSettled(text);
  const { busy, error, run } = useAction();
  useEffect(() => {
    if (!touched) return;
    const gone = new AbortController();
    const body = { ...scope, values: [{ name: definition.name, value: settled }], dry_run: true };
    post<BatchDone>("/values", body, gone.signal).then(
      (done) => setVerdict(done.refused[0]?.reason ?? null),
      () => setVerdict(undefined),
    );
    return () => gone.abort();
  }, [settled, touched]);
  const save = () => run(async () => {
    await put(`/values/${part(definition.name)}`, { ...scope, value: text, version: value?.version ?? "", ...(note !== "" && { note }) });
    setText("");
    setTouched(false);
    say("The value is set");
    onChange();
  });
  const wrong = typeof verdict === "string" && touched ? verdict : undefined;
  return (
    <form class="edit" onSubmit={(event) => { event.preventDefault(); void save(); }}>
      <Field
        label={value === null ? "Set a value" : "New value"} error={wrong}
        hint={touched && verdict === null ? <span class="right">This would be taken.</span> : wanted(definition.var_format)}
      >
        {(ids) => (
          <textarea
            {...ids} class={definition.encrypted ? "mono veiled" : "mono"} rows={Math.min(8, text.split("\n").length)} spellcheck={false} autocomplete="off"
            value={text}
            onInput={(event) => { setText(event.currentTarget.value); setTouched(true); }}
          />
        )}
      </Field>
      {touched && (
        <>
          <Field label="Note for the history" hint="Optional: why it changes.">
            {(ids) => <input {...ids} value={note} onInput={(event) => setNote(event.currentTarget.value)} />}
          </Field>
          <Problem text={error} />
          <div class="actions">
            <button type="button" class="button" onClick={() => { setText(first); setTouched(false); setVerdict(undefined); }}>Discard</button>
            <button type="submit" class="button primary" disabled={busy || wrong !== undefined || settled !== text}>Save</button>
          </div>
        </>
      )}
    </form>
  );
}

/** The versions of a value or credential. */
export function History({ path, scope, turn, onChange }: { path: string; scope: Scope; turn: number; onChange: () => void }) {
  const { may } = useMe();
  const [limit, setLimit] = useState(10);
  const { data, error, again } = useLoad(
    (signal) => get<Page<Version>>(`${path}/history`, { ...scope, limit }, signal).catch((error) => {
      if (error instanceof Refused && error.status === 404) return { items: [], next: null } as Page<Version>;
      throw error;
    }),
    [path, scope.linked_account_id, scope.workflow_id, limit, turn],
  );
  const { busy, error: refused, run } = useAction();
  const [asking, ask] = useState<() => Promise<void>>();
  const versions = data?.items ?? [];
  const damaged = versions[0]?.state === "unreadable" && { replace_damaged: true };
  // What cannot be read may be readable to somebody else: nothing takes its place unasked.
  const bring = (work: () => Promise<void>) => damaged ? ask(() => work) : void run(work);
  const undo = () => bring(async () => {
    await post(`${path}/undo`, { ...scope, ...damaged });
    say("The earlier value is back");
    onChange();
  });
  const restore = (version: Version) => bring(async () => {
    await post(`${path}/restore`, { ...scope, version: version.version, ...damaged });
    say("The version is back");
    onChange();
  });
  const canUndo = versions.slice(1).some((version) => version.state !== "deleted");
  return (
    <div class="history">
      <div class="row">
        <h4>History</h4>
        {may("write") && canUndo && <button type="button" class="button small" disabled={busy} onClick={undo}><Icon name="undo" /> Undo the last change</button>}
      </div>
      <Problem text={error} again={again} />
      <Problem text={refused} />
      {data && versions.length === 0 && <p class="dim">Nothing was set here yet.</p>}
      <ol class="versions">
        {versions.map((version) => (
          <li key={version.version}>
            <div>
              <Badge tone={version.state === "current" ? "good" : version.state === "deleted" || version.state === "unreadable" ? "danger" : "plain"}>{version.state}</Badge>{" "}
              {version.written_at !== null && <Time at={version.written_at} />}
              {version.unreadable !== undefined && <p class="note">{version.unreadable}</p>}
              {version.author !== null && <span class="dim"> by <span class="mono">{version.author}</span></span>}
              {version.note !== null && <p class="note">“{version.note}”</p>}
              {version.state === "former" && may("reveal") && (
                <Secret
                  label={`version ${version.version}`}
                  load={async () => (await get<{ value: string | null }>(path, { ...scope, version: version.version })).value ?? ""}
                />
              )}
            </div>
            {may("write") && version.state === "former" && (
              <button type="button" class="button small" disabled={busy} aria-label={`Restore version ${version.version}`} onClick={() => restore(version)}>Restore</button>
            )}
          </li>
        ))}
      </ol>
      {data?.next != null && <button type="button" class="button small" onClick={() => setLimit(limit + 50)}>Older versions</button>}
      {asking !== undefined && (
        <Confirm
          title="Replace what cannot be read?" action="Replace" onClose={() => ask(undefined)}
          onConfirm={async () => {
            await asking();
            ask(undefined);
          }}
        >
          <p>The earlier version takes the place of the present one. What that held is lost here; a backup may have it.</p>
        </Confirm>
      )}
    </div>
  );
}

/** Changes the definition. A change of format is planned first: it says which values stand in its way. */
function Change({ definition, onChange }: { definition: Definition; onChange: () => void }) {
  const [description, setDescription] = useState(definition.description ?? "");
  const [fallback, setFallback] = useState(definition.default ?? "");
  const [required, setRequired] = useState(definition.required);
  const [encrypted, setEncrypted] = useState(definition.encrypted);
  const [kind, setKind] = useState(definition.var_format);
  const [detail, setDetail] = useState(parameters(definition));
  const [plan, setPlan] = useState<Plan>();
  const { busy, error, run } = useAction();
  const body = {
    ...((kind !== definition.var_format || detail !== parameters(definition)) && { var_format: format(kind, detail) }),
    ...(description !== (definition.description ?? "") && { description: description === "" ? null : description }),
    ...(fallback !== (definition.default ?? "") && { default: fallback === "" ? null : fallback }),
    ...(required !== definition.required && { required }),
    ...(encrypted && !definition.encrypted && { encrypted }),
  };
  const isSame = Object.keys(body).length === 0;
  const settled = useSettled(JSON.stringify(body), 300);
  useEffect(() => {
    setPlan(undefined);
    if (!settled.includes("var_format")) return;
    let gone = false;
    patch<Plan>(`/definitions/${part(definition.name)}`, { ...JSON.parse(settled), dry_run: true }).then(
      (plan) => !gone && setPlan(plan),
      () => undefined,
    );
    return () => { gone = true; };
  }, [settled]);
  const save = () => run(async () => {
    const done = await patch<Plan>(`/definitions/${part(definition.name)}`, body);
    if (!done.applied) {
      setPlan(done);
      return;
    }
    say("The definition is changed");
    onChange();
  });
  return (
    <details class="block">
      <summary><h3>Definition</h3></summary>
      <form onSubmit={(event) => { event.preventDefault(); void save(); }}>
        <Field label="Description">
          {(ids) => <input {...ids} value={description} onInput={(event) => setDescription(event.currentTarget.value)} />}
        </Field>
        <FormatFields name={kind} detail={detail} onName={(name) => { setKind(name); setDetail(name === definition.var_format ? parameters(definition) : ""); }} onDetail={setDetail} />
        <Field label="Default" hint="What is seen where no scope has a value. Never a secret.">
          {(ids) => <input {...ids} class="mono" value={fallback} onInput={(event) => setFallback(event.currentTarget.value)} />}
        </Field>
        <div class="checks">
          <label class="check"><input type="checkbox" checked={required} onChange={(event) => setRequired(event.currentTarget.checked)} /> Required</label>
          <label class="check"><input type="checkbox" checked={encrypted} disabled={definition.encrypted} onChange={(event) => setEncrypted(event.currentTarget.checked)} /> Encrypted{definition.encrypted ? "" : " (cannot be taken back)"}</label>
        </div>
        {plan !== undefined && plan.refused.length > 0 && (
          <div class="problem" role="alert">
            <div>
              <strong>{plural(plan.refused.length, "value")} would not match:</strong>
              <ul>
                {plan.refused.slice(0, 5).map((one) => <li key={`${one.linked_account_id} ${one.workflow_id}`}><span class="mono">{one.linked_account_id ?? one.workflow_id ?? "org"}</span>: {one.reason}</li>)}
              </ul>
            </div>
          </div>
        )}
        {plan !== undefined && plan.refused.length === 0 && <p class="right">All stored values match the new format.</p>}
        <Problem text={error} />
        <div class="actions">
          <button type="submit" class="button primary" disabled={busy || isSame || (plan !== undefined && plan.refused.length > 0)}>Save definition</button>
        </div>
      </form>
    </details>
  );
}

function parameters(definition: Definition): string {
  const found = definition.parameters;
  if (typeof found !== "object" || found === null) return "";
  const inner = Object.values(found)[0] as unknown;
  if (Array.isArray(inner)) return inner.join("\n");
  return typeof inner === "string" ? inner : "";
}

function Delete({ definition, onGone }: { definition: Definition; onGone: () => void }) {
  const [plan, setPlan] = useState<Deletion>();
  const { busy, error, run } = useAction();
  const path = `/definitions/${part(definition.name)}`;
  return (
    <section class="block">
      <Problem text={error} />
      <button type="button" class="button danger-text" disabled={busy} onClick={() => void run(async () => setPlan(await remove<Deletion>(path, { dry_run: true })))}>Delete this variable…</button>
      {plan !== undefined && (
        <Confirm
          title={`Delete ${definition.name}?`} action="Delete for good" onClose={() => setPlan(undefined)}
          onConfirm={async () => {
            await remove(path);
            say(`${definition.name} is deleted`);
            onGone();
          }}
        >
          <p>{plan.values === 0 ? "It has no values." : <>{plural(plan.values, "value")} of all scopes will go with it, for good.</>} The definition itself comes back with <span class="mono">strongroom undo {definition.name} --definition</span>.</p>
        </Confirm>
      )}
    </section>
  );
}
