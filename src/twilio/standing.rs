//! How the account stands: what `ringback check` asks beside the logs and the numbers. All of it is read, none written.
//!
//! What is a list at Twilio is read as one; what costs a request for each number, trunk or service is the caller's to
//! bound. Statuses are Twilio's words as they come, cut to a line: new ones appear without notice.

use serde::Deserialize;

use super::host::Product;
use super::limit::Precedence;
use super::wire::{self, BadRow, Listed, Reader, Text, WireRow};
use super::{Client, Error, ErrorKind, Pager, endpoint, query};
use crate::core::check::facts::{AccountStanding, Balance, Campaign};
use crate::core::model::facts::LARGEST_SERVICE_PAGE;
use crate::core::model::foreign::Line;
use crate::core::model::id::{NumberSid, ServiceSid, TrunkSid};
use crate::core::model::time::Time;

/// What came of a trial update.
#[derive(Debug, Clone)]
pub enum TrialAnswer {
    /// There is no such number: whoever may not update numbers is not told so much.
    NotFound,
    /// The credentials may not update numbers.
    Barred(Error),
}

/// Changes that are looked at: who writes often is among the latest.
const CHANGES: usize = 500;

/// A rule of the Webhooks configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireRule {
    pub name: String,
    pub matches: Match,
    pub signs: bool,
    pub times: bool,
}

/// Which URLs a rule is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    Exact(String),
    Prefix(String),
    All,
}

impl WireRule {
    /// Twilio takes the longest exact match, then the longest prefix, then the rule for all.
    pub fn rank(&self, url: &str) -> Option<(u8, usize)> {
        match &self.matches {
            Match::Exact(value) if value == url => Some((2, value.len())),
            Match::Prefix(prefix) if url.starts_with(prefix.as_str()) => Some((1, prefix.len())),
            Match::All => Some((0, 0)),
            Match::Exact(_) | Match::Prefix(_) => None,
        }
    }
}

/// A change of a number, as the audit log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireChange {
    pub number: NumberSid,
    pub by: Line,
    pub at: Time,
}

fn text<T>(read: impl Fn(&str) -> Option<T>, body: &[u8], field: &str) -> Result<Option<T>, String> {
    let json: serde_json::Value = serde_json::from_slice(body).map_err(|e| e.to_string())?;
    let said = match &json[field] {
        serde_json::Value::String(s) => s.clone(),
        serde_json::Value::Number(n) => n.to_string(),
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Array(_) => return Ok(None),
        serde_json::Value::Object(_) => return Ok(None),
    };
    Ok(read(&said))
}

/// A word of Twilio's as it may be shown.
fn word(said: &str) -> Option<String> {
    Some(crate::core::model::foreign::line(said, 60)).filter(|w| !w.is_empty())
}

impl Client {
    /// Tries whether the credentials may update numbers, without effect: of a number that cannot exist, for its SID is
    /// all noughts, an update is asked for that names no field. Only what is sent changes, and nothing is.
    ///
    /// That a permission is looked at before the number is, is Twilio's habit and nowhere promised.
    pub async fn try_update(&self) -> Result<TrialAnswer, Error> {
        let path = self.account_path(&format!("IncomingPhoneNumbers/{}.json", NumberSid::from_u128(0)));
        let read = |_: &[u8]| Err("it answers for a number that cannot exist".to_owned());
        let tried =
            self.transport.update::<()>(Precedence::Other, endpoint::UPDATE_NUMBER, Product::Api, &path, &[], read);
        match tried.await {
            Err(error) if error.kind == ErrorKind::NotFound && error.code == Some(20_404) => Ok(TrialAnswer::NotFound),
            Err(error) if error.kind == ErrorKind::Permission => Ok(TrialAnswer::Barred(error)),
            answer => answer.map(|()| TrialAnswer::NotFound),
        }
    }

    /// Whether the account is active. A standard API key may not read this (401, 20003).
    pub async fn standing(&self) -> Result<AccountStanding, Error> {
        let path = format!("/2010-04-01/Accounts/{}.json", self.account());
        let read = self.asked().sid(self.account()).one(|body| {
            let status = text(word, body, "status")?.ok_or("status is missing")?;
            let kind = text(word, body, "type")?.unwrap_or_default();
            Ok(AccountStanding { status, is_trial: kind.eq_ignore_ascii_case("trial") })
        });
        self.transport.read(self.precedence, endpoint::FETCH_ACCOUNT, Product::Api, &path, read).await
    }

    /// What is left of the account's credit. Of a parent account alone, and some minutes old.
    pub async fn balance(&self) -> Result<Balance, Error> {
        let read = self.asked().one(|body| {
            let amount = text(|s| s.parse::<f64>().ok(), body, "balance")?;
            let amount = amount.filter(|a| a.is_finite()).ok_or("balance is no number")?;
            Ok(Balance { amount, currency: text(word, body, "currency")?.unwrap_or_default() })
        });
        let path = self.account_path("Balance.json");
        self.transport.read(self.precedence, endpoint::FETCH_BALANCE, Product::Api, &path, read).await
    }

