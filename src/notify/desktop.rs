//! A notification on the desktop of whoever runs the agent.
//!
//! By the Desktop Notifications Specification over D-Bus
//! (<https://specifications.freedesktop.org/notification-spec/latest/>): critical ones stay until they are
//! clicked away. A body may hold markup, so `&`, `<` and `>` are escaped. Without a desktop session there
//! is nobody to see it: that is a failure, and the other notifiers report it.

use notify_rust::{Notification, Timeout, Urgency};
use serde_json::{Value, json};

use super::{NotifierReply, cut};
use crate::core::notice::{Notice, NoticeStatus, Severity};

/// The answers that do not fit on a small piece of screen.
const LEFT_OUT: [&str; 4] = ["Since", "Samples", "See", "Said"];

fn body(notice: &Notice) -> String {
    let shown = notice.lines().into_iter().filter(|(name, _)| !LEFT_OUT.contains(name));
    let text: Vec<String> = shown.map(|(name, text)| format!("{name}: {text}")).collect();
    cut(&text.join("\n"), 1000).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn urgency(notice: &Notice) -> Urgency {
    match (notice.status, notice.severity) {
        (NoticeStatus::Resolved, _) | (_, Severity::Info) => Urgency::Low,
        (_, Severity::Warning) => Urgency::Normal,
        (_, Severity::Critical) => Urgency::Critical,
    }
}

pub fn render(notice: &Notice) -> Value {
    json!({ "summary": notice.subject(), "body": body(notice), "urgency": urgency(notice) as u8 })
}

pub async fn send(notice: &Notice) -> NotifierReply {
    let mut notification = Notification::new();
    notification.appname("Ringback").summary(&notice.subject()).body(&body(notice));
    let urgency = urgency(notice);
    notification.timeout(if urgency == Urgency::Critical { Timeout::Never } else { Timeout::Default });
    #[cfg(all(unix, not(target_os = "macos")))]
    {
        notification.urgency(urgency);
        match notification.show_async().await {
            Ok(shown) => NotifierReply::Delivered(format!("shown as number {}", shown.id())),
            Err(e) => NotifierReply::again(format!("no desktop session shows it: {e}")),
        }
    }
    #[cfg(not(all(unix, not(target_os = "macos"))))]
    match notification.show() {
        Ok(_) => NotifierReply::Delivered("shown".to_owned()),
        Err(e) => NotifierReply::again(format!("no desktop session shows it: {e}")),
    }
}
