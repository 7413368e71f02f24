//! Notices of the agent's own conditions: what is wrong with Ringback itself.

use super::make::NoticeBuilder;
use super::{Moment, Notice, NoticeKind, NoticeStatus, Severity, Step};
use crate::model::barrier::Barrier;
use crate::model::id::{Channel, NumberId};
use crate::model::order::Operation;
use crate::model::roster::Number;
use crate::model::source::routing;
use crate::model::time::Time;

/// What cannot be read, in words.
fn unreadable(sources: &[&str]) -> String {
    let words = |source: &&str| match *source {
        "numbers" => "the list of our numbers, or what they refer to,".to_owned(),
        "services" => "the list of Messaging Services".to_owned(),
        log => format!("Twilio's log of {log}"),
    };
    format!("{} cannot be read", sources.iter().map(words).collect::<Vec<_>>().join(" and "))
}

/// The key of the notices of [`AgentCondition::Blind`].
pub const BLIND: &str = "blind";

/// The key of the notices of [`AgentCondition::NoCalls`].
pub const NO_CALLS: &str = "no_calls";

/// What a condition of the agent itself is; each has one notice while it stands and one when it is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentCondition {
    /// These logs cannot be read, so nothing can be said of the channels. What cannot be read has mostly one cause, and
    /// is one trouble.
    Blind {
        channels: Vec<Channel>,
        sources: Vec<&'static str>,
        /// What came back instead; empty where that is not known.
        why: String,
        /// Numbers of which it is not known who answers, where no more than that cannot be read.
        unread: Vec<NumberId>,
    },
    /// Rows of this source cannot be read, or look like ours and cannot be told whose they are: callers of whom is not
    /// known whether they were served. `example`: what is wrong with one of them.
    RowsNotUnderstood {
        source: &'static str,
        example: String,
    },
    /// No number has calls any more: nobody gets through, or what is read stands still. `missed`: how many would have
    /// come, had all gone on as before; `None` where that is not known any more.
    NoCalls {
        missed: Option<u64>,
    },
    StoreUnwritable {
        problem: String,
        cure: String,
    },
    LeaseLost,
    /// The state file, or a file beside it, was taken away under the running agent, which stops.
    StateTaken {
        problem: String,
        cure: String,
    },
    /// The journal is not as far as it once was, or is another agent's too: nothing is written until a person says so.
    StateRestored {
        problem: String,
    },
    /// These numbers are on their fallback, and the journal knows of no rollback.
    UnknownRollback {
        channel: Channel,
        numbers: Vec<NumberId>,
    },
    NotifierFailing {
        name: String,
        problem: String,
    },
}

impl AgentCondition {
    /// What keeps commands of ours from Twilio as well.
    pub fn barrier(&self) -> Option<Barrier> {
        let AgentCondition::Blind { sources, why, .. } = self else { return None };
        // Alerts come from another host than the one that is written to.
        Barrier::told_in(why).filter(|_| *sources != ["alerts"])
    }

    /// The key of its notices.
    pub fn key(&self) -> String {
        match self {
            AgentCondition::Blind { .. } => BLIND.to_owned(),
            AgentCondition::RowsNotUnderstood { source, .. } => format!("rows/{source}"),
            AgentCondition::NoCalls { .. } => NO_CALLS.to_owned(),
            AgentCondition::StoreUnwritable { .. } => "store".to_owned(),
            AgentCondition::LeaseLost => "lease".to_owned(),
            AgentCondition::StateTaken { .. } => "state/taken".to_owned(),
            AgentCondition::StateRestored { .. } => "state/restored".to_owned(),
            AgentCondition::UnknownRollback { channel, .. } => format!("state/unknown/{channel}"),
            AgentCondition::NotifierFailing { name, .. } => format!("notifier/{name}"),
        }
    }
}

impl NoticeBuilder {
    /// What is done while channels cannot be seen, and what a person can do.
    fn while_blind(
        &self,
        channels: &[Channel],
        blind: &[NumberId],
        is_partly: bool,
        barrier: Option<Barrier>,
    ) -> (String, Vec<Step>) {
        let look = Step::typing("See what is stale, which numbers are blind, and why", "ringback status");
        if let Some(barrier) = barrier {
            let did = format!(
                "Automatic rollbacks are paused, and your commands fail for the same reason: {}",
                barrier.text()
            );
            let mut next = vec![Step::new(barrier.mend()), look];
            next.extend(channels.iter().flat_map(|c| self.in_console(*c)));
            return (did, next);
        }
        let did = if is_partly {
            "Numbers whose handler is known are watched as ever; of the others nothing good is said, and none is \
             rolled back automatically; your commands still work"
        } else {
            "Automatic rollbacks are paused; your commands still work"
        };
        let call = "Call one of the numbers; look at https://status.twilio.com and at this machine's network and \
                    credentials";
        let of_channel = move |channel: Channel| {
            let groups = self.roster.groups().filter(move |(_, g)| g.fallback(channel).is_some());
            groups.filter_map(move |(_, g)| {
                let of_group = g.numbers.iter().map(|ix| self.roster.number(*ix));
                let is_blind = |n: &&Number| !is_partly || blind.contains(&n.id);
                let numbers: Vec<NumberId> = of_group.filter(is_blind).map(|n| n.id).collect();
                let text = format!("If callers of {} are not served, roll it back yourself", g.name);
                (!numbers.is_empty())
                    .then(|| self.order(text, Operation::Rollback, &g.name, channel, &numbers, "--reason 'blind'"))
            })
        };
        let by_hand = channels.iter().flat_map(|c| of_channel(*c));
        (did.to_owned(), [look, Step::new(call)].into_iter().chain(by_hand).collect())
    }

