use super::*;
use crate::profile::Slot;

fn number(week: impl FnMut(usize) -> f64) -> NumberProfile {
    NumberProfile {
        timezone: TimeZone::get("America/New_York").unwrap(),
        calls: 1204,
        span: Some((Time::from_secs(1_790_000_000), Time::from_secs(1_793_000_000))),
        level: 1.041_237_9,
        rests_on: 310.2,
        newness: 0.0,
        spread: DaySpread(0.013),
        week: Week::from_fn(week),
        carriers: vec![0.3, 0.7],
        standing: NumberStanding::Usual,
    }
}

fn profile() -> Profile {
    let mut prefixes = Prefixes::default();
    prefixes.insert("+1555201".to_owned(), CarrierIx(0));
    prefixes.insert("+1555".to_owned(), CarrierIx(1));
    let mut silent = number(|_| 0.0);
    silent.timezone = TimeZone::fixed(Offset::from_seconds(-5 * 3600 - 1800).unwrap());
    silent.level = 0.0;
    silent.span = None;
    silent.standing = NumberStanding::Dead;
    let carrier = |name: &str, share| CarrierProfile { name: name.to_owned(), share };
    let group = GroupProfile { spread: DaySpread(0.021), lulls: 1, full_days: 27 };
    Profile {
        made_at: Time::from_secs(1_795_000_000),
        from: Time::from_secs(1_790_000_000),
        to: Time::from_secs(1_793_000_000),
        sources: vec![ProfileSource { file: "calls.csv".to_owned(), rows: 120_344 }],
        mean_call: Duration::from_millis(184_200),
        carriers: vec![carrier("Alpha", 0.31), carrier("Beta", 0.69)],
        prefixes,
        account: DaySpread(0.0124),
        groups: BTreeMap::from([("support".parse().unwrap(), group)]),
        numbers: BTreeMap::from([
            ("+15005550100".parse().unwrap(), number(|i| i as f64 / 8.0)),
            ("+15005550101".parse().unwrap(), silent),
        ]),
    }
}

#[test]
fn what_is_written_reads_back_to_six_digits() {
    let mut want = profile();
    let text = write(&want);
    want.numbers.get_mut(&"+15005550100".parse().unwrap()).unwrap().level = 1.041_24;
    let read = read(&text).unwrap();
    assert_eq!(read, want);
    assert_eq!(write(&read), text);
    assert_eq!(text.lines().count(), 4, "a line for each number: {text}");
}

/// What the file has is replaced by something else, once.
fn broken(from: &str, to: &str) -> String {
    let text = write(&profile());
    assert!(text.contains(from), "{from} is not in {text}");
    read(&text.replacen(from, to, 1)).unwrap_err().to_string()
}

#[test]
fn a_fault_names_the_field_the_value_and_the_cure() {
    for (from, to, want) in [
        ("\"version\":1", "\"version\":2", "version: 2 is of another version of ringback, which reads 1"),
        ("\"version\":1", "\"version\":1,\"more\":1", "unknown field `more`"),
        ("1.04124", "-1.04124", "numbers.+15005550100.level: -1.04124 is not between 0 and"),
        ("1.04124", "1e999", "number out of range"),
        ("1.04124", "null", "invalid type: null"),
        ("[0.0,0.125,", "[0.0,", "numbers.+15005550100.week: has 335 values, not 336"),
        ("[0.0,0.125,", "[0.0,-0.125,", "numbers.+15005550100.week[1]: -0.125 is not between 0 and"),
        ("[0.3,0.7]", "[0.3]", "numbers.+15005550100.carriers: has 1 values, not 2"),
        ("[0.3,0.7]", "[0.3,1.7]", "numbers.+15005550100.carriers[1]: 1.7 is not between 0 and 1"),
        ("America/New_York", "America/Gotham", "timezone: \"America/Gotham\" is no time zone"),
        ("-05:30", "-5", "timezone: \"-5\" is no time zone"),
        ("\"+1555201\":0", "\"+1555201\":7", "prefixes.\"+1555201\": 7 is no carrier's position: there are 2"),
        ("\"+1555201\":0", "\"+15552010123\":0", "is not the beginning of a number"),
        ("\"spread\":0.021", "\"spread\":-1", "groups.support.spread: -1 is not between"),
        ("\"standing\":\"dead\"", "\"standing\":\"gone\"", "unknown variant `gone`"),
        ("+15005550101", "15005550101", "is not a number in E.164"),
        ("\"rests_on\":310.2,", "", "missing field `rests_on`"),
    ] {
        let said = broken(from, to);
        assert!(said.contains(want), "{from} -> {to}: {said}");
        assert!(said.contains("ringback learn"), "no cure: {said}");
    }
    assert!(read("").unwrap_err().to_string().contains("is no profile"));
}

#[test]
fn the_longest_beginning_tells_the_carrier() {
    let prefixes = profile().prefixes;
    assert_eq!(prefixes.carrier("+15552010123"), Some(CarrierIx(0)));
    assert_eq!(prefixes.carrier("+15553010123"), Some(CarrierIx(1)));
    assert_eq!(prefixes.carrier("+15003010123"), None);
    assert_eq!(prefixes.carrier("+15"), None);
    assert_eq!(prefixes.carrier("anonymö"), None);
}

#[test]
fn a_slot_is_the_half_hour_of_the_local_week() {
    let zone = TimeZone::get("America/New_York").unwrap();
    let slot = |text: &str| Slot::at(text.parse().unwrap(), &zone).index();
    assert_eq!(slot("2026-11-16T05:00:00Z"), 0, "Monday, 00:00 in New York");
    assert_eq!(slot("2026-11-16T04:59:59Z"), SLOTS - 1);
    assert_eq!(slot("2026-10-19T04:29:59Z"), 0, "daylight saving time");
    assert_eq!(slot("2026-11-18T14:30:00Z"), 2 * 48 + 19);
}