    /// How many origination URLs of a trunk are in use.
    pub async fn originations(&self, trunk: TrunkSid) -> Result<usize, Error> {
        let path = format!("/v1/Trunks/{trunk}/OriginationUrls?PageSize={LARGEST_SERVICE_PAGE}");
        let pager: Pager<'_, Originations> = self.pager(endpoint::LIST_ORIGINATIONS, Product::Trunking, path);
        Ok(pager.whole().await?.into_iter().filter(|enabled| *enabled).count())
    }

    /// False once a number had a route and nothing said which region processes its messages.
    pub fn tells_messaging_regions(&self) -> bool {
        let (_, _, clock) = self.transport.parts();
        self.regions.has_messaging(clock.now())
    }

    /// The 10DLC campaigns of a Messaging Service.
    pub async fn campaigns(&self, service: ServiceSid) -> Result<Vec<Campaign>, Error> {
        let path = format!("/v1/Services/{service}/Compliance/Usa2p?PageSize={LARGEST_SERVICE_PAGE}");
        let pager: Pager<'_, Campaigns> = self.pager(endpoint::LIST_CAMPAIGNS, Product::Messaging, path);
        pager.whole().await
    }

    /// The status of a 10DLC brand.
    pub async fn brand(&self, sid: &str) -> Result<String, Error> {
        self.status(endpoint::FETCH_BRAND, Product::Messaging, format!("/v1/a2p/BrandRegistrations/{sid}"), sid).await
    }

    /// The status of a regulatory bundle.
    pub async fn bundle(&self, sid: &str) -> Result<String, Error> {
        let path = format!("/v2/RegulatoryCompliance/Bundles/{sid}");
        self.status(endpoint::FETCH_BUNDLE, Product::Numbers, path, sid).await
    }

    async fn status(&self, endpoint: &'static str, product: Product, path: String, sid: &str) -> Result<String, Error> {
        let read = self.asked().sid(sid).one(|body| Ok(text(word, body, "status")?.ok_or("status is missing")?));
        self.transport.read(self.precedence, endpoint, product, &path, read).await
    }

    /// The toll-free verifications, by number, with their statuses.
    pub async fn toll_free(&self) -> Result<Vec<(NumberSid, String)>, Error> {
        let path = format!("/v1/Tollfree/Verifications?PageSize={LARGEST_SERVICE_PAGE}");
        let pager: Pager<'_, TollFree> = self.pager(endpoint::LIST_TOLL_FREE, Product::Messaging, path);
        Ok(pager.all().await?.0)
    }

    /// Whether a country of this calling code may be called.
    pub async fn may_call(&self, calling_code: &str) -> Result<bool, Error> {
        let query = query(&[("CountryCode", calling_code), ("PageSize", "100")]);
        let path = format!("/v1/DialingPermissions/Countries?{query}");
        let pager: Pager<'_, Countries> = self.pager(endpoint::LIST_DIALING_PERMISSIONS, Product::Voice, path);
        let countries = pager.whole().await?;
        // Of those that share a code, as the islands share North America's, the largest decides.
        let main = countries.iter().find(|(iso, _)| calling_code == "1" && iso == "US");
        Ok(main.map_or_else(|| countries.iter().any(|(_, may)| *may), |(_, may)| *may))
    }

    /// The rules of the Webhooks configuration; none where the account does not use it.
    pub async fn webhook_rules(&self) -> Result<Vec<WireRule>, Error> {
        let path = format!("/v1/Webhooks/Rules?PageSize={LARGEST_SERVICE_PAGE}");
        let pager: Pager<'_, Rules> = self.pager(endpoint::LIST_WEBHOOK_RULES, Product::Webhooks, path);
        match pager.all().await {
            Err(error) if error.kind == ErrorKind::NotFound => Ok(Vec::new()),
            rules => Ok(rules?.0),
        }
    }

    /// The latest changes of numbers since `since`, no more of them than [`CHANGES`].
    pub async fn latest_changes(&self, since: Time) -> Result<Vec<WireChange>, Error> {
        let since = since.floor_to_second().to_timestamp().to_string();
        let size = CHANGES.to_string();
        let query = query(&[("EventType", "phone-number.updated"), ("StartDate", &since), ("PageSize", &size)]);
        let path = format!("/v1/Events?{query}");
        let mut pager: Pager<'_, Changes> = self.pager(endpoint::LIST_EVENTS, Product::Monitor, path);
        let page = pager.next().await?;
        let ours = |row| match row {
            Ok(WireRow::Ours(change)) => Some(change),
            Ok(WireRow::NotOurs(_)) | Err(_) => None,
        };
        Ok(page.into_iter().flat_map(|p| p.rows).filter_map(ours).collect())
    }
}

