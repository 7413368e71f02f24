//! What a person should do next, and what to type.

use std::collections::BTreeMap;

use super::Step;
use super::advice::{about, instead, repair};
use super::make::NoticeBuilder;
use crate::model::barrier::Barrier;
use crate::model::counted::Counted;
use crate::model::decision::PageReason;
use crate::model::guard::Guard;
use crate::model::id::{Channel, GroupName, NumberId};
use crate::model::order::{AskedOrder, Hold, Operation, Scope, ScopeOf};
use crate::model::reason::Reason;
use crate::rollback::operator::{Obstacle, PreviewLine};

/// How a person tries a number.
const fn reach(channel: Channel) -> &'static str {
    match channel {
        Channel::Voice => "Call",
        Channel::Messaging => "Text",
    }
}

/// How a number is pointed elsewhere without Ringback.
fn set_in_console(channel: Channel) -> String {
    format!(
        "open the number in Twilio's Console (https://console.twilio.com/us1/develop/phone-numbers/manage/incoming): \
         remove a trunk or an application, if it has one, because Twilio prefers them to any URL, and set its \
         {channel} URL to"
    )
}

/// At most this many numbers are written into a command; of more, the group is named.
const IN_COMMAND: usize = 5;

impl NoticeBuilder {
    /// True if a command about these names the group instead.
    fn is_by_group(&self, group: &GroupName, numbers: &[NumberId]) -> bool {
        let all = self.group(group).map_or(0, |g| g.numbers.len());
        numbers.len() == all || numbers.len() > IN_COMMAND
    }

    /// The numbers as a command takes them.
    pub fn selection(&self, group: &GroupName, channel: Channel, numbers: &[NumberId]) -> String {
        let which = if self.is_by_group(group, numbers) {
            format!("--group {group}")
        } else {
            numbers.iter().map(|n| self.roster.name(*n).to_string()).collect::<Vec<_>>().join(" ")
        };
        format!("{which} --channel {channel}")
    }

    /// A command that gives an order about these numbers; `rest`: what follows in it.
    pub(super) fn order(
        &self,
        text: impl Into<String>,
        operation: Operation,
        group: &GroupName,
        channel: Channel,
        numbers: &[NumberId],
        rest: &str,
    ) -> Step {
        let verb = match operation {
            Operation::Rollback => "rollback",
            // What undoes an apply is a restore to whoever types it.
            Operation::Restore | Operation::Undo => "restore",
            Operation::Apply => "apply",
        };
        let numbers: Vec<NumberId> = match self.group(group).filter(|_| self.is_by_group(group, numbers)) {
            Some(group) => group.numbers.iter().map(|ix| self.roster.number(*ix).id).collect(),
            None => numbers.to_vec(),
        };
        let command = format!("ringback {verb} {} {rest}", self.selection(group, channel, &numbers));
        Step::ordering(text, command, AskedOrder { operation, channel, numbers, force: rest.contains("--force") })
    }

    /// These steps as they are now: of a command that would be refused it is said why, after what ends that.
    /// `objection`: what stands against an order.
    pub fn passable(&self, steps: Vec<Step>, objection: impl Fn(&AskedOrder) -> Option<PreviewLine>) -> Vec<Step> {
        let mut passable: Vec<Step> = Vec::new();
        for mut step in steps {
            if let Some(PreviewLine { detail, obstacle, .. }) = step.order.as_ref().and_then(&objection) {
                let first = obstacle.and_then(|o| self.end(&o));
                let is_said = |f: &Step| {
                    passable.iter().any(|s| s.text == f.text || f.command.is_some() && s.command == f.command)
                };
                // What says so itself follows what ends it.
                if !step.text.starts_with("Then ") {
                    step.text = format!("{} (refused now: {detail})", step.text);
                }
                passable.extend(first.filter(|f| !is_said(f)));
                step.is_refused = true;
            }
            passable.push(step);
        }
        passable
    }

    /// How a person ends what refuses an order.
    fn end(&self, obstacle: &Obstacle) -> Option<Step> {
        match obstacle {
            Obstacle::Mode => Some(NoticeBuilder::let_write()),
            Obstacle::Hold(scope) => Some(NoticeBuilder::release(&self.scope(scope))),
            Obstacle::Fallback => self.remedy(Guard::Fallback),
        }
    }

    fn let_write() -> Step {
        Step::typing(
            "Let Ringback write, with your approval each time",
            "ringback mode confirm --reason 'callers fail'",
        )
    }

    fn release(which: &str) -> Step {
        Step::typing("To release the hold", format!("ringback release {which} --reason 'the hold is over'"))
    }

    /// Repair the handler, then restore.
    pub fn after_rollback(
        &self,
        reason: Option<Reason>,
        group: &GroupName,
        channel: Channel,
        numbers: &[NumberId],
    ) -> Vec<Step> {
        let repair = reason.map_or("Repair the handler", repair);
        vec![self.restore(format!("{repair}, then restore"), group, channel, numbers, "repaired")]
    }

