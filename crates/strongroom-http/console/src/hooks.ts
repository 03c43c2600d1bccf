import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { reason } from "./api";

export interface Loaded<T> {
  data: T | undefined;
  error: string | undefined;
  loading: boolean;
  again: () => void;
}

/** What `load` answers, loaded again whenever `on` changes. The last answer stays until the next one is there. */
export function useLoad<T>(load: (signal: AbortSignal) => Promise<T>, on: unknown[]): Loaded<T> {
  const [state, set] = useState<{ data?: T; error?: string; loading: boolean }>({ loading: true });
  const [turn, next] = useState(0);
  useEffect(() => {
    const gone = new AbortController();
    set((last) => ({ ...last, loading: true }));
    load(gone.signal).then(
      (data) => !gone.signal.aborted && set({ data, loading: false }),
      (error) => !gone.signal.aborted && set({ error: reason(error), loading: false }),
    );
    return () => gone.abort();
  }, [...on, turn]);
  const again = useCallback(() => next((turn) => turn + 1), []);
  return { data: state.data, error: state.error, loading: state.loading, again };
}

/** `value`, once it has not changed for a while. */
export function useSettled<T>(value: T, ms = 250): T {
  const [settled, set] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => set(value), ms);
    return () => clearTimeout(timer);
  }, [value, ms]);
  return settled;
}

/** Something that is done on a click: what it waits for, and what went wrong. */
export function useAction(): {
  busy: boolean;
  error: string | undefined;
  clear: () => void;
  run: (work: () => Promise<void>) => Promise<void>;
} {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string>();
  const running = useRef(false);
  const run = async (work: () => Promise<void>) => {
    // A second click while the first is at work does nothing.
    if (running.current) return;
    running.current = true;
    setBusy(true);
    setError(undefined);
    try {
      await work();
    } catch (error) {
      setError(reason(error));
    } finally {
      running.current = false;
      setBusy(false);
    }
  };
  return { busy, error, clear: () => setError(undefined), run };
}

/** Where the page is: what follows `#/`, as segments and a query. */
export interface Place {
  path: string[];
  query: URLSearchParams;
}

export function usePlace(): Place {
  const [place, set] = useState(here);
  useEffect(() => {
    const moved = () => set(here());
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  return place;
}

export function go(path: string[], query: Record<string, string | undefined> = {}): void {
  location.hash = link(path, query).slice(1);
}

export function link(path: string[], query: Record<string, string | undefined> = {}): string {
  const given = Object.entries(query).filter((pair): pair is [string, string] => Boolean(pair[1]));
  const tail = given.length === 0 ? "" : `?${new URLSearchParams(given)}`;
  return `#/${path.map(encodeURIComponent).join("/")}${tail}`;
}

function here(): Place {
  const [path = "", query = ""] = location.hash.replace(/^#\/?/, "").split("?", 2);
  const segments = path.split("/").filter((segment) => segment !== "");
  return { path: segments.map(decoded), query: new URLSearchParams(query) };
}

// A hand-written address may not be one that decodes.
function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
