//! The cluster that `scripts/etcd` started for the tests.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code,
    reason = "a test that cannot go on fails; not every one needs all"
)]

use std::path::Path;
use std::process::{self, Command};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use strongroom_etcd::EtcdOptions;

/// The addresses of the nodes.
pub(crate) const NODES: [&str; 3] =
    ["http://127.0.0.1:2379", "http://127.0.0.1:2479", "http://127.0.0.1:2579"];

/// All three nodes.
pub(crate) fn options() -> EtcdOptions {
    EtcdOptions::new(NODES)
}

/// Some of the nodes, by their numbers from 1 on.
pub(crate) fn only(nodes: &[usize]) -> EtcdOptions {
    let nodes = nodes.iter().map(|node| NODES.get(node - 1).copied().unwrap());
    EtcdOptions::new(nodes).answer_timeout(Duration::from_secs(9))
}

/// A prefix that nothing was written under.
pub(crate) fn prefix() -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!("{}-{}/", process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Does something to a node.
pub(crate) fn node(command: &str, number: usize) {
    let directory = std::env::var("STRONGROOM_ETCD_DIR").expect("scripts/etcd runs these tests");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/etcd");
    let done =
        Command::new(script).args(["--node", &directory, command, &number.to_string()]).status().unwrap();
    assert!(done.success(), "{command} {number}");
}

/// The number of the node that leads, once all of these agree on one.
pub(crate) fn leader(of: &[usize]) -> usize {
    (0..2_000)
        .find_map(|_| {
            let said: Vec<_> = of.iter().map(|node| status(*node)).collect::<Option<_>>()?;
            let (_, leader) = said.first()?;
            let is_agreed = leader != "0" && said.iter().all(|(_, other)| other == leader);
            let place = said.iter().position(|(member, _)| member == leader);
            place.filter(|_| is_agreed).and_then(|place| of.get(place).copied())
        })
        .expect("the nodes agree on a leader")
}

/// The ids of a node and of the one that it takes for the leader.
fn status(number: usize) -> Option<(String, String)> {
    let address = format!("{}/v3/maintenance/status", NODES.get(number - 1)?);
    let agent =
        ureq::Agent::config_builder().timeout_global(Some(Duration::from_millis(500))).build().new_agent();
    let answer = agent.post(address).send("{}").ok()?.body_mut().read_to_string().ok()?;
    let answer: Value = serde_json::from_str(&answer).ok()?;
    let text = |value: &Value| value.as_str().unwrap_or("0").to_owned();
    Some((text(&answer["header"]["member_id"]), text(&answer["leader"])))
}
