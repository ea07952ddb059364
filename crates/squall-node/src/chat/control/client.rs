//! Gives orders to a node.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use squall::socket::{Family, Kind, Socket, UnixAddress};

use super::{Answer, Done, NodeView, Order, place};

/// A node that takes orders.
#[derive(Debug)]
pub struct Client {
    lines: BufReader<Socket>,
    path: PathBuf,
}

/// Why a node does not obey.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Nobody listens there.
    #[error(
        "no node takes orders at {}: {}; squall serve chat starts one, --socket PATH says where another one is",
        path.display(),
        in_words(source)
    )]
    NoNode {
        /// The socket.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// This user may not talk to it.
    #[error("the node at {} is another user's: {source}", path.display())]
    Forbidden {
        /// The socket.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// There is no directory in which nodes could take orders.
    #[error("where are nodes? Neither XDG_RUNTIME_DIR nor HOME is set; --socket PATH says where")]
    NoDirectory,
    /// Several nodes run.
    #[error("{} nodes run; --node PID says which: {}", .0.len(), listed(.0))]
    Several(Vec<(PathBuf, NodeView)>),
    /// No node has this process number.
    #[error("no node with process {pid} takes orders in {}", directory.display())]
    NoSuchNode {
        /// The number.
        pid: u32,
        /// Where it was looked for.
        directory: PathBuf,
    },
    /// The node said no.
    #[error("{0}")]
    Refused(String),
    /// The connection failed.
    #[error("the node at {} does not answer: {}", path.display(), in_words(source))]
    Io {
        /// The socket.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Whoever was told did not want to hear it.
    #[error(transparent)]
    Told(io::Error),
}

/// What an error means to somebody who gives orders.
fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such socket".to_owned(),
        io::ErrorKind::ConnectionRefused => "nobody listens there any more".to_owned(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            format!("it was silent for {} s; it may be stopped, or busy", PATIENCE.as_secs())
        }
        io::ErrorKind::UnexpectedEof => "it hung up".to_owned(),
        _ => error.to_string(),
    }
}

fn listed(nodes: &[(PathBuf, NodeView)]) -> String {
    let one = |(path, node): &(PathBuf, NodeView)| format!("{} ({})", node.pid, path.display());
    nodes.iter().map(one).collect::<Vec<_>>().join(", ")
}

impl ClientError {
    /// Whether no node answers.
    pub fn is_absence(&self) -> bool {
        use ClientError::{Io, NoDirectory, NoNode, NoSuchNode};
        matches!(self, NoNode { .. } | NoDirectory | NoSuchNode { .. } | Io { .. })
    }

    /// Whether what the operator typed leaves open who is meant.
    pub fn is_usage(&self) -> bool {
        matches!(self, ClientError::Several(_))
    }
}