macro_rules! listed {
    ($name:ident, $key:literal, $raw:ident -> $item:ty, $convert:expr) => {
        struct $name;

        impl Listed for $name {
            const KEY: &'static str = $key;
            type Raw<'a> = $raw<'a>;
            type Item = $item;

            fn bytes(_: &$item) -> usize {
                size_of::<$item>()
            }

            fn convert(raw: &$raw<'_>, reader: Reader<'_>) -> Result<WireRow<$item>, BadRow> {
                let convert: fn(&$raw<'_>, Reader<'_>) -> Result<$item, BadRow> = $convert;
                convert(raw, reader).map(WireRow::Ours)
            }
        }
    };
}

#[derive(Deserialize)]
struct RawOrigination<'a> {
    #[serde(borrow, default)]
    sip_url: Text<'a>,
    #[serde(default)]
    enabled: Option<bool>,
}

listed!(Originations, "origination_urls", RawOrigination -> bool, |raw, _| {
    Ok(raw.enabled.unwrap_or(true) && raw.sip_url.get().is_some())
});

#[derive(Deserialize)]
struct RawCampaign<'a> {
    #[serde(borrow, default)]
    sid: Text<'a>,
    #[serde(borrow, default)]
    campaign_status: Text<'a>,
    #[serde(borrow, default)]
    brand_registration_sid: Text<'a>,
}

listed!(Campaigns, "compliance", RawCampaign -> Campaign, |raw, _| {
    let said = |t: &Text<'_>| t.get().and_then(word);
    let is_sid = |sid: &String| sid.chars().all(|c| c.is_ascii_alphanumeric());
    Ok(Campaign {
        sid: said(&raw.sid).unwrap_or_default(),
        status: said(&raw.campaign_status).unwrap_or_else(|| "without a status".to_owned()).to_ascii_uppercase(),
        // It becomes a part of a path.
        brand: said(&raw.brand_registration_sid).filter(is_sid),
    })
});

#[derive(Deserialize)]
struct RawTollFree<'a> {
    #[serde(borrow, default)]
    tollfree_phone_number_sid: Text<'a>,
    #[serde(borrow, default)]
    status: Text<'a>,
}

listed!(TollFree, "verifications", RawTollFree -> (NumberSid, String), |raw, _| {
    let number = wire::sid("tollfree_phone_number_sid", &raw.tollfree_phone_number_sid)?;
    Ok((number, raw.status.get().and_then(word).unwrap_or_default()))
});

#[derive(Deserialize)]
struct RawCountry<'a> {
    #[serde(borrow, default)]
    iso_code: Text<'a>,
    #[serde(default)]
    low_risk_numbers_enabled: Option<bool>,
}

listed!(Countries, "content", RawCountry -> (String, bool), |raw, _| {
    Ok((raw.iso_code.get().and_then(word).unwrap_or_default(), raw.low_risk_numbers_enabled.unwrap_or(false)))
});

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawRule<'a> {
    #[serde(borrow, default)]
    friendly_name: Text<'a>,
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(borrow, default)]
    match_type: Text<'a>,
    #[serde(borrow, default)]
    value: Text<'a>,
    #[serde(borrow, default)]
    prefix: Text<'a>,
    /// Objects, or the settings' ids alone, which say nothing of what they change.
    #[serde(default)]
    settings: Vec<serde_json::Value>,
}

listed!(Rules, "rules", RawRule -> WireRule, |raw, reader| {
    let owned = |t: &Text<'_>| t.get().unwrap_or_default().to_owned();
    let matches = match raw.match_type.get() {
        Some("EXACT_MATCH") => Match::Exact(owned(&raw.value)),
        Some("PREFIX_MATCH") => Match::Prefix(owned(&raw.prefix)),
        // A kind that is new may match anything.
        Some(_) | None => Match::All,
    };
    let name = raw.friendly_name.get().or(raw.id.get()).unwrap_or("without a name");
    let customers = || raw.settings.iter().filter(|s| s["type"] != "SYSTEM");
    let changes = |key: &str| customers().any(|s| !s.is_object() || s.get(key).is_some_and(|v| !v.is_null()));
    Ok(WireRule {
        name: super::error::clip(name, reader.roster),
        matches,
        signs: changes("signature"),
        times: changes("connection"),
    })
});

#[derive(Deserialize)]
struct RawChange<'a> {
    #[serde(borrow, default)]
    resource_sid: Text<'a>,
    #[serde(borrow, default)]
    actor_type: Text<'a>,
    #[serde(borrow, default)]
    actor_sid: Text<'a>,
    #[serde(borrow, default)]
    source: Text<'a>,
    #[serde(borrow, default)]
    event_date: Text<'a>,
}

listed!(Changes, "events", RawChange -> WireChange, |raw, reader| {
    let said = |t: &Text<'_>| super::error::clip(t.get().unwrap_or("unknown"), reader.roster);
    let by = format!("{} {} by {}", said(&raw.actor_type), said(&raw.actor_sid), said(&raw.source));
    Ok(WireChange {
        number: wire::sid("resource_sid", &raw.resource_sid)?,
        by: Line::new(&by),
        at: wire::required_date("event_date", &raw.event_date)?,
    })
});
