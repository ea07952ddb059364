//! Questions to a database.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use squall::chat::{Query, Recalled};

use super::database::{LAST_NUMBER, key, number_of};
use super::words::Question;

/// The most messages of an answer.
const MOST: u32 = 1_000;

/// A question that outlives the call that asked it.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    room: String,
    what: What,
    count: u32,
}

#[derive(Clone, Debug)]
enum What {
    Last,
    Since(u64),
    Find(String),
}

impl Asked {
    pub(super) fn new(query: &Query<'_>) -> Self {
        let (room, what, count) = match *query {
            Query::Last { room, count } => (room, What::Last, count),
            Query::Since { room, number, count } => (room, What::Since(number), count),
            Query::Find { room, words, count } => (room, What::Find(words.to_owned()), count),
        };
        Self { room: room.to_owned(), what, count: count.min(MOST) }
    }

    /// Whether it is a search, which an index would help.
    pub(super) fn is_search(&self) -> bool {
        matches!(self.what, What::Find(_))
    }

    /// The answer of one database, oldest first.
    pub(super) fn of(&self, connection: &Connection) -> rusqlite::Result<Vec<Recalled>> {
        // One view of everything: what is indexed, and what is not.
        let transaction = connection.unchecked_transaction()?;
        let room: Option<(u32, i64)> = transaction
            .query_row("SELECT id, indexed FROM rooms WHERE name = ?1", [&self.room], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        let Some((room, indexed)) = room else { return Ok(Vec::new()) };
        match &self.what {
            What::Last => last(&transaction, room, self.count),
            What::Since(number) => since(&transaction, room, *number, self.count),
            What::Find(words) => find(&transaction, room, number_of(indexed), words, self.count),
        }
    }

    /// One answer of two: of the file, and of memory, where messages are that could not be written.
    pub(super) fn merge(&self, mut file: Vec<Recalled>, memory: Vec<Recalled>) -> Vec<Recalled> {
        // What is on its way from memory into the file is in both.
        if let Some(first) = memory.first() {
            file.retain(|recalled| recalled.number < first.number);
        }
        file.extend(memory);
        let count = self.count as usize;
        match self.what {
            What::Since(_) => file.truncate(count),
            What::Last | What::Find(_) => drop(file.drain(..file.len().saturating_sub(count))),
        }
        file
    }
}

fn last(connection: &Connection, room: u32, count: u32) -> rusqlite::Result<Vec<Recalled>> {
    let mut statement = connection.prepare(
        "SELECT id, at, name, text FROM messages WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC LIMIT ?3",
    )?;
    let rows = statement.query_map(params![key(room, 0), key(room, LAST_NUMBER), count], recalled)?;
    let mut found = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    found.reverse();
    Ok(found)
}

fn since(connection: &Connection, room: u32, number: u64, count: u32) -> rusqlite::Result<Vec<Recalled>> {
    let mut statement = connection
        .prepare("SELECT id, at, name, text FROM messages WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3")?;
    let rows = statement.query_map(params![key(room, number), key(room, LAST_NUMBER), count], recalled)?;
    rows.collect()
}

/// First in what the index does not know yet, one message after the other from the last on; then by the index.
fn find(
    connection: &Connection,
    room: u32,
    indexed: u64,
    words: &str,
    count: u32,
) -> rusqlite::Result<Vec<Recalled>> {
    let Some(question) = Question::new(words) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    let mut folded = String::new();
    let mut gather = |rows: &mut rusqlite::Rows<'_>| {
        while found.len() < count as usize {
            let Some(row) = rows.next()? else { break };
            if question.fits(row.get_ref(3)?.as_str()?, &mut folded) {
                found.push(recalled(row)?);
            }
        }
        Ok::<_, rusqlite::Error>(found.len())
    };
    let mut tail = connection
        .prepare("SELECT id, at, name, text FROM messages WHERE id > ?1 AND id <= ?2 ORDER BY id DESC")?;
    let have = gather(&mut tail.query(params![key(room, indexed), key(room, LAST_NUMBER)])?)?;
    if have < count as usize && indexed > 0 {
        let mut index = connection.prepare(
            "SELECT messages.id, at, name, messages.text FROM words JOIN messages ON messages.id = words.rowid
             WHERE words MATCH ?1 AND words.rowid BETWEEN ?2 AND ?3 ORDER BY words.rowid DESC",
        )?;
        gather(&mut index.query(params![question.for_index(), key(room, 0), key(room, indexed)])?)?;
    }
    found.reverse();
    Ok(found)
}

fn recalled(row: &Row<'_>) -> rusqlite::Result<Recalled> {
    let (id, at): (i64, i64) = (row.get(0)?, row.get(1)?);
    Ok(Recalled {
        number: number_of(id),
        at: at.max(0).cast_unsigned(),
        name: row.get(2)?,
        text: row.get(3)?,
    })
}
