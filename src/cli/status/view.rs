//! What is seen, as lines for a terminal: the verdict, each trouble with the answers to six questions, the verdict
//! again.

use std::time::Duration;

use super::seen::{SeenChannel, SeenGroup, SeenStatus, StatusSelection};
use crate::agent::publish::trouble::{FailedOf, HandlerSeen, Trouble, TroubleKind, Wait, WaitsFor};
use crate::cli::desk::Typed;
use crate::cli::text::{Style, TextLine, wrapped, wrapped_command};
use crate::core::detect::ledger::failure_text;
use crate::core::model::code::Code;
use crate::core::model::counted::{amount, some_of};
use crate::core::model::decision::Phase;
use crate::core::model::id::{NumberId, WrittenNumber};
use crate::core::model::time::Time;
use crate::core::model::verdict::Verdict;
use crate::core::notice::{Moment, Severity};

/// Numbers that are spelt out; of more the count is said.
const NUMBERS: usize = 10;

/// The agent publishes every second: what is so much older is not what is so now.
const OLD: Duration = Duration::from_secs(30);

/// How wide the names are.
const LABEL: usize = 11;

/// How it is to be shown.
pub struct StatusView<'a> {
    pub seen: &'a SeenStatus,
    pub asked: &'a StatusSelection,
    /// Every number too, and every number of a trouble.
    pub is_all: bool,
    /// What times are told from.
    pub now: Time,
    /// How old what is seen is.
    pub age: Duration,
    pub width: usize,
    pub typed: &'a Typed,
    /// Commands have the digits by which they are chosen on the screen.
    pub is_numbered: bool,
}

