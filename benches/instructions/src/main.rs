//! Each verb so many times, to be counted by `scripts/instructions` under valgrind.
//!
//! ```text
//! strongroom-instructions              lists the verbs
//! strongroom-instructions VERB TIMES   does one
//! ```

use std::hint::black_box;
use std::process::ExitCode;

use futures_executor::block_on;
use strongroom::hazmat::{Context, Key};
use strongroom::{
    Environment, Error, NewValue, Org, RawKey, Scope, ScopePath, Unlock, VarFormat, VariableDefinition,
    VaultOptions,
};
use strongroom_memory::MemoryStore;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (name, times) = (arguments.next(), arguments.next().and_then(|times| times.parse().ok()));
    let Some((name, times)) = name.zip(times) else {
        VERBS.iter().for_each(|(name, _)| println!("{name}"));
        return ExitCode::SUCCESS;
    };
    let Some((_, verb)) = VERBS.iter().find(|(known, _)| *known == name) else {
        eprintln!("no verb is called {name}");
        return ExitCode::FAILURE;
    };
    verb(times);
    ExitCode::SUCCESS
}

type Verb = (&'static str, fn(u64));

const VERBS: [Verb; 10] = [
    ("seal", |times| {
        let key = Key::derive(&[7; 32]);
        (0..times).for_each(|_| drop(black_box(key.seal(&CONTEXT, &NONCE, black_box(VALUE.as_bytes())))));
    }),
    ("open", |times| {
        let key = Key::derive(&[7; 32]);
        let record = key.seal(&CONTEXT, &NONCE, VALUE.as_bytes()).expect("the value is short");
        (0..times).for_each(|_| drop(black_box(key.open(&CONTEXT, black_box(&record)))));
    }),
    ("set_value", |times| {
        repeat(times, cold(), async |org, _| {
            drop(black_box(org.set_value("VARIABLE_000", Scope::Org, VALUE).await));
        });
    }),
    ("upsert_credential", |times| {
        repeat(times, cold(), async |org, _| {
            let account = org.account("user_00003".parse().expect("a valid id"));
            drop(black_box(account.upsert_credential("api_key", VALUE).await));
        });
    }),
    ("resolve_at_the_org", |times| repeat(times, cold(), resolve("VARIABLE_005"))),
    ("resolve_at_the_account", |times| repeat(times, cold(), resolve("VARIABLE_020"))),
    ("resolve_at_the_workflow", |times| repeat(times, cold(), resolve("VARIABLE_040"))),
    ("resolve_kept", |times| repeat(times, VaultOptions::default(), resolve("VARIABLE_040"))),
    ("resolve_all_of_50", |times| repeat(times, cold(), resolve_all)),
    ("resolve_all_of_50_kept", |times| repeat(times, VaultOptions::default(), resolve_all)),
];

fn resolve(name: &str) -> impl AsyncFn(&Org, &ScopePath) {
    async move |org, path| drop(black_box(org.resolve(name, path).await))
}

async fn resolve_all(org: &Org, path: &ScopePath) {
    drop(black_box(org.resolve_all(path).await));
}

fn cold() -> VaultOptions {
    VaultOptions::default().cached_runs_bytes_max(0)
}

/// A verb as a run of an account and a workflow, once every cache is warm.
fn repeat(times: u64, options: VaultOptions, verb: impl AsyncFn(&Org, &ScopePath)) {
    block_on(async {
        let org = furnished(options).await.expect("the store is new and the values are valid");
        let path = ScopePath::org().linked_account("user_00003".parse()?).workflow("workflow_00004".parse()?);
        // Twice, so that what may be kept is kept.
        for _ in 0..2 {
            drop(org.resolve_all(&path).await?);
        }
        for _ in 0..WARM + times {
            verb(&org, &path).await;
        }
        Ok::<_, Error>(())
    })
    .expect("every value opens");
}

/// 50 definitions: each has a value at the org, from the 17th on one at the account, from the 34th on one at the
/// workflow.
async fn furnished(options: VaultOptions) -> Result<Org, Error> {
    let vault = options.create(MemoryStore::new(), Unlock::raw_key(RawKey::from_bytes([7; 32]))).await?;
    let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse()?, Environment::test());
    let names: Vec<_> = (0..50).map(|number| format!("VARIABLE_{number:03}")).collect();
    for name in &names {
        org.define(VariableDefinition::new(name, VarFormat::String)).await?;
    }
    let scopes = [
        (0, Scope::Org),
        (17, Scope::LinkedAccount("user_00003".parse()?)),
        (34, Scope::Workflow("workflow_00004".parse()?)),
    ];
    for (from, scope) in &scopes {
        let values = names.iter().skip(*from).map(|name| NewValue::new(name, scope, VALUE));
        org.set_values(&values.collect::<Vec<_>>()).await?;
    }
    org.create_account("user_00003".parse()?).with_default_app().await?;
    Ok(org)
}

const VALUE: &str = "https://api.example.com/v1/things?token=0123456789abcdef01234567";
const NONCE: [u8; 12] = [9; 12];
/// So many before those that are counted.
const WARM: u64 = 3;

/// The address of a value of an account.
const CONTEXT: Context<'_> = Context {
    kind: 1,
    store_id: [1; 16],
    org: "6500a1b2c3d4e5f6a7b8c9d0",
    environment: "test",
    linked_account: Some("user_00003"),
    workflow: None,
    name: "6500a1b2c3d4e5f6a7b8c9d1",
    key_name: "",
    doc_id: "6500a1b2c3d4e5f6a7b8c9d2",
    revision: 3,
};
