//! Devices, their token records and pending pairings as rows. A change is a list of [`Change`]s written in one
//! transaction; the same list is then applied to the copy in memory.

use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};

/// A paired device as stored. What others see of it is made in `crate::pairing`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeviceRow {
    /// Lower-case hex SHA-256 of the public key.
    pub device_id: String,
    /// base64url without padding.
    pub public_key: String,
    /// A name the client gave itself.
    pub display_name: Option<String>,
    /// The system the client runs on.
    pub platform: Option<String>,
    /// Kind of device.
    pub device_family: Option<String>,
    /// The program that connected last.
    pub client_id: Option<String>,
    /// The mode it connected in.
    pub client_mode: Option<String>,
    /// The role it connected in.
    pub role: Option<String>,
    /// Approved roles.
    pub roles: Vec<String>,
    /// Approved scopes.
    pub scopes: Vec<String>,
    /// The address it last came from, unless local.
    pub remote_ip: Option<String>,
    /// A name the operator gave it.
    pub label: Option<String>,
    /// `silent` (local) or `owner` (an operator decided).
    pub approved_via: String,
    /// When it was first approved.
    pub created_at_ms: u64,
    /// When it was last approved.
    pub approved_at_ms: u64,
    /// When it last connected.
    pub last_seen_at_ms: Option<u64>,
    /// What it may not change of itself without being approved again, at most one a role.
    pub pins: Vec<Pin>,
    /// Its tokens, at most one a role.
    pub tokens: Vec<TokenRow>,
}

/// What a device is pinned to in a role, in the spelling that is compared; a part that was absent is empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The role.
    pub role: String,
    /// Its platform.
    pub platform: String,
    /// Its kind of device.
    pub device_family: String,
}

/// A token record: what is needed to make the token again and to judge it, never the token.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TokenRow {
    /// The role it is for.
    pub role: String,
    /// The random id drawn when it was minted.
    pub mint: String,
    /// Its scopes, sorted.
    pub scopes: Vec<String>,
    /// When the first token of this role was minted.
    pub created_at_ms: u64,
    /// When this one was minted, if it is not the first.
    pub rotated_at_ms: Option<u64>,
    /// When it was revoked.
    pub revoked_at_ms: Option<u64>,
    /// When it was last used.
    pub last_used_at_ms: Option<u64>,
    /// The token it replaces by renewal, good until this one is used.
    pub previous: Option<PreviousMint>,
    /// Changes when connections that stand on this token must fall. In memory only.
    pub epoch: u64,
}

/// A token that has been renewed but whose successor was not used yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviousMint {
    /// The random id drawn when it was minted.
    pub mint: String,
    /// When it was minted.
    pub issued_at_ms: u64,
}

impl TokenRow {
    /// When the current token was minted.
    pub fn issued_at_ms(&self) -> u64 {
        self.rotated_at_ms.unwrap_or(self.created_at_ms)
    }
}

/// A device that asks to be let in, exactly as clients see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PendingRequest {
    /// Names the request; operators decide by it.
    pub request_id: String,
    /// The device.
    pub device_id: String,
    /// Its key, base64url without padding.
    pub public_key: String,
    /// A name the client gave itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The system it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Kind of device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_family: Option<String>,
    /// The program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Its mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_mode: Option<String>,
    /// The role asked for.
    pub role: String,
    /// The role asked for, as a list.
    pub roles: Vec<String>,
    /// The scopes asked for, as sent.
    pub scopes: Vec<String>,
    /// Where it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_ip: Option<String>,
    /// Whether it is of the kind that is approved without asking.
    pub silent: bool,
    /// Whether the device was paired already and asks for more.
    pub is_repair: bool,
    /// When it was made.
    pub ts: u64,
    /// Whether its approval pins platform and family. Not shown.
    #[serde(skip)]
    pub pins: bool,
}

/// One change of the pairing book.
#[derive(Debug, Clone)]
pub enum Change {
    /// Writes a device and all its tokens.
    PutDevice(Box<DeviceRow>),
    /// Removes a device and its tokens.
    DropDevice(String),
    /// Writes a pending request.
    PutPending(Box<PendingRequest>),
    /// Removes a pending request.
    DropPending(String),
}

