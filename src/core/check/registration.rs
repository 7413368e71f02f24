//! What carriers and regulators must have agreed to, and who else writes our numbers.

use super::code::FindingCode;
use super::facts::{Facts, NumberFound};
use super::report::Finder;
use crate::model::id::{Channel, E164};
use crate::model::roster::NumberIx;

pub fn check(facts: &Facts, finder: &mut Finder<'_>) {
    match &facts.writers {
        Ok(changes) => {
            for change in changes {
                let theirs = changes.iter().filter(|c| c.by == change.by).map(|c| c.at);
                let last = theirs.max().unwrap_or(change.at);
                finder.find_number(FindingCode::OtherWriter, format!("{}, last at {last}", change.by), change.number);
            }
        }
        Err(why) => finder.skip(&[FindingCode::OtherWriter], why),
    }
    let found = match &facts.numbers {
        Ok(found) => found,
        Err(why) => {
            let all = [
                FindingCode::NoCampaign,
                FindingCode::CampaignNotVerified,
                FindingCode::BrandNotApproved,
                FindingCode::TollFreeNotVerified,
                FindingCode::BundleNotApproved,
            ];
            return finder.skip(&all, why);
        }
    };
    for n in &found.there {
        let number = finder.roster.number(n.ix);
        let sends = number.channels[Channel::Messaging.index()] && !n.record.lacks[Channel::Messaging.index()];
        if sends && number.id.e164.is_toll_free() {
            toll_free(facts, n, finder);
        } else if sends && is_american(number.id.e164) {
            campaign(facts, n, found.services_read, finder);
        }
        let Some(bundle) = &n.bundle else { continue };
        match facts.bundles.get(bundle) {
            Some(Ok(status)) if status != "twilio-approved" => {
                finder.find_number(FindingCode::BundleNotApproved, format!("bundle {bundle} is {status}"), n.ix);
            }
            Some(Err(why)) => finder.skip(&[FindingCode::BundleNotApproved], why),
            Some(Ok(_)) | None => {}
        }
    }
}

/// North America's, of which most that Twilio has are of the United States.
fn is_american(number: E164) -> bool {
    number.as_u64().to_string().starts_with('1')
}

fn toll_free(facts: &Facts, n: &NumberFound, finder: &mut Finder<'_>) {
    match &facts.toll_free {
        Ok(all) => match all.get(&n.record.sid).map(String::as_str) {
            Some("TWILIO_APPROVED") => {}
            Some(status) => {
                finder.find_number(FindingCode::TollFreeNotVerified, format!("its verification is {status}"), n.ix);
            }
            None => finder.find_number(FindingCode::TollFreeNotVerified, "no verification was asked for", n.ix),
        },
        Err(why) => finder.skip_number(&[FindingCode::TollFreeNotVerified], why, n.ix),
    }
}

fn campaign(facts: &Facts, n: &NumberFound, services_read: bool, finder: &mut Finder<'_>) {
    use FindingCode::{BrandNotApproved, CampaignNotVerified, NoCampaign};
    let ix: NumberIx = n.ix;
    let Some(service) = &n.record.service else {
        if services_read {
            finder.find_number(NoCampaign, "it is in no Messaging Service", ix);
        } else {
            let why = super::facts::Unlooked::needed("the Messaging Services could not be read");
            finder.skip_number(&[NoCampaign, CampaignNotVerified, BrandNotApproved], &why, ix);
        }
        return;
    };
    let sid = service.sid;
    let campaigns = match facts.campaigns.get(&sid) {
        Some(Ok(campaigns)) => campaigns,
        Some(Err(why)) => {
            return finder.skip_number(&[NoCampaign, CampaignNotVerified, BrandNotApproved], why, ix);
        }
        None => return,
    };
    if campaigns.is_empty() {
        return finder.find_number(NoCampaign, format!("messaging service {sid} has no campaign"), ix);
    }
    if let Some(first) = campaigns.iter().find(|_| !campaigns.iter().any(|c| c.status == "VERIFIED")) {
        finder.find_number(CampaignNotVerified, format!("campaign {} is {}", first.sid, first.status), ix);
    }
    for brand in campaigns.iter().filter_map(|c| c.brand.as_ref()) {
        match facts.brands.get(brand) {
            Some(Ok(status)) if status != "APPROVED" => {
                finder.find_number(BrandNotApproved, format!("brand {brand} is {status}"), ix);
            }
            Some(Err(why)) => finder.skip_number(&[BrandNotApproved], why, ix),
            Some(Ok(_)) | None => {}
        }
    }
}
