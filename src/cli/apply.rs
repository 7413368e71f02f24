//! `ringback apply`: makes of the numbers' handlers what the file asks.
//!
//! The numbers are looked at first, as `plan` does, and what is to be changed is shown and confirmed. The agent is then
//! told what was seen of each: one that has changed meanwhile is left, and said to be. Of a saved plan that is what was
//! seen when the plan was made. Numbers are given to the agent some at a time, and each batch is waited for.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::operate::{Common, operate};
use super::orders::{ApiClient, confirmed};
use super::plan::{NAMED, Which, as_json, tell, verdict};
use super::saved::{self, Revisited};
use super::{Exit, complain, say, silence};
use crate::admin::apply::{ApplyRequest, ReadNumbers, asked_for};
use crate::admin::commands::Planned;
use crate::agent::planning::Planner;
use crate::clock::Clock;
use crate::core::model::id::{Channel, GroupName, WrittenNumber};
use crate::core::model::roster::{NumberIx, Roster};
use crate::core::routing::planned::{HandlerPlan, PlanFinding, PlannedNumber};

/// Between looks for numbers that are not in the account yet: one request for each thousand numbers of the account.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Numbers that the agent is given in one request: their writes are in the way of a rollback's for some seconds.
const AT_ONCE: usize = 200;

#[derive(Debug, clap::Args)]
pub struct ApplyArguments {
    /// A saved plan; or numbers in E.164, or with their account before them; all that differ if absent
    #[arg(value_name = "PLAN|NUMBER")]
    what: Vec<What>,
    /// Every number of this group
    #[arg(long, value_name = "NAME", conflicts_with = "what")]
    group: Option<GroupName>,
    /// Only this channel: voice or messaging
    #[arg(long, value_name = "CHANNEL")]
    channel: Option<Channel>,
    #[command(flatten)]
    common: Common,
    /// So many channels of numbers first; the others once those are as asked and it is confirmed again
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    canary: Option<u32>,
    /// Go on until numbers that are not in the account yet are, and give them their handler within a second or two
    #[arg(long)]
    wait: bool,
    /// Also where a person has adopted another handler since
    #[arg(long)]
    force: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// What is to be applied, as a person writes it.
#[derive(Debug, Clone)]
enum What {
    Number(WrittenNumber),
    Plan(PathBuf),
}

impl std::str::FromStr for What {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<What, Infallible> {
        Ok(text.parse().map_or_else(|_| What::Plan(text.into()), What::Number))
    }
}

/// What is to be done, and what was refused of a saved plan already.
struct Todo {
    plan: HandlerPlan,
    refused: Vec<Outcome>,
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
    let ApplyArguments { what, group, channel, common, canary, wait, force, yes } = arguments;
    let common = common.that_begins();
    let config = silence::load(&common.config)?;
    let usage = |problem: &str| {
        complain(&format!("ringback: {problem}"));
        Ok(Exit::BadUsage)
    };
    let (mut numbers, mut path) = (Vec::new(), None);
    for what in what {
        match what {
            What::Number(number) => numbers.push(number),
            What::Plan(plan) if path.is_none() => path = Some(plan),
            What::Plan(_) => return usage("one saved plan is applied at a time"),
        }
    }
    if path.is_some() && (!numbers.is_empty() || channel.is_some()) {
        return usage("a saved plan says which numbers it is about: name it alone");
    }
    let numbers = match (Which { numbers, group, channel }).of(&config.roster) {
        Ok(numbers) => numbers,
        Err(problem) => return usage(&problem),
    };
    let looked = tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut planner = Planner::new(&config, &Clock::system())?;
        match &path {
            Some(path) => reread(&mut planner, path, common.json).await,
            None => Ok(Ok(Todo { plan: planner.look(&numbers, channel).await?, refused: Vec::new() })),
        }
    })?;
    let Todo { plan, refused } = match looked {
        Ok(todo) => todo,
        Err(exit) => return Ok(exit),
    };
    if !common.json && (path.is_none() || !plan.numbers.is_empty()) {
        tell(&plan, &config.roster)?;
    }
    let changes: Vec<&PlannedNumber> = plan.changes().collect();
    let is_missing = |n: &&PlannedNumber| n.finding == PlanFinding::NotInAccount;
    let missing: Vec<NumberIx> =
        plan.numbers.iter().filter(is_missing).filter_map(|n| config.roster.find(n.number)).collect();
    let awaited = if wait { missing.len() } else { 0 };
    if changes.is_empty() && awaited == 0 {
        if common.json {
            print(&plan, &Done::default(), &refused)?;
        } else {
            report(&refused)?;
        }
        return Ok(if refused.is_empty() { verdict(&plan) } else { Exit::FoundTrouble });
    }
    if !yes && !confirmed("apply", changes.len() + awaited)? {
        complain("ringback: nothing was done");
        return Ok(Exit::FoundTrouble);
    }
    operate(&common, async |client| {
        let first = canary.map_or(0, |n| usize::try_from(n).unwrap_or(usize::MAX)).min(changes.len());
        let (canaries, others) = changes.split_at(first);
        let mut done = Done::default();
        if let Some(exit) = batches(client, &config.roster, &common, force, canaries, &mut done).await? {
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
        if is_well && let Some(exit) = batches(client, &config.roster, &common, force, others, &mut done).await? {
            return Ok(exit);
        }
        if !common.json && is_well {
            report(&done.outcomes[if others.is_empty() { 0 } else { before }..])?;
        }
        if is_well && awaited > 0 {
            let mut planner = Planner::new(&config, &Clock::system())?;
            if let Some(exit) = wait_for(client, &common, force, &mut planner, &missing, channel, &mut done).await? {
                return Ok(exit);
            }
        }
        let exit = if refused.is_empty() { exit(&plan, &done, wait) } else { Exit::FoundTrouble };
        if common.json {
            print(&plan, &done, &refused)?;
        } else {
            report(&refused)?;
        }
        Ok(exit)
    })
}

