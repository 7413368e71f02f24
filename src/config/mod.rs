//! The configuration: one TOML file, the environment, and files that they name.
//!
//! [`Config::load`] either gives a configuration in which every value is valid, or all faults at
//! once, each with file, line, column, the value and the cure. Unknown keys are faults. Secrets
//! come from the environment or from files of their own, never from the TOML file.
//!
//! Relative paths are relative to the configuration file.

mod access;
mod account;
mod address;
mod columns;
pub(crate) mod csv;
mod desk;
mod detection;
mod field;
mod group;
mod handler;
mod history;
pub mod notify;
mod numbers;
mod offline;
mod owner;
pub mod people;
pub mod ports;
pub mod probe;
pub mod provider_list;
mod rehearse;
mod section;
pub mod shown;
pub mod text;
mod token;
mod webhook;
mod written;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use toml::de::DeTable;
use url::Url;

use crate::core::detect::engine;
use crate::core::model::bounds;
use crate::core::model::decision::Mode;
use crate::core::model::id::AccountSid;
use crate::core::model::roster::{Roster, UNNAMED_ACCOUNT};
use crate::core::notice::make::Addresses;
use crate::core::rollback::orders;
use crate::metrics::PerNumber;
use crate::notify::{Heartbeat, Notifier};
use crate::twilio;

use account::{read_twilio, secret_file};
pub use columns::{HistoryColumns, RecordColumn};
pub use desk::Desk;
use history::ProfileUse;
pub use numbers::{is_scientific, plain};
pub use offline::Offline;
use people::{AdminTransport, PersonalToken, TokenProblem};
pub use ports::PortSettings;
pub use probe::Probes;
pub use rehearse::Rehearsal;
pub use section::{ConfigFault, span_text};
use section::{Faults, Section};
use token::KnownValues;
pub use webhook::webhook_problem;
use written::Written;

/// Everything that was decided before the agent starts.
#[derive(Debug, Clone)]
pub struct Config {
    pub twilio: twilio::ClientSettings,
    pub agent: AgentConfig,
    pub poll: Poll,
    pub probes: Probes,
    pub ports: PortSettings,
    pub engine: engine::EngineSettings,
    pub rollback: orders::RollbackSettings,
    pub roster: Roster,
    pub per_number: PerNumber,
    /// The fire drill, if one is prepared.
    pub rehearsal: Option<Rehearsal>,
    /// Ways to people.
    pub notify: Vec<Notifier>,
    pub heartbeat: Option<Heartbeat>,
    /// What works and should not stay so, with its cure: told at the start.
    pub warnings: Vec<String>,
    /// What it is compared by with another one.
    written: Written,
}

#[derive(Debug, Clone)]
pub struct AgentConfig {
    pub listen: SocketAddr,
    /// The SQLite file.
    pub state: PathBuf,
    /// Bearer token for writes over HTTP; without one there are none.
    pub token: Option<SecretString>,
    /// What is wrong with where it should be. At a desk it may be another's own that is used instead.
    token_problem: Option<TokenProblem>,
    /// Tokens of people.
    pub people: Vec<PersonalToken>,
    /// How the HTTP face is reached.
    pub transport: AdminTransport,
    /// Names by which its HTTP face is asked for, beside those of the loopback interface: in lower case.
    pub names: Arc<[String]>,
    /// What notices link to.
    pub addresses: Addresses,
    /// Time that each commit of the journal takes beside the disk's own; for tests, whose time the disk's does not
    /// move.
    pub commit_cost: Duration,
}

