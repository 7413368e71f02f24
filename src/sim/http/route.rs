//! Which resource a request is about.

use serde::{Deserialize, Serialize};

/// A kind of request: the unit of permissions, faults and statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndpointClass {
    Account,
    Calls,
    Call,
    CallNotifications,
    CallCreate,
    CallUpdate,
    CallRecordings,
    Recording,
    RecordingMedia,
    RecordingDelete,
    Messages,
    Message,
    MessageCreate,
    Numbers,
    Number,
    NumberUpdate,
    NumberDelete,
    Applications,
    Application,
    Notifications,
    Notification,
    Alerts,
    Alert,
    Events,
    Services,
    Service,
    ServiceNumbers,
    ServiceNumber,
    ServiceNumberCreate,
    ServiceNumberDelete,
    PortRequests,
    PortRequest,
    PortNumber,
    Portability,
    HostedOrders,
    Trunk,
    OriginationUrls,
    /// Of calls alone: version 2.
    Region,
    Balance,
    Campaigns,
    Brand,
    TollFree,
    Bundle,
    DialingPermissions,
    WebhookRules,
    /// Of calls and messages: version 3.
    Regions,
    /// Nothing that is here.
    Other,
}

impl EndpointClass {
    pub const ALL: [EndpointClass; 47] = [
        EndpointClass::Account,
        EndpointClass::Calls,
        EndpointClass::Call,
        EndpointClass::CallNotifications,
        EndpointClass::CallCreate,
        EndpointClass::CallUpdate,
        EndpointClass::CallRecordings,
        EndpointClass::Recording,
        EndpointClass::RecordingMedia,
        EndpointClass::RecordingDelete,
        EndpointClass::Messages,
        EndpointClass::Message,
        EndpointClass::MessageCreate,
        EndpointClass::Numbers,
        EndpointClass::Number,
        EndpointClass::NumberUpdate,
        EndpointClass::NumberDelete,
        EndpointClass::Applications,
        EndpointClass::Application,
        EndpointClass::Notifications,
        EndpointClass::Notification,
        EndpointClass::Alerts,
        EndpointClass::Alert,
        EndpointClass::Events,
        EndpointClass::Services,
        EndpointClass::Service,
        EndpointClass::ServiceNumbers,
        EndpointClass::ServiceNumber,
        EndpointClass::ServiceNumberCreate,
        EndpointClass::ServiceNumberDelete,
        EndpointClass::PortRequests,
        EndpointClass::PortRequest,
        EndpointClass::PortNumber,
        EndpointClass::Portability,
        EndpointClass::HostedOrders,
        EndpointClass::Trunk,
        EndpointClass::OriginationUrls,
        EndpointClass::Region,
        EndpointClass::Balance,
        EndpointClass::Campaigns,
        EndpointClass::Brand,
        EndpointClass::TollFree,
        EndpointClass::Bundle,
        EndpointClass::DialingPermissions,
        EndpointClass::WebhookRules,
        EndpointClass::Regions,
        EndpointClass::Other,
    ];

    pub const fn label(self) -> &'static str {
        match self {
            EndpointClass::Account => "account",
            EndpointClass::Calls => "calls",
            EndpointClass::Call => "call",
            EndpointClass::CallNotifications => "call-notifications",
            EndpointClass::CallCreate => "call-create",
            EndpointClass::CallUpdate => "call-update",
            EndpointClass::CallRecordings => "call-recordings",
            EndpointClass::Recording => "recording",
            EndpointClass::RecordingMedia => "recording-media",
            EndpointClass::RecordingDelete => "recording-delete",
            EndpointClass::Messages => "messages",
            EndpointClass::Message => "message",
            EndpointClass::MessageCreate => "message-create",
            EndpointClass::Numbers => "numbers",
            EndpointClass::Number => "number",
            EndpointClass::NumberUpdate => "number-update",
            EndpointClass::NumberDelete => "number-delete",
            EndpointClass::Applications => "applications",
            EndpointClass::Application => "application",
            EndpointClass::Notifications => "notifications",
            EndpointClass::Notification => "notification",
            EndpointClass::Alerts => "alerts",
            EndpointClass::Alert => "alert",
            EndpointClass::Events => "events",
            EndpointClass::Services => "services",
            EndpointClass::Service => "service",
            EndpointClass::ServiceNumbers => "service-numbers",
            EndpointClass::ServiceNumber => "service-number",
            EndpointClass::ServiceNumberCreate => "service-number-create",
            EndpointClass::ServiceNumberDelete => "service-number-delete",
            EndpointClass::PortRequests => "port-requests",
            EndpointClass::PortRequest => "port-request",
            EndpointClass::PortNumber => "port-number",
            EndpointClass::Portability => "portability",
            EndpointClass::HostedOrders => "hosted-orders",
            EndpointClass::Trunk => "trunk",
            EndpointClass::OriginationUrls => "origination-urls",
            EndpointClass::Region => "region",
            EndpointClass::Balance => "balance",
            EndpointClass::Campaigns => "campaigns",
            EndpointClass::Brand => "brand",
            EndpointClass::TollFree => "toll-free",
            EndpointClass::Bundle => "bundle",
            EndpointClass::DialingPermissions => "dialing-permissions",
            EndpointClass::WebhookRules => "webhook-rules",
            EndpointClass::Regions => "regions",
            EndpointClass::Other => "other",
        }
    }

    pub const fn writes(self) -> bool {
        matches!(self, EndpointClass::NumberUpdate | EndpointClass::NumberDelete | EndpointClass::RecordingDelete)
            || self.is_of_calls()
            || self.is_of_members()
    }

    /// Puts a number into a Messaging Service, or takes it out.
    pub const fn is_of_members(self) -> bool {
        matches!(self, EndpointClass::ServiceNumberCreate | EndpointClass::ServiceNumberDelete)
    }

    /// Calls and messages that a request makes or ends.
    pub const fn is_of_calls(self) -> bool {
        matches!(self, EndpointClass::CallCreate | EndpointClass::CallUpdate | EndpointClass::MessageCreate)
    }
}

