//! People, on disk: who was let in, and who knocks. A code is told to the one who knocks and to nobody else; who approves it
//! has heard it from them.

use database::rusqlite::{Connection, OptionalExtension, Row, params};
use database::{int, uint};
use plugin_api::MethodError;
use plugin_api::contracts::channel::Inbound;

use crate::rules::account_of;

/// Letters and digits that are not taken for one another. As many as divide 256, so that a byte picks one fairly.
const LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
const CODE_LENGTH: usize = 8;

/// Somebody who wrote and is not known.
#[derive(Debug, Clone, PartialEq)]
pub struct Knock {
    pub request_id: String,
    pub code: String,
    pub person: Person,
    /// Where to tell them.
    pub chat: String,
    pub created_at: u64,
    pub seen_at: u64,
    /// Whether they were told the code.
    pub told: bool,
}

/// A person at an account of a channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Person {
    pub channel: String,
    pub account: String,
    pub sender: String,
    pub name: Option<String>,
    pub handle: Option<String>,
}

impl Person {
    /// Who wrote a message.
    pub fn of(message: &Inbound) -> Self {
        Person {
            channel: message.channel.clone(),
            account: account_of(message).to_string(),
            sender: message.from.id.clone(),
            name: message.from.name.clone(),
            handle: message.from.handle.clone(),
        }
    }
}

/// Whether they were let in.
pub fn is_paired(db: &Connection, person: &Person) -> Result<bool, MethodError> {
    let found = db
        .prepare_cached("SELECT 1 FROM senders WHERE channel = ?1 AND account = ?2 AND sender = ?3")?
        .exists(params![person.channel, person.account, person.sender])?;
    Ok(found)
}

/// Lets them in.
pub fn let_in(db: &Connection, knock: &Knock, now: u64) -> Result<(), MethodError> {
    let person = &knock.person;
    db.execute(
        "INSERT OR REPLACE INTO senders (channel, account, sender, name, handle, chat, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![person.channel, person.account, person.sender, person.name, person.handle, knock.chat, int(now)],
    )?;
    Ok(())
}

