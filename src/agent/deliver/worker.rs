//! A delivery worker: takes one notifier's queue to it, in order, again and again until it is delivered.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::{Delivering, Queue, QueuedNotice};
use crate::core::model::bounds;
use crate::core::model::foreign::Line;
use crate::core::model::time::Time;
use crate::core::notice::condition::AgentCondition;
use crate::core::notice::{Notice, NoticeKind, NoticeStatus, Severity};
use crate::notify::{Notifier, NotifierReply, NotifyChannel, alertmanager};
use crate::store::outbox::{Delivery, DeliveryStatus};

/// After this a notice is no longer of use.
const GIVE_UP_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Before the second try; twice as long before each further one.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// Titles that are told of what waits.
const TITLES: usize = 3;

/// Tries in a row without success after which the others are told.
const FAILING: u32 = 3;

/// The span in which `per_minute` is counted.
const MINUTE: Duration = Duration::from_secs(60);

/// Since when a notifier has delivered nothing, and what came of the latest try, by what is left of its deliveries;
/// `None` if it delivered last, or was not tried so often that it counts.
fn failing_before<'a>(name: &str, told: &'a [Delivery]) -> Option<(Time, Option<&'a str>)> {
    let tried = || told.iter().filter(|d| d.notifier == name).filter_map(|d| Some((d.ended?, d)));
    let delivered = tried().filter(|(_, d)| d.status == DeliveryStatus::Delivered).map(|(at, _)| at).max();
    let failed = || {
        let is_bad = |d: &Delivery| matches!(d.status, DeliveryStatus::Waiting | DeliveryStatus::Failed);
        tried().filter(move |(at, d)| d.tries > 0 && is_bad(d) && delivered.is_none_or(|good| *at > good))
    };
    let is_refused = failed().any(|(_, d)| d.status == DeliveryStatus::Failed);
    let tries = failed().fold(0u32, |sum, (_, d)| sum.saturating_add(d.tries));
    let (_, latest) = failed().max_by_key(|(at, _)| *at)?;
    let since = failed().map(|(_, d)| d.notice.at.at).min()?;
    (is_refused || tries >= FAILING).then_some((since, Some(latest.answer.as_str())))
}

/// Takes one queue to one notifier.
pub struct DeliveryWorker {
    delivering: Delivering,
    notifier: Arc<Notifier>,
    queue: Arc<Queue>,
    /// When it sent, within the last minute.
    sent: VecDeque<Time>,
    rate_limited: Vec<(Severity, String)>,
    /// Tries in a row that did not succeed.
    failures: u32,
    /// Since when the others know that it does not deliver.
    failing: Option<(Time, AgentCondition)>,
    /// What a pager was told and stands.
    standing: BTreeMap<String, Notice>,
    next_word: Time,
    jitter: ChaCha8Rng,
}

impl DeliveryWorker {
    /// With what the agent before it left: what a pager was told and stands, and whether the others know that it does
    /// not deliver. `nth`: its place among the workers, for the jitter.
    pub(super) fn new(
        delivering: Delivering,
        notifier: Arc<Notifier>,
        queue: Arc<Queue>,
        nth: usize,
        told: &[Delivery],
    ) -> DeliveryWorker {
        let mut worker = DeliveryWorker {
            jitter: ChaCha8Rng::seed_from_u64(delivering.seed ^ nth as u64),
            next_word: delivering.clock.now(),
            delivering,
            queue,
            sent: VecDeque::new(),
            rate_limited: Vec::new(),
            failures: 0,
            failing: None,
            standing: BTreeMap::new(),
            notifier,
        };
        let name = worker.notifier.name.clone();
        for d in told.iter().filter(|d| d.notifier == name && d.status == DeliveryStatus::Delivered) {
            worker.stands(&d.notice);
        }
        let key = format!("notifier/{name}");
        let others_know = told.iter().rfind(|d| d.notice.key == key && d.notice.status != NoticeStatus::Event);
        let others_know =
            others_know.filter(|d| d.notice.status == NoticeStatus::Firing).map(|d| (d.notice.at.at, None));
        // Where it is the only one, nobody could be told: what came of its own deliveries says so.
        if let Some((since, problem)) = others_know.or_else(|| failing_before(&name, told)) {
            let condition = AgentCondition::NotifierFailing { name, problem: problem.unwrap_or_default().to_owned() };
            worker.failing = Some((since, condition));
            worker.failures = FAILING;
            worker.delivering.board.fails(&worker.notifier.name, since, problem);
            worker.delivering.metrics.notifier_fails(&worker.notifier.name, true);
            worker.tell_undelivered(0);
        }
        worker
    }

    pub fn name(&self) -> &str {
        &self.notifier.name
    }

