//! A token of SoftHSM2 in a directory of this process, and what its bare calls cost.

#[path = "../../crates/strongroom-pkcs11/tests/token/library.rs"]
mod library;

use std::env;
use std::fmt;
use std::fs;
use std::hint::black_box;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use futures_executor::block_on;
use strongroom_pkcs11::{Token, TokenKey, TokenOptions, Wrapping};

/// Runs this program again with a directory for its token, which the library takes from the environment alone. `None`
/// in the process that has one.
pub fn run_again() -> Option<ExitStatus> {
    if env::var_os(HAS_TOKEN).is_some() {
        return None;
    }
    let directory = tempfile::tempdir().expect("there is room for temporary files");
    let tokens = directory.path().join("tokens");
    fs::create_dir(&tokens).expect("the place is empty");
    let settings = directory.path().join("softhsm2.conf");
    let lines = format!("directories.tokendir = {}\nobjectstore.backend = file\n", tokens.display());
    fs::write(&settings, lines).expect("the place is empty");
    let program = env::current_exe().expect("it runs");
    let again = Command::new(program)
        .args(env::args_os().skip(1))
        .env("SOFTHSM2_CONF", settings)
        .env(HAS_TOKEN, "yes")
        .status();
    Some(again.expect("the program is there"))
}

/// The library and its one token.
pub struct SoftHsm {
    module: PathBuf,
    library: Pkcs11,
    slot: Slot,
}

impl SoftHsm {
    /// A new token; `None` where SoftHSM2 is not installed.
    #[must_use]
    pub fn initialise() -> Option<Self> {
        let module = library::find()?;
        let initialise = || -> Result<(Pkcs11, Slot), cryptoki::error::Error> {
            let library = Pkcs11::new(&module)?;
            library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
            let slot = *library.get_slots_with_token()?.first().expect("there is a free slot");
            let officer = AuthPin::new("so 123456".into());
            library.init_token(slot, &officer, LABEL)?;
            let session = library.open_rw_session(slot)?;
            session.login(UserType::So, Some(&officer))?;
            session.init_pin(&AuthPin::new(PIN.into()))?;
            drop(session);
            let slot = *library.get_slots_with_initialized_token()?.first().expect("it was made here");
            Ok((library, slot))
        };
        let (library, slot) = initialise().expect("the library loads and the directory is private");
        Some(Self { module, library, slot })
    }

    /// A new key that wraps this way, as the engine uses it.
    #[must_use]
    pub fn key(&self, wrapping: Wrapping) -> TokenKey {
        let label = format!("{wrapping:?}");
        block_on(async {
            let options = TokenOptions::new(&self.module, LABEL, PIN).wrapping(wrapping);
            let token = Token::open(options).await?;
            token.generate_key(&label).await?;
            Ok::<_, strongroom::provider::ProviderError>(token.key(&label))
        })
        .expect("the token has both mechanisms")
    }

    /// What the token does when it unwraps 32 bytes with the key of [`key`](Self::key), which was made before: in one
    /// session, the key found beforehand.
    pub fn bare_unwraps(&self, wrapping: Wrapping) -> Box<dyn FnMut(u64)> {
        let session = self.library.open_rw_session(self.slot).expect("the token is there");
        let label = Attribute::Label(format!("{wrapping:?}").into());
        let found = session.find_objects(&[Attribute::Class(ObjectClass::SECRET_KEY), label]);
        let key = *found.expect("the user is logged in").first().expect("it was made before");
        match wrapping {
            Wrapping::Gcm => Box::new(decrypts(session, key)),
            _ => Box::new(unwraps(session, key)),
        }
    }
}

fn decrypts(session: Session, key: ObjectHandle) -> impl FnMut(u64) {
    let mut nonce = [3; 12];
    let sealed = session.encrypt(&gcm(&mut nonce), key, &[7; 32]).expect("the key encrypts");
    move |n| {
        for _ in 0..n {
            black_box(session.decrypt(&gcm(&mut nonce), key, &sealed).expect("the key decrypts").len());
        }
    }
}

fn gcm(nonce: &mut [u8; 12]) -> Mechanism<'_> {
    let tag_bits = 128_usize.try_into().expect("it is in range");
    Mechanism::AesGcm(GcmParams::new(nonce, &[1; 32], tag_bits).expect("the nonce is short"))
}

fn unwraps(session: Session, key: ObjectHandle) -> impl FnMut(u64) {
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::GENERIC_SECRET),
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
    ];
    let mut with_value = template.to_vec();
    with_value.push(Attribute::Value(vec![7; 32]));
    let object = session.create_object(&with_value).expect("it is one of this session");
    let wrapped = session.wrap_key(&Mechanism::AesKeyWrapPad, key, object).expect("the key wraps");
    move |n| {
        for _ in 0..n {
            let unwrapped = session.unwrap_key(&Mechanism::AesKeyWrapPad, key, &wrapped, &template);
            let object = unwrapped.expect("the key unwraps");
            black_box(session.get_attributes(object, &[AttributeType::Value]).is_ok());
            session.destroy_object(object).expect("it is one of this session");
        }
    }
}

impl fmt::Debug for SoftHsm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SoftHsm")
    }
}

const HAS_TOKEN: &str = "STRONGROOM_BENCH_HAS_TOKEN";
const LABEL: &str = "strongroom bench";
const PIN: &str = "user 123456";
