//! Readers of one process share statements: each sees the same snapshot, which is no older than its call.

use std::collections::{HashMap, HashSet};

use strongroom_store::{Key, ReadBatch, ReadSet, StoreError};

use crate::call::Server;
use crate::failure::unanswered;
use crate::sharing::Share;

/// Rows to fetch by key, without pages.
pub(crate) struct Gets(pub(crate) Vec<Key>);

impl Share for Gets {
    type Answer = ReadSet;
    const AT_ONCE: usize = 4;

    fn choose<'r>(waiting: impl Iterator<Item = &'r Self>) -> Vec<bool> {
        let mut rows = 0;
        let fits = |gets: &Self| {
            let is_first = rows == 0;
            rows += gets.0.len();
            is_first || rows <= ROWS_MAX
        };
        waiting.map(fits).collect()
    }

    async fn call(
        server: &Server,
        requests: &[&Self],
    ) -> Result<Vec<Result<ReadSet, StoreError>>, StoreError> {
        let distinct: HashSet<&Key> = requests.iter().flat_map(|gets| &gets.0).collect();
        let gets: Vec<Key> = distinct.into_iter().cloned().collect();
        let request = ReadBatch { gets, scans: Vec::new() };
        let rows = server.call_while_open(&request).await?.gets;
        let found: HashMap<&Key, _> = request.gets.iter().zip(&rows).collect();
        let rows =
            |gets: &Self| gets.0.iter().map(|key| found.get(key).copied().cloned().flatten()).collect();
        Ok(requests.iter().map(|gets| Ok(ReadSet { gets: rows(gets), scans: Vec::new() })).collect())
    }

    fn lost() -> StoreError {
        unanswered()
    }
}

/// Few enough that an answer stays small even if every row has the maximum size.
const ROWS_MAX: usize = 400;
