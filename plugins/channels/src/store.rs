//! The plugin's file: `channels.db` in its folder.

use database::Shape;

/// What is in it. A step that has been released never changes.
pub const SHAPE: Shape = Shape::new("channels.db", "messages", &[FIRST]);

/// A message without a text is closed.
const FIRST: &str = "
CREATE TABLE messages (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    session TEXT NOT NULL,
    agent TEXT,
    run_id TEXT,
    message TEXT,
    may_reset INTEGER NOT NULL DEFAULT 0,
    at INTEGER NOT NULL
) STRICT;
CREATE INDEX messages_open ON messages (session, place) WHERE message IS NOT NULL;

CREATE TABLE senders (
    channel TEXT NOT NULL,
    account TEXT NOT NULL,
    sender TEXT NOT NULL,
    name TEXT,
    handle TEXT,
    chat TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (channel, account, sender)
) STRICT;

CREATE TABLE knocks (
    request_id TEXT PRIMARY KEY,
    code TEXT NOT NULL UNIQUE,
    channel TEXT NOT NULL,
    account TEXT NOT NULL,
    sender TEXT NOT NULL,
    name TEXT,
    handle TEXT,
    chat TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    told INTEGER NOT NULL DEFAULT 0,
    UNIQUE (channel, account, sender)
) STRICT;
";
