//! The plugin's file: `signal.db` in its folder. It holds messages that the daemon handed over, which it will not do again,
//! until `channels.inbound` has taken them.

use database::rusqlite::{Connection, params};
use database::{Database, Shape, int, uint};
use plugin_api::{Host, MethodError};

use crate::envelope::Kept;

/// What is in it. A step that has been released never changes.
const SHAPE: Shape = Shape::new("signal.db", "messages", &[FIRST]);

const FIRST: &str = "
CREATE TABLE waiting (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    message TEXT NOT NULL
) STRICT;
";

/// The file.
pub struct Store(Database);

impl Store {
    /// The one in this folder; opened when it is first needed.
    pub fn new(folder: &std::path::Path) -> Self {
        Store(Database::new(folder, SHAPE))
    }

    /// What was not taken yet, in its order.
    pub fn waiting(&self) -> Result<Vec<(u64, Kept)>, MethodError> {
        self.0.read_here(|db: &Connection| {
            let mut rows = db.prepare("SELECT place, message FROM waiting ORDER BY place")?;
            let rows = rows.query_map([], |row| Ok((uint(row, 0)?, row.get::<_, String>(1)?)))?;
            let mut waiting = Vec::new();
            for row in rows {
                let (place, message) = row?;
                waiting.push((place, serde_json::from_str(&message)?));
            }
            Ok(waiting)
        })
    }

    /// Keeps a message; it is on the disk when this has come to its end.
    pub async fn keep(&self, host: &Host, kept: &Kept) -> Result<u64, MethodError> {
        let message = serde_json::to_string(kept)?;
        let written = self.0.transaction(host, move |db| {
            db.execute("INSERT INTO waiting (message) VALUES (?1)", [message])?;
            Ok(db.last_insert_rowid().max(0) as u64)
        });
        written.await
    }

    /// Forgets a message that was taken.
    pub async fn forget(&self, host: &Host, place: u64) -> Result<(), MethodError> {
        let written = self.0.transaction(host, move |db| {
            db.execute("DELETE FROM waiting WHERE place = ?1", params![int(place)])?;
            Ok(())
        });
        written.await
    }
}
