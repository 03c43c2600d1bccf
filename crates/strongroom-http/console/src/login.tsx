import { useEffect, useRef, useState } from "preact/hooks";
import { logIn, Refused } from "./api";
import { useAction } from "./hooks";
import { Field } from "./ui";

export function Login({ ended, onLogin }: { ended: boolean; onLogin: () => void }) {
  const [key, setKey] = useState("");
  const { busy, error, run } = useAction();
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    document.title = "Log in · strongroom";
    input.current?.focus();
  }, []);
  const submit = () => run(async () => {
    try {
      await logIn(key.trim());
    } catch (error) {
      if (error instanceof Refused && error.status === 401) throw new Refused(401, "This API key is not known here, or it was revoked or has expired.");
      throw error;
    }
    setKey("");
    onLogin();
  });
  return (
    <main class="alone">
      <form class="card login" onSubmit={(event) => { event.preventDefault(); void submit(); }}>
        <img src="/console/icon.svg" alt="" width="44" height="44" />
        <h1>strongroom</h1>
        <p class="dim">{ended ? "Your session has ended. Log in again to go on." : "Log in with an API key that may read."}</p>
        <Field label="API key" error={error}>
          {(ids) => (
            <input
              {...ids} ref={input} type="password" name="api-key" class="mono" required autocomplete="off" spellcheck={false}
              value={key} onInput={(event) => setKey(event.currentTarget.value)} placeholder="tk_…"
            />
          )}
        </Field>
        <button type="submit" class="button primary wide" disabled={busy || key.trim() === ""}>{busy ? "Logging in…" : "Log in"}</button>
        <details>
          <summary>Where do I get one?</summary>
          <p>On the machine of the store, for everything that this console does:</p>
          <pre>{`strongroom api-key create me --right read --right write \\\n  --right reveal --right admin --right operate`}</pre>
          <p class="dim">The key is sent once. This browser keeps a session, which ends after 30 minutes without use.</p>
        </details>
      </form>
    </main>
  );
}
