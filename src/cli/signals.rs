//! The signals that ask a program to stop, or an agent to read its configuration again.
//!
//! A terminal that is closed sends SIGHUP. Left alone it would end us at once, with our children left behind and a
//! number where a drill has put it: it asks to stop, as the others do. Two things make it something else. Whoever
//! started us with it ignored, as `nohup` does, wants us to outlive the terminal. And an agent that no terminal has
//! started is a service: its manager asks by it for the configuration to be read again.

/// The signals that ask a program to stop.
pub struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    hangup: Option<tokio::signal::unix::Signal>,
}

impl Signals {
    pub fn listen() -> std::io::Result<Signals> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let hangup = (!is_hangup_ignored()).then(|| signal(SignalKind::hangup())).transpose()?;
            Ok(Signals { hangup, ..Signals::of_service()? })
        }
        #[cfg(not(unix))]
        Ok(Signals {})
    }

    /// But for SIGHUP, which asks a service for something else.
    fn of_service() -> std::io::Result<Signals> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let [terminate, interrupt] = [SignalKind::terminate(), SignalKind::interrupt()].map(signal);
            Ok(Signals { terminate: terminate?, interrupt: interrupt?, hangup: None })
        }
        #[cfg(not(unix))]
        Ok(Signals {})
    }

    /// Waits for the next signal and says which it was.
    pub async fn next(&mut self) -> &'static str {
        #[cfg(unix)]
        {
            let hangup = async {
                match &mut self.hangup {
                    Some(signal) => signal.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = self.terminate.recv() => "SIGTERM",
                _ = self.interrupt.recv() => "SIGINT",
                _ = hangup => "SIGHUP",
            }
        }
        #[cfg(not(unix))]
        {
            // Nothing can be done where the signal cannot be heard.
            let _ = tokio::signal::ctrl_c().await;
            "Ctrl-C"
        }
    }
}

/// The signal that asks an agent to read its configuration again, where it is a service.
pub struct ReloadSignal {
    #[cfg(unix)]
    signal: Option<tokio::signal::unix::Signal>,
}

impl ReloadSignal {
    pub async fn next(&mut self) {
        #[cfg(unix)]
        if let Some(signal) = &mut self.signal {
            signal.recv().await;
            return;
        }
        std::future::pending().await
    }
}

/// What an agent listens to.
pub fn of_agent() -> std::io::Result<(Signals, ReloadSignal)> {
    #[cfg(unix)]
    {
        use std::io::IsTerminal as _;
        use tokio::signal::unix::{SignalKind, signal};
        if std::io::stdin().is_terminal() {
            return Ok((Signals::listen()?, ReloadSignal { signal: None }));
        }
        Ok((Signals::of_service()?, ReloadSignal { signal: Some(signal(SignalKind::hangup())?) }))
    }
    #[cfg(not(unix))]
    Ok((Signals::listen()?, ReloadSignal {}))
}

/// True if whoever started us had SIGHUP ignored. Only Linux tells; elsewhere it is listened to.
#[cfg(unix)]
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // One bit for each signal, the first one for SIGHUP.
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}
