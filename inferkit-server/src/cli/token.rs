//! `token`: makes API keys.

use std::io;
use std::io::Read;

use clap::Args;
use clap::Subcommand;
use clap::ValueEnum;
use inferkit::TokenStatus;
use inferkit::TokenStore;
use secrecy::SecretString;
use sha2::Digest;
use sha2::Sha256;

use crate::cli::ConfigFile;
use crate::cli::Failure;
use crate::cli::print;
use crate::platform::token_store;

/// Makes API keys.
#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Prints a new API key, once, and the line for the configuration.
    #[command(
        after_help = "Examples:\n  inferkit-server token new --name app --scopes inference\n  \
        inferkit-server token new --name ops --scopes admin"
    )]
    New {
        /// What the log calls the key.
        #[arg(long)]
        name: String,
        /// What the key may do.
        #[arg(long, value_enum, value_delimiter = ',', num_args = 1.., required = true)]
        scopes: Vec<ScopeArg>,
    },
    /// Stores the hub's token, which is read from stdin.
    #[command(after_help = "Examples:\n  inferkit-server token set < token.txt\n  \
        pass show hf | inferkit-server token set --models-dir /srv/models")]
    Set(ConfigFile),
    /// Removes the hub's token.
    #[command(after_help = "Examples:\n  inferkit-server token clear\n  \
        inferkit-server token clear --models-dir /srv/models")]
    Clear(ConfigFile),
    /// Says whether there is a hub token, by its ends.
    #[command(after_help = "Examples:\n  inferkit-server token status\n  \
        inferkit-server token status --models-dir /srv/models")]
    Status(ConfigFile),
}

/// Longest hub token that is read.
const MAX_TOKEN_BYTES: u64 = 4096;

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ScopeArg {
    Inference,
    Admin,
    Metrics,
}

impl ScopeArg {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Inference => "inference",
            Self::Admin => "admin",
            Self::Metrics => "metrics",
        }
    }
}

pub(crate) fn run(arguments: &TokenArgs) -> Result<(), Failure> {
    match &arguments.command {
        TokenCommand::New { name, scopes } => new_key(name, scopes),
        TokenCommand::Set(file) => {
            let mut text = String::new();
            io::stdin().take(MAX_TOKEN_BYTES).read_to_string(&mut text)?;
            tell(&store(file)?.set(SecretString::from(text.trim()))?)
        }
        TokenCommand::Clear(file) => tell(&store(file)?.clear()?),
        TokenCommand::Status(file) => tell(&store(file)?.status()),
    }
}

fn store(file: &ConfigFile) -> Result<TokenStore, Failure> {
    Ok(token_store(
        &file.load()?.storage.models_dir,
        &std::env::vars().collect(),
    )?)
}

fn tell(status: &TokenStatus) -> Result<(), Failure> {
    match &status.masked {
        Some(masked) => print(&format!("{masked} (from {})", status.source.as_str())),
        None => print("there is no hub token; set one with `inferkit-server token set`"),
    }
}

fn new_key(name: &str, scopes: &[ScopeArg]) -> Result<(), Failure> {
    if !(1..=64).contains(&name.len()) || name.chars().any(|c| c.is_control() || c == '"' || c == '\\') {
        return Err(Failure::Usage(
            "--name takes 1 to 64 characters without quotes".to_owned(),
        ));
    }
    let key = format!("ik_{}", base64url(&rand::random::<[u8; 32]>()));
    let digest = hex(&Sha256::digest(key.as_bytes()));
    let scopes: Vec<String> = scopes.iter().map(|scope| format!("{:?}", scope.as_str())).collect();
    print(&key)?;
    print(&format!(
        "{{ name = \"{name}\", sha256 = \"{digest}\", scopes = [{}] }}",
        scopes.join(", ")
    ))?;
    eprintln!("the first line is the key, shown only now; the second belongs into auth.keys of the configuration");
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or_default();
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// RFC 4648 §5, without padding.
fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let word = group.iter().enumerate().fold(0_usize, |word, (place, byte)| {
            word | usize::from(*byte) << (16 - 8 * place)
        });
        for place in 0..=group.len() {
            let letter = ALPHABET.get(word >> (18 - 6 * place) & 63).copied().unwrap_or_default();
            text.push(char::from(letter));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_as_the_standard_says() {
        for (bytes, text) in [
            (&b"f"[..], "Zg"),
            (b"fo", "Zm8"),
            (b"foo", "Zm9v"),
            (b"foob", "Zm9vYg"),
            (&[251, 255], "-_8"),
        ] {
            assert_eq!(base64url(bytes), text);
        }
        assert_eq!(base64url(&[0; 32]).len(), 43);
        assert_eq!(hex(&[0, 0xaf, 0x09]), "00af09");
    }
}
