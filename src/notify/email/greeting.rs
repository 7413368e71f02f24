//! The words before TLS, where a mail server is asked for it (STARTTLS, RFC 3207).
//!
//! They are spoken here and not by `lettre`, which begins TLS within: what is said under it could not be counted.
//! Whatever comes behind an answer was not asked for: taken over into TLS it would be somebody else's word.

use std::io;

use lettre::transport::smtp::extension::ClientId;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::stream::{Bounded, too_much};
use crate::core::model::bounds;

/// An answer of the server's: its code, and its lines without it.
#[derive(Debug)]
pub struct SmtpReply {
    pub code: u16,
    pub lines: Vec<String>,
}

impl SmtpReply {
    pub const fn is_good(&self) -> bool {
        matches!(self.code, 200..=299)
    }
}

/// Hears the greeting, and says who we are.
pub async fn greet(stream: &mut Bounded, hello: &ClientId) -> io::Result<SmtpReply> {
    let greeting = hear(stream).await?;
    if !greeting.is_good() {
        return Ok(greeting);
    }
    ask(stream, &format!("EHLO {hello}\r\n")).await
}

/// True if the answer to our name offers TLS.
pub fn offers_tls(reply: &SmtpReply) -> bool {
    reply.lines.iter().skip(1).any(|line| line.trim().eq_ignore_ascii_case("STARTTLS"))
}

pub async fn ask(stream: &mut Bounded, command: &str) -> io::Result<SmtpReply> {
    stream.write_all(command.as_bytes()).await?;
    stream.flush().await?;
    hear(stream).await
}

/// One answer, of which each line is looked at once.
async fn hear(stream: &mut Bounded) -> io::Result<SmtpReply> {
    let (mut said, mut start, mut lines) = (Vec::new(), 0, Vec::new());
    let mut chunk = [0; 1024];
    loop {
        let heard = stream.read(&mut chunk).await?;
        if heard == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the mail server hung up"));
        }
        said.extend_from_slice(&chunk[..heard]);
        while let Some(length) = memchr::memchr(b'\n', &said[start..]) {
            let line = said[start..start + length].to_vec();
            start += length + 1;
            let code = line.get(..3).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
            let Some(code) = code else { return Err(io::Error::other("this is no mail server")) };
            lines.push(String::from_utf8_lossy(line.get(4..).unwrap_or_default()).trim().to_owned());
            if line.get(3) != Some(&b'-') {
                let is_all = start == said.len();
                return if is_all { Ok(SmtpReply { code, lines }) } else { Err(too_much()) };
            }
            if lines.len() >= bounds::MAIL_LINES {
                return Err(too_much());
            }
        }
        if said.len() > bounds::MAIL_SAID {
            return Err(too_much());
        }
    }
}
