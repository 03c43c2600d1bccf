// Calls of the service that served this page. The session is a cookie that no script can read; the header says that
// the call comes from this page.

const OWN_PAGE = { "x-strongroom-console": "1" };
const BASE = "/api/admin/v1";

export class Refused extends Error {
  /** `reason` is the service's word for why. */
  constructor(readonly status: number, message: string, readonly reason?: string) {
    super(message);
  }
}

let sessionEnded: () => void = () => {};

/** What happens when the service no longer knows the session. */
export function onSessionEnd(then: () => void): void {
  sessionEnded = then;
}

export async function logIn(key: string): Promise<void> {
  await answer(await send("/console/session", { method: "POST", headers: { ...OWN_PAGE, "x-api-key": key } }));
}

export async function logOut(): Promise<void> {
  await answer(await send("/console/session", { method: "DELETE", headers: OWN_PAGE }));
}

export function get<T>(path: string, query: Query = {}, signal?: AbortSignal): Promise<T> {
  return call<T>("GET", path + search(query), undefined, signal);
}

export function post<T>(path: string, body: unknown = {}, signal?: AbortSignal): Promise<T> {
  return call<T>("POST", path, body, signal);
}

export function put<T>(path: string, body: unknown): Promise<T> {
  return call<T>("PUT", path, body);
}

export function patch<T>(path: string, body: unknown): Promise<T> {
  return call<T>("PATCH", path, body);
}

export function remove<T>(path: string, query: Query = {}): Promise<T> {
  return call<T>("DELETE", path + search(query));
}

/** One segment of a path. */
export const part = encodeURIComponent;

/** What went wrong, for people. */
export function reason(error: unknown): string {
  if (error instanceof Refused) return error.message;
  return error instanceof Error ? error.message : String(error);
}

export type Query = Record<string, string | number | boolean | null | undefined>;

async function call<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const headers: Record<string, string> = { ...OWN_PAGE };
  if (body !== undefined) headers["content-type"] = "application/json";
  const response = await send(BASE + path, {
    method,
    headers,
    body: body === undefined ? null : JSON.stringify(body),
    signal: signal ?? null,
  });
  if (response.status === 401) sessionEnded();
  return answer<T>(response);
}

async function send(path: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(path, { ...init, credentials: "same-origin", cache: "no-store", redirect: "error" });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new Refused(0, "The service cannot be reached. Check that it runs, then try again.");
  }
}

async function answer<T>(response: Response): Promise<T> {
  const text = await response.text();
  let body: unknown;
  try {
    body = text === "" ? null : JSON.parse(text);
  } catch {
    throw new Refused(response.status, `The service answered ${response.status} with something that is not JSON.`);
  }
  if (response.ok) return body as T;
  const { message, reason } = (body ?? {}) as { message?: unknown; reason?: string };
  throw new Refused(response.status, typeof message === "string" ? sentence(message) : `The service answered ${response.status}.`, reason);
}

function search(query: Query): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  if (given.length === 0) return "";
  return `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}`;
}

function sentence(text: string): string {
  const end = /[.!?]$/.test(text) ? "" : ".";
  return text.charAt(0).toUpperCase() + text.slice(1) + end;
}
