//! `ringback plan`: what the file asks of the numbers' handlers, against what they are. Reads only, and needs neither a
//! running agent nor the lease.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::saved::{self, Moved, Revisited};
use super::{Exit, complain, say, silence};
use crate::agent::planning::Planner;
use crate::clock::Clock;
use crate::core::model::counted::cut_at;
use crate::core::model::id::{Channel, GroupName, NumberId, WrittenNumber};
use crate::core::model::roster::{NumberIx, Roster};
use crate::core::routing::planned::{HandlerPlan, PlanFinding, PlanLine};
use crate::core::routing::saved::SavedPlan;

/// Numbers that a line names one by one, at the most.
pub const NAMED: usize = 3;

/// Which numbers; all of them if none is named.
#[derive(Debug, Clone, clap::Args)]
pub struct Which {
    /// Numbers in E.164, or with their account before them: AC…/+15005550100; all if absent
    #[arg(value_name = "NUMBER", conflicts_with = "group")]
    pub numbers: Vec<WrittenNumber>,
    /// Every number of this group
    #[arg(long, value_name = "NAME")]
    pub group: Option<GroupName>,
    /// Only this channel: voice or messaging
    #[arg(long, value_name = "CHANNEL")]
    pub channel: Option<Channel>,
}

impl Which {
    /// The numbers that are meant, each of which must be ours.
    pub fn of(&self, roster: &Roster) -> Result<Vec<NumberIx>, String> {
        if let Some(name) = &self.group {
            let found = roster.groups().find(|(_, g)| g.name == *name);
            return found.map(|(_, g)| g.numbers.clone()).ok_or_else(|| format!("group {name} is not ours"));
        }
        if self.numbers.is_empty() {
            return Ok(roster.numbers().map(|(ix, _)| ix).collect());
        }
        let mut which = Vec::new();
        for number in &self.numbers {
            which.push(roster.resolve(*number).map_err(|unresolved| unresolved.to_string())?);
        }
        which.sort_unstable();
        which.dedup();
        Ok(which)
    }
}

#[derive(Debug, clap::Args)]
pub struct PlanArguments {
    #[command(flatten)]
    which: Which,
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "ringback.toml")]
    config: PathBuf,
    /// Save it there, for `ringback apply FILE`; it holds no secret, and is good for a day
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Say only whether this saved plan still stands, and what of it does not
    #[arg(long, value_name = "FILE", conflicts_with_all = ["out", "numbers", "group", "channel"])]
    still_good: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn plan(arguments: &PlanArguments) -> anyhow::Result<Exit> {
    let config = silence::load(&arguments.config)?;
    let which = match arguments.which.of(&config.roster) {
        Ok(which) => which,
        Err(problem) => {
            complain(&format!("ringback: {problem}"));
            return Ok(Exit::BadUsage);
        }
    };
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut planner = Planner::new(&config, &Clock::system())?;
        if let Some(path) = &arguments.still_good {
            return still_good(&mut planner, &saved::read(path)?, arguments.json).await;
        }
        let plan = planner.look(&which, arguments.which.channel).await?;
        let kept = arguments.out.as_ref().map(|path| (path, planner.save(&plan)));
        if let Some((path, kept)) = &kept {
            saved::write(path, kept)?;
        }
        if arguments.json {
            let mut json = as_json(&plan);
            if let Some((_, kept)) = &kept {
                json["saved"] = json!({ "id": kept.id, "made_at": kept.made_at, "expires_at": kept.expires_at });
            }
            say(&json.to_string())?;
        } else {
            tell(&plan, &config.roster)?;
            if let Some((path, kept)) = &kept {
                say(&format!("saved as {} in {}; it expires at {}", kept.id, path.display(), kept.expires_at))?;
            }
        }
        Ok(verdict(&plan))
    })
}

/// 0: every number is as it was when the plan was made, or is what the plan makes it. 1: one is not, or the plan stands
/// no more.
async fn still_good(planner: &mut Planner, plan: &SavedPlan, json: bool) -> anyhow::Result<Exit> {
    let Revisited { good, done, moved, refused } = saved::revisit(planner, plan).await?;
    let is_good = moved.is_empty() && refused.is_none();
    let id = &plan.id;
    if json {
        let why = refused.map(|why| why.to_string());
        let moved: Vec<Value> = moved.iter().map(Moved::as_json).collect();
        let counts = json!({ "to_change": good.numbers.len(), "done": done });
        say(&json!({ "id": id, "is_good": is_good, "why": why, "moved": moved, "numbers": counts }).to_string())?;
    } else {
        for m in &moved {
            say(&m.text(planner.roster()))?;
        }
        let counts = format!("{} to change, {done} done already, {} moved", good.numbers.len(), moved.len());
        say(&match (refused, is_good) {
            (Some(why), _) => format!("{id} does not stand: {why}"),
            (None, true) => format!("{id} still stands: {counts}"),
            (None, false) => format!("{id} does not stand as a whole: {counts}"),
        })?;
    }
    Ok(if is_good { Exit::Done } else { Exit::FoundTrouble })
}

