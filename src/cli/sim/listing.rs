//! What is in a simulated account, for whoever is to work with it: its numbers and who answers them, the bins they can
//! fall back to, what lies in wait, and what is going to happen.

use std::fmt::Write as _;

use crate::cli::text::wrapped;
use crate::config::span_text;
use crate::core::model::facts::DEMO;
use crate::core::model::id::{E164, ServiceSid};
use crate::core::model::time::Time;
use crate::sim::{Bin, BinKind, CallerIds, Happening, Scenario, ScenarioGroup, Story, TrafficShape};

/// Of what is wrapped, within its indent.
const WIDTH: usize = 76;

/// The account of `scenario`, in lines; `start`: when what happens is counted from, if that is known.
pub fn listing(scenario: &Scenario, story: Option<&Story>, start: Option<Time>) -> String {
    let mut out = match story {
        Some(story) => format!("The story \"{}\": {}.\n", story.name, story.about),
        None => format!("The account of \"{}\":\n", scenario.name),
    };
    if let Some(needs) = story.and_then(|s| s.needs) {
        let _ = writeln!(out, "Only test calls that are listened to find it. In [group.probe]: {needs}");
    }
    out += "\nNumbers and callers\n";
    for group in &scenario.groups {
        let _ = writeln!(out, "  {}", group_line(group));
        let _ = writeln!(out, "    {}", answered(group, scenario));
        for line in callers(group).iter().flat_map(|callers| wrapped(callers, WIDTH)) {
            let _ = writeln!(out, "    {line}");
        }
    }
    if !scenario.bins.is_empty() {
        out += "\nTwiML Bins, to fall back to\n";
    }
    for bin in &scenario.bins {
        let _ = writeln!(out, "  {}  {}", bin.url(), bin_does(bin));
    }
    let traps = |group| traps(group, scenario);
    let traps: Vec<String> = scenario.groups.iter().flat_map(traps).chain(service_traps(scenario)).collect();
    if !traps.is_empty() {
        out += "\nTraps\n";
    }
    for trap in traps {
        let _ = writeln!(out, "  {trap}");
    }
    if scenario.events.is_empty() {
        out += "\nNothing happens by itself after the start.\n";
    } else {
        out += "\nWhat happens, after the start\n";
    }
    let mut events: Vec<_> = scenario.events.iter().collect();
    events.sort_by_key(|e| e.at);
    for event in events {
        let clock = start.map_or_else(String::new, |start| {
            format!(" ({} UTC)", (start + event.at).to_timestamp().strftime("%H:%M:%S"))
        });
        let _ = writeln!(out, "  {}{clock}: {}", span_text(event.at), happens(&event.what));
    }
    out
}

/// What a group's callers are like; `None` if nobody calls.
fn callers(group: &ScenarioGroup) -> Option<String> {
    let t = &group.traffic;
    if t.calls_per_hour <= 0.0 {
        return None;
    }
    let who = match t.callers {
        CallerIds::Many => "everybody with a number of their own",
        CallerIds::One => "all with one number, as a telephone system calls",
        CallerIds::Withheld => "all with their number withheld",
    };
    let percent = |share: f64| (share * 100.0).round();
    let forwarded = match percent(t.forward) {
        0.0 => "answered by the handler itself".to_owned(),
        share => format!("{share} % put through"),
    };
    let shape = match t.shape {
        TrafficShape::Flat => "evenly over the day",
        TrafficShape::Day => "most about half past one",
        TrafficShape::Office => "in office hours",
        TrafficShape::Evening => "most in the evening",
    };
    Some(format!(
        "callers: {who}, {shape}; {forwarded}; they talk for about {}; {} % meet an error that is nobody's fault",
        span_text(t.talk),
        percent(t.failure)
    ))
}

fn group_line(group: &ScenarioGroup) -> String {
    let numbers: Vec<E164> = group.all_numbers().collect();
    let shown = match numbers.as_slice() {
        [] => "no numbers".to_owned(),
        [one] => one.to_string(),
        [first, second] => format!("{first}, {second}"),
        [first, .., last] => format!("{first} … {last} ({})", numbers.len()),
    };
    let t = &group.traffic;
    let traffic = match (t.calls_per_hour > 0.0, t.messages_per_hour > 0.0) {
        (true, true) => format!("up to {} calls and {} messages an hour", t.calls_per_hour, t.messages_per_hour),
        (true, false) => format!("up to {} calls an hour", t.calls_per_hour),
        (false, true) => format!("up to {} messages an hour", t.messages_per_hour),
        (false, false) => "nobody calls".to_owned(),
    };
    let port = match group.port.as_ref().map(|p| (p.at, p.every)) {
        None => String::new(),
        Some((None, _)) => "; ports when it is told to".to_owned(),
        Some((Some(at), every)) if every.is_zero() => format!("; ports after {}", span_text(at)),
        Some((Some(at), every)) => format!("; ports from {} on, one every {}", span_text(at), span_text(every)),
    };
    format!("{}: {shown}; {traffic}{port}", group.name)
}

/// Its members are answered by the numbers' own URLs.
fn defers(scenario: &Scenario, service: ServiceSid) -> bool {
    scenario.services.iter().any(|s| s.sid == service && s.use_inbound_webhook_on_number)
}

