//! The fire drill: the whole rollback on a spare number, the day before.
//!
//! An agent of its own, with a state file of its own, watches one number that no caller knows. The drill
//! gives the number a good handler, breaks it, and looks on: test calls find it, the detector decides, the
//! number is swapped, a test call proves the fallback, the number is restored, and another test call proves
//! the handler. Nothing in that chain is played: it is the code of the port day against the real account.
//! Only the person is: on test calls alone a group of one is never swapped without approval, which the drill
//! gives.
//!
//! Promises: a number with live callers, or of a group, is refused unless forced. Before anything is written
//! the number's whole record is on the disk ([`note`]), and whatever ends the drill, the number is put back
//! ([`back`]): at its end, at a signal or an error, and after a crash at the next start.

pub mod back;
pub mod note;
pub mod report;

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::agent::control::{CommandAnswer, OperatorCommand, Refusal};
use crate::agent::publish::status::{ChannelStatus, Status};
use crate::agent::{Agent, ControlMessage, StartError};
use crate::clock::Clock;
use crate::config::{Config, Probes, Rehearsal};
use crate::core::detect::observation::{Leg, ProbeResult};
use crate::core::model::decision::{Action, Mode};
use crate::core::model::facts::LARGEST_PAGE;
use crate::core::model::id::{Channel, E164, GroupName, NumberId, NumberSid};
use crate::core::model::order::{Author, Operation};
use crate::core::model::roster::{Number, NumberIx, PortAt, Roster};
use crate::core::model::time::Time;
use crate::core::rollback::operator::OperatorRequest;
use crate::core::routing::record::bare;
use crate::twilio::Error;
use crate::twilio::wire::{NumberRead, WireRow};

use back::RestoreGuard;
use note::Note;
use report::{DrillReport, DrillStage, DrillSubject, StageReport, Variant, VariantReport};

/// Callers of so long ago make a number a live one.
const LIVE: Duration = Duration::from_secs(24 * 3600);

/// Between test calls of the drill, unless the group's come more often.
const EVERY: Duration = Duration::from_secs(15);

/// A stage that takes longer has failed.
const STAGE: Duration = Duration::from_secs(600);

/// Between looks at the agent.
const LOOK: Duration = Duration::from_millis(500);

/// Why there was no drill, or none to its end.
#[derive(Debug, thiserror::Error)]
pub enum DrillError {
    #[error("{0}")]
    Refused(String),
    /// Nothing is left of it.
    #[error("the drill was stopped before its end, and the number is what it was")]
    Stopped,
    #[error("{0}; {cure}", cure = .0.cure())]
    Twilio(#[from] Error),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("the drill's note {path}: {source}; check the folder's permissions and the space on the disk")]
    Note { path: PathBuf, source: std::io::Error },
    #[error(
        "{number} IS NOT PUT BACK and may still point at the drill's handlers: {why}. Once that is mended run \
         `ringback rehearse --put-back`, or enter in the console what {note} says it was"
    )]
    NotPutBack { number: E164, why: String, note: PathBuf },
    #[error("the HTTP client cannot be built: {0}")]
    Http(String),
}

/// A drill that has been prepared and checked.
pub struct Drill {
    config: Config,
    rehearsal: Rehearsal,
    fallback: String,
    subject: DrillSubject,
    clock: Clock,
    back: RestoreGuard,
    force: bool,
}

impl Drill {
    /// Prepares a drill on `rehearsal.number`, which `by` holds.
    ///
    /// `force`: also on a number that is watched or has live callers, and over what somebody else changed.
    pub fn new(
        config: &Config,
        rehearsal: Rehearsal,
        by: &str,
        force: bool,
        clock: &Clock,
    ) -> Result<Drill, DrillError> {
        let (config, fallback, group) = drill_config(config, &rehearsal, force).map_err(DrillError::Refused)?;
        let probe = config.probes.groups.iter().flatten().next();
        let prober = probe.and_then(|p| p.from).map(|from| format!("{from}, through Twilio"));
        let commands = probe.into_iter().flat_map(|p| &p.externals);
        let commands = commands.map(|e| format!("the command {}", e.command.first().map_or("", String::as_str)));
        let subject = DrillSubject {
            account: config.account(),
            number: rehearsal.number,
            by: by.to_owned(),
            group,
            good: bare(&rehearsal.good),
            fallback: bare(&fallback),
            calls_from: prober.into_iter().chain(commands).collect(),
        };
        let back = RestoreGuard::new(&config, clock)?;
        Ok(Drill { config, rehearsal, fallback, subject, clock: clock.clone(), back, force })
    }

