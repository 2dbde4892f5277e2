//! The table of events that are to be sent.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, Transaction, params};

/// An event as the application has written it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its place in the order of commits.
    pub id: i64,
    /// Where it goes.
    pub topic: String,
    /// Events of one key keep their order.
    pub key: String,
    /// What it says.
    pub payload: Vec<u8>,
}

/// The table of events that are to be sent.
///
/// A row is there until it is acknowledged. `refused` says why if it never can be: then it is for a person to look at.
#[derive(Debug)]
pub struct Outbox(Connection);

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    CREATE TABLE IF NOT EXISTS outbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        topic TEXT NOT NULL,
        key TEXT NOT NULL,
        payload BLOB NOT NULL,
        refused TEXT
    );
";

impl Outbox {
    /// Opens the database, and makes the table if there is none.
    ///
    /// # Errors
    ///
    /// Those of SQLite.
    pub fn open(path: impl AsRef<Path>) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(10))?;
        connection.execute_batch(SCHEMA)?;
        Ok(Self(connection))
    }

    /// Writes an event in a transaction of the application's.
    ///
    /// SQLite has one writer at a time, so that ids are in the order of commits. In other databases a transaction may commit later than one
    /// with a higher id: there have the rows of a key written under a lock, such as that of the row that the event is about.
    ///
    /// # Errors
    ///
    /// Those of SQLite.
    pub fn put(
        transaction: &Transaction<'_>,
        topic: &str,
        key: &str,
        payload: &[u8],
    ) -> rusqlite::Result<()> {
        let insert = "INSERT INTO outbox (topic, key, payload) VALUES (?1, ?2, ?3)";
        transaction.execute(insert, params![topic, key, payload])?;
        Ok(())
    }

    /// Returns the oldest rows that are to be sent, in their order.
    ///
    /// # Errors
    ///
    /// Those of SQLite.
    pub fn oldest(&self, limit: u32) -> rusqlite::Result<Vec<Row>> {
        let select = "SELECT id, topic, key, payload FROM outbox WHERE refused IS NULL ORDER BY id LIMIT ?1";
        let mut select = self.0.prepare(select)?;
        let rows = select.query_map([limit], |row| {
            Ok(Row { id: row.get(0)?, topic: row.get(1)?, key: row.get(2)?, payload: row.get(3)? })
        })?;
        rows.collect()
    }

    /// Notes what has become of rows: these are acknowledged, and those are refused for good.
    ///
    /// # Errors
    ///
    /// Those of SQLite.
    pub fn note(&mut self, acknowledged: &[i64], refused: &[(i64, String)]) -> rusqlite::Result<()> {
        let transaction = self.0.transaction()?;
        for id in acknowledged {
            transaction.execute("DELETE FROM outbox WHERE id = ?1", [id])?;
        }
        for (id, why) in refused {
            transaction.execute("UPDATE outbox SET refused = ?2 WHERE id = ?1", params![id, why])?;
        }
        transaction.commit()
    }

    /// Returns the rows that were refused for good, with the reasons.
    ///
    /// # Errors
    ///
    /// Those of SQLite.
    pub fn refused(&self) -> rusqlite::Result<Vec<(i64, String)>> {
        let mut select =
            self.0.prepare("SELECT id, refused FROM outbox WHERE refused IS NOT NULL ORDER BY id")?;
        select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    }
}