/// Writes changes in one transaction.
pub fn write(connection: &mut Connection, changes: &[Change]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    for change in changes {
        match change {
            Change::PutDevice(device) => put_device(&transaction, device)?,
            Change::DropDevice(id) => {
                transaction.execute("DELETE FROM devices WHERE device_id = ?1", [id])?;
            }
            Change::PutPending(request) => {
                let record = serde_json::to_string(request).map_err(unwritable)?;
                transaction.execute(
                    "INSERT INTO pending_pairings (request_id, device_id, role, record, ts, pins) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                    params![
                        request.request_id,
                        request.device_id,
                        request.role,
                        record,
                        request.ts as i64,
                        request.pins
                    ],
                )?;
            }
            Change::DropPending(id) => {
                transaction.execute("DELETE FROM pending_pairings WHERE request_id = ?1", [id])?;
            }
        }
    }
    transaction.commit()
}

/// Reads all devices and pending requests. A row that cannot be read is an error, never skipped.
pub fn load(connection: &Connection) -> rusqlite::Result<(Vec<DeviceRow>, Vec<PendingRequest>)> {
    let mut devices = connection
        .prepare(&format!("SELECT {DEVICE_COLUMNS} FROM devices"))?
        .query_map([], read_device)?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let mut tokens = connection.prepare(&format!("SELECT {TOKEN_COLUMNS} FROM device_tokens WHERE device_id = ?1"))?;
    for device in &mut devices {
        device.tokens = tokens.query_map([&device.device_id], read_token)?.collect::<rusqlite::Result<_>>()?;
        device.tokens.sort_by(|a, b| a.role.cmp(&b.role));
    }
    let pending = connection
        .prepare("SELECT record, pins FROM pending_pairings")?
        .query_map([], |row| {
            let request: PendingRequest = parse(&row.get::<_, String>(0)?)?;
            Ok(PendingRequest { pins: row.get(1)?, ..request })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok((devices, pending))
}

const DEVICE_COLUMNS: &str = "device_id, public_key, display_name, platform, device_family, client_id, client_mode, role, \
                              roles, scopes, remote_ip, label, approved_via, created_at_ms, approved_at_ms, \
                              last_seen_at_ms, pins";
const TOKEN_COLUMNS: &str = "role, mint, scopes, created_at_ms, rotated_at_ms, revoked_at_ms, last_used_at_ms, \
                             previous_mint, previous_issued_at_ms";

fn put_device(connection: &Connection, device: &DeviceRow) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM devices WHERE device_id = ?1", [&device.device_id])?;
    connection.execute(
        &format!(
            "INSERT INTO devices ({DEVICE_COLUMNS}) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)"
        ),
        params![
            device.device_id,
            device.public_key,
            device.display_name,
            device.platform,
            device.device_family,
            device.client_id,
            device.client_mode,
            device.role,
            list(&device.roles)?,
            list(&device.scopes)?,
            device.remote_ip,
            device.label,
            device.approved_via,
            device.created_at_ms as i64,
            device.approved_at_ms as i64,
            device.last_seen_at_ms.map(|ms| ms as i64),
            serde_json::to_string(&device.pins).map_err(unwritable)?,
        ],
    )?;
    for token in &device.tokens {
        connection.execute(
            &format!(
                "INSERT INTO device_tokens (device_id, {TOKEN_COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
            ),
            params![
                device.device_id,
                token.role,
                token.mint,
                list(&token.scopes)?,
                token.created_at_ms as i64,
                token.rotated_at_ms.map(|ms| ms as i64),
                token.revoked_at_ms.map(|ms| ms as i64),
                token.last_used_at_ms.map(|ms| ms as i64),
                token.previous.as_ref().map(|previous| &previous.mint),
                token.previous.as_ref().map(|previous| previous.issued_at_ms as i64),
            ],
        )?;
    }
    Ok(())
}

fn read_device(row: &Row<'_>) -> rusqlite::Result<DeviceRow> {
    Ok(DeviceRow {
        device_id: row.get(0)?,
        public_key: row.get(1)?,
        display_name: row.get(2)?,
        platform: row.get(3)?,
        device_family: row.get(4)?,
        client_id: row.get(5)?,
        client_mode: row.get(6)?,
        role: row.get(7)?,
        roles: parse(&row.get::<_, String>(8)?)?,
        scopes: parse(&row.get::<_, String>(9)?)?,
        remote_ip: row.get(10)?,
        label: row.get(11)?,
        approved_via: row.get(12)?,
        created_at_ms: row.get::<_, i64>(13)? as u64,
        approved_at_ms: row.get::<_, i64>(14)? as u64,
        last_seen_at_ms: optional_ms(row, 15)?,
        pins: parse(&row.get::<_, String>(16)?)?,
        tokens: Vec::new(),
    })
}

fn read_token(row: &Row<'_>) -> rusqlite::Result<TokenRow> {
    let previous_mint: Option<String> = row.get(7)?;
    let previous_issued = optional_ms(row, 8)?;
    Ok(TokenRow {
        role: row.get(0)?,
        mint: row.get(1)?,
        scopes: parse(&row.get::<_, String>(2)?)?,
        created_at_ms: row.get::<_, i64>(3)? as u64,
        rotated_at_ms: optional_ms(row, 4)?,
        revoked_at_ms: optional_ms(row, 5)?,
        last_used_at_ms: optional_ms(row, 6)?,
        previous: previous_mint.zip(previous_issued).map(|(mint, issued_at_ms)| PreviousMint { mint, issued_at_ms }),
        epoch: 0,
    })
}

fn optional_ms(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<u64>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(|ms| ms as u64))
}

