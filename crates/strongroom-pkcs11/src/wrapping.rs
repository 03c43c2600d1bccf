//! How a token wraps 32 bytes, and the blob that comes of it: `version | mechanism | nonce | ciphertext`.

use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use strongroom::RawKey;
use strongroom::provider::{ProviderError, ProviderErrorKind, WrapContext};
use zeroize::{Zeroize as _, Zeroizing};

use crate::link::{Failed, Open};
use crate::options::Wrapping;

/// Wraps `base` under the key at `handle`.
pub(crate) fn wrap(
    open: &Open,
    handle: ObjectHandle,
    base: &RawKey,
    context: &WrapContext,
) -> Result<Vec<u8>, Failed> {
    match open.wrapping {
        Wrapping::Gcm => {
            let (nonce, sealed) = encrypt(&open.session, handle, base.expose(), context)?;
            Ok([&[VERSION, GCM], nonce.as_slice(), &sealed].concat())
        }
        Wrapping::KeyWrapPad => {
            let wrapped = wrap_key(&open.session, handle, base)?;
            Ok([&[VERSION, KEY_WRAP_PAD], wrapped.as_slice()].concat())
        }
    }
}

/// Unwraps what [`wrap`] gave, with the mechanism that it names.
pub(crate) fn unwrap(
    open: &Open,
    handle: ObjectHandle,
    blob: &[u8],
    context: &WrapContext,
) -> Result<RawKey, Failed> {
    let bytes = match blob {
        [VERSION, GCM, rest @ ..] => {
            let (nonce, sealed) = rest.split_at_checked(NONCE_LEN).ok_or_else(corrupt)?;
            if sealed.len() != SEALED_LEN {
                return Err(corrupt().into());
            }
            decrypt(open, handle, nonce, sealed, context)?
        }
        [VERSION, KEY_WRAP_PAD, wrapped @ ..] if wrapped.len() == WRAPPED_LEN => {
            unwrap_key(&open.session, handle, wrapped)?
        }
        _ => return Err(corrupt().into()),
    };
    Ok(RawKey::from_slice(&bytes).ok_or_else(corrupt)?)
}

fn encrypt(
    session: &Session,
    key: ObjectHandle,
    plaintext: &[u8],
    context: &WrapContext,
) -> Result<([u8; NONCE_LEN], Vec<u8>), Failed> {
    let mut nonce = [0; NONCE_LEN];
    session.generate_random_slice(&mut nonce)?;
    let params = GcmParams::new(&mut nonce, context.as_bytes(), TAG_BITS.try_into()?)?;
    let sealed = session.encrypt(&Mechanism::AesGcm(params), key, plaintext)?;
    // A token in FIPS mode may have put a nonce of its own in the place of ours.
    if sealed.len() != plaintext.len() + TAG_LEN {
        return Err(ProviderError::new(
            ProviderErrorKind::Unsupported,
            "the token's GCM adds bytes of its own",
        )
        .into());
    }
    Ok((nonce, sealed))
}

fn decrypt(
    open: &Open,
    key: ObjectHandle,
    nonce: &[u8],
    sealed: &[u8],
    context: &WrapContext,
) -> Result<Zeroizing<Vec<u8>>, Failed> {
    let mut nonce = nonce.to_vec();
    let params = GcmParams::new(&mut nonce, context.as_bytes(), TAG_BITS.try_into()?)?;
    match open.session.decrypt(&Mechanism::AesGcm(params), key, sealed) {
        Ok(bytes) => Ok(Zeroizing::new(bytes)),
        // The answer of some tokens to a wrong tag, and of any token in trouble. One that can decrypt what it has just
        // encrypted is not in trouble.
        Err(error @ Error::Pkcs11(RvError::GeneralError | RvError::FunctionFailed, _)) => {
            if works(&open.session, key, context) { Err(corrupt().into()) } else { Err(error.into()) }
        }
        Err(error) => Err(error.into()),
    }
}

fn works(session: &Session, key: ObjectHandle, context: &WrapContext) -> bool {
    let Ok((mut nonce, sealed)) = encrypt(session, key, &[0; 32], context) else { return false };
    let Ok(bits) = TAG_BITS.try_into() else { return false };
    let Ok(params) = GcmParams::new(&mut nonce, context.as_bytes(), bits) else { return false };
    session.decrypt(&Mechanism::AesGcm(params), key, &sealed).is_ok_and(|bytes| bytes == [0; 32])
}

/// Key wrap takes an object: the bytes become one for the length of this call, in this session alone.
fn wrap_key(session: &Session, key: ObjectHandle, base: &RawKey) -> Result<Vec<u8>, Failed> {
    let mut template = session_key();
    template.push(Attribute::Value(base.expose().to_vec()));
    let object = session.create_object(&template);
    if let Some(Attribute::Value(bytes)) = template.last_mut() {
        bytes.zeroize();
    }
    let object = object?;
    let wrapped = session.wrap_key(&Mechanism::AesKeyWrapPad, key, object);
    session.destroy_object(object)?;
    Ok(wrapped?)
}

fn unwrap_key(session: &Session, key: ObjectHandle, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failed> {
    let object = match session.unwrap_key(&Mechanism::AesKeyWrapPad, key, wrapped, &session_key()) {
        Ok(object) => object,
        Err(error @ Error::Pkcs11(RvError::GeneralError | RvError::FunctionFailed, _)) => {
            return Err(if wraps(session, key) { corrupt().into() } else { error.into() });
        }
        Err(error) => return Err(error.into()),
    };
    let value = session.get_attributes(object, &[AttributeType::Value]).map(|value| {
        value.into_iter().find_map(|one| match one {
            Attribute::Value(bytes) => Some(Zeroizing::new(bytes)),
            _ => None,
        })
    });
    // Only now: it may fail, and what was read is wiped then too.
    session.destroy_object(object)?;
    Ok(value?.ok_or_else(corrupt)?)
}

fn wraps(session: &Session, key: ObjectHandle) -> bool {
    let zeros = RawKey::from_bytes([0; 32]);
    let Ok(wrapped) = wrap_key(session, key, &zeros) else { return false };
    let object = session.unwrap_key(&Mechanism::AesKeyWrapPad, key, &wrapped, &session_key());
    object.and_then(|object| session.destroy_object(object)).is_ok()
}

/// A key that can be read, since it is ours: it goes no further than the session.
fn session_key() -> Vec<Attribute> {
    vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::GENERIC_SECRET),
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
    ]
}

fn corrupt() -> ProviderError {
    ProviderError::new(ProviderErrorKind::Corrupt, "the token refuses what was wrapped")
}

const VERSION: u8 = 1;
const GCM: u8 = 1;
const KEY_WRAP_PAD: u8 = 2;
const NONCE_LEN: usize = 12;
const TAG_LEN: usize = 16;
const TAG_BITS: usize = 128;
const SEALED_LEN: usize = 32 + TAG_LEN;
const WRAPPED_LEN: usize = 32 + 8;