/// Those who were let in, each with the time in milliseconds since the epoch.
pub fn senders(db: &Connection, channel: Option<&str>) -> Result<Vec<(Person, u64)>, MethodError> {
    let mut statement = db.prepare(
        "SELECT channel, account, sender, name, handle, at FROM senders
         WHERE ?1 IS NULL OR channel = ?1 ORDER BY channel, account, at",
    )?;
    let rows = statement.query_map([channel], |row| Ok((person(row, 0)?, uint(row, 5)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Lets them in no more; whether they were.
pub fn put_out(db: &Connection, channel: &str, account: &str, sender: &str) -> Result<bool, MethodError> {
    let gone = db.execute(
        "DELETE FROM senders WHERE channel = ?1 AND account = ?2 AND sender = ?3",
        params![channel, account, sender],
    )?;
    Ok(gone > 0)
}

/// Somebody who is not known wrote. What to tell them; nothing when they were told, or when too many knock already.
pub fn knock(db: &Connection, message: &Inbound, now: u64, ttl_ms: u64, most: u64) -> Result<Knocked, MethodError> {
    let person = Person::of(message);
    forget(db, now, ttl_ms)?;
    let known = db
        .query_row(
            &format!("{KNOCKS} WHERE channel = ?1 AND account = ?2 AND sender = ?3"),
            params![person.channel, person.account, person.sender],
            read,
        )
        .optional()?;
    if let Some(knock) = known {
        db.execute("UPDATE knocks SET seen_at = ?2 WHERE request_id = ?1", params![knock.request_id, int(now)])?;
        return Ok(if knock.told { Knocked::Told } else { Knocked::Tell(Box::new(knock)) });
    }
    let waiting = "SELECT count(*) FROM knocks WHERE channel = ?1 AND account = ?2";
    if db.query_row(waiting, params![person.channel, person.account], |row| uint(row, 0))? >= most {
        return Ok(Knocked::TooMany);
    }
    let knock = Knock {
        request_id: uuid::Uuid::new_v4().to_string(),
        code: code(),
        chat: message.chat.id.clone(),
        created_at: now,
        seen_at: now,
        told: false,
        person,
    };
    let Knock { person, .. } = &knock;
    db.execute(
        "INSERT INTO knocks (request_id, code, channel, account, sender, name, handle, chat, created_at, seen_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9)",
        params![
            knock.request_id,
            knock.code,
            person.channel,
            person.account,
            person.sender,
            person.name,
            person.handle,
            knock.chat,
            int(now)
        ],
    )?;
    Ok(Knocked::Tell(Box::new(knock)))
}

/// What becomes of a knock.
#[derive(Debug, PartialEq)]
pub enum Knocked {
    /// They are to be told the code.
    Tell(Box<Knock>),
    /// They know it.
    Told,
    /// Too many wait already.
    TooMany,
}

/// They were told the code.
pub fn told(db: &Connection, request_id: &str) -> Result<(), MethodError> {
    db.execute("UPDATE knocks SET told = 1 WHERE request_id = ?1", [request_id])?;
    Ok(())
}

/// Those who knock, oldest first.
pub fn knocks(db: &Connection, now: u64, ttl_ms: u64) -> Result<Vec<Knock>, MethodError> {
    forget(db, now, ttl_ms)?;
    let mut statement = db.prepare(&format!("{KNOCKS} ORDER BY created_at, rowid"))?;
    let rows = statement.query_map([], read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Takes away the knock of this request, or of this code.
pub fn answer(
    db: &Connection,
    channel: &str,
    account: Option<&str>,
    request: &str,
    now: u64,
    ttl_ms: u64,
) -> Result<Option<Knock>, MethodError> {
    forget(db, now, ttl_ms)?;
    let found = db
        .query_row(
            &format!(
                "{KNOCKS} WHERE channel = ?1 AND (?2 IS NULL OR account = ?2) AND (request_id = ?3 OR code = upper(?3))"
            ),
            params![channel, account, request.trim()],
            read,
        )
        .optional()?;
    if let Some(knock) = &found {
        db.execute("DELETE FROM knocks WHERE request_id = ?1", [&knock.request_id])?;
    }
    Ok(found)
}

const KNOCKS: &str =
    "SELECT channel, account, sender, name, handle, request_id, code, chat, created_at, seen_at, told FROM knocks";

fn read(row: &Row<'_>) -> database::rusqlite::Result<Knock> {
    Ok(Knock {
        person: person(row, 0)?,
        request_id: row.get(5)?,
        code: row.get(6)?,
        chat: row.get(7)?,
        created_at: uint(row, 8)?,
        seen_at: uint(row, 9)?,
        told: row.get(10)?,
    })
}

fn person(row: &Row<'_>, first: usize) -> database::rusqlite::Result<Person> {
    Ok(Person {
        channel: row.get(first)?,
        account: row.get(first + 1)?,
        sender: row.get(first + 2)?,
        name: row.get(first + 3)?,
        handle: row.get(first + 4)?,
    })
}

/// A clock that went back makes a knock older than it is, never immortal.
fn forget(db: &Connection, now: u64, ttl_ms: u64) -> Result<(), MethodError> {
    db.execute(
        "DELETE FROM knocks WHERE created_at <= ?1 OR created_at > ?2",
        params![int(now.saturating_sub(ttl_ms)), int(now.saturating_add(ttl_ms))],
    )?;
    Ok(())
}

fn code() -> String {
    // 122 random bits; eight letters take 40 of them. The bytes with fixed bits in them (6 and 8) are left out.
    let bytes = *uuid::Uuid::new_v4().as_bytes();
    let random = bytes.iter().enumerate().filter(|(place, _)| !matches!(place, 6 | 8)).map(|(_, byte)| byte);
    random.take(CODE_LENGTH).map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_of_letters_that_are_told_apart() {
        let codes: std::collections::HashSet<String> = (0..1000).map(|_| code()).collect();
        assert!(codes.len() > 990, "{}", codes.len());
        assert!(
            codes.iter().all(|code| code.len() == CODE_LENGTH && code.bytes().all(|letter| LETTERS.contains(&letter)))
        );
    }
}
