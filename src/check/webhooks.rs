//! Handlers and fallbacks, asked as Twilio asks them; and the rules of the Webhooks configuration that meet them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Gatherer, Options, each, looked};
use crate::agent::poll::fallback::ask::{Asking, FallbackSeen, ask};
use crate::clock::Clock;
use crate::core::check::dials;
use crate::core::check::facts::{Answer, Facts, FallbackAsked, HandlerAsked, Looked, Unlooked, WebhookRule};
use crate::core::model::dialled::calling_code;
use crate::core::model::id::{Channel, NumberId};
use crate::core::model::redact::told;
use crate::core::model::roster::{NumberIx, Roster};
use crate::core::rollback::fallbacks::FallbackLook;
use crate::core::routing::record::{Handler, bare, is_same_fallback, is_same_host};
use crate::core::routing::values::RoutingValues;
use crate::twilio::Client;
use crate::twilio::standing::WireRule;
use crate::twilio::wire::NumberRead;

/// Handlers that are asked: somebody with an address for each number has thousands.
const HANDLERS: usize = 40;

/// Webhooks that are asked at once. Each may take Twilio's whole patience.
const AT_ONCE: usize = 20;

/// By channel, number of the group and address: who answers.
type Answering = Arc<BTreeMap<(usize, NumberIx), String>>;

/// One question to a webhook.
struct Question {
    url: String,
    channel: Channel,
    number: NumberIx,
    by_get: Option<bool>,
    is_fallback: bool,
}

/// Asks, and says how long the answer took.
async fn answer(client: Client, clock: Clock, roster: Arc<Roster>, answering: Answering, question: Question) -> Answer {
    let Question { url, channel, number, by_get, is_fallback } = question;
    let group = roster.number(number).group;
    let handler_of = |leads_to: &str| {
        let is_it = |n: &&NumberIx| {
            let own = answering.get(&(channel.index(), **n));
            own.is_some_and(|own| !is_same_fallback(&url, own) && is_same_fallback(leads_to, own))
        };
        roster.group(group).numbers.iter().find(is_it).copied().filter(|_| is_fallback)
    };
    let began = clock.now();
    let handler_beside = |file: &str| {
        let is_it = |n: &&NumberIx| {
            let own = answering.get(&(channel.index(), **n));
            own.is_some_and(|own| !is_same_fallback(&url, own) && is_same_host(file, own))
        };
        roster.group(group).numbers.iter().find(is_it).copied().filter(|_| is_fallback)
    };
    let (client, roster) = (&client, &*roster);
    let asking = Asking { client, roster, by_get, handler_of: &handler_of, handler_beside: &handler_beside };
    let FallbackSeen { look, broken, answers, .. } = ask(&asking, &url, channel, number).await;
    let took = clock.now().since(began);
    let codes = roster.calling_codes();
    let dials: BTreeSet<_> = answers.iter().flat_map(|document| dials::numbers(document, codes)).collect();
    // What a look says may quote what was answered.
    let look = match look {
        FallbackLook::Told(state, why) => FallbackLook::Told(state, told(&why, roster)),
        FallbackLook::Unanswered(why) => FallbackLook::Unanswered(told(&why, roster)),
        FallbackLook::Unasked(why) => FallbackLook::Unasked(why),
    };
    Answer { look, broken, took, dials: dials.into_iter().collect() }
}

/// A handler, by its channel, its method and its address.
type HandlerKey = (usize, bool, String);