/// A request's resource, with the SIDs of its path as they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route<'p> {
    pub class: EndpointClass,
    /// Of paths that name an account.
    pub account: Option<&'p str>,
    /// The resource, and the one that it belongs to.
    pub sid: &'p str,
    pub parent: &'p str,
}

impl<'p> Route<'p> {
    /// The route of `path`. `Err` if there is such a path, but not for this method.
    pub fn parse(method: &str, path: &'p str) -> Result<Route<'p>, Route<'p>> {
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let route = |class, parent, sid| Route { class, account: None, sid, parent };
        let of = |account: &'p str, class, parent, sid| Route { class, account: Some(account), sid, parent };
        let found = match segments[..] {
            ["2010-04-01", "Accounts", file] => match file.strip_suffix(".json") {
                Some(account) => of(account, EndpointClass::Account, "", account),
                None => route(EndpointClass::Other, "", ""),
            },
            ["2010-04-01", "Accounts", account, list] => match list {
                "Calls.json" if method == "POST" => of(account, EndpointClass::CallCreate, "", ""),
                "Messages.json" if method == "POST" => of(account, EndpointClass::MessageCreate, "", ""),
                "Calls.json" => of(account, EndpointClass::Calls, "", ""),
                "Messages.json" => of(account, EndpointClass::Messages, "", ""),
                "IncomingPhoneNumbers.json" => of(account, EndpointClass::Numbers, "", ""),
                "Applications.json" => of(account, EndpointClass::Applications, "", ""),
                "Notifications.json" => of(account, EndpointClass::Notifications, "", ""),
                "Balance.json" => of(account, EndpointClass::Balance, "", ""),
                _ => of(account, EndpointClass::Other, "", ""),
            },
            ["2010-04-01", "Accounts", account, "Recordings", file] => match file.split_once('.') {
                Some((sid, "json")) if method == "DELETE" => of(account, EndpointClass::RecordingDelete, "", sid),
                Some((sid, "json")) => of(account, EndpointClass::Recording, "", sid),
                Some((sid, "wav")) => of(account, EndpointClass::RecordingMedia, "", sid),
                // No MP3 is made here, and metadata have their ending.
                Some(_) | None => of(account, EndpointClass::Other, "", ""),
            },
            ["2010-04-01", "Accounts", account, list, file] => match (list, file.strip_suffix(".json")) {
                ("Calls", Some(sid)) if method == "POST" => of(account, EndpointClass::CallUpdate, "", sid),
                ("Calls", Some(sid)) => of(account, EndpointClass::Call, "", sid),
                ("Messages", Some(sid)) => of(account, EndpointClass::Message, "", sid),
                ("IncomingPhoneNumbers", Some(sid)) => match method {
                    "POST" => of(account, EndpointClass::NumberUpdate, "", sid),
                    "DELETE" => of(account, EndpointClass::NumberDelete, "", sid),
                    _ => of(account, EndpointClass::Number, "", sid),
                },
                ("Applications", Some(sid)) => of(account, EndpointClass::Application, "", sid),
                ("Notifications", Some(sid)) => of(account, EndpointClass::Notification, "", sid),
                _ => of(account, EndpointClass::Other, "", ""),
            },
            ["2010-04-01", "Accounts", account, "Calls", sid, "Notifications.json"] => {
                of(account, EndpointClass::CallNotifications, sid, "")
            }
            ["2010-04-01", "Accounts", account, "Calls", sid, "Recordings.json"] => {
                of(account, EndpointClass::CallRecordings, sid, "")
            }
            ["v1", "Alerts"] => route(EndpointClass::Alerts, "", ""),
            ["v1", "Alerts", sid] => route(EndpointClass::Alert, "", sid),
            ["v1", "Events"] => route(EndpointClass::Events, "", ""),
            ["v1", "Services"] => route(EndpointClass::Services, "", ""),
            ["v1", "Services", sid] => route(EndpointClass::Service, "", sid),
            ["v1", "Services", service, "PhoneNumbers"] if method == "POST" => {
                route(EndpointClass::ServiceNumberCreate, service, "")
            }
            ["v1", "Services", service, "PhoneNumbers", sid] if method == "DELETE" => {
                route(EndpointClass::ServiceNumberDelete, service, sid)
            }
            ["v1", "Services", service, "PhoneNumbers"] => route(EndpointClass::ServiceNumbers, service, ""),
            ["v1", "Services", service, "PhoneNumbers", sid] => route(EndpointClass::ServiceNumber, service, sid),
            ["v2", "HostedNumber", "Orders"] => route(EndpointClass::HostedOrders, "", ""),
            ["v1", "Porting", "Portability", "PhoneNumber", number] => route(EndpointClass::Portability, "", number),
            ["v1", "Porting", "PortIn", "PortInRequests"] => route(EndpointClass::PortRequests, "", ""),
            ["v1", "Porting", "PortIn", sid] => route(EndpointClass::PortRequest, "", sid),
            ["v1", "Porting", "PortIn", request, "PhoneNumber", sid] => route(EndpointClass::PortNumber, request, sid),
            ["v1", "Trunks", sid] => route(EndpointClass::Trunk, "", sid),
            ["v1", "Trunks", trunk, "OriginationUrls"] => route(EndpointClass::OriginationUrls, trunk, ""),
            ["v2", "PhoneNumbers", number] => route(EndpointClass::Region, "", number),
            ["v3", "PhoneNumbers", number] => route(EndpointClass::Regions, "", number),
            ["v1", "Services", service, "Compliance", "Usa2p"] => route(EndpointClass::Campaigns, service, ""),
            ["v1", "a2p", "BrandRegistrations", sid] => route(EndpointClass::Brand, "", sid),
            ["v1", "Tollfree", "Verifications"] => route(EndpointClass::TollFree, "", ""),
            ["v2", "RegulatoryCompliance", "Bundles", sid] => route(EndpointClass::Bundle, "", sid),
            ["v1", "DialingPermissions", "Countries"] => route(EndpointClass::DialingPermissions, "", ""),
            ["v1", "Webhooks", "Rules"] => route(EndpointClass::WebhookRules, "", ""),
            _ => route(EndpointClass::Other, "", ""),
        };
        let allowed = method == "GET" || found.class.writes() || found.class == EndpointClass::Other;
        if allowed { Ok(found) } else { Err(found) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_distinct_and_serde_agrees() {
        for class in EndpointClass::ALL {
            assert_eq!(serde_json::to_value(class).unwrap(), class.label());
            assert_eq!(EndpointClass::ALL.iter().filter(|c| c.label() == class.label()).count(), 1);
        }
    }

    #[test]
    fn paths_find_their_resource() {
        let class = |method, path| Route::parse(method, path).map(|r| (r.class, r.sid)).map_err(|r| r.class);
        let number = "/2010-04-01/Accounts/ACx/IncomingPhoneNumbers/PNx.json";
        assert_eq!(class("GET", number), Ok((EndpointClass::Number, "PNx")));
        assert_eq!(class("POST", number), Ok((EndpointClass::NumberUpdate, "PNx")));
        assert_eq!(class("DELETE", number), Ok((EndpointClass::NumberDelete, "PNx")));
        assert_eq!(
            class("GET", "/2010-04-01/Accounts/ACx/Calls"),
            Ok((EndpointClass::Other, "")),
            "XML is not spoken here"
        );
        assert_eq!(class("POST", "/2010-04-01/Accounts/ACx/Calls.json"), Ok((EndpointClass::CallCreate, "")));
        assert_eq!(class("DELETE", "/2010-04-01/Accounts/ACx/Calls.json"), Err(EndpointClass::Calls));
        assert_eq!(class("GET", "/v2/PhoneNumbers/+15005550100"), Ok((EndpointClass::Region, "+15005550100")));
        let nested = Route::parse("GET", "/2010-04-01/Accounts/ACx/Calls/CAx/Notifications.json").unwrap();
        assert_eq!(
            (nested.class, nested.account, nested.parent),
            (EndpointClass::CallNotifications, Some("ACx"), "CAx")
        );
    }
}
