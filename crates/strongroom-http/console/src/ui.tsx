import type { ComponentChildren, TargetedMouseEvent } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { reason } from "./api";

/** How long something secret stays in the page. */
export const SHOWN_SECS = 30;

export function Icon({ name }: { name: keyof typeof PATHS }) {
  return (
    <svg class="icon" viewBox="0 0 20 20" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}

const PATHS = {
  variables: "M3 4h14M3 10h14M3 16h14M8 4v12",
  accounts: "M10 10a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7ZM3.5 17c.6-3.4 3.2-5 6.5-5s5.9 1.6 6.5 5",
  keys: "M12.5 11a4 4 0 1 0-3.8-2.700L3 14v3h3v-2h2v-2h2l.7-.700M13.5 6.5h.01",
  jobs: "M10 3v3M10 14v3M3 10h3M14 10h3M5 5l2.2 2.200M12.8 12.8 15 15M15 5l-2.2 2.200M7.2 12.8 5 15",
  audit: "M5 3h8l3 3v11H5ZM8 9h5M8 12h5",
  status: "M3 10h3l2-5 4 10 2-5h3",
  close: "M5 5l10 10M15 5 5 15",
  lock: "M5.5 9h9v7.5h-9ZM7 9V6.5a3 3 0 0 1 6 0V9",
  undo: "M8 4 4 8l4 4M4 8h8a4 4 0 0 1 0 8H9",
  search: "M9 14.5a5.5 5.5 0 1 0 0-11 5.5 5.5 0 0 0 0 11ZM13 13l4 4",
  out: "M8 4H4v12h4M12 6.5 15.5 10 12 13.5M15.5 10H8",
  plus: "M10 4v12M4 10h12",
};

export function Badge({ tone = "plain", children }: { tone?: string; children: ComponentChildren }) {
  return <span class={`badge ${tone}`}>{children}</span>;
}

export function Problem({ text, again }: { text: string | undefined; again?: () => void }) {
  if (text === undefined) return null;
  return (
    <div class="problem" role="alert">
      <span>{text}</span>
      {again && <button type="button" class="button small" onClick={again}>Try again</button>}
    </div>
  );
}

/** What a list leaves out since it cannot be read, and which command names it with what to do. */
export function Unreadable({ why = [], names }: { why: string[] | undefined; names: string }) {
  if (why.length === 0) return null;
  return (
    <div class="problem" role="alert">
      <div>
        <p>Not shown, since {why.length === 1 ? "it" : "they"} cannot be read:</p>
        <ul>{why.map((one) => <li key={one}>{one}</li>)}</ul>
        <p><code>{names}</code> says how to repair or remove what is left.</p>
      </div>
    </div>
  );
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <h3>{title}</h3>
      {children}
    </div>
  );
}

export function Loading() {
  return <p class="loading" role="status">Loading…</p>;
}

export function Time({ at }: { at: string | null }) {
  if (at === null) return <span class="dim">never</span>;
  const moment = new Date(at);
  return <time dateTime={at} title={at}>{moment.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" })}</time>;
}

export function Day({ at }: { at: string | null }) {
  if (at === null) return <span class="dim">never</span>;
  return <time dateTime={at} title={at}>{new Date(at).toLocaleDateString(undefined, { dateStyle: "medium" })}</time>;
}

interface FieldProps {
  label: string;
  hint?: ComponentChildren;
  error?: string | undefined;
  children: (ids: { id: string; "aria-describedby"?: string; "aria-invalid"?: "true" }) => ComponentChildren;
}

/** A labelled control with what it asks for and what is wrong with it. */
export function Field({ label, hint, error, children }: FieldProps) {
  const id = useId();
  const described = [hint !== undefined && `${id}-hint`, error !== undefined && `${id}-error`].filter(Boolean).join(" ");
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children({
        id,
        ...(described !== "" && { "aria-describedby": described }),
        ...(error !== undefined && { "aria-invalid": "true" as const }),
      })}
      {hint !== undefined && <p class="hint" id={`${id}-hint`}>{hint}</p>}
      <p class="wrong" id={`${id}-error`} aria-live="polite">{error}</p>
    </div>
  );
}

interface DialogProps {
  title: ComponentChildren;
  label: string;
  side?: boolean;
  onClose: () => void;
  children: ComponentChildren;
}

/** A modal dialog of the browser's own: it keeps the focus, closes with Escape, and gives the focus back. */
export function Dialog({ title, label, side = false, onClose, children }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const opener = document.activeElement;
    const node = dialog.current;
    node?.showModal();
    return () => {
      node?.close();
      if (opener instanceof HTMLElement && opener.isConnected) opener.focus();
    };
  }, []);
  const outside = (event: TargetedMouseEvent<HTMLDialogElement>) => {
    // A form that is half filled in is not lost by a click beside it.
    if (side && event.target === dialog.current) onClose();
  };
  return (
    <dialog
      ref={dialog}
      class={side ? "side" : "middle"}
      aria-label={label}
      onMouseDown={outside}
      onCancel={(event) => {
        event.preventDefault();
        // A dialog above this one is asked first; its event comes up here as well.
        if (event.target === dialog.current) onClose();
      }}
    >
      <div class="sheet">
        <header class="sheet-head">
          <h2>{title}</h2>
          <button type="button" class="button ghost square" aria-label="Close" onClick={onClose}><Icon name="close" /></button>
        </header>
        <div class="sheet-body">{children}</div>
      </div>
    </dialog>
  );
}

