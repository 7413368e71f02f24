//! Whom the command line speaks to: an agent proves itself before it is sent a command, which is signed, and every
//! answer is proven too ([`identity`]). The token is sent to nobody.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, bail};

use crate::admin::identity::{self, Identity};
use crate::core::model::bounds;

/// The client for the agent's API.
pub fn reqwest_client() -> anyhow::Result<reqwest::Client> {
    // Installing it twice is no fault.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Nobody else answers in the agent's place: no proxy, and no address that it names. Each request has a connection
    // of its own: between two of them a person may think, for longer than an agent holds one that is idle.
    let client = reqwest::Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0)
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(15));
    client.build().context("the HTTP client cannot be built")
}

/// An answer's body. Whoever has taken the agent's address may send what it likes.
async fn read_body(mut answer: reqwest::Response) -> anyhow::Result<Vec<u8>> {
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

/// Leave to sign one command.
pub struct Leave {
    pub nonce: String,
    pub ticket: String,
}

/// An answer that is the agent's own, unless it was asked for as it is.
pub struct ProvenAnswer {
    pub status: reqwest::StatusCode,
    pub body: Vec<u8>,
}

/// The header of an answer; empty if it is not there.
fn header<'a>(answer: &'a reqwest::Response, name: &str) -> &'a str {
    answer.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
}

/// Reads an answer to `nonce`, and says what is wrong with it unless it is the agent's own.
async fn read(
    answer: reqwest::Response,
    nonce: &str,
    address: SocketAddr,
    ours: &Identity,
) -> anyhow::Result<(ProvenAnswer, Option<String>)> {
    let (status, proof) = (answer.status(), header(&answer, identity::PROOF).to_owned());
    let body = read_body(answer).await?;
    let doubt = (!ours.knows_answer(nonce, address, status.as_u16(), &body, &proof)).then(|| {
        format!(
            "the answer from {address} does not prove to be this agent's (HTTP {}): another program may have the address \
             of agent.listen, or the agent there has another token, or none",
            status.as_u16()
        )
    });
    Ok((ProvenAnswer { status, body }, doubt))
}

/// Where an agent that listens at `address` is found from this machine: the proofs name it.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// What the agent at `address` answers to `path`, and why it may be another's.
pub async fn ask_whoever(
    http: &reqwest::Client,
    address: SocketAddr,
    ours: &Identity,
    path: &str,
) -> anyhow::Result<(ProvenAnswer, Option<String>)> {
    let (address, nonce) = (reachable(address), one_time_token()?);
    let request = http.get(format!("http://{address}{path}")).header(identity::NONCE, &nonce);
    let answer = request.send().await.context("no agent is running here")?;
    if answer.status() != reqwest::StatusCode::UNAUTHORIZED {
        return read(answer, &nonce, address, ours).await;
    }
    // One that others can reach wants to know who asks.
    signed(http, address, ours, reqwest::Method::GET, path, Vec::new()).await
}

/// What the agent at `address` answers to `path`; another's answer is none.
pub async fn ask(
    http: &reqwest::Client,
    address: SocketAddr,
    ours: &Identity,
    path: &str,
) -> anyhow::Result<ProvenAnswer> {
    believed(ask_whoever(http, address, ours, path).await?)
}

fn believed((answer, doubt): (ProvenAnswer, Option<String>)) -> anyhow::Result<ProvenAnswer> {
    match doubt {
        None => Ok(answer),
        Some(doubt) => bail!("{doubt}; it is not believed, and what was asked may not have been done"),
    }
}

/// What the agent at `address` answers to a command, which goes to no other.
pub async fn command(
    http: &reqwest::Client,
    address: SocketAddr,
    ours: &Identity,
    path: &str,
    body: Vec<u8>,
) -> anyhow::Result<ProvenAnswer> {
    believed(signed(http, reachable(address), ours, reqwest::Method::POST, path, body).await?)
}

/// What comes of a request that is signed.
async fn signed(
    http: &reqwest::Client,
    address: SocketAddr,
    ours: &Identity,
    method: reqwest::Method,
    path: &str,
    body: Vec<u8>,
) -> anyhow::Result<(ProvenAnswer, Option<String>)> {
    let Leave { nonce, ticket } = challenge(http, address, ours).await?;
    let digest = identity::digest(&body);
    let verb = method.as_str();
    let command = identity::Command { nonce: &nonce, ticket: &ticket, address, method: verb, path, digest: &digest };
    let signature = ours.sign(command).context("there is no token to sign with")?;
    let request = http
        .request(method, format!("http://{address}{path}"))
        .header(identity::NONCE, &nonce)
        .header(identity::TICKET, &ticket)
        .header(identity::DIGEST, &digest)
        .header(reqwest::header::AUTHORIZATION, format!("{}{signature}", identity::SCHEME))
        .header(reqwest::header::CONTENT_TYPE, "application/json")
        .body(body);
    read(request.send().await.context("the agent does not answer")?, &nonce, address, ours).await
}

/// Fails unless whatever listens at `address` is an agent that has our token.
async fn challenge(http: &reqwest::Client, address: SocketAddr, ours: &Identity) -> anyhow::Result<Leave> {
    let nonce = one_time_token()?;
    let asked = http.get(format!("http://{address}/-/healthy?nonce={nonce}")).send();
    let answer = asked.await.context("the agent does not answer")?;
    if answer.status() == reqwest::StatusCode::SERVICE_UNAVAILABLE {
        bail!("the agent at {address} is not healthy: its log says why, and so does http://{address}/-/healthy");
    }
    if !ours.knows(&nonce, address, header(&answer, identity::PROOF)) {
        bail!(
            "what listens at {address} does not prove to be this agent, and was not sent the token: another program \
             has the address of agent.listen (stop it, or name another address there), or the agent there has another \
             token"
        );
    }
    let ticket = header(&answer, identity::TICKET).to_owned();
    Ok(Leave { nonce, ticket })
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::sync::mpsc;

    use super::reqwest_client;

    /// An agent ends a connection that is idle, and a person who thinks over a question does not see it.
    #[test]
    fn a_request_after_a_long_thought_reaches_the_agent() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let (has_ended, ended) = mpsc::channel();
        let agent = std::thread::spawn(move || {
            for _ in 0..2 {
                let (mut connection, _) = listener.accept().unwrap();
                let (mut head, mut buffer) = (Vec::new(), [0; 1024]);
                while !head.ends_with(b"\r\n\r\n") {
                    let read = connection.read(&mut buffer).unwrap();
                    head.extend_from_slice(&buffer[..read]);
                }
                connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes").unwrap();
                drop(connection);
                has_ended.send(()).unwrap();
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let client = reqwest_client().unwrap();
            for _ in 0..2 {
                let answer = client.get(&url).send().await.expect("a connection of its own").bytes().await.unwrap();
                assert_eq!(&answer[..], b"yes");
                // Nothing else runs meanwhile, as while a question stands.
                ended.recv().unwrap();
            }
        });
        agent.join().unwrap();
    }
}