impl Gatherer<'_> {
    pub(super) async fn ask_webhooks(&self, reads: &[NumberRead], facts: &mut Facts, options: &Options) {
        let handlers = self.handlers(reads);
        let answering: BTreeMap<(usize, NumberIx), String> =
            handlers.iter().flat_map(|((c, _, url), all)| all.iter().map(|ix| ((*c, *ix), url.clone()))).collect();
        let answering: Answering = Arc::new(answering);
        let not_asked = Unlooked::optional("webhooks are not asked (--no-webhooks)");
        let mut left: Vec<(HandlerKey, Vec<NumberIx>)> = handlers.into_iter().collect();
        // Those that most numbers have come first.
        left.sort_by_key(|(key, numbers)| (usize::MAX - numbers.len(), key.clone()));
        let beyond = left.split_off(left.len().min(HANDLERS));
        let mut asked: Vec<(HandlerKey, Vec<NumberIx>, Looked<Answer>)> = Vec::new();
        for chunk in left.chunks(AT_ONCE) {
            let answers: Vec<Looked<Answer>> = if options.webhooks {
                let questions = chunk.iter().map(|((c, by_get, url), numbers)| Question {
                    url: url.clone(),
                    channel: Channel::ALL[*c],
                    number: numbers[0],
                    by_get: Some(*by_get),
                    is_fallback: false,
                });
                self.ask_all(questions.collect(), &answering).await.into_iter().map(Ok).collect()
            } else {
                chunk.iter().map(|_| Err(not_asked.clone())).collect()
            };
            asked.extend(chunk.iter().cloned().zip(answers).map(|((key, numbers), answer)| (key, numbers, answer)));
        }
        let too_many = Unlooked::optional(format!("there are more handlers than the {HANDLERS} that are asked"));
        asked.extend(beyond.into_iter().map(|(key, numbers)| (key, numbers, Err(too_many.clone()))));
        facts.handlers = asked
            .into_iter()
            .map(|((c, _, url), numbers, answer)| HandlerAsked {
                url: bare(&url),
                channel: Channel::ALL[c],
                numbers,
                answer,
            })
            .collect();
        self.ask_fallbacks(reads, &answering, facts, options.webhooks.then_some(()).ok_or(not_asked)).await;
    }

    /// Fallbacks for the first and the last number of each group, and whether what they dial may be called.
    async fn ask_fallbacks(
        &self,
        reads: &[NumberRead],
        answering: &Answering,
        facts: &mut Facts,
        may: Result<(), Unlooked>,
    ) {
        let roster = &self.config.roster;
        let mut wanted = Vec::new();
        for (group, g) in roster.groups() {
            for channel in Channel::ALL {
                let Some(url) = g.fallback(channel) else { continue };
                let watched = || g.numbers.iter().filter(|n| roster.number(**n).channels[channel.index()]);
                let ends: BTreeSet<NumberIx> =
                    watched().next().into_iter().chain(watched().next_back()).copied().collect();
                wanted.extend(ends.into_iter().map(|number| (group, channel, url.to_owned(), number)));
            }
        }
        let by_get = |number: NumberIx, channel: Channel| {
            let read = reads.iter().find(|read| self.ix(read) == Some(number))?;
            RoutingValues::read(read.raw.whole(), channel).ok().map(|values| values.is_by_get())
        };
        let mut answers: Vec<Looked<Answer>> = Vec::new();
        for chunk in wanted.chunks(AT_ONCE) {
            let questions = chunk.iter().map(|(_, channel, url, number)| Question {
                url: url.clone(),
                channel: *channel,
                number: *number,
                by_get: by_get(*number, *channel),
                is_fallback: true,
            });
            match &may {
                Ok(()) => answers.extend(self.ask_all(questions.collect(), answering).await.into_iter().map(Ok)),
                Err(why) => answers.extend(chunk.iter().map(|_| Err(why.clone()))),
            }
        }
        facts.fallbacks = wanted
            .into_iter()
            .zip(answers)
            .map(|((group, channel, url, number), answer)| FallbackAsked {
                group,
                channel,
                url: bare(&url),
                number,
                answer,
            })
            .collect();
        let voice = facts.fallbacks.iter().filter(|f| f.channel == Channel::Voice);
        let codes: BTreeSet<String> =
            voice.flat_map(|f| f.answer.iter().flat_map(|a| a.dials.iter().map(|d| calling_code(*d)))).collect();
        let answers = each(&self.clock, codes, |code| {
            let client = self.client.clone();
            async move {
                let may = client.may_call(&code).await;
                (code, may)
            }
        });
        facts.countries = answers.await.into_iter().map(|(code, may)| (code, looked(may, false))).collect();
    }

    async fn ask_all(&self, questions: Vec<Question>, answering: &Answering) -> Vec<Answer> {
        let roster = Arc::new(self.config.roster.clone());
        let ask =
            |question| answer(self.client.clone(), self.clock.clone(), roster.clone(), answering.clone(), question);
        each(&self.clock, questions, ask).await
    }

    fn ix(&self, read: &NumberRead) -> Option<NumberIx> {
        self.config.roster.find(NumberId::new(self.account_sid(), read.record.number))
    }

    /// The webhooks that answer our numbers, but for their fallbacks and Twilio's demo.
    fn handlers(&self, reads: &[NumberRead]) -> BTreeMap<HandlerKey, Vec<NumberIx>> {
        let mut handlers: BTreeMap<HandlerKey, Vec<NumberIx>> = BTreeMap::new();
        for read in reads {
            let (record, Some(ix)) = (&read.record, self.ix(read)) else { continue };
            for channel in Channel::ALL.into_iter().filter(|c| self.config.roster.number(ix).channels[c.index()]) {
                let Some(url) = record.answering_url(channel) else { continue };
                let fallback = self.config.roster.group_of(ix).fallback(channel);
                if record.is_demo(channel) || fallback.is_some_and(|f| is_same_fallback(f, url)) {
                    continue;
                }
                let is_own = matches!(record.handler(channel), Handler::Url(_));
                let values = RoutingValues::read(read.raw.whole(), channel);
                let by_get = is_own && values.is_ok_and(|values| values.is_by_get());
                handlers.entry((channel.index(), by_get, url.to_owned())).or_default().push(ix);
            }
        }
        handlers
    }
}

/// The rules that change how Twilio asks our URLs, each with one of them.
pub(super) fn matching(rules: &[WireRule], reads: &[NumberRead], roster: &Roster) -> Vec<WebhookRule> {
    let mut urls: BTreeSet<&str> = BTreeSet::new();
    for read in reads {
        for channel in Channel::ALL {
            urls.extend(read.record.webhooks(channel).into_iter().flatten());
            urls.extend(read.record.status_callbacks(channel).into_iter().flatten());
        }
    }
    let fallbacks = roster.groups().flat_map(|(_, g)| Channel::ALL.map(|c| g.fallback(c)));
    urls.extend(fallbacks.flatten());
    let mut found: BTreeMap<&str, WebhookRule> = BTreeMap::new();
    for url in urls {
        let plain = url.split('#').next().unwrap_or_default();
        let first = rules.iter().filter_map(|r| Some((r.rank(plain)?, r))).max_by_key(|(rank, _)| *rank);
        if let Some((_, rule)) = first.filter(|(_, r)| r.signs || r.times) {
            let WireRule { name, signs, times, .. } = rule.clone();
            found.entry(&rule.name).or_insert_with(|| WebhookRule { name, url: bare(url), signs, times });
        }
    }
    found.into_values().collect()
}