impl AgentConfig {
    /// Where people reach the agent's own page, without a slash at the end.
    pub fn page(&self) -> String {
        let scheme = if matches!(self.transport, AdminTransport::Tls(_)) { "https" } else { "http" };
        self.addresses.agent.clone().unwrap_or_else(|| format!("{scheme}://{}", self.listen))
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Poll {
    /// Between polls while a number is in its active phase.
    pub active: Duration,
    /// Between polls otherwise.
    pub passive: Duration,
    /// How far back every list is read again: Twilio's lists lag by minutes.
    pub overlap: Duration,
    /// Between walks through the whole overlap; polls between them stop where nothing is new.
    pub full: Duration,
}

impl Default for Poll {
    fn default() -> Poll {
        Poll {
            active: Duration::from_secs(5),
            passive: Duration::from_secs(30),
            overlap: Duration::from_secs(15 * 60),
            full: Duration::from_secs(30),
        }
    }
}

/// The environment, so that tests can bring their own.
pub trait Env {
    /// What a variable says, as it is.
    fn raw(&self, name: &str) -> Option<String>;

    /// What a variable says, if it says something. Files of variables that were saved with CR LF leave a CR at the end
    /// of each, and a byte order mark before the first.
    fn var(&self, name: &str) -> Option<String> {
        let text = self.raw(name)?;
        let text = text.trim_start_matches('\u{feff}').trim();
        (!text.is_empty()).then(|| text.to_owned())
    }
}

/// The process's environment.
pub struct ProcessEnv;

impl Env for ProcessEnv {
    fn raw(&self, name: &str) -> Option<String> {
        // What is no UTF-8 is wrong, and not unset.
        std::env::var_os(name).map(|v| v.to_string_lossy().into_owned())
    }
}

impl Env for HashMap<&str, &str> {
    fn raw(&self, name: &str) -> Option<String> {
        self.get(name).map(|v| (*v).to_owned())
    }
}

/// Everything that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadConfig(pub Vec<ConfigFault>);

impl std::fmt::Display for BadConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, fault) in self.0.iter().enumerate() {
            write!(f, "{}{fault}", if i == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for BadConfig {}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

impl Config {
    /// The account: the only one, whose all numbers are.
    pub const fn account(&self) -> AccountSid {
        self.twilio.credentials.account
    }

    /// Reads `path` and what it names.
    pub fn load(path: &Path, env: &dyn Env) -> Result<Config, BadConfig> {
        let text = read_file(path)?;
        Config::parse(path, &text, env)
    }

    /// Reads the text of a file at `path`.
    pub fn parse(path: &Path, text: &str, env: &dyn Env) -> Result<Config, BadConfig> {
        let config = parse(path, text, |top| read(top, path, env))?;
        let written = Written::of(text, path.parent().unwrap_or_else(|| Path::new("")));
        Ok(Config { written, ..config })
    }

    /// The keys that are written otherwise in `new`, or whose files have something else in them.
    pub fn changed(&self, new: &Config) -> Vec<String> {
        self.written.changed(&new.written)
    }

    /// The keys that no running agent can take up: they decide where it is, and over which state.
    pub fn needs_restart(&self, new: &Config) -> Vec<&'static str> {
        let (old, new) = (&self.agent, &new.agent);
        let fixed = [
            ("agent.listen", old.listen != new.listen),
            ("agent.state", old.state != new.state),
            ("agent.tls or agent.proxy_does_tls", old.transport != new.transport),
        ];
        fixed.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
    }
}

/// What the file says of whom we watch and how we decide: all that work without an account needs.
/// Credentials are not asked for; whatever else is wrong with the file is a fault all the same.
#[derive(Debug, Clone)]
pub struct AlertRules {
    /// Whose numbers these are: [`UNNAMED_ACCOUNT`] where the file does not say.
    pub account: AccountSid,
    pub probes: Probes,
    pub engine: engine::EngineSettings,
    pub rollback: orders::RollbackSettings,
    pub roster: Roster,
}

impl AlertRules {
    pub fn load(path: &Path) -> Result<AlertRules, BadConfig> {
        let text = read_file(path)?;
        AlertRules::parse(path, &text)
    }

    /// The same for whoever makes the profile that the file names: it is not asked for.
    pub fn load_to_learn(path: &Path) -> Result<AlertRules, BadConfig> {
        let text = read_file(path)?;
        parse(path, &text, |top| read_rules(top, path, ProfileUse::Make))
    }

