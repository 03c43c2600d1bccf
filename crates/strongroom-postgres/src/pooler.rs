//! Whether there is a pooler in between, and whether it keeps the statements that a session prepared.
//!
//! A pooler that hands each transaction to another session of the server does not, unless it prepares them again there.
//! Then a statement is missing, or worse: another process's statement of the same name runs.

use rand::TryRng as _;
use rand::rngs::SysRng;
use strongroom_store::StoreError;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use crate::backend_key;
use crate::catalog::{Session, column};
use crate::failure::{MIXES, code, of_setup, unavailable, unsupported};
use crate::sql::EQ;

/// Whether something in between answers for the server.
pub(crate) async fn is_between(client: &Client, session: &Session) -> bool {
    backend_key::process_id(client).await.is_some_and(|id| id != session.process_id)
}

/// Refuses a pooler that mixes up prepared statements. That shows only while two connections share sessions, and may
/// not show while other clients come in between, so it is tried several times.
pub(crate) async fn refuse_mixing(one: &Client, other: &Client) -> Result<(), StoreError> {
    for _ in 0..ROUNDS {
        let number = SysRng.try_next_u64().map_err(|_| unavailable("the system gave no random number"))?;
        let probe = format!("SELECT {number}::text");
        let prepared = match one.prepare(&probe).await {
            Err(error) if is_mixed_up(&error) => return Err(unsupported(MIXES)),
            prepared => prepared.map_err(of_setup)?,
        };
        let seen = other.query_typed(&seen_statement(), &[(&probe, Type::TEXT)]).await.map_err(of_setup)?;
        if seen.first().map_or(Ok(false), |row: &Row| column(row, 0))? {
            return Err(unsupported(MIXES));
        }
        match one.query(&prepared, &[]).await {
            Err(error) if is_mixed_up(&error) => return Err(unsupported(MIXES)),
            answer => answer.map_err(of_setup)?,
        };
    }
    Ok(())
}

/// A statement that is missing, or one that another connection prepared.
pub(crate) fn is_mixed_up(error: &tokio_postgres::Error) -> bool {
    matches!(code(error), Some("26000" | "42P05"))
}

/// Checks whether the session has a statement by the name that the driver gave it. A pooler that keeps statements gives
/// them its own names.
fn seen_statement() -> String {
    format!(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_prepared_statements AS s \
         WHERE s.statement {EQ} $1 AND s.name OPERATOR(pg_catalog.~) '^s[0-9]+$')"
    )
}

const ROUNDS: u32 = 3;
