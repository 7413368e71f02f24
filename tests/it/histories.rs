//! Random histories through the real agent: its client, its state file, the pretend Twilio, pretend time.
//!
//! Handlers break and heal, operators say things, the API fails in all its ways, test calls fail or cannot be made,
//! others write to the numbers, numbers leave, the disk is slow or takes nothing, receivers of notices refuse, the
//! agent dies and starts again. The laws are checked between the steps and afterwards, from what Twilio was really
//! asked, from the journal, and from what the receiver was told ([`laws`]). The same seed gives the same history; a
//! failing one prints its seed and its steps. `RINGBACK_HISTORIES` says how many are played,
//! `RINGBACK_SEED` where to begin; with `RINGBACK_SHOW` each one's journal, writes and test calls are printed.
//!
//! Left to the model in `core::control`: clocks that are set back, and two agents on one state.

#![allow(clippy::print_stdout, reason = "it prints what was met, and which seed failed")]

mod laws;
mod step;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use ringback::agent::publish::status::OrderStatus;
use ringback::config::Config;
use ringback::core::model::decision::Mode;
use ringback::core::model::id::{Channel, E164};
use ringback::core::model::order::{Hold, Operation, ScopeOf};
use ringback::core::model::time::Time;
use ringback::core::model::verdict::Verdict;
use ringback::sim::{
    ApiFault, ApiFaultKind, ApiFaultScope, AuditActor, Edit, EndpointClass, HandlerCondition, HandlerState, Happening,
    Storm, StormEnd,
};
use ringback::store::Store;
use serde_json::{Value, json};
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tokio::task::JoinSet;

use self::step::{Disk, EditTo, LATEST, Setup, Step};
use crate::probe_trouble::between_but;
use crate::receiver::{Got, Manner, Receiver, webhook};
use crate::support::{id, sql, with_token};
use crate::world::{BIN, PROBER, Running, World, play, with_prober};

/// What the handlers' URLs are: support's calls, support's messages, sales' calls.
const HANDLERS: [&str; 3] =
    ["https://app.example.com/voice", "https://app.example.com/sms", "https://sales.example.com/voice"];

/// What `[group.handler]` asks of the calls, where it asks anything.
const APPLIED: &str = "https://new.example.com/voice";

const THEIRS: &str = "https://theirs.example.com/hook";

/// Support's three, of which the last has no messages, and sales' two, which have none.
const NUMBERS: [&str; 5] = ["+15005550100", "+15005550101", "+15005550102", "+15005550200", "+15005550201"];

fn numbers() -> [E164; 5] {
    NUMBERS.map(|n| n.parse().unwrap())
}

fn is_sales(number: E164) -> bool {
    numbers()[3..].contains(&number)
}

/// What a number's channel pointed at in the beginning.
fn original(number: E164, channel: Channel) -> &'static str {
    match channel {
        Channel::Voice if is_sales(number) => HANDLERS[2],
        Channel::Voice => HANDLERS[0],
        Channel::Messaging => HANDLERS[1],
    }
}

const fn property(channel: Channel) -> &'static str {
    match channel {
        Channel::Voice => "voice_url",
        Channel::Messaging => "sms_url",
    }
}

impl Setup {
    fn day(&self) -> String {
        let Setup { seed, .. } = self;
        let messages = if self.has_messages { ", messages_per_hour = 40" } else { "" };
        let does = if self.is_fallback_dead { "dead" } else { "answer" };
        let [app, sms, sales] = HANDLERS;
        let [a, b, c, d, e] = NUMBERS;
        with_prober(&format!(
            "name = \"histories\"\nseed = {seed}\nlasts = \"24h\"\nhistory = \"0s\"\n\
             [[bin]]\nsid = \"EH00000000000000000000000000000001\"\ndoes = \"{does}\"\n\
             [[group]]\nname = \"support\"\nnumbers = [\"{a}\", \"{b}\", \"{c}\"]\n\
             traffic = {{ calls_per_hour = 80, shape = \"flat\", skew = 0.2, failure = 0.0{messages} }}\n\
             routing = {{ voice_url = \"{app}\", sms_url = \"{sms}\" }}\n\
             [[group]]\nname = \"sales\"\nnumbers = [\"{d}\", \"{e}\"]\n\
             traffic = {{ calls_per_hour = 50, shape = \"flat\", skew = 0.2, failure = 0.0 }}\n\
             routing = {{ voice_url = \"{sales}\", sms_url = \"{sms}\" }}\n"
        ))
    }