    /// A condition of the agent itself has begun, or is over.
    pub fn condition(&self, at: Time, since: Time, condition: &AgentCondition, status: NoticeStatus) -> Notice {
        let is_over = status == NoticeStatus::Resolved;
        let mut notice = match condition {
            AgentCondition::Blind { channels, sources, why, unread } => {
                let lists: Vec<&str> = channels.iter().flat_map(|c| routing(*c)).map(|s| s.label()).collect();
                let channel = channels.iter().map(|c| c.label()).collect::<Vec<_>>().join(" and ");
                let is_partly = !sources.is_empty() && sources.iter().all(|s| lists.contains(s));
                let title = match (is_over, is_partly) {
                    (true, _) => format!("Ringback sees {channel} again"),
                    (false, true) => format!("Ringback cannot tell who answers some numbers: {channel}"),
                    (false, false) => format!("Ringback is blind: {channel}"),
                };
                let mut n = self.blank(at, condition.key(), NoticeKind::Blind, Severity::Critical, title);
                n.channel = if let [one] = channels[..] { Some(one) } else { None };
                let is_watched = |n: &Number| channels.iter().any(|c| n.channels[c.index()]);
                let watched = || self.roster.numbers().filter(|(_, n)| is_watched(n)).map(|(_, n)| n.id).collect();
                n.numbers = if is_partly && !unread.is_empty() { unread.clone() } else { watched() };
                n.at = Moment::new(at, self.zone(&n.numbers));
                if is_over {
                    n.did = "Ringback reads every log that it needs again: verdicts and decisions continue".to_owned();
                } else {
                    n.uncounted = Some("unknown: nothing can be counted".to_owned());
                    let cause = unreadable(sources);
                    n.cause = Some(if why.is_empty() { cause } else { format!("{cause}: {why}") });
                    (n.did, n.next) = self.while_blind(channels, &n.numbers, is_partly, condition.barrier());
                }
                n
            }
            AgentCondition::RowsNotUnderstood { source, example } => {
                let title = if is_over {
                    format!("Ringback reads every row of Twilio's {source} again")
                } else {
                    format!("Some of Twilio's {source} cannot be read, or not told whose they are")
                };
                let mut n = self.blank(at, condition.key(), NoticeKind::RowsNotUnderstood, Severity::Warning, title);
                if is_over {
                    n.did = "Every row counts again; what was left out stays left out".to_owned();
                } else {
                    n.uncounted = Some("unknown: these rows are in no count".to_owned());
                    n.cause = Some(format!("one of them: {example}"));
                    n.did = "Ringback leaves such rows out and judges by the others".to_owned();
                    n.next = vec![
                        Step::typing("See whether the verdicts are plausible without them", "ringback status"),
                        Step::new("Call your numbers; the agent's log shows the outline of some of these rows"),
                    ];
                }
                n
            }
            AgentCondition::NoCalls { missed } => {
                let title = if is_over { "Calls come again" } else { "No calls at all, on any number" };
                let mut n = self.blank(at, condition.key(), NoticeKind::NoCalls, Severity::Critical, title);
                n.channel = Some(Channel::Voice);
                let watched = self.roster.numbers().filter(|(_, n)| n.channels[Channel::Voice.index()]);
                n.numbers = watched.map(|(_, n)| n.id).collect();
                n.at = Moment::new(at, self.zone(&n.numbers));
                if is_over {
                    n.did = "Twilio's log shows calls again: they are judged as ever".to_owned();
                } else {
                    n.uncounted = Some("unknown: there is nobody to count".to_owned());
                    let since = Moment::new(since, self.zone(&n.numbers)).text;
                    let missed = missed.map_or(String::new(), |n| format!(", where about {n} were to be expected"));
                    n.cause = Some(format!(
                        "Twilio's log is answered, and has shown no call of any number since {since}{missed}: either \
                         nobody gets through, or the log stands still and callers are not seen"
                    ));
                    n.did =
                        "Nothing: a rollback cannot help calls that do not reach Twilio, and of calls that are not \
                             shown nothing is known"
                            .to_owned();
                    n.next = vec![
                        Step::new(
                            "Call a number from a telephone that has nothing to do with Twilio. If you get through and \
                             Ringback does not see it, its log stands still: believe no verdict, and look at \
                             https://status.twilio.com and at any proxy between Ringback and Twilio",
                        ),
                        Step::new("If you do not get through, it is the carriers or the port: call them"),
                        Step::typing("If you get through and are not served, roll back yourself", "ringback status"),
                    ];
                }
                n
            }
            AgentCondition::StoreUnwritable { problem, cure } => {
                let title =
                    if is_over { "Ringback's state can be written again" } else { "Ringback cannot write its state" };
                let mut n = self.blank(at, condition.key(), NoticeKind::StoreUnwritable, Severity::Critical, title);
                if is_over {
                    n.did = "Rollbacks and restores are carried out again".to_owned();
                } else {
                    n.cause = Some(problem.clone());
                    n.did = "Ringback changes no number, because it changes none before its journal has the change"
                        .to_owned();
                    n.next = vec![Step::new(cure.clone())];
                }
                n
            }
            AgentCondition::LeaseLost => {
                let mut n = self.blank(
                    at,
                    condition.key(),
                    NoticeKind::LeaseLost,
                    Severity::Warning,
                    "Another agent has taken over",
                );
                n.cause =
                    Some("this agent's lease on the state file has ended, and another agent holds it now".to_owned());
                n.did = "This agent stops and writes nothing; the other agent acts".to_owned();
                n.next = vec![Step::typing("Check that the other agent is healthy", "ringback status")];
                n
            }
            AgentCondition::StateTaken { problem, cure } => {
                let title = "Ringback's state was taken away: the agent has stopped";
                let mut n = self.blank(at, condition.key(), NoticeKind::StateChanged, Severity::Critical, title);
                n.cause = Some(problem.clone());
                n.did = "This agent stops and writes nothing: what it would note is read by nobody, and another agent \
                         may lead"
                    .to_owned();
                n.next = vec![
                    Step::new(cure.clone()),
                    Step::typing("Start the agent, and see what it knows", "ringback status"),
                ];
                n
            }
            AgentCondition::StateRestored { problem } => {
                let title = "Ringback's state is not as it was: it was restored, copied or replaced";
                let mut n = self.blank(at, condition.key(), NoticeKind::StateChanged, Severity::Critical, title);
                n.cause = Some(problem.clone());
                n.did = "What was done since is not known, so Ringback holds all numbers: it watches, and changes none"
                    .to_owned();
                n.next = vec![
                    Step::new(
                        "Look in the Twilio console, or in the notices of before, which numbers are on the fallback: \
                         what was swapped since is put back by hand there, not by `ringback restore`",
                    ),
                    Step::typing("See what this state knows", "ringback status"),
                ];
                let release = "ringback release --all --reason 'looked at after the restore'";
                n.next.push(Step::typing("Then let Ringback act again", release));
                n
            }
            AgentCondition::UnknownRollback { channel, numbers } => {
                let title = if is_over {
                    format!("The journal agrees with Twilio again about which numbers are on the fallback: {channel}")
                } else {
                    format!("Numbers are on the fallback, and the journal knows of no rollback: {channel}")
                };
                let kind = NoticeKind::StateChanged;
                let mut n = self.blank(at, condition.key(), kind, Severity::Critical, title);
                n.channel = Some(*channel);
                n.numbers.clone_from(numbers);
                n.at = Moment::new(at, self.zone(&n.numbers));
                if is_over {
                    n.did = "They are off the fallback, or a rollback of them is in the journal".to_owned();
                } else {
                    n.cause = Some(
                        "either the state file was restored from an old backup or replaced, or somebody swapped them \
                         without Ringback"
                            .to_owned(),
                    );
                    n.did = "Ringback writes nothing to them, and cannot put back what it does not know".to_owned();
                    n.next = vec![
                        Step::new(
                            "If the state file was replaced, put the latest one back while no agent runs, and restore \
                             with `ringback restore`",
                        ),
                        Step::new(
                            "Otherwise point the numbers at their handler by hand, in the Twilio console, once it works",
                        ),
                    ];
                }
                n
            }
            AgentCondition::NotifierFailing { name, problem } => {
                let title = if is_over {
                    format!("Notifier {name} delivers again")
                } else {
                    format!("Notifier {name} does not deliver")
                };
                let mut n = self.blank(at, condition.key(), NoticeKind::NotifierFailing, Severity::Warning, title);
                if is_over {
                    n.did = "The notices that waited for it are being delivered".to_owned();
                } else {
                    n.cause = Some(problem.clone());
                    n.did = "Ringback keeps its notices for a day and sends them again".to_owned();
                    n.next = vec![
                        Step::typing("Send a test notice and see the answer", format!("ringback notify --test {name}")),
                        Step::typing("See which notices wait", "ringback notify --log"),
                    ];
                }
                n
            }
        };
        notice.since = Some(Moment::new(since, self.zone(&notice.numbers)));
        notice.status = match condition {
            AgentCondition::LeaseLost | AgentCondition::StateTaken { .. } | AgentCondition::StateRestored { .. } => {
                NoticeStatus::Event
            }
            AgentCondition::Blind { .. }
            | AgentCondition::RowsNotUnderstood { .. }
            | AgentCondition::NoCalls { .. }
            | AgentCondition::StoreUnwritable { .. }
            | AgentCondition::UnknownRollback { .. }
            | AgentCondition::NotifierFailing { .. } => status,
        };
        notice
    }
}
