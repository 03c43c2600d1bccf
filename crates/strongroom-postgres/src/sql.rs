//! Every statement on rows. `BACKENDS.md` lists the constructs they use and where those are known.
//!
//! Tables, operators, functions and types are named with their schemas: otherwise a role that may create one earlier on
//! the search path could run its own code as the role of the store.

use std::time::Duration;

use strongroom_store::{Expect, RowRevision};

use crate::choices::Prepare;
use crate::layout::Tables;

/// The statements on one table of rows.
#[derive(Debug)]
pub(crate) struct Sql {
    pub(crate) prepare: Prepare,
    pub(crate) begin: String,
    pub(crate) begin_read: String,
    /// For several batches at once: the others do not wait long for a row that one of them waits for.
    pub(crate) begin_together: String,
    /// Until the end of the transaction, nobody else begins to write.
    pub(crate) fence: String,
    /// `(keys)`: the rows at these keys, in any order.
    pub(crate) get: String,
    /// `(keys)`: locks rows against everyone, in key order, and returns their revisions.
    pub(crate) lock: String,
    /// `(keys, values, revision, expected keys, marks)`: puts, if every expectation holds.
    pub(crate) put: String,
    /// `(keys, expected keys, marks)`: deletes, if every expectation holds.
    pub(crate) delete: String,
    /// `(keys, put key, revision)`: deletes, if the put of the same transaction was made.
    pub(crate) delete_beside_put: String,
    /// `(start, end, keys only, rows, bytes)`: the rows of a page, and the one after it. The innermost query ends at a
    /// number of rows, the one around it at a number of bytes: a row is returned if the rows before its predecessor
    /// have fewer bytes than a page.
    pub(crate) scan: String,
    /// The same from the last key to the first.
    pub(crate) scan_back: String,
    /// Batches in one statement: see [`apply`].
    pub(crate) apply: String,
    /// The same for a batch that is a transaction by itself.
    pub(crate) apply_alone: String,
    /// `(…, key, value)`: the same for a plan, if the table holds this row.
    pub(crate) apply_plan: String,
}

impl Sql {
    /// `silence_max` is how long the server waits for a client that disappeared in the middle of a batch, as when a
    /// machine loses its power: until then it holds the batch's locks. It is set in each transaction, since a session
    /// may be a pooler's or the host's. `lock_max` is how long a batch waits for a row there, likewise: nobody waits
    /// longer for its answer, but the server would keep its session for as long as somebody holds the row.
    pub(crate) fn new(
        tables: &Tables,
        prepare: Prepare,
        silence_max: Option<Duration>,
        lock_max: Option<Duration>,
    ) -> Self {
        let ms = |limit: Duration| limit.as_millis().clamp(1, LIMIT_MS_MAX);
        let set = |name: &str, limit: Option<Duration>| {
            limit.map_or(String::new(), |limit| format!("; SET LOCAL {name} = {}", ms(limit)))
        };
        let limit = set(SILENCE_MAX, silence_max);
        let lock_limit = lock_max.map_or(String::new(), |limit| {
            format!("(SELECT pg_catalog.set_config('{LOCK_MAX}', '{}', true)) IS NOT NULL AND ", ms(limit))
        });
        let rows = tables.qualified(&tables.rows());
        let at_keys = format!("WHERE k {EQ} ANY($1::{BYTEA}[])");
        Self {
            prepare,
            begin: format!("{BEGIN}{limit}{}", set(LOCK_MAX, lock_max)),
            begin_read: format!("{BEGIN} READ ONLY{limit}"),
            begin_together: format!(
                "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL {LOCK_MAX} = 100{limit}"
            ),
            fence: format!("LOCK TABLE {rows} IN EXCLUSIVE MODE"),
            get: format!("SELECT k, v, rev FROM {rows} {at_keys}"),
            lock: format!("SELECT k, rev FROM {rows} {at_keys} ORDER BY k FOR UPDATE"),
            put: format!(
                "INSERT INTO {rows} (k, v, rev) SELECT p.k, p.v, $3::bigint \
                 FROM ROWS FROM ({UNNEST}($1::{BYTEA}[]), {UNNEST}($2::{BYTEA}[])) AS p(k, v) WHERE {} \
                 ON CONFLICT (k) DO UPDATE SET v = excluded.v, rev = excluded.rev",
                all_hold(&rows, "$4", "$5")
            ),
            delete: format!("DELETE FROM {rows} {at_keys} AND {}", all_hold(&rows, "$2", "$3")),
            delete_beside_put: format!(
                "DELETE FROM {rows} {at_keys} \
                 AND (SELECT p.rev FROM {rows} AS p WHERE p.k {EQ} $2::{BYTEA}) {EQ} $3::bigint"
            ),
            scan: scan(&rows, ""),
            scan_back: scan(&rows, "DESC"),
            apply: apply(&rows, "", ""),
            apply_alone: apply(&rows, &lock_limit, ""),
            apply_plan: apply(&rows, "", &not_ours(&rows)),
        }
    }

