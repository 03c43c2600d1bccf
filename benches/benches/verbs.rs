//! Every piece of work and its floor, in criterion's hands.

use criterion::{Criterion, criterion_group, criterion_main};
use strongroom_benches::{Work, embedded, envelope, formats, keys, memory, threads};

fn each(criterion: &mut Criterion, works: Vec<Work>) {
    for Work { name, mut work, floor_name, mut floor, .. } in works {
        let mut group = criterion.benchmark_group(&name);
        group.bench_function("strongroom", |bencher| bencher.iter_custom(|n| work.time(n)));
        group.bench_function(floor_name, |bencher| bencher.iter_custom(|n| floor.time(n)));
        group.finish();
    }
}

fn all(criterion: &mut Criterion) {
    for works in [
        envelope::works,
        formats::works,
        keys::works,
        memory::works,
        threads::works,
        embedded::on_redb,
        embedded::audit,
        embedded::on_sled,
    ] {
        each(criterion, works());
    }
}

criterion_group!(verbs, all);
criterion_main!(verbs);
