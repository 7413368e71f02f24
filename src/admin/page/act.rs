//! What an operator does from a page: first named, then done, by the same code as the API's commands.
//!
//! `GET /act/{verb}` changes nothing: it says what the command would come to and asks for a reason. `POST` does it,
//! with the key of the session's own forms, and in the name of whose token the session was opened with.

use std::collections::HashSet;

use askama::Template;
use axum::extract::rejection::FormRejection;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::{Form, Json};
use serde::Deserialize;

use super::sign_in::{foreign, go, redirect};
use super::{PageProblem, Refresh, Visitor, page, words};
use crate::admin::auth::Operator;
use crate::admin::body::DecisionLine;
use crate::admin::commands::{self, Adopt, Approve, HoldRequest, OrderRequest, Ported, SetMode, select};
use crate::admin::sessions::Session;
use crate::admin::{Admin, ApiProblem};
use crate::agent::publish::status::{ChannelStatus, NumberStatus};
use crate::core::model::decision::{Mode, Phase};
use crate::core::model::id::{Channel, GroupName, NumberId, WrittenNumber};
use crate::core::model::roster::NumberIx;

/// What can be done here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Rollback,
    Restore,
    Hold,
    Release,
    Approve,
    Mode,
    Ported,
    Adopt,
}

impl Verb {
    const ALL: [Verb; 8] = [
        Verb::Rollback,
        Verb::Restore,
        Verb::Hold,
        Verb::Release,
        Verb::Approve,
        Verb::Mode,
        Verb::Ported,
        Verb::Adopt,
    ];

    const fn label(self) -> &'static str {
        match self {
            Verb::Rollback => "rollback",
            Verb::Restore => "restore",
            Verb::Hold => "hold",
            Verb::Release => "release",
            Verb::Approve => "approve",
            Verb::Mode => "mode",
            Verb::Ported => "ported",
            Verb::Adopt => "adopt",
        }
    }

    /// What its button says.
    const fn does(self) -> &'static str {
        match self {
            Verb::Rollback => "Roll back",
            Verb::Restore => "Restore",
            Verb::Hold => "Hold",
            Verb::Release => "Release",
            Verb::Approve => "Approve",
            Verb::Mode => "Change the mode",
            Verb::Ported => "Say ported:",
            Verb::Adopt => "Adopt the handler of",
        }
    }

    const fn meaning(self) -> &'static str {
        match self {
            Verb::Rollback => {
                "The numbers are pointed at their fallback, read back, and proven by a test call where \
                               tests are configured. It is done at once, also beyond the cap."
            }
            Verb::Restore => {
                "The numbers get back what they pointed at before the rollback: a canary first, the others \
                              once its callers are served. What somebody else has changed since is left."
            }
            Verb::Hold => {
                "Nothing is written to the numbers until the hold ends or is released: no rollback, no restore."
            }
            Verb::Release => "Every hold within this scope ends. Ringback may write again as its mode says.",
            Verb::Approve => "The decision is carried out, unless a guard that no approval answers still objects.",
            Verb::Mode => "It holds from the next write on. Approvals that were not carried out by then are void.",
            Verb::Ported => {
                "The numbers are ported: from now on they are watched, and callers who are missing or fail count. \
                 Nothing is written to them."
            }
            Verb::Adopt => {
                "The handler that each number has at Twilio now is the right one: what it is compared with, and what a \
                 restore puts back, from now on. Nothing is written to the number. What the configuration file asks \
                 for is written by `ringback apply` in the terminal, and only there."
            }
        }
    }

    fn of(name: &str) -> Result<Verb, PageProblem> {
        let unknown = || PageProblem::new(StatusCode::NOT_FOUND, "There is no such command.");
        Verb::ALL.into_iter().find(|v| v.label() == name).ok_or_else(unknown)
    }
}

/// What a link asks for, and what the form brings.
#[derive(Deserialize, Default, Clone)]
#[serde(default)]
pub struct CommandForm {
    all: String,
    group: String,
    /// Separated by commas.
    numbers: String,
    channel: String,
    decision: String,
    mode: String,
    reason: String,
    author: String,
    minutes: String,
    force: String,
    at_once: String,
    form_key: String,
}

impl CommandForm {
    fn group(&self) -> Result<Option<GroupName>, ApiProblem> {
        let name = || self.group.parse().map_err(|e: crate::core::model::id::BadId| bad(e.to_string()));
        if self.group.is_empty() { Ok(None) } else { name().map(Some) }
    }

    fn numbers(&self) -> Result<Vec<WrittenNumber>, ApiProblem> {
        let written = self.numbers.split(',').map(str::trim).filter(|n| !n.is_empty());
        written.map(|n| n.parse().map_err(|e: crate::core::model::id::BadId| bad(e.to_string()))).collect()
    }