    fn watches(&self, number: E164, channel: Channel) -> bool {
        channel == Channel::Voice || self.has_messages && numbers()[..2].contains(&number)
    }

    fn config(&self, w: &World, hook: &Receiver) -> Config {
        let channels = if self.has_messages { "voice messaging" } else { "voice" };
        let [a, b, c, d, e] = NUMBERS;
        let rows = format!("number,channels\n{a},{channels}\n{b},{channels}\n{c},voice\n");
        std::fs::write(w.folder.path().join("support.csv"), rows).unwrap();
        let both = if self.has_messages { "\"voice\", \"messaging\"" } else { "\"voice\"" };
        let probe = if self.is_probed {
            format!("[group.probe]\nfrom = \"{PROBER}\"\nevery = \"10m\"\npassive_every = \"1h\"\n")
        } else {
            String::new()
        };
        let handler =
            if self.has_handlers { format!("[group.handler]\nvoice_url = \"{APPLIED}\"\n") } else { String::new() };
        let Setup { veto, approve_within, cap, .. } = self;
        let text = format!(
            "[twilio]\naccount_sid = \"{}\"\nbase_url = \"{}\"\n\
             [agent]\nlisten = \"127.0.0.1:0\"\nmode = \"auto\"\nveto = \"{veto}s\"\napprove_within = \"{approve_within}s\"\n\
             [poll]\nactive = \"15s\"\npassive = \"15s\"\n\
             [[group]]\nname = \"support\"\nnumbers_file = \"support.csv\"\nchannels = [{both}]\ncap = {cap}\n\
             [group.fallback]\nvoice_url = \"{BIN}\"\nsms_url = \"{BIN}\"\n{handler}{probe}\
             [[group]]\nname = \"sales\"\nnumbers = [\"{d}\", \"{e}\"]\nchannels = [\"voice\"]\ncap = {cap}\n\
             [group.fallback]\nvoice_url = \"{BIN}\"\n{handler}{probe}{}",
            w.sim.scenario().account.sid,
            w.base_url,
            webhook("hook", hook)
        );
        let mut config = w.parse(&text).unwrap_or_else(|e| panic!("{e}"));
        config.agent.commit_cost = Duration::from_millis(self.commit_ms);
        config
    }
}

/// What stands between the agent and the pretend Twilio, where something does.
#[derive(Default)]
struct Proxy {
    /// SIDs of numbers that have left the account.
    gone: Mutex<BTreeSet<String>>,
    /// What bins answer when they are checked, unless it is 0.
    bins: AtomicU16,
}

impl Proxy {
    /// True if the path is a number's that has left.
    fn is_gone(&self, path: &str) -> bool {
        let gone = self.gone.lock().unwrap();
        gone.iter().any(|sid| path.contains(&format!("IncomingPhoneNumbers/{sid}.json")))
    }
}

/// A history at some point of it.
struct History<'w> {
    w: &'w World,
    setup: Setup,
    config: Config,
    hook: Receiver,
    proxy: Arc<Proxy>,
    agent: Option<Running>,
    /// What ends by itself.
    tasks: JoinSet<()>,
    /// Since when the state file takes not everything.
    disk: Arc<Mutex<Option<(Disk, Time)>>>,
    /// When the lease could not be renewed, from and to.
    no_lease: Arc<Mutex<Vec<(Time, Time)>>>,
    starts: usize,
    kills: usize,
    /// Notices could not be kept for a while.
    was_full: bool,
    /// In the end the detector holds a number for failing, though its callers are served.
    still_fails: bool,
}

/// The state file takes everything again.
async fn heal(file: PathBuf, disk: Disk) {
    let drop = |t: &&str| format!("DROP TRIGGER IF EXISTS full_insert_{t}; DROP TRIGGER IF EXISTS full_update_{t};");
    let statements: String = disk.tables().iter().map(drop).collect();
    let mut db = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(file)).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(statements)).execute(&mut db).await.unwrap();
    db.close().await.unwrap();
}