    /// Plays every variant that has a handler, until `stop`, and puts the number back, whatever happened.
    pub async fn run(&self, stop: &CancellationToken) -> Result<DrillReport, DrillError> {
        self.back.recover(self.force).await?;
        let started_at = self.clock.now();
        let read = unless(stop, self.prepare()).await?;
        let number = NumberId::new(self.config.account(), self.rehearsal.number);
        let handlers = self.rehearsal.broken.iter().map(|(_, url)| url).chain([&self.rehearsal.good, &self.fallback]);
        let note = Note {
            number,
            sid: read.record.sid,
            record: read.raw.clone(),
            urls: handlers.map(|url| url.as_str().into()).collect(),
        };
        self.back.note(&note)?;
        let played = self.variants(&read, stop).await;
        let began = self.clock.now();
        let back = self.back.put_back(&note, false).await;
        let put_back = match (&played, back) {
            (_, Ok(())) => {
                StageReport::passed(DrillStage::PutBack, began, self.clock.now(), "its record is what it was")
            }
            (Ok(_), Err(e)) => StageReport::failed(DrillStage::PutBack, began, self.clock.now(), &e.to_string()),
            (Err(why), Err(e)) => {
                tracing::error!("the drill ended early: {why}");
                return Err(e);
            }
        };
        let is_on_net = self.config.probes.groups.iter().flatten().any(|p| p.from.is_some());
        let cautions = is_on_net.then_some(CAUTION).into_iter().collect();
        Ok(DrillReport {
            subject: self.subject.clone(),
            started_at,
            ended_at: self.clock.now(),
            variants: played?,
            put_back,
            cautions,
        })
    }

    /// The number as it is, if a drill may be held on it.
    async fn prepare(&self) -> Result<NumberRead, DrillError> {
        let read = self.find().await?;
        if !self.force {
            self.refuse_live(self.rehearsal.number).await?;
        }
        Ok(read)
    }

    async fn variants(&self, read: &NumberRead, stop: &CancellationToken) -> Result<Vec<VariantReport>, DrillError> {
        let mut variants = Vec::new();
        for (variant, url) in &self.rehearsal.broken {
            // On the heap: a whole agent begins in it.
            variants.push(Box::pin(self.variant(*variant, url, read, stop)).await?);
        }
        Ok(variants)
    }

    /// Points the number at a handler and at nothing else, as a person would.
    async fn point_at(&self, sid: NumberSid, url: &str) -> Result<(), DrillError> {
        let now = self.back.client().number(sid, self.rehearsal.number).await?;
        let mut form = now.record.swap(Channel::Voice, url).map_err(|e| DrillError::Refused(e.to_string()))?;
        // A fallback URL of its own would serve the callers of a broken handler.
        form.push(("VoiceFallbackUrl".to_owned(), "".into()));
        self.back.client().update_spare_number(sid, self.rehearsal.number, &form).await?;
        Ok(())
    }

    async fn find(&self) -> Result<NumberRead, DrillError> {
        let (numbers, _) = self.back.client().numbers(LARGEST_PAGE).all().await?;
        let number = self.rehearsal.number;
        let found = numbers.into_iter().find(|n| n.record.number == number);
        found.ok_or_else(|| DrillError::Refused(format!("{number} is not in this account; buy a spare number first")))
    }

    /// Refuses a number that somebody has called lately.
    async fn refuse_live(&self, number: E164) -> Result<(), DrillError> {
        let since = self.clock.now() - LIVE;
        let mut pager = self.back.client().calls(since, LARGEST_PAGE);
        while let Some(page) = pager.next().await? {
            let is_live = page.rows.iter().any(|row| match row {
                Ok(WireRow::Ours(call)) => {
                    call.started_at >= since && matches!(call.leg, Leg::Inbound { caller, .. } if !caller.is_prober)
                }
                // It may be a caller's.
                Err(row) => !row.is_of_others && row.at.is_none_or(|at| at >= since),
                Ok(WireRow::NotOurs(_)) => false,
            });
            if is_live {
                return Err(DrillError::Refused(format!(
                    "{number} had live callers within a day; use a spare number, or --force"
                )));
            }
            if page.newest.is_some_and(|t| t < since) {
                break;
            }
        }
        Ok(())
    }

