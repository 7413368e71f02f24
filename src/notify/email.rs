//! Mail, over SMTP.
//!
//! The address is an SMTP URL as `lettre` reads it
//! (<https://docs.rs/lettre/0.11/lettre/transport/smtp/struct.AsyncSmtpTransport.html#method.from_url>):
//! `smtps://user:password@host` for TLS from the start, `smtp://host:587?tls=required` for STARTTLS, plain
//! `smtp://` for a server on this machine. Mails of one trouble refer to the same message, so that mail
//! programs show them as one conversation.
//!
//! The connection is made here and not by `lettre`'s transport, which reads whatever a server says: an answer is looked
//! at when its line ends, and one that never ends would be read into memory until the time is over. So the server is
//! heard no longer than [`crate::core::model::bounds::MAIL_BYTES`], below TLS, and no more lines of it than
//! [`crate::core::model::bounds::MAIL_LINES`], above it ([`stream`]): an answer of many lines would keep a core busy.

mod greeting;
mod stream;

pub use lettre::message::Mailbox as Address;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Response;
use lettre::transport::smtp::{Error, SMTP_PORT, SUBMISSION_PORT, SUBMISSIONS_PORT};
use lettre::{AsyncSmtpTransport, Message, Tokio1Executor};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use url::Url;

use super::NotifierReply;
use crate::core::notice::Notice;
use stream::{Bounded, Encrypted, Spoken};

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

/// A server, as its URL names it.
struct Server {
    host: String,
    port: u16,
    tls: Tls,
    hello: ClientId,
    login: Option<Credentials>,
}

impl Server {
    fn parse(url: &SecretString) -> Result<Server, String> {
        let text = url.expose_secret();
        // What is not an SMTP URL is told in the library's words, and nothing is taken that it would not take.
        AsyncSmtpTransport::<Tokio1Executor>::from_url(text).map_err(|e| e.to_string())?;
        let url = Url::parse(text).map_err(|e| e.to_string())?;
        let host = url.host_str().ok_or("it names no host")?.to_owned();
        let with =
            |make: fn(TlsParameters) -> Tls| TlsParameters::new(host.clone()).map(make).map_err(|e| e.to_string());
        let asked = url.query_pairs().find(|(name, _)| name == "tls").map(|(_, value)| value.into_owned());
        let (tls, port) = match (url.scheme(), asked.as_deref()) {
            ("smtps", _) => (with(Tls::Wrapper)?, SUBMISSIONS_PORT),
            (_, Some("required")) => (with(Tls::Required)?, SUBMISSION_PORT),
            (_, Some("opportunistic")) => (with(Tls::Opportunistic)?, SUBMISSION_PORT),
            (_, _) => (Tls::None, SMTP_PORT),
        };
        // The same escapes as in a form, in which only a plus is something else.
        let decoded = |text: &str| {
            let text = text.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
            url::form_urlencoded::parse(text.as_bytes()).next().map_or_else(String::new, |(name, _)| name.into_owned())
        };
        let name = url.path().trim_matches('/');
        Ok(Server {
            port: url.port().unwrap_or(port),
            tls,
            hello: if name.is_empty() { ClientId::default() } else { ClientId::Domain(name.to_owned()) },
            login: url.password().map(|password| Credentials::new(decoded(url.username()), decoded(password))),
            host,
        })
    }

    /// Connects, and speaks over TLS if the URL asks for it.
    async fn connect(&self) -> Result<AsyncSmtpConnection, Unsent> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await;
        let stream = stream.map_err(|e| Unsent::Unreachable(e.to_string()))?;
        let mut stream = Bounded::new(stream);
        let stream: Box<dyn AsyncTokioStream> = match &self.tls {
            Tls::None => Box::new(Spoken::new(stream)),
            Tls::Wrapper(tls) => Box::new(Spoken::new(Encrypted::over(stream, tls.clone()).await?)),
            Tls::Required(tls) | Tls::Opportunistic(tls) => {
                let reply = good(greeting::greet(&mut stream, &self.hello).await?)?;
                if greeting::offers_tls(&reply) {
                    good(greeting::ask(&mut stream, "STARTTLS\r\n").await?)?;
                    Box::new(Spoken::greeted(Encrypted::over(stream, tls.clone()).await?))
                } else if matches!(self.tls, Tls::Required(_)) {
                    return Err(Unsent::Broken("the mail server offers no TLS (STARTTLS)".to_owned()));
                } else {
                    Box::new(Spoken::greeted(stream))
                }
            }
        };
        Ok(AsyncSmtpConnection::connect_with_transport(stream, &self.hello).await?)
    }

    async fn send(&self, message: &Message) -> Result<Response, Unsent> {
        let mut connection = self.connect().await?;
        if let Some(login) = &self.login {
            connection.auth(DEFAULT_MECHANISMS, login).await?;
        }
        let said = connection.send(message.envelope(), &message.formatted()).await?;
        connection.abort().await;
        Ok(said)
    }
}

/// Why a mail was not taken.
enum Unsent {
    Unreachable(String),
    /// Before or instead of TLS.
    Broken(String),
    /// Also another time.
    Refused(String),
    Smtp(Error),
}

impl From<std::io::Error> for Unsent {
    fn from(error: std::io::Error) -> Unsent {
        Unsent::Broken(error.to_string())
    }
}

/// An answer before TLS, unless it is a refusal.
fn good(reply: greeting::SmtpReply) -> Result<greeting::SmtpReply, Unsent> {
    let said = || format!("{}: {}", reply.code, reply.lines.join(" "));
    match reply.code {
        200..=299 => Ok(reply),
        500..=599 => Err(Unsent::Refused(said())),
        _ => Err(Unsent::Broken(said())),
    }
}

impl From<Error> for Unsent {
    fn from(error: Error) -> Unsent {
        Unsent::Smtp(error)
    }
}

/// True if `url` is an SMTP URL that can be used.
pub fn is_usable(url: &SecretString) -> Result<(), String> {
    Server::parse(url).map(drop)
}

pub async fn send(mailbox: &Mailbox, notice: &Notice) -> NotifierReply {
    let server = match Server::parse(&mailbox.url) {
        Ok(server) => server,
        Err(e) => return NotifierReply::Refused(format!("the address cannot be used: {e}")),
    };
    let message = match message(mailbox, notice) {
        Ok(message) => message,
        Err(e) => return NotifierReply::Refused(format!("the mail cannot be written: {e}")),
    };
    match server.send(&message).await {
        Ok(said) => {
            NotifierReply::Delivered(format!("{}: {}", said.code(), said.message().collect::<Vec<_>>().join(" ")))
        }
        // A server that refuses for good may have a full mailbox or a typing error in a name.
        Err(Unsent::Smtp(e)) if e.is_permanent() => NotifierReply::Refused(e.to_string()),
        Err(Unsent::Smtp(e)) => NotifierReply::again(e.to_string()),
        Err(Unsent::Refused(e)) => NotifierReply::Refused(e),
        Err(Unsent::Broken(e) | Unsent::Unreachable(e)) => NotifierReply::again(format!("Connection error: {e}")),
    }
}
