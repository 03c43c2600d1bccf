//! Every statement on rows. `BACKENDS.md` lists the constructs they use and where those are known.

macro_rules! scan {
    ($direction:literal) => {
        concat!(
            "SELECT k, v, rev FROM (SELECT k, v, rev, sum(octet_length(k) + octet_length(v)) OVER (ORDER BY k ",
            $direction,
            " ROWS BETWEEN UNBOUNDED PRECEDING AND 2 PRECEDING) AS before FROM (",
            "SELECT k, CASE WHEN $3::bool THEN ''::bytea ELSE v END AS v, rev FROM strongroom_rows ",
            "WHERE k >= $1::bytea AND k < $2::bytea ORDER BY k ",
            $direction,
            " LIMIT $4::bigint) AS walked) AS page WHERE coalesce(before, 0) < $5::bigint ORDER BY k ",
            $direction
        )
    };
}

/// `(keys)`: the rows at these keys, in any order.
pub(crate) const GET: &str = "SELECT k, v, rev FROM strongroom_rows WHERE k = ANY($1::bytea[])";

/// `(keys)`: locks rows against writers, in key order; their revisions.
pub(crate) const LOCK_SHARED: &str =
    "SELECT k, rev FROM strongroom_rows WHERE k = ANY($1::bytea[]) ORDER BY k FOR SHARE";

/// `(keys)`: locks rows against everyone, in key order; their revisions.
pub(crate) const LOCK: &str =
    "SELECT k, rev FROM strongroom_rows WHERE k = ANY($1::bytea[]) ORDER BY k FOR UPDATE";

/// `(keys, values, revision, expected keys, marks)`: puts, where every expectation holds.
pub(crate) const PUT: &str = "INSERT INTO strongroom_rows (k, v, rev) \
     SELECT p.k, p.v, $3::bigint FROM unnest($1::bytea[], $2::bytea[]) AS p(k, v) WHERE NOT EXISTS (\
     SELECT 1 FROM unnest($4::bytea[], $5::bigint[]) AS e(k, mark) \
     LEFT JOIN strongroom_rows AS found ON found.k = e.k \
     WHERE CASE e.mark WHEN -2 THEN found.k IS NOT NULL WHEN -1 THEN found.k IS NULL \
     ELSE found.rev IS DISTINCT FROM e.mark END) \
     ON CONFLICT (k) DO UPDATE SET v = excluded.v, rev = excluded.rev";

/// `(keys, expected keys, marks)`: deletes, where every expectation holds.
pub(crate) const DELETE: &str = "DELETE FROM strongroom_rows WHERE k = ANY($1::bytea[]) AND NOT EXISTS (\
     SELECT 1 FROM unnest($2::bytea[], $3::bigint[]) AS e(k, mark) \
     LEFT JOIN strongroom_rows AS found ON found.k = e.k \
     WHERE CASE e.mark WHEN -2 THEN found.k IS NOT NULL WHEN -1 THEN found.k IS NULL \
     ELSE found.rev IS DISTINCT FROM e.mark END)";

/// `(keys, put key, revision)`: deletes, where the put of the same transaction was made.
pub(crate) const DELETE_BESIDE_PUT: &str = "DELETE FROM strongroom_rows WHERE k = ANY($1::bytea[]) \
     AND (SELECT p.rev FROM strongroom_rows AS p WHERE p.k = $2::bytea) = $3::bigint";

/// `(start, end, keys only, rows, bytes)`: the rows of a page, and the one after it. The innermost query ends at a
/// number of rows, the one around it at a number of bytes: a row comes when the rows before the one before it are
/// fewer bytes than a page.
pub(crate) const SCAN: &str = scan!("");
/// The same from the last key to the first.
pub(crate) const SCAN_BACK: &str = scan!("DESC");

/// The mark of a row that must be there.
pub(crate) const EXISTS: i64 = -1;
/// The mark of a row that must not be there.
pub(crate) const ABSENT: i64 = -2;
/// The mark of a revision that no row can have.
pub(crate) const NEVER: i64 = -3;

pub(crate) const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ";
pub(crate) const BEGIN_READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
pub(crate) const COMMIT: &str = "COMMIT";
