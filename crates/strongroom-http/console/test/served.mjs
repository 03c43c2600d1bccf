// A served vault with contents, for the tests of the console.
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

export const RIGHTS = ["documented", "read", "write", "reveal", "admin", "operate"];
/** What a tenant writes who wants scripts of theirs to run, or markup of theirs to show, in the console. */
export const ATTACKS = [
  `<img src=x onerror="window.hacked=1">`,
  `"><script>window.hacked=1</script>`,
  `'onmouseover=window.hacked=1 x='`,
  `javascript:window.hacked=1`,
  `</textarea><svg onload=window.hacked=1>`,
];
export const SECRET = "s3cr3t-of-the-org-84213";
export const CREDENTIAL = "cr3d3ntial-of-the-account-5591";

/** Starts `strongroom serve` on a new store of its own, and makes a key with every right. */
export async function serve(program, options = []) {
  const home = mkdtempSync(join(tmpdir(), "strongroom-console-"));
  mkdirSync(join(home, "run"), { mode: 0o700 });
  const env = { PATH: process.env.PATH, HOME: home, XDG_RUNTIME_DIR: join(home, "run") };
  const server = spawn(program, ["serve", "--json", "--listen", "127.0.0.1:0", "--allow-swap", ...options], {
    env, stdio: ["ignore", "pipe", "inherit"],
  });
  const line = await new Promise((done, failed) => {
    createInterface(server.stdout).once("line", done);
    server.once("error", failed);
    server.once("exit", (code) => failed(new Error(`strongroom serve ended with ${code}`)));
  });
  const run = (...words) => execFileSync(program, words, { env, encoding: "utf8" });
  const rights = RIGHTS.flatMap((right) => ["--right", right]);
  // The test turns it on itself.
  run("audit", "--off");
  const { api_key } = JSON.parse(run("--json", "api-key", "create", "operator", ...rights));
  const stop = () => {
    server.removeAllListeners("exit");
    server.kill("SIGKILL");
    rmSync(home, { recursive: true, force: true });
  };
  return { url: JSON.parse(line).url, key: api_key, stop };
}

/** A control call with a key. */
/** Issues a session token of an account, beside those that it has. */
export async function issue(url, key, account) {
  const answer = await fetch(`${url}/api/v2/public/session-token?force_refresh=true`, {
    method: "POST",
    headers: { "x-api-key": key, "content-type": "application/json" },
    body: JSON.stringify({ linked_account_id: account }),
  });
  if (answer.status !== 200) throw new Error(`no session token: ${answer.status} ${await answer.text()}`);
}

export function caller(url, key) {
  return async (method, path, body) => {
    const response = await fetch(`${url}/api/admin/v1${path}`, {
      method,
      headers: { "x-api-key": key, ...(body !== undefined && { "content-type": "application/json" }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return JSON.parse(text);
  };
}

/** What a small product keeps, and what its worst tenant writes into each field. */
export async function fill(call) {
  const define = (name, more) => call("POST", "/definitions", { name, ...more });
  const part = encodeURIComponent;
  const set = (name, value, account, note) => call("PUT", `/values/${part(name)}`, {
    value, ...(account && { linked_account_id: account }), ...(note && { note }),
  });
  await define("API_BASE_URL", { var_format: "url", required: true, description: "Where the service sends its requests" });
  await define("DATABASE_PASSWORD", { encrypted: true, required: true, description: "Of the reporting database" });
  await define("FEATURE_EXPORT", { var_format: "boolean", default: "false" });
  await define("LOG_LEVEL", { var_format: { enum: ["debug", "info", "warn", "error"] }, default: "info" });
  await define("MAX_UPLOAD_MB", { var_format: "integer" });
  await define("REGION", { var_format: { enum: ["eu", "us"] }, required: true, scopes: ["linked_account"] });
  await define("REQUEST_TIMEOUT", { var_format: "duration", default: "30s" });
  await define("SMTP_PASSWORD", { encrypted: true });
  await define("WEBHOOK_SECRET", { encrypted: true, scopes: ["linked_account"] });
  const accounts = [["user_10001", "Ardent Bakery"], ["user_10002", "Blue Fjord Travel"], ["user_10003", "Cobalt Labs"], ["user_10004", "Dune Logistics"], ["user_12345", "Evergreen Clinic"]];
  for (const [id, name] of accounts) {
    // The first run of a server makes one of them.
    await call("POST", "/accounts", { linked_account_id: id, name, default_app: true }).catch(() => undefined);
  }
  await set("API_BASE_URL", "https://api.example.com", undefined, "first release");
  await set("API_BASE_URL", "https://eu.example.com", "user_12345", "asked for by the customer");
  await set("API_BASE_URL", "https://staging.example.com", "user_12345", "trying the new release");
  await set("DATABASE_PASSWORD", SECRET);
  await set("DATABASE_PASSWORD", "an0ther-s3cr3t", "user_10002");
  await set("FEATURE_EXPORT", "true", "user_10003");
  await set("LOG_LEVEL", "warn");
  await set("LOG_LEVEL", "debug", "user_10001", "while we look for the lost orders");
  await set("MAX_UPLOAD_MB", "25");
  await set("MAX_UPLOAD_MB", "500", "user_10004");
  await set("REGION", "eu", "user_10002");
  await set("REGION", "us", "user_10004");
  await set("WEBHOOK_SECRET", "wh-1", "user_10001");
  await call("PUT", "/accounts/user_10001/credentials/default-app/api_key", { value: CREDENTIAL });
  await call("PUT", "/accounts/user_10001/credentials/default-app/refresh_token", { value: "r-1" });

  const refused = [];
  const attempt = async (field, work) => work().catch((error) => refused.push(`${field}: ${error.message}`));
  for (const [number, attack] of ATTACKS.entries()) {
    const account = attack, name = attack;
    await attempt("description, default", () => define(`ATTACK_${number}`, { description: attack, default: attack }));
    await attempt("name of a variable", () => define(name, { encrypted: number % 2 === 1 }));
    await attempt("value, note", () => set(`ATTACK_${number}`, attack, undefined, attack));
    await attempt("allowed value", () => define(`CHOICE_${number}`, { var_format: { enum: [attack, "b"] }, default: attack }));
    await attempt("id and name of an account", () => call("POST", "/accounts", { linked_account_id: account, name: attack, default_app: true }));
    await attempt("value of an account", () => set(`ATTACK_${number}`, attack, account, attack));
    await attempt("credential", () => call("PUT", `/accounts/${part(account)}/credentials/default-app/${part(attack)}`, { value: attack }));
    await attempt("name of a key", () => call("POST", "/api-keys", { name: attack, rights: ["read"], names: [attack], linked_account_ids: [account] }));
  }
  return refused;
}
