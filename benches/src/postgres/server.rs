//! The processor time of the server, which another machine would have to itself.

use std::fs;
use std::time::Duration;

use super::cluster;

/// Of the server's processes so far, as the kernel counts it.
pub(super) fn time() -> Duration {
    let data = cluster::shared().socket_dir().join("data/postmaster.pid");
    let pid = fs::read_to_string(data).expect("the server runs");
    let server = pid.lines().next().expect("the file begins with its id").to_owned();
    let processes = fs::read_dir("/proc").expect("the kernel shows its processes").flatten();
    let times = processes.filter_map(|process| {
        let read = |name| fs::read_to_string(process.path().join(name)).ok();
        // After the name, which may hold anything: the state, then the parent.
        let parent = read("stat")?.rsplit_once(") ")?.1.split(' ').nth(1)?.to_owned();
        let spent = read("schedstat")?.split(' ').next()?.parse::<u64>().ok()?;
        (parent == server).then_some(spent)
    });
    Duration::from_nanos(times.sum())
}
