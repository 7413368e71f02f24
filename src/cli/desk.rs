//! What the commands at an operator's desk share: the agent they ask, and how they write what is to be typed next.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;

use super::challenge::{ask_whoever, reqwest_client};
use super::complain;
use crate::admin::identity::Identity;
use crate::clock::Clock;
use crate::config::{Desk, ProcessEnv};

/// An agent that is there answers this fast, unless very many ask it at once: then a person is told that it is waited
/// for.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// The name of the configuration file that needs not be said.
pub const DEFAULT_CONFIG: &str = "ringback.toml";

/// How the program was called, and with which configuration: so that what is printed can be typed.
#[derive(Debug, Clone)]
pub struct Typed {
    program: String,
    config: PathBuf,
}

impl Typed {
    pub fn new(config: &Path) -> Typed {
        // Without a path it was found by its name, and is again.
        let called = std::env::args().next().filter(|name| name.contains('/'));
        Typed::by(called.unwrap_or_else(|| "ringback".to_owned()), config)
    }

    /// The program as it was called, and its configuration.
    pub fn by(program: impl Into<String>, config: &Path) -> Typed {
        Typed { program: program.into(), config: config.to_owned() }
    }

    /// `command`, which begins with `ringback`, as it is to be typed here.
    pub fn command(&self, command: &str) -> String {
        let Some(rest) = command.strip_prefix("ringback ") else { return command.to_owned() };
        let named = if self.config == Path::new(DEFAULT_CONFIG) || rest.contains("--config") {
            String::new()
        } else {
            format!(" --config {}", quoted(&self.config.to_string_lossy()))
        };
        format!("{} {rest}{named}", quoted(&self.program))
    }
}

/// As a shell takes it for one word.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@,".contains(c);
    if word.chars().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// The agent of a configuration, as it is asked.
pub struct AgentClient {
    http: reqwest::Client,
    address: SocketAddr,
    identity: Identity,
    has_token: bool,
    typed: Typed,
}

/// What an agent says, and why it may be another's.
pub struct AgentAnswer {
    pub status: u16,
    pub body: Value,
    pub doubt: Option<String>,
}

impl AgentClient {
    pub fn new(desk: &Desk, typed: Typed) -> anyhow::Result<AgentClient> {
        let token = desk.agent.token.clone();
        Ok(AgentClient {
            http: reqwest_client()?,
            address: desk.agent.listen,
            has_token: token.is_some(),
            identity: Identity::new(token),
            typed,
        })
    }

    /// True if something at the agent's address is alive. Where nobody listens that is known at once; whoever listens
    /// is waited for as long as for any answer, since a crowd may be before us.
    pub async fn answers(&self) -> bool {
        let asked = self.http.get(format!("http://{}/-/healthy", self.address)).send();
        tokio::pin!(asked);
        match Clock::system().timeout(ANSWERS_WITHIN, &mut asked).await {
            Ok(answer) => answer.is_ok(),
            Err(_) => {
                complain(&format!("ringback: waiting for an answer from {}", self.address));
                asked.await.is_ok()
            }
        }
    }

    /// What there is to say if it is not.
    pub fn silence(&self) -> String {
        format!("the agent at {} does not answer; start it with `{}`", self.address, self.typed.command("ringback run"))
    }

    /// What the agent answers to `path`; an error says that nobody does.
    pub async fn get(&self, path: &str) -> anyhow::Result<AgentAnswer> {
        if !self.answers().await {
            anyhow::bail!(self.silence());
        }
        let (answer, doubt) = ask_whoever(&self.http, self.address, &self.identity, path).await?;
        let body = super::answer(&answer.body).context("the agent's answer is not JSON")?;
        // Without a token nothing tells the agent from another program.
        Ok(AgentAnswer { status: answer.status.as_u16(), body, doubt: doubt.filter(|_| self.has_token) })
    }
}

/// The configuration as these commands read it.
pub fn load(config: &Path) -> anyhow::Result<Desk> {
    Ok(Desk::load(config, &ProcessEnv)?)
}

/// Says on the error stream why an answer may be another program's.
pub fn tell_doubt(doubt: &str) {
    complain(&format!("ringback: {doubt}: do not rely on what it says"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_can_be_typed() {
        let typed = |program: &str, config: &str| Typed { program: program.to_owned(), config: config.into() };
        let restore = "ringback restore --group support --reason 'repaired'";
        assert_eq!(typed("ringback", DEFAULT_CONFIG).command(restore), restore);
        assert_eq!(
            typed("./target/ringback", "a b.toml").command("ringback explain D1"),
            "./target/ringback explain D1 --config 'a b.toml'"
        );
        assert_eq!(typed("ringback", "x.toml").command("curl localhost"), "curl localhost");
    }
}
