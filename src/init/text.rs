//! The file itself: what was found, what it means, and what is still to be filled in.

use std::fmt::Write as _;

use super::account::{Inventory, Unread};
use super::propose::{LeftOut, Proposal, ProposedGroup, ProposedPort};
use crate::config::provider_list::ListedNumber;
use crate::core::model::counted::{self, amount, cut_at};
use crate::core::model::facts::{BIN_HOST, BIN_PATH};
use crate::core::model::foreign::line;
use crate::core::model::id::{AccountSid, Channel, E164};
use crate::core::model::roster::UNNAMED_ACCOUNT;
use crate::core::model::time::Time;

/// What a person has said of it.
#[derive(Debug)]
pub struct Draft<'a> {
    /// None: there were no credentials, and nothing of an account is known.
    pub account: Option<AccountSid>,
    /// Further lines of `[twilio]`, as they were given.
    pub twilio: &'a str,
    /// The file with the token for writes, if it is not in the environment.
    pub token_file: Option<&'a str>,
    /// Where rollbacks point, by channel.
    pub fallback: &'a [Option<String>; 2],
    /// Test calls may begin.
    pub probe: bool,
    /// How people are told, if that is known.
    pub notify: Option<PeopleBy>,
    pub at: Time,
}

/// Ways to people that need one secret at the most. The others have addresses of their own, and a person writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum PeopleBy {
    Desktop,
    Slack,
    Teams,
    Pagerduty,
    Opsgenie,
}

impl PeopleBy {
    const fn kind(self) -> &'static str {
        match self {
            PeopleBy::Desktop => "desktop",
            PeopleBy::Slack => "slack",
            PeopleBy::Teams => "teams",
            PeopleBy::Pagerduty => "pagerduty",
            PeopleBy::Opsgenie => "opsgenie",
        }
    }

    /// The key of the file that names the variable, and the variable in which the secret is.
    const fn secret(self) -> Option<(&'static str, &'static str)> {
        match self {
            PeopleBy::Desktop => None,
            PeopleBy::Slack => Some(("url_env", "SLACK_WEBHOOK")),
            PeopleBy::Teams => Some(("url_env", "TEAMS_WEBHOOK")),
            PeopleBy::Pagerduty => Some(("key_env", "PAGERDUTY_KEY")),
            PeopleBy::Opsgenie => Some(("key_env", "OPSGENIE_KEY")),
        }
    }

    /// The variable in which its secret is; none if it has none.
    pub fn variable(self) -> Option<&'static str> {
        self.secret().map(|(_, variable)| variable)
    }
}

/// `[[notify]]`, as far as it is known.
fn notify_section(notify: Option<PeopleBy>) -> String {
    let try_it = "Try it with `ringback notify --test ops`";
    let Some(by) = notify else {
        return format!(
            "# FILL IN: a way to people that does not pass through Twilio. {try_it}.\n# [[notify]]\n# name    = \"ops\"\n\
             # kind    = \"slack\"          # or teams, pagerduty, opsgenie, alertmanager, email, webhook, command, \
             desktop\n# url_env = \"SLACK_WEBHOOK\"\n"
        );
    };
    let secret = by.secret().map_or_else(String::new, |(key, variable)| format!("{key} = \"{variable}\"\n"));
    format!("# {try_it}.\n[[notify]]\nname    = \"ops\"\nkind    = \"{}\"\n{secret}", by.kind())
}

/// What is to be written.
#[derive(Debug)]
pub struct Texts {
    pub configuration: String,
    /// Lists of numbers beside it, by name.
    pub lists: Vec<(String, String)>,
}

/// So many numbers are listed in the configuration itself; more are in a file beside it.
const MOST_INLINE: usize = 50;

/// So many of a list are named in a comment.
const NAMED: usize = 10;

/// Stands in for a bin that is not known.
fn unknown_bin() -> String {
    format!("https://{BIN_HOST}{BIN_PATH}{}", "x".repeat(32))
}

/// A configuration without an account, to be filled in.
const TEMPLATE: &str = include_str!("template.toml");

/// The name of the list beside the configuration in which a group's numbers are.
pub fn list_name(group: &ProposedGroup) -> String {
    format!("numbers-{}.csv", group.name)
}

/// Writes the configuration of `proposal`. `unread`: what is not known of the account.
pub fn write(draft: &Draft<'_>, proposal: &Proposal, inventory: Option<&Inventory>) -> Texts {
    let mut lists = Vec::new();
    let mut out = head(draft, proposal, inventory);
    twilio_section(&mut out, draft);
    agent_section(&mut out, draft);
    if let Some(inventory) = inventory {
        services(&mut out, inventory);
    }
    left_out(&mut out, proposal);
    for group in &proposal.groups {
        if group.numbers.len() > MOST_INLINE {
            lists.push((list_name(group), csv(&group.numbers)));
        }
        group_section(&mut out, draft, group, proposal.probers.first().copied());
    }
    if proposal.groups.is_empty() {
        out += "\n# FILL IN: no number of the account is answered by anybody, so there is no group yet.\n# [[group]]\n\
                # name    = \"support\"\n# numbers = [\"+12125550100\"]\n";
    }
    Texts { configuration: out, lists }
}

