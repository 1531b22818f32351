//! `pilotline mappings`: the built-in profiles, to read or to copy a rule from.

use ingest::mapping::Mappings;

use crate::Failure;
use crate::args::MappingsArgs;
use crate::say::say;

pub(crate) fn mappings(arguments: &MappingsArgs) -> Result<(), Failure> {
    let Some(wanted) = &arguments.profile else {
        Mappings::profiles().for_each(|(name, _)| say!("{name}"));
        return Ok(());
    };
    let found = Mappings::profiles().find(|(name, _)| name == wanted);
    let (_, text) = found.ok_or_else(|| {
        Failure::Arguments(format!("no built-in profile is called `{wanted}`; `pilotline mappings` lists them"))
    })?;
    say!("{}", text.trim_end());
    Ok(())
}
