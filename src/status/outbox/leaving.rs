use crate::db::{Db, DbError, cursors, outbox};
use std::collections::BTreeSet;

/// How many deliveries are dropped in one transaction, so that others write in between.
const PIECE: i64 = 500;

/// Forgets every target but these: what it had not sent is dropped with it, and the event log is not kept for it any
/// more. Answers with the name of each and how many deliveries it had not sent.
///
/// One that comes back under its name begins with what happens then; its numbers go on where they were.
pub async fn keep_only(db: &Db, names: BTreeSet<String>) -> Result<Vec<(String, usize)>, DbError> {
    let mut gone = db.read(cursors::targets).await?;
    gone.retain(|target| !names.contains(target));
    let mut left = Vec::new();
    for target in gone {
        let mut dropped = 0;
        loop {
            let name = target.clone();
            let piece = db.write(move |conn| drop_some(conn, &name)).await?;
            dropped += piece;
            if piece == 0 {
                break;
            }
        }
        left.push((target, dropped));
    }
    Ok(left)
}

/// The cursor goes with the last of them, so that a crash in the middle leaves something to be found again.
fn drop_some(conn: &mut crate::db::Conn, target: &str) -> Result<usize, DbError> {
    let dropped = outbox::drop_unsent(conn, target, "its target is no longer configured", PIECE)?;
    if dropped == 0 {
        cursors::remove(conn, target)?;
    }
    Ok(dropped)
}
