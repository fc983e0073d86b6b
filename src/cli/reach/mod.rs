//! Which Tidings a command calls, and as whom.
//!
//! Each of address, key and tenant is taken from the first of these that names it:
//!
//! 1. the options `--api`, `--key-file`, `--tenant`
//! 2. the profile that `--profile` names
//! 3. the variables `TIDINGS_URL`, `TIDINGS_KEY`, `TIDINGS_TENANT`
//! 4. the profile that `TIDINGS_PROFILE` names
//! 5. a `tidings dev` that ran in this folder
//!
//! A key is never an argument: arguments are seen by everybody on the host, and kept by shells.
//!
//! | file | knows |
//! |---|---|
//! | [`profiles`] | the file with named profiles |
//! | [`neighbour`] | what `tidings dev` keeps |

mod neighbour;
mod profiles;
#[cfg(test)]
mod tests;

use std::env;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use tokio::runtime::{Builder, Runtime};

use super::Failure;
use super::paint::Paint;
use crate::client::{Client, Given, Place};
use crate::domain::ids::TenantId;
use crate::domain::secret::Secret;
use profiles::Profile;

const DEFAULT_URL: &str = "http://127.0.0.1:8080";

/// What help says at its end.
pub(super) const HELP: &str = "\
Where to: --api, --key-file and --tenant; else --profile; else TIDINGS_URL, TIDINGS_KEY and
TIDINGS_TENANT; else TIDINGS_PROFILE; else a `tidings dev` of this folder. Profiles are in
~/.config/tidings/profiles.toml (or below XDG_CONFIG_HOME):

  [staging]
  url = \"https://tidings.example.com\"
  key_file = \"/run/secrets/tidings\"    # or key = \"tk_…\"; tenant = \"ten_…\" for a platform key

Exit codes: 0 done, 1 failed, 2 wrong command line, 3 not found, 4 not permitted, 5 not reached";

/// Options of every command that calls the REST API.
#[derive(Debug, Args)]
#[command(next_help_heading = "Where to, and how to print")]
pub(super) struct Reach {
    /// The address of the API [default: `http://127.0.0.1:8080`]
    #[arg(long, global = true, value_name = "URL")]
    api: Option<String>,
    /// A file that holds the API key and nothing else
    #[arg(long, global = true, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// The tenant that a platform key acts for
    #[arg(long, global = true, value_name = "TENANT_ID")]
    pub(super) tenant: Option<TenantId>,
    /// A profile from ~/.config/tidings/profiles.toml
    #[arg(long, global = true, value_name = "NAME")]
    profile: Option<String>,
    /// Print one JSON object a line, as the API answered, instead of tables
    #[arg(long, global = true)]
    pub(super) json: bool,
}

/// Whose key a command takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum As {
    /// A tenant's, or a platform key that acts for one.
    Tenant,
    /// A platform key, where there is a choice.
    Platform,
}

