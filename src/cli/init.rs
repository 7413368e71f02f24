//! `ringback init`: the first configuration, from the account's own numbers and the old provider's list.

use std::io::{self, BufRead as _, IsTerminal, Read as _};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Serialize;

use super::challenge::one_time_token;
use super::text::fitted;
use super::{Exit, complain, log, say, silence};
use crate::clock::{Clock, Pace};
use crate::config::provider_list::{self, ProviderList, told};
use crate::config::{self, AlertRules, Config, Env, ProcessEnv};
use crate::core::model::counted::amount;
use crate::core::model::id::{Channel, E164};
use crate::init::account::{self, Inventory};
use crate::init::files::NewFile;
use crate::init::propose::{LeftOut, Proposal, ProposedGroup, ProposedPort, propose};
use crate::init::text::{self, Draft, PeopleBy, Texts, quoted, some_of};

#[derive(Debug, clap::Args)]
pub struct InitArguments {
    /// The configuration to write; lists of numbers and the token are written beside it
    #[arg(long, value_name = "FILE", default_value = "ringback.toml")]
    out: PathBuf,
    /// The old provider's list of numbers, in any writing that a spreadsheet leaves behind
    #[arg(long, value_name = "FILE")]
    from_csv: Option<PathBuf>,
    /// The TwiML Bin that all groups' calls fall back to
    #[arg(long, value_name = "URL", value_parser = webhook)]
    fallback: Option<String>,
    /// The TwiML Bin that all groups' messages fall back to
    #[arg(long, value_name = "URL", value_parser = webhook)]
    sms_fallback: Option<String>,
    /// Let test calls begin, from the unused number that is found
    #[arg(long)]
    probe: bool,
    /// How people are told: its secret is taken from the variable that the file then names
    #[arg(long, value_name = "KIND", value_enum)]
    notify: Option<PeopleBy>,
    /// One address for all of Twilio's hosts: a simulator or a proxy
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// The address may be http:// beyond this machine
    #[arg(long, requires = "base_url")]
    plain_http: bool,
    /// Twilio's edge
    #[arg(long, value_name = "NAME", env = "TWILIO_EDGE")]
    edge: Option<String>,
    /// Twilio's region
    #[arg(long, value_name = "NAME", env = "TWILIO_REGION")]
    region: Option<String>,
    /// Write over files that are there already
    #[arg(long)]
    force: bool,
    /// Print a summary as JSON
    #[arg(long)]
    json: bool,
}

fn webhook(url: &str) -> Result<String, String> {
    config::webhook_problem(url).map_or_else(|| Ok(url.to_owned()), Err)
}

/// The file with the token for commands, beside the configuration.
const TOKEN_FILE: &str = "ringback.token";

/// What shows that an account is meant.
const CREDENTIALS: [&str; 4] = ["TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_API_KEY", "TWILIO_API_SECRET"];

