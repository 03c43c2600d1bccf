//! A token of SoftHSM2 in a private directory, for one test.
//!
//! The library finds its token by an environment variable and is initialised once a process. So each test runs in a
//! process of its own: this program, started again with that variable and the name of the test.

#![allow(dead_code, clippy::unwrap_used, clippy::panic, reason = "each test program takes what it needs")]

mod library;

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::object::{Attribute, KeyType, ObjectClass};
use cryptoki::session::UserType;
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use futures_executor::block_on;
use strongroom_pkcs11::{Token, TokenKey, TokenOptions, Wrapping};

/// Runs a test in a process of its own, on a new token.
pub(crate) fn on_softhsm<T: AsyncFnOnce(&SoftHsm)>(test: T) {
    if env::var_os(HAS_TOKEN).is_some() {
        let hsm = SoftHsm::initialise();
        block_on(test(&hsm));
        return;
    }
    let name = name_of::<T>();
    let dir = tempfile::tempdir().unwrap();
    let tokens = dir.path().join("tokens");
    fs::create_dir(&tokens).unwrap();
    let conf = dir.path().join("softhsm2.conf");
    let lines = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
        tokens.display()
    );
    fs::write(&conf, lines).unwrap();
    let again = Command::new(env::current_exe().unwrap())
        .args([name.as_str(), "--exact", "--nocapture", "--test-threads=1"])
        .env("SOFTHSM2_CONF", conf)
        .env(HAS_TOKEN, "yes")
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&again.stdout), String::from_utf8_lossy(&again.stderr));
    assert!(again.status.success() && out.contains("1 passed"), "{name} on a token:\n{out}\n{err}");
}

/// The function that a closure stands in.
fn name_of<T>() -> String {
    let path = std::any::type_name::<T>();
    let function = path.split("::{{closure}}").next().unwrap();
    function.split_once("::").unwrap().1.to_owned()
}

/// The library and its one token.
pub(crate) struct SoftHsm {
    module: PathBuf,
    library: Pkcs11,
    slot: Slot,
}

impl SoftHsm {
    pub(crate) const LABEL: &str = "strongroom test";
    const PIN: &str = "user 123456";

    fn initialise() -> Self {
        let module = module();
        let library = Pkcs11::new(&module).unwrap();
        library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
        let slot = library.get_slots_with_token().unwrap().remove(0);
        let so = AuthPin::new("so 123456".into());
        library.init_token(slot, &so, Self::LABEL).unwrap();
        let session = library.open_rw_session(slot).unwrap();
        session.login(UserType::So, Some(&so)).unwrap();
        session.init_pin(&AuthPin::new(Self::PIN.into())).unwrap();
        drop(session);
        let slot = library.get_slots_with_initialized_token().unwrap().remove(0);
        Self { module, library, slot }
    }

    /// Makes another token with the same label.
    pub(crate) fn initialise_another(&self) {
        let slots = self.library.get_slots_with_token().unwrap();
        let is_new = |slot: &Slot| !self.library.get_token_info(*slot).unwrap().token_initialized();
        let slot = slots.into_iter().find(is_new).unwrap();
        self.library.init_token(slot, &AuthPin::new("so 123456".into()), Self::LABEL).unwrap();
    }

    pub(crate) fn options(&self) -> TokenOptions {
        TokenOptions::new(&self.module, Self::LABEL, Self::PIN)
    }

    pub(crate) fn options_with_pin(&self, pin: &str) -> TokenOptions {
        TokenOptions::new(&self.module, Self::LABEL, pin)
    }

    pub(crate) fn options_of_token(&self, label: &str) -> TokenOptions {
        TokenOptions::new(&self.module, label, Self::PIN)
    }

    pub(crate) fn options_of_module(&self, module: &str) -> TokenOptions {
        TokenOptions::new(module, Self::LABEL, Self::PIN)
    }

    pub(crate) async fn open(&self) -> Token {
        Token::open(self.options()).await.unwrap()
    }

    pub(crate) async fn open_with(&self, wrapping: Wrapping) -> Token {
        Token::open(self.options().wrapping(wrapping)).await.unwrap()
    }

    /// A new key that wraps this way.
    pub(crate) async fn key(&self, wrapping: Wrapping, label: &str) -> TokenKey {
        let token = self.open_with(wrapping).await;
        token.generate_key(label).await.unwrap();
        token.key(label)
    }

    /// Ends the login of this process behind the provider's back, which hides the keys.
    pub(crate) fn log_out(&self) {
        self.library.open_rw_session(self.slot).unwrap().logout().unwrap();
    }

    /// Ends every session of this process, and the library with them.
    pub(crate) fn finalise(&self) {
        self.library.clone().finalize().unwrap();
    }

    /// A key that came from outside, so that somebody may have a copy.
    pub(crate) fn import_key(&self, label: &str, extractable: bool) {
        let session = self.library.open_rw_session(self.slot).unwrap();
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::Label(label.into()),
            Attribute::Value(vec![5; 32]),
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(!extractable),
            Attribute::Extractable(extractable),
            Attribute::Encrypt(true),
            Attribute::Decrypt(true),
        ];
        session.create_object(&template).unwrap();
    }
}

fn module() -> PathBuf {
    library::find().unwrap_or_else(|| {
        panic!(
            "this test needs SoftHSM2: install it (Debian and Ubuntu: apt-get install softhsm2), or name its \
             library in SOFTHSM2_MODULE; looked for {:?}",
            library::PLACES
        )
    })
}

const HAS_TOKEN: &str = "STRONGROOM_TEST_HAS_TOKEN";
