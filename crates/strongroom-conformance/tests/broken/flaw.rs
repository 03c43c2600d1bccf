//! What is wrong with each broken store, and the cases that must notice.

macro_rules! flaws {
    ($($flaw:ident => [$($case:ident)*])*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Flaw {
            None,
            NoneThoughShared,
            $($flaw,)*
        }

        pub(crate) const FLAWS: &[(Flaw, &[&str])] = &[$((Flaw::$flaw, &[$(stringify!($case)),*]),)*];
    };
}

flaws! {
    AnswersGetsSorted => [gets_and_scans_answer_in_the_order_of_the_request]
    AnswersScansBackwards => [gets_and_scans_answer_in_the_order_of_the_request]
    GetsTheNextKey => [a_key_without_a_row_answers_none random_histories_match_the_model]
    ReadsAreStale => [a_commit_is_visible_to_every_later_read random_histories_match_the_model]
    ReadsTear => [a_read_is_one_snapshot_over_gets_and_scans]
    CommitsTear => [a_read_is_one_snapshot_over_gets_and_scans]
    ReadLimitOffByOne => [a_hundred_gets_and_scans_are_answered]
    ReadsUnchecked => [more_than_a_hundred_gets_and_scans_are_refused a_get_of_a_key_over_its_limit_is_refused]

    StartsWithARow => [a_new_store_is_empty]
    ShowsItsCounter => [a_scan_shows_what_was_put_and_nothing_else]
    SignedOrder => [keys_are_in_unsigned_lexicographic_order random_histories_match_the_model]
    EndIncluded => [
        a_range_holds_its_start_and_not_its_end a_prefix_range_holds_the_keys_with_the_prefix
        a_scan_goes_on_after_and_before_a_key
    ]
    StartExcluded => [a_range_holds_its_start_and_not_its_end a_prefix_range_holds_the_keys_with_the_prefix]
    InvertedRangesTurned => [an_empty_or_inverted_range_answers_an_empty_page]
    InvertedRangesPanic => [an_empty_or_inverted_range_answers_an_empty_page random_histories_match_the_model]
    EndlessRangesStopAtFf => [a_range_without_an_end_runs_to_the_last_key keys_are_in_unsigned_lexicographic_order]
    RangesTrimNul => [a_scan_goes_on_after_and_before_a_key pages_joined_are_the_whole_range]
    ReverseIgnored => [a_reverse_scan_is_the_forward_scan_backwards a_scan_goes_on_after_and_before_a_key]
    KeysOnlyShowsValues => [keys_only_answers_empty_values]
    KeysOnlyHidesRevisions => [keys_only_answers_empty_values gets_and_scans_tell_the_same_revision]

    LimitOffByOne => [a_page_ends_at_its_limit a_page_says_more_exactly_when_rows_remain]
    ReverseTakesTheFirstRows => [a_reverse_page_holds_the_last_rows random_histories_match_the_model]
    MoreWhenFull => [a_page_says_more_exactly_when_rows_remain]
    NeverMore => [
        a_page_says_more_exactly_when_rows_remain pages_joined_are_the_whole_range
        a_page_ends_with_the_row_that_reaches_its_size
    ]
    LimitIsOfTheRead => [each_scan_of_a_read_has_a_page_of_its_own]
    PageSizeIgnored => [a_page_ends_with_the_row_that_reaches_its_size]
    ReversePagesHaveNoSize => [a_reverse_page_ends_with_the_row_that_reaches_its_size]
    PageEndsBeforeItsSize => [a_page_ends_with_the_row_that_reaches_its_size]
    PageCountsHiddenValues => [a_page_of_keys_counts_no_values]
    PageCanBeEmpty => [a_page_holds_a_row_where_there_is_one]

    KeepsTheFirstPut => [a_put_writes_the_row_and_replaces_it]
    KeepsTheLongerTail => [a_put_writes_the_row_and_replaces_it]
    LosesDeletes => [a_delete_removes_the_row a_batch_of_the_most_operations_is_applied]
    DeleteNeedsARow => [a_delete_of_no_row_is_accepted]
    LosesDeletesBesidePuts => [a_batch_puts_and_deletes_together]
    LosesTheLastPut => [a_batch_puts_and_deletes_together a_batch_of_the_most_bytes_is_applied]
    TrimsValues => [bytes_of_any_kind_are_kept_exactly]
    EmptyValueIsNoRow => [an_empty_value_is_a_row]
    EmptyBatchRefused => [an_empty_batch_is_accepted]
    BatchesUnchecked => [
        a_key_twice_among_the_operations_is_refused a_key_twice_among_the_expectations_is_refused
        absence_of_a_key_that_is_not_put_is_refused a_refused_batch_writes_nothing a_key_over_its_limit_is_refused
        a_value_over_its_limit_is_refused a_batch_of_too_many_operations_is_refused
        a_batch_of_too_many_expectations_is_refused a_batch_of_too_many_bytes_is_refused
    ]
    WritesWhatItRefuses => [
        a_refused_batch_writes_nothing a_key_over_its_limit_is_refused a_value_over_its_limit_is_refused
        a_batch_of_too_many_operations_is_refused a_batch_of_too_many_bytes_is_refused
    ]

    AbsentIgnored => [absent_holds_without_a_row_alone two_racing_commits_on_one_key_have_one_winner]
    ExistsIgnored => [exists_holds_with_a_row_alone]
    RevisionIgnored => [
        a_revision_holds_for_the_row_put_at_it_alone a_late_duplicate_of_a_batch_does_not_apply
        two_racing_commits_on_one_key_have_one_winner a_counter_loses_no_update
    ]
    RevisionHoldsWithoutARow => [a_revision_of_no_row_does_not_hold]
    GuardsIgnored => [expectations_hold_on_keys_that_the_batch_does_not_write write_skew_is_prevented]
    ExpectsTheStateAfter => [expectations_are_about_the_state_before_the_batch]
    ReportsTheLastFailure => [the_first_failed_expectation_is_reported_by_index]
    ReportsIndexZero => [the_first_failed_expectation_is_reported_by_index]
    ReportsInKeyOrder => [the_first_failed_expectation_is_reported_by_index]
    WritesBeforeItChecks => [a_failed_expectation_writes_nothing]
    WritesUpToTheConflict => [a_failed_expectation_writes_nothing]
    NoOperationsNoCheck => [expectations_without_operations_are_checked]
    ChecksThenApplies => [two_racing_commits_on_one_key_have_one_winner]
    ChecksAfterItWrote => [a_counter_loses_no_update two_racing_commits_on_one_key_have_one_winner]
    AlwaysGivesWay => [a_counter_loses_no_update]

    RevisionsStartAtZero => [a_revision_is_never_zero]
    SameValueKeepsRevision => [every_put_changes_the_revision]
    RevisionForEachPut => [the_puts_of_a_batch_share_the_revision_of_the_answer random_histories_match_the_model]
    RevisionIsOfTheStore => [a_row_that_is_not_written_keeps_its_revision]
    ScansTellNoRevision => [gets_and_scans_tell_the_same_revision]
    RevisionCountsThePutsOfARow => [a_revision_is_not_used_again_after_a_delete]

    CapabilitiesChange => [capabilities_stay_and_reach_the_floor]
    TooFewOperations => [capabilities_stay_and_reach_the_floor]
    TooFewBytes => [capabilities_stay_and_reach_the_floor]
    ClaimsToBeVolatile => [the_durability_that_is_claimed_is_the_one_tested]
    KeysAreCut => [a_key_of_the_longest_length_is_kept]
    KeyLimitOffByOne => [a_key_of_the_longest_length_is_kept]
    ValuesAreCut => [a_value_of_the_largest_size_is_kept]
    ValueLimitOffByOne => [a_value_of_the_largest_size_is_kept]
    OperationsLimitOffByOne => [a_batch_of_the_most_operations_is_applied]
    BytesLimitOffByOne => [a_batch_of_the_most_bytes_is_applied]

    AppliesInTwoPolls => [
        a_dropped_commit_is_applied_whole_or_not_at_all a_dropped_commit_is_whole_or_absent_after_a_reopen
    ]
    CloseDoesNothing => [a_closed_store_refuses_every_call a_store_can_be_closed_twice]
    ReadsAfterClose => [a_closed_store_refuses_every_call]
    SecondCloseFails => [a_store_can_be_closed_twice]
    ErrorsShowTheKey => [no_error_shows_a_key_or_a_value]
    CausesShowTheValue => [no_error_shows_a_key_or_a_value]
    DebugShowsRows => [debug_shows_no_key_or_value]

    ForgetsOnReopen => [
        rows_and_revisions_survive_a_reopen deletes_survive_a_reopen random_histories_with_reopens_match_the_model
    ]
    RevisionsStartAnew => [rows_and_revisions_survive_a_reopen random_histories_with_reopens_match_the_model]
    DeletesComeBack => [deletes_survive_a_reopen random_histories_with_reopens_match_the_model]
    CountsFromTheRowsLeft => [a_revision_is_not_used_again_after_a_reopen]
    WritesAtClose => [an_acknowledged_batch_survives_a_handle_dropped_unclosed]
    SecondHandleOpens => [a_second_handle_is_refused_unless_the_store_is_shared]
    SharedButLocked => [a_second_handle_is_refused_unless_the_store_is_shared]
    RefusesWithoutAWord => [a_second_handle_is_refused_unless_the_store_is_shared]
    AcknowledgesAfterClose => [commits_that_race_with_close_are_kept_or_refused]
    WritesAfterClose => [commits_that_race_with_close_are_kept_or_refused]

    HandlesSeeWhatWasThereAtFirst => [
        a_handle_sees_what_another_commits expectations_are_about_what_every_handle_wrote
        a_counter_of_two_handles_loses_no_update a_handle_goes_on_when_another_is_closed
    ]
    HandlesRace => [of_racing_commits_of_two_handles_one_wins]
    HandlesCountByThemselves => [handles_never_share_a_revision_of_a_key]
    HandlesTear => [a_read_is_one_snapshot_whichever_handle_writes]
    OneCloseEndsAll => [a_handle_goes_on_when_another_is_closed]
}

impl Flaw {
    /// What has several handles.
    pub(crate) fn is_of_shared(self) -> bool {
        use Flaw::*;
        matches!(
            self,
            NoneThoughShared
                | HandlesSeeWhatWasThereAtFirst
                | HandlesRace
                | HandlesCountByThemselves
                | HandlesTear
                | OneCloseEndsAll
        )
    }
}