pub fn init(arguments: &InitArguments) -> anyhow::Result<Exit> {
    let out = &arguments.out;
    // Before anything is asked of the account, which may take a minute.
    let mut agreed = Agreed { all: arguments.force, to: Vec::new() };
    if !agreed.may_replace(&[out])? {
        return Ok(Exit::BadUsage);
    }
    if let Some(name) = arguments.notify.and_then(PeopleBy::variable).filter(|n| ProcessEnv.var(n).is_none()) {
        complain(&format!(
            "ringback: {name} is not set: put the address or key of that notifier there, and say it again"
        ));
        return Ok(Exit::BadUsage);
    }
    let list = match &arguments.from_csv {
        None => None,
        Some(path) => match provider_list::read(path) {
            Ok(list) => {
                tell_list(path, &list);
                Some(list)
            }
            Err(bad) => {
                complain(&format!("ringback: {} {bad}", path.display()));
                return Ok(Exit::BadUsage);
            }
        },
    };
    let twilio = twilio_lines(arguments);
    let has_account = CREDENTIALS.iter().any(|name| ProcessEnv.var(name).is_some());
    let (account, inventory) = if has_account {
        let mut settings = config::account(out, &format!("[twilio]\n{twilio}"), &ProcessEnv)?;
        settings.silence = silence::told();
        let account = settings.credentials.account;
        log::start("error")?;
        complain("reading the account");
        let mut progress = |text: &str| complain(&format!("reading the account: {text}"));
        let clock = Clock::system();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        match runtime.block_on(clock.drive(Pace::Free, account::read(settings, &clock, &mut progress))) {
            Ok(inventory) => (Some(account), Some(inventory)),
            Err(why) => {
                complain(&format!("ringback: the account's numbers cannot be read, and nothing was written: {why}"));
                return Ok(Exit::CouldNotRun);
            }
        }
    } else {
        (None, None)
    };
    let token = Token::look(&out.with_file_name(TOKEN_FILE));
    let token_file = (!matches!(token, Token::InEnvironment)).then_some(TOKEN_FILE);
    let proposal = propose(inventory.as_ref(), list.as_ref().map(|l| &*l.numbers));
    let clock = Clock::system();
    let fallback = [arguments.fallback.clone(), arguments.sms_fallback.clone()];
    let draft = Draft {
        account,
        twilio: &twilio,
        token_file,
        fallback: &fallback,
        probe: arguments.probe,
        notify: arguments.notify,
        at: clock.now(),
    };
    let texts = if inventory.is_none() && list.is_none() {
        Texts { configuration: text::template(token_file, arguments.notify), lists: Vec::new() }
    } else {
        text::write(&draft, &proposal, inventory.as_ref())
    };
    let files = files(out, &texts, &token)?;
    if let Some(own) = files.iter().find(|f| arguments.from_csv.as_deref().is_some_and(|csv| is_same(csv, &f.path))) {
        let path = own.path.display();
        complain(&format!("ringback: {path} is the list that was read, and would be written over: name another --out"));
        return Ok(Exit::BadUsage);
    }
    let replaced: Vec<&Path> = files.iter().map(|f| &*f.path).collect();
    if !agreed.may_replace(&replaced)? {
        return Ok(Exit::BadUsage);
    }
    // The configuration last: where it is, all that it names is.
    let mut written = Vec::new();
    for file in &files {
        if let Err(e) = file.write(agreed.has(&file.path)) {
            complain(&format!("ringback: {} cannot be written: {e}", file.path.display()));
            if !written.is_empty() {
                complain(&format!("ringback: already written: {}", written.join(", ")));
            }
            return Ok(Exit::CouldNotRun);
        }
        written.push(file.path.display().to_string());
    }
    // What was just written is read as `run` will read it: a fault now is ours.
    let warnings = match &inventory {
        Some(_) => Config::load(out, &ProcessEnv)?.warnings,
        None => {
            AlertRules::load(out)?;
            Vec::new()
        }
    };
    let summary = Summary::new(out, &proposal, inventory.as_ref(), list.as_ref(), &token, &texts);
    if arguments.json {
        say(&serde_json::to_string(&summary)?)?;
    } else {
        say(&fitted(&summary.text(&fallback, arguments.notify)))?;
    }
    for warning in warnings {
        complain(&format!("ringback: {warning}"));
    }
    let is_whole = summary.not_read.is_empty() && list.is_none_or(|l| l.unread.is_empty());
    Ok(if is_whole { Exit::Done } else { Exit::FoundTrouble })
}

/// Which files may be replaced.
struct Agreed {
    all: bool,
    to: Vec<PathBuf>,
}

impl Agreed {
    fn has(&self, path: &Path) -> bool {
        self.all || self.to.iter().any(|p| p == path)
    }

