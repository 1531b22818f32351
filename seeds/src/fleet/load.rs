//! A fleet for load and loss tests: gateways that publish small messages for ever, with totals known by arithmetic.
//!
//! Each pilot has `n_gateways` gateways with a counter, a delta and a gauge of its own each. After `n` messages of a
//! gateway its counter stands at `n / 4` kWh and its pieces add up to [`Totals::pieces`]: what a store must hold, without
//! looking at what was sent.
//!
//! Invariants: times of a gateway rise strictly; `seq` counts from 1 in each boot; a message is a function of the
//! gateway, its boot and its number.

use super::message::{push_hundredths, push_number};

/// Readings in a message.
pub const READINGS: u64 = 3;

/// The id of the `n`-th pilot of the load fleet.
pub fn pilot_id(n: usize) -> String {
    format!("load-{n:04}")
}

/// The registry file of a pilot with so many gateways.
pub fn registry_text(pilot: usize, n_gateways: usize) -> String {
    let id = pilot_id(pilot);
    let mut file = format!(
        "# A simulated pilot for load tests.\n[pilot]\nid = \"{id}\"\n\
         name = {{ zh = \"压力测试 {pilot}\", en = \"Load test {pilot}\" }}\nenterprise = \"模拟 simulated\"\n\
         region = \"wuchangshi\"\nsector = \"electronics\"\nclass = \"pilot\"\nzone = \"Asia/Shanghai\"\n\
         programme = \"xinjiang-2025\"\n\n[baseline]\nfrom = 2015-01-01\nto = 2015-12-31\n"
    );
    for gateway in 0..n_gateways {
        let series = [
            ("em", "electricity", "energy.electricity", "counter", "kWh"),
            ("line", "good", "output.good", "delta", "piece"),
            ("em", "power", "power.active", "gauge", "kW"),
        ];
        for (asset, name, quantity, kind, unit) in series {
            file.push_str(&format!(
                "\n[[series]]\nasset = \"{asset}-{gateway}\"\nname = \"{name}\"\nquantity = \"{quantity}\"\n\
                 kind = \"{kind}\"\nunit = \"{unit}\"\n"
            ));
        }
    }
    file
}

/// One gateway that publishes for ever.
#[derive(Debug, Clone)]
pub struct LoadGateway {
    pub topic: String,
    gateway: usize,
    boot: u64,
    /// Messages made in this boot.
    seq: u64,
    /// Messages made in earlier boots.
    before: u64,
    start_ms: i64,
    step_ms: i64,
}

/// What the store must hold of a gateway once it has sent `n_messages`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Totals {
    pub n_messages: u64,
    pub n_readings: u64,
    /// The counter's last value, kWh; it began at 0.
    pub counter: f64,
    /// The sum of all deltas.
    pub pieces: u64,
    /// Time of the last reading, epoch milliseconds.
    pub last_at: i64,
}

impl LoadGateway {
    /// The `gateway`-th gateway of a pilot: its `n`-th message is stamped `start_ms + n · step_ms`.
    pub fn new(pilot: usize, gateway: usize, start_ms: i64, step_ms: i64) -> LoadGateway {
        let topic = format!("pilotline/v1/{}/gw-{gateway}", pilot_id(pilot));
        LoadGateway { topic, gateway, boot: 1, seq: 0, before: 0, start_ms, step_ms: step_ms.max(1) }
    }

    /// The same gateway after a restart: another boot, numbers from 1, times and counter go on.
    pub fn reboot(&mut self) {
        self.boot += 1;
        self.before += self.seq;
        self.seq = 0;
    }

    /// What the store must hold after all messages made so far.
    pub fn totals(&self) -> Totals {
        let n = self.before + self.seq;
        let weeks = n / 7;
        // Each seven messages count 1 to 7 pieces.
        let pieces = weeks * 28 + (1..=n % 7).sum::<u64>();
        let (n_readings, counter) = (n * READINGS, n as f64 / 4.0);
        Totals { n_messages: n, n_readings, counter, pieces, last_at: self.at(n) }
    }

    fn at(&self, n: u64) -> i64 {
        self.start_ms.saturating_add(i64::try_from(n).unwrap_or(i64::MAX).saturating_mul(self.step_ms))
    }

    /// The next message, of about 250 bytes.
    pub fn next_payload(&mut self) -> Vec<u8> {
        self.seq += 1;
        let n = self.before + self.seq;
        let mut payload = Vec::with_capacity(256);
        payload.extend_from_slice(b"{\"boot\":");
        push_number(&mut payload, self.boot);
        payload.extend_from_slice(b",\"seq\":");
        push_number(&mut payload, self.seq);
        payload.extend_from_slice(b",\"at\":");
        push_number(&mut payload, self.at(n).unsigned_abs());
        payload.extend_from_slice(b",\"readings\":[");
        let readings = [
            ("em", "electricity", n * 25, "kWh"),
            ("line", "good", ((n - 1) % 7 + 1) * 100, "piece"),
            ("em", "power", 9_000 + n % 13 * 25, "kW"),
        ];
        for (place, (asset, name, value, unit)) in readings.into_iter().enumerate() {
            payload.extend_from_slice(if place == 0 { b"{\"asset\":\"" } else { b",{\"asset\":\"" });
            payload.extend_from_slice(asset.as_bytes());
            payload.push(b'-');
            push_number(&mut payload, self.gateway as u64);
            payload.extend_from_slice(b"\",\"name\":\"");
            payload.extend_from_slice(name.as_bytes());
            payload.extend_from_slice(b"\",\"value\":");
            push_hundredths(&mut payload, value);
            payload.extend_from_slice(b",\"unit\":\"");
            payload.extend_from_slice(unit.as_bytes());
            payload.extend_from_slice(b"\"}");
        }
        payload.extend_from_slice(b"]}");
        payload
    }
}

/// Endless.
impl Iterator for LoadGateway {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        Some(self.next_payload())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_what_the_messages_add_up_to() {
        let mut gateway = LoadGateway::new(3, 2, 1_740_787_200_000, 1_000);
        let (mut pieces, mut counter, mut last_at) = (0.0, 0.0, 0);
        for n in 0..40 {
            if n == 17 {
                gateway.reboot();
            }
            let payload = gateway.next_payload();
            assert!(payload.len() <= 256, "{}", payload.len());
            let message: serde_json::Value = serde_json::from_slice(&payload).unwrap();
            let at = message["at"].as_i64().unwrap();
            assert!(at > last_at);
            last_at = at;
            counter = message["readings"][0]["value"].as_f64().unwrap();
            pieces += message["readings"][1]["value"].as_f64().unwrap();
        }
        let totals = gateway.totals();
        assert_eq!((totals.counter, totals.pieces as f64, totals.last_at), (counter, pieces, last_at));
        assert_eq!((totals.n_messages, totals.n_readings), (40, 120));
    }

    #[test]
    fn a_load_message_shows_every_field() {
        let mut gateway = LoadGateway::new(3, 2, 1_740_787_200_000, 1_000);
        insta::assert_snapshot!(String::from_utf8(gateway.next_payload()).unwrap(), @r#"{"boot":1,"seq":1,"at":1740787201000,"readings":[{"asset":"em-2","name":"electricity","value":0.25,"unit":"kWh"},{"asset":"line-2","name":"good","value":1,"unit":"piece"},{"asset":"em-2","name":"power","value":90.25,"unit":"kW"}]}"#);
    }
}