    /// What to do where a rollback was wanted and callers may not be served. `barrier`: what keeps Twilio from
    /// carrying out another one.
    pub fn by_hand(
        &self,
        group: &GroupName,
        channel: Channel,
        numbers: &[NumberId],
        barrier: Option<Barrier>,
    ) -> Vec<Step> {
        let url = self.group(group).and_then(|g| g.fallback(channel)).unwrap_or("the fallback's URL");
        let which = if numbers.len() == 1 { "the number" } else { "each of these numbers" };
        let (reach, set) = (reach(channel), set_in_console(channel));
        let console = Step::new(format!("{reach} {which}. If nobody is served, {set} {url}"));
        match barrier {
            Some(barrier) => vec![Step::new(barrier.mend()), console],
            None => vec![console, self.roll_back("Or let Ringback try again", group, channel, numbers)],
        }
    }

    /// How a person points numbers at their fallback where Ringback cannot.
    pub(super) fn in_console(&self, channel: Channel) -> Vec<Step> {
        let mut of_url: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (_, group) in self.roster.groups() {
            if let Some(url) = group.fallback(channel) {
                of_url.entry(url).or_default().push(group.name.as_str());
            }
        }
        if of_url.is_empty() {
            return Vec::new();
        }
        let (reach, set) = (reach(channel), set_in_console(channel));
        let mut steps = vec![Step::new(format!(
            "{reach} a number of each group meanwhile. If nobody is served, {set} the group's"
        ))];
        steps.extend(of_url.into_iter().map(|(url, groups)| Step::new(format!("{}: {url}", groups.join(", ")))));
        steps
    }

    /// Callers reach the fallback, and it fails: another rollback leads to the same.
    pub(super) fn repair_fallback(&self, group: &GroupName, channel: Channel, numbers: &[NumberId]) -> Vec<Step> {
        let url = self.group(group).and_then(|g| g.fallback(channel)).unwrap_or("the fallback");
        vec![
            Step::new(format!(
                "Repair {url} in Twilio's Console: these numbers are on it, and it fails. Or name another in \
                 [group.fallback] of {group} and have it read with `ringback reload`; roll back to it unless that is \
                 done by itself"
            )),
            self.restore(
                "If their own handler works again, restore them",
                group,
                channel,
                numbers,
                "the fallback fails",
            ),
        ]
    }

    /// To put these numbers back by a person's word.
    pub(super) fn restore(
        &self,
        text: impl Into<String>,
        group: &GroupName,
        channel: Channel,
        numbers: &[NumberId],
        reason: &str,
    ) -> Step {
        self.order(text, Operation::Restore, group, channel, numbers, &format!("--reason '{reason}'"))
    }

    /// To roll these numbers back by a person's word.
    pub fn roll_back(&self, text: &str, group: &GroupName, channel: Channel, numbers: &[NumberId]) -> Step {
        let reason = format!("--reason '{}'", Counted::People.words(channel).fail.to_lowercase());
        self.order(text, Operation::Rollback, group, channel, numbers, &reason)
    }

    pub(super) fn hold_off(&self, text: &str, group: &GroupName, channel: Channel, numbers: &[NumberId]) -> Step {
        let which = self.selection(group, channel, numbers);
        Step::typing(text, format!("ringback hold {which} --for 1h --reason 'we are looking'"))
    }

    /// What to know about a guard before approving.
    pub(super) fn remedy(&self, guard: Guard) -> Option<Step> {
        about(guard).map(Step::new)
    }

    /// What to do where a rollback would not help.
    pub fn instead(&self, reason: PageReason, channel: Channel) -> Step {
        Step::new(instead(reason, channel))
    }

    /// How to end what a guard blocks.
    pub(super) fn unblock(
        &self,
        guard: Guard,
        hold: Option<&Hold>,
        group: &GroupName,
        channel: Channel,
        numbers: &[NumberId],
    ) -> Vec<Step> {
        let mut steps: Vec<Step> = about(guard).map(Step::new).into_iter().collect();
        match guard {
            Guard::Mode => steps.extend([
                NoticeBuilder::let_write(),
                self.roll_back("Then approve when it asks, or roll back yourself", group, channel, numbers),
            ]),
            Guard::Hold => {
                let which = hold.map_or_else(|| self.selection(group, channel, numbers), |h| self.scope(&h.scope));
                steps.push(NoticeBuilder::release(&which));
            }
            Guard::Storm | Guard::OtherWriter | Guard::Cap | Guard::Veto | Guard::Cooldown => {
                steps.push(self.roll_back("To roll back yourself", group, channel, numbers));
            }
            Guard::NotWatched
            | Guard::Phase
            | Guard::Lease
            | Guard::Blind
            | Guard::Fallback
            | Guard::NoFallback
            | Guard::NotInAccount
            | Guard::NotRead
            | Guard::OnFallback => {}
        }
        steps
    }

    /// A scope as a command takes it.
    pub fn scope(&self, scope: &Scope) -> String {
        let of = match &scope.of {
            ScopeOf::All => "--all".to_owned(),
            ScopeOf::Group(name) => format!("--group {name}"),
            ScopeOf::Number(n) => self.roster.name(*n).to_string(),
        };
        scope.channel.map_or(of.clone(), |c| format!("{of} --channel {c}"))
    }
}
