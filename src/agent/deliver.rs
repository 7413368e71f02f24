//! Delivers notices: keeps each until it is delivered, retries, and records what the receiver answered.
//!
//! The **dispatcher** takes posted notices, keeps each in the store for every notifier that wants it, and puts it
//! into that notifier's queue. Each notifier has a **delivery worker**, which sends its queue in order: a notifier
//! that is slow or down delays no other. Failed deliveries are retried with exponential backoff and jitter, or when
//! `Retry-After` says, for up to 24 h. Notices beyond `per_minute` are rate-limited and
//! summed up in one notice. Undelivered notices survive a restart.
//!
//! Promises: posting never waits, and a notice for which there is no room is counted and reported. A notifier that was
//! told of an incident is told how it goes on and ends, whatever its filter. A notifier that does not deliver is
//! reported to the others, and to whoever looks ([`board`]). Every notice's delivery status is in the store.

pub mod board;
mod worker;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::core::model::time::Time;
use crate::core::notice::make::NoticeBuilder;
use crate::core::notice::{Notice, NoticeStatus, Severity};
use crate::metrics::Metrics;
use crate::notify::{Notifier, Sender};
use crate::store::Store;
use crate::store::outbox::{Delivery, DeliveryStatus};
pub use board::NotifierBoard;
pub use worker::DeliveryWorker;

/// Notices that may wait for the dispatcher: a storm of a thousand numbers, twice.
const INBOX: usize = 2048;

/// Notices that may wait for one delivery worker.
const QUEUE: usize = 2048;

/// Records of deliveries are kept so long.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// Where notices are posted. Cheap to clone.
#[derive(Clone)]
pub struct Outbox {
    dispatcher: mpsc::Sender<Notice>,
    lost: Arc<AtomicU64>,
}

impl Outbox {
    pub fn new() -> (Outbox, mpsc::Receiver<Notice>) {
        let (dispatcher, posted) = mpsc::channel(INBOX);
        (Outbox { dispatcher, lost: Arc::default() }, posted)
    }