    /// Begins a transaction that waits this long for a lock.
    pub(crate) fn begin_fence(&self, wait_max: Duration) -> String {
        format!("{}; SET LOCAL {LOCK_MAX} = {}", self.begin, wait_max.as_millis())
    }
}

/// `(shared, own, expected: batches, keys, marks, puts: batches, keys, values, revision, deletes: batches, keys,
/// added)`: locks the rows that are only expected and those that are written, and applies each batch whose expectations
/// all hold. Returns `(batch, place)` of the first failed expectation of each other batch, counted over all batches
/// from 1; then `(-1, puts)`.
///
/// Locks are taken in the order of the keys, whatever their strength, so that no two transactions wait for each other.
/// Each row is locked by its own query, since a query has one strength for all of its rows.
///
/// It is correct at every isolation level. A locked row is returned as it was last committed, so expectations are
/// checked on rows that nobody can change any more. A row that another transaction adds meanwhile is in nobody's
/// snapshot: if there must be none, it is not overwritten, one row too few is put, and a division by zero undoes
/// everything. A delete that expects no row there leaves it, as rule 3 of a store allows.
///
/// `limit` is evaluated before the first lock is asked for.
fn apply(rows: &str, limit: &str, refusals: &str) -> String {
    let lock = |is_own: &str, strength: &str| {
        let row = format!("SELECT k, rev FROM {rows} WHERE k {EQ} sought.k AND {is_own} FOR {strength}");
        format!("SELECT k, rev FROM ({row}) AS one")
    };
    let (shared, own) = (lock("NOT sought.is_own", "SHARE"), lock("sought.is_own", "UPDATE"));
    let fails = fails("e.mark", "found");
    let is_applied =
        |batch: &str| format!("NOT EXISTS (SELECT 1 FROM failed WHERE failed.batch {EQ} {batch})");
    let (puts, deletes) = (is_applied("p.batch"), is_applied("d.batch"));
    format!(
        "WITH found AS MATERIALIZED (SELECT locked.k, locked.rev FROM (SELECT k, is_own FROM (\
         SELECT k, false AS is_own FROM {UNNEST}($1::{BYTEA}[]) AS shared(k) UNION ALL \
         SELECT k, true FROM {UNNEST}($2::{BYTEA}[]) AS own(k)) AS every ORDER BY k) AS sought \
         CROSS JOIN LATERAL ({shared} UNION ALL {own}) AS locked), \
         failed AS MATERIALIZED (SELECT e.batch, pg_catalog.min(e.place) AS place \
         FROM ROWS FROM ({UNNEST}($3::bigint[]), {UNNEST}($4::{BYTEA}[]), {UNNEST}($5::bigint[])) \
         WITH ORDINALITY AS e(batch, k, mark, place) LEFT JOIN found ON found.k {EQ} e.k \
         WHERE {limit}{fails} GROUP BY e.batch{refusals}), \
         puts AS MATERIALIZED (SELECT DISTINCT ON (p.k) p.k, p.v \
         FROM ROWS FROM ({UNNEST}($6::bigint[]), {UNNEST}($7::{BYTEA}[]), {UNNEST}($8::{BYTEA}[])) AS p(batch, k, v) \
         WHERE {puts}), \
         put AS (INSERT INTO {rows} AS stored (k, v, rev) SELECT k, v, $9::bigint FROM puts \
         ON CONFLICT (k) DO UPDATE SET v = excluded.v, rev = excluded.rev \
         WHERE stored.k OPERATOR(pg_catalog.<>) ALL($12::{BYTEA}[]) RETURNING 1), \
         deleted AS (DELETE FROM {rows} AS stored \
         USING ROWS FROM ({UNNEST}($10::bigint[]), {UNNEST}($11::{BYTEA}[])) AS d(batch, k) \
         WHERE stored.k {EQ} d.k AND {deletes}) \
         SELECT batch, place FROM failed UNION ALL SELECT {PUT}, count OPERATOR(pg_catalog./) \
         CASE WHEN count {EQ} (SELECT pg_catalog.count(*) FROM puts) THEN 1 ELSE 0 END \
         FROM (SELECT pg_catalog.count(*) AS count FROM put) AS counted"
    )
}

