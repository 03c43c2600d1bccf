//! The key that signs tokens, as the store holds it, and beside it the second up to which all sessions were ended.

use std::sync::Arc;

use strongroom::{Error, Expected, Record, Records, Secret, WriteOptions};
use zeroize::Zeroizing;

use super::Sessions;
use crate::auth::token::SigningKey;
use crate::auth::{of_later_release, own_records, random};

impl Sessions {
    pub(super) async fn signing_key(&self, now: u64) -> Result<Option<Arc<SigningKey>>, Error> {
        let records = self.signing_records()?;
        let Some(record) = records.get(&SIGNING_KEY.parse()?).await? else { return Ok(None) };
        if let Some(ended) = records.get(&ENDED.parse()?).await? {
            self.signing_keys.end(&self.org, None, seconds(&ended)?, now);
        }
        let mut bytes = Zeroizing::new([0; 32]);
        hex::decode_to_slice(record.value.expose(), &mut *bytes).map_err(|_| Error::InvalidKey)?;
        let key = Arc::new(SigningKey::new(bytes));
        self.signing_keys.remember(&self.org, &key);
        Ok(Some(key))
    }

    pub(super) fn signing_records(&self) -> Result<Records, Error> {
        own_records(&self.org, "signing-key")
    }

    /// The signing key. The first caller creates it; the loser of a race uses the winner's.
    pub(super) async fn signing_key_or_new(&self, now: u64) -> Result<Arc<SigningKey>, Error> {
        if let Some(key) = self.signing_key(now).await? {
            return Ok(key);
        }
        let new = Secret::from(hex::encode(random::<32>()?.as_slice()));
        let records = self.signing_records()?;
        let if_first = WriteOptions::expecting(Expected::Absent);
        match records.put_with(&SIGNING_KEY.parse()?, new, if_first).await {
            // Another server was faster: its key is the one that is read below.
            Ok(_) | Err(Error::Unexpected { .. }) => {}
            Err(error) => return Err(error),
        }
        self.signing_key(now).await?.ok_or(Error::InvalidKey)
    }
}

pub(super) fn seconds(record: &Record) -> Result<u64, Error> {
    let secs = record.value.expose().parse();
    secs.map_err(|_| of_later_release("the note of up to when all sessions were ended".to_owned()))
}

/// The engine keeps these two records, also damaged ones, from a sweep: `Namespace::keeps_out` there names them.
pub(super) const SIGNING_KEY: &str = "hs256";
/// The record beside the key: the second up to which all sessions were ended.
pub(super) const ENDED: &str = "sessions-ended";

#[cfg(test)]
mod tests {
    use strongroom::{Environment, RawKey, Timestamp, Unlock, Vault};

    use super::*;
    use crate::auth::{Reuse, Signature};

    #[tokio::test]
    async fn whatever_asks_for_the_signing_key_of_a_locked_org_wipes_it() {
        for with_token in [true, false] {
            let unlock = Unlock::raw_key(RawKey::generate().unwrap());
            let vault = Vault::create(strongroom_memory::MemoryStore::new(), unlock).await.unwrap();
            let org = vault.org("6500a1b2c3d4e5f6a7b8c9d0".parse().unwrap(), Environment::test());
            org.create_account("a".parse().unwrap()).await.unwrap();
            let account = org.linked_account(&"a".parse().unwrap()).await.unwrap().unwrap();
            let sessions = Sessions::new(org.clone(), Arc::default()).unwrap();
            let now = Timestamp::from_ms(1_700_000_000_000);
            let issue = || sessions.issue(&account, Reuse::Refused, 60, now);
            let token = issue().await.unwrap().token;
            org.lock();
            assert_eq!(sessions.known_signature(&token), Signature::Good);
            let asked = match with_token {
                true => sessions.has_signed(&token, now).await.map(drop),
                false => issue().await.map(drop),
            };
            assert!(matches!(asked, Err(Error::Locked)));
            assert_eq!(sessions.known_signature(&token), Signature::Unknown);
        }
    }
}