/// 0: nothing to do. 1: something is not as wanted. 3: something could not be read.
pub fn verdict(plan: &HandlerPlan) -> Exit {
    if plan.count(|f| matches!(f, PlanFinding::Unread(_))) > 0 || plan.unknown_regions.is_some() {
        Exit::CouldNotRun
    } else if plan.count(|f| !f.is_as_asked()) > 0 {
        Exit::FoundTrouble
    } else {
        Exit::Done
    }
}

/// Prints the plan as a person reads it: one line for all that have the same difference.
pub fn tell(plan: &HandlerPlan, roster: &Roster) -> std::io::Result<()> {
    for line in plan.lines() {
        say(&text(&line, roster))?;
    }
    if let Some(why) = &plan.unknown_regions {
        say(&format!("which region processes them cannot be read, and is taken for ours: {why}"))?;
    }
    if let Some(why) = &plan.unknown_adoptions {
        say(&format!("which of these handlers somebody has adopted cannot be read: {why}"))?;
    }
    say(&summary(plan))
}

fn text(line: &PlanLine<'_>, roster: &Roster) -> String {
    let named = &line.numbers[..cut_at(line.numbers.len(), NAMED)];
    let names: Vec<String> = named.iter().map(|n| roster.name(*n).to_string()).collect();
    let who = if line.numbers.len() == names.len() {
        names.join(" ")
    } else {
        format!("{} numbers, {} and so on", line.numbers.len(), names[0])
    };
    let what = match line.finding {
        PlanFinding::Differs(changes) => changes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        PlanFinding::Cannot(why) => format!("cannot be made so: {why}"),
        PlanFinding::HandedOver(owner) => format!("with {owner}, to whom they are handed over: left"),
        PlanFinding::NotInAccount => "not in the account yet".to_owned(),
        PlanFinding::Unread(why) => format!("COULD NOT BE READ: {why}"),
        PlanFinding::AsWanted => "as wanted".to_owned(),
    };
    let adopted = line.adopted.filter(|_| matches!(line.finding, PlanFinding::Differs(_)));
    let adopted = adopted.map_or_else(String::new, |by| {
        format!("; what is there now was adopted by {by}: apply leaves it without --force")
    });
    format!("{} {}: {who}: {what}{adopted}", line.group, line.channel)
}

/// The last line, which agrees with the exit code.
fn summary(plan: &HandlerPlan) -> String {
    if plan.numbers.is_empty() {
        return "nothing to do: no [group.handler] names a handler for these numbers".to_owned();
    }
    let parts = [
        (plan.count(|f| matches!(f, PlanFinding::Differs(_))), "to change"),
        (plan.count(|f| *f == PlanFinding::AsWanted), "as wanted"),
        (plan.count(|f| matches!(f, PlanFinding::HandedOver(_))), "handed over"),
        (plan.count(|f| matches!(f, PlanFinding::Cannot(_))), "that cannot be made so"),
        (plan.count(|f| *f == PlanFinding::NotInAccount), "not in the account yet"),
        (plan.count(|f| matches!(f, PlanFinding::Unread(_))), "that could not be read"),
    ];
    let parts: Vec<String> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    let begin = match verdict(plan) {
        Exit::Done => "nothing to do",
        Exit::FoundTrouble | Exit::BadUsage => "not as the file asks",
        Exit::CouldNotRun => "not all could be read",
    };
    format!("{begin}: channels of numbers: {}", parts.join(", "))
}

/// The plan as JSON, without what may be secret.
pub fn as_json(plan: &HandlerPlan) -> Value {
    let mut lists: BTreeMap<&str, Vec<Value>> =
        ["changes", "cannot", "handed_over", "not_in_account", "unread"].map(|name| (name, Vec::new())).into();
    for line in plan.lines() {
        let numbers: Vec<NumberId> = line.numbers;
        let mut item = json!({ "group": line.group, "channel": line.channel, "numbers": numbers });
        let list = match line.finding {
            PlanFinding::Differs(changes) => {
                item["fields"] = json!(changes);
                if let Some(by) = line.adopted {
                    item["adopted"] = json!(by);
                }
                "changes"
            }
            PlanFinding::Cannot(why) => {
                item["why"] = json!(why.to_string());
                "cannot"
            }
            PlanFinding::Unread(why) => {
                item["why"] = json!(why);
                "unread"
            }
            PlanFinding::HandedOver(owner) => {
                item["owner"] = json!(owner);
                "handed_over"
            }
            PlanFinding::NotInAccount => "not_in_account",
            PlanFinding::AsWanted => continue,
        };
        lists.entry(list).or_default().push(item);
    }
    let mut json = json!(lists);
    json["as_wanted"] = json!(plan.count(|f| *f == PlanFinding::AsWanted));
    json["is_as_wanted"] = json!(verdict(plan) == Exit::Done);
    if let Some(why) = &plan.unknown_regions {
        json["unknown_regions"] = json!(why);
    }
    if let Some(why) = &plan.unknown_adoptions {
        json["unknown_adoptions"] = json!(why);
    }
    json
}
