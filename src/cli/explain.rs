//! `ringback explain`: the story of one decision or order, from what is stored, and whether it still follows.

use std::path::PathBuf;

use super::desk::{DEFAULT_CONFIG, load};
use super::status::view::span;
use super::text::{Shape, Style, TextLine, wrapped};
use super::{Exit, complain, say};
use crate::agent::publish::explain::{CurrentRules, DecisionHistory, Explanation, RecordedEntry};
use crate::core::explain::Recomputed;
use crate::core::model::decision::Decision;
use crate::core::model::order::{By, Operation, Order};
use crate::core::model::roster::Roster;
use crate::core::model::time::Time;
use crate::core::notice::advice::meaning;
use crate::core::rollback::entry::Entry;
use crate::core::rollback::sentence::{Actor, decided, ordered};
use crate::store::Store;

#[derive(Debug, clap::Args)]
pub struct ExplainArguments {
    /// The decision or order, such as D12
    id: String,
    /// The journal's records too, each with its place and its hash
    #[arg(long)]
    records: bool,
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn explain(arguments: &ExplainArguments) -> anyhow::Result<Exit> {
    let desk = load(&arguments.config)?;
    let id = match arguments.id.parse() {
        Ok(id) => id,
        Err(bad) => {
            complain(&format!("ringback: {bad}"));
            return Ok(Exit::BadUsage);
        }
    };
    if desk.account.is_none() {
        complain("ringback: name the account, which is no secret: twilio.account_sid, or TWILIO_ACCOUNT_SID");
        return Ok(Exit::BadUsage);
    }
    let found = tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let store = Store::open_read_only(&desk.agent.state).await?;
        let rules = &desk.rules;
        let current = CurrentRules { roster: &rules.roster, engine: &rules.engine, rollback: &rules.rollback };
        DecisionHistory::new(store, current, desk.poll.overlap).explain(id).await
    })?;
    let Some(explanation) = found else {
        complain(&format!("ringback: {id} is not in the journal"));
        return Ok(Exit::FoundTrouble);
    };
    if arguments.json {
        say(&serde_json::to_string(&explanation)?)?;
    } else {
        let shape = Shape::of_output();
        let story = Story { explanation: &explanation, roster: &desk.rules.roster, width: shape.width };
        let mut lines = story.lines();
        if arguments.records {
            lines.extend(story.records()?);
        }
        say(&lines.iter().map(|l| l.printed(shape.is_coloured)).collect::<Vec<_>>().join("\n"))?;
    }
    let holds =
        matches!(explanation.recomputed, None | Some(Recomputed::Follows | Recomputed::NotKept { is_enough: true }));
    Ok(if holds { Exit::Done } else { Exit::FoundTrouble })
}

/// The story as a person reads it.
struct Story<'a> {
    explanation: &'a Explanation,
    roster: &'a Roster,
    width: usize,
}

/// Numbers that are named in one line.
const NAMED: usize = 3;

/// Steps of one kind that are told one by one; of more numbers the count is said.
const STEPS: usize = 12;

