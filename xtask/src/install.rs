//! Installs what the outer tiers need, as root on Debian, or names what is missing.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::bail;

use crate::{run, target_dir};

/// A program of the outer tiers and the Debian package that has it.
const DEBIAN: [(&str, &str); 4] = [
    ("mosquitto_pub", "mosquitto-clients"),
    ("mosquitto", "mosquitto"),
    ("promtool", "prometheus"),
    ("sqlite3", "sqlite3"),
];

/// A Python package of the outer tiers; the version is the one the tests were written against.
const PYPI: &str = "paho-mqtt==2.1.0";

/// Makes sure that everything is there; gives the Python interpreter that has the packages.
pub(crate) fn outer_tools() -> anyhow::Result<PathBuf> {
    println!("\n==> what the process tests need");
    let missing: Vec<_> = DEBIAN.iter().filter(|(program, _)| !is_installed(program)).collect();
    if !missing.is_empty() {
        let packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
        install_debian(&packages)?;
        if let Some((program, package)) = DEBIAN.iter().find(|(program, _)| !is_installed(program)) {
            bail!("`{program}` is missing although the Debian package {package} was installed");
        }
    }
    python()
}

fn is_installed(program: &str) -> bool {
    let directories = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps servers in /usr/sbin, which is not on everybody's path.
    let sbin = ["/usr/sbin".into(), "/sbin".into()];
    std::env::split_paths(&directories).chain(sbin).any(|directory: PathBuf| directory.join(program).is_file())
}

fn install_debian(packages: &[&str]) -> anyhow::Result<()> {
    if !is_installed("apt-get") {
        bail!("missing: {}; install them (the names are Debian's packages)", packages.join(", "));
    }
    let mut update = Command::new("apt-get");
    update.args(["update", "--quiet=2"]);
    run(update)?;
    let mut install = Command::new("apt-get");
    install.args(["install", "--yes", "--quiet=2", "--no-install-recommends"]).args(packages);
    install.env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null());
    run(install)
}

/// A virtual environment beside what cargo builds, with the Python packages.
fn python() -> anyhow::Result<PathBuf> {
    let environment = target_dir().join("python");
    let interpreter = environment.join("bin/python");
    if !interpreter.is_file() {
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv"]).arg(&environment);
        run(venv)?;
    }
    let mut probe = Command::new(&interpreter);
    probe.args(["-c", "import paho.mqtt.client"]).stderr(Stdio::null());
    if !probe.status().is_ok_and(|status| status.success()) {
        let mut pip = Command::new(&interpreter);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", PYPI]);
        run(pip)?;
    }
    Ok(interpreter)
}
