//! `ringback run`: the agent, until a signal or a fault.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing_appender::non_blocking::ErrorCounter;

use super::challenge::{ask, reqwest_client};
use super::log::AgentLog;
use super::service::ServiceManager;
use super::signals::{ReloadSignal, Signals};
use super::{Exit, complain, log, signals};
use crate::admin;
use crate::admin::auth::{AccessRules, Holder, Right};
use crate::admin::identity::Identity;
use crate::admin::names::OwnNames;
use crate::admin::reload::{ReloadRequest, Reloaded};
use crate::admin::standby::SwappableRouter;
use crate::admin::tls::Tls;
use crate::agent::leader::LeaseHolder;
use crate::agent::{Agent, Role, StartError};
use crate::check;
use crate::child;
use crate::clock::Clock;
use crate::config::people::{self, AdminTransport};
use crate::config::{Config, ProcessEnv};
use crate::core::model::bounds;
use crate::core::model::foreign::Line;
use crate::core::model::order::Author;
use crate::rehearse;
use crate::rehearse::note::Note;

/// How often lost lines of the log are told of.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// How long another configuration's credentials are tried: whoever has it read again waits for the answer.
const TRIED_WITHIN: Duration = Duration::from_secs(4);

/// How often an agent looks whether the command that has its place has ended.
const ASKED_AGAIN: Duration = Duration::from_secs(1);

/// How long the end of the process waits for its last line to be read.
const LAST_WORDS: Duration = Duration::from_millis(200);

pub fn run(path: &Path, filter: &str) -> anyhow::Result<Exit> {
    reserve_less();
    let config = Config::load(path, &ProcessEnv)?;
    let log = log::start_for_agent(filter)?;
    forbid_core_dump();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.enable_all().max_blocking_threads(bounds::BLOCKING_THREADS);
    runtime.build()?.block_on(agent(path, config, &log))
}

/// Starts this program once more in its own place, with an allocator that reserves less.
///
/// glibc's reserves 64 MB of addresses for every thread that asks for memory, up to eight times the processors, and
/// uses little of them. Where the address space is limited (`ulimit -v`), these are what a limit of 512 MB goes into:
/// 500 MB for two numbers, and 160 MB with two such reserves. How many there are is read from the environment when a
/// program starts, and there is no other way to say it without unsafe code. If it fails nothing is lost.
fn reserve_less() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        use std::os::unix::process::CommandExt as _;
        const RESERVES: &str = "MALLOC_ARENA_MAX";
        if std::env::var_os(RESERVES).is_none() {
            let mut arguments = std::env::args_os();
            // By its own path, which the process is listed by; replaced by another version it has none.
            let path = std::env::current_exe().ok().filter(|path| path.exists());
            let mut again = std::process::Command::new(path.unwrap_or_else(|| "/proc/self/exe".into()));
            again.arg0(arguments.next().unwrap_or_default()).args(arguments).env(RESERVES, "2");
            let _error = again.exec();
        }
    }
}

/// A core dump would hold what is never written elsewhere: secrets, and callers' numbers of the last
/// answers. A limit of one byte leaves no file, and keeps the kernel from piping it to a collector too,
/// which a limit of nothing does not (core(5)).
fn forbid_core_dump() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let limit = Rlimit { current: Some(1), maximum: Some(1) };
        if let Err(error) = setrlimit(Resource::Core, limit) {
            tracing::warn!(%error, "core dumps cannot be forbidden: one would hold secrets");
        }
    }
}

/// Whom the HTTP face lets in.
pub fn access(config: &Config) -> AccessRules {
    let Config { agent: config, ports, .. } = config;
    let right = |right| match right {
        people::TokenRight::Read => Right::Read,
        people::TokenRight::Act => Right::Act,
    };
    let person = |p: &people::PersonalToken| {
        Some((Holder { name: Some(p.name.as_str().into()), right: right(p.right) }, p.token.clone()?))
    };
    AccessRules {
        token: config.token.clone(),
        people: config.people.iter().filter_map(person).collect(),
        port_webhook: ports.webhook_token.clone(),
        is_open: config.transport != AdminTransport::Loopback,
    }
}

