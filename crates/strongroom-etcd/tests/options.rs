//! Which options are refused before anything is sent: these tests need no cluster.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use strongroom_etcd::{EtcdOptions, EtcdStore};
use strongroom_store::StoreErrorKind;

fn refusal(options: EtcdOptions) -> StoreErrorKind {
    EtcdStore::open(&options.answer_timeout(Duration::from_millis(200))).unwrap_err().kind()
}

#[test]
fn an_address_with_a_user_in_it_is_refused_and_gets_no_password() {
    for address in ["http://127.0.0.1:x@192.0.2.1", "http://u:p@127.0.0.1:1", "https://u:p@127.0.0.1:1"] {
        let options = EtcdOptions::new([address]);
        assert_eq!(refusal(options.clone().user("app", "right")), StoreErrorKind::Unsupported, "{address}");
        assert_eq!(refusal(options), StoreErrorKind::Unsupported, "{address}");
    }
}

#[test]
fn a_password_is_sent_to_no_node_unless_all_of_them_are_private() {
    for addresses in
        [["http://127.0.0.1:1", "http://192.0.2.1:1"], ["http://192.0.2.1:1", "http://127.0.0.1:1"]]
    {
        let options = EtcdOptions::new(addresses).user("app", "right");
        assert_eq!(refusal(options), StoreErrorKind::Unsupported, "{addresses:?}");
    }
}