    /// Works until the dispatcher has closed its queue.
    pub async fn run(mut self) {
        let clock = self.delivering.clock.clone();
        loop {
            let now = clock.now();
            self.say_what_stands(now).await;
            self.sum_up(now).await;
            let queued = self.next(now);
            if let Some(queued) = queued {
                self.carry(queued).await;
                continue;
            }
            if self.queue.lock().is_closed {
                return;
            }
            let queue = self.queue.clone();
            clock.wait(self.wake_at(), queue.woken.notified()).await;
        }
    }

    /// The notice that is to be sent now. When the agent stops, only what nobody else would send.
    fn next(&self, now: Time) -> Option<QueuedNotice> {
        let mut state = self.queue.lock();
        if state.is_closed {
            let ix = state.queued.iter().position(|l| l.id.is_none() && l.tries == 0)?;
            return state.queued.remove(ix);
        }
        // In order: an end must not overtake its beginning.
        state.queued.front().filter(|l| l.due <= now)?;
        state.queued.pop_front()
    }

    /// When there is something to do again; each part is after the instant at which nothing was left to do.
    fn wake_at(&self) -> Option<Time> {
        let due = self.queue.lock().queued.front().map(|l| l.due);
        let is_renewed =
            matches!(self.notifier.channel, NotifyChannel::Alertmanager { .. }) && !self.standing.is_empty();
        let word = is_renewed.then_some(self.next_word);
        let free = self.sent.front().filter(|_| self.has_summary()).map(|t| *t + MINUTE);
        [due, word, free].into_iter().flatten().min()
    }

    /// True if there is something to sum up, and nothing that must be delivered before it.
    fn has_summary(&self) -> bool {
        let queue = self.queue.lock();
        // What was tried and waits has its own time, and a summary would meet the same answer.
        let is_blocked = queue.queued.front().is_some_and(|l| l.tries > 0);
        !is_blocked && !queue.is_closed && (queue.lost > 0 || !self.rate_limited.is_empty())
    }

    /// True if another notice may go out in this minute.
    fn is_free(&mut self, now: Time) -> bool {
        while self.sent.front().is_some_and(|t| *t + MINUTE <= now) {
            self.sent.pop_front();
        }
        self.sent.len() < self.notifier.per_minute as usize
    }

    async fn carry(&mut self, mut queued: QueuedNotice) {
        let now = self.delivering.clock.now();
        let is_end = queued.notice.status == NoticeStatus::Resolved && self.notifier.channel.keeps_incidents();
        // A notice that was tried has its place in the minute already; an end that a pager waits for needs none.
        if queued.tries == 0 && !is_end {
            if !self.is_free(now) {
                if self.rate_limited.len() < bounds::SUMMED_UP {
                    self.rate_limited.push((queued.notice.severity, queued.notice.title.clone()));
                } else {
                    self.queue.lock().lost += 1;
                }
                self.delivering.metrics.notified(&self.notifier.name, "held_back");
                let said = "more than per_minute: summed up in a later notice";
                self.delivering.note(queued.id, DeliveryStatus::HeldBack, 0, said).await;
                return;
            }
            self.sent.push_back(now);
        }
        let answer = self.deliver(&queued.notice).await;
        queued.tries = queued.tries.saturating_add(1);
        let now = self.delivering.clock.now();
        match &answer {
            NotifierReply::Delivered(said) => {
                self.delivering.metrics.notified(&self.notifier.name, "success");
                self.delivering.note(queued.id, DeliveryStatus::Delivered, queued.tries, said).await;
                self.stands(&queued.notice);
                self.next_word = now + alertmanager::EVERY;
                self.works(now);
            }
            NotifierReply::Refused(problem) => {
                self.delivering.metrics.notified(&self.notifier.name, "failure");
                tracing::error!(notifier = self.notifier.name, key = queued.notice.key, "refused: {problem}");
                self.delivering.note(queued.id, DeliveryStatus::Failed, queued.tries, problem).await;
                self.fails(now, FAILING, problem);
                self.delivering.board.undelivered(
                    &self.notifier.name,
                    self.queue.lock().queued.len(),
                    vec![Line::new(&queued.notice.title)],
                    1,
                );
            }
            NotifierReply::Again { problem, after } => {
                self.delivering.metrics.notified(&self.notifier.name, "failure");
                tracing::warn!(
                    notifier = self.notifier.name,
                    key = queued.notice.key,
                    tries = queued.tries,
                    "{problem}"
                );
                let is_old = queued.notice.at.at + GIVE_UP_AFTER <= now;
                let status = if is_old { DeliveryStatus::Failed } else { DeliveryStatus::Waiting };
                self.delivering.note(queued.id, status, queued.tries, problem).await;
                if !is_old {
                    queued.due = now + after.unwrap_or_else(|| self.wait(queued.tries));
                    self.queue.lock().queued.push_front(queued);
                }
                self.fails(now, 1, problem);
                self.tell_undelivered(usize::from(is_old));
            }
        }
    }

