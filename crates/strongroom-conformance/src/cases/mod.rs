//! The rules, one function each: it panics where a store breaks the rule.

mod closing;
mod commits;
mod dropping;
mod expectations;
mod limits;
mod pages;
pub(crate) mod races;
mod reads;
mod reopening;
mod revisions;
mod scans;
mod secrecy;
mod sharing;
mod streams;

use crate::Subject;

/// One rule of the contract and the code that holds a store to it.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    name: &'static str,
    rule: fn(&Subject),
}

impl Case {
    /// The rule, as the name of its test.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Panics where the store breaks the rule.
    pub fn run(&self, subject: &Subject) {
        (self.rule)(subject);
    }
}

/// Runs the case of that name. Panics where the store breaks the rule, and where there is no such case.
pub fn run(name: &str, subject: &Subject) {
    let case = EVERY_CASE.iter().chain(DURABLE_CASES).find(|case| case.name == name);
    case.expect("a case has that name").run(subject);
}

/// The rules of every store.
pub const EVERY_CASE: &[Case] = crate::__every_case!(__case_table);

/// The rules of a store that outlives its handle.
pub const DURABLE_CASES: &[Case] = crate::__durable_cases!(__case_table);

/// The one list of the rules of every store, by file.
#[doc(hidden)]
#[macro_export]
macro_rules! __every_case {
    ($then:ident) => {
        $crate::$then! {
            reads {
                gets_and_scans_answer_in_the_order_of_the_request
                a_key_without_a_row_answers_none
                a_commit_is_visible_to_every_later_read
                a_read_is_one_snapshot_over_gets_and_scans
                a_hundred_gets_and_scans_are_answered
                more_than_a_hundred_gets_and_scans_are_refused
                a_get_of_a_key_over_its_limit_is_refused
            }
            scans {
                a_new_store_is_empty
                a_scan_shows_what_was_put_and_nothing_else
                keys_are_in_unsigned_lexicographic_order
                a_range_holds_its_start_and_not_its_end
                an_empty_or_inverted_range_answers_an_empty_page
                a_prefix_range_holds_the_keys_with_the_prefix
                a_range_without_an_end_runs_to_the_last_key
                a_scan_goes_on_after_and_before_a_key
                a_reverse_scan_is_the_forward_scan_backwards
                keys_only_answers_empty_values
            }
            pages {
                a_page_ends_at_its_limit
                a_reverse_page_holds_the_last_rows
                a_page_says_more_exactly_when_rows_remain
                pages_joined_are_the_whole_range
                each_scan_of_a_read_has_a_page_of_its_own
                a_page_ends_with_the_row_that_reaches_its_size
                a_reverse_page_ends_with_the_row_that_reaches_its_size
                a_page_of_keys_counts_no_values
                a_page_holds_a_row_where_there_is_one
            }
            commits {
                a_put_writes_the_row_and_replaces_it
                a_delete_removes_the_row
                a_delete_of_no_row_is_accepted
                a_batch_puts_and_deletes_together
                bytes_of_any_kind_are_kept_exactly
                an_empty_value_is_a_row
                an_empty_batch_is_accepted
                a_key_twice_among_the_operations_is_refused
                a_key_twice_among_the_expectations_is_refused
                absence_of_a_key_that_is_not_put_is_refused
                a_refused_batch_writes_nothing
            }
            expectations {
                absent_holds_without_a_row_alone
                exists_holds_with_a_row_alone
                a_revision_holds_for_the_row_put_at_it_alone
                a_revision_of_no_row_does_not_hold
                expectations_hold_on_keys_that_the_batch_does_not_write
                expectations_are_about_the_state_before_the_batch
                the_first_failed_expectation_is_reported_by_index
                a_failed_expectation_writes_nothing
                expectations_without_operations_are_checked
                a_late_duplicate_of_a_batch_does_not_apply
            }
            revisions {
                every_put_changes_the_revision
                a_revision_is_never_zero
                the_puts_of_a_batch_share_the_revision_of_the_answer
                a_row_that_is_not_written_keeps_its_revision
                gets_and_scans_tell_the_same_revision
                a_revision_is_not_used_again_after_a_delete
            }
            limits {
                capabilities_stay_and_reach_the_floor
                the_durability_that_is_claimed_is_the_one_tested
                a_key_of_the_longest_length_is_kept
                a_key_over_its_limit_is_refused
                a_value_of_the_largest_size_is_kept
                a_value_over_its_limit_is_refused
                a_batch_of_the_most_operations_is_applied
                a_batch_of_too_many_operations_is_refused
                a_batch_of_too_many_expectations_is_refused
                a_batch_of_the_most_bytes_is_applied
                a_batch_of_too_many_bytes_is_refused
            }
            races {
                two_racing_commits_on_one_key_have_one_winner
                a_counter_loses_no_update
                write_skew_is_prevented
            }
            dropping {
                a_dropped_commit_is_applied_whole_or_not_at_all
            }
            closing {
                a_closed_store_refuses_every_call
                a_store_can_be_closed_twice
            }
            secrecy {
                no_error_shows_a_key_or_a_value
                debug_shows_no_key_or_value
            }
            streams {
                random_histories_match_the_model
            }
        }
    };
}

/// The one list of the rules of a durable store, by file.
#[doc(hidden)]
#[macro_export]
macro_rules! __durable_cases {
    ($then:ident) => {
        $crate::$then! {
            reopening {
                rows_and_revisions_survive_a_reopen
                deletes_survive_a_reopen
                a_revision_is_not_used_again_after_a_reopen
                an_acknowledged_batch_survives_a_handle_dropped_unclosed
                a_second_handle_is_refused_unless_the_store_is_shared
                commits_that_race_with_close_are_kept_or_refused
                a_dropped_commit_is_whole_or_absent_after_a_reopen
            }
            sharing {
                a_handle_sees_what_another_commits
                handles_never_share_a_revision_of_a_key
                expectations_are_about_what_every_handle_wrote
                of_racing_commits_of_two_handles_one_wins
                a_counter_of_two_handles_loses_no_update
                a_read_is_one_snapshot_whichever_handle_writes
                a_handle_goes_on_when_another_is_closed
            }
            streams {
                random_histories_with_reopens_match_the_model
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __case_table {
    ($($file:ident { $($name:ident)* })*) => {
        &[$($(Case { name: stringify!($name), rule: $file::$name },)*)*]
    };
}