/// Refuses a plan before its expectations do: the table belongs to another vault, or the session's commits survive less
/// than the store promises.
fn not_ours(rows: &str) -> String {
    format!(
        " UNION ALL SELECT 0, {ANOTHER_VAULT} WHERE NOT EXISTS \
         (SELECT 1 FROM {rows} AS r WHERE r.k {EQ} $13::{BYTEA} AND r.v {EQ} $14::{BYTEA}) \
         UNION ALL SELECT 0, {ASYNCHRONOUS} \
         WHERE pg_catalog.current_setting('synchronous_commit') {EQ} 'off'"
    )
}

/// The condition that no expectation fails. A missing revision differs from every mark.
fn all_hold(rows: &str, keys: &str, marks: &str) -> String {
    format!(
        "NOT EXISTS (SELECT 1 FROM ROWS FROM ({UNNEST}({keys}::{BYTEA}[]), {UNNEST}({marks}::bigint[])) AS e(k, mark) \
         LEFT JOIN {rows} AS found ON found.k {EQ} e.k WHERE {})",
        fails("e.mark", "found")
    )
}

/// The condition that an expectation fails on the row that was found.
fn fails(mark: &str, found: &str) -> String {
    format!(
        "CASE WHEN {mark} {EQ} {ABSENT} THEN {found}.k IS NOT NULL \
         WHEN {mark} {EQ} {EXISTS} THEN {found}.k IS NULL \
         ELSE coalesce({found}.rev OPERATOR(pg_catalog.<>) {mark}, true) END"
    )
}

fn scan(rows: &str, direction: &str) -> String {
    let bytes_len = format!("{OCTET_LENGTH}(k) OPERATOR(pg_catalog.+) {OCTET_LENGTH}(v)");
    format!(
        "SELECT k, v, rev FROM (SELECT k, v, rev, pg_catalog.sum({bytes_len}) OVER (ORDER BY k {direction} \
         ROWS BETWEEN UNBOUNDED PRECEDING AND 2 PRECEDING) AS before FROM (\
         SELECT k, CASE WHEN $3::boolean THEN ''::{BYTEA} ELSE v END AS v, rev FROM {rows} \
         WHERE k OPERATOR(pg_catalog.>=) $1::{BYTEA} AND k OPERATOR(pg_catalog.<) $2::{BYTEA} \
         ORDER BY k {direction} LIMIT $4::bigint) AS walked) AS page \
         WHERE coalesce(before, 0) OPERATOR(pg_catalog.<) $5::bigint ORDER BY k {direction}"
    )
}

/// The server's setting for a client that is silent in the middle of a transaction.
pub(crate) const SILENCE_MAX: &str = "idle_in_transaction_session_timeout";
/// The server's setting for a wait for a row or a table.
pub(crate) const LOCK_MAX: &str = "lock_timeout";
/// A server would refuse a larger number.
const LIMIT_MS_MAX: u128 = i32::MAX as u128;

/// Equality, wherever the search path leads.
pub(crate) const EQ: &str = "OPERATOR(pg_catalog.=)";
const BYTEA: &str = "pg_catalog.bytea";
const UNNEST: &str = "pg_catalog.unnest";
const OCTET_LENGTH: &str = "pg_catalog.octet_length";

/// The mark of a row that must be there.
pub(crate) const EXISTS: i64 = -1;
/// The mark of a row that must not be there.
pub(crate) const ABSENT: i64 = -2;
/// The mark of a revision that no row can have.
pub(crate) const NEVER: i64 = -3;

/// The mark of an expectation in a statement.
pub(crate) fn mark(expect: Expect) -> i64 {
    match expect {
        Expect::Absent => ABSENT,
        Expect::Exists => EXISTS,
        Expect::Revision(RowRevision(revision)) => i64::try_from(revision).unwrap_or(NEVER),
    }
}

/// The number that means no batch, in the row with the number of puts.
pub(crate) const PUT: i64 = -1;
/// The place of a plan for another vault.
pub(crate) const ANOTHER_VAULT: i64 = -1;
/// The place of a plan in a session that does not wait for its commits.
pub(crate) const ASYNCHRONOUS: i64 = -2;

const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ";
pub(crate) const COMMIT: &str = "COMMIT";