/// A saved plan against what its numbers are now; or the exit code, once it is said why nothing of it is applied.
async fn reread(planner: &mut Planner, path: &Path, json: bool) -> anyhow::Result<Result<Todo, Exit>> {
    let plan = saved::read(path)?;
    let Revisited { good, done, moved, refused } = saved::revisit(planner, &plan).await?;
    if let Some(why) = refused {
        complain(&format!("ringback: {} is not applied: {why}", plan.id));
        return Ok(Err(Exit::FoundTrouble));
    }
    if good.numbers.is_empty() && moved.is_empty() && !json {
        say(&format!("nothing to do: {} is applied already, {done} channels of numbers", plan.id))?;
    }
    let roster = planner.roster();
    let outcome = |m: &saved::Moved| Outcome {
        account: m.number.account.to_string(),
        number: roster.name(m.number).to_string(),
        channel: m.channel.to_string(),
        result: "refused".to_owned(),
        detail: m.said(),
    };
    Ok(Ok(Todo { refused: moved.iter().map(outcome).collect(), plan: good }))
}

/// Gives these numbers to the agent and waits for them. Gives the exit code if the agent refuses the whole.
async fn batches(
    client: &ApiClient,
    roster: &Roster,
    common: &Common,
    force: bool,
    numbers: &[&PlannedNumber],
    done: &mut Done,
) -> anyhow::Result<Option<Exit>> {
    for channel in Channel::ALL {
        let of: Vec<&PlannedNumber> = numbers.iter().copied().filter(|n| n.channel == channel).collect();
        for batch in of.chunks(AT_ONCE) {
            let mut reads: BTreeMap<(String, Option<String>), Vec<WrittenNumber>> = BTreeMap::new();
            for n in batch {
                // Each was read, for it differs.
                let Some(seen) = &n.seen else { continue };
                let group = roster.find(n.number).map(|ix| roster.group_of(ix));
                let asked = group.map(|group| asked_for(&group.handler[channel.index()]));
                reads.entry((seen.read.clone(), asked)).or_default().push(n.number.into());
            }
            let asked = ApplyRequest {
                reads: reads.into_iter().map(|((read, asked), numbers)| ReadNumbers { read, asked, numbers }).collect(),
                channel: Some(channel),
                reason: common.reason.clone(),
                author: common.author(),
                force,
                ..ApplyRequest::default()
            };
            let planned = match client.post::<Planned>("apply", &asked).await? {
                Ok(planned) => planned,
                Err(exit) => return Ok(Some(exit)),
            };
            let ended = client.follow(&planned.orders, !common.json).await?;
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

/// Gives numbers their handler as they come into the account.
async fn wait_for(
    client: &ApiClient,
    common: &Common,
    force: bool,
    planner: &mut Planner,
    missing: &[NumberIx],
    channel: Option<Channel>,
    done: &mut Done,
) -> anyhow::Result<Option<Exit>> {
    let (clock, mut missing) = (Clock::system(), missing.to_vec());
    missing.sort_unstable();
    missing.dedup();
    complain(&format!(
        "waiting for numbers that are not in the account yet, {} of them: its list is read every {} s, until Ctrl-C",
        missing.len(),
        LOOK_EVERY.as_secs()
    ));
    let mut is_failing = false;
    while !missing.is_empty() {
        clock.sleep(LOOK_EVERY).await;
        let plan = match planner.look(&missing, channel).await {
            Ok(plan) => plan,
            Err(error) => {
                if !is_failing {
                    complain(&format!("ringback: {error}; it is tried again"));
                }
                is_failing = true;
                continue;
            }
        };
        is_failing = false;
        let come: Vec<&PlannedNumber> = plan.changes().collect();
        let before = done.outcomes.len();
        if let Some(exit) = batches(client, planner.roster(), common, force, &come, done).await? {
            return Ok(Some(exit));
        }
        if !common.json {
            report(&done.outcomes[before..])?;
        }
        let is_awaited = |n: &&PlannedNumber| matches!(n.finding, PlanFinding::NotInAccount | PlanFinding::Unread(_));
        let awaited = plan.numbers.iter().filter(is_awaited).filter_map(|n| planner.roster().find(n.number));
        let awaited: Vec<NumberIx> = awaited.collect();
        missing.retain(|ix| awaited.contains(ix));
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

fn print(plan: &HandlerPlan, done: &Done, refused: &[Outcome]) -> std::io::Result<()> {
    let result = |o: &Outcome| {
        let Outcome { account, number, channel, result, detail } = o;
        json!({ "account": account, "number": number, "channel": channel, "result": result, "detail": detail })
    };
    let results: Vec<Value> = done.outcomes.iter().chain(refused).map(result).collect();
    say(&json!({ "plan": as_json(plan), "orders": done.orders, "results": results }).to_string())
}

/// As `plan` would say it now. `is_all_there`: what was not in the account was waited for.
fn exit(plan: &HandlerPlan, done: &Done, is_all_there: bool) -> Exit {
    let is_well = done.outcomes.iter().all(Outcome::is_as_asked) && done.outcomes.len() >= plan.changes().count();
    let is_left = |f: &PlanFinding| match f {
        PlanFinding::AsWanted | PlanFinding::HandedOver(_) | PlanFinding::Differs(_) => false,
        PlanFinding::Cannot(_) | PlanFinding::Unread(_) => true,
        PlanFinding::NotInAccount => !is_all_there,
    };
    let is_left = plan.count(is_left) > 0;
    if plan.count(|f| matches!(f, PlanFinding::Unread(_))) > 0 {
        Exit::CouldNotRun
    } else if is_well && !is_left {
        Exit::Done
    } else {
        Exit::FoundTrouble
    }
}
