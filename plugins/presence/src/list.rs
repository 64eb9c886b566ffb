//! The list as it goes out. What changes seldom is JSON already; only the gateway's own row, which is new each time, is written
//! for each list.

use std::sync::Arc;
use std::time::Instant;

use schemars::JsonSchema;
use schemas::PresenceEntry;
use serde::ser::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

/// Bytes of all rows but the gateway's own: the list goes to every operator at every change, so it stays well below what a
/// connection may have waiting.
const MAX_ROWS_BYTES: usize = 512 * 1024;

/// Rows as JSON, latest first.
#[derive(Debug)]
pub(crate) struct Written {
    rows: Vec<(u64, Box<RawValue>)>,
    /// When the first of them is stale.
    until: Option<Instant>,
}

impl Written {
    /// Writes as many rows as fit. They come latest first.
    pub(crate) fn new<'a>(
        rows: impl Iterator<Item = &'a PresenceEntry>,
        until: Option<Instant>,
    ) -> serde_json::Result<Written> {
        let (mut written, mut bytes) = (Vec::new(), 0);
        for row in rows {
            let text = to_raw_value(row)?;
            bytes += text.get().len() + 1;
            if bytes > MAX_ROWS_BYTES {
                break;
            }
            written.push((row.ts, text));
        }
        Ok(Written { rows: written, until })
    }

    /// Whether none of the rows is stale yet.
    pub(crate) fn holds_at(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// Everyone who is here, latest first.
#[derive(Debug, serde::Serialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct PresenceList(#[schemars(with = "Vec<PresenceEntry>")] Whole);

#[derive(Debug)]
struct Whole {
    own: Box<RawValue>,
    others: Arc<Written>,
    /// Of the others so many come before the gateway's own row: none, unless a clock was set back.
    later: usize,
}

impl PresenceList {
    /// The gateway's own row and the others.
    pub(crate) fn new(own: &PresenceEntry, others: Arc<Written>) -> serde_json::Result<PresenceList> {
        let later = others.rows.partition_point(|(ts, _)| *ts > own.ts);
        Ok(PresenceList(Whole { own: to_raw_value(own)?, others, later }))
    }
}

impl Serialize for Whole {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (before, after) = self.others.rows.split_at(self.later);
        let rows = |rows| <[(u64, Box<RawValue>)]>::iter(rows).map(|(_, row)| &**row);
        serializer.collect_seq(rows(before).chain([&*self.own]).chain(rows(after)))
    }
}