    /// Asks about those of `paths` that are there, if a person sits here. False: they are to stay.
    fn may_replace(&mut self, paths: &[impl AsRef<Path>]) -> io::Result<bool> {
        let there = |path: &&Path| path.symlink_metadata().is_ok() && !self.has(path);
        let there: Vec<&Path> = paths.iter().map(AsRef::as_ref).filter(there).collect();
        if there.is_empty() {
            return Ok(true);
        }
        let names = there.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ");
        if !io::stdin().is_terminal() {
            complain(&format!("ringback: {names}: there already, and left as it is: --force writes over it"));
            return Ok(false);
        }
        complain(&format!("{names}: there already. Write over it? [y/N]"));
        let mut line = String::new();
        io::stdin().lock().take(1024).read_line(&mut line)?;
        let is_yes = matches!(line.trim(), "y" | "Y" | "yes");
        if is_yes {
            self.to.extend(there.into_iter().map(Path::to_owned));
        } else {
            complain("ringback: nothing was written");
        }
        Ok(is_yes)
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// What was put right in the list and what cannot be read, line by line.
fn tell_list(path: &Path, list: &ProviderList) {
    for note in &list.notes {
        complain(&format!("{}: {note}", path.display()));
    }
    for line in told(path, &list.repaired).into_iter().chain(told(path, &list.unread)) {
        complain(&line);
    }
    complain(&format!(
        "{}: {}: {}, {} repaired, {} not read",
        path.display(),
        amount(list.rows, "row"),
        amount(list.numbers.len(), "number"),
        list.repaired.len(),
        list.unread.len()
    ));
}

/// Further lines of `[twilio]`.
fn twilio_lines(arguments: &InitArguments) -> String {
    let InitArguments { base_url, edge, region, .. } = arguments;
    let keys = [("base_url", base_url), ("edge", edge), ("region", region)];
    let lines = keys.into_iter().filter_map(|(key, value)| Some(format!("{key} = {}\n", quoted(value.as_ref()?))));
    let plain = if arguments.plain_http { "plain_http = true\n" } else { "" };
    lines.collect::<String>() + plain
}

/// What opens the agent to commands.
enum Token {
    InEnvironment,
    /// It was made before.
    There(PathBuf),
    Made(PathBuf),
}

impl Token {
    fn look(path: &Path) -> Token {
        if ProcessEnv.var("RINGBACK_TOKEN").is_some() {
            Token::InEnvironment
        } else if path.symlink_metadata().is_ok() {
            Token::There(path.to_owned())
        } else {
            Token::Made(path.to_owned())
        }
    }

    fn text(&self) -> String {
        match self {
            Token::InEnvironment => "the token for commands is RINGBACK_TOKEN, from the environment".to_owned(),
            Token::There(path) => format!("{}: the token for commands, which was there already", path.display()),
            Token::Made(path) => format!("{}: a new token for commands, for you alone (mode 0600)", path.display()),
        }
    }
}

/// All that is to be written, the configuration last.
fn files(out: &Path, texts: &Texts, token: &Token) -> anyhow::Result<Vec<NewFile>> {
    let mut files = Vec::new();
    if let Token::Made(path) = token {
        let text = one_time_token().context("no random bytes for a token")? + "\n";
        files.push(NewFile { path: path.clone(), text, is_private: true });
    }
    for (name, text) in &texts.lists {
        files.push(NewFile { path: out.with_file_name(name), text: text.clone(), is_private: false });
    }
    files.push(NewFile { path: out.to_owned(), text: texts.configuration.clone(), is_private: false });
    Ok(files)
}

/// What came of it.
#[derive(Serialize)]
struct Summary {
    file: String,
    /// None: the token is in the environment.
    token_file: Option<String>,
    token: String,
    lists: Vec<String>,
    /// None: no account was looked at.
    account_numbers: Option<usize>,
    groups: Vec<GroupLine>,
    probe_candidates: Vec<E164>,
    nobody_answers: Vec<E164>,
    not_listed: Vec<E164>,
    messaging_services: Vec<String>,
    not_read: Vec<String>,
    list: Option<ListLine>,
}

#[derive(Serialize)]
struct GroupLine {
    name: String,
    numbers: usize,
    channels: Vec<Channel>,
    voice: Option<String>,
    messaging: Option<String>,
    is_ported: bool,
}

#[derive(Serialize)]
struct ListLine {
    rows: usize,
    numbers: usize,
    repaired: usize,
    not_read: usize,
    in_account: usize,
    not_seen_in_account: usize,
}

impl Summary {
    fn new(
        out: &Path,
        proposal: &Proposal,
        inventory: Option<&Inventory>,
        list: Option<&ProviderList>,
        token: &Token,
        texts: &Texts,
    ) -> Summary {
        let left = |why| proposal.left.get(&why).cloned().unwrap_or_default();
        let group = |g: &ProposedGroup| GroupLine {
            name: g.name.to_string(),
            numbers: g.numbers.len(),
            channels: Channel::ALL.into_iter().filter(|c| g.channels[c.index()]).collect(),
            voice: g.handlers[0].clone(),
            messaging: g.handlers[1].clone(),
            is_ported: g.port == ProposedPort::Done,
        };
        let services = inventory.map_or(&[][..], |i| &i.services);
        Summary {
            file: out.display().to_string(),
            token_file: match token {
                Token::InEnvironment => None,
                Token::There(path) | Token::Made(path) => Some(path.display().to_string()),
            },
            token: token.text(),
            lists: texts.lists.iter().map(|(name, _)| out.with_file_name(name).display().to_string()).collect(),
            account_numbers: inventory.map(|i| i.numbers.len()),
            groups: proposal.groups.iter().map(group).collect(),
            probe_candidates: proposal.probers.clone(),
            nobody_answers: left(LeftOut::NobodyAnswers),
            not_listed: left(LeftOut::NotListed),
            messaging_services: services.iter().map(|(s, _)| format!("{} {}", s.it.sid, s.name)).collect(),
            not_read: inventory.map_or_else(Vec::new, |i| i.unread.iter().map(|u| u.text.clone()).collect()),
            list: list.map(|l| ListLine {
                rows: l.rows,
                numbers: l.numbers.len(),
                repaired: l.repaired.len(),
                not_read: l.unread.len(),
                in_account: proposal.present,
                not_seen_in_account: proposal.absent,
            }),
        }
    }

    fn text(&self, fallback: &[Option<String>; 2], notify: Option<PeopleBy>) -> String {
        let mut lines = Vec::new();
        let watched: usize = self.groups.iter().map(|g| g.numbers).sum();
        match self.account_numbers {
            Some(all) => lines.push(format!(
                "{}: {} with {}; the account has {all}",
                self.file,
                amount(self.groups.len(), "group"),
                amount(watched, "number")
            )),
            None if self.list.is_some() => lines.push(format!(
                "{}: {} of the list; no account was looked at, for there are no credentials",
                self.file,
                amount(watched, "number")
            )),
            None => lines.push(format!(
                "{}: a template, for there are no credentials: with TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN set, \
                 `ringback init` lists the account's numbers",
                self.file
            )),
        }
        for g in &self.groups {
            let channels = g.channels.iter().map(|c| c.label()).collect::<Vec<_>>().join(" and ");
            let voice = g.voice.iter().map(|h| format!("; calls: {h}"));
            let handlers: String = voice.chain(g.messaging.iter().map(|h| format!("; messages: {h}"))).collect();
            let port = if g.is_ported { "" } else { "; to be ported" };
            lines.push(format!("  {}: {}, {channels}{handlers}{port}", g.name, amount(g.numbers, "number")));
        }
        if let Some(list) = &self.list {
            lines.push(format!(
                "of the list's {}, {} in the account and {} not seen in it",
                amount(list.numbers, "number"),
                list.in_account,
                list.not_seen_in_account
            ));
        }
        for path in &self.lists {
            lines.push(format!("{path}: numbers of a group"));
        }
        lines.push(self.token.clone());
        if !self.nobody_answers.is_empty() {
            lines.push(format!("not watched, for nobody answers them: {}", some_of(&self.nobody_answers)));
        }
        if !self.not_listed.is_empty() {
            lines.push(format!("not watched, for they are not on the list: {}", some_of(&self.not_listed)));
        }
        match self.probe_candidates.first() {
            Some(number) => lines.push(format!("test calls could come from {number}: see [group.probe]")),
            None if self.account_numbers.is_some() => {
                lines.push("no unused number that can call was found, for test calls to come from".to_owned());
            }
            None => {}
        }
        for gap in &self.not_read {
            lines.push(format!("NOT READ: {gap}"));
        }
        let needs = |c: &Channel| self.groups.is_empty() || self.groups.iter().any(|g| g.channels.contains(c));
        let open = Channel::ALL.into_iter().filter(|c| fallback[c.index()].is_none() && needs(c));
        let open: Vec<&str> = open.map(Channel::label).collect();
        if !open.is_empty() {
            lines.push(format!(
                "FILL IN: no fallback for {}: Twilio's API lists no TwiML Bins; copy the address from the console to \
                 where the file says FILL IN",
                open.join(" and ")
            ));
        }
        if notify.is_none() {
            lines.push(
                "FILL IN: nobody is told of anything, which `ringback check` takes for an error: see [[notify]]"
                    .to_owned(),
            );
        }
        lines.join("\n")
    }
}