interface ConfirmProps {
  title: string;
  action: string;
  onConfirm: () => Promise<void>;
  onClose: () => void;
  children: ComponentChildren;
}

export function Confirm({ title, action, onConfirm, onClose, children }: ConfirmProps) {
  const [error, setError] = useState<string>();
  const [busy, setBusy] = useState(false);
  const confirm = async () => {
    setBusy(true);
    try {
      await onConfirm();
    } catch (error) {
      setError(reason(error));
      setBusy(false);
    }
  };
  return (
    <Dialog title={title} label={title} onClose={onClose}>
      {children}
      <Problem text={error} />
      <div class="actions">
        <button type="button" class="button" onClick={onClose}>Cancel</button>
        <button type="button" class="button danger" disabled={busy} onClick={() => void confirm()}>{action}</button>
      </div>
    </Dialog>
  );
}

interface SecretProps {
  /** What it is, for a screen reader. */
  label: string;
  load: () => Promise<string>;
  allowed?: boolean;
}

/** Something secret: it comes into the page when it is asked for, and leaves it after 30 seconds. */
export function Secret({ label, load, allowed = true }: SecretProps) {
  const [shown, setShown] = useState<{ text: string; until: number }>();
  const [left, setLeft] = useState(0);
  const [error, setError] = useState<string>();
  const [copied, setCopied] = useState(false);
  const alive = useRef(true);
  useEffect(() => () => { alive.current = false; }, []);
  useEffect(() => {
    if (shown === undefined) return;
    const timer = setInterval(() => {
      const secs = Math.ceil((shown.until - Date.now()) / 1000);
      setLeft(Math.max(0, secs));
      if (secs <= 0) setShown(undefined);
    }, 500);
    return () => clearInterval(timer);
  }, [shown]);
  const reveal = async () => {
    setError(undefined);
    try {
      const text = await load();
      // Closed meanwhile: nobody looks any more.
      if (!alive.current) return;
      setLeft(SHOWN_SECS);
      setShown({ text, until: Date.now() + SHOWN_SECS * 1000 });
    } catch (error) {
      setError(reason(error));
    }
  };
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(shown?.text ?? (await load()));
      setCopied(true);
      setTimeout(() => alive.current && setCopied(false), 2000);
    } catch (error) {
      setError(reason(error));
    }
  };
  if (!allowed) return <span class="dim masked">•••••••• <small>needs the right reveal</small></span>;
  return (
    <span class="secret">
      {shown === undefined
        ? <span class="masked" aria-label={`${label}, hidden`} role="img">••••••••</span>
        : <output class="revealed" aria-label={label}>{shown.text}</output>}
      <span class="secret-tools">
        {shown === undefined
          ? <button type="button" class="button small" aria-label={`Reveal ${label}`} onClick={() => void reveal()}>Reveal</button>
          : <button type="button" class="button small" aria-label={`Hide ${label}`} onClick={() => setShown(undefined)}>Hide <small>{left} s</small></button>}
        <button type="button" class="button small" aria-label={`Copy ${label}`} onClick={() => void copy()}>{copied ? "Copied" : "Copy"}</button>
      </span>
      {error !== undefined && <span class="wrong" role="alert">{error}</span>}
    </span>
  );
}

export function Bar({ label, done, total }: { label: string; done: number; total: number | null }) {
  return total === null || total === 0
    ? <progress aria-label={label} />
    : <progress aria-label={label} value={Math.min(done, total)} max={total} />;
}

let announce: (text: string) => void = () => {};

/** Says what was done, to the eye and to a screen reader. */
export function say(text: string): void {
  announce(text);
}

export function Announcer() {
  const [text, set] = useState("");
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout>;
    announce = (text) => {
      clearTimeout(timer);
      set(text);
      timer = setTimeout(() => set(""), 4000);
    };
    return () => clearTimeout(timer);
  }, []);
  return <div class={text === "" ? "toast" : "toast on"} role="status" aria-live="polite">{text}</div>;
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString()} ${count === 1 ? one : many}`;
}

export function bytes(count: number): string {
  if (count < 1024) return `${count} B`;
  if (count < 1024 ** 2) return `${(count / 1024).toFixed(1)} KiB`;
  if (count < 1024 ** 3) return `${(count / 1024 ** 2).toFixed(1)} MiB`;
  return `${(count / 1024 ** 3).toFixed(2)} GiB`;
}
