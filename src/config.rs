//! The config file, and where things are once flags, file and defaults are put together.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ::ingest::sparkplug::Settings;
use aggregator::ledger::Rules;
use aggregator::projection::{self, BucketMissing, Measurement, Probe};
use model::registry::Mistake;
use serde::Deserialize;

use crate::args::PlaceArgs;
use crate::ingest::{self, BrokerFile, Shard};

/// The file as it is written. Every key may be left out.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    data: Option<PathBuf>,
    pilots: Option<PathBuf>,
    mappings: Option<PathBuf>,
    programme: Option<PathBuf>,
    http: Option<SocketAddr>,
    #[serde(default)]
    door: DoorFile,
    #[serde(default)]
    sparkplug: SparkplugFile,
    #[serde(default)]
    ledger: LedgerFile,
    #[serde(default)]
    projection: ProjectionFile,
}

/// `[ledger]`: when figures are published.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LedgerFile {
    /// Days after a period's end before its first version is cut.
    grace_days: Option<u16>,
    /// Minutes for which a figure has to stay as it is before it is cut.
    quiet_minutes: Option<u32>,
}

impl LedgerFile {
    fn rules(self) -> Rules {
        let usual = Rules::default();
        Rules {
            grace_ms: self.grace_days.map_or(usual.grace_ms, |days| i64::from(days) * 86_400_000),
            quiet_ms: self.quiet_minutes.map_or(usual.quiet_ms, |minutes| i64::from(minutes) * 60_000),
        }
    }
}

/// `[projection]`: databases that what is committed and figured is sent to.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProjectionFile {
    influx: Option<InfluxFile>,
}

/// `[projection.influx]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct InfluxFile {
    /// http://HOST:PORT or https://HOST:PORT, with the server's prefix if it has one.
    url: String,
    #[serde(default)]
    org: String,
    /// The database of version 1.
    bucket: String,
    token_file: Option<PathBuf>,
    /// Who signed the server's certificate (PEM); without it the authorities of the system.
    ca: Option<PathBuf>,
    create_bucket: Option<bool>,
    measurements: Option<std::collections::BTreeSet<Measurement>>,
    /// Whether test points are written to find out what the server reports.
    probe: Option<bool>,
}

impl InfluxFile {
    fn settings(self) -> projection::Settings {
        let is_made = self.create_bucket.unwrap_or(false);
        projection::Settings {
            url: self.url,
            org: self.org,
            bucket: self.bucket,
            token_file: self.token_file,
            ca: self.ca,
            bucket_missing: if is_made { BucketMissing::Create } else { BucketMissing::Hold },
            measurements: self.measurements.unwrap_or_else(|| Measurement::ALL.into()),
            probe: if self.probe.unwrap_or(true) { Probe::Write } else { Probe::ReadOnly },
        }
    }
}

/// `[sparkplug]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SparkplugFile {
    /// Our id as a host application; edge nodes name it as their primary host.
    host_id: Option<String>,
    /// How long a missing `seq` is waited for, in ms.
    reorder_timeout_ms: Option<u32>,
    rebirths_per_s: Option<u32>,
}

impl SparkplugFile {
    fn settings(self) -> Settings {
        let usual = Settings::default();
        Settings {
            host_id: self.host_id.unwrap_or(usual.host_id),
            reorder_timeout_ms: self.reorder_timeout_ms.map_or(usual.reorder_timeout_ms, i64::from),
            rebirths_per_s: self.rebirths_per_s.map_or(usual.rebirths_per_s, |rate| rate.max(1)),
            ..usual
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct DoorFile {
    #[serde(default)]
    listener: ListenerFile,
    #[serde(default)]
    broker: Vec<BrokerFile>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListenerFile {
    mqtt: Option<SocketAddr>,
    tls: Option<TlsFile>,
}

/// `[door.listener.tls]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TlsFile {
    /// Where the door with TLS listens; `--mqtts` overrides it.
    pub(crate) address: Option<SocketAddr>,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// Certificates signed by this authority log gateways in by their common name.
    pub(crate) client_ca: Option<PathBuf>,
}

/// Where things are.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) data: PathBuf,
    pub(crate) pilots: PathBuf,
    /// Where mapping files are; one that nobody named may be missing.
    pub(crate) mappings: Mappings,
    pub(crate) programme: Option<PathBuf>,
    pub(crate) mqtt: SocketAddr,
    pub(crate) http: SocketAddr,
    /// The door with TLS and its files.
    pub(crate) tls: Option<(SocketAddr, TlsFile)>,
    /// Whether an address was chosen by flag or file: a default may move to the next free port, a choice may not.
    pub(crate) chosen: Chosen,
    pub(crate) brokers: Vec<::ingest::broker::BrokerConfig>,
    /// The part of the pilots that this process takes; none = all.
    pub(crate) shard: Option<Shard>,
    pub(crate) wants_listener: bool,
    pub(crate) sparkplug: Settings,
    /// When figures are published.
    pub(crate) ledger: Rules,
    pub(crate) projection: Option<projection::Settings>,
}

/// The directory of mapping files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mappings {
    /// Named by flag or file: has to be there.
    Named(PathBuf),
    /// `mappings/` beside the pilots, if it is there.
    Beside(PathBuf),
}

/// Which addresses a person chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chosen {
    pub(crate) mqtt: Origin,
    pub(crate) http: Origin,
}

