//! The form of the file, as numbered steps. A step that has been released never changes; a new one is added at the end.

/// Every step, in order.
pub const ALL: &[&str] = &[FIRST, SECOND];

/// A session has one present conversation; those of before, and those of sessions that were deleted, are kept under the
/// name that `archived_as` gives. Titles and last words are kept with the conversation, so that a list reads no messages.
const FIRST: &str = "
CREATE TABLE sessions (
    key TEXT PRIMARY KEY,
    agent_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    entry TEXT NOT NULL,
    label TEXT GENERATED ALWAYS AS (entry ->> '$.label') VIRTUAL,
    spawned_by TEXT GENERATED ALWAYS AS (entry ->> '$.spawnedBy') VIRTUAL,
    is_archived INTEGER GENERATED ALWAYS AS (coalesce(entry ->> '$.archived', 0)) VIRTUAL
) STRICT;
CREATE INDEX sessions_by_age ON sessions (updated_at);
CREATE INDEX sessions_of_agent ON sessions (agent_id, updated_at);
CREATE INDEX sessions_by_id ON sessions (session_id);
CREATE UNIQUE INDEX sessions_by_label ON sessions (agent_id, label) WHERE label IS NOT NULL;

CREATE TABLE conversations (
    session_id TEXT PRIMARY KEY,
    key TEXT NOT NULL,
    began_at INTEGER NOT NULL,
    next_seq INTEGER NOT NULL DEFAULT 1,
    total INTEGER NOT NULL DEFAULT 0,
    title TEXT,
    last_words TEXT,
    archived_as TEXT,
    archived_at INTEGER
) STRICT;
CREATE INDEX conversations_by_archive ON conversations (archived_at, session_id) WHERE archived_at IS NOT NULL;

CREATE TABLE messages (
    session_id TEXT NOT NULL REFERENCES conversations (session_id) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    id TEXT NOT NULL,
    role TEXT NOT NULL,
    json TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX messages_in_order ON messages (session_id, seq);
CREATE UNIQUE INDEX messages_by_id ON messages (session_id, id);
";

/// Whether a key, without its agent, is of one request of a program that named no session: its last part was made up then.
macro_rules! is_single {
    () => {
        "(rest GLOB 'openai:????????-????-4???-????-????????????'
          OR rest GLOB 'openresponses:????????-????-4???-????-????????????'
          OR (rest GLOB 'hook:hook-*' AND length(rest) IN (42, 46) AND rest NOT GLOB 'hook:hook-*[^-0-9a-f]*'))"
    };
}

/// Sessions of one request can be told from others, and give way to them. Archives that programs make, which are those of
/// such sessions and of jobs, are counted apart from those of people.
const SECOND: &str = concat!(
    "
ALTER TABLE sessions ADD COLUMN rest TEXT GENERATED ALWAYS AS (substr(key, 7 + instr(substr(key, 7), ':'))) VIRTUAL;
ALTER TABLE sessions ADD COLUMN is_single INTEGER GENERATED ALWAYS AS ",
    is_single!(),
    " VIRTUAL;
CREATE INDEX sessions_single_by_age ON sessions (updated_at) WHERE is_single = 1;

ALTER TABLE conversations ADD COLUMN rest TEXT GENERATED ALWAYS AS (substr(key, 7 + instr(substr(key, 7), ':'))) VIRTUAL;
ALTER TABLE conversations ADD COLUMN is_of_program INTEGER GENERATED ALWAYS AS (rest GLOB 'cron:*' OR ",
    is_single!(),
    ") VIRTUAL;
DROP INDEX conversations_by_archive;
CREATE INDEX conversations_by_archive ON conversations (is_of_program, archived_at, session_id)
    WHERE archived_at IS NOT NULL;
"
);
