//! Which resource a request is about.

use serde::{Deserialize, Serialize};

/// A kind of request: the unit of permissions, faults and statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
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
    PortRequests,
    PortRequest,
    PortNumber,
    Trunk,
    OriginationUrls,
    Region,
    /// Nothing that is here.
    Other,
}

impl Class {
    pub const ALL: [Class; 35] = [
        Class::Account,
        Class::Calls,
        Class::Call,
        Class::CallNotifications,
        Class::CallCreate,
        Class::CallUpdate,
        Class::CallRecordings,
        Class::Recording,
        Class::RecordingMedia,
        Class::RecordingDelete,
        Class::Messages,
        Class::Message,
        Class::MessageCreate,
        Class::Numbers,
        Class::Number,
        Class::NumberUpdate,
        Class::NumberDelete,
        Class::Applications,
        Class::Application,
        Class::Notifications,
        Class::Notification,
        Class::Alerts,
        Class::Alert,
        Class::Events,
        Class::Services,
        Class::Service,
        Class::ServiceNumbers,
        Class::ServiceNumber,
        Class::PortRequests,
        Class::PortRequest,
        Class::PortNumber,
        Class::Trunk,
        Class::OriginationUrls,
        Class::Region,
        Class::Other,
    ];

    pub const fn label(self) -> &'static str {
        match self {
            Class::Account => "account",
            Class::Calls => "calls",
            Class::Call => "call",
            Class::CallNotifications => "call-notifications",
            Class::CallCreate => "call-create",
            Class::CallUpdate => "call-update",
            Class::CallRecordings => "call-recordings",
            Class::Recording => "recording",
            Class::RecordingMedia => "recording-media",
            Class::RecordingDelete => "recording-delete",
            Class::Messages => "messages",
            Class::Message => "message",
            Class::MessageCreate => "message-create",
            Class::Numbers => "numbers",
            Class::Number => "number",
            Class::NumberUpdate => "number-update",
            Class::NumberDelete => "number-delete",
            Class::Applications => "applications",
            Class::Application => "application",
            Class::Notifications => "notifications",
            Class::Notification => "notification",
            Class::Alerts => "alerts",
            Class::Alert => "alert",
            Class::Events => "events",
            Class::Services => "services",
            Class::Service => "service",
            Class::ServiceNumbers => "service-numbers",
            Class::ServiceNumber => "service-number",
            Class::PortRequests => "port-requests",
            Class::PortRequest => "port-request",
            Class::PortNumber => "port-number",
            Class::Trunk => "trunk",
            Class::OriginationUrls => "origination-urls",
            Class::Region => "region",
            Class::Other => "other",
        }
    }

    pub const fn writes(self) -> bool {
        matches!(self, Class::NumberUpdate | Class::NumberDelete | Class::RecordingDelete) || self.is_of_calls()
    }

    /// Calls and messages that a request makes or ends.
    pub const fn is_of_calls(self) -> bool {
        matches!(self, Class::CallCreate | Class::CallUpdate | Class::MessageCreate)
    }
}

