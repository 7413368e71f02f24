//! What is in a simulated account, for whoever is to work with it: its numbers and who answers them, the bins they can
//! fall back to, what lies in wait, and what is going to happen.

use std::fmt::Write as _;

use crate::config::span_text;
use crate::core::model::facts::DEMO;
use crate::core::model::id::E164;
use crate::sim::{Bin, BinKind, Happening, Scenario, ScenarioGroup};

/// The account of `scenario`, in lines.
pub fn listing(scenario: &Scenario) -> String {
    let mut out = format!("The account of \"{}\":\n\nNumbers\n", scenario.name);
    for group in &scenario.groups {
        let _ = writeln!(out, "  {}", group_line(group));
        let _ = writeln!(out, "    {}", answered(group));
    }
    if !scenario.bins.is_empty() {
        out += "\nTwiML Bins, to fall back to\n";
    }
    for bin in &scenario.bins {
        let _ = writeln!(out, "  {}  {}", bin.url(), bin_does(bin));
    }
    let traps: Vec<String> = scenario.groups.iter().flat_map(traps).chain(service_traps(scenario)).collect();
    if !traps.is_empty() {
        out += "\nTraps\n";
    }
    for trap in traps {
        let _ = writeln!(out, "  {trap}");
    }
    if !scenario.events.is_empty() {
        out += "\nWhat happens, after the start\n";
    }
    let mut events: Vec<_> = scenario.events.iter().collect();
    events.sort_by_key(|e| e.at);
    for event in events {
        let _ = writeln!(out, "  {}: {}", span_text(event.at), happens(&event.what));
    }
    out
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

fn answered(group: &ScenarioGroup) -> String {
    let r = &group.routing;
    let url = |url: &str| if url.is_empty() { "nobody".to_owned() } else { url.to_owned() };
    let voice = match (r.trunk, r.application) {
        (Some(trunk), _) => format!("trunk {trunk}"),
        (None, Some(application)) => format!("application {application}"),
        (None, None) => url(&r.voice_url),
    };
    let messages = match (r.service, r.sms_application) {
        (Some(service), _) => format!("Messaging Service {service}"),
        (None, Some(application)) => format!("application {application}"),
        (None, None) => url(&r.sms_url),
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
fn traps(group: &ScenarioGroup) -> Vec<String> {
    let r = &group.routing;
    let has_voice = r.trunk.is_some() || r.application.is_some() || !r.voice_url.is_empty();
    let is_demo = [&r.voice_url, &r.sms_url].iter().any(|url| DEMO.iter().any(|demo| url.starts_with(demo)));
    let found = [
        (is_demo, "still points at Twilio's demo: every caller hears that"),
        (!has_voice && !group.hosted, "has no voice URL: calls fail at once and leave no trace"),
        (group.hosted, "is hosted: it has messages at Twilio, and its calls where they always were"),
        (r.trunk.is_some() && !r.voice_url.is_empty(), "has a voice URL that its trunk overrides"),
        (r.application.is_some() && !r.voice_url.is_empty(), "has a voice URL that its application overrides"),
        (r.service.is_some() && !r.sms_url.is_empty(), "has an SMS URL that its Messaging Service overrides"),
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
        Happening::Traffic(change) => format!("the callers of {} change their ways", change.group),
        Happening::Storm(storm) => format!("one caller calls {} {} times", storm.number, storm.calls),
        Happening::Campaign(campaign) => format!("{} texts {} people", campaign.number, campaign.texts),
        Happening::Fault(fault) => {
            let lasts = fault.lasts.map_or_else(String::new, |d| format!(" for {}", span_text(d)));
            format!("Twilio's API misbehaves{lasts}: {} on {}", fault.kind, fault.on.label())
        }
        Happening::Edit(edit) => format!("somebody else changes {}", edit.number),
    }
}
