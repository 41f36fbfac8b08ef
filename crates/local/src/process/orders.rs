//! What host and supervisor say to each other, over a socket that is the supervisor's standard input: orders one way,
//! each a line of JSON that brings the descriptor for its program's output; one byte when it is ready, and for each order
//! one when it begins and a report the other way.
//!
//! The socket is also the lifeline: when the host closes it, or dies, the supervisor ends everything.

use std::collections::BTreeMap;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use engine::ActionKey;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, send, sendmsg,
};
use serde::{Deserialize, Serialize};

/// What a supervisor says once signals of a terminal can no longer end it and it takes orders.
pub(super) const READY: u8 = b'\n';

/// What a supervisor says before it starts a program: without it, nothing was started. The report follows it.
pub(super) const BEGINS: u8 = b' ';

/// How much of an order is read at a time.
const PIECE_BYTES: usize = 64 * 1024;

/// What the host asks a supervisor to do.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its working directory.
    pub directory: PathBuf,
    /// Its whole environment.
    pub environment: BTreeMap<String, String>,
    /// What it reads; nothing when absent.
    pub stdin: Option<PathBuf>,
    /// How long descendants have between SIGTERM and SIGKILL.
    pub grace_millis: u64,
    /// Where to record that it runs.
    pub record: PathBuf,
    /// The action execution.
    pub id: String,
    /// The action.
    pub key: ActionKey,
}

/// How the program ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum End {
    /// By itself, with this status.
    Exited(i32),
    /// By this signal.
    Signaled(i32),
    /// It could not be started.
    NotStarted(String),
}

/// What a supervisor reports of an order: a line of JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Report {
    /// How the program ended.
    pub end: End,
    /// Descendants that could not be ended.
    pub left: Vec<i32>,
}

/// Sends the beginning of an order, with the descriptor that its program is to write to; how many bytes went.
///
/// # Errors
/// The supervisor has ended, or the socket takes nothing just now.
pub(super) fn send_with(socket: BorrowedFd<'_>, bytes: &[u8], output: BorrowedFd<'_>) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [output];
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    Ok(sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?)
}

/// The supervisor's end.
pub(super) struct Host<'a>(pub BorrowedFd<'a>);

impl Host<'_> {
    /// Waits for the next order and its program's output; none when the host has closed the socket or is gone.
    ///
    /// # Errors
    /// What came is no order.
    pub(super) fn next(&self) -> io::Result<Option<(Order, OwnedFd)>> {
        let (mut line, mut output) = (Vec::new(), None);
        let mut piece = vec![0; PIECE_BYTES];
        while line.last() != Some(&b'\n') {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut into = [IoSliceMut::new(&mut piece)];
            let received = match recvmsg(self.0, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Err(rustix::io::Errno::INTR) => continue,
                received => received?.bytes,
            };
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                    output = descriptors.last().or(output);
                }
            }
            if received == 0 {
                return Ok(None);
            }
            line.extend_from_slice(piece.get(..received).unwrap_or_default());
        }
        let output = output.ok_or_else(|| io::Error::other("an order without a descriptor"))?;
        Ok(Some((serde_json::from_slice(&line)?, output)))
    }

    /// Says all of it.
    ///
    /// # Errors
    /// The host is gone.
    pub(super) fn say(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match send(self.0.as_fd(), bytes, SendFlags::NOSIGNAL) {
                Ok(sent) => bytes = bytes.get(sent..).unwrap_or_default(),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