impl<'w> History<'w> {
    async fn new(w: &'w mut World, setup: Setup, servers: &mut JoinSet<()>) -> History<'w> {
        with_token(w);
        w.env.insert("HOOK_KEY", "a key");
        let hook = Receiver::listen(w, servers).await;
        let proxy = Arc::new(Proxy::default());
        if setup.has_proxy {
            let (through, of) = (proxy.clone(), proxy.clone());
            // What Twilio does not have it does not change.
            let is_gone = move |path: &str| of.is_gone(path);
            between_but(w, servers, is_gone, move |passing| {
                let bins = through.bins.load(Ordering::Relaxed);
                if passing.path.starts_with("/twiml/") && bins > 0 {
                    passing.status = bins;
                }
                let gone = through.gone.lock().unwrap();
                if passing.was_gone {
                    passing.status = 404;
                    passing.set(&json!({"code": 20404, "message": "not found", "status": 404}));
                } else if passing.path.contains("IncomingPhoneNumbers.json") && !gone.is_empty() {
                    let Some(mut page) = passing.json() else { return };
                    let Some(rows) = page["incoming_phone_numbers"].as_array_mut() else { return };
                    rows.retain(|row| row["sid"].as_str().is_none_or(|sid| !gone.contains(sid)));
                    passing.set(&page);
                }
            })
            .await;
        }
        let w = &*w;
        let config = setup.config(w, &hook);
        let mut history = History {
            w,
            setup,
            config,
            hook,
            proxy,
            agent: None,
            tasks: JoinSet::new(),
            disk: Arc::default(),
            no_lease: Arc::default(),
            starts: 0,
            kills: 0,
            was_full: false,
            still_fails: false,
        };
        history.start().await;
        w.pass(120).await;
        history
    }

    async fn start(&mut self) {
        // The lease of the one that died has its time; Twilio and the disk may be failing.
        loop {
            // Resting: the agent's commits may take time.
            let started = self.w.clock.wait(None, self.w.start_with(&self.config)).await.unwrap();
            match started {
                Ok(agent) => break self.agent = Some(agent),
                Err(_) => self.w.pass(10).await,
            }
        }
        self.starts += 1;
    }

    fn running(&self) -> &Running {
        self.agent.as_ref().unwrap()
    }

    async fn say(&self, verb: &str, ask: Value) -> (u16, Value) {
        self.running().post(verb, ask).await
    }

    fn url(&self, number: E164, channel: Channel) -> String {
        self.w.sim.number(number).unwrap()[property(channel)].as_str().unwrap_or_default().to_owned()
    }

    fn slots(&self) -> Vec<(E164, Channel)> {
        let all = numbers().into_iter().flat_map(|n| Channel::ALL.map(|c| (n, c)));
        all.filter(|(n, c)| self.setup.watches(*n, *c)).collect()
    }

    async fn play(&mut self, step: &Step) {
        let w = self.w;
        match step {
            Step::Handler(i, condition) => w.sim.set_handler(HANDLERS[*i], HandlerState::all(*condition)).unwrap(),
            Step::Handlers(condition) => {
                for url in HANDLERS {
                    w.sim.set_handler(url, HandlerState::all(*condition)).unwrap();
                }
            }
            Step::Caller(i) => {
                let storm = Storm { number: numbers()[*i], calls: 6, ends: StormEnd::Failed };
                w.sim.happen(Happening::Storm(storm)).unwrap();
            }
            Step::Say(verb, ask) => {
                let (status, said) = self.say(verb, ask.clone()).await;
                let is_full = self.disk.lock().unwrap().is_some();
                assert!(status < 500 || is_full, "{verb} {ask}: {status} {said}");
            }
            Step::TakeOver(i) => {
                let number = numbers()[*i];
                self.edit(number, Channel::Voice, THEIRS);
                w.pass(5).await;
                let ask = json!({"numbers": [number.to_string()], "channel": "voice", "reason": "history"});
                self.say("adopt", ask).await;
            }
            Step::Approve => {
                let status = self.running().status();
                let waiting = status.waiting.first().map(|d| d.decision);
                let staged = status.orders.iter().find(|o| o.order.staged && !o.is_over).map(|o| o.order.id);
                if let Some(id) = waiting.or(staged) {
                    self.say("approve", json!({"decision": id.to_string(), "reason": "history"})).await;
                }
            }
            Step::Fault(kind, on, seconds) => {
                w.sim.fault(ApiFault::new(*kind, *on).lasts(Duration::from_secs(*seconds))).unwrap();
            }
            Step::Late(seconds, takes) => {
                let scope = ApiFaultScope::Class(EndpointClass::NumberUpdate);
                let fault = ApiFault { takes: Duration::from_secs(*takes), ..ApiFault::new(ApiFaultKind::Late, scope) };
                w.sim.fault(fault.lasts(Duration::from_secs(*seconds))).unwrap();
            }
            Step::Edit(i, channel, to) => {
                let number = numbers()[*i];
                let url = match to {
                    EditTo::Theirs => THEIRS,
                    EditTo::Original => original(number, *channel),
                    EditTo::Fallback => BIN,
                };
                self.edit(number, *channel, url);
            }
            Step::Undo => {
                let is = |s: &&(E164, Channel)| {
                    matches!(self.running().channel(s.0, s.1).rollback_state, "read_back" | "proven" | "unproven")
                };
                if let Some((n, c)) = self.slots().iter().find(is) {
                    self.edit(*n, *c, original(*n, *c));
                }
            }
            Step::Leave(i) => {
                let sid = w.sim.number(numbers()[*i]).unwrap()["sid"].as_str().unwrap().to_owned();
                let mut gone = self.proxy.gone.lock().unwrap();
                if !gone.remove(&sid) {
                    gone.insert(sid);
                }
            }
            Step::Bins(status, seconds) => {
                let (proxy, clock, seconds) = (self.proxy.clone(), w.clock.clone(), *seconds);
                proxy.bins.store(*status, Ordering::Relaxed);
                w.clock.spawn(&mut self.tasks, async move {
                    clock.sleep(Duration::from_secs(seconds)).await;
                    proxy.bins.store(0, Ordering::Relaxed);
                });
            }
            Step::Disk(disk, seconds) => self.fill(*disk, *seconds).await,
            Step::Receiver(manner) => self.hook.behaves(*manner),
            Step::Die(seconds) => self.restart(false, *seconds).await,
            Step::Stop(seconds) => self.restart(true, *seconds).await,
            Step::Pass(seconds) => w.pass(*seconds).await,
        }
        // Whatever it was, a moment passes: steps fall into the middle of what the agent does.
        w.clock.sleep(Duration::from_millis(137)).await;
        self.look();
    }

    /// Somebody else does.
    fn edit(&self, number: E164, channel: Channel, url: &str) {
        let name = if channel == Channel::Voice { "VoiceUrl" } else { "SmsUrl" };
        let set = [(name.to_owned(), url.to_owned())].into();
        self.w.sim.happen(Happening::Edit(Edit { number, set })).unwrap();
    }

    /// For a while a part of the state file takes nothing. By a trigger: SQLite ends the transaction as it does when
    /// the disk is full.
    async fn fill(&mut self, disk: Disk, seconds: u64) {
        let now = self.w.now();
        {
            let mut is_full = self.disk.lock().unwrap();
            if is_full.is_some() {
                return;
            }
            *is_full = Some((disk, now));
        }
        self.was_full |= disk.tables().contains(&"outbox");
        let refuse = |t: &&str| {
            let one = |on: &str| {
                format!(
                    "CREATE TRIGGER full_{on}_{t} BEFORE {on} ON {t} BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END;"
                )
            };
            one("insert") + &one("update")
        };
        sql(self.w, &disk.tables().iter().map(refuse).collect::<String>()).await;
        let (is_full, no_lease, clock) = (self.disk.clone(), self.no_lease.clone(), self.w.clock.clone());
        let file = self.w.folder.path().join("ringback.db");
        self.w.clock.spawn(&mut self.tasks, async move {
            clock.sleep(Duration::from_secs(seconds)).await;
            if disk.tables().contains(&"lease") {
                no_lease.lock().unwrap().push((now, clock.now()));
            }
            heal(file, disk).await;
            *is_full.lock().unwrap() = None;
        });
    }

    /// The agent dies or is stopped, and the next one takes up what it had promised.
    async fn restart(&mut self, as_one_should: bool, seconds: u64) {
        let before = self.promised();
        let agent = self.agent.take().unwrap();
        if as_one_should {
            self.w.clock.wait(None, agent.stop()).await.unwrap();
        } else {
            self.kills += 1;
            drop(agent);
        }
        self.w.pass(seconds).await;
        self.start().await;
        let now = self.w.now();
        let (mode, holds) = before;
        let holds: Vec<Hold> = holds.into_iter().filter(|h| now < h.until).collect();
        assert_eq!((mode, holds), self.promised(), "law 8: mode and holds survive a restart");
    }

    /// What people were told is so, and no time changes.
    fn promised(&self) -> (Mode, Vec<Hold>) {
        let status = self.running().status();
        let now = self.w.now();
        (status.mode, status.holds.iter().filter(|h| now < h.until).cloned().collect())
    }

    /// What is true at all times.
    fn look(&self) {
        let status = self.running().status();
        let left = |n: E164, c: Channel| {
            let has = |o: &OrderStatus| !o.is_over && o.order.channel == c && o.order.numbers.contains(&id(self.w, n));
            status.orders.iter().any(has)
        };
        for (n, c) in self.slots() {
            let state = self.running().channel(n, c).rollback_state;
            let is_said = matches!(state, "read_back" | "proven");
            // What has landed late is known with the next look.
            if is_said && !left(n, c) && !laws::is_late(self.w, n, c) {
                let (url, writer) = (self.url(n, c), laws::last_writer(self.w, n, c));
                let is_there = url == BIN || writer == Some(AuditActor::Person);
                let now = self.w.now();
                assert!(is_there, "law 5: {n} {c} is {state} at {now}, and {writer:?} has pointed it at {url}");
            }
        }
    }

    /// With nothing in the way any more, everything comes to an end.
    async fn settle(&mut self) {
        let w = self.w;
        w.sim.calm();
        for url in HANDLERS.into_iter().chain([THEIRS, APPLIED]) {
            w.sim.set_handler(url, HandlerState::all(HandlerCondition::Healthy)).unwrap();
        }
        self.proxy.gone.lock().unwrap().clear();
        self.hook.behaves(Manner::Takes);
        // What ends by itself does.
        while self.w.clock.wait(None, self.tasks.join_next()).await.flatten().is_some() {}
        w.pass(if self.setup.has_late { LATEST + 120 } else { 60 }).await;
        assert_eq!(self.say("mode", json!({"mode": "auto", "reason": "end"})).await.0, 200);
        self.say("release", json!({"all": true, "reason": "end"})).await;
        for hold in self.running().status().holds.clone() {
            let mut scope = match &hold.scope.of {
                ScopeOf::All => json!({"all": true}),
                ScopeOf::Group(g) => json!({"group": g.to_string()}),
                ScopeOf::Number(n) => json!({"numbers": [n.key()]}),
            };
            if let Some(channel) = hold.scope.channel {
                scope["channel"] = json!(channel.label());
            }
            scope["reason"] = json!("end");
            self.say("release", scope).await;
        }
        self.rounds(12).await;
        let status = self.running().status();
        assert!(status.orders.iter().all(|o| o.is_over), "law 8: an order does not end: {:?}", status.orders);
        let late = |until: Option<Time>| until.is_some_and(|t| t + Duration::from_secs(60) < w.now());
        let waits: Vec<_> = status.waiting.iter().filter(|d| late(d.until)).collect();
        assert!(waits.is_empty(), "law 8: a question does not end: {waits:?}");
        for (n, c) in self.slots() {
            let state = self.running().channel(n, c).rollback_state;
            let under_way = ["snapshotted", "checked", "intended", "written", "restoring", "restore_written"];
            assert!(!under_way.contains(&state), "law 8: {n} {c} stays {state}");
            let is_applied = self.running().channel(n, c).is_applied;
            if is_applied && !matches!(state, "read_back" | "proven" | "unproven") {
                let is_theirs = laws::last_writer(self.w, n, c) == Some(AuditActor::Person);
                let is = self.url(n, c);
                assert!(
                    is == APPLIED || is_theirs || self.is_unproven_apply(n, c),
                    "{n} {c} is said to be applied: {is}"
                );
            }
            match state {
                "read_back" | "proven" => assert_eq!(self.url(n, c), BIN, "{n} {c} is said to be on the fallback"),
                "restored" => {
                    let is_theirs = laws::last_writer(self.w, n, c) == Some(AuditActor::Person);
                    assert!(self.url(n, c) != BIN || is_theirs, "{n} {c} is said to be restored");
                }
                _ => {}
            }
        }
    }

    /// The latest order about the number's handler left open what it is.
    fn is_unproven_apply(&self, number: E164, channel: Channel) -> bool {
        let status = self.running().status();
        let is_it = |o: &&OrderStatus| {
            matches!(o.order.operation, Operation::Apply | Operation::Undo)
                && o.order.channel == channel
                && o.order.numbers.contains(&id(self.w, number))
        };
        let latest = status.orders.iter().find(is_it);
        latest.is_none_or(|o| o.ended.iter().any(|e| e.number == number && !e.result.is_as_asked()))
    }

    async fn rounds(&self, rounds: u32) {
        for _ in 0..rounds {
            self.w.pass(300).await;
            let status = self.running().status();
            let open: Vec<_> = status.orders.iter().filter(|o| !o.is_over).map(|o| o.order.id).collect();
            if open.is_empty() && status.waiting.is_empty() {
                break;
            }
            for id in open {
                self.say("approve", json!({"decision": id.to_string(), "reason": "end"})).await;
            }
        }
    }

    /// Everything is put back, and time passes: of no incident is anything left.
    async fn put_back(&mut self) {
        // Callers who were served for an hour may not outweigh those before: what is put back is to stay there.
        assert_eq!(self.say("mode", json!({"mode": "confirm", "reason": "end"})).await.0, 200);
        for _ in 0..3 {
            let restore = json!({"all": true, "force": true, "at_once": true, "reason": "end"});
            let (status, plan) = self.say("restore", restore).await;
            assert_eq!(status, 200, "{plan}");
            self.rounds(1).await;
        }
        if self.setup.has_handlers {
            let undo = json!({"all": true, "applied": true, "force": true, "at_once": true, "reason": "end"});
            let (status, plan) = self.say("restore", undo).await;
            assert_eq!(status, 200, "{plan}");
            self.rounds(1).await;
            for (n, c) in self.slots() {
                assert!(!self.running().channel(n, c).is_applied, "{n} {c}: an apply cannot be undone: {plan}");
            }
        }
        for (n, c) in self.slots() {
            let state = self.running().channel(n, c).rollback_state;
            assert!(!matches!(state, "read_back" | "proven" | "unproven"), "{n} {c} cannot be put back: {state}");
            if self.url(n, c) != original(n, c) {
                self.edit(n, c, original(n, c));
            }
        }
        // Its callers show that a number is well again.
        for _ in 0..24 {
            self.w.pass(300).await;
            if self.firing().is_empty() {
                break;
            }
        }
        let fails = |(n, c): (E164, Channel)| self.running().channel(n, c).verdict == Verdict::Failing;
        self.still_fails = self.slots().into_iter().any(fails);
    }

    /// The incidents that the receiver was told of and that have not ended.
    fn firing(&self) -> BTreeSet<String> {
        let mut open = BTreeSet::new();
        for got in self.hook.taken() {
            let key = got.body["key"].as_str().unwrap_or_default().to_owned();
            match got.body["status"].as_str() {
                Some("firing") => open.insert(key),
                Some("resolved") => open.remove(&key),
                _ => false,
            };
        }
        open
    }

    /// Another agent on the same state is where this one was, and tells nothing again.
    /// Gives how many notices this start has sent for what was before it.
    async fn same_after_a_restart(&mut self) -> u64 {
        let state = |h: &History<'_>| {
            let of = |(n, c): (E164, Channel)| {
                let s = h.running().channel(n, c);
                (n, c, s.rollback_state, s.is_on_fallback, s.is_applied, s.phase, h.url(n, c))
            };
            (h.slots().into_iter().map(of).collect::<Vec<_>>(), h.promised())
        };
        let (before, writes) = (state(self), laws::writes(self.w).len());
        self.w.clock.wait(None, self.agent.take().unwrap().stop()).await.unwrap();
        let told = self.hook.taken().len();
        self.start().await;
        self.w.pass(60).await;
        assert_eq!(state(self), before, "law 8: the same after a restart");
        assert_eq!(laws::writes(self.w).len(), writes, "law 2: written again after a restart");
        let again = self.hook.taken();
        let said = |g: &Got| ["key", "status", "title"].map(|k| g.body[k].as_str().unwrap_or_default().to_owned());
        let (before, again) = again.split_at(told);
        let ended: BTreeSet<String> =
            before.iter().map(said).filter(|[_, status, _]| status == "resolved").map(|[key, ..]| key).collect();
        let again: Vec<[String; 3]> = again.iter().map(said).collect();
        // What the state file could not keep is told once more; and the journal does not know what a verdict ended.
        let is_new = |[key, status, _]: &&[String; 3]| status == "firing" && !ended.contains(key);
        let new: Vec<_> = again.iter().filter(is_new).collect();
        assert!(self.was_full || new.is_empty(), "told again after a restart: {new:?}");
        assert!(self.was_full || again.iter().all(|[_, status, _]| status != "event"), "told again: {again:?}");
        if !again.is_empty() {
            println!("seed {}: told with a restart: {again:?}", self.setup.seed);
        }
        again.len() as u64
    }
}

