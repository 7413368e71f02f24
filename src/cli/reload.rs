//! `ringback reload`: the running agent reads its configuration again.

use secrecy::SecretString;

use super::challenge::reqwest_client;
use super::desk::{AgentClient, Typed, load};
use super::operate::Common;
use super::orders::ApiClient;
use super::{Exit, complain, say};
use crate::admin::reload::{Reload, Reloaded};

#[derive(Debug, clap::Args)]
pub struct ReloadArguments {
    #[command(flatten)]
    common: Common,
}

pub fn reload(arguments: ReloadArguments) -> anyhow::Result<Exit> {
    let ReloadArguments { common } = arguments;
    let desk = load(&common.config)?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let agent = AgentClient::new(&desk, Typed::new(&common.config))?;
        if !agent.answers().await {
            complain(&format!("ringback: {}; if agent.listen is new, restart it", agent.silence()));
            return Ok(Exit::CouldNotRun);
        }
        let Some(token) = desk.agent.token.clone() else {
            complain("ringback: the agent takes no word without its token: set RINGBACK_TOKEN, or agent.token_file");
            return Ok(Exit::CouldNotRun);
        };
        let client = ApiClient::new(reqwest_client()?, desk.agent.listen, SecretString::clone(&token), false);
        let asked = Reload { reason: common.reason.clone(), author: common.author() };
        let done: Reloaded = match client.post("reload", &asked).await? {
            Ok(done) => done,
            Err(exit) => return Ok(exit),
        };
        say(&if common.json { serde_json::to_string(&done)? } else { done.done })?;
        Ok(Exit::Done)
    })
}