/// The process's environment, or one of a test.
type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Reach {
    /// Says that a command which calls no API was given a place to call.
    pub(super) fn is_not_for(&self, what: &str) -> Result<(), Failure> {
        let given = [
            ("--api", self.api.is_some()),
            ("--key-file", self.key_file.is_some()),
            ("--tenant", self.tenant.is_some()),
            ("--profile", self.profile.is_some()),
        ];
        match given.into_iter().find(|(_, is_given)| *is_given) {
            Some((option, _)) => Err(Failure::misused(format!(
                "{what} works on the database that the configuration names, not through an API: leave {option} out"
            ))),
            None => Ok(()),
        }
    }

    /// A client for what the options and this process's environment say.
    pub(super) fn client(&self, who: As) -> Result<Client, Failure> {
        let client = Client::new(self.place_here(who)?)?;
        if client.is_exposed() {
            warn("the key goes over the network in clear text: use an https:// address");
        }
        Ok(client)
    }

    /// The same of a command whose options have other names.
    pub(super) const fn of(api: Option<String>, key_file: Option<PathBuf>, profile: Option<String>) -> Self {
        Self { api, key_file, tenant: None, profile, json: false }
    }

    /// What the options and this process's environment say.
    pub(super) fn place_here(&self, who: As) -> Result<Place, Failure> {
        let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        self.place(who, &variable, neighbour::look)
    }

    fn place(
        &self,
        who: As,
        variable: Variables<'_>,
        neighbour: impl FnOnce() -> Option<Profile>,
    ) -> Result<Place, Failure> {
        let mut layers = vec![self.options()?];
        if let Some(name) = &self.profile {
            layers.push(Profile::named(name, "--profile", variable)?);
        }
        layers.push(variables(variable)?);
        if let Some(name) = variable("TIDINGS_PROFILE").filter(|_| self.profile.is_none()) {
            layers.push(Profile::named(&name, "TIDINGS_PROFILE", variable)?);
        }
        // Its key belongs to its address and to no other.
        if layers.iter().all(|layer| layer.url.is_none() && layer.key.is_none()) {
            layers.extend(neighbour());
        }
        let key = |layer: &Profile| match who {
            As::Platform => layer.platform_key.clone().or_else(|| layer.key.clone()),
            As::Tenant => layer.key.clone(),
        };
        let default = || Given { value: DEFAULT_URL.to_owned(), origin: "the default".to_owned() };
        Ok(Place {
            url: layers.iter().find_map(|layer| layer.url.clone()).unwrap_or_else(default),
            key: layers.iter().find_map(key),
            tenant: layers.iter().find_map(|layer| layer.tenant),
        })
    }

    fn options(&self) -> Result<Profile, Failure> {
        let given = |url: &String| Given { value: url.clone(), origin: "--api".to_owned() };
        let key = self.key_file.as_deref().map(|path| read_key(path, "--key-file")).transpose()?;
        Ok(Profile { url: self.api.as_ref().map(given), key, platform_key: None, tenant: self.tenant })
    }
}

/// The runtime of a command that calls another process: it needs little of its own, and no settings.
pub(super) fn apart(settings: Option<&Path>) -> Result<Runtime, Failure> {
    if settings.is_some() {
        let told = "--config is for commands that run here, and this one calls an API: say which with --api, --profile or TIDINGS_URL";
        return Err(Failure::misused(told));
    }
    Ok(Builder::new_current_thread().enable_all().build()?)
}

fn variables(variable: Variables<'_>) -> Result<Profile, Failure> {
    let given = |name: &str| variable(name).map(|value| Given { value, origin: name.to_owned() });
    let tenant = variable("TIDINGS_TENANT").map(|text| text.parse());
    let tenant =
        tenant.transpose().map_err(|error| Failure::told(format!("TIDINGS_TENANT is no tenant's id: {error}")))?;
    let key = given("TIDINGS_KEY").map(|Given { value, origin }| Given { value: Secret::from(value), origin });
    Ok(Profile { url: given("TIDINGS_URL"), key, platform_key: None, tenant })
}

/// The key in a file; a warning where others may read it.
fn read_key(path: &Path, origin: &str) -> Result<Given<Secret>, Failure> {
    let shown = path.display();
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::told(format!("cannot read the key in {shown} (from {origin}): {error}")))?;
    warn_if_open(path);
    match text.trim() {
        "" => Err(Failure::told(format!("{shown} (from {origin}) is empty: it should hold an API key"))),
        key => Ok(Given { value: Secret::from(key), origin: shown.to_string() }),
    }
}

/// A warning where others may read a file that holds a secret.
pub(super) fn warn_if_open(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let is_open =
        fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o077 != 0);
    if is_open {
        warn(&format!("others on this host may read the secret in {0}: chmod 600 {0}", path.display()));
    }
}

fn warn(text: &str) {
    let paint = Paint::for_stderr();
    drop(writeln!(std::io::stderr(), "{} {text}", paint.yellow("warning:")));
}
