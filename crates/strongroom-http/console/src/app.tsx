import { createContext } from "preact";
import { useContext, useEffect, useState } from "preact/hooks";
import { Accounts } from "./accounts";
import { get, logOut, onSessionEnd, Refused, reason } from "./api";
import { Audit } from "./audit";
import { link, usePlace } from "./hooks";
import { Jobs } from "./jobs";
import { Keys } from "./keys";
import { Login } from "./login";
import { StatusView } from "./status";
import type { Status } from "./types";
import { Announcer, Badge, Icon, Loading, Problem } from "./ui";
import { Variables } from "./variables";

/** Who is logged in, and what they may do. */
export interface Me {
  status: Status;
  may: (right: string) => boolean;
  refresh: () => Promise<void>;
}

const MeContext = createContext<Me | undefined>(undefined);

export function useMe(): Me {
  return useContext(MeContext)!;
}

const SECTIONS = [
  { path: "variables", name: "Variables", icon: "variables", right: "read" },
  { path: "accounts", name: "Accounts", icon: "accounts", right: "read" },
  { path: "keys", name: "API keys", icon: "keys", right: "admin" },
  { path: "jobs", name: "Maintenance", icon: "jobs", right: "operate" },
  { path: "audit", name: "Audit", icon: "audit", right: "admin" },
  { path: "status", name: "Status", icon: "status", right: undefined },
] as const;

export function App() {
  const [status, setStatus] = useState<Status | null>();
  const [ended, setEnded] = useState(false);
  const [error, setError] = useState<string>();

  const refresh = async () => {
    try {
      setStatus(await get<Status>("/status"));
      setError(undefined);
    } catch (error) {
      if (error instanceof Refused && error.status === 401) setStatus(null);
      else setError(reason(error));
    }
  };
  useEffect(() => {
    void refresh();
  }, []);
  // Whatever was shown goes with the session.
  useEffect(() => onSessionEnd(() => {
    setStatus((status) => {
      if (status) setEnded(true);
      return null;
    });
  }), []);

  if (error !== undefined) return <main class="alone"><Problem text={error} again={() => void refresh()} /></main>;
  if (status === undefined) return <main class="alone"><Loading /></main>;
  if (status === null) return <><Login ended={ended} onLogin={() => { setEnded(false); void refresh(); }} /><Announcer /></>;
  const me: Me = { status, may: (right) => status.rights.includes(right), refresh };
  return (
    <MeContext.Provider value={me}>
      <Shell onLogOut={() => { setEnded(false); setStatus(null); }} />
      <Announcer />
    </MeContext.Provider>
  );
}

function Shell({ onLogOut }: { onLogOut: () => void }) {
  const { status, may } = useMe();
  const place = usePlace();
  const current = SECTIONS.find((section) => section.path === place.path[0]) ?? SECTIONS[0];
  useEffect(() => {
    document.title = `${current.name} · strongroom`;
    document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  }, [current]);
  const leave = async () => {
    // Also if the service cannot be reached: the session ends there by itself.
    await logOut().catch(() => undefined);
    onLogOut();
  };
  return (
    <div class="shell">
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); document.getElementById("main")?.focus(); }}>Skip to content</a>
      <header class="side-bar">
        <a class="brand" href={link(["variables"])}><img src="/console/icon.svg" alt="" width="28" height="28" /> strongroom</a>
        <nav aria-label="Sections">
          <ul>
            {SECTIONS.filter(({ right }) => right === undefined || may(right)).map(({ path, name, icon }) => (
              <li key={path}>
                <a href={link([path])} aria-current={path === current.path ? "page" : undefined}><Icon name={icon} /><span>{name}</span></a>
              </li>
            ))}
          </ul>
        </nav>
        <div class="who">
          <Badge tone={status.environment === "production" ? "danger" : "info"}>{status.environment}</Badge>
          <span class="dim mono org" title={`org ${status.org_id}`}>{status.org_id}</span>
          <button type="button" class="button ghost" onClick={() => void leave()}><Icon name="out" /> Log out</button>
        </div>
      </header>
      <main id="main" tabIndex={-1}>
        <Section path={current.path} rest={place.path.slice(1)} query={place.query} />
      </main>
    </div>
  );
}

function Section({ path, rest, query }: { path: string; rest: string[]; query: URLSearchParams }) {
  switch (path) {
    case "accounts": return <Accounts open={rest[0]} />;
    case "keys": return <Keys />;
    case "jobs": return <Jobs />;
    case "audit": return <Audit />;
    case "status": return <StatusView />;
    default: return <Variables open={rest[0]} at={query.get("account") ?? undefined} workflow={query.get("workflow") ?? undefined} only={query.get("only") ?? undefined} />;
  }
}
