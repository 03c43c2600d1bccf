//! Numbered pages of a list.

use serde::Serialize;
use utoipa::ToSchema;

use crate::error::Failure;

/// Which page of a list to return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageNumber {
    pub(crate) page: usize,
    pub(crate) limit: usize,
}

/// One page of a list, with what a client needs to go through all of them.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Paged<T> {
    pub(crate) docs: Vec<T>,
    /// The number of documents on all pages.
    total_docs: usize,
    limit: usize,
    page: usize,
    total_pages: usize,
    has_next_page: bool,
    has_prev_page: bool,
    next_page: Option<usize>,
    prev_page: Option<usize>,
    /// The number of the first document of this page, counted from 1.
    paging_counter: usize,
}

impl PageNumber {
    /// Parses a query's `page` and `limit`. A limit over 100 counts as 100.
    pub(crate) fn parse(page: Option<&str>, limit: Option<&str>) -> Result<Self, Failure> {
        let number = |text: Option<&str>, usual: usize, max: usize| match text {
            None => Some(usual),
            // `parse` would also accept a sign.
            Some(text) if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) => None,
            // Too many digits mean more than any limit.
            Some(text) => {
                Some(text.parse().unwrap_or(usize::MAX)).filter(|number| (1..=max).contains(number))
            }
        };
        let page = number(page, 1, PAGE_MAX)
            .ok_or_else(|| Failure::bad_request(format!("page must be a number from 1 to {PAGE_MAX}")))?;
        let limit = number(limit, 10, usize::MAX)
            .ok_or_else(|| Failure::bad_request("limit must be a number from 1 to 100"))?;
        Ok(Self { page, limit: limit.min(LIMIT_MAX) })
    }

    /// How many items precede this page.
    pub(crate) fn skip(self) -> usize {
        (self.page - 1).saturating_mul(self.limit)
    }

    /// This page of `items`.
    pub(crate) fn cut<T>(self, items: impl IntoIterator<Item = T>) -> Vec<T> {
        items.into_iter().skip(self.skip()).take(self.limit).collect()
    }
}

impl<T> Paged<T> {
    /// The page that `number` requested, from a list of `total_docs`.
    pub(crate) fn new(docs: Vec<T>, total_docs: usize, number: PageNumber) -> Self {
        let PageNumber { page, limit } = number;
        let total_pages = total_docs.div_ceil(limit).max(1);
        let (has_next_page, has_prev_page) = (page < total_pages, page > 1);
        Self {
            docs,
            total_docs,
            limit,
            page,
            total_pages,
            has_next_page,
            has_prev_page,
            next_page: has_next_page.then_some(page + 1),
            prev_page: has_prev_page.then(|| page - 1),
            paging_counter: number.skip() + 1,
        }
    }
}

const LIMIT_MAX: usize = 100;
const PAGE_MAX: usize = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_tells_what_stands_around_it() {
        let number = PageNumber::parse(Some("2"), Some("10")).unwrap();
        let page = serde_json::to_string(&Paged::new(vec![1], 21, number)).unwrap();
        let expected = [
            r#"{"docs":[1],"totalDocs":21,"limit":10,"page":2,"totalPages":3,"hasNextPage":true,"#,
            r#""hasPrevPage":true,"nextPage":3,"prevPage":1,"pagingCounter":11}"#,
        ]
        .concat();
        assert_eq!(page, expected);
    }

    #[test]
    fn a_page_number_out_of_its_rule_is_refused() {
        assert_eq!(PageNumber::parse(None, None).unwrap(), PageNumber { page: 1, limit: 10 });
        assert_eq!(PageNumber::parse(None, Some("1000")).unwrap().limit, 100);
        assert_eq!(PageNumber::parse(None, Some("99999999999999999999999")).unwrap().limit, 100);
        assert!(PageNumber::parse(Some("99999999999999999999999"), None).is_err());
        for bad in ["", "0", "-1", "+1", "1.0", "x"] {
            assert!(PageNumber::parse(Some(bad), None).is_err(), "{bad}");
            assert!(PageNumber::parse(None, Some(bad)).is_err(), "{bad}");
        }
    }
}