/// True if what has the agent's address is a command of ours that acts by itself, and proves it.
async fn is_acting_alone(config: &Config) -> bool {
    let Ok(http) = reqwest_client() else { return false };
    let ours = Identity::new(config.agent.token.clone());
    let asked = ask(&http, config.agent.listen, &ours, "/api/v1/status").await;
    let status = asked.ok().and_then(|answer| super::answer(&answer.body).ok());
    status.is_some_and(|status| status["is_command"] == true)
}

/// The agent's address, and what it takes to serve there.
pub async fn listen(config: &Config) -> anyhow::Result<(TcpListener, Option<Tls>)> {
    let listener = TcpListener::bind(config.agent.listen).await.with_context(|| {
        format!(
            "cannot listen on {}: is another agent running? name another address in agent.listen",
            config.agent.listen
        )
    })?;
    let tls = match &config.agent.transport {
        AdminTransport::Tls(files) => Some(Tls::load(&files.certificate, &files.key).context("agent.tls")?),
        AdminTransport::Loopback | AdminTransport::BehindProxy => None,
    };
    Ok((listener, tls))
}

/// The agent as it runs, by one configuration at a time.
struct Service<'a> {
    path: &'a Path,
    config: Config,
    clock: Clock,
    front: SwappableRouter,
    reloads: mpsc::Sender<ReloadRequest>,
    lost: ErrorCounter,
    manager: ServiceManager,
    address: SocketAddr,
}

async fn agent(path: &Path, config: Config, log: &AgentLog) -> anyhow::Result<Exit> {
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    if let Some(path) = rehearse::back::cut_off(&config) {
        let number =
            Note::read(&path).ok().flatten().map_or_else(|| "its number".to_owned(), |n| n.number.e164.to_string());
        let note = path.display();
        tracing::error!(%note, "a fire drill was cut off: put {number} back with `ringback rehearse --put-back`");
    }
    let (mut signals, mut reload) = signals::of_agent()?;
    let (clock, mut is_said) = (Clock::system(), false);
    let (listener, tls) = loop {
        let refused = match listen(&config).await {
            Ok(face) => break face,
            Err(refused) => refused,
        };
        let stopped = |signal| {
            tracing::info!(signal, "stopped before it had started");
            Ok(Exit::Done)
        };
        tokio::select! {
            signal = signals.next() => return stopped(signal),
            is_command = is_acting_alone(&config) => if !is_command {
                return Err(refused);
            }
        }
        if !std::mem::replace(&mut is_said, true) {
            tracing::warn!("a command acts by itself on this state: the agent starts when it has ended");
        }
        tokio::select! {
            signal = signals.next() => return stopped(signal),
            () = clock.sleep(ASKED_AGAIN) => {}
        }
    };
    let address = listener.local_addr()?;
    let manager = ServiceManager::from_environment();
    // The address answers from the first moment on: who stands by is not dead.
    let (standby, leader) = watch::channel(None);
    let front = SwappableRouter::new(idle_face(&config, leader.clone()));
    let stop = CancellationToken::new();
    let mut server = JoinSet::new();
    clock.spawn(&mut server, admin::serve::serve_over(tls, front.router(), listener, stop.clone()));
    let (reloads, mut asked) = admin::reload::channel();
    let lost = log.lost.clone();
    let mut service = Service { path, config, clock, front, reloads, lost, manager, address };
    let starting = Agent::start_as(Role::Watch, &service.config, &service.clock, &standby);
    let mut agent = tokio::select! {
        agent = starting => agent.map_err(coded)?,
        signal = stopped(&mut signals, &mut reload) => {
            tracing::info!(signal, "stopped before it had started");
            return Ok(Exit::Done);
        }
        never = service.manager.idle(leader, &service.clock) => match never {},
    };
    let mut beside = service.begin(&agent);
    let exit = loop {
        let request = tokio::select! {
            biased;
            signal = signals.next() => {
                tracing::info!(signal, "stopping; a second signal forces");
                break Exit::Done;
            }
            () = reload.next() => {
                let reason = "the service manager, or whoever may stop the agent";
                let by = Author { name: "SIGHUP".into(), reason: reason.into() };
                ReloadRequest { by, reply: oneshot::channel().0 }
            }
            fault = agent.failed() => {
                tracing::error!(fault, "the agent cannot go on");
                break Exit::CouldNotRun;
            }
            Some(_) = server.join_next() => {
                tracing::error!("the HTTP server ended early: the agent cannot go on");
                break Exit::CouldNotRun;
            }
            Some(request) = asked.recv() => request,
        };
        let ReloadRequest { by, reply } = request;
        let answer = match service.change(&by).await {
            Ok(change) => {
                beside.abort_all();
                let (next, answer) = service.exchange(agent, change, by).await?;
                agent = next;
                beside = service.begin(&agent);
                answer
            }
            Err(why) => Err(why),
        };
        match &answer {
            Ok(done) => tracing::info!(changed = done.changed.join(", "), "{}", done.done),
            Err(why) => tracing::error!("the configuration is not taken up: {why}"),
        }
        // Whoever asked may have gone away.
        let _ = reply.send(answer);
    };
    service.manager.stopping();
    let in_order = async {
        let in_time = agent.stop().await;
        stop.cancel();
        while server.join_next().await.is_some() {}
        in_time
    };
    tokio::select! {
        in_time = in_order => {
            tracing::info!("stopped");
            Ok(if in_time { exit } else { Exit::CouldNotRun })
        }
        signal = stopped(&mut signals, &mut reload) => {
            // What was being written is settled by looking, at the next start.
            child::end_all();
            // In the background: perhaps nobody reads it.
            let said = std::thread::spawn(move || complain(&format!("ringback: {signal} again: stopping at once")));
            let waiting = std::time::Instant::now();
            while !said.is_finished() && waiting.elapsed() < LAST_WORDS {
                std::thread::yield_now();
            }
            std::process::exit(Exit::CouldNotRun as i32)
        }
    }
}

