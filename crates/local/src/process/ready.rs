//! Supervisors as processes: kept for the next program when they are free, started one after the other while programs
//! wait for one.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as Socket;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::oneshot;

use super::SUPERVISE;
use super::orders::{READY, send_with};

/// How many free supervisors are kept for good.
const KEPT: usize = 4;
/// The most that are free: as many programs as run at a time on a small machine. Starting one costs more than all that it
/// does for a short program, so that those that a burst needed stay for the next.
pub(super) const MOST_FREE: usize = 64;
/// Those beyond [`KEPT`] end when they were free for so long.
const IDLE: Duration = Duration::from_secs(2);
/// How often one is started that ends before it takes orders: a terminal's Ctrl-C ends one that has only begun.
const TRIES: u32 = 3;

/// Which executable supervises. Clones share their supervisors.
#[derive(Clone)]
pub struct SupervisorCommand(Arc<Pool>);

struct Pool {
    program: PathBuf,
    args: Vec<String>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// They wait for orders, and end when they are dropped: their socket closes. Those that were free longest come first,
    /// each with the time since when it is.
    free: VecDeque<(Instant, Supervisor)>,
    /// Programs that wait for a supervisor.
    waiting: VecDeque<oneshot::Sender<Result<Supervisor, String>>>,
    /// Whether a thread starts supervisors.
    starting: bool,
    /// Whether a thread ends those that are free for long.
    thinning: bool,
}

impl fmt::Debug for SupervisorCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Pool { program, args, .. } = &*self.0;
        f.debug_struct("SupervisorCommand").field("program", program).field("args", args).finish()
    }
}

impl Default for SupervisorCommand {
    /// This very executable, also when its file was replaced meanwhile.
    fn default() -> Self {
        Self::new("/proc/self/exe".into(), vec![SUPERVISE.into()])
    }
}

impl SupervisorCommand {
    /// An executable that calls [`super::supervise`] when it is given these arguments.
    pub fn new(program: PathBuf, args: Vec<String>) -> Self {
        Self(Arc::new(Pool { program, args, state: Mutex::default() }))
    }

    /// Has a supervisor ready for the next program, behind the scenes. A host that expects programs calls it early; each
    /// program that is run calls it for the next.
    pub fn prepare(&self) {
        self.0.start_where_needed(&mut self.0.state());
    }

    /// A supervisor that takes an order: a free one, or the first that is free or started from now on.
    pub(super) async fn take(&self) -> Result<Supervisor, String> {
        let waits = {
            let mut state = self.0.state();
            let free = state.free.pop_back().map(|(_, free)| free);
            let waits = free.is_none().then(|| {
                let (sender, receiver) = oneshot::channel();
                state.waiting.push_back(sender);
                receiver
            });
            self.0.start_where_needed(&mut state);
            match (free, waits) {
                (Some(free), _) => return Ok(free),
                (None, waits) => waits,
            }
        };
        match waits {
            Some(waits) => waits.await.unwrap_or_else(|_| Err("supervisors are not started any more".into())),
            None => Err("there is no supervisor".into()),
        }
    }

    /// Keeps a supervisor whose program has ended for the next one.
    pub(super) fn give_back(&self, supervisor: Supervisor) {
        self.0.hand_out(&mut self.0.state(), supervisor);
    }
}

impl Pool {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start_where_needed(self: &Arc<Self>, state: &mut State) {
        if state.starting || (state.waiting.is_empty() && !state.free.is_empty()) {
            return;
        }
        state.starting = true;
        let pool = Arc::clone(self);
        std::thread::spawn(move || pool.start_supervisors());
    }

    /// Starts supervisors, one at a time, while programs wait (short ones may be served sooner by one that comes back),
    /// and until one is free.
    fn start_supervisors(self: Arc<Self>) {
        loop {
            let started = self.start();
            let mut state = self.state();
            match started {
                Ok(supervisor) => self.hand_out(&mut state, supervisor),
                Err(fault) => {
                    if let Some(waiting) = state.waiting.pop_front() {
                        // Whoever has left needs to know nothing.
                        let _ = waiting.send(Err(fault));
                    }
                    // Without anybody who waits, the next program will hear of it.
                    if state.waiting.is_empty() {
                        state.starting = false;
                        return;
                    }
                    continue;
                }
            }
            if state.waiting.is_empty() && !state.free.is_empty() {
                state.starting = false;
                return;
            }
        }
    }