/// A request's resource, with the SIDs of its path as they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route<'p> {
    pub class: Class,
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
                Some(account) => of(account, Class::Account, "", account),
                None => route(Class::Other, "", ""),
            },
            ["2010-04-01", "Accounts", account, list] => match list {
                "Calls.json" if method == "POST" => of(account, Class::CallCreate, "", ""),
                "Messages.json" if method == "POST" => of(account, Class::MessageCreate, "", ""),
                "Calls.json" => of(account, Class::Calls, "", ""),
                "Messages.json" => of(account, Class::Messages, "", ""),
                "IncomingPhoneNumbers.json" => of(account, Class::Numbers, "", ""),
                "Applications.json" => of(account, Class::Applications, "", ""),
                "Notifications.json" => of(account, Class::Notifications, "", ""),
                _ => of(account, Class::Other, "", ""),
            },
            ["2010-04-01", "Accounts", account, "Recordings", file] => match file.split_once('.') {
                Some((sid, "json")) if method == "DELETE" => of(account, Class::RecordingDelete, "", sid),
                Some((sid, "json")) => of(account, Class::Recording, "", sid),
                Some((sid, "wav")) => of(account, Class::RecordingMedia, "", sid),
                // No MP3 is made here, and metadata have their ending.
                Some(_) | None => of(account, Class::Other, "", ""),
            },
            ["2010-04-01", "Accounts", account, list, file] => match (list, file.strip_suffix(".json")) {
                ("Calls", Some(sid)) if method == "POST" => of(account, Class::CallUpdate, "", sid),
                ("Calls", Some(sid)) => of(account, Class::Call, "", sid),
                ("Messages", Some(sid)) => of(account, Class::Message, "", sid),
                ("IncomingPhoneNumbers", Some(sid)) => match method {
                    "POST" => of(account, Class::NumberUpdate, "", sid),
                    "DELETE" => of(account, Class::NumberDelete, "", sid),
                    _ => of(account, Class::Number, "", sid),
                },
                ("Applications", Some(sid)) => of(account, Class::Application, "", sid),
                ("Notifications", Some(sid)) => of(account, Class::Notification, "", sid),
                _ => of(account, Class::Other, "", ""),
            },
            ["2010-04-01", "Accounts", account, "Calls", sid, "Notifications.json"] => {
                of(account, Class::CallNotifications, sid, "")
            }
            ["2010-04-01", "Accounts", account, "Calls", sid, "Recordings.json"] => {
                of(account, Class::CallRecordings, sid, "")
            }
            ["v1", "Alerts"] => route(Class::Alerts, "", ""),
            ["v1", "Alerts", sid] => route(Class::Alert, "", sid),
            ["v1", "Events"] => route(Class::Events, "", ""),
            ["v1", "Services"] => route(Class::Services, "", ""),
            ["v1", "Services", sid] => route(Class::Service, "", sid),
            ["v1", "Services", service, "PhoneNumbers"] => route(Class::ServiceNumbers, service, ""),
            ["v1", "Services", service, "PhoneNumbers", sid] => route(Class::ServiceNumber, service, sid),
            ["v1", "Porting", "PortIn", "PortInRequests"] => route(Class::PortRequests, "", ""),
            ["v1", "Porting", "PortIn", sid] => route(Class::PortRequest, "", sid),
            ["v1", "Porting", "PortIn", request, "PhoneNumber", sid] => route(Class::PortNumber, request, sid),
            ["v1", "Trunks", sid] => route(Class::Trunk, "", sid),
            ["v1", "Trunks", trunk, "OriginationUrls"] => route(Class::OriginationUrls, trunk, ""),
            ["v2", "PhoneNumbers", number] => route(Class::Region, "", number),
            _ => route(Class::Other, "", ""),
        };
        let allowed = method == "GET" || found.class.writes() || found.class == Class::Other;
        if allowed { Ok(found) } else { Err(found) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_distinct_and_serde_agrees() {
        for class in Class::ALL {
            assert_eq!(serde_json::to_value(class).unwrap(), class.label());
            assert_eq!(Class::ALL.iter().filter(|c| c.label() == class.label()).count(), 1);
        }
    }

    #[test]
    fn paths_find_their_resource() {
        let class = |method, path| Route::parse(method, path).map(|r| (r.class, r.sid)).map_err(|r| r.class);
        let number = "/2010-04-01/Accounts/ACx/IncomingPhoneNumbers/PNx.json";
        assert_eq!(class("GET", number), Ok((Class::Number, "PNx")));
        assert_eq!(class("POST", number), Ok((Class::NumberUpdate, "PNx")));
        assert_eq!(class("DELETE", number), Ok((Class::NumberDelete, "PNx")));
        assert_eq!(class("GET", "/2010-04-01/Accounts/ACx/Calls"), Ok((Class::Other, "")), "XML is not spoken here");
        assert_eq!(class("POST", "/2010-04-01/Accounts/ACx/Calls.json"), Ok((Class::CallCreate, "")));
        assert_eq!(class("DELETE", "/2010-04-01/Accounts/ACx/Calls.json"), Err(Class::Calls));
        assert_eq!(class("GET", "/v2/PhoneNumbers/+15005550100"), Ok((Class::Region, "+15005550100")));
        let nested = Route::parse("GET", "/2010-04-01/Accounts/ACx/Calls/CAx/Notifications.json").unwrap();
        assert_eq!((nested.class, nested.account, nested.parent), (Class::CallNotifications, Some("ACx"), "CAx"));
    }
}
