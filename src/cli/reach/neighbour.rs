//! The `tidings dev` of this folder, so that a newcomer's next command just works.

use super::profiles::Profile;
use crate::app::data_dir;
use crate::cli::dev;
use crate::client::Given;
use crate::config::Loaded;

/// What it keeps, if one ever ran here.
pub(super) fn look() -> Option<Profile> {
    // Whatever is wrong with the configuration is no concern of who calls an API.
    let loaded = Loaded::load(None, std::env::vars_os()).ok()?;
    let folder = data_dir(&loaded.config.database);
    let known = dev::known(&folder)?;
    let origin = format!("`tidings dev` in {}", folder.display());
    let given = |value| Given { value, origin: origin.clone() };
    Some(Profile {
        url: Some(Given { value: known.url, origin: origin.clone() }),
        key: Some(given(known.api_key)),
        platform_key: Some(given(known.platform_key)),
        tenant: None,
    })
}