impl StatusView<'_> {
    /// The troubles that concern what is asked about.
    pub fn troubles(&self) -> impl Iterator<Item = &Trouble> {
        self.seen.troubles.iter().filter(|t| self.asked.concerns(t, self.seen))
    }

    /// True if any number that is asked about is on the fallback, whoever put it there.
    pub fn is_any_on_fallback(&self) -> bool {
        let mut numbers = self.seen.groups.iter().flat_map(|g| self.asked.numbers(g));
        numbers.any(|n| n.channels.iter().any(|c| c.is_on_fallback))
    }

    /// Everything, to be read from the top.
    pub fn lines(&self) -> Vec<TextLine> {
        let mut lines = self.verdict();
        let body = self.body();
        // What was not scrolled away needs no second time.
        if !body.is_empty() {
            lines.extend(body);
            lines.push(TextLine::default());
            lines.extend(self.worst());
            lines.extend(self.verdict());
        }
        if !self.is_all {
            let hint = format!("Every number: {}", self.typed.command("ringback status --all"));
            lines.extend(wrapped(&hint, self.width).into_iter().map(|l| TextLine::new(Style::Quiet, l)));
        }
        lines
    }

    /// The title of the worst trouble, for whoever sees the last screen alone.
    fn worst(&self) -> Vec<TextLine> {
        let Some(worst) = self.troubles().find(|t| t.is_trouble()) else { return Vec::new() };
        titled(worst, self.width)
    }

    /// The troubles as they are told: what differs by group and channel alone is told once.
    fn told(&self) -> Vec<Trouble> {
        let mut told: Vec<Trouble> = Vec::new();
        for trouble in self.troubles() {
            let is_alike = |t: &&mut Trouble| {
                t.kind == TroubleKind::FallbackUnchecked
                    && (t.kind, &t.cause, &t.done, &t.next)
                        == (trouble.kind, &trouble.cause, &trouble.done, &trouble.next)
            };
            match (told.iter_mut().find(is_alike), &trouble.group, trouble.channel) {
                (Some(alike), Some(group), Some(channel)) => {
                    alike.title += &format!(", {group} {channel}");
                    alike.group = None;
                }
                _ => told.push(trouble.clone()),
            }
        }
        told
    }

    /// All but the verdict.
    pub fn body(&self) -> Vec<TextLine> {
        let (mut lines, mut commands) = (Vec::new(), 0);
        for trouble in self.told() {
            lines.push(TextLine::default());
            lines.extend(self.trouble(&trouble, &mut commands));
        }
        if self.is_all {
            for group in &self.seen.groups {
                lines.extend(self.group(group));
            }
        } else {
            lines.extend(self.coming());
        }
        lines
    }

    /// The commands that are named, in their order, as they stand in the notices.
    pub fn commands(&self) -> Vec<String> {
        self.told().into_iter().flat_map(|t| t.next).filter_map(|step| step.command).collect()
    }

    /// How many numbers are well, and what is not known.
    pub fn verdict(&self) -> Vec<TextLine> {
        let mut all = 0;
        let (mut trouble, mut healthy, mut unknown, mut waiting) = (0, 0, 0, 0);
        let (mut on_fallback, mut unproven) = (0, 0);
        for number in self.seen.groups.iter().flat_map(|g| self.asked.numbers(g)) {
            all += 1;
            let has = |of: fn(&SeenChannel) -> bool| number.channels.iter().any(of);
            on_fallback += usize::from(has(|c| c.is_on_fallback));
            unproven += usize::from(has(SeenChannel::is_unproven));
            if self.seen.troubles.iter().any(|t| t.is_trouble() && t.is_of(number.id())) {
                trouble += 1;
            } else if number.channels.iter().all(|c| c.phase == Phase::Waiting) {
                waiting += 1;
            } else if has(|c| matches!(c.verdict, Verdict::Unknown | Verdict::Blind)) {
                unknown += 1;
            } else {
                healthy += 1;
            }
        }
        let serious = self.troubles().filter(|t| t.is_trouble()).count();
        let (style, word) = match self.troubles().map(|t| t.severity).max() {
            Some(Severity::Critical) => (Style::Bad, "TROUBLE"),
            Some(Severity::Warning) => (Style::Warning, "TROUBLE"),
            Some(Severity::Info) | None if unknown > 0 => (Style::Warning, "NO TROUBLE SEEN"),
            Some(Severity::Info) | None => (Style::Good, "NO TROUBLE"),
        };
        let numbers = |n: usize| amount(n, "number");
        let mut parts = vec![format!("{}: {trouble} in trouble", numbers(all))];
        let more =
            [(healthy, "healthy"), (unknown, "not known (too few callers)"), (waiting, "waiting for their port")];
        parts.extend(more.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")));
        let swapped = [(on_fallback, "on the fallback"), (unproven, "unproven")];
        parts.extend(swapped.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")));
        let mut text = format!("{word}  {}.", parts.join(", "));
        if serious > 0 {
            text += &format!(" {serious} {}.", if serious == 1 { "trouble" } else { "troubles" });
        }
        match self.troubles().filter(|t| t.waits.iter().any(Wait::is_for_you)).count() {
            0 => {}
            1 => text += " 1 waits for your answer.",
            n => text += &format!(" {n} wait for your answer."),
        }
        let summary = &self.seen.summary;
        let sight = if summary.blind.is_empty() {
            "every log that is needed is read".to_owned()
        } else {
            let blind: Vec<&str> = summary.blind.iter().map(|c| c.label()).collect();
            format!("NOT SEEN: {}", blind.join(", "))
        };
        let old = if self.age > OLD { format!(" ({} OLD)", span(self.age)) } else { String::new() };
        let second = format!("mode {}; {sight}; as of {}{old}", self.seen.mode.label(), clock(self.seen.at));
        let mut lines: Vec<TextLine> = wrapped(&text, self.width).into_iter().map(TextLine::plain).collect();
        if let Some(first) = lines.first_mut()
            && let Some(rest) = first.0.first().and_then(|(_, text)| text.strip_prefix(word)).map(str::to_owned)
        {
            *first = TextLine::new(style, word).and(Style::Plain, rest);
        }
        lines.extend(wrapped(&second, self.width).into_iter().map(|l| TextLine::new(Style::Quiet, l)));
        lines
    }

    /// One trouble, its title first.
    fn trouble(&self, t: &Trouble, commands: &mut usize) -> Vec<TextLine> {
        let mut lines = titled(t, self.width);
        let mut add = |name: &str, paragraphs: Vec<String>| lines.extend(self.row(name, &paragraphs));
        add("Numbers", self.numbers(t).into_iter().collect());
        add("Since", t.since.iter().map(|m| self.since(m)).collect());
        add(t.words().label, callers(t).into_iter().collect());
        add("Tests", t.tests.map(tests).into_iter().collect());
        let reasons = t.reasons.iter().map(|r| {
            let code = r.code.map_or(String::new(), |code| match &r.meaning {
                Some(meaning) => format!(" ({code}: {meaning})"),
                None => format!(" ({code})"),
            });
            format!("{}: {}{code}", t.words().count(r.callers), r.text)
        });
        add("Why", t.cause.iter().cloned().chain(reasons).collect());
        add("Handler", t.handlers.iter().map(|h| handler(h, t.numbers.len())).collect());
        add("Ringback", t.done.clone());
        add("Proven", t.proof.clone());
        add(
            "Held",
            t.holds
                .iter()
                .map(|h| format!("{} by {} until {}: {}", h.scope, h.author, self.until(h.until), h.reason))
                .collect(),
        );
        add("Waits", t.waits.iter().map(|w| self.wait(w)).collect());
        let room = self.width.saturating_sub(LABEL + 4);
        let mut first = true;
        for step in &t.next {
            let name = if std::mem::take(&mut first) { "Next" } else { "" };
            let text = match &step.command {
                Some(_) => format!("{}:", step.text.trim_end_matches('.')),
                None => step.text.clone(),
            };
            lines.extend(self.row(name, &[text]));
            let Some(command) = &step.command else { continue };
            *commands += 1;
            let digit = Some(*commands).filter(|n| self.is_numbered && *n < 10);
            let lead = digit.map_or_else(|| "$ ".to_owned(), |n| format!("{n} $ "));
            for (i, part) in wrapped_command(&self.typed.command(command), room).into_iter().enumerate() {
                let lead = if i == 0 { lead.clone() } else { " ".repeat(lead.len()) };
                lines.push(TextLine::plain(" ".repeat(LABEL)).and(Style::Quiet, lead).and(Style::Command, part));
            }
        }
        lines
    }

    fn row(&self, name: &str, paragraphs: &[String]) -> Vec<TextLine> {
        let label = LABEL;
        let texts = paragraphs.iter().flat_map(|p| p.lines()).filter(|p| !p.trim().is_empty());
        let lines = texts.flat_map(|p| wrapped(p, self.width.saturating_sub(label)));
        let named = |(i, text)| {
            let name = if i == 0 { name } else { "" };
            TextLine::new(Style::Quiet, format!("  {name:<w$}", w = label - 2)).and(Style::Plain, text)
        };
        lines.enumerate().map(named).collect()
    }

    fn numbers(&self, t: &Trouble) -> Option<String> {
        if t.numbers.is_empty() {
            return t.group.as_ref().map(|g| format!("group {g}"));
        }
        let mut numbers: Vec<NumberId> = t.numbers.clone();
        numbers.sort_unstable();
        let accounts = numbers.iter().map(|n| n.account).collect::<std::collections::BTreeSet<_>>().len();
        let name = |n: &NumberId| {
            if accounts > 1 { WrittenNumber::from(*n).to_string() } else { n.e164.to_string() }
        };
        let most = if self.is_all { usize::MAX } else { NUMBERS };
        let text = some_of(&numbers, most, name);
        let of = match &t.group {
            Some(group) if t.of_numbers == numbers.len() => format!(" (all of {group})"),
            Some(group) if t.of_numbers > 0 => format!(" ({} of {group}'s {})", numbers.len(), t.of_numbers),
            Some(_) | None => String::new(),
        };
        Some(text + &of)
    }

    fn since(&self, moment: &Moment) -> String {
        // The day is said where it is another.
        let day = self.now.to_timestamp().strftime("%Y-%m-%d ").to_string();
        let text = moment.text.strip_prefix(&day).unwrap_or(&moment.text);
        format!("{text}, {} ago", span(self.now.since(moment.at)))
    }

    fn until(&self, at: Time) -> String {
        let left = at.since(self.now);
        let day = |at: Time| at.to_timestamp().strftime("%Y-%m-%d").to_string();
        let date = if day(at) == day(self.now) { String::new() } else { format!("{} ", day(at)) };
        format!(
            "{date}{} ({})",
            clock(at),
            if left.is_zero() { "over".to_owned() } else { format!("in {}", span(left)) }
        )
    }

    fn wait(&self, wait: &Wait) -> String {
        let until = wait.until.map(|at| self.until(at));
        match (wait.whom, until) {
            (WaitsFor::Approval, Some(until)) => format!("for your approval, until {until}; then it lapses"),
            (WaitsFor::Approval, None) => "for your approval, without an end".to_owned(),
            (WaitsFor::Veto, Some(until)) => format!("it is done at {until}, unless you hold it"),
            (WaitsFor::Veto, None) => "it is done soon, unless you hold it".to_owned(),
            (WaitsFor::HoldEnd, Some(until)) => format!("for the end of the hold, {until}"),
            (WaitsFor::HoldEnd, None) => "for the end of the hold".to_owned(),
            (WaitsFor::Callers, Some(until)) => format!("for callers or test calls to be served, until {until}"),
            (WaitsFor::Callers, None) => "for callers or test calls to be served".to_owned(),
            (WaitsFor::Ringback, Some(until)) => format!("Ringback tries again at {until}"),
            (WaitsFor::Ringback, None) => "Ringback tries again by itself".to_owned(),
        }
    }

    /// Ports that are due.
    fn coming(&self) -> Vec<TextLine> {
        let due = self.seen.groups.iter().filter(|g| self.asked.numbers(g).next().is_some());
        let due = due.filter_map(|g| g.port.as_ref().filter(|p| p.due > 0).map(|p| (g, p)));
        let texts = due.map(|(g, p)| format!("{}: ports {}, {} to come", g.group, p.countdown, p.due));
        let lines: Vec<TextLine> = texts.flat_map(|t| wrapped(&t, self.width)).map(TextLine::plain).collect();
        if lines.is_empty() { lines } else { std::iter::once(TextLine::default()).chain(lines).collect() }
    }

    /// Every number of a group that is asked about, in a line for each channel.
    fn group(&self, group: &SeenGroup) -> Vec<TextLine> {
        let mut lines = Vec::new();
        for number in self.asked.numbers(group) {
            for (i, c) in number.channels.iter().enumerate() {
                let name = if i == 0 { number.number.to_string() } else { String::new() };
                let state = match c.rollback_state.as_str() {
                    "idle" => String::new(),
                    state => format!(" {}", state.replace('_', " ")),
                };
                // What does not fit beside it stands below.
                let is_narrow = self.width < 60;
                let text = if is_narrow {
                    format!("{name:<14} {:<9} {:<7}{state}", c.channel.label(), c.verdict.label())
                } else {
                    format!(
                        "{name:<14} {:<9} {:<8} {:<7}{state}",
                        c.channel.label(),
                        c.phase.label(),
                        c.verdict.label()
                    )
                };
                let style = match c.verdict {
                    Verdict::Failing => Style::Bad,
                    Verdict::Suspect | Verdict::Silent | Verdict::Blind => Style::Warning,
                    Verdict::Healthy => Style::Good,
                    Verdict::Unknown => Style::Plain,
                };
                let room = self.width.saturating_sub(text.chars().count() + 4);
                let handler = match (i, number.label.as_str()) {
                    (0, label) if !label.is_empty() => format!("{}  ({label})", c.handler()),
                    _ => c.handler(),
                };
                if handler.chars().count() <= room {
                    lines.push(TextLine::new(style, format!("  {text}")).and(Style::Quiet, format!("  {handler}")));
                } else {
                    lines.push(TextLine::new(style, format!("  {text}")));
                    let lead = if is_narrow { 4 } else { 17 };
                    let parts = wrapped(&handler, self.width.saturating_sub(lead));
                    lines.extend(parts.into_iter().map(|p| TextLine::new(Style::Quiet, format!("{:lead$}{p}", ""))));
                }
            }
        }
        if lines.is_empty() {
            return lines;
        }
        let port = group.port.as_ref().filter(|p| p.due > 0);
        let port = port.map_or(String::new(), |p| format!(": ports {}, {} to come", p.countdown, p.due));
        let mut head = vec![TextLine::default(), TextLine::new(Style::Strong, format!("{}{port}", group.group))];
        head.extend(lines);
        head
    }
}

/// The title of a trouble, with how much it matters.
fn titled(t: &Trouble, width: usize) -> Vec<TextLine> {
    let (style, flag) = match t.severity {
        Severity::Critical => (Style::Bad, "CRITICAL"),
        Severity::Warning => (Style::Warning, "WARNING"),
        Severity::Info => (Style::Strong, "INFO"),
    };
    let title = match t.decision {
        Some(id) => format!("{flag} {id} {}", t.title),
        None => format!("{flag} {}", t.title),
    };
    let mut lines: Vec<TextLine> =
        wrapped(&title, width).into_iter().map(|l| TextLine::new(Style::Strong, l)).collect();
    if let Some(first) = lines.first_mut()
        && let Some(rest) = first.0.first().and_then(|(_, text)| text.strip_prefix(flag)).map(str::to_owned)
    {
        *first = TextLine::new(style, flag).and(Style::Strong, rest);
    }
    lines
}

fn callers(t: &Trouble) -> Option<String> {
    let failed = |c: FailedOf| format!("{} of {} failed", c.failing, c.of);
    match (t.callers, t.callers_now) {
        (Some(then), Some(now)) => Some(format!("{} when it was decided; {} by now", failed(then), failed(now))),
        (Some(then), None) => Some(failed(then)),
        (None, _) => t.uncounted.clone(),
    }
}

fn tests(tests: FailedOf) -> String {
    format!("{} of {} test calls failed (they are in no count of callers)", tests.failing, tests.of)
}

fn handler(h: &HandlerSeen, all: usize) -> String {
    let whose = if h.numbers < all { format!(" ({} of these numbers)", h.numbers) } else { String::new() };
    let which = if h.is_fallback { "the fallback " } else { "" };
    let failed = h
        .code
        .zip(h.failed_at)
        .map_or(String::new(), |(code, at)| format!(" {} at {}", failure_text(h.http_status, Code(code)), clock(at)));
    format!("{which}{}{failed}{whose}", h.handler)
}

fn clock(at: Time) -> String {
    at.to_timestamp().strftime("%H:%M:%S UTC").to_string()
}

/// `40 s`, `12 min`, `3 h 5 min`, `2 days`.
pub fn span(span: Duration) -> String {
    let s = span.as_secs();
    match s {
        0..=89 => format!("{s} s"),
        90..=5399 => format!("{} min", (s + 30) / 60),
        5400..=172_799 if (s / 60).is_multiple_of(60) => format!("{} h", s / 3600),
        5400..=172_799 => format!("{} h {} min", s / 3600, (s / 60) % 60),
        _ => format!("{} days", s / 86_400),
    }
}