    fn channel(&self) -> Result<Option<Channel>, ApiProblem> {
        let channel = || self.channel.parse().map_err(|e: crate::core::model::id::BadId| bad(e.to_string()));
        if self.channel.is_empty() { Ok(None) } else { channel().map(Some) }
    }

    fn order(&self, dry_run: bool) -> Result<OrderRequest, ApiProblem> {
        Ok(OrderRequest {
            all: !self.all.is_empty(),
            group: self.group()?,
            numbers: self.numbers()?,
            channel: self.channel()?,
            // Nothing is kept of a preview.
            reason: if dry_run { "preview".to_owned() } else { self.reason.clone() },
            author: self.author.clone(),
            dry_run,
            force: !self.force.is_empty(),
            at_once: !self.at_once.is_empty(),
            applied: false,
        })
    }

    fn hold(&self, verb: Verb) -> Result<HoldRequest, ApiProblem> {
        let seconds = match self.minutes.as_str() {
            "" => None,
            text if verb == Verb::Hold => {
                let minutes: u32 = text.parse().map_err(|_| bad("How long? In minutes."))?;
                Some(minutes.saturating_mul(60))
            }
            _ => None,
        };
        Ok(HoldRequest {
            all: !self.all.is_empty(),
            group: self.group()?,
            numbers: self.numbers()?,
            channel: self.channel()?,
            reason: self.reason.clone(),
            author: self.author.clone(),
            seconds,
            shorten: false,
        })
    }

    fn ported(&self) -> Result<Ported, ApiProblem> {
        let (group, numbers) = (self.group()?, self.numbers()?);
        let (reason, author) = (self.reason.clone(), self.author.clone());
        Ok(Ported { all: !self.all.is_empty(), group, numbers, reason, author })
    }

    fn adopt(&self, dry_run: bool) -> Result<Adopt, ApiProblem> {
        Ok(Adopt {
            all: !self.all.is_empty(),
            group: self.group()?,
            numbers: self.numbers()?,
            channel: self.channel()?,
            // Nothing is kept of a preview.
            reason: if dry_run { "preview".to_owned() } else { self.reason.clone() },
            author: self.author.clone(),
            dry_run,
        })
    }

    fn mode(&self) -> Option<Mode> {
        Mode::ALL.into_iter().find(|m| m.label() == self.mode)
    }

    /// What it is about, in words.
    fn scope(&self) -> String {
        let of = match (self.all.is_empty(), self.group.as_str(), self.numbers.as_str()) {
            (false, ..) => "all numbers".to_owned(),
            (true, "", numbers) => numbers.to_owned(),
            (true, group, _) => format!("group {group}"),
        };
        if self.channel.is_empty() { of } else { format!("{of}, {}", self.channel) }
    }
}

fn bad(text: impl Into<String>) -> ApiProblem {
    commands::unprocessable(text)
}

/// What would be done.
#[derive(Default)]
struct Coming {
    lines: Vec<DecisionLine>,
    /// In sentences, where there are no lines.
    said: Vec<String>,
    /// Something would change.
    is_something: bool,
}

impl Coming {
    fn of(lines: Vec<DecisionLine>) -> Coming {
        let idle = ["nothing", "not_watched", "refuse"];
        let is_something = lines.iter().any(|l| !idle.contains(&l.action.as_str()));
        Coming { lines, is_something, ..Coming::default() }
    }
}

/// What it comes to that numbers are ported: channels that wait are watched from then on.
fn waiting(admin: &Admin, numbers: &[NumberIx]) -> Vec<DecisionLine> {
    let status = admin.status.borrow().clone();
    let wanted: HashSet<NumberId> = numbers.iter().map(|ix| admin.roster.number(*ix).id).collect();
    let line = |number: &NumberStatus, channel: &ChannelStatus| {
        let (action, detail) = match channel.phase {
            Phase::Waiting => ("ported", "it waits for its port, and is watched from now on".to_owned()),
            Phase::Settling | Phase::Active | Phase::Passive => {
                ("nothing", format!("it is watched already: {}", channel.phase.label()))
            }
        };
        DecisionLine {
            account: number.account.to_string(),
            number: number.number.to_string(),
            channel: channel.channel.to_string(),
            action: action.to_owned(),
            detail,
            fields: Vec::new(),
        }
    };
    let asked = status.numbers().filter(|(_, n)| wanted.contains(&n.id()));
    asked.flat_map(|(_, n)| n.channels.iter().map(move |c| line(n, c)).collect::<Vec<_>>()).collect()
}