fn answered(group: &ScenarioGroup, scenario: &Scenario) -> String {
    let r = &group.routing;
    let url = |url: &str| if url.is_empty() { "nobody".to_owned() } else { url.to_owned() };
    let voice = match (r.trunk, r.application) {
        (Some(trunk), _) => format!("trunk {trunk}"),
        (None, Some(application)) => format!("application {application}"),
        (None, None) => url(&r.voice_url),
    };
    let messages = match (r.service, r.sms_application) {
        (Some(service), _) if !defers(scenario, service) => format!("Messaging Service {service}"),
        (_, Some(application)) => format!("application {application}"),
        (_, None) => url(&r.sms_url),
    };
    format!("calls: {voice}; messages: {messages}")
}

fn bin_does(bin: &Bin) -> &'static str {
    match bin.does {
        BinKind::Answer => "speaks to the caller, answers a text",
        BinKind::Forward => "forwards to a number at the old provider",
        BinKind::Broken => "is broken: its template cannot be rendered",
        BinKind::Dead => "looks well, and dials where nobody is",
        BinKind::Twiml => "does what its TwiML says",
    }
}

/// What is wrong with a group's numbers from the start.
fn traps(group: &ScenarioGroup, scenario: &Scenario) -> Vec<String> {
    let r = &group.routing;
    let has_voice = r.trunk.is_some() || r.application.is_some() || !r.voice_url.is_empty();
    let is_demo = [&r.voice_url, &r.sms_url].iter().any(|url| DEMO.iter().any(|demo| url.starts_with(demo)));
    let overrides = r.service.is_some_and(|service| !defers(scenario, service));
    let found = [
        (is_demo, "still points at Twilio's demo: every caller hears that"),
        (!has_voice && !group.hosted, "has no voice URL: calls fail at once and leave no trace"),
        (group.hosted, "is hosted: it has messages at Twilio, and its calls where they always were"),
        (r.trunk.is_some() && !r.voice_url.is_empty(), "has a voice URL that its trunk overrides"),
        (r.application.is_some() && !r.voice_url.is_empty(), "has a voice URL that its application overrides"),
        (overrides && !r.sms_url.is_empty(), "has an SMS URL that its Messaging Service overrides"),
        (r.voice_region != "us1", "has its calls processed in another region, where its record has no say"),
        (r.voice_url.is_empty() && !r.voice_fallback_url.is_empty(), "has a fallback URL without a primary one"),
        (!r.applied, "is not pointed at its handlers yet"),
    ];
    found.iter().filter(|(is, _)| *is).map(|(_, what)| format!("{} {what}", group.name)).collect()
}

fn service_traps(scenario: &Scenario) -> impl Iterator<Item = String> + '_ {
    let is_mute = |s: &&crate::sim::ScenarioService| {
        s.inbound_request_url.as_ref().is_none_or(String::is_empty) && !s.use_inbound_webhook_on_number
    };
    scenario
        .services
        .iter()
        .filter(is_mute)
        .map(|s| format!("Messaging Service {} has no webhook: messages vanish without a trace", s.sid))
}

fn happens(what: &Happening) -> String {
    match what {
        Happening::Handler(change) => {
            let lasts = change.lasts.map_or_else(String::new, |d| format!(", for {}", span_text(d)));
            format!("{} {}{lasts}", change.url, change.state)
        }
        Happening::Port(what) => format!("{what} ports"),
        Happening::PortStatus(change) => format!("the port of {} is said to be {:?}", change.of, change.status),
        Happening::PortOut(number) => format!("{number} is being ported away"),
        Happening::Traffic(change) => {
            let lasts = change.lasts.map_or_else(String::new, |d| format!(", for {}", span_text(d)));
            let share = |s: f64| (s * 100.0).round();
            let words = [
                change.factor.map(|f| format!("{f} times as many callers")),
                change.busy.map(|s| format!("{} % find the line busy", share(s))),
                change.no_answer.map(|s| format!("{} % are answered by nobody", share(s))),
                change.reply_error.map(|code| format!("every reply fails with {code}")),
                change.call_error.map(|code| match code {
                    0 => "every call breaks without a trace".to_owned(),
                    code => format!("every call is refused by Twilio with {code}"),
                }),
            ];
            let words: Vec<String> = words.into_iter().flatten().collect();
            format!("{}: {}{lasts}", change.group, words.join(", "))
        }
        Happening::Storm(storm) => format!("one caller calls {} {} times", storm.number, storm.calls),
        Happening::Campaign(campaign) => format!("{} texts {} people", campaign.number, campaign.texts),
        Happening::Fault(fault) => {
            let lasts = fault.lasts.map_or_else(String::new, |d| format!(" for {}", span_text(d)));
            format!("Twilio's API misbehaves{lasts}: {} on {}", fault.kind, fault.on.label())
        }
        Happening::Edit(edit) => {
            let set: Vec<String> = edit.set.iter().map(|(name, value)| format!("{name} to {value:?}")).collect();
            format!("somebody else sets {}'s {}", edit.number, set.join(", "))
        }
    }
}
