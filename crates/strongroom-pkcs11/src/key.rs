//! Keys on a token: made there, found again, destroyed there.

use cryptoki::context::Function;
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, SessionState};
use strongroom::provider::{ProviderError, ProviderErrorKind, ProviderKey};

use crate::link::{Failed, Open};
use crate::options::Wrapping;

/// A key that is on the token.
pub(crate) struct Found {
    pub(crate) handle: ObjectHandle,
    pub(crate) key: ProviderKey,
}

/// Which key: what a slot names, or whichever has a label.
#[derive(Clone, Copy)]
pub(crate) enum Wanted<'w> {
    Label(&'w str),
    Key(&'w ProviderKey),
}

/// Makes an AES-256 key that cannot leave the token.
pub(crate) fn generate(open: &Open, label: &str) -> Result<ProviderKey, Failed> {
    if !handles(&open.session, &template(label, None))?.is_empty() {
        let message = "the token has a key with this label: choose another one";
        return Err(ProviderError::new(ProviderErrorKind::Denied, message).into());
    }
    let mut id = [0; ID_LEN];
    open.session.generate_random_slice(&mut id)?;
    let mut template = template(label, Some(&id));
    let (encrypts, wraps) = (open.wrapping == Wrapping::Gcm, open.wrapping == Wrapping::KeyWrapPad);
    template.extend([
        Attribute::ValueLen(KEY_LEN.try_into()?),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Modifiable(false),
        Attribute::Encrypt(encrypts),
        Attribute::Decrypt(encrypts),
        Attribute::Wrap(wraps),
        Attribute::Unwrap(wraps),
    ]);
    open.session.generate_key(&Mechanism::AesKeyGen, &template)?;
    Ok(name(label, &id))
}

/// The one key that is wanted, once it is seen that it is an AES-256 key that stays on the token.
pub(crate) fn find(open: &Open, wanted: Wanted<'_>) -> Result<Found, Failed> {
    let session = &open.session;
    let found = match wanted {
        Wanted::Label(label) => handles(session, &template(label, None))?,
        Wanted::Key(key) => {
            let (label, id) = parts(key).ok_or_else(not_this_key)?;
            handles(session, &template(&label, id.as_deref()))?
        }
    };
    let handle = match found.as_slice() {
        [] => return Err(not_this_key().into()),
        [one] => *one,
        _ => return Err(unsupported("several keys of the token have this label and id").into()),
    };
    if !(stays(session, handle)? && is_aes_256(session, handle)?) {
        return Err(unsupported("the key is no AES-256 key, or it can leave the token").into());
    }
    let key = match wanted {
        Wanted::Key(key) => key.clone(),
        Wanted::Label(label) => name(label, &id_of(session, handle)?),
    };
    Ok(Found { handle, key })
}

/// Destroys a key of which no copy can exist: it was made on the token and never could leave it.
pub(crate) fn destroy(open: &Open, key: &ProviderKey) -> Result<(), Failed> {
    let found = find(open, Wanted::Key(key))?;
    let asked = [AttributeType::Local, AttributeType::NeverExtractable, AttributeType::AlwaysSensitive];
    let answers = open.session.get_attributes(found.handle, &asked)?;
    let holds = |attribute: &Attribute| {
        matches!(
            attribute,
            Attribute::Local(true) | Attribute::NeverExtractable(true) | Attribute::AlwaysSensitive(true)
        )
    };
    if answers.len() != asked.len() || !answers.iter().all(holds) {
        let message =
            "the key was not made on the token, or could leave it once: destroying it would prove nothing";
        return Err(unsupported(message).into());
    }
    Ok(open.session.destroy_object(found.handle)?)
}

/// Whether the token has the key.
pub(crate) fn exists(open: &Open, key: &ProviderKey) -> Result<bool, Failed> {
    let Some((label, id)) = parts(key) else { return Ok(false) };
    Ok(!handles(&open.session, &template(&label, id.as_deref()))?.is_empty())
}

fn template(label: &str, id: Option<&[u8]>) -> Vec<Attribute> {
    let mut template = vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Label(label.as_bytes().to_vec()),
    ];
    template.extend(id.map(|id| Attribute::Id(id.to_vec())));
    template
}

/// What the user sees. Whoever is logged out sees no key, which says nothing about the key.
fn handles(session: &Session, template: &[Attribute]) -> Result<Vec<ObjectHandle>, Failed> {
    let found = session.find_objects(template)?;
    if found.is_empty() && session.get_session_info()?.session_state() != SessionState::RwUser {
        return Err(Error::Pkcs11(RvError::UserNotLoggedIn, Function::FindObjects).into());
    }
    Ok(found)
}

fn stays(session: &Session, handle: ObjectHandle) -> Result<bool, Failed> {
    let asked = [AttributeType::Sensitive, AttributeType::Extractable];
    let answers = session.get_attributes(handle, &asked)?;
    let holds = |attribute: &Attribute| {
        matches!(attribute, Attribute::Sensitive(true) | Attribute::Extractable(false))
    };
    Ok(answers.len() == asked.len() && answers.iter().all(holds))
}

fn is_aes_256(session: &Session, handle: ObjectHandle) -> Result<bool, Failed> {
    let answers = session.get_attributes(handle, &[AttributeType::ValueLen])?;
    Ok(matches!(answers.as_slice(), [Attribute::ValueLen(len)] if usize::from(*len) == KEY_LEN))
}

fn id_of(session: &Session, handle: ObjectHandle) -> Result<Vec<u8>, Failed> {
    let answers = session.get_attributes(handle, &[AttributeType::Id])?;
    Ok(answers
        .into_iter()
        .find_map(|one| if let Attribute::Id(id) = one { Some(id) } else { None })
        .unwrap_or_default())
}

/// `label:id`, the id in hexadecimal: a key that takes the label of a destroyed one is another.
fn name(label: &str, id: &[u8]) -> ProviderKey {
    ProviderKey::new(format!("{label}:{}", hex::encode(id)), 0)
}

fn parts(key: &ProviderKey) -> Option<(String, Option<Vec<u8>>)> {
    let (label, id) = key.id.rsplit_once(':')?;
    let id = hex::decode(id).ok()?;
    Some((label.to_owned(), (!id.is_empty()).then_some(id)))
}

fn not_this_key() -> ProviderError {
    ProviderError::new(ProviderErrorKind::NotThisKey, "the token has no such key")
}

fn unsupported(message: &'static str) -> ProviderError {
    ProviderError::new(ProviderErrorKind::Unsupported, message)
}

const KEY_LEN: usize = 32;
const ID_LEN: usize = 16;
