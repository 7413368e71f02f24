//! Mail, over SMTP.
//!
//! The address is an SMTP URL as `lettre` reads it
//! (<https://docs.rs/lettre/0.11/lettre/transport/smtp/struct.AsyncSmtpTransport.html#method.from_url>):
//! `smtps://user:password@host` for TLS from the start, `smtp://host:587?tls=required` for STARTTLS, plain
//! `smtp://` for a server on this machine. Mails of one trouble refer to the same message, so that mail
//! programs show them as one conversation.

pub use lettre::message::Mailbox as Address;
use lettre::message::header::ContentType;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::NotifierReply;
use crate::core::notice::Notice;

/// From whom to whom, through which server.
#[derive(Debug, Clone)]
pub struct Mailbox {
    pub url: SecretString,
    pub from: Address,
    pub to: Vec<Address>,
}

fn thread(notice: &Notice) -> String {
    let key: String = notice.key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '.' }).collect();
    format!("<{key}@ringback.invalid>")
}

fn message(mailbox: &Mailbox, notice: &Notice) -> Result<Message, String> {
    let date = std::time::UNIX_EPOCH + notice.at.at.since(crate::core::model::time::Time::EPOCH);
    let mut message = Message::builder()
        .from(mailbox.from.clone())
        .date(date)
        .references(thread(notice))
        .subject(format!("[Ringback] {}", notice.subject()))
        .header(ContentType::TEXT_PLAIN);
    for to in &mailbox.to {
        message = message.to(to.clone());
    }
    message.body(notice.text()).map_err(|e| e.to_string())
}

pub fn render(mailbox: &Mailbox, notice: &Notice) -> Value {
    match message(mailbox, notice) {
        Ok(message) => json!(String::from_utf8_lossy(&message.formatted())),
        Err(e) => json!({ "error": e }),
    }
}

/// True if `url` is an SMTP URL that can be used.
pub fn is_usable(url: &SecretString) -> Result<(), String> {
    AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose_secret()).map(drop).map_err(|e| e.to_string())
}

pub async fn send(mailbox: &Mailbox, notice: &Notice) -> NotifierReply {
    let transport = match AsyncSmtpTransport::<Tokio1Executor>::from_url(mailbox.url.expose_secret()) {
        Ok(transport) => transport.build(),
        Err(e) => return NotifierReply::Refused(format!("the address cannot be used: {e}")),
    };
    let message = match message(mailbox, notice) {
        Ok(message) => message,
        Err(e) => return NotifierReply::Refused(format!("the mail cannot be written: {e}")),
    };
    match transport.send(message).await {
        Ok(said) => {
            NotifierReply::Delivered(format!("{}: {}", said.code(), said.message().collect::<Vec<_>>().join(" ")))
        }
        // A server that refuses for good may have a full mailbox or a typing error in a name.
        Err(e) if e.is_permanent() => NotifierReply::Refused(e.to_string()),
        Err(e) => NotifierReply::again(e.to_string()),
    }
}
