//! Replaying a recorded log: how much deciding adds to parsing, and that it does not grow with the
//! recording.

use std::io::Cursor;
use std::time::{Duration, Instant};

use ringback::caller::CallerKey;
use ringback::core::detect::engine::EngineSettings;
use ringback::core::model::id::NumberId;
use ringback::core::model::roster::{Number, PortAt, Roster, UNNAMED_ACCOUNT};
use ringback::core::model::time::Time;
use ringback::replay::{parse, play};
use ringback::twilio::wire::{NumberSids, Reader};

const NUMBERS: usize = 2000;
const START: i64 = 1_795_000_000;

fn number(i: usize) -> String {
    format!("+1500{i:07}")
}

fn roster() -> Roster {
    let mut roster = Roster::default();
    let groups: Vec<_> = (0..20).map(|g| roster.add_group(format!("g{g}").parse().unwrap(), [None, None])).collect();
    for i in 0..NUMBERS {
        let number = Number {
            id: NumberId::new(UNNAMED_ACCOUNT, number(i).parse().unwrap()),
            label: String::new(),
            timezone: jiff::tz::TimeZone::fixed(jiff::tz::offset(-5)),
            group: groups[i % groups.len()],
            channels: [true, true],
            port: PortAt::Done,
        };
        roster.add_number(number).unwrap();
    }
    roster
}

/// A log of honest calls, one in fifty failing, with rows as wide as Twilio's.
fn log(calls: usize) -> String {
    let account = format!("AC{:032x}", 1);
    let mut text = String::new();
    let mut seed = 1u64;
    let mut next = |n: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % n
    };
    let date = |s: i64| Time::from_secs(s).to_timestamp().strftime("%a, %d %b %Y %H:%M:%S +0000").to_string();
    for n in 0..NUMBERS {
        text += &format!(
            r#"{{"seen_at":"{}","kind":"number","resource":{{"sid":"PN{n:032x}","phone_number":"{}","voice_url":"https://app.example.com/voice"}}}}"#,
            Time::from_secs(START),
            number(n)
        );
        text.push('\n');
    }
    for i in 0..calls {
        // Some busy numbers and many quiet ones.
        let n = (next(NUMBERS as u64) * next(NUMBERS as u64) / NUMBERS as u64) as usize;
        let at = START * 1000 + (i as i64) * 400;
        let lasts = 20 + next(200) as i64;
        let (to, from) = (number(n), format!("+1212{:07}", next(9_000_000)));
        let (start, end) = (date(at / 1000 - lasts - 5), date(at / 1000 - 5));
        text += &format!(
            r#"{{"seen_at":"{}","kind":"call","resource":{{"account_sid":"{account}","annotation":null,"answered_by":null,"api_version":"2010-04-01","caller_name":"","date_created":"{start}","date_updated":"{end}","direction":"inbound","duration":"{lasts}","end_time":"{end}","forwarded_from":null,"from":"{from}","from_formatted":"{from}","group_sid":null,"parent_call_sid":null,"phone_number_sid":"PN{n:032x}","price":null,"price_unit":"USD","queue_time":"0","sid":"CA{i:032x}","start_time":"{start}","status":"completed","to":"{to}","to_formatted":"{to}","subresource_uris":{{}},"trunk_sid":null,"uri":"/2010-04-01/Accounts/{account}/Calls/CA{i:032x}.json"}}}}"#,
            Time::from_millis(at)
        );
        text.push('\n');
        if next(50) == 0 {
            text += &format!(
                r#"{{"seen_at":"{}","kind":"alert","resource":{{"account_sid":"{account}","alert_text":"","api_version":"2010-04-01","date_created":"{}","date_generated":"{}","error_code":"11200","log_level":"error","more_info":"","request_method":"POST","request_url":"https://app.example.com/voice","resource_sid":"CA{i:032x}","service_sid":null,"sid":"NO{i:032x}"}}}}"#,
                Time::from_millis(at + 300),
                Time::from_millis(at),
                Time::from_millis(at)
            );
            text.push('\n');
        }
    }
    text
}

/// The shortest of three: machines are shared.
fn shortest(mut run: impl FnMut()) -> Duration {
    (0..3)
        .map(|_| {
            let before = Instant::now();
            run();
            before.elapsed()
        })
        .min()
        .unwrap()
}

/// The shortest time that each took, for one log.
pub struct Replay {
    pub entries: usize,
    pub bytes: usize,
    pub all: Duration,
    /// Parsing the fields alone.
    pub parsing: Duration,
    /// Parsing into generic JSON values.
    pub generic: Duration,
}

pub fn measure(calls: usize) -> Replay {
    let roster = roster();
    let key = CallerKey::public();
    let settings = EngineSettings::default();
    let sids = NumberSids::default();
    let reader = Reader { roster: &roster, account: UNNAMED_ACCOUNT, key: &key, sids: &sids, carriers: None };
    let text = log(calls);
    let parsing = shortest(|| {
        for line in text.lines() {
            std::hint::black_box(parse(line.as_bytes(), reader).unwrap());
        }
    });
    let generic = shortest(|| {
        for line in text.lines() {
            std::hint::black_box(serde_json::from_str::<serde_json::Value>(line).unwrap());
        }
    });
    let all = shortest(|| {
        let nothing = &mut |_| panic!("the log is well-formed");
        play(Cursor::new(&text), UNNAMED_ACCOUNT, &roster, &settings, nothing, &mut |_| {}, &mut |_| Ok(())).unwrap();
    });
    Replay { entries: text.lines().count(), bytes: text.len(), all, parsing, generic }
}

pub fn replay() {
    let mut per_entry = Vec::new();
    for calls in [50_000, 400_000] {
        let Replay { entries, bytes, all, parsing, generic } = measure(calls);
        let rate = |d: Duration| entries as f64 / d.as_secs_f64() / 1000.0;
        println!(
            "  {entries} entries, {} MB: {:.0} thousand a second, {:.2} times parsing the fields alone ({:.0} thousand), {:.2} \
             times parsing into generic JSON values ({:.0} thousand)",
            bytes >> 20,
            rate(all),
            all.as_secs_f64() / parsing.as_secs_f64(),
            rate(parsing),
            all.as_secs_f64() / generic.as_secs_f64(),
            rate(generic)
        );
        per_entry.push(all.as_secs_f64() / entries as f64);
    }
    println!("  an entry of the longer log costs {:.2} times one of the shorter", per_entry[1] / per_entry[0]);
}