    /// Hands a notice on, or counts it as lost. An agent that is stopping takes no more: the next one
    /// finds them in the journal.
    pub fn post(&self, notice: Notice) {
        if let Err(mpsc::error::TrySendError::Full(notice)) = self.dispatcher.try_send(notice) {
            tracing::error!(key = notice.key, "no room for a notice: {}", notice.title);
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A notice on its way.
#[derive(Debug, Clone)]
struct QueuedNotice {
    /// Its row, unless the store could not keep it.
    id: Option<i64>,
    notice: Notice,
    tries: u32,
    due: Time,
}

#[derive(Debug, Default)]
struct Queue {
    state: Mutex<QueueState>,
    woken: Notify,
}

#[derive(Debug, Default)]
struct QueueState {
    queued: VecDeque<QueuedNotice>,
    lost: u64,
    is_closed: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        // Plain data, valid after any panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the dispatcher and all delivery workers have.
#[derive(Clone)]
pub struct Delivering {
    clock: Clock,
    store: Store,
    metrics: Metrics,
    builder: NoticeBuilder,
    sender: Sender,
    outbox: Outbox,
    board: NotifierBoard,
    /// Seeds the jitter.
    seed: u64,
}

/// Puts notices into queues.
pub struct Dispatcher {
    delivering: Delivering,
    recipients: Vec<Recipient>,
    posted: mpsc::Receiver<Notice>,
}

/// One notifier as the dispatcher knows it.
struct Recipient {
    notifier: Arc<Notifier>,
    queue: Arc<Queue>,
    /// The incidents that it was told of and that are not over, by key, with the worst severity so far.
    open: BTreeMap<String, Severity>,
}

impl Recipient {
    /// The notice as this notifier is to have it; `None` if it is not for it.
    fn address(&self, notice: &Notice) -> Option<Notice> {
        let open = self.open.get(&notice.key).copied();
        let is_for_it = self.notifier.wants(notice) || open.is_some() && self.notifier.concerns(notice);
        let worst = open.map_or(notice.incident_severity, |worst| worst.max(notice.incident_severity));
        is_for_it.then(|| Notice { incident_severity: worst, ..notice.clone() })
    }

    /// It was, or will be, told this.
    fn told(&mut self, notice: &Notice) {
        match notice.status {
            NoticeStatus::Firing => {
                let worst = self.open.entry(notice.key.clone()).or_insert(notice.severity);
                *worst = notice.filed_severity().max(*worst);
            }
            NoticeStatus::Event => {}
            NoticeStatus::Resolved => {
                self.open.remove(&notice.key);
            }
        }
    }
}

/// Everything that the tasks are made of.
pub struct Parts {
    pub clock: Clock,
    pub store: Store,
    pub metrics: Metrics,
    pub builder: NoticeBuilder,
    pub sender: Sender,
    pub outbox: Outbox,
    pub board: NotifierBoard,
    pub seed: u64,
}

/// The dispatcher and a delivery worker for each notifier, with what the agent before left undelivered.
pub fn staff(
    parts: Parts,
    notifiers: &[Notifier],
    posted: mpsc::Receiver<Notice>,
    told: &[Delivery],
) -> (Dispatcher, Vec<DeliveryWorker>) {
    let Parts { clock, store, metrics, builder, sender, outbox, board, seed } = parts;
    metrics.notifiers(notifiers.iter().map(|n| n.name.as_str()));
    board.are(notifiers.len());
    let delivering = Delivering { clock, store, metrics, builder, sender, outbox, board, seed };
    let now = delivering.clock.now();
    let mut dispatcher = Dispatcher { delivering: delivering.clone(), recipients: Vec::new(), posted };
    let mut delivery_workers = Vec::new();
    for notifier in notifiers {
        let notifier = Arc::new(notifier.clone());
        let ours = || told.iter().filter(|d| d.notifier == notifier.name);
        let queue = Arc::new(Queue::default());
        queue.lock().queued = ours()
            .filter(|d| d.status == DeliveryStatus::Waiting)
            .map(|d| QueuedNotice { id: Some(d.id), notice: d.notice.clone(), tries: d.tries, due: now })
            .collect();
        let mut recipient = Recipient { notifier: notifier.clone(), queue: queue.clone(), open: BTreeMap::new() };
        ours().for_each(|d| recipient.told(&d.notice));
        dispatcher.recipients.push(recipient);
        delivery_workers.push(DeliveryWorker::new(delivering.clone(), notifier, queue, delivery_workers.len(), told));
    }
    (dispatcher, delivery_workers)
}

impl Dispatcher {
    /// Works until it is stopped; what was posted by then is kept.
    pub async fn run(mut self, stop: CancellationToken) {
        let clock = self.delivering.clock.clone();
        if let Err(error) = self.delivering.store.prune_outbox(clock.now() - KEPT).await {
            tracing::warn!(%error, cure = error.cure, "old notices are not forgotten");
        }
        loop {
            let next = async {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => None,
                    notice = self.posted.recv() => notice,
                }
            };
            match clock.wait(None, next).await.flatten() {
                Some(notice) => self.take(notice).await,
                None => break,
            }
        }
        while let Ok(notice) = self.posted.try_recv() {
            self.take(notice).await;
        }
        for Recipient { queue, .. } in &self.recipients {
            queue.lock().is_closed = true;
            queue.woken.notify_one();
        }
    }

    async fn take(&mut self, notice: Notice) {
        let lost = self.delivering.outbox.lost.swap(0, Ordering::Relaxed);
        for recipient in &mut self.recipients {
            let (notifier, queue) = (recipient.notifier.clone(), recipient.queue.clone());
            if lost > 0 {
                queue.lock().lost += lost;
                (0..lost).for_each(|_| self.delivering.metrics.notified(&notifier.name, "dropped"));
            }
            let Some(notice) = recipient.address(&notice) else { continue };
            let id = match self.delivering.store.keep_notice(&notifier.name, &notice).await {
                Ok(Some(id)) => Some(id),
                // Told already, before a restart.
                Ok(None) => continue,
                Err(error) => {
                    tracing::warn!(%error, cure = error.cure, "a notice is sent without being kept");
                    None
                }
            };
            recipient.told(&notice);
            // An end has room always: without it a pager's incident would stay open for ever.
            let is_end = notice.status == NoticeStatus::Resolved && notifier.channel.keeps_incidents();
            let queued = QueuedNotice { id, notice, tries: 0, due: self.delivering.clock.now() };
            let has_room = {
                let mut state = queue.lock();
                let has_room = is_end || state.queued.len() < QUEUE;
                if has_room {
                    state.queued.push_back(queued);
                } else {
                    state.lost += 1;
                }
                has_room
            };
            if !has_room {
                self.delivering.metrics.notified(&notifier.name, "dropped");
                self.delivering.note(id, DeliveryStatus::Dropped, 0, "no room in the queue").await;
            }
            queue.woken.notify_one();
        }
    }
}

impl Delivering {
    async fn note(&self, id: Option<i64>, status: DeliveryStatus, tries: u32, answer: &str) {
        let Some(id) = id else { return };
        if let Err(error) = self.store.note_delivery(id, status, tries, self.clock.now(), answer).await {
            tracing::warn!(%error, cure = error.cure, "what became of a notice is not written down");
        }
    }
}