/// The template for those who have no account at hand.
pub fn template(token_file: Option<&str>, notify: Option<PeopleBy>) -> String {
    let token = token_line(token_file);
    TEMPLATE
        .replace("{notify}\n", &notify_section(notify))
        .replace("{account}", &UNNAMED_ACCOUNT.to_string())
        .replace("{token}", &token)
        .replace("{bin}", &unknown_bin())
}

fn head(draft: &Draft<'_>, proposal: &Proposal, inventory: Option<&Inventory>) -> String {
    let day = draft.at.to_timestamp().strftime("%Y-%m-%d").to_string();
    let mut out = format!("# Written by `ringback init` on {day}");
    match inventory {
        Some(inventory) => {
            let _ = writeln!(out, " from an account with {}.", amount(inventory.numbers.len(), "number"));
        }
        None => out += " from a list of numbers; no account was looked at.\n",
    }
    out += "# Every key is explained by `ringback docs configuration`. What is still to be done is marked FILL IN.\n";
    let unread: &[Unread] = inventory.map_or(&[], |i| &i.unread);
    if !unread.is_empty() {
        out += "#\n# NOT READ, so that this file may lack something:\n";
        for gap in unread {
            let _ = writeln!(out, "# * {}", line(&gap.text, 1000));
        }
    }
    if proposal.present + proposal.absent > 0 {
        let absent = match inventory {
            Some(inventory) if inventory.is_whole() => "not in it yet",
            Some(_) => "not in what was read of it",
            None => "of which nothing is known here",
        };
        let _ = writeln!(
            out,
            "#\n# Of the list: {} in the account, {} {absent}.",
            amount(proposal.present, "number"),
            proposal.absent
        );
    }
    out
}

fn twilio_section(out: &mut String, draft: &Draft<'_>) {
    out.push_str("\n[twilio]\n");
    let account = draft.account.unwrap_or(UNNAMED_ACCOUNT);
    if draft.account.is_none() {
        out.push_str("# FILL IN: your account's SID. What stands here is a placeholder, which `run` refuses.\n");
    }
    let _ = writeln!(out, "account_sid = \"{account}\"");
    out.push_str(draft.twilio);
    out.push_str(
        "# The secret is in the environment and nowhere else: TWILIO_AUTH_TOKEN, or TWILIO_API_KEY and \
         TWILIO_API_SECRET.\n",
    );
}

fn token_line(token_file: Option<&str>) -> String {
    match token_file {
        Some(file) => {
            format!("token_file = {}   # what opens the agent to commands; keep it to yourself", quoted(file))
        }
        None => "# What opens the agent to commands is in the environment: RINGBACK_TOKEN.".to_owned(),
    }
}

fn agent_section(out: &mut String, draft: &Draft<'_>) {
    let _ = write!(
        out,
        "\n[agent]\nmode   = \"observe\"              # decides and records, writes nothing; then `ringback mode confirm`, \
         or auto\nlisten = \"127.0.0.1:9466\"       # metrics, status, commands\nstate  = \"sqlite:ringback.db\"   # what \
         was seen, decided and done: back it up\n{}\n\n{}",
        token_line(draft.token_file),
        notify_section(draft.notify)
    );
}

fn services(out: &mut String, inventory: &Inventory) {
    if inventory.services.is_empty() {
        return;
    }
    out.push_str(
        "\n# Messaging Services of the account. Who is in one is answered by it, unless it defers to the number.\n",
    );
    let (named, more) = inventory.services.split_at(cut_at(inventory.services.len(), NAMED));
    for (service, numbers) in named {
        let does = match (service.it.defers_to_number, service.it.inbound_url.is_some()) {
            (true, _) => "defers to the number",
            (false, true) => "answers by its own webhook",
            (false, false) => "HAS NO WEBHOOK: messages to its numbers vanish without a trace",
        };
        let numbers = amount(*numbers, "number");
        let _ = writeln!(out, "# * {} {}: {numbers}; {does}", service.it.sid, line(service.name.as_str(), 100));
    }
    if !more.is_empty() {
        let _ = writeln!(out, "# * and {} more", more.len());
    }
}

fn left_out(out: &mut String, proposal: &Proposal) {
    for (why, numbers) in &proposal.left {
        let said = match why {
            LeftOut::NobodyAnswers => {
                "Not watched, for nobody answers them (no URL, or Twilio's demo): put them into a group if they are to \
                 be ported or published."
            }
            LeftOut::NotListed => "Not watched, for they are not on the list of what is to be ported.",
        };
        let _ = writeln!(out, "\n# {said}\n# {}", some_of(numbers));
    }
}

