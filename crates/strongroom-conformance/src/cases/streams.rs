//! Random histories, compared with the model step by step.

use proptest::collection::vec;
use proptest::prelude::any;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use crate::{Step, Subject, replay};

pub(super) fn random_histories_match_the_model(subject: &Subject) {
    replay_random(subject, |step| step != &Step::Reopen);
}

pub(super) fn random_histories_with_reopens_match_the_model(subject: &Subject) {
    replay_random(subject, |_| true);
}

/// The same histories every time; a failure shows the bytes of the shortest one that fails.
fn replay_random(subject: &Subject, keeps: impl Fn(&Step) -> bool) {
    let config = Config { cases: 48, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &SEED));
    let histories = vec(vec(any::<u8>(), 4..24), 0..40);
    let outcome = runner.run(&histories, |history| {
        let steps: Vec<Step> = history.iter().map(|bytes| Step::decode(bytes)).filter(&keeps).collect();
        replay(subject, &steps).map_err(|mismatch| TestCaseError::fail(mismatch.to_string()))
    });
    let failure = outcome.err().map(|failure| failure.to_string()).unwrap_or_default();
    assert!(failure.is_empty(), "a history differs from the model's: {failure}");
}

const SEED: [u8; 32] = *b"one seed, the same histories....";