/// Where an address comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A default of a server: what others are told to connect to, so it must not move.
    Default,
    /// A default of the demo: the next free port is as good.
    MayMove,
    /// A flag or the config file.
    Person,
}

const DEFAULT_MQTT: ([u8; 4], u16) = ([127, 0, 0, 1], 1883);
const DEFAULT_HTTP: ([u8; 4], u16) = ([127, 0, 0, 1], 8080);

impl Config {
    /// Flags over file over defaults.
    ///
    /// # Errors
    /// Every mistake of the file, with its line.
    pub(crate) fn load(place: &PlaceArgs) -> Result<Config, Vec<Mistake>> {
        let file = match &place.config {
            None => ConfigFile::default(),
            Some(path) => read(path)?,
        };
        let mqtt = place.mqtt.or(file.door.listener.mqtt);
        let http = place.http.or(file.http);
        let tls = tls(place, file.door.listener.tls)?;
        let sparkplug = file.sparkplug.settings();
        let brokers = brokers(place, file.door.broker, &sparkplug.host_id)?;
        let projection = projected(place, file.projection)?;
        let origin = |address: Option<SocketAddr>| if address.is_some() { Origin::Person } else { Origin::Default };
        let pilots = place.pilots.clone().or(file.pilots).unwrap_or_else(|| "./pilots".into());
        let mappings = match place.mappings.clone().or(file.mappings) {
            Some(named) => Mappings::Named(named),
            None => Mappings::Beside(pilots.parent().unwrap_or(Path::new("")).join("mappings")),
        };
        Ok(Config {
            data: place.data.clone().or(file.data).unwrap_or_else(|| "./pilotline-data".into()),
            pilots,
            mappings,
            programme: place.programme.clone().or(file.programme),
            mqtt: mqtt.unwrap_or_else(|| DEFAULT_MQTT.into()),
            http: http.unwrap_or_else(|| DEFAULT_HTTP.into()),
            tls,
            chosen: Chosen { mqtt: origin(mqtt), http: origin(http) },
            brokers,
            shard: place.shard,
            wants_listener: true,
            sparkplug,
            ledger: file.ledger.rules(),
            projection,
        })
    }
}

fn projected(place: &PlaceArgs, file: ProjectionFile) -> Result<Option<projection::Settings>, Vec<Mistake>> {
    let Some(settings) = file.influx.map(InfluxFile::settings) else { return Ok(None) };
    let name = place.config.as_deref().unwrap_or(Path::new("command line")).display().to_string();
    let mistake = |text: String| vec![Mistake { file: name, line: 0, text: format!("[projection.influx]: {text}") }];
    if settings.bucket.is_empty() {
        return Err(mistake("`bucket` is empty; name the bucket, or the database of version 1".to_owned()));
    }
    match settings.check() {
        Ok(()) => Ok(Some(settings)),
        Err(error) => Err(mistake(error.to_string())),
    }
}

/// Those of the file, then those of the flags; each under a name of its own.
fn brokers(
    place: &PlaceArgs,
    files: Vec<BrokerFile>,
    host_id: &str,
) -> Result<Vec<::ingest::broker::BrokerConfig>, Vec<Mistake>> {
    let name = place.config.as_deref().unwrap_or(Path::new("command line")).display().to_string();
    let mistake = |text: String| vec![Mistake { file: name.clone(), line: 0, text }];
    let mut brokers = Vec::new();
    for file in files {
        brokers.push(ingest::of_file(file, place.shard, host_id).map_err(mistake)?);
    }
    for url in &place.broker {
        brokers.push(ingest::of_flag(url, place, host_id).map_err(mistake)?);
    }
    let mut names = std::collections::BTreeSet::new();
    for broker in &brokers {
        if broker.name == ::ingest::observation::LISTENER || !names.insert(&broker.name) {
            return Err(mistake(format!("broker `{}` needs a name that no other door has", broker.name)));
        }
    }
    Ok(brokers)
}