fn group_section(out: &mut String, draft: &Draft<'_>, group: &ProposedGroup, prober: Option<E164>) {
    let on: Vec<Channel> = Channel::ALL.into_iter().filter(|c| group.channels[c.index()]).collect();
    let _ = writeln!(out, "\n# {}.", amount(group.numbers.len(), "number"));
    for channel in Channel::ALL {
        let (what, now) = match channel {
            Channel::Voice => ("Calls", &group.handlers[0]),
            Channel::Messaging => ("Messages", &group.handlers[1]),
        };
        let _ = match (now, group.port) {
            (Some(handler), _) => writeln!(out, "# {what} are answered by {}.", line(handler, 300)),
            (None, ProposedPort::Absent) => writeln!(out, "# {what}: not known before the number is in the account."),
            (None, ProposedPort::Appeared | ProposedPort::Done) => writeln!(out, "# {what}: nobody answers them here."),
        };
    }
    let _ = writeln!(out, "[[group]]\nname     = \"{}\"", group.name);
    if group.numbers.len() > MOST_INLINE {
        let _ = writeln!(out, "numbers_file = \"{}\"", list_name(group));
    } else {
        out.push_str("numbers  = [\n");
        for number in &group.numbers {
            let label = line(&number.label, 100);
            let label = if label.is_empty() { String::new() } else { format!("   # {label}") };
            let _ = writeln!(out, "  \"{}\",{label}", number.number);
        }
        out.push_str("]\n");
    }
    let channels: Vec<String> = on.iter().map(|c| format!("\"{c}\"")).collect();
    let _ = writeln!(out, "channels = [{}]", channels.join(", "));
    match group.port {
        ProposedPort::Done => {}
        ProposedPort::Appeared => out.push_str(
            "port_at  = \"unknown\"   # in the account a day or two before its port; ends with the first caller, \
             `ringback ported`, or a date here\n",
        ),
        ProposedPort::Absent => out.push_str(
            "port_at  = \"unknown\"   # ends with the first caller, `ringback ported`, or a date here: \
             \"2026-11-21T09:00:00-05:00\"\n",
        ),
    }
    out.push_str("# timezone = \"America/New_York\"   # opening hours: what silence means\n");
    fallback_section(out, draft, &on);
    probe_section(out, draft.probe, prober);
}

fn probe_section(out: &mut String, is_wanted: bool, prober: Option<E164>) {
    match (is_wanted, prober) {
        (true, Some(number)) => {
            let _ = writeln!(out, "[group.probe]\nfrom = \"{number}\"   # can call, and nobody answers it");
        }
        (false, Some(number)) => {
            let _ = writeln!(
                out,
                "# Test calls cost money and reach your handler: they begin when these lines are no comments any more.\n\
                 # [group.probe]\n# from = \"{number}\"   # can call, and nobody answers it"
            );
        }
        (_, None) => out.push_str(
            "# FILL IN: no unused number that can call was found, for test calls to come from: buy one.\n\
             # [group.probe]\n# from = \"+1…\"\n",
        ),
    }
}

fn fallback_section(out: &mut String, draft: &Draft<'_>, on: &[Channel]) {
    let key = |channel: &Channel| match channel {
        Channel::Voice => "voice_url",
        Channel::Messaging => "sms_url",
    };
    let given = |channel: &Channel| draft.fallback[channel.index()].as_deref();
    let (known, unknown): (Vec<Channel>, Vec<Channel>) = on.iter().partition(|c| given(c).is_some());
    if !unknown.is_empty() {
        let what: Vec<&str> = unknown.iter().map(|c| c.label()).collect();
        let _ = writeln!(
            out,
            "# FILL IN: without a fallback for {} a rollback has nowhere to go. Twilio's API lists no TwiML Bins: copy \
             the address from the console.",
            what.join(" and ")
        );
    }
    if known.is_empty() {
        out.push_str("# [group.fallback]\n");
    } else {
        out.push_str("[group.fallback]\n");
    }
    for channel in &known {
        let _ = writeln!(out, "{} = {}", key(channel), quoted(given(channel).unwrap_or_default()));
    }
    for channel in &unknown {
        let _ = writeln!(out, "# {} = \"{}\"", key(channel), unknown_bin());
    }
}

/// The first of them, and how many more.
pub fn some_of(numbers: &[E164]) -> String {
    counted::some_of(numbers, NAMED, ToString::to_string)
}

/// A text as TOML has it.
pub fn quoted(text: &str) -> String {
    // JSON's writing of a text is TOML's too.
    serde_json::Value::from(text).to_string()
}

/// A list of numbers as `numbers_file` takes it.
fn csv(numbers: &[ListedNumber]) -> String {
    let mut out = "number,label\n".to_owned();
    for number in numbers {
        let _ = match &*number.label {
            "" => writeln!(out, "{},", number.number),
            label => writeln!(out, "{},\"{}\"", number.number, label.replace('"', "\"\"")),
        };
    }
    out
}