fn list(values: &[String]) -> rusqlite::Result<String> {
    serde_json::to_string(values).map_err(unwritable)
}

fn parse<T: serde::de::DeserializeOwned>(text: &str) -> rusqlite::Result<T> {
    let unreadable = |error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::<serde_json::Error>::new(error))
    };
    serde_json::from_str(text).map_err(unreadable)
}

fn unwritable(error: serde_json::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    fn full_device() -> DeviceRow {
        let some = |text: &str| Some(text.to_string());
        DeviceRow {
            device_id: "d".into(),
            public_key: "k".into(),
            display_name: some("n"),
            platform: some("p"),
            device_family: some("f"),
            client_id: some("c"),
            client_mode: some("m"),
            role: some("operator"),
            roles: vec!["operator".into(), "node".into()],
            scopes: vec!["a".into(), "b,\"c".into()],
            remote_ip: some("i"),
            label: some("l"),
            approved_via: "owner".into(),
            created_at_ms: 1,
            approved_at_ms: 2,
            last_seen_at_ms: Some(3),
            pins: vec![Pin { role: "node".into(), platform: "p".into(), device_family: String::new() }],
            tokens: vec![TokenRow {
                role: "operator".into(),
                mint: "01".into(),
                scopes: vec!["a".into()],
                created_at_ms: 4,
                rotated_at_ms: Some(5),
                revoked_at_ms: Some(6),
                last_used_at_ms: Some(7),
                previous: Some(PreviousMint { mint: "02".into(), issued_at_ms: 8 }),
                epoch: 0,
            }],
        }
    }

    fn full_pending() -> PendingRequest {
        PendingRequest {
            request_id: "r".into(),
            device_id: "e".into(),
            public_key: "k".into(),
            display_name: Some("n".into()),
            platform: Some("p".into()),
            device_family: Some("f".into()),
            client_id: Some("c".into()),
            client_mode: Some("m".into()),
            role: "node".into(),
            roles: vec!["node".into()],
            scopes: vec!["x".into()],
            remote_ip: Some("i".into()),
            silent: false,
            is_repair: true,
            ts: 9,
            pins: true,
        }
    }

    #[test]
    fn every_stored_field_comes_back() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let bare = DeviceRow { device_id: "bare".into(), ..DeviceRow::default() };
        runtime
            .block_on(Store::in_memory().run(move |db| {
                let changes = [
                    Change::PutDevice(Box::new(full_device())),
                    Change::PutDevice(Box::new(bare.clone())),
                    Change::PutPending(Box::new(full_pending())),
                ];
                write(db, &changes)?;
                write(db, &changes[..2])?;
                let (mut devices, pending) = load(db)?;
                devices.sort_by(|a, b| b.device_id.cmp(&a.device_id));
                assert_eq!((devices, pending), (vec![full_device(), bare], vec![full_pending()]));
                write(db, &[Change::DropDevice("d".into()), Change::DropPending("r".into())])?;
                let (devices, pending) = load(db)?;
                assert_eq!((devices.len(), pending.len()), (1, 0));
                let tokens: i64 = db.query_row("SELECT count(*) FROM device_tokens", [], |row| row.get(0))?;
                assert_eq!(tokens, 0, "tokens go with their device");
                Ok(())
            }))
            .unwrap();
    }

    #[test]
    fn a_list_of_changes_is_written_whole_or_not_at_all() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let outcome = runtime.block_on(Store::in_memory().run(|db| {
            let twice = Change::PutPending(Box::new(full_pending()));
            let changes = [Change::PutDevice(Box::new(full_device())), twice.clone(), twice];
            assert!(write(db, &changes).is_err());
            load(db)
        }));
        assert_eq!(outcome, Ok((Vec::new(), Vec::new())));
    }
}