#[derive(Template)]
#[template(path = "act.html", config = "src/admin/page/askama.toml")]
struct Page {
    root: String,
    verb: Verb,
    title: String,
    asked: CommandForm,
    coming: Coming,
    problem: Option<String>,
    form_key: String,
    /// The session's token is nobody's own: whoever acts says who they are.
    asks_name: bool,
    modes: Vec<(Mode, bool)>,
}

/// An operator's session; the way to one if there is none.
fn operator(visitor: &Visitor, uri: &Uri) -> Result<Session, Box<Response>> {
    match &visitor.session {
        None => {
            let here = uri.path_and_query().map_or("", |p| p.as_str()).trim_start_matches('/');
            Err(Box::new(redirect(&visitor.root, Some(here))))
        }
        Some(_) if !visitor.may_act() => {
            let text = "Your token is for reading: it changes nothing. Sign out, and in again with an operator's.";
            Err(Box::new(PageProblem::new(StatusCode::FORBIDDEN, text).at(&visitor.root)))
        }
        Some(session) => Ok(session.clone()),
    }
}

/// `GET /act/{verb}`.
pub async fn confirm(
    State(admin): State<Admin>,
    visitor: Visitor,
    uri: Uri,
    Path(verb): Path<String>,
    Query(asked): Query<CommandForm>,
) -> Result<Response, PageProblem> {
    let verb = Verb::of(&verb)?;
    match operator(&visitor, &uri) {
        Ok(session) => Ok(shown(&admin, &visitor, &session, verb, asked, None).await),
        Err(response) => Ok(*response),
    }
}

async fn shown(
    admin: &Admin,
    visitor: &Visitor,
    session: &Session,
    verb: Verb,
    asked: CommandForm,
    problem: Option<ApiProblem>,
) -> Response {
    let (coming, mut status) = match coming(admin, session, verb, &asked).await {
        Ok(coming) => (coming, StatusCode::OK),
        Err(e) => (Coming { said: vec![e.error], ..Coming::default() }, e.status),
    };
    let problem = problem.map(|p| {
        status = p.status;
        p.error
    });
    let now = admin.status.borrow().mode;
    let wanted = asked.mode();
    let modes = Mode::ALL.map(|m| (m, wanted.map_or(m == now, |w| w == m)));
    let scope = match verb {
        Verb::Approve => asked.decision.clone(),
        Verb::Mode => String::new(),
        Verb::Rollback | Verb::Restore | Verb::Hold | Verb::Release | Verb::Ported | Verb::Adopt => asked.scope(),
    };
    let title = format!("{} {scope}", verb.does());
    let body = Page {
        root: visitor.root.clone(),
        verb,
        title: title.trim_end().to_owned(),
        asked,
        coming,
        problem,
        form_key: session.form_key.to_string(),
        asks_name: session.holder.name.is_none(),
        modes: if verb == Verb::Mode { modes.to_vec() } else { Vec::new() },
    };
    let title = body.title.clone();
    let mut response = page(admin, visitor, &title, Refresh::Never, &body);
    *response.status_mut() = status;
    response
}

/// What a command would come to.
async fn coming(admin: &Admin, session: &Session, verb: Verb, asked: &CommandForm) -> Result<Coming, ApiProblem> {
    let status = admin.status.borrow().clone();
    let by = Operator { name: session.holder.name.clone() };
    match verb {
        Verb::Rollback | Verb::Restore => {
            let body = Ok(Json(asked.order(true)?));
            let state = State(admin.clone());
            let Json(planned) = if verb == Verb::Restore {
                commands::restore(state, by, body).await?
            } else {
                commands::rollback(state, by, body).await?
            };
            Ok(Coming::of(planned.lines))
        }
        Verb::Adopt => {
            let Json(adopted) = commands::adopt(State(admin.clone()), by, Ok(Json(asked.adopt(true)?))).await?;
            Ok(Coming::of(adopted.lines))
        }
        Verb::Ported => {
            let ported = asked.ported()?;
            let numbers = select(&admin.roster, ported.all, ported.group.as_ref(), &ported.numbers)?;
            Ok(Coming::of(waiting(admin, &numbers)))
        }
        Verb::Hold | Verb::Release => {
            let hold = asked.hold(verb)?;
            let numbers = select(&admin.roster, hold.all, hold.group.as_ref(), &hold.numbers)?;
            let names: Vec<_> = numbers.iter().map(|ix| admin.roster.number(*ix).id).collect();
            let mut said = vec![format!("{} numbers: {}.", names.len(), words::numbers(&names, &admin.roster))];
            for held in &status.holds {
                let until = words::moment(held.until, status.at);
                said.push(format!("Held now: {}, until {until}, by {}.", held.scope.text(&admin.roster), held.by));
            }
            Ok(Coming { said, is_something: true, ..Coming::default() })
        }
        Verb::Approve => {
            let waits = status.waiting.iter().filter(|w| w.decision.to_string() == asked.decision);
            let told = |w: &crate::agent::publish::status::Waiting| {
                let guards: Vec<&str> = w.guards.iter().map(|g| g.text()).collect();
                let numbers = words::numbers(&w.numbers, &admin.roster);
                format!("A rollback of {numbers}, {}. It waits because: {}.", w.channel, guards.join("; "))
            };
            let said: Vec<String> = waits.map(told).collect();
            if said.is_empty() {
                return Err(ApiProblem::new(StatusCode::CONFLICT, "Nothing of that name waits any more."));
            }
            Ok(Coming { said, is_something: true, ..Coming::default() })
        }
        Verb::Mode => {
            let said = vec![format!("The mode is {} now.", status.mode.label())];
            Ok(Coming { said, is_something: true, ..Coming::default() })
        }
    }
}