    pub fn parse(path: &Path, text: &str) -> Result<AlertRules, BadConfig> {
        parse(path, text, |top| read_rules(top, path, ProfileUse::Read))
    }
}

/// The account and its credentials alone, from the text of a `[twilio]` section and the environment: before there is a
/// configuration.
pub fn account(path: &Path, text: &str, env: &dyn Env) -> Result<twilio::ClientSettings, BadConfig> {
    parse(path, text, |mut top| {
        let dir = path.parent().unwrap_or_else(|| Path::new(""));
        let faults = top.faults();
        let twilio = top.section("twilio").and_then(|s| read_twilio(s, dir, env, faults));
        top.finish();
        twilio
    })
}

fn read_file(path: &Path) -> Result<String, BadConfig> {
    let bad = |place, text: String| BadConfig(vec![ConfigFault { file: path.to_owned(), place, text }]);
    match text::read(path, bounds::CONFIG_BYTES, text::IN_AN_EDITOR) {
        // TOML knows no line that ends in CR alone.
        Ok(Ok(text)) if text.contains('\r') => Ok(text.replace("\r\n", "\n").replace('\r', "\n")),
        Ok(Ok(text)) => Ok(text),
        Ok(Err(e)) => Err(bad(e.place, e.problem)),
        Err(e) => Err(bad(None, format!("cannot be read: {e}; name the file with --config"))),
    }
}

fn parse<T>(path: &Path, text: &str, read: impl FnOnce(Section<'_>) -> Option<T>) -> Result<T, BadConfig> {
    let faults = Faults::new(path, text);
    let (table, errors) = DeTable::parse_recoverable(text);
    for e in &errors {
        faults.at(e.span().unwrap_or(0..0), format!("not TOML: {}", e.message()));
    }
    if !errors.is_empty() {
        // What could be read of it would only lead to faults that are none.
        return Err(BadConfig(faults.into_sorted()));
    }
    match read(Section::new("", &table, &faults)) {
        Some(read) if faults.is_empty() => Ok(read),
        _ => Err(BadConfig(faults.into_sorted())),
    }
}

fn read(mut top: Section<'_>, path: &Path, env: &dyn Env) -> Option<Config> {
    let dir = path.parent().unwrap_or_else(|| Path::new(""));
    let faults = top.faults();
    top.require("twilio", "name the account: [twilio] account_sid = \"AC…\"");
    let twilio = top.section("twilio").and_then(|s| read_twilio(s, dir, env, faults));
    let per_number = top.section("metrics").map_or_else(PerNumber::default, read_metrics);
    let rehearsal = top.section("rehearsal");
    let notifiers = top.sections("notify");
    let heartbeat = top.section("heartbeat").and_then(|s| notify::read_heartbeat(s, dir, env));
    let ports = ports::read(top.section("ports"), faults, dir, Some(env));
    // Without one there is no configuration; what else is wrong with the file is told all the same.
    let account = twilio.as_ref().map_or(UNNAMED_ACCOUNT, |t| t.credentials.account);
    let mut known = KnownValues::default();
    top.texts(&mut |text| known.add(text));
    let (agent, poll, rules) = read_rest(top, account, dir, Some(env), ProfileUse::Read);
    let AlertRules { account: _, probes, engine, rollback, roster } = rules;
    let rehearsal = rehearsal.and_then(|s| rehearse::read(s, &roster));
    let notify = notify::read(notifiers, &roster, dir, env);
    if let Some((place, text)) = agent.as_ref().and_then(|a| a.token_problem.as_ref()) {
        faults.at(place.clone(), text.clone());
    }
    if let Some(agent) = &agent {
        people::are_set(&agent.people, agent.token.as_ref(), faults);
        let mut tokens = people::called(agent.token.as_ref(), &agent.people);
        if let Some(token) = &ports.webhook_token {
            ports::is_its_own(token, &tokens, faults);
            tokens.push((ports::TOKEN.to_owned(), token));
        }
        if let Some(twilio) = &twilio {
            for (name, token) in &tokens {
                token::differs_from(name, token, &twilio.credentials.secret, faults);
            }
            known.add_account(&twilio.credentials);
        }
        for (_, number) in roster.numbers() {
            known.add_number(number.id.e164);
            known.add(&number.label);
        }
        people::are_not_known(&tokens, known, faults);
    }
    let warnings = faults.take_warnings();
    Some(Config {
        twilio: twilio?,
        agent: agent?,
        poll,
        probes,
        ports,
        engine,
        rollback,
        roster,
        per_number,
        rehearsal,
        notify,
        heartbeat,
        warnings,
        written: Written::default(),
    })
}

fn read_rules(mut top: Section<'_>, path: &Path, profile: ProfileUse) -> Option<AlertRules> {
    let dir = path.parent().unwrap_or_else(|| Path::new(""));
    // Nothing is asked of the account, so there is nothing to check in it, and nobody to tell.
    let account = top.section("twilio").and_then(|mut s| s.unchecked::<AccountSid>("account_sid"));
    metrics_and_people(&mut top);
    let rehearsal = top.section("rehearsal");
    let (_, _, rules) = read_rest(top, account.unwrap_or(UNNAMED_ACCOUNT), dir, None, profile);
    rehearsal.map(|s| rehearse::read(s, &rules.roster));
    Some(rules)
}

/// Sections that work without an account does not need. A token's file is one of these too, but stands in another.
fn metrics_and_people(top: &mut Section<'_>) {
    top.sections("notify");
    top.section("heartbeat");
    top.section("metrics").map(read_metrics);
    ports::read(top.section("ports"), top.faults(), Path::new(""), None);
}

/// All but the account. Without an environment no token is asked for, wherever it may be.
fn read_rest(
    mut top: Section<'_>,
    account: AccountSid,
    dir: &Path,
    env: Option<&dyn Env>,
    profile: ProfileUse,
) -> (Option<AgentConfig>, Poll, AlertRules) {
    let mut engine = engine::EngineSettings::default();
    let mut rollback = orders::RollbackSettings::default();
    let agent = match top.section("agent") {
        Some(s) => read_agent(s, dir, env, &mut engine, &mut rollback),
        None => Some(AgentConfig {
            listen: DEFAULT_LISTEN,
            state: dir.join(DEFAULT_STATE),
            token: env.and_then(|e| e.var("RINGBACK_TOKEN")).map(SecretString::from).inspect(|token| {
                token::is_strong(TOKEN, token, top.faults(), |text| top.faults().nowhere(text));
            }),
            token_problem: None,
            people: Vec::new(),
            transport: AdminTransport::Loopback,
            names: Arc::default(),
            addresses: Addresses::default(),
            commit_cost: Duration::ZERO,
        }),
    };
    let poll = top.section("poll").map_or_else(Poll::default, |s| read_poll(s, &mut engine));
    top.require("group", "list your numbers: [[group]] name = \"…\" numbers = [\"+1…\"]");
    let mut groups = group::Groups::new(account);
    for group in top.sections("group") {
        groups.read(group, dir, poll.passive);
    }
    let history = top.section("history");
    engine.history = history.and_then(|s| history::read(s, dir, &groups.roster, profile));
    let limits = top.section("probes").map_or_else(Default::default, probe::read_limits);
    top.finish();
    engine.detection = groups.detection;
    rollback.caps = groups.caps;
    let probes = Probes { groups: groups.probes, limits };
    (agent, poll, AlertRules { account, probes, engine, rollback, roster: groups.roster })
}

const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9466);
/// What the token is called that is nobody's own.
const TOKEN: &str = "the token for writes";
const DEFAULT_STATE: &str = "ringback.db";

fn read_agent(
    mut s: Section<'_>,
    dir: &Path,
    env: Option<&dyn Env>,
    engine: &mut engine::EngineSettings,
    rollback: &mut orders::RollbackSettings,
) -> Option<AgentConfig> {
    let faults = s.faults();
    let modes = Mode::ALL.map(|m| (m.label(), m));
    engine.mode = s.choice("mode", &modes).unwrap_or(engine.mode);
    rollback.mode = engine.mode;
    if let Some(d) = s.duration("approve_within", MINUTE, DAY) {
        rollback.approve_within = d.value;
    }
    if let Some(d) = s.duration("veto", Duration::ZERO, HOUR) {
        rollback.veto = d.value;
    }
    let listen = s.parse::<SocketAddr>("listen");
    let state = s.text("state");
    let state = match &state {
        None => dir.join(DEFAULT_STATE),
        Some(text) => match text.value.strip_prefix("sqlite:").filter(|p| !p.is_empty()) {
            Some(path) => {
                if let Some(problem) = access::state_problem(path) {
                    faults.at(text.span.clone(), format!("agent.state = {:?}: {problem}", text.value));
                }
                dir.join(path)
            }
            None => {
                faults.at(
                    text.span.clone(),
                    format!(
                        "agent.state = {:?}: write it as \"sqlite:\" and a path, such as \"sqlite:ringback.db\"",
                        text.value
                    ),
                );
                PathBuf::new()
            }
        },
    };
    if let Some(d) = s.duration("active_for", MINUTE, 7 * DAY) {
        engine.active_for = d.value;
    }
    let (token, token_problem) = people::general(&mut s, dir, env);
    let people = people::tokens(&mut s, dir, env);
    let has_token = env.is_none() || token.is_some() || !people.is_empty();
    let transport = people::transport(&mut s, dir, listen.as_ref(), has_token);
    let address = |s: &mut Section<'_>, key| {
        let text = s.unchecked::<String>(key);
        let url = s.parse::<Url>(key)?;
        let written = text.unwrap_or_else(|| url.value.to_string());
        let problem = if !matches!(url.value.scheme(), "http" | "https") || url.value.host().is_none() {
            Some("must be http:// or https:// and a host".to_owned())
        } else if let Some(problem) = address::misleads(&written, &url.value) {
            Some(problem)
        } else if address::has_user(&written, &url.value) {
            Some("it stands in every notice, where credentials do not belong: remove what is before the @".to_owned())
        } else if key == "public_url" && (url.value.query().is_some() || url.value.fragment().is_some()) {
            Some("paths are appended to it: remove the ? or # and what follows".to_owned())
        } else {
            None
        };
        if let Some(problem) = problem {
            s.faults().at(url.span, format!("{} = {}: {problem}", s.key(key), address::shown(&written)));
        }
        Some(url.value.as_str().trim_end_matches('/').to_owned())
    };
    let addresses = Addresses { agent: address(&mut s, "public_url"), dashboard: address(&mut s, "dashboard_url") };
    let names = access::names(&mut s, &addresses);
    s.finish();
    let listen = listen.map_or(DEFAULT_LISTEN, |l| l.value);
    Some(AgentConfig {
        listen,
        state,
        token,
        token_problem,
        people,
        transport,
        names,
        addresses,
        commit_cost: Duration::ZERO,
    })
}

fn read_metrics(mut s: Section<'_>) -> PerNumber {
    let choices = [("auto", PerNumber::Auto), ("all", PerNumber::All), ("unhealthy", PerNumber::Unhealthy)];
    let per_number = s.choice("per_number", &choices).unwrap_or_default();
    s.finish();
    per_number
}

fn read_poll(mut s: Section<'_>, engine: &mut engine::EngineSettings) -> Poll {
    let faults = s.faults();
    let default = Poll::default();
    let active = s.duration("active", SECOND, 5 * MINUTE).map_or(default.active, |d| d.value);
    let passive = s.duration("passive", SECOND, HOUR);
    let overlap = s.duration("overlap", MINUTE, 4 * HOUR).map_or(default.overlap, |d| d.value);
    let full = s.duration("full", SECOND, 10 * MINUTE).map_or(default.full, |d| d.value);
    let blind_after = s.duration("blind_after", 5 * SECOND, HOUR);
    engine.settle_grace = s.duration("settle", 5 * SECOND, 10 * MINUTE).map_or(engine.settle_grace, |d| d.value);
    if let Some(p) = passive.as_ref().filter(|p| p.value < active) {
        let text = format!(
            "poll.passive = \"{}\": must not be shorter than poll.active, \"{}\"",
            span_text(p.value),
            span_text(active)
        );
        faults.at(p.span.clone(), text);
    }
    let passive_for = passive.as_ref().map_or(default.passive, |p| p.value);
    // Two polls may fail before we call ourselves blind.
    let least = passive_for * 3;
    match blind_after {
        Some(b) if b.value < least => faults.at(
            b.span.clone(),
            format!(
                "poll.blind_after = \"{}\": must be at least three times poll.passive, \"{}\", or every missed poll is \
                 blindness",
                span_text(b.value),
                span_text(least)
            ),
        ),
        Some(b) => engine.blind_after = b.value,
        None => engine.blind_after = engine.blind_after.max(least),
    }
    s.finish();
    Poll { active, passive: passive_for, overlap, full }
}
