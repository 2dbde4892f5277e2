//! The application: it takes orders.

use rusqlite::{Connection, TransactionBehavior, params};

use crate::table::Outbox;

/// Where the application tells of its orders.
pub const TOPIC: &str = "orders";

/// Makes the table of orders if there is none.
///
/// # Errors
///
/// Those of SQLite.
pub fn create_table(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("CREATE TABLE IF NOT EXISTS orders (customer TEXT NOT NULL, what TEXT NOT NULL)")
}

/// Takes an order. Order and event are committed together, or neither is.
///
/// # Errors
///
/// Those of SQLite.
pub fn order(connection: &mut Connection, customer: &str, what: &str) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute("INSERT INTO orders (customer, what) VALUES (?1, ?2)", params![customer, what])?;
    Outbox::put(&transaction, TOPIC, customer, what.as_bytes())?;
    transaction.commit()
}
