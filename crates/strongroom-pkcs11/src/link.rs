//! A session with a token: opened when it is needed, and again when the token lost it.

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::MechanismType;
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use strongroom::provider::{ProviderError, ProviderErrorKind};

use crate::failure::{failure, is_lost_session};
use crate::options::{TokenOptions, Wrapping};

/// The worker's side of a token. It lives on one thread.
pub(crate) struct Link {
    options: TokenOptions,
    open: Option<Open>,
}

/// A session that is logged in.
pub(crate) struct Open {
    pub(crate) session: Session,
    /// How new keys wrap.
    pub(crate) wrapping: Wrapping,
    /// The token's label and serial number, for people.
    pub(crate) token: String,
}

impl Link {
    pub(crate) fn new(options: TokenOptions) -> Self {
        Self { options, open: None }
    }

    /// Does `work` in the session that there is, or in a new one. A session that the token lost did nothing, so the
    /// work is done once more.
    pub(crate) fn with<T>(&mut self, work: impl Fn(&Open) -> Result<T, Failed>) -> Result<T, ProviderError> {
        let first = self.open.is_none();
        let answer = work(self.open()?);
        let Err(Failed::Token(error)) = &answer else { return answer.map_err(Failed::into_error) };
        if !is_lost_session(error) {
            return answer.map_err(Failed::into_error);
        }
        self.open = None;
        if first {
            return answer.map_err(Failed::into_error);
        }
        work(self.open()?).map_err(Failed::into_error)
    }

    /// Forgets the session, so that the next work sees the token as it is.
    pub(crate) fn renew(&mut self) {
        self.open = None;
    }

    fn open(&mut self) -> Result<&Open, ProviderError> {
        let open = match self.open.take() {
            Some(open) => open,
            None => connect(&self.options)?,
        };
        Ok(self.open.insert(open))
    }
}

/// What went wrong with some work: an answer of the token, or what was made of its answers.
pub(crate) enum Failed {
    Token(Error),
    Judged(ProviderError),
}

impl Failed {
    fn into_error(self) -> ProviderError {
        match self {
            Self::Token(error) => failure(error),
            Self::Judged(error) => error,
        }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Token(error)
    }
}

impl From<ProviderError> for Failed {
    fn from(error: ProviderError) -> Self {
        Self::Judged(error)
    }
}

fn connect(options: &TokenOptions) -> Result<Open, ProviderError> {
    let library = Pkcs11::new(&options.module).map_err(failure)?;
    // Once a process, whoever was first.
    match library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => return Err(failure(error)),
    }
    let (slot, token) = find_token(&library, &options.token_label)?;
    let wrapping = match options.wrapping {
        Some(wrapping) => wrapping,
        None => best(&library, slot)?,
    };
    let session = library.open_rw_session(slot).map_err(failure)?;
    let pin = AuthPin::new(options.pin.expose().into());
    match session.login(UserType::User, Some(&pin)) {
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
        Err(error) => return Err(failure(error)),
    }
    Ok(Open { session, wrapping, token })
}

fn find_token(library: &Pkcs11, label: &str) -> Result<(Slot, String), ProviderError> {
    let (mut found, mut unread) = (Vec::new(), None);
    for slot in library.get_slots_with_token().map_err(failure)? {
        match library.get_token_info(slot) {
            Ok(info) if info.token_initialized() && info.label().trim_end() == label => {
                let token = format!("token {label}, serial number {}", info.serial_number().trim_end());
                found.push((slot, token));
            }
            Ok(_) => {}
            // A card in another reader may be of a kind that the library does not know.
            Err(error) => unread = Some(failure(error)),
        }
    }
    match (found.pop(), found.is_empty()) {
        (Some(only), true) => Ok(only),
        (Some(_), false) => {
            Err(ProviderError::new(ProviderErrorKind::Unsupported, "several tokens have this label"))
        }
        (None, _) => Err(unread.unwrap_or_else(|| {
            ProviderError::new(ProviderErrorKind::Unavailable, "no token with this label is present")
        })),
    }
}

/// GCM where the token encrypts and decrypts with it, else key wrap with padding.
fn best(library: &Pkcs11, slot: Slot) -> Result<Wrapping, ProviderError> {
    let known = library.get_mechanism_list(slot).map_err(failure)?;
    let info = |mechanism| match known.contains(&mechanism) {
        true => library.get_mechanism_info(slot, mechanism).map(Some).map_err(failure),
        false => Ok(None),
    };
    if info(MechanismType::AES_GCM)?.is_some_and(|info| info.encrypt() && info.decrypt()) {
        return Ok(Wrapping::Gcm);
    }
    if info(MechanismType::AES_KEY_WRAP_PAD)?.is_some_and(|info| info.wrap() && info.unwrap()) {
        return Ok(Wrapping::KeyWrapPad);
    }
    let message = "the token has neither CKM_AES_GCM nor CKM_AES_KEY_WRAP_PAD";
    Err(ProviderError::new(ProviderErrorKind::Unsupported, message))
}