    /// What waits, the latest first, and how many more will never come.
    fn tell_undelivered(&self, lost: usize) {
        let (waiting, titles) = {
            let state = self.queue.lock();
            let own = format!("notifier/{}", self.notifier.name);
            let others = state.queued.iter().rev().filter(|q| q.notice.key != own);
            (state.queued.len(), others.take(TITLES).map(|q| Line::new(&q.notice.title)).collect())
        };
        self.delivering.board.undelivered(&self.notifier.name, waiting, titles, lost);
    }

    /// One try. A pager does not page again when an incident that it has becomes more severe, and for an Alertmanager
    /// that is another alert: so the less severe one is ended first.
    async fn deliver(&self, notice: &Notice) -> NotifierReply {
        let Delivering { sender, .. } = &self.delivering;
        let milder = self.standing.get(&notice.key).filter(|n| n.filed_severity() < notice.filed_severity());
        if let Some(milder) = milder {
            let ended = Notice { status: NoticeStatus::Resolved, at: notice.at.clone(), ..milder.clone() };
            let answer = sender.send(&self.notifier, &ended).await;
            if !matches!(answer, NotifierReply::Delivered(_)) {
                return answer;
            }
        }
        sender.send(&self.notifier, notice).await
    }

    /// Before the next try: half of a bound that doubles, and up to the other half by chance.
    fn wait(&mut self, tries: u32) -> Duration {
        let bound = FIRST_WAIT.saturating_mul(1 << tries.saturating_sub(1).min(20)).min(LONGEST_WAIT);
        let share: f64 = self.jitter.random();
        bound / 2 + bound.mul_f64(share / 2.0)
    }

    fn works(&mut self, now: Time) {
        self.failures = 0;
        if let Some((since, condition)) = self.failing.take() {
            self.delivering.board.works(&self.notifier.name);
            self.delivering.metrics.notifier_fails(&self.notifier.name, false);
            let notice = self.delivering.builder.condition(now, since, &condition, NoticeStatus::Resolved);
            self.delivering.outbox.post(notice);
        }
    }

    fn fails(&mut self, now: Time, weight: u32, problem: &str) {
        self.failures = self.failures.saturating_add(weight);
        if self.failures >= FAILING && self.failing.is_none() {
            tracing::error!(notifier = self.notifier.name, "it does not deliver: {problem}");
            let condition =
                AgentCondition::NotifierFailing { name: self.notifier.name.clone(), problem: problem.to_owned() };
            let notice = self.delivering.builder.condition(now, now, &condition, NoticeStatus::Firing);
            self.failing = Some((now, condition));
            self.delivering.metrics.notifier_fails(&self.notifier.name, true);
            self.delivering.outbox.post(notice);
        }
        if let Some((since, _)) = &self.failing {
            self.delivering.board.fails(&self.notifier.name, *since, Some(problem));
        }
    }

    /// One notice for all that was held back, as soon as there is room for it.
    async fn sum_up(&mut self, now: Time) {
        if !self.has_summary() || !self.is_free(now) {
            return;
        }
        let lost = std::mem::take(&mut self.queue.lock().lost);
        let rate_limited = std::mem::take(&mut self.rate_limited);
        let notice = self.delivering.builder.summary(now, &self.notifier.name, &rate_limited, lost);
        let id = self.delivering.store.keep_notice(&self.notifier.name, &notice).await.ok().flatten();
        self.queue.lock().queued.push_front(QueuedNotice { id, notice, tries: 0, due: now });
    }

    fn stands(&mut self, notice: &Notice) {
        if !self.notifier.channel.keeps_incidents() {
            return;
        }
        match notice.status {
            NoticeStatus::Firing | NoticeStatus::Event if notice.kind != NoticeKind::Test => {
                self.standing.insert(notice.key.clone(), notice.clone());
            }
            NoticeStatus::Firing | NoticeStatus::Event => {}
            NoticeStatus::Resolved => {
                self.standing.remove(&notice.key);
            }
        }
    }

    /// Tells an Alertmanager again of what stands: it takes what it does not hear of for over.
    async fn say_what_stands(&mut self, now: Time) {
        let NotifyChannel::Alertmanager { url } = &self.notifier.channel else { return };
        self.standing.retain(|_, n| n.status == NoticeStatus::Firing || now < n.at.at + alertmanager::ONCE_FOR);
        if self.standing.is_empty() || now < self.next_word || self.queue.lock().is_closed {
            return;
        }
        self.next_word = now + alertmanager::EVERY;
        let standing: Vec<&Notice> = self.standing.values().collect();
        let answer = self.delivering.sender.send_standing(url, &standing, self.notifier.timeout).await;
        match answer {
            NotifierReply::Delivered(_) => self.works(now),
            NotifierReply::Again { problem, .. } | NotifierReply::Refused(problem) => {
                self.delivering.metrics.notified(&self.notifier.name, "failure");
                self.fails(now, 1, &problem);
            }
        }
    }
}