fn tls(place: &PlaceArgs, file: Option<TlsFile>) -> Result<Option<(SocketAddr, TlsFile)>, Vec<Mistake>> {
    let name = place.config.as_deref().unwrap_or(Path::new("command line")).display().to_string();
    let mistake = |text: &str| Err(vec![Mistake { file: name.clone(), line: 0, text: text.to_owned() }]);
    match (place.mqtts, file) {
        (None, None) => Ok(None),
        (Some(_), None) => mistake(
            "--mqtts needs a config file with `[door.listener.tls]` that names `certificate` and `key` (PEM files)",
        ),
        (flag, Some(file)) => match flag.or(file.address) {
            None => mistake("`[door.listener.tls]` needs `address`, such as \"0.0.0.0:8883\", or the flag --mqtts"),
            Some(address) => Ok(Some((address, file))),
        },
    }
}

fn read(path: &Path) -> Result<ConfigFile, Vec<Mistake>> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| vec![Mistake { file: file.clone(), line: 0, text: format!("cannot be read: {error}") }])?;
    parse(&file, &text)
}

fn parse(file: &str, text: &str) -> Result<ConfigFile, Vec<Mistake>> {
    toml::from_str(text).map_err(|error: toml::de::Error| {
        let line = error.span().map_or(0, |span| text[..span.start].matches('\n').count() + 1);
        vec![Mistake { file: file.to_owned(), line, text: error.message().to_owned() }]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_names_its_line_and_the_keys_that_exist() {
        let mistakes = parse("c.toml", "data = \"d\"\nhtpp = \"127.0.0.1:1\"\n").unwrap_err();
        assert_eq!(
            mistakes[0].to_string(),
            "c.toml:2: unknown field `htpp`, expected one of `data`, `pilots`, `mappings`, `programme`, `http`, `door`, `sparkplug`, `ledger`, `projection`"
        );
    }

    #[test]
    fn flags_win_over_defaults_and_are_known_as_chosen() {
        let place = PlaceArgs { http: Some(([127, 0, 0, 1], 9).into()), ..PlaceArgs::default() };
        let config = Config::load(&place).unwrap();
        assert_eq!(config.http.port(), 9);
        assert_eq!(config.chosen, Chosen { mqtt: Origin::Default, http: Origin::Person });
        assert_eq!(config.mqtt.to_string(), "127.0.0.1:1883");
    }

    #[test]
    fn grace_and_quiet_are_configured_and_have_defaults() {
        let rules = |text: &str| parse("c.toml", text).map(|file| file.ledger.rules());
        assert_eq!(rules("").unwrap(), Rules::default());
        let found = rules("[ledger]\ngrace_days = 2\nquiet_minutes = 0\n").unwrap();
        assert_eq!(found, Rules { grace_ms: 2 * 86_400_000, quiet_ms: 0 });
        assert!(rules("[ledger]\ngrace_days = -1\n").is_err());
    }

    #[test]
    fn a_projection_is_checked_when_it_is_read() {
        let of = |text: &str| projected(&PlaceArgs::default(), parse("c.toml", text).unwrap().projection);
        let settings =
            of("[projection.influx]\nurl = \"http://h:8086\"\nbucket = \"b\"\nmeasurements = [\"figure\"]\n")
                .unwrap()
                .unwrap();
        assert_eq!((settings.bucket_missing, settings.measurements.len()), (BucketMissing::Hold, 1));
        let wrong = of("[projection.influx]\nurl = \"h:8086\"\nbucket = \"b\"\n").unwrap_err();
        assert!(wrong[0].text.contains("write http://HOST:PORT"), "{}", wrong[0]);
        assert!(of("[projection.influx]\nurl = \"http://h\"\nbucket = \"\"\n").is_err());
        let typo = parse("c.toml", "[projection.influx]\nurl = \"http://h\"\nbuckt = \"b\"\n").unwrap_err();
        assert!(typo[0].text.contains("unknown field `buckt`"), "{}", typo[0]);
    }

    #[test]
    fn tls_without_its_files_says_what_is_missing() {
        let place = PlaceArgs { mqtts: Some(([127, 0, 0, 1], 8883).into()), ..PlaceArgs::default() };
        let mistakes = Config::load(&place).unwrap_err();
        assert!(mistakes[0].text.contains("[door.listener.tls]"), "{}", mistakes[0]);
    }

    #[test]
    fn the_sparkplug_host_is_configured_once_for_every_door() {
        let text = "[[door.broker]]\nname = \"a\"\naddress = \"h:1\"\n[sparkplug]\nhost_id = \"north\"\nreorder_timeout_ms = 0\n";
        let file = parse("c.toml", text).unwrap();
        let settings = file.sparkplug.settings();
        assert_eq!((settings.host_id.as_str(), settings.reorder_timeout_ms), ("north", 0));
        assert_eq!(settings.rebirths_per_s, Settings::default().rebirths_per_s);
        let brokers = brokers(&PlaceArgs::default(), file.door.broker, &settings.host_id).unwrap();
        assert_eq!(brokers[0].host_id, "north");
    }
}