/// `POST /act/{verb}`.
pub async fn act(
    State(admin): State<Admin>,
    visitor: Visitor,
    uri: Uri,
    Path(verb): Path<String>,
    given: Result<Form<CommandForm>, FormRejection>,
) -> Result<Response, PageProblem> {
    let verb = Verb::of(&verb)?;
    let session = match operator(&visitor, &uri) {
        Ok(session) => session,
        Err(response) => return Ok(*response),
    };
    let Form(asked) = given.map_err(|e| PageProblem::new(e.status(), "The form could not be read."))?;
    if !session.is_form_of(&asked.form_key) {
        return Ok(foreign().at(&visitor.root));
    }
    match done(&admin, &session, verb, &asked).await {
        Ok((said, to)) => {
            admin.sessions.say(&session, said);
            Ok(go(&format!("{}{to}", visitor.root)))
        }
        Err(problem) => Ok(shown(&admin, &visitor, &session, verb, asked, Some(problem)).await),
    }
}

/// Does it. Gives what to say, and the page to say it on.
async fn done(
    admin: &Admin,
    session: &Session,
    verb: Verb,
    asked: &CommandForm,
) -> Result<(String, String), ApiProblem> {
    let (state, by) = (State(admin.clone()), Operator { name: session.holder.name.clone() });
    let said = |Json(done): Json<commands::CommandDone>| {
        let not_all = if done.is_as_asked { "" } else { " – not all is as asked" };
        format!("{}{not_all}", done.done)
    };
    match verb {
        Verb::Rollback | Verb::Restore => {
            let body = Ok(Json(asked.order(false)?));
            let Json(planned) = if verb == Verb::Restore {
                commands::restore(state, by, body).await?
            } else {
                commands::rollback(state, by, body).await?
            };
            let refused = planned.lines.iter().filter(|l| l.action == "refuse").count();
            let refused = if refused > 0 { format!("; {refused} refused") } else { String::new() };
            Ok(match planned.orders.first() {
                Some(first) => {
                    let text =
                        format!("Ordered: {}{refused}. This page shows how far it is.", planned.orders.join(", "));
                    (text, format!("decisions/{first}"))
                }
                None => (format!("There was nothing to do{refused}."), String::new()),
            })
        }
        Verb::Ported => {
            let Json(answer) = commands::ported(state, by, Ok(Json(asked.ported()?))).await?;
            let text = format!("{} channels were waiting and are watched now.", answer.activated);
            Ok((text, String::new()))
        }
        Verb::Adopt => {
            let Json(answer) = commands::adopt(state, by, Ok(Json(asked.adopt(false)?))).await?;
            let count = |action: &str| answer.lines.iter().filter(|l| l.action == action).count();
            let refused = match count("refuse") {
                0 => String::new(),
                n => format!("; {n} refused – not all is as asked"),
            };
            Ok((format!("Adopted: {}{refused}.", count("adopt")), String::new()))
        }
        Verb::Hold => Ok((said(commands::hold(state, by, Ok(Json(asked.hold(verb)?))).await?), String::new())),
        Verb::Release => Ok((said(commands::release(state, by, Ok(Json(asked.hold(verb)?))).await?), String::new())),
        Verb::Approve => {
            let (reason, author) = (asked.reason.clone(), asked.author.clone());
            let body = Approve { decision: asked.decision.clone(), reason, author };
            let done = commands::approve(state, by, Ok(Json(body))).await?;
            Ok((said(done), format!("decisions/{}", super::part(&asked.decision))))
        }
        Verb::Mode => {
            let mode = asked.mode().ok_or_else(|| bad("Which mode?"))?;
            let body = SetMode { mode, reason: asked.reason.clone(), author: asked.author.clone() };
            Ok((said(commands::mode(state, by, Ok(Json(body))).await?), String::new()))
        }
    }
}
