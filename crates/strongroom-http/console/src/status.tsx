import { useEffect } from "preact/hooks";
import { get } from "./api";
import { useMe } from "./app";
import { useLoad } from "./hooks";
import type { Usage } from "./types";
import { Badge, bytes, Problem } from "./ui";

/** Whether the service is well, what it stores, and what this session may do. */
export function StatusView() {
  const { status, may, refresh } = useMe();
  const health = useLoad(async () => ({ alive: await well("/healthz"), ready: await well("/readyz") }), []);
  const usage = useLoad((signal) => (may("read") ? get<Usage>("/usage", {}, signal) : Promise.resolve(undefined)), []);
  useEffect(() => {
    const timer = setInterval(() => {
      // A page that nobody looks at asks for nothing, and lets the session end.
      if (document.hidden) return;
      health.again();
    }, 10_000);
    return () => clearInterval(timer);
  }, []);
  return (
    <>
      <div class="head">
        <div>
          <h1>Status</h1>
          <p class="dim">strongroom {status.version}</p>
        </div>
        <button type="button" class="button" onClick={() => { health.again(); usage.again(); void refresh(); }}>Refresh</button>
      </div>
      <div class="cards">
        <section class="panel">
          <h2>Service</h2>
          <dl class="pairs">
            <div><dt>Alive</dt><dd><Health is={health.data?.alive} yes="yes" no="only a restart helps" /></dd></div>
            <div><dt>Ready</dt><dd><Health is={health.data?.ready} yes="yes" no="requests would fail" /></dd></div>
            <div><dt>Version</dt><dd class="mono">{status.version}</dd></div>
            <div><dt>Store</dt><dd class="mono">{status.store_id}</dd></div>
            <div><dt>Audit</dt><dd>{status.settings.audit ? "on" : "off"}</dd></div>
            <div><dt>Generations</dt><dd>{status.settings.generations ? "on" : "off"}</dd></div>
          </dl>
        </section>
        <section class="panel">
          <h2>Your session</h2>
          <dl class="pairs">
            <div><dt>Org</dt><dd class="mono">{status.org_id}</dd></div>
            <div><dt>Environment</dt><dd>{status.environment}</dd></div>
            <div><dt>API key</dt><dd class="mono">{status.api_key_id}</dd></div>
            <div><dt>May</dt><dd><span class="badges">{status.rights.map((right) => <Badge key={right}>{right}</Badge>)}</span></dd></div>
          </dl>
        </section>
        <section class="panel">
          <h2>Stored by this org</h2>
          <Problem text={usage.error} />
          {usage.data && (
            <dl class="pairs">
              <div><dt>Accounts</dt><dd>{usage.data.accounts.toLocaleString()}</dd></div>
              <div><dt>Values</dt><dd>{usage.data.values.toLocaleString()}</dd></div>
              <div><dt>Connections</dt><dd>{usage.data.integrations.toLocaleString()}</dd></div>
              <div><dt>Credentials</dt><dd>{usage.data.credentials.toLocaleString()}</dd></div>
              <div><dt>Rows together</dt><dd>{bytes(usage.data.bytes)}</dd></div>
            </dl>
          )}
        </section>
        <section class="panel">
          <h2>More</h2>
          <ul class="links">
            <li><a href="/docs">API reference</a></li>
            <li><a href="/metrics">Metrics</a></li>
            <li><a href="/console/licences.txt">Licences of what is bundled</a></li>
          </ul>
        </section>
      </div>
    </>
  );
}

function Health({ is, yes, no }: { is: boolean | undefined; yes: string; no: string }) {
  if (is === undefined) return <span class="dim">…</span>;
  return <Badge tone={is ? "good" : "danger"}>{is ? yes : no}</Badge>;
}

async function well(path: string): Promise<boolean> {
  try {
    return (await fetch(path, { cache: "no-store" })).ok;
  } catch {
    return false;
  }
}
