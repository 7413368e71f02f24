//! The account: its credentials and their permissions, the clock, its state and its credit.

use super::code::FindingCode;
use super::facts::{AccountStanding, Balance, Door, Facts, KeyKind, Traffic, Unlooked, UpdateTrial};
use super::report::Finder;

/// What a call costs with the leg that forwards it, a message with its reply, and a test call: rough figures of ours,
/// above the list prices for the United States. What is compared with them is a day, and not a bill.
const CALL: f64 = 0.03;
const MESSAGE: f64 = 0.02;
const PROBE: f64 = 0.02;

pub fn check(facts: &Facts, finder: &mut Finder<'_>) {
    use FindingCode::{AccountNotActive, ClockSkew, Credentials, LowBalance, Permission, TrialAccount};
    match &facts.door {
        Door::Open => {}
        Door::Refused(why) => finder.find(Credentials, why),
        Door::NoNumbers(why) => {
            finder.find(Permission, format!("it may not read the numbers: nothing can be watched: {why}"));
        }
        Door::Shut(why) => finder.skip(&[Credentials], &Unlooked::needed(why)),
    }
    match &facts.door {
        Door::Open | Door::NoNumbers(_) => permissions(facts, finder),
        Door::Refused(_) => finder.skip(&[Permission], &Unlooked::depends_on(Credentials)),
        Door::Shut(why) => finder.skip(&[Permission], &Unlooked::needed(why)),
    }
    if !facts.signs {
        finder.find(FindingCode::CannotSign, "TWILIO_API_KEY is used");
    }
    match &facts.skew {
        Ok(seconds) if seconds.unsigned_abs() > facts.skew_borne.as_secs() => {
            let (by, way) = (seconds.unsigned_abs(), if *seconds > 0 { "behind" } else { "ahead of" });
            finder.find(ClockSkew, format!("it is {by} s {way} Twilio's"));
        }
        Ok(_) => {}
        Err(why) => finder.skip(&[ClockSkew], why),
    }
    match &facts.standing {
        Ok(AccountStanding { status, is_trial }) => {
            if !status.eq_ignore_ascii_case("active") {
                finder.find(AccountNotActive, format!("its status is {status}"));
            }
            if *is_trial {
                finder.find(TrialAccount, "its type is Trial");
            }
        }
        Err(why) => finder.skip(&[AccountNotActive, TrialAccount], why),
    }
    match (&facts.balance, &facts.traffic) {
        (Ok(Balance { amount, currency }), Ok(Traffic { calls, messages })) => {
            let probes = facts.probes_a_day;
            let needed = calls * CALL + messages * MESSAGE + probes * PROBE;
            if *amount <= needed {
                let day = format!("{calls:.0} calls, {messages:.0} messages and {probes:.0} probes");
                finder.find(
                    LowBalance,
                    format!("{amount:.2} {currency} are left, and a day of {day} costs about {needed:.2}"),
                );
            }
        }
        (Err(why), _) | (Ok(_), Err(why)) => finder.skip(&[LowBalance], why),
    }
    if let Some((region, edge)) = &facts.edge_filled_in {
        finder.find(
            FindingCode::RegionWithoutEdge,
            format!("twilio.region is {region:?}, and no edge is named: {edge} is used"),
        );
    }
}

fn permissions(facts: &Facts, finder: &mut Finder<'_>) {
    for refusal in &facts.refusals {
        finder.find(
            FindingCode::Permission,
            format!("it may not read {}: {} ({})", refusal.what, refusal.so, refusal.error),
        );
    }
    match (&facts.update, facts.key) {
        (Ok(UpdateTrial::Needless), _) => {}
        (Ok(UpdateTrial::Barred(error)), _) => {
            finder.find(FindingCode::Permission, format!("it may not update numbers: nothing can be swapped: {error}"));
        }
        (Ok(UpdateTrial::LetThrough), _) => finder.skip(
            &[FindingCode::Permission],
            &Unlooked::optional(
                "an update of a number that does not exist was turned away for that alone: so the key may update numbers, \
                 though only a real write proves it",
            ),
        ),
        // All such keys may.
        (Err(_), KeyKind::Whole | KeyKind::Standard) => {}
        (Err(why), KeyKind::Restricted | KeyKind::Untold) => {
            let because = format!("whether this key may update numbers could not be tried: {}", why.because);
            finder.skip(&[FindingCode::Permission], &Unlooked { because, ..why.clone() });
        }
    }
    let is_probed = facts.probes_a_day > 0.0;
    match facts.key {
        KeyKind::Restricted | KeyKind::Untold if is_probed => finder.skip(
            &[FindingCode::Permission],
            &Unlooked::needed(
                "whether this key may place test calls and texts cannot be tried without placing one: look at its \
                 permissions in Twilio's Console",
            ),
        ),
        KeyKind::Whole | KeyKind::Standard | KeyKind::Restricted | KeyKind::Untold => {}
    }
}
