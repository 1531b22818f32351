//! `pilotline ingest`: a server whose messages come from brokers that a plant already runs; and how those brokers are written
//! in the config file. `run` takes `[[door.broker]]` as well, and opens the listener besides.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use ingest::broker::{self, Broker, BrokerConfig, Sparkplug, TlsFiles};
use ingest::publisher::MqttVersion;
use model::PilotId;
use serde::Deserialize;

use crate::Failure;
use crate::args::PlaceArgs;
use crate::config::{Config, Origin};
use crate::office::Office;

pub(crate) fn ingest(place: &PlaceArgs) -> Result<(), Failure> {
    let mut config = Config::load(place)?;
    // Beside a broker a second door is opened only for who asks for it.
    config.wants_listener = config.brokers.is_empty() || config.chosen.mqtt == Origin::Person || config.tls.is_some();
    crate::run::serve(&config)
}

/// `[[door.broker]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BrokerFile {
    name: String,
    /// `host:port`.
    address: String,
    /// 5, or 3 for MQTT 3.1.1.
    protocol: Option<u8>,
    client_id: Option<String>,
    login: Option<String>,
    secret_file: Option<PathBuf>,
    /// Such as `7d`, `12h`, `30m`.
    session_expiry: Option<String>,
    receive_maximum: Option<u16>,
    /// Bytes of the largest packet taken; at least what the broker takes.
    max_packet: Option<u32>,
    share: Option<String>,
    sparkplug: Option<bool>,
    host_id: Option<String>,
    tls: Option<BrokerTlsFile>,
}

/// `[door.broker.tls]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct BrokerTlsFile {
    ca: PathBuf,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

/// Which part of the pilots this process takes: `I/N`, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shard {
    i: u32,
    n: u32,
}

/// Most processes that divide the pilots: beyond it a typo is likelier than a plan.
const SHARDS_MAX: u32 = 1_000;

impl Shard {
    /// Reads `I/N`.
    ///
    /// # Errors
    /// What would be right.
    pub(crate) fn parse(text: &str) -> Result<Shard, String> {
        let numbers = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match numbers {
            Some((i, n)) if 1 <= i && i <= n && n <= SHARDS_MAX => Ok(Shard { i, n }),
            Some(_) | None => {
                Err(format!("`{text}` is no part of the pilots; write I/N, from 1/N to N/N, such as 1/2"))
            }
        }
    }

    /// Whether a pilot is ours: the part with the highest hash takes it, so that another N moves as few as can be.
    pub(crate) fn takes(self, pilot: &PilotId) -> bool {
        let score = |part: &u32| ingest::broker::rendezvous(pilot, *part);
        (1..=self.n).max_by_key(score) == Some(self.i)
    }

    fn suffix(shard: Option<Shard>) -> String {
        shard.map_or_else(String::new, |Shard { i, n }| format!("-{i}-of-{n}"))
    }
}

/// `--broker`: `mqtt://HOST:PORT`, or `mqtts://HOST:PORT` with `--broker-ca`.
///
/// # Errors
/// What would be right.
pub(crate) fn of_flag(url: &str, place: &PlaceArgs, host_id: &str) -> Result<BrokerConfig, String> {
    let has_tls = place.broker.iter().any(|url| url.starts_with("mqtts://"));
    let (address, tls) = match (url.strip_prefix("mqtt://"), url.strip_prefix("mqtts://"), &place.broker_ca) {
        // Who names an authority wants TLS: clear text without a word would give the readings away.
        (Some(_), _, Some(_)) if !has_tls => {
            return Err(format!(
                "`{url}` is clear text, and --broker-ca is for TLS; write mqtts://HOST:PORT, or leave --broker-ca out"
            ));
        }
        (Some(address), _, _) => (address, None),
        (None, Some(address), Some(ca)) => (address, Some(TlsFiles { ca: ca.clone(), client: None })),
        (None, Some(_), None) => {
            return Err(format!("`{url}` needs --broker-ca FILE (PEM): who signed the broker's certificate"));
        }
        (None, None, _) => {
            return Err(format!(
                "`{url}` is no broker; write mqtt://HOST:PORT, mqtts://HOST:PORT, or [[door.broker]] in the config file"
            ));
        }
    };
    let (host, port) = split(address)?;
    let suffix = Shard::suffix(place.shard);
    let mut config = BrokerConfig::new(&host, &host, port);
    config.client_id = format!("pilotline-{host}{suffix}");
    config.host_id = format!("{host_id}{suffix}");
    config.tls = tls;
    Ok(config)
}

/// `[[door.broker]]` as the client wants it.
///
/// # Errors
/// What would be right.
pub(crate) fn of_file(file: BrokerFile, shard: Option<Shard>, host_id: &str) -> Result<BrokerConfig, String> {
    let (host, port) = split(&file.address)?;
    let name = &file.name;
    let mut config = BrokerConfig::new(name, &host, port);
    config.protocol = match file.protocol {
        None | Some(5) => MqttVersion::V5,
        Some(3) => MqttVersion::V311,
        Some(other) => return Err(format!("broker `{name}` has protocol = {other}; it is 5, or 3 for MQTT 3.1.1")),
    };
    config.client_id = file.client_id.unwrap_or_else(|| format!("pilotline-{name}{}", Shard::suffix(shard)));
    config.host_id = file.host_id.unwrap_or_else(|| format!("{host_id}{}", Shard::suffix(shard)));
    config.login = login(name, file.login, file.secret_file)?;
    if let Some(text) = &file.session_expiry {
        config.session_expiry_s = seconds(text)
            .ok_or_else(|| format!("broker `{name}` has session_expiry = `{text}`; write 7d, 12h or 30m"))?;
    }
    config.receive_maximum = file.receive_maximum.unwrap_or(config.receive_maximum).max(1);
    config.packet_bytes_max = file.max_packet.unwrap_or(config.packet_bytes_max);
    config.share = file.share;
    config.sparkplug = match file.sparkplug {
        None => Sparkplug::IfBound,
        Some(true) => Sparkplug::On,
        Some(false) => Sparkplug::Off,
    };
    config.tls = match file.tls {
        None => None,
        Some(BrokerTlsFile { ca, certificate: None, key: None }) => Some(TlsFiles { ca, client: None }),
        Some(BrokerTlsFile { ca, certificate: Some(certificate), key: Some(key) }) => {
            Some(TlsFiles { ca, client: Some((certificate, key)) })
        }
        Some(_) => return Err(format!("[door.broker.tls] of `{name}` needs `certificate` and `key`, or neither")),
    };
    Ok(config)
}