impl Story<'_> {
    fn entries(&self) -> impl Iterator<Item = &RecordedEntry> {
        self.explanation.entries.iter()
    }

    fn operation(&self) -> Option<Operation> {
        self.entries().find_map(|r| if let Entry::Order(order) = &r.entry { Some(order.operation) } else { None })
    }

    fn lines(&self) -> Vec<TextLine> {
        let mut lines = Vec::new();
        let decision = self.entries().find_map(|r| if let Entry::Decision(d) = &r.entry { Some(d) } else { None });
        let order = self.entries().find_map(|r| if let Entry::Order(order) = &r.entry { Some(order) } else { None });
        if let Some(decision) = decision {
            lines.extend(self.title(&format!("{}: {}", decision.id, decided(decision))));
            lines.extend(self.met(decision));
            lines.extend(self.evidence(decision));
        } else if let Some(order) = order {
            let who = match &order.by {
                By::Operator(author) => author.to_string(),
                By::Detector => "Ringback itself".to_owned(),
            };
            lines.extend(self.title(&format!("{}: {} (asked by {who})", order.id, ordered(order))));
        }
        lines.extend(self.approvals(order));
        lines.extend(self.steps());
        lines.extend(self.recomputed());
        lines
    }

    fn title(&self, text: &str) -> Vec<TextLine> {
        wrapped(text, self.width).into_iter().map(|l| TextLine::new(Style::Strong, l)).collect()
    }

    /// A heading with what stands under it; nothing if that is nothing.
    fn part(&self, heading: &str, texts: &[String]) -> Vec<TextLine> {
        if texts.is_empty() {
            return Vec::new();
        }
        let mut lines = vec![TextLine::default(), TextLine::new(Style::Quiet, heading)];
        for text in texts {
            let parts = wrapped(text, self.width.saturating_sub(4));
            lines.extend(
                parts
                    .into_iter()
                    .enumerate()
                    .map(|(i, part)| TextLine::plain(format!("{}{part}", if i == 0 { "  " } else { "    " }))),
            );
        }
        lines
    }

    /// What callers met.
    fn met(&self, decision: &Decision) -> Vec<TextLine> {
        let (e, words) = (&decision.evidence, decision.evidence.counted.words(decision.channel));
        let since = e.since.map_or(String::new(), |at| {
            format!(" since {}, {} before it was decided", clock(at), span(decision.at.since(at)))
        });
        let mut texts = Vec::new();
        if e.callers > 0 || e.failing > 0 {
            texts.push(format!("{} of {} {} failed{since}", e.failing, e.callers.max(e.failing), words.many));
        }
        if e.failing_numbers > 0 {
            texts.push(format!("on {} of {} numbers", e.failing_numbers, e.numbers));
        }
        if e.probes > 0 {
            texts.push(format!(
                "{} of {} test calls failed, which are in no count of callers",
                e.failing_probes, e.probes
            ));
        }
        texts.extend(e.reasons.iter().map(|r| {
            let code = r.code.map_or(String::new(), |c| format!(" ({c}: {})", meaning(c)));
            format!("{}: {}{code}", words.count(r.callers), r.reason.text())
        }));
        if e.unsettled > 0 {
            texts.push(format!("of {} more it was not known yet what became of them", e.unsettled));
        }
        let samples: Vec<String> = e.samples.iter().map(|s| crate::core::notice::Sample::new(*s).sid).collect();
        if !samples.is_empty() {
            texts.push(format!("such as {}", samples.join(", ")));
        }
        if texts.is_empty() {
            texts.push("nobody is counted: the rule is about something else than callers".to_owned());
        }
        self.part("What callers met", &texts)
    }

    /// How strong the evidence is.
    fn evidence(&self, decision: &Decision) -> Vec<TextLine> {
        let mut texts = vec![format!("the rule that was met: {}", decision.rule)];
        if let Some(score) = decision.evidence.score {
            texts.push(format!("{} ({:.1} of {:.1} in nats)", score.text(), score.statistic, score.threshold));
        }
        self.part("How sure that was", &texts)
    }

    /// What each guard answered, and who said yes.
    fn approvals(&self, order: Option<&Order>) -> Vec<TextLine> {
        let is_it = |e: &Entry| {
            matches!(e, Entry::Refused { .. } | Entry::Asked { .. } | Entry::Approved { .. } | Entry::Closed { .. })
        };
        let mut texts: Vec<String> = self.entries().filter(|r| is_it(&r.entry)).map(|r| self.step(r)).collect();
        let was_asked = !texts.is_empty();
        if let Some(Order { by: By::Detector, operation: Operation::Rollback, .. }) = order {
            texts.push(if was_asked {
                "then no guard objected".to_owned()
            } else {
                "no guard objected: mode, hold, phase, sight, fallback, cap and all others; nobody was asked".to_owned()
            });
        }
        self.part("What the guards said, and who approved", &texts)
    }

    fn step(&self, record: &RecordedEntry) -> String {
        let sentence = record.entry.sentence(record.at, self.operation(), self.roster);
        let who = if sentence.who == Actor::Ringback { String::new() } else { format!("{}: ", sentence.who) };
        format!("{} {who}{}", clock(record.at), sentence.line(NAMED, self.roster))
    }

    /// What was done, each step with its time.
    fn steps(&self) -> Vec<TextLine> {
        let is_step = |e: &Entry| {
            matches!(
                e,
                Entry::Order(_)
                    | Entry::Stage { .. }
                    | Entry::Snapshot { .. }
                    | Entry::Checked { .. }
                    | Entry::Intent { .. }
                    | Entry::Written { .. }
                    | Entry::Result { .. }
            )
        };
        let all: Vec<&RecordedEntry> = self.entries().filter(|r| is_step(&r.entry)).collect();
        let mut texts = Vec::new();
        if all.len() <= STEPS {
            texts.extend(all.iter().map(|r| self.step(r)));
        } else {
            // Of many numbers: each kind of step once, with when it was first and last.
            let mut kinds: Vec<(String, Time, Time, usize, String)> = Vec::new();
            for record in all {
                let kind = if let Entry::Result { result, .. } = &record.entry {
                    result.label().to_owned()
                } else {
                    record.entry.kind().to_owned()
                };
                match kinds.iter_mut().find(|(known, ..)| *known == kind) {
                    Some((_, _, last, count, _)) => (*last, *count) = (record.at, *count + 1),
                    None => kinds.push((kind, record.at, record.at, 1, self.step(record))),
                }
            }
            texts.extend(kinds.into_iter().map(|(kind, _, last, count, first)| match count {
                1 => first,
                _ => format!("{first} (the first of {count} {kind}, the last at {})", clock(last)),
            }));
            texts.push("each number's own steps: add --records".to_owned());
        }
        if texts.is_empty() {
            texts.push("nothing was written".to_owned());
        }
        self.part("What was done", &texts)
    }

    fn recomputed(&self) -> Vec<TextLine> {
        let texts = match (&self.explanation.recomputed, &self.explanation.rules) {
            (Some(recomputed), Some(rules)) => {
                let now = rules.by_those_of_now.as_ref();
                let by_now =
                    now.map(|now| format!("by the rules of the configuration now, which are others: {}", now.text()));
                std::iter::once(recomputed.text()).chain(by_now).collect()
            }
            _ => vec!["an operator's order: there is no evidence to weigh".to_owned()],
        };
        self.part("Does it still follow from what is stored", &texts)
    }

    /// The journal's records, with the hashes that chain them.
    fn records(&self) -> anyhow::Result<Vec<TextLine>> {
        let mut lines = Vec::new();
        if let Some(rules) = &self.explanation.rules {
            let now = rules.by_those_of_now.as_ref().map(|_| format!("of the configuration now: {}", rules.now));
            let then = std::iter::once(format!("then: {}", rules.then));
            lines.extend(self.part("Rules in force", &then.chain(now).collect::<Vec<_>>()));
        }
        lines.extend([TextLine::default(), TextLine::new(Style::Quiet, "Records of the journal")]);
        for record in self.entries() {
            let head = format!("  {} #{} {}", record.at, record.seq, record.entry.kind());
            lines.push(TextLine::new(Style::Strong, head));
            lines.push(TextLine::new(Style::Quiet, format!("    sha256 {}", record.hash)));
            lines.push(TextLine::plain(format!("    {}", brief(&serde_json::to_value(&record.entry)?))));
        }
        Ok(lines)
    }
}

fn clock(at: Time) -> String {
    at.to_timestamp().strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// An entry in one line, the snapshot's record left out.
fn brief(entry: &serde_json::Value) -> String {
    let mut entry = entry.clone();
    if let Some(map) = entry.as_object_mut() {
        map.remove("kind");
        map.remove("record");
    }
    entry.to_string()
}
