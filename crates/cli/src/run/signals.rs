//! What asks a run to stop: Ctrl-C, and what ends a session.
//!
//! Each signal is counted as it comes: two in quick succession are two, however busy the run is, and the last resort works
//! also while it waits for a terminal or pipe that takes no output.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use tokio::sync::mpsc;

/// The exit status of an interrupted run.
const INTERRUPTED: i32 = 130;

/// What a run is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ask {
    /// To stop when what runs has ended.
    Stop,
    /// To end what runs, and stop.
    Abandon,
}

/// What asks a run to stop.
pub struct Signals(mpsc::UnboundedReceiver<Ask>);

impl Signals {
    /// Listens from now on. Signals that whoever started the process had it ignore (`nohup`) stay ignored.
    ///
    /// # Errors
    /// The system refuses.
    pub fn new() -> anyhow::Result<Self> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let asked = Arc::new(Mutex::new(None));
        let ignored = ignored();
        for signal in [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| ignored & (1 << (signal - 1)) == 0) {
            let (mut received, on_signal) = UnixStream::pair().context("cannot listen for signals")?;
            signal_hook::low_level::pipe::register(signal, on_signal).context("cannot listen for signals")?;
            let (sender, asked) = (sender.clone(), asked.clone());
            std::thread::Builder::new().name("signals".into()).spawn(move || {
                while received.read_exact(&mut [0]).is_ok() {
                    let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
                    match next(signal, *asked) {
                        Next::Ask(ask) => {
                            *asked = Some(ask);
                            // A run that has ended meanwhile needs no telling.
                            let _ = sender.send(ask);
                        }
                        Next::Exit => std::process::exit(INTERRUPTED),
                        Next::Nothing => {}
                    }
                }
            })?;
        }
        Ok(Self(receiver))
    }

    /// Waits for the next.
    pub async fn recv(&mut self) -> Ask {
        match self.0.recv().await {
            Some(ask) => ask,
            // All signals are ignored.
            None => std::future::pending().await,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Next {
    Ask(Ask),
    Exit,
    Nothing,
}

/// What a signal means after what was asked before. The end of a terminal is told by several, and nobody is there who
/// could ask a second time: one is enough.
fn next(signal: i32, asked: Option<Ask>) -> Next {
    match (signal, asked) {
        (SIGINT, None) => Next::Ask(Ask::Stop),
        (_, None | Some(Ask::Stop)) => Next::Ask(Ask::Abandon),
        (SIGHUP, Some(Ask::Abandon)) => Next::Nothing,
        (_, Some(Ask::Abandon)) => Next::Exit,
    }
}

/// The signals that are ignored, a bit each. What cannot be read ignores none.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_ctrl_c_stops_two_abandon_three_end_and_the_end_of_a_session_abandons_at_once() {
        for (signal, asked, expected) in [
            (SIGINT, None, Next::Ask(Ask::Stop)),
            (SIGINT, Some(Ask::Stop), Next::Ask(Ask::Abandon)),
            (SIGINT, Some(Ask::Abandon), Next::Exit),
            (SIGTERM, None, Next::Ask(Ask::Abandon)),
            (SIGTERM, Some(Ask::Stop), Next::Ask(Ask::Abandon)),
            (SIGTERM, Some(Ask::Abandon), Next::Exit),
            (SIGHUP, None, Next::Ask(Ask::Abandon)),
            (SIGHUP, Some(Ask::Abandon), Next::Nothing),
        ] {
            assert_eq!(next(signal, asked), expected, "{signal} after {asked:?}");
        }
    }
}
