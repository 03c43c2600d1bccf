import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { get, type Query, reason } from "./api";
import type { Page } from "./types";

export interface List<T> {
  items: T[] | undefined;
  /** Why others cannot be read. */
  unreadable: string[] | undefined;
  error: string | undefined;
  loading: boolean;
  more: (() => void) | undefined;
  again: () => void;
}

/** A list that grows by a page at a time. */
export function useList<T>(path: string, query: Query, on: unknown[]): List<T> {
  const [state, set] = useState<{ items?: T[]; unreadable?: string[] | undefined; next?: string | null; error?: string; loading: boolean }>({ loading: true });
  const [turn, next] = useState(0);
  // Ends once another list is asked for: what is still on its way then belongs to none.
  const current = useRef<AbortSignal>(undefined);
  useEffect(() => {
    const gone = new AbortController();
    const signal = current.current = gone.signal;
    set((last) => ({ ...last, loading: true }));
    // As many as are shown, so that nothing on a later page goes away when it changes.
    const limit = Math.min(Math.max(LIMIT, state.items?.length ?? 0), LIMIT_MAX);
    get<Page<T>>(path, { limit, ...query }, signal).then(
      ({ items, unreadable, next }) => !signal.aborted && set({ items, unreadable, next, loading: false }),
      (error) => !signal.aborted && set({ error: reason(error), loading: false }),
    );
    return () => gone.abort();
  }, [path, turn, ...on]);
  const more = async () => {
    const signal = current.current;
    set((last) => ({ ...last, loading: true }));
    try {
      const page = await get<Page<T>>(path, { limit: LIMIT, ...query, after: state.next }, signal);
      if (signal?.aborted) return;
      const unreadable = page.unreadable ?? [];
      set((last) => ({
        items: [...(last.items ?? []), ...page.items], unreadable: [...(last.unreadable ?? []), ...unreadable],
        next: page.next, loading: false,
      }));
    } catch (error) {
      if (!signal?.aborted) set((last) => ({ ...last, error: reason(error), loading: false }));
    }
  };
  const again = useCallback(() => next((turn) => turn + 1), []);
  return {
    items: state.items,
    unreadable: state.unreadable,
    error: state.error,
    loading: state.loading,
    more: state.next == null ? undefined : () => void more(),
    again,
  };
}

const LIMIT = 50;
/** The most that the service lists at once. */
const LIMIT_MAX = 1000;