impl Client {
    /// Connects to the node that takes orders at `path`.
    ///
    /// # Errors
    /// [`ClientError::NoNode`], or what the system says.
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        let connect = || {
            let socket = Socket::open(Family::Unix, Kind::Stream)?;
            socket.connect(UnixAddress::from_path(path)?)?;
            socket.set_read_timeout(Some(PATIENCE))?;
            socket.set_write_timeout(Some(PATIENCE))?;
            Ok(socket)
        };
        let socket = connect().map_err(|source: io::Error| match source.kind() {
            io::ErrorKind::PermissionDenied => ClientError::Forbidden { path: path.to_owned(), source },
            _ => ClientError::NoNode { path: path.to_owned(), source },
        })?;
        Ok(Self { lines: BufReader::new(socket), path: path.to_owned() })
    }

    /// Connects to the only node of this user that takes orders at a usual path, or to that with the process
    /// number `pid`.
    ///
    /// # Errors
    /// [`ClientError`]: none runs, or several do.
    pub fn find(pid: Option<u32>) -> Result<Self, ClientError> {
        let usual = place::usual().ok_or(ClientError::NoDirectory)?;
        let directory = usual.parent().unwrap_or(&usual).to_owned();
        let mut found = Vec::new();
        let mut failed = None;
        for path in place::candidates() {
            // A dead node's file is left for the next node to replace.
            match Self::connect(&path).and_then(|mut operator| operator.node().map(|node| (operator, node))) {
                Ok(found_one) => found.push(found_one),
                Err(problem) => failed = failed.or(Some(problem)),
            }
        }
        if let Some(pid) = pid {
            let mut meant = found.into_iter().filter(|(_, node)| node.pid == pid);
            let (operator, _) = meant.next().ok_or(ClientError::NoSuchNode { pid, directory })?;
            return Ok(operator);
        }
        match (found.len(), failed) {
            (0, Some(problem)) => Err(problem),
            (0, None) => Err(ClientError::NoNode {
                path: usual,
                source: io::Error::from_raw_os_error(squall::socket::errno::ENOENT),
            }),
            (1, _) => Ok(found.remove(0).0),
            _ => Err(ClientError::Several(
                found.into_iter().map(|(operator, node)| (operator.path, node)).collect(),
            )),
        }
    }

    /// The socket.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives an order, and tells `each` of the answer's lines before its last one, which is returned.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with what the node says, [`ClientError::Told`] with what `each` says, or that it
    /// does not answer.
    pub fn give(
        &mut self,
        order: &Order,
        mut each: impl FnMut(Answer) -> io::Result<()>,
    ) -> Result<Done, ClientError> {
        let path = self.path.clone();
        let failed = |source| ClientError::Io { path: path.clone(), source };
        let mut line = serde_json::to_vec(order).map_err(|problem| failed(problem.into()))?;
        line.push(b'\n');
        let mut written = self.lines.get_mut().write_all(&line);
        loop {
            line.clear();
            let read = self.lines.by_ref().take(LONGEST).read_until(b'\n', &mut line);
            if line.is_empty() {
                // A node that hangs up at once has said why.
                std::mem::replace(&mut written, Ok(())).map_err(failed)?;
                read.map_err(failed)?;
                return Err(failed(io::ErrorKind::UnexpectedEof.into()));
            }
            match serde_json::from_slice(&line).map_err(|problem| failed(problem.into()))? {
                Answer::Done(done) => return Ok(done),
                Answer::Error(reason) => return Err(ClientError::Refused(reason)),
                answer => each(answer).map_err(ClientError::Told)?,
            }
        }
    }

    /// Which node it is.
    ///
    /// # Errors
    /// As [`give`](Self::give).
    pub fn node(&mut self) -> Result<NodeView, ClientError> {
        let mut node = None;
        self.give(&Order::Node, |answer| {
            if let Answer::Node(found) = answer {
                node = Some(found);
            }
            Ok(())
        })?;
        node.ok_or_else(|| ClientError::Refused("the node does not say which it is".into()))
    }

    /// Waits until the node has closed the connection, as it does when it ends; `patience` at most. True when it did.
    pub fn wait_for_end(&mut self, patience: Duration) -> bool {
        let set = self.lines.get_ref().set_read_timeout(Some(patience));
        set.is_ok() && matches!(self.lines.read(&mut [0]), Ok(0))
    }
}

/// Bytes of a line of an answer.
const LONGEST: u64 = 1024 * 1024;
/// How long a node may take.
const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_does_not_answer_is_told_in_words() {
        let path = PathBuf::from("/run/ctl.sock");
        let failed =
            |kind: io::ErrorKind| ClientError::Io { path: path.clone(), source: kind.into() }.to_string();
        assert_eq!(
            failed(io::ErrorKind::WouldBlock),
            "the node at /run/ctl.sock does not answer: it was silent for 10 s; it may be stopped, or busy"
        );
        assert_eq!(
            failed(io::ErrorKind::UnexpectedEof),
            "the node at /run/ctl.sock does not answer: it hung up"
        );
    }
}