/// What the address answers while no agent runs here.
fn idle_face(config: &Config, leader: watch::Receiver<Option<LeaseHolder>>) -> axum::Router {
    admin::standby::router_for(leader, access(config), OwnNames(config.agent.names.clone()))
}

/// Waits for a signal to stop. Until an agent runs nothing can be read again.
async fn stopped(signals: &mut Signals, reload: &mut ReloadSignal) -> &'static str {
    loop {
        tokio::select! {
            signal = signals.next() => return signal,
            () = reload.next() => {
                tracing::error!("the configuration is not read again: no agent leads here, or it stops; restart it");
            }
        }
    }
}

/// Another configuration, which was found to be good.
struct Change {
    config: Config,
    changed: Vec<String>,
}

impl Service<'_> {
    /// Shows the agent's own face, and begins what goes on beside it.
    fn begin(&self, agent: &Agent) -> JoinSet<()> {
        let mut beside = JoinSet::new();
        // Beside the agent, which watches from now on whatever is found.
        let (checked, its_clock) = (self.config.clone(), self.clock.clone());
        self.clock.spawn(&mut beside, async move { check::at_start(&checked, &its_clock).await });
        let (lost, metrics, its_clock) = (self.lost.clone(), agent.metrics.clone(), self.clock.clone());
        self.clock.spawn(&mut beside, async move {
            tell_what_is_lost(&lost, |lines| metrics.log_lines_lost(lines), &its_clock).await
        });
        let (manager, status, its_clock) = (self.manager.clone(), agent.status.clone(), self.clock.clone());
        self.clock.spawn(&mut beside, async move { manager.feed(status, &its_clock).await });
        let rules = access(&self.config);
        self.front.set(admin::router_with(agent, &self.clock, rules, Some(self.reloads.clone())));
        let scheme = if matches!(self.config.agent.transport, AdminTransport::Tls(_)) { "https" } else { "http" };
        let address = self.address;
        tracing::info!(
            mode = self.config.engine.mode.label(), numbers = self.config.roster.len(), %address,
            "watching; metrics at {scheme}://{address}/metrics, page at {scheme}://{address}/"
        );
        self.manager.ready("watching");
        beside
    }

    /// What reading the file again comes to, or why it comes to nothing. Nothing is changed yet.
    async fn change(&self, by: &Author) -> Result<Change, String> {
        let config = Config::load(self.path, &ProcessEnv).map_err(|faults| faults.to_string())?;
        let changed = self.config.changed(&config);
        let fixed = self.config.needs_restart(&config);
        if !fixed.is_empty() {
            return Err(format!("{} needs a restart of the agent; nothing is taken up", fixed.join(", ")));
        }
        if changed.is_empty() {
            return Err("nothing in it has changed, nor in the files that it names".to_owned());
        }
        tracing::info!(%by, changed = changed.join(", "), "the configuration is read again");
        match self.clock.timeout(TRIED_WITHIN, Agent::try_out(&config, &self.clock)).await {
            // A Twilio that does not answer stops no start either.
            Ok(Ok(())) | Err(_) => Ok(Change { config, changed }),
            Ok(Err(error)) => Err(format!("{:#}", coded(error))),
        }
    }

    /// Puts an agent of another configuration in the place of this one, or one of the old configuration again.
    async fn exchange(
        &mut self,
        agent: Agent,
        Change { config, changed }: Change,
        by: Author,
    ) -> anyhow::Result<(Agent, Result<Reloaded, String>)> {
        self.manager.reloading();
        self.front.set(idle_face(&self.config, watch::channel(None).1));
        let began = self.clock.monotonic();
        let state = agent.hand_over().await;
        match Agent::take_over(&config, &self.clock, &state, by, changed.clone()).await {
            Ok(agent) => {
                let seconds = (self.clock.monotonic() - began).as_secs_f64();
                self.config = config;
                for warning in &self.config.warnings {
                    tracing::warn!("{warning}");
                }
                // Of all keys this one is for the first start alone.
                let mode = if changed.iter().any(|key| key == "agent.mode") {
                    "; agent.mode is for the very first start: say `ringback mode`"
                } else {
                    ""
                };
                let done = format!(
                    "taken up: {}; nothing was watched for {seconds:.1} s{mode}; what comes from the environment is as \
                     it was",
                    changed.join(", ")
                );
                Ok((agent, Ok(Reloaded { done, changed })))
            }
            Err(error) => {
                let why = format!("{:#}; the agent goes on by the old one", coded(error));
                let by = Author { name: "ringback".into(), reason: Line::new(&format!("back: {why}")) };
                let agent = Agent::take_over(&self.config, &self.clock, &state, by, changed).await.map_err(coded)?;
                Ok((agent, Err(why)))
            }
        }
    }
}

/// Says how many lines of the log were lost, once they are.
async fn tell_what_is_lost(lost: &ErrorCounter, count: impl Fn(u64), clock: &Clock) {
    // Those before were told.
    let mut told = 0;
    loop {
        clock.sleep(TOLD_EVERY).await;
        let lines = lost.dropped_lines();
        if lines > told {
            count((lines - told) as u64);
            tracing::error!(
                lines = lines - told,
                "lines of the log are lost: whoever reads the error stream does not keep up, or has stopped"
            );
            told = lines;
        }
    }
}

/// What stopped the start, with the code under which `ringback check` tells more of it.
fn coded(error: StartError) -> anyhow::Error {
    match error.code() {
        Some(code) => anyhow::Error::new(error).context(format!("{code} (ringback check --explain {code})")),
        None => error.into(),
    }
}
