//! Whom the command line speaks to: an agent proves itself before it is sent the token.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::admin::identity::{self, Identity};
use crate::core::model::bounds;

/// The client for the agent's API.
pub fn reqwest_client() -> anyhow::Result<reqwest::Client> {
    // Installing it twice is no fault.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Nobody else answers in the agent's place: no proxy, and no address that it names.
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(15));
    client.build().context("the HTTP client cannot be built")
}

/// An answer's body. Whoever has taken the agent's address may send what it likes.
pub async fn read_body(mut answer: reqwest::Response) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > bounds::AGENT_BYTES {
            bail!("what listens there sends more than an agent does");
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// 32 random bytes in hexadecimal digits.
pub fn one_time_token() -> anyhow::Result<String> {
    let mut bytes = [0u8; 32];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut bytes)?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

/// Fails unless whatever listens at `address` is an agent that has our token.
pub async fn challenge(http: &reqwest::Client, address: SocketAddr, ours: &Identity) -> anyhow::Result<()> {
    let nonce = one_time_token()?;
    let asked = http.get(format!("http://{address}/-/healthy?nonce={nonce}")).send();
    let answer = asked.await.context("the agent does not answer")?;
    if answer.status() == reqwest::StatusCode::SERVICE_UNAVAILABLE {
        bail!("the agent at {address} is not healthy: its log says why, and so does http://{address}/-/healthy");
    }
    let proof = answer.headers().get(identity::PROOF).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if !ours.knows(&nonce, address, proof) {
        bail!(
            "what listens at {address} does not prove to be this agent, and was not sent the token: another program \
             has the address of agent.listen, or the agent there has another token"
        );
    }
    Ok(())
}