/// What the histories have met, by name.
type Met = BTreeMap<String, u64>;

/// Plays one history to its end.
fn history(seed: u64) -> (Setup, Vec<Step>, impl FnOnce() -> Met) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let setup = Setup::draw(seed, &mut rng);
    let steps: Vec<Step> = (0..rng.random_range(8..28)).map(|_| Step::draw(&mut rng)).collect();
    let (setup, steps) = setup.with_applies(steps);
    let (setup, steps) = setup.with_late(steps);
    let (own, of_it) = (setup.clone(), steps.clone());
    let play = move || {
        play(&own.day(), async |w| {
            let mut servers = JoinSet::new();
            let mut history = History::new(w, own.clone(), &mut servers).await;
            for step in &of_it {
                history.play(step).await;
            }
            history.settle().await;
            history.put_back().await;
            let [follow, other] = laws::explain(&history).await;
            let late = history.same_after_a_restart().await;
            let agent = history.agent.take().unwrap();
            history.w.clock.wait(None, agent.stop()).await.unwrap();
            let store = Store::open(&history.config.agent.state).await.unwrap();
            let mut met = laws::check(&history, &store).await;
            store.close().await;
            met.insert("explained".to_owned(), follow);
            met.insert("explained otherwise".to_owned(), other);
            met.insert("told with a restart".to_owned(), late);
            met.insert("starts".to_owned(), history.starts as u64);
            met.insert("still fails at the end".to_owned(), u64::from(history.still_fails));
            met.insert("kills".to_owned(), history.kills as u64);
            met
        })
    };
    (setup, steps, play)
}

#[test]
fn the_laws_hold_in_histories_of_the_real_agent() {
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let (histories, first) = (number("RINGBACK_HISTORIES").unwrap_or(8), number("RINGBACK_SEED").unwrap_or(1));
    let mut met = Met::new();
    let mut failed = Vec::new();
    for seed in first..first + histories {
        let (setup, steps, play) = history(seed);
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(play)) {
            Ok(of_it) => of_it.into_iter().for_each(|(name, n)| *met.entry(name).or_default() += n),
            Err(_) => {
                println!("RINGBACK_SEED={seed} RINGBACK_HISTORIES=1 plays it again: {setup:?} {steps:#?}");
                failed.push(seed);
            }
        }
    }
    println!("{histories} histories from seed {first}: {met:#?}");
    assert!(failed.is_empty(), "histories that break a law, by seed: {failed:?}");
    laws::is_enough(histories, &met);
}
