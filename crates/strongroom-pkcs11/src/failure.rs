//! What an answer of a token means to the engine.

use cryptoki::error::{Error, RvError};
use strongroom::provider::{ProviderError, ProviderErrorKind};

/// The engine's error for an answer of the token. What is not known to say something about the key is an outage.
pub(crate) fn failure(error: Error) -> ProviderError {
    let (kind, message) = match &error {
        Error::Pkcs11(code, _) => meaning(code),
        Error::LibraryLoading(_) | Error::MissingSymbol(_) => {
            (ProviderErrorKind::Unavailable, "the PKCS #11 library cannot be loaded")
        }
        Error::NotSupported | Error::NullFunctionPointer => {
            (ProviderErrorKind::Unsupported, "the PKCS #11 library lacks a function")
        }
        _ => (ProviderErrorKind::Unavailable, "the token gave an answer that makes no sense"),
    };
    ProviderError::new(kind, message).with_source(error)
}

/// Whether the session is gone, and not the token's last word: a new one may do.
pub(crate) fn is_lost_session(error: &Error) -> bool {
    let Error::Pkcs11(code, _) = error else { return false };
    matches!(
        code,
        RvError::SessionHandleInvalid
            | RvError::SessionClosed
            | RvError::UserNotLoggedIn
            | RvError::CryptokiNotInitialized
            | RvError::DeviceRemoved
            | RvError::TokenNotPresent
    )
}

fn meaning(code: &RvError) -> (ProviderErrorKind, &'static str) {
    use ProviderErrorKind::{Corrupt, Denied, NotThisKey, Unavailable, Unsupported};
    match code {
        RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange => {
            (Denied, "the token refuses the PIN")
        }
        RvError::PinLocked | RvError::PinExpired => (Denied, "the PIN is locked or expired"),
        RvError::UserNotLoggedIn | RvError::UserPinNotInitialized => {
            (Denied, "the token has no user who may do this")
        }
        RvError::KeyFunctionNotPermitted
        | RvError::ActionProhibited
        | RvError::FunctionRejected
        | RvError::TokenWriteProtected
        | RvError::SessionReadOnly => (Denied, "the token does not permit this"),
        RvError::KeyHandleInvalid
        | RvError::ObjectHandleInvalid
        | RvError::UnwrappingKeyHandleInvalid
        | RvError::WrappingKeyHandleInvalid => (NotThisKey, "the token has no such key"),
        RvError::EncryptedDataInvalid
        | RvError::EncryptedDataLenRange
        | RvError::WrappedKeyInvalid
        | RvError::WrappedKeyLenRange => (Corrupt, "the token refuses what was wrapped"),
        RvError::MechanismInvalid
        | RvError::MechanismParamInvalid
        | RvError::FunctionNotSupported
        | RvError::KeyTypeInconsistent
        | RvError::KeySizeRange
        | RvError::TemplateInconsistent
        | RvError::AttributeTypeInvalid
        | RvError::AttributeValueInvalid => (Unsupported, "the token cannot do this"),
        _ => (Unavailable, "the token does not answer as it should"),
    }
}
