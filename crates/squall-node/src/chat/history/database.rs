//! The database: its tables, how it is opened, how messages get into it.
//!
//! A message's key is its room and its number in one integer, so that the table is one tree in the order in which it is
//! asked for, the cheapest that SQLite has: what is written goes to the end of a room, what `/last` reads lies
//! together. The index for `/find` (FTS5) holds no text, only which words are in which message.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, params};

use super::batch::Batch;

/// What says that a database is a history of ours: `SqCh`. <https://sqlite.org/pragma.html#pragma_application_id>
const APPLICATION: i64 = 0x5371_4368;
/// The version of the tables.
const VERSION: i64 = 1;

/// The low bits of a message's key are its number, the others its room: 20 bits for rooms, 43 for numbers, of which a
/// room uses up 100,000 a second for more than two years.
const NUMBER_BITS: u32 = 43;
pub(super) const LAST_NUMBER: u64 = (1 << NUMBER_BITS) - 1;
pub(super) const MOST_ROOMS: u32 = 1 << (63 - NUMBER_BITS);

/// What makes a new database. The view is for people who look into the file.
const TABLES: &str = "
    CREATE TABLE rooms(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, last INTEGER NOT NULL DEFAULT 0,
        indexed INTEGER NOT NULL DEFAULT 0);
    CREATE TABLE messages(id INTEGER PRIMARY KEY, at INTEGER NOT NULL, name TEXT NOT NULL, text TEXT NOT NULL);
    CREATE TABLE bans(network TEXT PRIMARY KEY, until INTEGER) WITHOUT ROWID;
    CREATE TABLE facts(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    CREATE VIEW said AS SELECT rooms.name AS room, messages.id & 8796093022207 AS number,
        strftime('%Y-%m-%dT%H:%M:%fZ', messages.at / 1000.0, 'unixepoch') AS at, messages.name AS name, text
        FROM messages JOIN rooms ON rooms.id = messages.id >> 43;
";
/// The index for `/find`. It is given folded words (see [`super::words`]) with a space between, and knows for each
/// only the messages (`detail=none`), which makes it small and quick to write.
const INDEX: &str =
    "CREATE VIRTUAL TABLE words USING fts5(text, content='', contentless_delete=1, detail=none,
    tokenize='ascii')";

/// The key of a message.
pub(super) fn key(room: u32, number: u64) -> i64 {
    // Both are bounded: 20 and 43 bits.
    (i64::from(room) << NUMBER_BITS) | (number.min(LAST_NUMBER).cast_signed())
}

/// The number of a message by its key.
pub(super) fn number_of(key: i64) -> u64 {
    key.cast_unsigned() & LAST_NUMBER
}

/// The room of a message by its key.
pub(super) fn room_of(key: i64) -> u32 {
    // 20 bits.
    (key >> NUMBER_BITS) as u32
}

/// Why a file is not opened.
#[derive(Debug)]
pub(super) enum Problem {
    /// It is no database, or a damaged one: it is set aside.
    Damaged(String),
    /// It is a database of another program, which is left alone.
    Foreign,
    /// The system, or another program that holds it.
    Cannot(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(error) | Self::Cannot(error) => f.write_str(error),
            Self::Foreign => f.write_str("it is a database of another program"),
        }
    }
}

impl From<rusqlite::Error> for Problem {
    fn from(error: rusqlite::Error) -> Self {
        if is_damage(&error) { Self::Damaged(error.to_string()) } else { Self::Cannot(error.to_string()) }
    }
}

/// Whether an error says that the file's content is at fault, and not the disk or another program.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::SqliteFailure(failure, message) => match failure.code {
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => true,
            // A table or column that should be there.
            ErrorCode::Unknown => message
                .as_deref()
                .is_some_and(|text| text.starts_with("no such") || text.contains("has no column")),
            _ => false,
        },
        rusqlite::Error::SqlInputError { .. }
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..) => true,
        _ => false,
    }
}

/// Whether it is the index alone that is damaged: it can be made anew. <https://sqlite.org/rescode.html#corrupt_vtab>
pub(super) fn is_damage_of_index(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|failure| failure.extended_code == rusqlite::ffi::SQLITE_CORRUPT_VTAB)
}

/// Whether an error is the disk's, the memory's or another program's, which may be over after a while.
pub(super) fn is_of_system(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::PermissionDenied
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::OutOfMemory
        )
    )
}

/// A room as the database has it.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) name: Box<str>,
    /// The last number that was ever written.
    pub(super) last: u64,
    /// The messages up to this number are in the index.
    pub(super) indexed: u64,
    /// The number of its oldest message and when that was said; `None` if there is none.
    pub(super) first: Option<(u64, u64)>,
}

/// A database that is written to.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) connection: Connection,
    pub(super) rooms: HashMap<u32, Room>,
    /// Rooms that may have messages that the index does not know yet.
    pub(super) unindexed: BTreeSet<u32>,
    /// About how many messages that are.
    pub(super) backlog: u64,
    /// From which key on the index may have messages that are gone; `None` where it has none.
    pub(super) sweep: Option<i64>,
    /// A number that is as high as any that was given in a room that is no longer known.
    pub(super) floor: u64,
    /// Whether it is in memory: then it has no index.
    pub(super) in_memory: bool,
}

