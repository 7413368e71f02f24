//! What a service manager is told (sd_notify(3)): that the agent is ready, how it is, that its engine still ticks, and
//! that it stops. Where nobody asks, with `NOTIFY_SOCKET`, nothing is said.
//!
//! The watchdog is fed by the engine's ticks alone. An engine that is stuck, behind a disk that does not answer, say,
//! is restarted by the manager, although the process lives and its address answers.
//!
//! A manager that does not read holds nobody up: what it does not take at once is lost. Crates for this wait for it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::agent::leader::LeaseHolder;
use crate::agent::publish::status::Status;
use crate::clock::Clock;
use crate::core::model::foreign::line;
use crate::core::model::time::Time;

/// How often the line is looked at where there is no watchdog.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// How soon it is said that another agent leads.
const IDLE_LOOK: Duration = Duration::from_secs(2);

/// Longest line.
const LONGEST: usize = 200;

/// Who manages this service, if somebody does.
#[derive(Clone, Default)]
pub struct ServiceManager {
    to: Option<Arc<socket::ManagerSocket>>,
    /// It expects a sign of life within this time.
    watchdog: Option<Duration>,
}

impl ServiceManager {
    pub fn from_environment() -> ServiceManager {
        let Some(address) = std::env::var_os("NOTIFY_SOCKET") else { return ServiceManager::default() };
        match socket::ManagerSocket::open(address) {
            Ok(to) => ServiceManager { to: Some(Arc::new(to)), watchdog: watchdog() },
            Err(error) => {
                tracing::warn!(%error, "the service manager cannot be told how the agent is: see NOTIFY_SOCKET");
                ServiceManager::default()
            }
        }
    }

    /// Some lines of `NAME=value`.
    fn tell(&self, lines: &str) {
        let Some(socket) = &self.to else { return };
        if let Err(error) = socket.send(lines.as_bytes()) {
            tracing::debug!(%error, lines, "the service manager does not take this");
        }
    }

    /// The agent watches, or stands by and will.
    pub fn ready(&self, how: &str) {
        self.tell(&format!("READY=1\nSTATUS={}", line(how, LONGEST)));
    }

    /// The configuration is read again; `ready` ends it.
    pub fn reloading(&self) {
        self.tell("RELOADING=1\nSTATUS=reading the configuration again");
    }

    pub fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=stopping");
    }

    /// While there is no engine to tick, for this agent starts, or another one leads: says so, and lives.
    pub async fn idle(&self, leader: watch::Receiver<Option<LeaseHolder>>, clock: &Clock) -> Infallible {
        let mut is_ready = false;
        loop {
            // Until then the manager waits for the start alone, which may be stuck.
            if self.watchdog.is_some() && is_ready {
                self.tell("WATCHDOG=1");
            }
            let led = leader.borrow().clone();
            if let Some(LeaseHolder { by, .. }) = led.filter(|_| !is_ready) {
                self.ready(&format!("standing by: {by} leads"));
                is_ready = true;
            }
            clock.sleep(self.watchdog.map_or(IDLE_LOOK, |within| within / 4)).await;
        }
    }

    /// Feeds the watchdog while the engine ticks, and says how the agent is.
    pub async fn feed(&self, status: watch::Receiver<Arc<Status>>, clock: &Clock) {
        if self.to.is_none() {
            return;
        }
        let every = self.watchdog.map_or(TOLD_EVERY, |within| within / 4);
        let mut said = String::new();
        loop {
            let now_known = status.borrow().clone();
            let is_ticking = ticks(&now_known, clock.now(), every * 2);
            let how = how(&now_known, is_ticking);
            if how != said {
                self.tell(&format!("STATUS={}", line(&how, LONGEST)));
                said = how;
            }
            if is_ticking && self.watchdog.is_some() {
                self.tell("WATCHDOG=1");
            }
            clock.sleep(every).await;
        }
    }
}

/// The engine ticks every second: one that has not for so long, and for two seconds at least, is stuck.
fn ticks(status: &Status, now: Time, within: Duration) -> bool {
    status.at + within.max(Duration::from_secs(2)) >= now
}

fn how(status: &Status, is_ticking: bool) -> String {
    let cannot_read = status.cannot_read();
    if !is_ticking {
        return format!("the engine has not ticked since {}", status.at);
    }
    if !cannot_read.is_empty() {
        return format!("blind: cannot read {}", cannot_read.join(", "));
    }
    let (mode, numbers) = (status.mode.label(), status.numbers().count());
    match status.troubles.len() {
        0 => format!("{mode}: watching {numbers} numbers, no trouble is seen"),
        troubles => format!("{mode}: watching {numbers} numbers, {troubles} in trouble; see `ringback status`"),
    }
}

/// What the manager expects of this process: the time may be meant for another one.
fn watchdog() -> Option<Duration> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
    let micros = number("WATCHDOG_USEC").filter(|micros| *micros > 0 && is_ours)?;
    Some(Duration::from_micros(micros))
}

#[cfg(target_os = "linux")]
mod socket {
    use std::ffi::OsString;
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::ffi::OsStringExt as _;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    pub struct ManagerSocket(UnixDatagram, SocketAddr);

    impl ManagerSocket {
        pub fn open(address: OsString) -> std::io::Result<ManagerSocket> {
            let bytes = address.into_vec();
            let address = match bytes.strip_prefix(b"@") {
                Some(name) => SocketAddr::from_abstract_name(name)?,
                None => SocketAddr::from_pathname(OsString::from_vec(bytes))?,
            };
            let socket = UnixDatagram::unbound()?;
            socket.set_nonblocking(true)?;
            Ok(ManagerSocket(socket, address))
        }

        pub fn send(&self, lines: &[u8]) -> std::io::Result<usize> {
            self.0.send_to_addr(lines, &self.1)
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod socket {
    pub struct ManagerSocket(std::convert::Infallible);

    impl ManagerSocket {
        pub fn open(_: std::ffi::OsString) -> std::io::Result<ManagerSocket> {
            Err(std::io::ErrorKind::Unsupported.into())
        }

        pub fn send(&self, _: &[u8]) -> std::io::Result<usize> {
            match self.0 {}
        }
    }
}
