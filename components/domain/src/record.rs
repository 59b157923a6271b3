//! What a stored value holds. Every record carries the version of its format in
//! `v`; one written by a newer version is an error, never a guess.

use crate::id::{AppId, ComponentDigest, KeyDigest, RoomId, UserId};
use crate::kv::{Error, Read};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The version that this crate writes, and the newest that it reads.
pub const VERSION: u32 = 1;

/// What is wrong with a stored value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The bytes are not a record of the expected kind.
    #[error("not a record of the expected kind")]
    Malformed,
    /// The record was written by a newer version of SSChat.
    #[error("written by a newer version (format {0})")]
    Newer(u32),
}

/// The longest secret that may be brought, in bytes.
pub const SECRET_LIMIT: usize = 256;

/// A secret: 64 hex digits where it was made here. Its `Debug` form hides it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Makes a secret of 32 random bytes.
    #[must_use]
    pub fn from_random(bytes: [u8; 32]) -> Self {
        Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// A secret that its owner brings: 1 to [`SECRET_LIMIT`] bytes without control characters.
    /// How long it has to be, the caller knows.
    #[must_use]
    pub fn brought(text: String) -> Option<Self> {
        let fits = (1..=SECRET_LIMIT).contains(&text.len());
        (fits && !text.contains(char::is_control)).then_some(Self(text))
    }

    /// The text that signs tokens: its bytes as they are, not decoded from hex.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// A tenant. Nothing of a tenant counts while this record is absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    /// The digest of the API key, so that its pointer can be removed.
    pub key: KeyDigest,
    /// What the developer calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Whether a bare user id is refused as a login.
    #[serde(default)]
    pub require_token: bool,
    /// The secret that the registration made. What came after it is in
    /// [`crate::signing`].
    pub secrets: Vec<Secret>,
}

/// A room, or a user: the slot it has in its tenant's roster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// Its slot in the tenant's roster.
    pub slot: u64,
}

/// The entry of a pair (room, user).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Whether the user is a member now.
    pub active: bool,
    /// The slot among the room's members.
    pub member_slot: u64,
    /// The slot among the user's rooms.
    pub room_slot: u64,
}

/// A slot of a roster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot<P> {
    /// Who has it.
    pub id: P,
    /// The slot that the owner of this roster has in the peer's roster; 0 if none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub back: u64,
}

/// Leads from a key or a user to the tenant. Grants nothing by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    /// The tenant.
    pub tenant: AppId,
}

/// What decides before a tenant's own component is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Members of a room hear it and speak in it; users are registered.
    #[default]
    Members,
    /// Whoever knows the app's id joins and publishes, in any room: for development.
    Open,
}

/// The built-in rule that a tenant chose; where it is absent, the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Policy {
    /// The rule.
    pub rule: Rule,
}

/// A place for an uploaded component: the active one, or the candidate. An absent
/// record is an empty place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Place {
    /// What is there.
    pub component: Option<Component>,
}

/// An uploaded component, all of whose chunks are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// The digest of its bytes.
    pub digest: ComponentDigest,
    /// How many bytes it has.
    pub size: u64,
    /// How many chunks they are in.
    pub chunks: u64,
    /// The number of its upload, which no other has and which names its chunks.
    pub upload: u64,
}

/// Which of a tenant's two places for a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It is asked.
    Active,
    /// It runs beside the active one, and its verdicts are never used.
    Candidate,
}

/// What became of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// Where it goes.
    pub role: Role,
    /// Whether it has been put there.
    pub placed: bool,
}

/// What is being removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// A whole tenant, with the digest of its key.
    Tenant(KeyDigest),
    /// A room, with its slot in the tenant's roster.
    Room(RoomId, u64),
    /// A user, with its slot in the tenant's roster.
    User(UserId, u64),
}

