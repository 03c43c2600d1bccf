import { useState } from "preact/hooks";
import { post } from "./api";
import { useAction } from "./hooks";
import type { Definition } from "./types";
import { Dialog, Field, Problem, say } from "./ui";

export const FORMATS = [
  "string", "number", "integer", "boolean", "url", "uri", "connection_string", "json", "uuid", "email", "hostname",
  "hostname_with_underscore", "ip", "duration", "date_time", "semver", "base64", "bytes", "pem", "pem_strict", "enum",
  "pattern",
];

/** A format as the service reads it: its name, or an object for one with parameters. */
export function format(name: string, detail: string): unknown {
  if (name === "enum") return { enum: detail.split("\n").map((line) => line.trim()).filter((line) => line !== "") };
  if (name === "pattern") return { pattern: { pattern: detail.trim() } };
  return name;
}

interface FormatFieldsProps {
  name: string;
  detail: string;
  onName: (name: string) => void;
  onDetail: (detail: string) => void;
}

export function FormatFields({ name, detail, onName, onDetail }: FormatFieldsProps) {
  const names = FORMATS.includes(name) ? FORMATS : [name, ...FORMATS];
  return (
    <>
      <Field label="Format">
        {(ids) => (
          <select {...ids} value={name} onChange={(event) => onName(event.currentTarget.value)}>
            {names.map((name) => <option key={name} value={name}>{name.replaceAll("_", " ")}</option>)}
          </select>
        )}
      </Field>
      {name === "enum" && (
        <Field label="Allowed values" hint="One on each line.">
          {(ids) => <textarea {...ids} class="mono" rows={4} value={detail} onInput={(event) => onDetail(event.currentTarget.value)} />}
        </Field>
      )}
      {name === "pattern" && (
        <Field label="Pattern" hint="A regular expression that matches the whole value.">
          {(ids) => <input {...ids} class="mono" value={detail} onInput={(event) => onDetail(event.currentTarget.value)} />}
        </Field>
      )}
    </>
  );
}

/** A new variable. */
export function Define({ onClose, onDone }: { onClose: () => void; onDone: (name: string) => void }) {
  const [name, setName] = useState("");
  const [description, setDescription] = useState("");
  const [kind, setKind] = useState("string");
  const [detail, setDetail] = useState("");
  const [encrypted, setEncrypted] = useState(true);
  const [required, setRequired] = useState(false);
  const [fallback, setFallback] = useState("");
  const [scopes, setScopes] = useState(["org", "linked_account", "workflow"]);
  const { busy, error, run } = useAction();
  const submit = () => run(async () => {
    const made = await post<Definition>("/definitions", {
      name, var_format: format(kind, detail), encrypted, required, scopes,
      ...(description !== "" && { description }),
      ...(fallback !== "" && { default: fallback }),
    });
    say(`${made.name} is defined`);
    onDone(made.name);
  });
  const toggle = (scope: string) => setScopes(scopes.includes(scope) ? scopes.filter((one) => one !== scope) : [...scopes, scope]);
  return (
    <Dialog title="New variable" label="New variable" onClose={onClose}>
      <form onSubmit={(event) => { event.preventDefault(); void submit(); }}>
        <Field label="Name">
          {(ids) => <input {...ids} class="mono" required autocomplete="off" spellcheck={false} placeholder="API_BASE_URL" value={name} onInput={(event) => setName(event.currentTarget.value)} />}
        </Field>
        <Field label="Description">
          {(ids) => <input {...ids} placeholder="What it is for" value={description} onInput={(event) => setDescription(event.currentTarget.value)} />}
        </Field>
        <FormatFields name={kind} detail={detail} onName={setKind} onDetail={setDetail} />
        <Field label="Default" hint="What is seen where no scope has a value. Never a secret.">
          {(ids) => <input {...ids} class="mono" value={fallback} onInput={(event) => setFallback(event.currentTarget.value)} />}
        </Field>
        <fieldset class="checks">
          <legend>Values are allowed at</legend>
          {[["org", "the org"], ["linked_account", "accounts"], ["workflow", "workflows"]].map(([scope, label]) => (
            <label class="check" key={scope}><input type="checkbox" checked={scopes.includes(scope!)} onChange={() => toggle(scope!)} /> {label}</label>
          ))}
        </fieldset>
        <div class="checks">
          <label class="check"><input type="checkbox" checked={encrypted} onChange={(event) => setEncrypted(event.currentTarget.checked)} /> Encrypted: shown only on request, with the right to reveal</label>
          <label class="check"><input type="checkbox" checked={required} onChange={(event) => setRequired(event.currentTarget.checked)} /> Required: reported where it has no value</label>
        </div>
        <Problem text={error} />
        <div class="actions">
          <button type="button" class="button" onClick={onClose}>Cancel</button>
          <button type="submit" class="button primary" disabled={busy || name === "" || scopes.length === 0}>Define</button>
        </div>
      </form>
    </Dialog>
  );
}
