//! The options of `sschat up` for development with programs that know no apps.

use clap::Args;
use clap::builder::BoolishValueParser;

/// The app of those who name none.
#[derive(Debug, Clone, Default, Args)]
pub struct DevArgs {
    /// For development: connections of SDKs that name no app belong to one that is open to all,
    /// anonymous users and any room included, and pages of this machine may connect. On a
    /// loopback address only.
    #[arg(long, env = "SSCHAT_DEV_APP", value_parser = BoolishValueParser::new())]
    pub dev_app: bool,
    /// What signs the tokens of that app's users [default: a random one, which is printed].
    #[arg(
        long,
        env = "SSCHAT_DEV_SECRET",
        requires = "dev_app",
        value_name = "TEXT"
    )]
    pub dev_secret: Option<String>,
    /// A text that the server API takes for that app's API key [default: the key, which is printed].
    #[arg(
        long,
        env = "SSCHAT_DEV_API_KEY",
        requires = "dev_app",
        value_name = "TEXT"
    )]
    pub dev_api_key: Option<String>,
}
