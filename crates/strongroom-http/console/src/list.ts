import { useCallback, useEffect, useState } from "preact/hooks";
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
  useEffect(() => {
    const gone = new AbortController();
    set((last) => ({ ...last, loading: true }));
    get<Page<T>>(path, { limit: LIMIT, ...query }, gone.signal).then(
      ({ items, unreadable, next }) => set({ items, unreadable, next, loading: false }),
      (error) => !gone.signal.aborted && set({ error: reason(error), loading: false }),
    );
    return () => gone.abort();
  }, [path, turn, ...on]);
  const more = async () => {
    set((last) => ({ ...last, loading: true }));
    try {
      const page = await get<Page<T>>(path, { limit: LIMIT, ...query, after: state.next });
      const unreadable = page.unreadable ?? [];
      set((last) => ({
        items: [...(last.items ?? []), ...page.items], unreadable: [...(last.unreadable ?? []), ...unreadable],
        next: page.next, loading: false,
      }));
    } catch (error) {
      set((last) => ({ ...last, error: reason(error), loading: false }));
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
