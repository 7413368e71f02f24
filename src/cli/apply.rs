//! `ringback apply`: makes of the numbers' handlers what the file asks.
//!
//! The numbers are looked at first, as `plan` does, and what is to be changed is shown and confirmed. The agent is then
//! told what was seen of each: one that has changed meanwhile is left, and said to be. Numbers are given to the agent
//! some hundreds at a time, and each batch is waited for.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::operate::{ApiClient, Common, confirmed, operate};
use super::plan::{NAMED, Which, as_json, tell, verdict};
use super::{Exit, complain, say};
use crate::admin::apply::{ApplyRequest, ReadNumbers};
use crate::admin::commands::Planned;
use crate::agent::planning::Planner;
use crate::clock::Clock;
use crate::config::{Config, ProcessEnv};
use crate::core::model::id::{Channel, WrittenNumber};
use crate::core::routing::planned::{Finding, HandlerPlan, PlannedNumber};

/// Numbers that the agent is given in one request.
const AT_ONCE: usize = 500;

#[derive(Debug, clap::Args)]
pub struct ApplyArguments {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    common: Common,
    /// So many channels of numbers first; the others once those are as asked and it is confirmed again
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    canary: Option<u32>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// What became of one channel of one number.
struct Outcome {
    account: String,
    number: String,
    channel: String,
    result: String,
    detail: String,
}

impl Outcome {
    fn is_as_asked(&self) -> bool {
        matches!(self.result.as_str(), "as_asked" | "written")
    }
}

/// All that was done so far.
#[derive(Default)]
struct Done {
    orders: Vec<String>,
    outcomes: Vec<Outcome>,
}

pub fn apply(arguments: ApplyArguments) -> anyhow::Result<Exit> {
    let ApplyArguments { which, common, canary, yes } = arguments;
    let config = Config::load(&common.config, &ProcessEnv)?;
    let numbers = match which.of(&config.roster) {
        Ok(numbers) => numbers,
        Err(problem) => {
            complain(&format!("ringback: {problem}"));
            return Ok(Exit::BadUsage);
        }
    };
    let plan = tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut planner = Planner::new(&config, &Clock::system())?;
        planner.look(&numbers, which.channel).await
    })?;
    if !common.json {
        tell(&plan, &config.roster)?;
    }
    let changes: Vec<&PlannedNumber> = plan.changes().collect();
    if changes.is_empty() {
        if common.json {
            print(&plan, &Done::default())?;
        }
        return Ok(verdict(&plan));
    }
    if !yes && !confirmed("apply", changes.len())? {
        complain("ringback: nothing was done");
        return Ok(Exit::FoundTrouble);
    }
    operate(&common, async |client| {
        let first = canary.map_or(0, |n| usize::try_from(n).unwrap_or(usize::MAX)).min(changes.len());
        let (canaries, others) = changes.split_at(first);
        let mut done = Done::default();
        if let Some(exit) = batches(client, &common, canaries, &mut done).await? {
            return Ok(exit);
        }
        let is_well = done.outcomes.iter().all(Outcome::is_as_asked);
        if !canaries.is_empty() && !others.is_empty() {
            if !common.json {
                report(&done.outcomes)?;
            }
            if !is_well {
                complain("ringback: the canary is not as asked: nothing else was written");
            } else if !yes && !confirmed("apply the other", others.len())? {
                complain("ringback: the canary stays, and nothing else was written");
                return Ok(Exit::FoundTrouble);
            }
        }
        let before = done.outcomes.len();
        if is_well && let Some(exit) = batches(client, &common, others, &mut done).await? {
            return Ok(exit);
        }
        if common.json {
            print(&plan, &done)?;
        } else if is_well {
            report(&done.outcomes[if others.is_empty() { 0 } else { before }..])?;
        }
        Ok(exit(&plan, &done))
    })
}

/// Gives these numbers to the agent and waits for them. Gives the exit code if the agent refuses the whole.
async fn batches(
    client: &ApiClient,
    common: &Common,
    numbers: &[&PlannedNumber],
    done: &mut Done,
) -> anyhow::Result<Option<Exit>> {
    for channel in Channel::ALL {
        let of: Vec<&PlannedNumber> = numbers.iter().copied().filter(|n| n.channel == channel).collect();
        for batch in of.chunks(AT_ONCE) {
            let mut reads: BTreeMap<String, Vec<WrittenNumber>> = BTreeMap::new();
            for n in batch {
                // Each was read, for it differs.
                let Some(read) = &n.read else { continue };
                reads.entry(read.clone()).or_default().push(n.number.into());
            }
            let asked = ApplyRequest {
                reads: reads.into_iter().map(|(read, numbers)| ReadNumbers { read, numbers }).collect(),
                channel: Some(channel),
                reason: common.reason.clone(),
                author: common.author.clone(),
                ..ApplyRequest::default()
            };
            let planned = match client.post::<Planned>("apply", &asked).await? {
                Ok(planned) => planned,
                Err(exit) => return Ok(Some(exit)),
            };
            let ended = client.follow(&planned.orders).await?;
            done.orders.extend(planned.orders);
            for line in planned.lines {
                let key = [line.account.clone(), line.number.clone(), line.channel.clone()];
                let (result, detail) = match line.action.as_str() {
                    "nothing" => ("as_asked".to_owned(), line.detail),
                    "refuse" => ("refused".to_owned(), line.detail),
                    "not_watched" => ("not_watched".to_owned(), line.detail),
                    _ => ended.get(&key).cloned().unwrap_or_else(|| {
                        ("not_ended".to_owned(), "it has not ended; see `ringback status`".to_owned())
                    }),
                };
                let [account, number, channel] = key;
                done.outcomes.push(Outcome { account, number, channel, result, detail });
            }
        }
    }
    Ok(None)
}

/// What became of them, in one line where it is the same.
fn report(outcomes: &[Outcome]) -> std::io::Result<()> {
    let mut lines: Vec<(&Outcome, Vec<&str>)> = Vec::new();
    let mut place: BTreeMap<[&str; 3], usize> = BTreeMap::new();
    for o in outcomes {
        let at = *place.entry([&o.channel, &o.result, &o.detail]).or_insert_with(|| {
            lines.push((o, Vec::new()));
            lines.len() - 1
        });
        lines[at].1.push(&o.number);
    }
    for (o, numbers) in lines {
        let who = if numbers.len() <= NAMED {
            numbers.join(" ")
        } else {
            format!("{} numbers, {} and so on", numbers.len(), numbers[0])
        };
        say(&format!("{}: {who}: {}: {}", o.channel, o.result, o.detail))?;
    }
    Ok(())
}

fn print(plan: &HandlerPlan, done: &Done) -> std::io::Result<()> {
    let result = |o: &Outcome| {
        let Outcome { account, number, channel, result, detail } = o;
        json!({ "account": account, "number": number, "channel": channel, "result": result, "detail": detail })
    };
    let results: Vec<Value> = done.outcomes.iter().map(result).collect();
    say(&json!({ "plan": as_json(plan), "orders": done.orders, "results": results }).to_string())
}

/// As `plan` would say it now.
fn exit(plan: &HandlerPlan, done: &Done) -> Exit {
    let is_well = done.outcomes.iter().all(Outcome::is_as_asked) && done.outcomes.len() == plan.changes().count();
    let is_left = plan.count(|f| !matches!(f, Finding::AsWanted | Finding::Differs(_))) > 0;
    if plan.count(|f| matches!(f, Finding::Unread(_))) > 0 {
        Exit::CouldNotRun
    } else if is_well && !is_left {
        Exit::Done
    } else {
        Exit::FoundTrouble
    }
}
