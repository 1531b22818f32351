//! `pilotline reload`: makes a running server take up changed registry files.

use crate::Failure;
use crate::args::DataArgs;
use crate::control::{Request, ask};
use crate::say::say;

pub(crate) fn reload(data: &DataArgs) -> Result<(), Failure> {
    let Some(answer) = ask(&data.data, &Request::Reload)? else {
        let dir = data.data.display();
        return Err(anyhow::anyhow!("no server runs over `{dir}`; start one, or name its directory with --data").into());
    };
    let done = answer.into_result()?;
    say!("{} pilots in force", done["pilots"]);
    Ok(())
}