fn login(name: &str, login: Option<String>, file: Option<PathBuf>) -> Result<Option<(String, String)>, String> {
    match (login, file) {
        (None, None) => Ok(None),
        (Some(login), Some(file)) => {
            let secret = std::fs::read_to_string(&file).map_err(|error| {
                format!("secret of broker `{name}` in `{}` cannot be read: {error}", file.display())
            })?;
            Ok(Some((login, secret.trim_end_matches(['\r', '\n']).to_owned())))
        }
        (Some(_), None) | (None, Some(_)) => {
            Err(format!("broker `{name}` needs `login` and `secret_file`, or neither"))
        }
    }
}

fn split(address: &str) -> Result<(String, u16), String> {
    let parts = address.rsplit_once(':').and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)));
    parts.filter(|(host, _)| !host.is_empty()).ok_or_else(|| format!("`{address}` is no address; write HOST:PORT"))
}

fn seconds(text: &str) -> Option<u32> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let factor = match unit {
        "d" => 86_400,
        "h" => 3_600,
        "m" => 60,
        "s" => 1,
        _ => return None,
    };
    number.parse::<u32>().ok()?.checked_mul(factor)
}

/// Starts a client for each broker.
///
/// # Errors
/// If files for TLS are of no use.
pub(crate) async fn connect(config: &Config, office: &Office) -> anyhow::Result<Vec<Broker>> {
    let mut brokers = Vec::new();
    for broker in &config.brokers {
        let started = broker::start(broker.clone(), Arc::clone(&office.index), office.committer.clone()).await;
        brokers.push(started.with_context(|| format!("failed to start the client of broker `{}`", broker.name))?);
    }
    Ok(brokers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pilot_belongs_to_exactly_one_shard() {
        for n in 1..=5 {
            let mut sizes = vec![0; n as usize];
            for number in 0..500 {
                let pilot = PilotId::parse(&format!("pilot-{number}")).unwrap();
                let owners: Vec<u32> = (1..=n).filter(|i| Shard { i: *i, n }.takes(&pilot)).collect();
                assert_eq!(owners.len(), 1, "{pilot}");
                sizes[owners[0] as usize - 1] += 1;
            }
            assert!(sizes.iter().all(|size| *size * n > 300), "{sizes:?}");
        }
    }

    #[test]
    fn a_shard_is_written_i_of_n() {
        assert_eq!(Shard::parse("2/3"), Ok(Shard { i: 2, n: 3 }));
        for wrong in ["0/2", "3/2", "1", "a/b", "1/0", "-1/2"] {
            assert!(Shard::parse(wrong).unwrap_err().contains("I/N"), "{wrong}");
        }
    }

    #[test]
    fn tck_id_operational_behavior_host_application_host_id() {
        let at = |text: &str| PlaceArgs { shard: Some(Shard::parse(text).unwrap()), ..PlaceArgs::default() };
        let ids = ["1/3", "2/3", "3/3"].map(|shard| of_flag("mqtt://h:1", &at(shard), "north").unwrap().host_id);
        assert_eq!(ids, ["north-1-of-3", "north-2-of-3", "north-3-of-3"]);
    }

    #[test]
    fn a_broker_with_tls_needs_who_signed_its_certificate() {
        let mut place = PlaceArgs::default();
        assert!(of_flag("mqtts://h:1", &place, "p").unwrap_err().contains("--broker-ca FILE"));
        assert!(of_flag("http://h:1", &place, "p").unwrap_err().contains("mqtts://HOST:PORT"));
        place.broker_ca = Some(PathBuf::from("ca.pem"));
        assert_eq!(of_flag("mqtts://h:1", &place, "p").unwrap().tls.unwrap().ca, PathBuf::from("ca.pem"));
        // Beside a broker with TLS one without is meant so.
        place.broker = vec!["mqtt://h:1".to_owned(), "mqtts://i:1".to_owned()];
        assert_eq!(of_flag("mqtt://h:1", &place, "p").unwrap().tls, None);
    }

    #[test]
    fn who_signed_a_certificate_is_not_named_for_clear_text_alone() {
        let ca = Some(PathBuf::from("ca.pem"));
        let place = PlaceArgs { broker: vec!["mqtt://h:1".to_owned()], broker_ca: ca, ..PlaceArgs::default() };
        assert_eq!(
            of_flag("mqtt://h:1", &place, "p").unwrap_err(),
            "`mqtt://h:1` is clear text, and --broker-ca is for TLS; write mqtts://HOST:PORT, or leave --broker-ca out"
        );
    }

    #[test]
    fn times_have_a_unit() {
        assert_eq!(seconds("7d"), Some(604_800));
        assert_eq!(seconds("12h"), Some(43_200));
        for wrong in ["", "7", "d", "7w", "99999999d", "一"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }
}
