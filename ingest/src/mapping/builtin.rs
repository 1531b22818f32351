//! The built-in profiles: mapping files like any other, compiled into the program.

/// `(file, text)` of every profile, in the order in which their rules are tried.
pub(super) const FILES: &[(&str, &str)] = &[
    ("neuron.toml", include_str!("../../mappings/neuron.toml")),
    ("umh.toml", include_str!("../../mappings/umh.toml")),
    ("kepware.toml", include_str!("../../mappings/kepware.toml")),
    ("siemens-ie.toml", include_str!("../../mappings/siemens-ie.toml")),
    ("opcua-pubsub.toml", include_str!("../../mappings/opcua-pubsub.toml")),
    ("thingsboard.toml", include_str!("../../mappings/thingsboard.toml")),
    ("alink.toml", include_str!("../../mappings/alink.toml")),
    ("iotda.toml", include_str!("../../mappings/iotda.toml")),
    ("acrel.toml", include_str!("../../mappings/acrel.toml")),
    ("cet.toml", include_str!("../../mappings/cet.toml")),
    ("zhitan.toml", include_str!("../../mappings/zhitan.toml")),
    ("tuya.toml", include_str!("../../mappings/tuya.toml")),
    ("property-list.toml", include_str!("../../mappings/property-list.toml")),
    ("tasmota.toml", include_str!("../../mappings/tasmota.toml")),
    ("shelly.toml", include_str!("../../mappings/shelly.toml")),
    ("zigbee2mqtt.toml", include_str!("../../mappings/zigbee2mqtt.toml")),
    ("telegraf.toml", include_str!("../../mappings/telegraf.toml")),
    ("sitewise.toml", include_str!("../../mappings/sitewise.toml")),
    ("freeioe.toml", include_str!("../../mappings/freeioe.toml")),
    ("thingspanel.toml", include_str!("../../mappings/thingspanel.toml")),
    ("nodered.toml", include_str!("../../mappings/nodered.toml")),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::FILES;
    use crate::mapping::compile::compile;
    use crate::mapping::topic::Topic;
    use crate::mapping::{Mappings, plan, run};

    fn compiled() -> Vec<plan::Compiled> {
        let of_file = |(file, text): &(&str, &str)| match compile(file, text, &BTreeSet::new()) {
            Ok(compiled) => compiled,
            Err(mistakes) => panic!("{mistakes:#?}"),
        };
        FILES.iter().map(of_file).collect()
    }

    #[test]
    fn every_test_vector_of_every_profile_gives_what_it_expects() {
        let mistakes: Vec<String> = Mappings::builtin().test().iter().map(ToString::to_string).collect();
        assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
    }

    #[test]
    fn every_rule_has_a_test() {
        for file in compiled() {
            let tested: BTreeSet<&str> = file.tests.iter().map(|test| &*test.rule).collect();
            for rule in &file.rules {
                let teaches = file.dictionaries.contains(&rule.name);
                assert!(teaches || tested.contains(&*rule.name), "{} has no test", rule.label);
            }
        }
    }

    #[test]
    fn no_profile_takes_a_topic_of_another() {
        let files = compiled();
        for file in &files {
            for test in &file.tests {
                let topic = Topic::new(&test.test.topic);
                let others = files.iter().filter(|other| other.file != file.file).flat_map(|other| &other.rules);
                let taking: Vec<&str> =
                    others.filter(|rule| run::captures(rule, &topic).is_some()).map(|rule| &*rule.label).collect();
                assert!(taking.is_empty(), "{} of {} is taken by {taking:?}", test.test.topic, file.file);
            }
        }
    }
}
