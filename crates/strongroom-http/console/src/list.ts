import { useCallback, useEffect, useState } from "preact/hooks";
import { get, type Query, reason } from "./api";
import type { Page } from "./types";

export interface List<T> {
  items: T[] | undefined;
  error: string | undefined;
  loading: boolean;
  more: (() => void) | undefined;
  again: () => void;
}

/** A list that grows by a page at a time. */
export function useList<T>(path: string, query: Query, on: unknown[]): List<T> {
  const [state, set] = useState<{ items?: T[]; next?: string | null; error?: string; loading: boolean }>({ loading: true });
  const [turn, next] = useState(0);
  useEffect(() => {
    const gone = new AbortController();
    set((last) => ({ ...last, loading: true }));
    get<Page<T>>(path, { limit: LIMIT, ...query }, gone.signal).then(
      (page) => set({ items: page.items, next: page.next, loading: false }),
      (error) => !gone.signal.aborted && set({ error: reason(error), loading: false }),
    );
    return () => gone.abort();
  }, [path, turn, ...on]);
  const more = async () => {
    set((last) => ({ ...last, loading: true }));
    try {
      const page = await get<Page<T>>(path, { limit: LIMIT, ...query, after: state.next });
      set((last) => ({ items: [...(last.items ?? []), ...page.items], next: page.next, loading: false }));
    } catch (error) {
      set((last) => ({ ...last, error: reason(error), loading: false }));
    }
  };
  const again = useCallback(() => next((turn) => turn + 1), []);
  return {
    items: state.items,
    error: state.error,
    loading: state.loading,
    more: state.next == null ? undefined : () => void more(),
    again,
  };
}

const LIMIT = 50;