    fn hand_out(self: &Arc<Self>, state: &mut State, mut supervisor: Supervisor) {
        while let Some(waiting) = state.waiting.pop_front() {
            match waiting.send(Ok(supervisor)) {
                Ok(()) => return,
                // It does not wait any more: its action was stopped.
                Err(Ok(back)) => supervisor = back,
                Err(Err(_)) => return,
            }
        }
        if state.free.len() < MOST_FREE {
            state.free.push_back((Instant::now(), supervisor));
        }
        if state.free.len() > KEPT && !state.thinning {
            state.thinning = true;
            let pool = Arc::downgrade(self);
            std::thread::spawn(move || thin_out(&pool));
        }
    }

    fn start(&self) -> Result<Supervisor, String> {
        let fault = |reason: String| format!("cannot start the supervisor {}: {reason}", self.program.display());
        let mut said = String::new();
        for _ in 0..TRIES {
            let (mut socket, process) = self.spawn().map_err(|error| fault(error.to_string()))?;
            let mut first = [0];
            if socket.read_exact(&mut first).is_ok() && first == [READY] {
                return Ok(Supervisor { process, socket });
            }
            said = String::from_utf8_lossy(&first).into_owned();
            let _ = socket.read_to_string(&mut said);
        }
        Err(fault(format!("it ended at once {said}").trim_end().to_owned()))
    }

    fn spawn(&self) -> io::Result<(Socket, Reaped)> {
        let (socket, other) = Socket::pair()?;
        let child = Command::new(&self.program)
            .args(&self.args)
            .stdin(OwnedFd::from(other))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok((socket, Reaped(Some(child))))
    }
}

/// Ends supervisors that nobody has needed for a while, until few are free or the pool is gone.
fn thin_out(pool: &Weak<Pool>) {
    loop {
        std::thread::sleep(IDLE);
        let Some(pool) = pool.upgrade() else { return };
        let mut state = pool.state();
        while state.free.len() > KEPT && state.free.front().is_some_and(|(since, _)| since.elapsed() >= IDLE) {
            state.free.pop_front();
        }
        if state.free.len() <= KEPT {
            state.thinning = false;
            return;
        }
    }
}

/// A supervisor that waits for an order.
pub(super) struct Supervisor {
    /// The process.
    pub process: Reaped,
    /// It ends everything once this is closed.
    pub socket: Socket,
}

impl Supervisor {
    /// Gives it an order, and the descriptor that its program writes to.
    ///
    /// # Errors
    /// It has died meanwhile, and has done nothing.
    pub(super) async fn order(self, order: &[u8], output: &OwnedFd) -> io::Result<(UnixStream, Reaped)> {
        self.socket.set_nonblocking(true)?;
        let stream = UnixStream::from_std(self.socket)?;
        let mut sent = 0;
        while sent < order.len() {
            stream.writable().await?;
            let rest = order.get(sent..).unwrap_or_default();
            let piece = stream.try_io(Interest::WRITABLE, || match sent {
                0 => send_with(stream.as_fd(), rest, output.as_fd()),
                _ => Ok(rustix::net::send(stream.as_fd(), rest, rustix::net::SendFlags::NOSIGNAL)?),
            });
            match piece {
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok((stream, self.process))
    }

    /// The same one again, after its report.
    ///
    /// # Errors
    /// The socket cannot be taken from the executor.
    pub(super) fn again(stream: UnixStream, process: Reaped) -> io::Result<Self> {
        let socket = stream.into_std()?;
        socket.set_nonblocking(false)?;
        Ok(Self { process, socket })
    }
}

/// A process whose end is taken note of in any case, so that it does not stay as a zombie.
pub(super) struct Reaped(Option<Child>);

impl Reaped {
    /// Waits for its end, which is near; in words.
    pub(super) async fn wait(mut self) -> String {
        let Some(mut child) = self.0.take() else { return String::new() };
        let ended = match child.try_wait() {
            Ok(Some(status)) => Ok(status),
            Ok(None) | Err(_) => match tokio::task::spawn_blocking(move || child.wait()).await {
                Ok(ended) => ended,
                Err(error) => return error.to_string(),
            },
        };
        ended.map_or_else(|error| error.to_string(), |status| status.to_string())
    }
}

impl Drop for Reaped {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            std::thread::spawn(move || drop(child.wait()));
        }
    }
}