    /// One variant: from a good handler to a proven fallback and back.
    async fn variant(
        &self,
        variant: Variant,
        broken: &str,
        read: &NumberRead,
        stop: &CancellationToken,
    ) -> Result<VariantReport, DrillError> {
        // Nothing is remembered from one drill to the next.
        note::forget(&self.config.agent.state);
        self.point_at(read.record.sid, &self.rehearsal.good).await?;
        let agent = unless(stop, async { Ok(Box::pin(Agent::start(&self.config, &self.clock)).await?) }).await?;
        let mut play = Play { drill: self, agent: &agent, variant, read, stop, stages: Vec::new() };
        let outcome = play.all(broken).await;
        let stages = play.stages;
        // It ends what it is writing.
        agent.stop().await;
        outcome?;
        Ok(VariantReport { variant, url: bare(broken), stages })
    }
}

/// Work of which nothing is left if it is dropped, unless it is to stop.
async fn unless<T>(
    stop: &CancellationToken,
    work: impl Future<Output = Result<T, DrillError>>,
) -> Result<T, DrillError> {
    tokio::select! {
        biased;
        () = stop.cancelled() => Err(DrillError::Stopped),
        done = work => done,
    }
}

/// The drill's own state file, beside the agent's.
const STATE: &str = "rehearsal.db";

/// What a drill cannot show.
const CAUTION: &str = "What it does not show: its test calls went from Twilio to Twilio. They may never have left Twilio's network, and \
     prove nothing about a port.";

/// A variant under way.
struct Play<'a> {
    drill: &'a Drill,
    agent: &'a Agent,
    variant: Variant,
    read: &'a NumberRead,
    stop: &'a CancellationToken,
    stages: Vec<StageReport>,
}

impl Play<'_> {
    fn now(&self) -> Time {
        self.drill.clock.now()
    }

    /// Every stage until one fails.
    async fn all(&mut self, broken: &str) -> Result<(), DrillError> {
        let since = self.now();
        if !self.stage(DrillStage::Good, |s, c| served(c, since).then(|| said(s, "a test call was answered"))).await? {
            return Ok(());
        }
        let sid = self.read.record.sid;
        self.drill.point_at(sid, broken).await?;
        let broken_at = self.now();
        let found = |s: &Status, _: &ChannelStatus| {
            let d = s.decisions.iter().find(|d| d.action == Action::Rollback && d.at >= broken_at)?;
            let why = d.evidence.reasons.first().map_or("", |r| r.reason.text());
            Some(format!("{} test calls failed: {why}", d.evidence.failing_probes))
        };
        if !self.stage(DrillStage::Found, found).await? {
            return Ok(());
        }
        self.approve().await;
        let swapped = |_: &Status, c: &ChannelStatus| {
            matches!(c.rollback_state, "read_back" | "proven" | "unproven")
                .then(|| "Twilio says that the fallback answers its calls now".to_owned())
        };
        if !self.stage(DrillStage::Swapped, swapped).await? {
            return Ok(());
        }
        let proven = |s: &Status, c: &ChannelStatus| {
            let detail = s.orders.first().and_then(|o| o.ended.first()).map_or("", |e| e.detail.as_str());
            (c.rollback_state == "proven").then(|| detail.to_owned())
        };
        if !self.stage(DrillStage::Proven, proven).await? {
            return Ok(());
        }
        self.restore().await;
        let restored = |_: &Status, c: &ChannelStatus| {
            (c.rollback_state == "restored").then(|| "it has the handler from before the swap again".to_owned())
        };
        if !self.stage(DrillStage::Restored, restored).await? {
            return Ok(());
        }
        self.drill.point_at(sid, &self.drill.rehearsal.good).await?;
        let since = self.now();
        self.stage(DrillStage::Healed, |s, c| served(c, since).then(|| said(s, "a test call was answered"))).await?;
        Ok(())
    }

    /// Waits for a stage's end, which `look` tells, and notes how it went. False if it failed.
    async fn stage(
        &mut self,
        stage: DrillStage,
        look: impl Fn(&Status, &ChannelStatus) -> Option<String>,
    ) -> Result<bool, DrillError> {
        let began = self.now();
        let report = loop {
            if self.stop.is_cancelled() {
                return Err(DrillError::Stopped);
            }
            let status = self.agent.status.borrow().clone();
            let channel = status.numbers().flat_map(|(_, n)| &n.channels).next();
            if let Some(detail) = channel.and_then(|c| look(&status, c)) {
                break StageReport::passed(stage, began, self.now(), &detail);
            }
            if began + STAGE <= self.now() {
                break StageReport::failed(stage, began, self.now(), stage.failure());
            }
            self.drill.clock.sleep(LOOK).await;
        };
        let StageReport { passed, seconds, .. } = report;
        let result = if passed { "passed" } else { "FAILED" };
        tracing::info!("{result} in {seconds:.0} s: {} ({})", stage.text(), self.variant.text());
        self.stages.push(report);
        Ok(passed)
    }

    fn author() -> Author {
        Author { name: "rehearsal".into(), reason: "fire drill on a spare number".into() }
    }

    /// On test calls alone one number is never swapped without an operator's command: the drill gives it.
    async fn approve(&self) {
        let waiting = || self.agent.status.borrow().waiting.first().map(|w| w.decision);
        for _ in 0..20 {
            if let Some(decision) = waiting() {
                self.say(OperatorCommand::Approve { decision, by: Play::author() }).await;
                return;
            }
            self.drill.clock.sleep(LOOK).await;
        }
    }

    async fn restore(&self) {
        let request = OperatorRequest {
            operation: Operation::Restore,
            numbers: vec![NumberIx(0)],
            channel: Some(Channel::Voice),
            by: Play::author(),
            force: true,
            at_once: true,
        };
        self.say(OperatorCommand::Orders(request)).await;
    }

    async fn say(&self, command: OperatorCommand) {
        let (reply, answer) = oneshot::channel::<Result<CommandAnswer, Refusal>>();
        let clock = &self.drill.clock;
        let message = ControlMessage::Command { command, dry_run: false, reply };
        // Should it be refused, the stage that waits for it says so.
        if clock.wait(None, self.agent.inbox.send(message)).await.is_some_and(|sent| sent.is_ok()) {
            let _ = clock.wait(None, answer).await;
        }
    }
}