impl Database {
    /// Opens or makes a file.
    pub(super) fn open(path: &Path) -> Result<Self, Problem> {
        // What people said is for this user alone. SQLite gives the files beside it the same permissions.
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Problem::Cannot(error.to_string())),
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(Duration::from_secs(1))?;
        let is_new = match connection
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))
        {
            Ok(count) => count == 0,
            Err(error) => return Err(error.into()),
        };
        let number = |pragma| connection.pragma_query_value::<i64, _>(None, pragma, |row| row.get(0));
        let (application, version) = (number("application_id")?, number("user_version")?);
        if !is_new && application != APPLICATION {
            return Err(Problem::Foreign);
        }
        if !is_new && version != VERSION {
            return Err(Problem::Damaged(format!(
                "its tables have version {version}, and this program knows {VERSION}"
            )));
        }
        Self::set_up(connection, is_new, false)
    }

    /// Makes a database in memory.
    pub(super) fn in_memory() -> rusqlite::Result<Self> {
        let connection = Connection::open_in_memory()?;
        Self::set_up(connection, true, true).map_err(|problem| {
            let error = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ERROR);
            rusqlite::Error::SqliteFailure(error, Some(problem.to_string()))
        })
    }

    fn set_up(mut connection: Connection, is_new: bool, in_memory: bool) -> Result<Self, Problem> {
        if is_new {
            // Before the first page is written. <https://sqlite.org/pragma.html#pragma_auto_vacuum>
            connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        }
        if !in_memory {
            let mode: String =
                connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
            if mode != "wal" {
                return Err(Problem::Cannot(format!(
                    "its journal stays {mode:?}; a write-ahead log is needed"
                )));
            }
            // A commit waits for no disk: what was committed survives the end of this process, however it ends, and
            // the file survives a power cut, which loses what was said since the last checkpoint (see `Writer::upkeep`).
            // <https://sqlite.org/pragma.html#pragma_synchronous>
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            // The log stays this short, in pages of 4 KiB, while nothing else makes a checkpoint; and is cut to that.
            connection.pragma_update(None, "wal_autocheckpoint", 4096)?;
            connection.pragma_update(None, "journal_size_limit", 16 << 20)?;
            connection.pragma_update(None, "cache_size", -8192)?;
            // Pages that were torn are found when they are read, before anything is written on top of them.
            connection.pragma_update(None, "cell_size_check", true)?;
        }
        if is_new {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction.execute_batch(TABLES)?;
            if !in_memory {
                transaction.execute_batch(INDEX)?;
            }
            transaction.pragma_update(None, "application_id", APPLICATION)?;
            transaction.pragma_update(None, "user_version", VERSION)?;
            transaction.commit()?;
        }
        let mut database = Self {
            connection,
            rooms: HashMap::new(),
            unindexed: BTreeSet::new(),
            backlog: 0,
            // What the last node has not come to.
            sweep: (!is_new).then_some(0),
            floor: 0,
            in_memory,
        };
        database.load()?;
        Ok(database)
    }

    /// Reads what is there: a row and two look-ups for each room.
    fn load(&mut self) -> rusqlite::Result<()> {
        let connection = &self.connection;
        let mut ends = connection.prepare(
            "SELECT (SELECT max(id) FROM messages WHERE id BETWEEN ?1 AND ?2),
                    (SELECT min(id) FROM messages WHERE id BETWEEN ?1 AND ?2)",
        )?;
        let mut said = connection.prepare("SELECT at FROM messages WHERE id = ?1")?;
        let mut statement = connection.prepare("SELECT id, name, last, indexed FROM rooms")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let id: u32 = row.get(0)?;
            if id >= MOST_ROOMS {
                return Err(rusqlite::Error::IntegralValueOutOfRange(0, id.into()));
            }
            let (last, indexed): (i64, i64) = (row.get(2)?, row.get(3)?);
            let (highest, lowest): (Option<i64>, Option<i64>) = ends
                .query_row(params![key(id, 0), key(id, LAST_NUMBER)], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let first = match lowest {
                Some(lowest) => {
                    let at: i64 = said.query_row([lowest], |row| row.get(0))?;
                    Some((number_of(lowest), at.max(0).cast_unsigned()))
                }
                None => None,
            };
            let last = highest.map_or(0, number_of).max(number_of(last));
            let indexed = number_of(indexed);
            if indexed < last && first.is_some() {
                self.unindexed.insert(id);
                // More than it is where numbers are missing: it only says when to begin.
                self.backlog += last - indexed.max(first.map_or(0, |(number, _)| number));
            }
            self.rooms.insert(id, Room { name: row.get(1)?, last, indexed, first });
        }
        self.floor = connection
            .query_row("SELECT coalesce(max(value), 0) FROM facts WHERE name = 'floor'", [], |row| row.get(0))
            .map(number_of)?;
        Ok(())
    }

    /// Writes a batch in one transaction. `name` gives the names of rooms that this database has not seen.
    pub(super) fn write<'a>(
        &mut self,
        batch: &Batch,
        name: impl Fn(u32) -> Option<&'a str>,
    ) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (mut rooms, mut floor) = (Touched::default(), self.floor);
        for (id, name) in &batch.rooms {
            if let Some(before) = self.rooms.get(id)
                && before.name != *name
            {
                floor = floor.max(before.last);
            }
            rooms.insert(*id, Room { name: name.clone(), last: floor, indexed: 0, first: None });
        }
        {
            // `OR REPLACE`: a message that was not known to be written is written again with the same number.
            let mut insert = transaction
                .prepare("INSERT OR REPLACE INTO messages(id, at, name, text) VALUES (?1, ?2, ?3, ?4)")?;
            for kept in batch.iter() {
                insert.execute(params![
                    key(kept.room, kept.number),
                    kept.at.cast_signed(),
                    kept.name,
                    kept.text
                ])?;
                let room = rooms.get(kept.room, || match self.rooms.get(&kept.room) {
                    Some(room) => Room { name: room.name.clone(), ..*room },
                    None => {
                        Room { name: name(kept.room).unwrap_or("?").into(), last: 0, indexed: 0, first: None }
                    }
                });
                room.last = room.last.max(kept.number);
                let this = (kept.number, kept.at);
                room.first = Some(room.first.map_or(this, |first| first.min(this)));
                // A number that was there before, or one below: the index knows nothing of it.
                room.indexed = room.indexed.min(kept.number.saturating_sub(1));
            }
            for (id, room) in &rooms.rooms {
                match self.rooms.get(id) {
                    Some(before) if before.name == room.name && before.indexed == room.indexed => {}
                    _ => {
                        transaction.execute(
                            "INSERT OR REPLACE INTO rooms(id, name, last, indexed) VALUES (?1, ?2, ?3, ?4)",
                            params![id, room.name, room.last.cast_signed(), room.indexed.cast_signed()],
                        )?;
                    }
                }
            }
            if floor != self.floor {
                transaction.execute(
                    "INSERT OR REPLACE INTO facts(name, value) VALUES ('floor', ?1)",
                    [floor.cast_signed()],
                )?;
            }
        }
        transaction.commit()?;
        self.floor = floor;
        self.backlog += batch.len() as u64;
        for (id, room) in rooms.rooms {
            if room.first.is_some() {
                self.unindexed.insert(id);
            }
            self.rooms.insert(id, room);
        }
        Ok(())
    }

    /// Writes all bans anew.
    pub(super) fn write_bans<'a>(
        &mut self,
        bans: impl Iterator<Item = (&'a str, Option<u64>)>,
    ) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute("DELETE FROM bans", [])?;
        for (network, until) in bans {
            let until = until.map(u64::cast_signed);
            transaction
                .execute("INSERT INTO bans(network, until) VALUES (?1, ?2)", params![network, until])?;
        }
        transaction.commit()
    }

    /// Who is banned, and until when (Unix milliseconds).
    pub(super) fn bans(&self) -> rusqlite::Result<Vec<(String, Option<u64>)>> {
        let mut statement = self.connection.prepare("SELECT network, until FROM bans")?;
        let bans = statement
            .query_map([], |row| Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?.map(i64::cast_unsigned))))?;
        bans.collect()
    }

    /// How many bytes are in use.
    pub(super) fn size(&self) -> rusqlite::Result<u64> {
        let number = |pragma| self.connection.pragma_query_value::<i64, _>(None, pragma, |row| row.get(0));
        let pages = number("page_count")? - number("freelist_count")?;
        Ok((pages * number("page_size")?).max(0).cast_unsigned())
    }

    /// Begins the index anew.
    pub(super) fn forget_index(&mut self) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch("DROP TABLE words")?;
        transaction.execute_batch(INDEX)?;
        transaction.execute("UPDATE rooms SET indexed = 0", [])?;
        transaction.commit()?;
        (self.sweep, self.backlog) = (None, 0);
        for (id, room) in &mut self.rooms {
            room.indexed = 0;
            if let Some((first, _)) = room.first {
                self.unindexed.insert(*id);
                self.backlog += room.last - first;
            }
        }
        Ok(())
    }
}

/// The rooms of a batch, which is about one of them for many messages in a row.
#[derive(Default)]
struct Touched {
    rooms: Vec<(u32, Room)>,
    places: HashMap<u32, usize>,
    current: usize,
}

impl Touched {
    fn insert(&mut self, id: u32, room: Room) {
        match self.places.get(&id) {
            Some(place) => self.rooms[*place] = (id, room),
            None => {
                self.places.insert(id, self.rooms.len());
                self.rooms.push((id, room));
            }
        }
    }

    fn get(&mut self, id: u32, make: impl FnOnce() -> Room) -> &mut Room {
        if self.rooms.get(self.current).is_none_or(|(current, _)| *current != id) {
            self.current = match self.places.get(&id) {
                Some(place) => *place,
                None => {
                    self.insert(id, make());
                    self.rooms.len() - 1
                }
            };
        }
        &mut self.rooms[self.current].1
    }
}