/// An unfinished removal, and how far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doom {
    /// Whose it is.
    pub tenant: AppId,
    /// What is removed.
    pub target: Target,
    /// The last slot of the outer roster that is done; tenants only: uploads first
    /// (by their numbers), then revocations (by their places), rooms, users.
    #[serde(default)]
    pub outer: u64,
    /// Whether the tenant's uploads are done.
    #[serde(default)]
    pub uploads_done: bool,
    /// Whether what the tenant revoked is done.
    #[serde(default)]
    pub revocations_done: bool,
    /// Whether the tenant's rooms are done.
    #[serde(default)]
    pub rooms_done: bool,
    /// The last slot of the inner roster that is done.
    #[serde(default)]
    pub inner: u64,
}

/// Where a tenant's removal stands in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoomPlace {
    /// The place in the queue.
    pub place: u64,
}

#[derive(Deserialize)]
struct VersionOnly {
    v: u32,
}

/// How every record of [`VERSION`] begins.
const HEAD: &[u8] = br#"{"v":1,"#;

/// The bytes to store for `record`, which is a struct with at least one field.
pub(crate) fn encode<T: Serialize>(record: &T) -> Vec<u8> {
    // Records are plain structs with text keys, which JSON can always express.
    let body = serde_json::to_vec(record).unwrap_or_default();
    let mut bytes = Vec::with_capacity(HEAD.len() + body.len());
    bytes.extend_from_slice(HEAD);
    bytes.extend_from_slice(body.strip_prefix(b"{").unwrap_or_default());
    bytes
}

/// Reads a record from its bytes.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RecordError> {
    if !bytes.starts_with(HEAD) {
        match serde_json::from_slice::<VersionOnly>(bytes) {
            Ok(VersionOnly { v }) if v > VERSION => return Err(RecordError::Newer(v)),
            Ok(_) => {}
            Err(_) => return Err(RecordError::Malformed),
        }
    }
    serde_json::from_slice(bytes).map_err(|_| RecordError::Malformed)
}

/// The record at `key` from its bytes, or `None` where there are none.
pub(crate) fn decode_at<T: DeserializeOwned>(
    key: &str,
    bytes: Option<&[u8]>,
) -> Result<Option<T>, Error> {
    let record = bytes.map(decode).transpose();
    record.map_err(|error| Error::Record {
        key: key.to_owned(),
        error,
    })
}

/// Reads the record at `key`.
pub(crate) async fn load<T: DeserializeOwned, S: Read>(
    store: &S,
    key: &str,
) -> Result<Option<T>, Error> {
    decode_at(key, store.get(key).await?.as_deref())
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_carry_their_version() {
        let member = Member {
            active: true,
            member_slot: 3,
            room_slot: 9,
        };
        let bytes = encode(&member);
        assert_eq!(
            bytes,
            br#"{"v":1,"active":true,"member_slot":3,"room_slot":9}"#
        );
        assert_eq!(decode::<Member>(&bytes), Ok(member));
    }

    #[test]
    fn a_newer_record_is_an_error_and_not_a_panic() {
        let newer = br#"{"v":2,"active":"perhaps"}"#;
        assert_eq!(decode::<Member>(newer), Err(RecordError::Newer(2)));
        for wrong in [
            &b""[..],
            b"{}",
            b"[1]",
            b"{\"v\":1}",
            b"\xff",
            b"{\"v\":-1}",
        ] {
            assert_eq!(decode::<Member>(wrong), Err(RecordError::Malformed));
        }
    }

    #[test]
    fn secrets_do_not_show_themselves() {
        let secret = Secret::from_random([0xab; 32]);
        assert_eq!(secret.expose().len(), 64);
        assert!(!format!("{secret:?}").contains("ab"));
    }

    #[test]
    fn a_secret_can_be_brought() {
        let brought = |text: &str| Secret::brought(text.to_owned());
        assert_eq!(brought("my secret").unwrap().expose(), "my secret");
        assert!(brought(&"s".repeat(SECRET_LIMIT)).is_some());
        assert!(brought(&"s".repeat(SECRET_LIMIT + 1)).is_none());
        assert!(brought("").is_none());
        assert!(brought("a\nb").is_none());
    }
}
