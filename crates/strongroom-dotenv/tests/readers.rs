//! What is written for one reader.

use strongroom_dotenv::Reader;

#[test]
fn a_step_of_github_actions_is_given_no_variable_that_its_runner_sets() {
    let holds = |name: &str| Reader::GithubActions.holds(name, "x");
    for name in ["CI", "GITHUB_TOKEN", "GITHUB_", "RUNNER_TEMP", "RUNNER_", "NODE_OPTIONS", "node_options"] {
        assert!(!holds(name), "{name}");
    }
    for name in ["CIRCLE", "MY_GITHUB_TOKEN", "GITHUB", "RUNNER", "runner_temp"] {
        assert!(holds(name), "{name}");
    }
}
