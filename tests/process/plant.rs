//! A small plant for the process tests: one registry file and the messages of its gateway.

use std::path::Path;

/// Writes `dir/pilots/<id>.toml`: one press with an electricity counter, one test bench that counts pieces.
pub(crate) fn write_registry(dir: &Path, id: &str) {
    let pilots = dir.join("pilots");
    std::fs::create_dir_all(&pilots).unwrap();
    std::fs::write(pilots.join(format!("{id}.toml")), registry(id)).unwrap();
}

/// The registry file's text.
pub(crate) fn registry(id: &str) -> String {
    format!(
        r#"[pilot]
id = "{id}"
name = {{ zh = "测试车间", en = "Test workshop" }}
enterprise = "Test works"
region = "wuchangshi"
sector = "electronics"
class = "pilot"
zone = "Asia/Shanghai"
programme = "xinjiang-2025"

[baseline]
from = 2015-01-01
to = 2015-12-31

[[product]]
id = "A12"
name = {{ zh = "甲", en = "A" }}

[[tariff]]
from = 2015-01-01
bands = {{ peak = 0.78, flat = 0.52, valley = 0.26 }}
hours = {{ peak = ["08:00-11:00", "18:00-23:00"], valley = ["23:00-07:00"] }}

[[series]]
asset = "press-01"
name = "electricity"
quantity = "energy.electricity"
kind = "counter"
unit = "kWh"
max_gap = "2h"
plausible = [0, 1e12]

[[series]]
asset = "line-a/test"
name = "good"
quantity = "output.good"
kind = "delta"

[[series]]
asset = "line-a/test"
name = "defective"
quantity = "output.defective"
kind = "delta"
"#
    )
}
