//! Installs what the outer tiers need, as root on Debian, or names what is missing.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::bail;

use crate::{cargo, root, run, target_dir};

/// A program of the outer tiers and the Debian package that has it.
const DEBIAN: [(&str, &str); 8] = [
    ("node", "nodejs"),
    ("npm", "npm"),
    ("mosquitto_pub", "mosquitto-clients"),
    ("mosquitto", "mosquitto"),
    ("promtool", "prometheus"),
    ("prometheus", "prometheus"),
    ("influxd", "influxdb"),
    ("sqlite3", "sqlite3"),
];

/// Packages of the outer tiers; the versions are those the tests were written against. The two of Python need different
/// versions of a third.
const PYPI: (&str, &str) = ("paho-mqtt==2.1.0", "paho.mqtt.client");
const PYPI_SPARKPLUG: (&str, &str) = ("pysparkplug==0.6.1", "pysparkplug");
/// An edge node, and the types that dashboards are held against. Each with the folder that shows it is there.
const NPM: [(&str, &str); 3] = [
    ("sparkplug-client@3.2.4", "sparkplug-client"),
    ("@grafana/schema@13.2.3", "@grafana/schema"),
    ("typescript@5.9.3", "typescript"),
];

/// Makes sure that everything is there; gives the variables that tell the process tests where.
pub(crate) fn outer_tools() -> anyhow::Result<Vec<(&'static str, PathBuf)>> {
    println!("\n==> what the process tests need");
    let missing: Vec<_> = DEBIAN.iter().filter(|(program, _)| !is_installed(program)).collect();
    if !missing.is_empty() {
        let packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
        install_debian(&packages)?;
        if let Some((program, package)) = DEBIAN.iter().find(|(program, _)| !is_installed(program)) {
            bail!("`{program}` is missing although the Debian package {package} was installed");
        }
    }
    Ok(vec![
        ("PILOTLINE_PYTHON", python("python", PYPI)?),
        ("PILOTLINE_SPARKPLUG_PYTHON", python("python-sparkplug", PYPI_SPARKPLUG)?),
        ("PILOTLINE_NODE_MODULES", node_modules()?),
        ("PILOTLINE_SRAD_EDGE", srad_edge()?),
    ])
}

/// The npm packages, beside what cargo builds. Their install scripts are not needed and not run.
fn node_modules() -> anyhow::Result<PathBuf> {
    let home = target_dir().join("node");
    let modules = home.join("node_modules");
    if !NPM.iter().all(|(_, folder)| modules.join(folder).is_dir()) {
        std::fs::create_dir_all(&home)?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"]);
        npm.arg(&home).args(NPM.map(|(package, _)| package)).stdout(Stdio::null());
        run(npm)?;
    }
    Ok(modules)
}

/// An edge node on another Sparkplug library in Rust: a workspace of its own, because of what it pulls in.
fn srad_edge() -> anyhow::Result<PathBuf> {
    let target = target_dir().join("srad-edge");
    let mut build = cargo(&["build", "--quiet", "--locked"]);
    build.current_dir(root().join("tests/srad-edge")).env("CARGO_TARGET_DIR", &target);
    run(build)?;
    Ok(target.join("debug/srad-edge"))
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

/// A virtual environment beside what cargo builds, with a Python package; its interpreter.
fn python(name: &str, (package, module): (&str, &str)) -> anyhow::Result<PathBuf> {
    let environment = target_dir().join(name);
    let interpreter = environment.join("bin/python");
    if !interpreter.is_file() {
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv"]).arg(&environment);
        run(venv)?;
    }
    let mut probe = Command::new(&interpreter);
    probe.args(["-c", &format!("import {module}")]).stderr(Stdio::null());
    if !probe.status().is_ok_and(|status| status.success()) {
        let mut pip = Command::new(&interpreter);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", package]);
        run(pip)?;
    }
    Ok(interpreter)
}
