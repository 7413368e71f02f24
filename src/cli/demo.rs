pub const SCENARIO: &str = "";
#[derive(Debug, clap::Args)]
pub struct Arguments {}
pub fn demo(_: &Arguments) -> anyhow::Result<super::Exit> {
    Ok(super::Exit::Done)
}