/// A test call since then was answered.
fn served(channel: &ChannelStatus, since: Time) -> bool {
    channel.last_probe.as_ref().is_some_and(|p| p.started_at >= since && p.result == ProbeResult::Success)
}

fn said(_: &Status, what: &str) -> String {
    what.to_owned()
}

/// The configuration of an agent for one spare number, made from that of the group it stands for.
/// With it, the fallback that is rehearsed, and the group's name.
fn drill_config(config: &Config, rehearsal: &Rehearsal, force: bool) -> Result<(Config, String, GroupName), String> {
    let number = rehearsal.number;
    let id = NumberId::new(config.account(), number);
    if !force && config.roster.find(id).is_some() {
        return Err(format!(
            "{number} is watched; use a spare number that is in no group, or hold it (`ringback hold {number}`) and --force"
        ));
    }
    let (ix, group) = match &rehearsal.group {
        Some(name) => config.roster.groups().find(|(_, g)| g.name == *name),
        None => config
            .roster
            .groups()
            .find(|(ix, g)| g.fallback(Channel::Voice).is_some() && config.probes.groups[ix.0 as usize].is_some()),
    }
    .ok_or("no group to rehearse has a fallback and [group.probe]; name one with rehearsal.group")?;
    let stands_for = group.name.clone();
    let fallback = group.fallback(Channel::Voice).map(str::to_owned);
    let fallback = fallback.ok_or_else(|| format!("group {} has no fallback.voice_url to rehearse", group.name))?;
    let probe = config.probes.groups[ix.0 as usize].clone();
    let mut probe = probe.ok_or_else(|| format!("group {} has no [group.probe] to rehearse", group.name))?;
    if probe.from == Some(number) {
        return Err(format!("{number} is the number that test calls come from; the drill needs another"));
    }
    let every = probe.every.min(EVERY);
    (probe.every, probe.passive_every) = (every, every);
    let mut roster = Roster::default();
    let name = "rehearsal".parse().map_err(|e: crate::core::model::id::BadId| e.to_string())?;
    let group = roster.add_group(name, [Some(fallback.clone()), None]);
    roster.add_number(Number {
        id,
        label: String::new(),
        group,
        channels: [true, false],
        timezone: jiff::tz::TimeZone::UTC,
        port: PortAt::Done,
    });
    let probers = probe.from.into_iter().chain(probe.externals.iter().filter_map(|e| e.from));
    probers.for_each(|n| roster.add_prober(n));
    let detection = config.engine.detection.get(ix.0 as usize).cloned().unwrap_or_default();
    let mut drill = config.clone();
    drill.roster = roster;
    drill.probes = Probes { groups: vec![Some(probe)], limits: config.probes.limits };
    drill.engine.mode = Mode::Auto;
    drill.engine.detection = vec![detection];
    drill.rollback.mode = Mode::Auto;
    drill.rollback.caps.clear();
    drill.agent.state = config.agent.state.with_file_name(STATE);
    Ok((drill, fallback, stands_for))
}
